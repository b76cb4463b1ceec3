#include "kv/engine_state.hpp"

namespace db4::kv {

void EngineState::check_open() const {
  if (!closed_.load(std::memory_order_acquire)) return;
  throw Error(ErrorCode::invalid_argument, "the engine is closed", "open it again before using it");
}

void EngineState::check_writable() const {
  check_open();
  if (!poisoned()) return;
  const std::lock_guard lock(mutex_);
  throw Error(
      ErrorCode::read_only, "the engine takes no more writes since one failed: " + reason_,
      "remove the cause, then reopen the store: it will be as of the last write that reached the disk");
}

void EngineState::poison(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (poisoned()) return;
  reason_ = reason;
  poisoned_.store(true, std::memory_order_release);
}

void EngineState::count_commit(std::size_t batches) noexcept {
  commits_.fetch_add(1, std::memory_order_relaxed);
  batches_.fetch_add(batches, std::memory_order_relaxed);
}

EngineStats EngineState::stats() const noexcept {
  return {.commits = commits_.load(std::memory_order_relaxed),
          .batches = batches_.load(std::memory_order_relaxed),
          .syncs = syncs_.load(std::memory_order_relaxed)};
}

}  // namespace db4::kv
