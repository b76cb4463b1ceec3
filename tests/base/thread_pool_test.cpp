#include "base/thread_pool.hpp"

#include <db4/error.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <stdexcept>

namespace db4 {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  constexpr std::size_t kTasks = 5000;
  std::vector<std::atomic<int>> runs(kTasks);
  ThreadPool pool({.threads = 3, .max_queued = 16});
  for (std::size_t n = 0; n < kTasks; ++n) {
    EXPECT_TRUE(pool.submit([&runs, n] { ++runs[n]; }));
    EXPECT_LE(pool.queued(), 16U);
  }
  pool.drain();
  for (const auto& count : runs) EXPECT_EQ(count, 1);
}

TEST(ThreadPool, RefusesToBeMadeWithoutThreadsOrQueue) {
  EXPECT_THROW(ThreadPool({.threads = 0}), Error);
  EXPECT_THROW(ThreadPool({.max_queued = 0}), Error);
}

TEST(ThreadPool, TakesNoMoreThanItsQueueHolds) {
  std::latch begun(1);
  std::latch go(1);
  std::atomic<int> ran = 0;
  ThreadPool pool({.threads = 1, .max_queued = 2});
  pool.submit([&] {
    begun.count_down();
    go.wait();
  });
  begun.wait();
  EXPECT_TRUE(pool.try_submit([&] { ++ran; }));
  EXPECT_TRUE(pool.try_submit([&] { ++ran; }));
  EXPECT_FALSE(pool.try_submit([&] { ++ran; }));
  EXPECT_EQ(pool.queued(), 2U);

  std::atomic<bool> taken = false;
  std::jthread submitter([&] {
    EXPECT_TRUE(pool.submit([&] { ++ran; }));
    taken = true;
  });
  EXPECT_FALSE(taken) << "submit did not wait for room";
  go.count_down();
  submitter.join();
  pool.drain();
  EXPECT_EQ(ran, 3);
}

TEST(ThreadPool, DrainWaitsForTheTaskThatRuns) {
  ThreadPool pool({.threads = 2, .max_queued = 8});
  for (int round = 0; round < 200; ++round) {
    std::atomic<bool> finished = false;
    pool.submit([&] {
      std::this_thread::yield();
      finished = true;
    });
    pool.drain();
    EXPECT_TRUE(finished);
  }
}

// The last owner of something may call the pool as it goes: that must neither deadlock nor come after
// drain().
TEST(ThreadPool, ReleasesWhatATaskHoldsBeforeDrainReturnsAndWithoutItsLock) {
  ThreadPool pool({.threads = 1, .max_queued = 8});
  std::atomic<int> released = 0;
  const auto release = [&](const int* value) {
    delete value;
    released += 1 + static_cast<int>(pool.queued());
  };
  pool.submit([held = std::shared_ptr<int>(new int(1), release)] { EXPECT_EQ(*held, 1); });
  pool.drain();
  EXPECT_EQ(released, 1);
}

TEST(ThreadPool, StopRunsWhatIsQueuedAndTakesNothingNew) {
  std::atomic<int> ran = 0;
  ThreadPool pool({.threads = 1, .max_queued = 100});
  for (int n = 0; n < 100; ++n) pool.submit([&] { ++ran; });
  pool.stop();
  EXPECT_EQ(ran, 100);
  EXPECT_FALSE(pool.submit([&] { ++ran; }));
  EXPECT_FALSE(pool.try_submit([&] { ++ran; }));
  pool.stop();
  EXPECT_EQ(ran, 100);
}

TEST(ThreadPool, StopReleasesWhoeverWaitsForRoom) {
  std::latch begun(1);
  std::latch go(1);
  ThreadPool pool({.threads = 1, .max_queued = 1});
  pool.submit([&] {
    begun.count_down();
    go.wait();
  });
  begun.wait();
  pool.submit([] {});
  std::jthread submitter([&] { EXPECT_FALSE(pool.submit([] { FAIL() << "ran a refused task"; })); });
  std::jthread stopper([&] { pool.stop(); });
  submitter.join();  // while the pool's thread is held and the queue is full
  go.count_down();
}

// What was accepted runs, what was refused does not, whenever the stop falls among the submissions.
TEST(ThreadPool, StopsWhileOthersSubmit) {
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> accepted = 0;
    std::atomic<int> ran = 0;
    std::latch started(3);
    ThreadPool pool({.threads = 2, .max_queued = 4});
    std::vector<std::jthread> submitters;
    for (int n = 0; n < 3; ++n) {
      submitters.emplace_back([&] {
        started.count_down();
        while (pool.submit([&] { ++ran; })) ++accepted;
      });
    }
    started.wait();
    std::jthread other_stopper([&] { pool.stop(); });
    pool.stop();
    submitters.clear();
    EXPECT_EQ(ran, accepted);
  }
}

TEST(ThreadPool, CountsATaskThatThrowsAndGoesOn) {
  std::atomic<int> ran = 0;
  ThreadPool pool({.threads = 1, .max_queued = 8});
  pool.submit([] { throw std::runtime_error("no"); });
  pool.submit([&] { ++ran; });
  pool.drain();
  EXPECT_EQ(pool.failed_tasks(), 1U);
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace db4
