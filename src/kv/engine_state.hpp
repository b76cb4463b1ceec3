#pragma once
// Whether an engine may be used, and what it has counted.

#include "kv/engine.hpp"

#include <atomic>
#include <mutex>

namespace db4::kv {

/// Thread-safe. Every engine holds one.
class EngineState {
 public:
  /// Throws invalid_argument once the engine is closed.
  void check_open() const;
  /// check_open, and throws read_only once poison() was called.
  void check_writable() const;
  /// After a failure whose outcome is unknown: no more writes. The first reason is kept.
  void poison(const std::string& reason);
  [[nodiscard]] bool poisoned() const noexcept { return poisoned_.load(std::memory_order_acquire); }
  /// Whether this call closed it.
  bool close() noexcept { return !closed_.exchange(true, std::memory_order_acq_rel); }

  void count_commit(std::size_t batches) noexcept;
  void count_sync() noexcept { syncs_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] EngineStats stats() const noexcept;

 private:
  std::atomic<bool> closed_{false};
  std::atomic<bool> poisoned_{false};
  mutable std::mutex mutex_;
  std::string reason_;
  std::atomic<std::uint64_t> commits_{0};
  std::atomic<std::uint64_t> batches_{0};
  std::atomic<std::uint64_t> syncs_{0};
};

}  // namespace db4::kv
