#pragma once
// FaultWarmCache: any warm cache, with faults on order.

#include <db4/error.hpp>
#include <db4/warm_cache.hpp>

#include <atomic>
#include <functional>
#include <mutex>
#include <random>

namespace db4::testing {

/// Thread-safe. Replays from its seed where the calls come in one order.
class FaultWarmCache final : public WarmCache {
 public:
  /// `outlives_store`: close() is not passed on, so that the entries are there when a store is opened again.
  struct Options {
    std::uint64_t seed = 1;
    bool outlives_store = false;
  };
  FaultWarmCache(std::shared_ptr<WarmCache> under, Options options)
      : under_(std::move(under)), options_(options), random_(options.seed) {}

  /// Every call but stats fails with this probability, half of them after they took effect.
  void fail_with_probability(double probability) { probability_ = probability; }
  /// Runs before each put, with no lock held: a sequence point.
  void set_put_hook(std::function<void(std::string_view key, Version version)> hook) {
    const std::lock_guard lock(mutex_);
    put_hook_ = std::move(hook);
  }

  std::optional<WarmEntry> get(std::string_view key) override {
    return run([&] { return under_->get(key); });
  }
  void put(std::string_view key, const WarmEntry& entry) override {
    std::function<void(std::string_view, Version)> hook;
    {
      const std::lock_guard lock(mutex_);
      hook = put_hook_;
    }
    if (hook) hook(key, entry.version);
    run([&] { return under_->put(key, entry), true; });
  }
  void remove(std::string_view key) override {
    run([&] { return under_->remove(key), true; });
  }
  void clear() override {
    run([&] { return under_->clear(), true; });
  }
  WarmCacheStats stats() const override { return under_->stats(); }
  bool contains(std::string_view key, Version version, TimePoint now) override {
    return run([&] { return under_->contains(key, version, now); });
  }
  void close() override {
    if (!options_.outlives_store) under_->close();
  }

 private:
  template <typename Call>
  std::invoke_result_t<Call> run(const Call& call) {
    bool before = false;
    bool after = false;
    if (const double probability = probability_; probability > 0) {
      const std::lock_guard lock(mutex_);
      if (std::bernoulli_distribution(probability)(random_)) {
        (std::bernoulli_distribution(0.5)(random_) ? before : after) = true;
      }
    }
    if (before) fail();
    auto result = call();
    if (after) fail();
    return result;
  }
  [[noreturn]] static void fail() {
    throw Error(ErrorCode::unavailable, "an injected fault of the warm cache", "it was ordered by the test");
  }

  const std::shared_ptr<WarmCache> under_;
  const Options options_;
  std::atomic<double> probability_ = 0;
  std::mutex mutex_;
  std::mt19937_64 random_;
  std::function<void(std::string_view, Version)> put_hook_;
};

}  // namespace db4::testing
