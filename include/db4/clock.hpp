#pragma once
// Time, injected: every part of db4 asks a Clock, so that a month of traffic runs in a second of a test.

#include <db4/types.hpp>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

namespace db4 {

/// Wall time, monotonic time and waiting. Thread-safe. Derive from it to bring a clock of your own.
class DB4_API Clock {
 public:
  virtual ~Clock() = default;

  /// Wall time. May jump; never used for deadlines.
  [[nodiscard]] virtual TimePoint now() const = 0;

  /// Wall time that may lag by some milliseconds and costs next to nothing: for stamping accesses.
  [[nodiscard]] virtual TimePoint coarse_now() const { return now(); }

  /// Monotonic time, for deadlines and latencies.
  [[nodiscard]] virtual MonotonicTime monotonic() const = 0;

  /// Waits on `condition` (with `lock` held, as std::condition_variable does) until `ready()` holds or the
  /// monotonic clock reaches `deadline`. Returns ready(). Whoever makes ready() true notifies `condition` as
  /// usual. `ready` runs with `lock` held and may run any number of times; `lock` may be released and taken
  /// again in between. `MonotonicTime::max()` waits without a deadline.
  virtual bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                          MonotonicTime deadline, const std::function<bool()>& ready) = 0;

  /// Sleeps for `duration` or until `stop` is requested; returns false when it was stopped.
  bool sleep_for(MonotonicTime duration, std::stop_token stop = {});
};

/// The machine's clocks.
DB4_API std::shared_ptr<Clock> system_clock();

/// A clock that stands still until it is moved; moving it wakes every sleeper whose time has come. For tests
/// and simulations. Thread-safe.
///
///     auto clock = std::make_shared<db4::SimulatedClock>();
///     db4::TieredStore store(config, {.clock = clock});
///     clock->advance(24h);
class DB4_API SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(TimePoint start = TimePoint{std::chrono::seconds{1'700'000'000}});

  [[nodiscard]] TimePoint now() const override;
  [[nodiscard]] MonotonicTime monotonic() const override;
  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  MonotonicTime deadline, const std::function<bool()>& ready) override;

  /// Moves both clocks forward; `by` must not be negative (throws invalid_argument).
  void advance(std::chrono::nanoseconds by);

  /// Sets the wall clock alone, backwards too: what NTP or an operator may do to a machine.
  void set_wall_time(TimePoint to);

  /// How many threads wait in wait_until or sleep_for now; lets a test advance once everybody is asleep.
  [[nodiscard]] std::size_t waiting() const;

 private:
  struct DB4_INTERNAL Waiter;
  mutable std::mutex mutex_;
  TimePoint wall_;
  std::chrono::nanoseconds wall_remainder_{0};
  MonotonicTime monotonic_{0};
  std::vector<std::shared_ptr<Waiter>> waiters_;
};

}  // namespace db4
