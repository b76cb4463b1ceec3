#include <db4/clock.hpp>
#include <db4/error.hpp>

#include <algorithm>
#include <ctime>

namespace db4 {

namespace {

MonotonicTime saturating_add(MonotonicTime from, MonotonicTime duration) {
  if (duration > MonotonicTime::max() - from) return MonotonicTime::max();
  return from + duration;
}

class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  }

  // Reads a value that the kernel sets on its tick (1 to 10 ms): several times cheaper than now().
  [[nodiscard]] TimePoint coarse_now() const override {
    std::timespec time{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &time);
    return TimePoint{std::chrono::seconds{time.tv_sec} +
                     std::chrono::floor<std::chrono::microseconds>(std::chrono::nanoseconds{time.tv_nsec})};
  }

  [[nodiscard]] MonotonicTime monotonic() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }

  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  MonotonicTime deadline, const std::function<bool()>& ready) override {
    if (deadline == MonotonicTime::max()) {
      condition.wait(lock, ready);
      return true;
    }
    return condition.wait_until(lock, std::chrono::steady_clock::time_point{deadline}, ready);
  }
};

}  // namespace

bool Clock::sleep_for(MonotonicTime duration, std::stop_token stop) {
  // The order matters: a callback may run while it is being made, so it comes before the lock; and its
  // destructor waits for a callback that runs, so the lock is released first.
  std::mutex mutex;
  std::condition_variable condition;
  const std::stop_callback wake(stop, [&] {
    const std::lock_guard guard(mutex);
    condition.notify_all();
  });
  std::unique_lock lock(mutex);
  return !wait_until(lock, condition, saturating_add(monotonic(), duration),
                     [&] { return stop.stop_requested(); });
}

std::shared_ptr<Clock> system_clock() { return std::make_shared<SystemClock>(); }

// One wait. Lock order: `mutex` before the user's mutex, and SimulatedClock::mutex_ last of all.
//
// A wake-up cannot be lost: whoever moves the clock sets the time first, then passes through the user's
// mutex. A waiter that held it while the time was set either reads the clock afterwards, and sees the new
// time, or has read it before, and then sleeps by the time the mutex is free, so the notification reaches it.
struct SimulatedClock::Waiter {
  Waiter(std::mutex& the_users_mutex, std::condition_variable& the_users_condition, MonotonicTime until)
      : user_mutex(the_users_mutex), user_condition(the_users_condition), deadline(until) {}

  void wake() {
    const std::lock_guard guard(mutex);
    if (!alive) return;
    { const std::lock_guard pass(user_mutex); }
    user_condition.notify_all();
  }

  // Once this returned nobody touches the user's mutex or condition any more: they may be destroyed.
  void retire() {
    const std::lock_guard guard(mutex);
    alive = false;
  }

  std::mutex mutex;
  bool alive = true;
  std::mutex& user_mutex;
  std::condition_variable& user_condition;
  const MonotonicTime deadline;
};

SimulatedClock::SimulatedClock(TimePoint start) : wall_(start) {}

TimePoint SimulatedClock::now() const {
  const std::lock_guard guard(mutex_);
  return wall_;
}

MonotonicTime SimulatedClock::monotonic() const {
  const std::lock_guard guard(mutex_);
  return monotonic_;
}

bool SimulatedClock::wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                                MonotonicTime deadline, const std::function<bool()>& ready) {
  while (true) {
    if (ready()) return true;
    if (monotonic() >= deadline) return false;

    const auto waiter = std::make_shared<Waiter>(*lock.mutex(), condition, deadline);
    {
      const std::lock_guard guard(mutex_);
      waiters_.push_back(waiter);
    }
    while (monotonic() < deadline && !ready()) condition.wait(lock);

    // A thread in wake() holds the waiter's mutex and wants the user's: let go of the user's before taking
    // the waiter's. What was ready may be gone when the lock is back, hence the outer loop.
    lock.unlock();
    {
      const std::lock_guard guard(mutex_);
      std::erase(waiters_, waiter);
    }
    waiter->retire();
    lock.lock();
  }
}

void SimulatedClock::advance(std::chrono::nanoseconds by) {
  if (by.count() < 0) {
    throw Error(ErrorCode::invalid_argument, "a simulated clock was to be advanced by a negative time",
                "use set_wall_time to turn the wall clock back; the monotonic clock never goes back");
  }
  std::vector<std::shared_ptr<Waiter>> due;
  {
    const std::lock_guard guard(mutex_);
    monotonic_ = saturating_add(monotonic_, by);
    const std::chrono::nanoseconds wall_step = wall_remainder_ + by;
    const auto whole = std::chrono::floor<std::chrono::microseconds>(wall_step);
    wall_ += whole;
    wall_remainder_ = wall_step - whole;
    std::ranges::copy_if(waiters_, std::back_inserter(due),
                         [this](const auto& waiter) { return waiter->deadline <= monotonic_; });
  }
  for (const auto& waiter : due) waiter->wake();
}

void SimulatedClock::set_wall_time(TimePoint to) {
  const std::lock_guard guard(mutex_);
  wall_ = to;
  wall_remainder_ = {};
}

// Those whose time has come are on their way out, and no longer counted.
std::size_t SimulatedClock::waiting() const {
  const std::lock_guard guard(mutex_);
  return static_cast<std::size_t>(
      std::ranges::count_if(waiters_, [this](const auto& waiter) { return waiter->deadline > monotonic_; }));
}

}  // namespace db4
