#pragma once
// HastyClock: a simulated clock for tests in which whoever waits alone would wait for ever.

#include <db4/clock.hpp>

namespace db4::testing {

/// Whoever waits until a time gets it at once: the clock moves there. Who waits without a deadline waits for
/// others, as ever. Thread-safe; deterministic with one thread.
class HastyClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return clock_.now(); }
  [[nodiscard]] MonotonicTime monotonic() const override { return clock_.monotonic(); }
  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  MonotonicTime deadline, const std::function<bool()>& ready) override {
    if (ready()) return true;
    if (deadline == MonotonicTime::max()) return clock_.wait_until(lock, condition, deadline, ready);
    lock.unlock();
    if (const MonotonicTime now = clock_.monotonic(); deadline > now) clock_.advance(deadline - now);
    lock.lock();
    return ready();
  }
  void advance(std::chrono::nanoseconds by) { clock_.advance(by); }

 private:
  SimulatedClock clock_;
};

}  // namespace db4::testing
