#pragma once
// A clock whose wall time is another one's, as far as that is known: the local clock and a difference.

#include <db4/clock.hpp>

#include <atomic>

namespace db4 {

/// Thread-safe. Monotonic time and waiting are the local clock's.
class OffsetClock final : public Clock {
 public:
  explicit OffsetClock(std::shared_ptr<Clock> local) : local_(std::move(local)) {}

  /// The other clock shows `time` at some moment between two of the local monotonic clock. What lies within
  /// the uncertainty of that, or within kTolerance, changes nothing: time that jumps to and fro is worse than
  /// time that is a little off.
  void adopt(TimePoint time, MonotonicTime before, MonotonicTime after) {
    using std::chrono::microseconds;
    const auto age = std::chrono::duration_cast<microseconds>((after - before) / 2);
    const microseconds measured = time + age - local_->now();
    const microseconds difference = measured - microseconds{offset_us_.load(std::memory_order_relaxed)};
    if (std::chrono::abs(difference) > std::max(kTolerance, 2 * age)) offset_us_ = measured.count();
  }
  [[nodiscard]] std::chrono::microseconds offset() const noexcept {
    return std::chrono::microseconds{offset_us_.load(std::memory_order_relaxed)};
  }

  [[nodiscard]] TimePoint now() const override { return local_->now() + offset(); }
  [[nodiscard]] TimePoint coarse_now() const override { return local_->coarse_now() + offset(); }
  [[nodiscard]] MonotonicTime monotonic() const override { return local_->monotonic(); }
  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  MonotonicTime deadline, const std::function<bool()>& ready) override {
    return local_->wait_until(lock, condition, deadline, ready);
  }

 private:
  static constexpr std::chrono::microseconds kTolerance = std::chrono::milliseconds{100};

  const std::shared_ptr<Clock> local_;
  std::atomic<std::int64_t> offset_us_{0};
};

}  // namespace db4
