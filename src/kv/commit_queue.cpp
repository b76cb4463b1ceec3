#include "kv/commit_queue.hpp"

#include <algorithm>
#include <exception>

namespace db4::kv {
namespace {

/// The exception that is being handled, as an object of its own: each waiter throws one in its own thread,
/// and none should find it going away in another's.
std::exception_ptr copy_of_current() {
  try {
    throw;
  } catch (const Error& error) {
    return std::make_exception_ptr(Error(error.code(), error.problem(), error.advice()));
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

/// One caller's place in the queue; it lives on the caller's stack until `state` is done.
struct CommitQueue::Waiter {
  enum class State { waiting, leads, done };

  std::span<const Batch> batches = {};
  Durability durability = Durability::none;
  bool sync = false;  ///< Engine::sync after the group
  std::uint64_t bytes = 0;
  State state = State::waiting;
  /// Its own: whoever is neither done nor to lead sleeps on. Notified with the mutex held, since the waiter
  /// is gone as soon as it has seen that it is done.
  std::condition_variable wake = {};
  std::vector<Outcome> outcomes = {};
  std::exception_ptr failure = {};
};

CommitQueue::CommitQueue(Engine& engine, CommitQueueOptions options) : engine_(engine), options_(options) {}

Outcome CommitQueue::commit(const Batch& batch, Durability durability) {
  return commit_all(std::span(&batch, 1), durability).front();
}

std::vector<Outcome> CommitQueue::commit_all(std::span<const Batch> batches, Durability durability) {
  if (batches.empty()) return {};
  Waiter waiter{.batches = batches, .durability = durability};
  for (const Batch& batch : batches) waiter.bytes += batch.bytes();
  wait_for(waiter);
  return std::move(waiter.outcomes);
}

void CommitQueue::sync() {
  Waiter waiter{.sync = true};
  wait_for(waiter);
}

std::size_t CommitQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

std::size_t CommitQueue::waiting_for_room() const {
  const std::lock_guard lock(mutex_);
  return waiting_for_room_;
}

void CommitQueue::wait_for(Waiter& waiter) {
  std::unique_lock lock(mutex_);
  // Whoever is larger than all the room there is goes in alone, when nobody waits.
  ++waiting_for_room_;
  room_.wait(lock,
             [&] { return waiting_.empty() || waiting_bytes_ + waiter.bytes <= options_.max_waiting_bytes; });
  --waiting_for_room_;
  waiting_.push_back(&waiter);
  waiting_bytes_ += waiter.bytes;
  if (leading_) {
    waiter.wake.wait(lock, [&] { return waiter.state != Waiter::State::waiting; });
  } else {
    leading_ = true;
    waiter.state = Waiter::State::leads;
  }
  if (waiter.state == Waiter::State::leads) lead(lock);
  if (waiter.failure) std::rethrow_exception(waiter.failure);
}

/// Commits the first waiters (the leader is one of them) and hands leadership to the first of those that
/// gathered meanwhile. Out of memory here would leave the others waiting for ever, so it ends the process.
void CommitQueue::lead(std::unique_lock<std::mutex>& lock) noexcept {
  const std::vector<Waiter*> group = take_group();
  room_.notify_all();
  lock.unlock();
  commit_group(group);
  lock.lock();
  if (waiting_.empty()) {
    leading_ = false;
  } else {
    waiting_.front()->state = Waiter::State::leads;
    waiting_.front()->wake.notify_one();
  }
  for (Waiter* waiter : group) {
    waiter->state = Waiter::State::done;
    waiter->wake.notify_one();
  }
}

std::vector<CommitQueue::Waiter*> CommitQueue::take_group() {
  std::size_t count = 0;
  std::size_t batches = 0;
  std::uint64_t bytes = 0;
  for (const Waiter* waiter : waiting_) {
    batches += waiter->batches.size();
    bytes += waiter->bytes;
    if (count > 0 && (batches > options_.max_group_batches || bytes > options_.max_group_bytes)) break;
    waiting_bytes_ -= waiter->bytes;
    ++count;
  }
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Waiter*> group(waiting_.begin(), end);
  waiting_.erase(waiting_.begin(), end);
  return group;
}

void CommitQueue::commit_group(std::span<Waiter* const> group) noexcept {
  try {
    std::vector<const Batch*> batches;
    Durability durability = Durability::none;
    for (const Waiter* waiter : group) {
      durability = std::max(durability, waiter->durability);
      for (const Batch& batch : waiter->batches) batches.push_back(&batch);
    }
    if (!batches.empty()) {
      const std::vector<Outcome> outcomes = engine_.commit(batches, durability);
      auto next = outcomes.begin();
      for (Waiter* waiter : group) {
        const auto end = next + static_cast<std::ptrdiff_t>(waiter->batches.size());
        waiter->outcomes.assign(next, end);
        next = end;
      }
    }
  } catch (...) {
    for (Waiter* waiter : group) {
      if (!waiter->sync) waiter->failure = copy_of_current();
    }
  }
  // One sync for all that asked: it stands after every commit that returned before they did.
  if (std::ranges::none_of(group, &Waiter::sync)) return;
  try {
    engine_.sync();
  } catch (...) {
    for (Waiter* waiter : group) {
      if (waiter->sync) waiter->failure = copy_of_current();
    }
  }
}

}  // namespace db4::kv
