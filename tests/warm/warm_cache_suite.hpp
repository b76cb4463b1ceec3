#pragma once
// The conformance suite of WarmCache. To run it against your own, link warm_cache_suite.cpp and see
// docs/backends.md.

#include <db4/warm_cache.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace db4::testing {

/// How the suite gets an empty cache of so many bytes; `cleanup` runs after the cache is gone.
struct WarmCacheFactory {
  std::string name;
  std::function<std::shared_ptr<WarmCache>(std::uint64_t max_bytes)> make;
  std::function<void()> cleanup = [] {};
  std::string skip_reason = {};  ///< not empty: the suite cannot run here
  /// False: the entries are in a server that bounds and evicts them by settings of its own, whatever bound
  /// the cache was made with. What the suite asks of a bound is left out then.
  bool bounds_itself = true;
};

inline void PrintTo(const WarmCacheFactory& factory, std::ostream* out) { *out << factory.name; }

inline TimePoint at_second(std::int64_t second) { return TimePoint{std::chrono::seconds{second}}; }

inline WarmEntry warm_entry(Version version, std::string record) {
  return {.version = version,
          .fresh_until = at_second(1000),
          .stale_until = at_second(2000),
          .record = std::make_shared<const std::string>(std::move(record))};
}

class WarmCacheSuite : public ::testing::TestWithParam<WarmCacheFactory> {
 protected:
  static constexpr std::uint64_t kMaxBytes = 1ULL << 20;

  void SetUp() override {
    if (!GetParam().skip_reason.empty()) GTEST_SKIP() << GetParam().skip_reason;
    cache_ = GetParam().make(kMaxBytes);
  }
  void TearDown() override {
    if (cache_ == nullptr) return;
    cache_->close();
    cache_.reset();
    GetParam().cleanup();
  }
  /// The record held, "(absent)" where there is none.
  std::string held(std::string_view key) {
    const auto entry = cache_->get(key);
    return entry ? *entry->record : "(absent)";
  }

  std::shared_ptr<WarmCache> cache_;
};

}  // namespace db4::testing
