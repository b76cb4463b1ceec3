#include <db4/clock.hpp>
#include <db4/error.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <optional>
#include <thread>

namespace db4 {
namespace {

using namespace std::chrono_literals;

void until_waiting(const SimulatedClock& clock, std::size_t threads) {
  while (clock.waiting() != threads) std::this_thread::yield();
}

TEST(SimulatedClock, StandsStillUntilItIsMoved) {
  SimulatedClock clock(TimePoint{100s});
  EXPECT_EQ(clock.now(), TimePoint{100s});
  EXPECT_EQ(clock.monotonic(), 0ns);
  clock.advance(90s);
  EXPECT_EQ(clock.now(), TimePoint{190s});
  EXPECT_EQ(clock.coarse_now(), TimePoint{190s});
  EXPECT_EQ(clock.monotonic(), 90s);
}

TEST(SimulatedClock, AddsUpFractionsOfAMicrosecond) {
  SimulatedClock clock(TimePoint{0s});
  for (int n = 0; n < 10; ++n) clock.advance(700ns);
  EXPECT_EQ(clock.now(), TimePoint{7us});
  EXPECT_EQ(clock.monotonic(), 7us);
}

TEST(SimulatedClock, WallTimeMayJumpBackWithoutMovingTheMonotonicClock) {
  SimulatedClock clock(TimePoint{100s});
  clock.advance(10s);
  clock.set_wall_time(TimePoint{50s});
  EXPECT_EQ(clock.now(), TimePoint{50s});
  EXPECT_EQ(clock.monotonic(), 10s);
}

TEST(SimulatedClock, RefusesToGoBack) {
  SimulatedClock clock;
  try {
    clock.advance(-1ns);
    FAIL() << "advance took a negative time";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  }
  EXPECT_EQ(clock.monotonic(), 0ns);
}

TEST(SimulatedClock, WaitReturnsAtOnceWhenReadyOrLate) {
  SimulatedClock clock;
  std::mutex mutex;
  std::condition_variable condition;
  std::unique_lock lock(mutex);
  EXPECT_TRUE(clock.wait_until(lock, condition, MonotonicTime::max(), [] { return true; }));
  EXPECT_FALSE(clock.wait_until(lock, condition, clock.monotonic(), [] { return false; }));
  EXPECT_TRUE(lock.owns_lock());
}

TEST(SimulatedClock, WakesASleeperWhenItsTimeHasComeAndNotBefore) {
  SimulatedClock clock;
  std::atomic<bool> awake = false;
  std::jthread sleeper([&] {
    EXPECT_TRUE(clock.sleep_for(10s));
    EXPECT_GE(clock.monotonic(), 10s);
    awake = true;
  });
  until_waiting(clock, 1);
  clock.advance(9s);
  EXPECT_EQ(clock.waiting(), 1U);
  EXPECT_FALSE(awake);
  clock.advance(1s);
  EXPECT_EQ(clock.waiting(), 0U);
  sleeper.join();
  EXPECT_TRUE(awake);
}

TEST(SimulatedClock, NotifyingTheConditionWakesAWaiterBeforeItsTime) {
  SimulatedClock clock;
  std::mutex mutex;
  std::condition_variable condition;
  bool ready = false;
  std::jthread waiter([&] {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(clock.wait_until(lock, condition, MonotonicTime::max(), [&] { return ready; }));
    EXPECT_TRUE(lock.owns_lock());
  });
  until_waiting(clock, 1);
  {
    const std::lock_guard guard(mutex);
    ready = true;
  }
  condition.notify_one();
  waiter.join();
  EXPECT_EQ(clock.waiting(), 0U);
}

TEST(SimulatedClock, AStopEndsASleep) {
  SimulatedClock clock;
  std::stop_source stop;
  std::jthread sleeper([&] { EXPECT_FALSE(clock.sleep_for(1h, stop.get_token())); });
  until_waiting(clock, 1);
  stop.request_stop();
  sleeper.join();
  EXPECT_FALSE(clock.sleep_for(1h, stop.get_token())) << "stopped before it began";
}

TEST(SimulatedClock, AnEndlessSleepOutlastsEveryAdvance) {
  SimulatedClock clock;
  std::stop_source stop;
  clock.advance(24h);
  std::jthread sleeper([&] { EXPECT_FALSE(clock.sleep_for(MonotonicTime::max(), stop.get_token())); });
  until_waiting(clock, 1);
  clock.advance(24h * 365 * 100);
  EXPECT_EQ(clock.waiting(), 1U);
  stop.request_stop();
}

// Each round moves the clock exactly once, while the threads are somewhere on their way into the wait: were
// one wake-up lost, nothing would come to wake the sleeper and the test would hang. The condition dies with
// the wait, so a clock that still touched it afterwards would be caught by the sanitizers.
TEST(SimulatedClock, LosesNoWakeUpWhileThreadsGoToSleep) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  SimulatedClock clock;
  std::barrier start(kThreads + 1);
  std::barrier finish(kThreads + 1);
  std::vector<std::jthread> threads;
  for (int n = 0; n < kThreads; ++n) {
    threads.emplace_back([&] {
      for (int round = 1; round <= kRounds; ++round) {
        start.arrive_and_wait();
        {
          std::mutex mutex;
          std::condition_variable condition;
          std::unique_lock lock(mutex);
          EXPECT_FALSE(clock.wait_until(lock, condition, round * 1s, [] { return false; }));
        }
        finish.arrive_and_wait();
      }
    });
  }
  for (int round = 1; round <= kRounds; ++round) {
    start.arrive_and_wait();
    for (int spin = 0; spin < round % 7; ++spin) std::this_thread::yield();
    clock.advance(1s);
    finish.arrive_and_wait();
  }
}

// advance() is held up at the first waiter while the second, already on its list, leaves for another reason.
// From then on the second's mutex and condition may be gone; here the mutex is locked instead, so that a
// clock that still touched it would hang.
TEST(SimulatedClock, LeavesAWaiterAloneOnceItReturned) {
  struct Place {
    std::mutex mutex;
    std::condition_variable condition;
    bool ready = false;
  };
  SimulatedClock clock;
  Place first;
  Place second;
  const auto wait = [&clock](Place& place) {
    std::unique_lock lock(place.mutex);
    clock.wait_until(lock, place.condition, 1s, [&] { return place.ready; });
  };
  std::jthread first_waiter([&] { wait(first); });
  until_waiting(clock, 1);
  std::jthread second_waiter([&] { wait(second); });
  until_waiting(clock, 2);

  std::unique_lock holds_up(first.mutex);
  std::jthread mover([&] { clock.advance(1s); });
  until_waiting(clock, 0);
  {
    const std::lock_guard guard(second.mutex);
    second.ready = true;
  }
  second.condition.notify_all();
  second_waiter.join();
  const std::lock_guard gone(second.mutex);
  holds_up.unlock();
  mover.join();
}

// Time and notifications come from two threads at once, to waiters that share one mutex and one condition:
// no order of locks may end in a deadlock, and every token is taken exactly once.
TEST(SimulatedClock, WaitersShareAConditionWhileTimePasses) {
  constexpr int kTokens = 5000;
  SimulatedClock clock;
  std::mutex mutex;
  std::condition_variable condition;
  int tokens = 0;
  int taken = 0;
  bool done = false;
  const auto consume = [&] {
    std::unique_lock lock(mutex);
    while (true) {
      clock.wait_until(lock, condition, clock.monotonic() + 3ms, [&] { return tokens > 0 || done; });
      if (tokens > 0) {
        --tokens;
        ++taken;
      } else if (done) {
        return;
      }
    }
  };
  std::jthread first(consume);
  std::jthread second(consume);
  std::jthread time([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) clock.advance(1ms);
  });
  for (int n = 0; n < kTokens; ++n) {
    {
      const std::lock_guard guard(mutex);
      ++tokens;
    }
    condition.notify_one();
  }
  {
    const std::lock_guard guard(mutex);
    done = true;
  }
  condition.notify_all();
  first.join();
  second.join();
  time.request_stop();
  EXPECT_EQ(taken, kTokens);
}

TEST(SystemClock, WaitEndsWithTheDeadlineOrWithTheNotification) {
  const auto clock = system_clock();
  std::mutex mutex;
  std::condition_variable condition;
  bool ready = false;
  {
    std::unique_lock lock(mutex);
    EXPECT_FALSE(clock->wait_until(lock, condition, clock->monotonic(), [] { return false; }));
    const MonotonicTime deadline = clock->monotonic() + 1ms;
    EXPECT_FALSE(clock->wait_until(lock, condition, deadline, [] { return false; }));
    EXPECT_GE(clock->monotonic(), deadline);
  }
  std::jthread waker([&] {
    const std::lock_guard guard(mutex);
    ready = true;
    condition.notify_one();
  });
  std::unique_lock lock(mutex);
  EXPECT_TRUE(clock->wait_until(lock, condition, MonotonicTime::max(), [&] { return ready; }));
}

TEST(SystemClock, SleepEndsWithTimeOrWithAStop) {
  const auto clock = system_clock();
  const MonotonicTime before = clock->monotonic();
  EXPECT_TRUE(clock->sleep_for(1ms));
  EXPECT_GE(clock->monotonic() - before, 1ms);

  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_FALSE(clock->sleep_for(MonotonicTime::max(), stop.get_token()));
}

TEST(SystemClock, CoarseTimeIsTheWallTimeOfAMomentAgo) {
  const auto clock = system_clock();
  const TimePoint coarse = clock->coarse_now();
  const TimePoint exact = clock->now();
  EXPECT_LE(coarse, exact);
  EXPECT_LT(exact - coarse, 1h);
}

}  // namespace
}  // namespace db4
