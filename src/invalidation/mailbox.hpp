#pragma once
// invalidation: who hears about a change. Versioned copies, subscribers, the messages between nodes. Includes
// what stands below it: base, and the eviction of warm.
//
// Mailbox: a bounded queue with a thread of its own that hands each item to one handler.

#include <db4/clock.hpp>
#include <db4/error.hpp>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace db4::invalidation {

/// Posting never waits. A queue that would grow past its bound is collapsed: all that waits becomes one item
/// that stands for it, and so does what is posted until that item is handed over. Thread-safe; stop() and the
/// destructor may run inside the handler. A handler that throws is counted.
template <typename Item>
class Mailbox {
 public:
  using Handler = std::function<void(const Item&)>;
  /// What stands for everything up to and with this item.
  using Collapse = std::function<Item(const Item& latest)>;

  /// Throws resource_exhausted where no thread can be started.
  Mailbox(std::size_t max_queued, Handler handler, Collapse collapse)
      : state_(std::make_shared<State>(max_queued, std::move(handler), std::move(collapse))) {
    try {
      thread_ = std::thread([state = state_] { state->run(); });
    } catch (const std::system_error&) {
      throw Error(ErrorCode::resource_exhausted, "no thread could be started to call a subscriber",
                  "raise the limit of threads, or subscribe less often");
    }
    thread_id_ = thread_.get_id();
  }
  ~Mailbox() { stop(); }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  void post(Item item) {
    const std::lock_guard lock(state_->mutex);
    state_->push(std::move(item));
    state_->changed.notify_all();
  }

  /// Drops what waits, and waits for a handler that runs unless this is called inside it; none is called
  /// after.
  void stop() {
    std::thread mine;
    {
      const std::lock_guard lock(state_->mutex);
      state_->stopping = true;
      state_->queue.clear();
      mine = std::exchange(thread_, {});
      state_->changed.notify_all();
    }
    if (thread_id_ == std::this_thread::get_id()) {
      // The thread ends by itself when its handler returns; it owns what it uses.
      if (mine.joinable()) mine.detach();
    } else if (mine.joinable()) {
      mine.join();
    } else {
      std::unique_lock lock(state_->mutex);
      state_->changed.wait(lock, [this] { return state_->ended; });
    }
  }

  /// Waits until nothing is queued and no handler runs; false where `deadline` came first. Not inside a
  /// handler.
  bool wait_idle(Clock& clock, MonotonicTime deadline) {
    std::unique_lock lock(state_->mutex);
    return clock.wait_until(lock, state_->changed, deadline,
                            [this] { return state_->ended || (state_->queue.empty() && !state_->running); });
  }

  /// Waits until `count` more items fit in the queue, or it is empty; false where `deadline` came first. Not
  /// inside a handler.
  bool wait_room(Clock& clock, MonotonicTime deadline, std::size_t count) {
    std::unique_lock lock(state_->mutex);
    const State& state = *state_;
    return clock.wait_until(lock, state_->changed, deadline, [&state, count] {
      return state.stopping || state.queue.empty() || state.one_for_all ||
             state.queue.size() + count <= state.max_queued;
    });
  }

  [[nodiscard]] std::size_t queued() const {
    const std::lock_guard lock(state_->mutex);
    return state_->queue.size();
  }
  /// Items that another one stood for.
  [[nodiscard]] std::uint64_t collapsed() const {
    const std::lock_guard lock(state_->mutex);
    return state_->collapsed;
  }
  /// Handlers that threw.
  [[nodiscard]] std::uint64_t failed() const {
    const std::lock_guard lock(state_->mutex);
    return state_->failed;
  }

 private:
  /// Shared with the thread, which outlives the mailbox where that is destroyed inside the handler.
  struct State {
    State(std::size_t max, Handler its_handler, Collapse its_collapse)
        : max_queued(max), handler(std::move(its_handler)), collapse(std::move(its_collapse)) {}

    void push(Item item) {
      if (stopping) return;
      if (!one_for_all && queue.size() < max_queued) {
        queue.push_back(std::move(item));
        return;
      }
      collapsed += one_for_all ? 1 : queue.size() + 1;
      one_for_all = true;
      queue.clear();
      queue.push_back(collapse(item));
    }

    void run() {
      std::unique_lock lock(mutex);
      while (true) {
        changed.wait(lock, [this] { return stopping || !queue.empty(); });
        if (stopping) break;
        const Item item = std::move(queue.front());
        queue.pop_front();
        one_for_all = false;
        running = true;
        lock.unlock();
        bool threw = false;
        try {
          handler(item);
        } catch (...) {  // whatever a subscriber throws, it harms nobody else
          threw = true;
        }
        lock.lock();
        if (threw) ++failed;
        running = false;
        changed.notify_all();
      }
      ended = true;
      changed.notify_all();
    }

    const std::size_t max_queued;
    const Handler handler;
    const Collapse collapse;
    mutable std::mutex mutex;
    std::condition_variable changed;
    std::deque<Item> queue;
    bool one_for_all = false;  ///< the one item in the queue stands for others
    bool running = false;
    bool stopping = false;
    bool ended = false;
    std::uint64_t collapsed = 0;
    std::uint64_t failed = 0;
  };

  const std::shared_ptr<State> state_;
  std::thread thread_;  ///< under the state's mutex
  std::thread::id thread_id_;
};

}  // namespace db4::invalidation
