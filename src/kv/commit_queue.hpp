#pragma once
// The one way into an engine: all that wait go into one group and one sync; while one sync runs the next
// group gathers.

#include "kv/engine.hpp"

#include <condition_variable>
#include <mutex>
#include <span>
#include <vector>

namespace db4::kv {

struct CommitQueueOptions {
  std::size_t max_group_batches = 4096;
  std::uint64_t max_group_bytes = 32ULL << 20;
  /// Bytes that may wait; whoever comes later waits for room (back-pressure).
  std::uint64_t max_waiting_bytes = 256ULL << 20;
};

/// Group commit with a leader: the first waiter takes all that wait and commits them without holding the
/// mutex; the others sleep until their group is done, and one of those that gathered meanwhile leads next. A
/// group is synced as its most demanding batch asks. Thread-safe. A failing commit throws the same Error in
/// every waiter of the group; a batch that misuses the engine (invalid_argument) therefore fails its
/// neighbours too, and none of them changed anything.
class CommitQueue {
 public:
  explicit CommitQueue(Engine& engine, CommitQueueOptions options = {});
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;

  /// Commits one batch and waits for it.
  Outcome commit(const Batch& batch, Durability durability);
  /// Commits several, in order and next to each other, with one sync. Each succeeds or fails alone.
  std::vector<Outcome> commit_all(std::span<const Batch> batches, Durability durability);

  /// Engine::sync, ordered after everything committed before the call.
  void sync();

  /// How many calls wait for the next group, and how many of those that come for room before that.
  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] std::size_t waiting_for_room() const;

 private:
  struct Waiter;
  void wait_for(Waiter& waiter);
  void lead(std::unique_lock<std::mutex>& lock) noexcept;
  std::vector<Waiter*> take_group();
  void commit_group(std::span<Waiter* const> group) noexcept;

  Engine& engine_;
  const CommitQueueOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::vector<Waiter*> waiting_;
  std::uint64_t waiting_bytes_ = 0;
  std::size_t waiting_for_room_ = 0;
  bool leading_ = false;
};

}  // namespace db4::kv
