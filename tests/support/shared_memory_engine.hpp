#pragma once
// One memory engine that several catalogues have open at once, as nodes share PostgreSQL: what a test of them
// can stop between two calls, and needs no server.

#include "kv/engine.hpp"

#include <functional>
#include <memory>
#include <mutex>

namespace db4::testing {

/// One node's view. Thread-safe; close() leaves the engine to the others.
class SharedMemoryEngine final : public kv::Engine {
 public:
  /// Runs after each get, with no lock held: where another node may come between.
  using AfterGet = std::function<void(std::uint8_t space, std::string_view key)>;
  struct Shared {
    explicit Shared(std::vector<kv::SpaceSpec> spaces)
        : engine(kv::open_memory_engine({.spaces = std::move(spaces)})) {}
    std::unique_ptr<kv::Engine> engine;
    std::mutex mutex;  ///< an engine takes one commit at a time
  };

  explicit SharedMemoryEngine(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  void set_after_get(AfterGet hook) { after_get_ = std::move(hook); }

  [[nodiscard]] std::optional<std::string> get(std::uint8_t space, std::string_view key) const override {
    auto value = shared_->engine->get(space, key);
    if (after_get_) after_get_(space, key);
    return value;
  }
  [[nodiscard]] std::vector<kv::Entry> scan(const kv::ScanRequest& request) const override {
    return shared_->engine->scan(request);
  }
  std::vector<kv::Outcome> commit(std::span<const kv::Batch* const> group, Durability durability) override {
    const std::lock_guard lock(shared_->mutex);
    return shared_->engine->commit(group, durability);
  }
  void sync() override {}
  void close() override {}
  [[nodiscard]] Durability strongest() const noexcept override { return shared_->engine->strongest(); }
  [[nodiscard]] kv::EngineStats stats() const override { return shared_->engine->stats(); }
  [[nodiscard]] bool shared() const noexcept override { return true; }

 private:
  const std::shared_ptr<Shared> shared_;
  AfterGet after_get_;
};

}  // namespace db4::testing
