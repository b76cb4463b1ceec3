#pragma once
// Publisher: sends events to a channel from a bounded queue, in one thread, so that no write ever waits for
// it.

#include <db4/broadcast_channel.hpp>
#include <db4/clock.hpp>
#include <db4/random.hpp>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace db4::invalidation {

/// Thread-safe. What the channel does not take is tried again after a pause with full jitter: drawn between 0
/// and a bound that doubles ("Exponential Backoff And Jitter", Brooker, AWS Architecture Blog, 2015). It is
/// never given up; a queue that would grow past its bound becomes one flush that stands for all of it.
class Publisher {
 public:
  struct Options {
    std::string node_id;
    std::uint64_t epoch = 0;
    std::size_t max_queued = 1;
    std::chrono::milliseconds heartbeat_interval{0};  ///< 0: never
    std::chrono::milliseconds retry_base_delay{1};
    std::chrono::milliseconds retry_max_delay{1};
  };
  struct Stats {
    std::uint64_t sent = 0;
    std::uint64_t heartbeats = 0;
    std::uint64_t failures = 0;
    std::uint64_t collapsed = 0;
    std::uint64_t queued = 0;
  };

  /// `last_sequence`: of the events before, which are not sent. `on_beat` runs in the thread once in every
  /// heartbeat_interval, whether the channel takes anything or not. Throws resource_exhausted.
  Publisher(std::shared_ptr<BroadcastChannel> channel, std::shared_ptr<Clock> clock,
            std::shared_ptr<RandomSource> random, Options options, std::uint64_t last_sequence,
            std::function<void()> on_beat);
  ~Publisher();  ///< as stop()
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Queues an event, in the order of their numbers; never waits for the channel.
  void enqueue(const InvalidationEvent& event);
  /// Waits until the channel has taken everything; false where `deadline` came first.
  bool wait_sent(MonotonicTime deadline);
  /// Tries once more to send what waits, says farewell, ends the thread. May be called twice. Not in on_beat.
  void stop();
  [[nodiscard]] Stats stats() const;

 private:
  using Lock = std::unique_lock<std::mutex>;
  void run();
  void beat(Lock& lock);
  /// Sends a batch from the front, with the lock released meanwhile; whether the channel took any of it.
  bool send_batch(Lock& lock);
  bool send_alone(Lock& lock, InvalidationMessageKind kind);
  [[nodiscard]] std::size_t taken_of(const std::vector<std::string>& messages) noexcept;
  [[nodiscard]] MonotonicTime pause() noexcept;

  const std::shared_ptr<BroadcastChannel> channel_;
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;
  const Options options_;
  const std::function<void()> on_beat_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<InvalidationEvent> queue_;
  std::size_t in_flight_ = 0;  ///< at the front of the queue, with the channel now
  bool one_for_all_ = false;   ///< the last in the queue is a flush that stands for others
  bool stopping_ = false;
  std::uint64_t last_sent_;
  std::uint64_t failures_in_row_ = 0;
  MonotonicTime next_beat_;
  Stats stats_;
  std::once_flag joined_;
  std::thread thread_;
};

}  // namespace db4::invalidation
