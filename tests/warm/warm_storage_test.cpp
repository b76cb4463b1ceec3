// The warm tier over a cache: times, refreshes, changes that race with them, failing backends.

#include "base/thread_pool.hpp"
#include "warm/warm_caches.hpp"

#include <db4/error.hpp>
#include <db4/warm_storage.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <deque>
#include <latch>
#include <set>
#include <thread>

namespace db4::testing {
namespace {

std::shared_ptr<const std::string> text(std::string record) {
  return std::make_shared<const std::string>(std::move(record));
}

/// A loader's answer: the warm tier sets the times.
WarmEntry loaded(Version version, std::string record) {
  return {.version = version, .fresh_until = {}, .stale_until = {}, .record = text(std::move(record))};
}

class WarmStorageTest : public ::testing::Test {
 protected:
  static constexpr WarmStorage::Options kOptions{
      .ttl = 60s, .stale_while_revalidate = 30s, .lease = 10s, .jitter = 0.0};

  std::unique_ptr<WarmStorage> make(WarmStorage::Options options = kOptions) {
    return std::make_unique<WarmStorage>(warm::make_memory_warm_cache(1 << 20), clock_, options,
                                         [this](std::function<void()> task) {
                                           const std::lock_guard lock(tasks_mutex_);
                                           tasks_.push_back(std::move(task));
                                           return true;
                                         });
  }
  std::string get(Version version, const WarmStorage::Loader& refresh = {}) {
    const auto hit = storage_->get("key", version, refresh);
    if (!hit) return "(miss)";
    return (hit->freshness == Freshness::stale ? "stale " : "") + *hit->record;
  }
  void run_next() {
    std::function<void()> task;
    {
      const std::lock_guard lock(tasks_mutex_);
      ASSERT_FALSE(tasks_.empty());
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
  /// A copy of version 1 that has just become stale.
  void make_stale() {
    storage_->put("key", 1, text("old"));
    clock_->advance(60s);
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::mutex tasks_mutex_;
  std::deque<std::function<void()>> tasks_;
  std::unique_ptr<WarmStorage> storage_ = make();
};

TEST_F(WarmStorageTest, CopiesAreFreshThenStaleThenGone) {
  storage_->put("key", 1, text("record"));
  EXPECT_EQ(get(1), "record");
  clock_->advance(60s - 1us);
  EXPECT_EQ(get(1), "record");
  EXPECT_TRUE(storage_->contains("key", 1));
  clock_->advance(1us);
  EXPECT_EQ(get(1), "stale record");
  clock_->advance(30s - 1us);
  EXPECT_EQ(get(1), "stale record");
  EXPECT_TRUE(storage_->contains("key", 1));
  clock_->advance(1us);
  EXPECT_EQ(get(1), "(miss)");
  EXPECT_FALSE(storage_->contains("key", 1));
  const WarmStats stats = storage_->stats();
  EXPECT_EQ(stats.hits, 2U);
  EXPECT_EQ(stats.stale_hits, 2U);
  EXPECT_EQ(stats.misses, 1U);
  EXPECT_EQ(stats.expired, 1U);
}

TEST_F(WarmStorageTest, OnlyTheVersionThatIsAskedForIsServed) {
  storage_->put("key", 2, text("two"));
  EXPECT_EQ(get(1), "(miss)");
  EXPECT_EQ(get(3), "(miss)");
  EXPECT_EQ(get(2), "two");
  EXPECT_FALSE(storage_->contains("key", 1));
  EXPECT_EQ(storage_->stats().expired, 0U);
}

TEST_F(WarmStorageTest, ACopyFromBeforeTheClockWasSetBackIsAMiss) {
  storage_->put("key", 1, text("record"));
  clock_->set_wall_time(clock_->now() - 24h);
  EXPECT_EQ(get(1), "(miss)");
}

TEST_F(WarmStorageTest, AStaleCopyIsRefreshed) {
  make_stale();
  EXPECT_EQ(get(1, [] { return loaded(1, "new"); }), "stale old");
  run_next();
  EXPECT_EQ(get(1), "new");
  clock_->advance(60s - 1us);
  EXPECT_EQ(get(1), "new");
  EXPECT_EQ(storage_->stats().refreshes, 1U);
  EXPECT_EQ(storage_->stats().failed_refreshes, 0U);
}

TEST_F(WarmStorageTest, FreshCopiesAndMissesStartNoRefresh) {
  EXPECT_EQ(get(1, [] { return loaded(1, "new"); }), "(miss)");
  storage_->put("key", 1, text("old"));
  EXPECT_EQ(get(1, [] { return loaded(1, "new"); }), "old");
  EXPECT_TRUE(tasks_.empty());
}

TEST_F(WarmStorageTest, AHundredThreadsStartOneRefresh) {
  make_stale();
  std::barrier start(100);
  std::atomic<int> stale = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 100; ++i) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      if (get(1, [] { return loaded(1, "new"); }) == "stale old") ++stale;
    });
  }
  threads.clear();
  EXPECT_EQ(stale, 100);
  ASSERT_EQ(tasks_.size(), 1U);
  run_next();
  EXPECT_EQ(get(1), "new");
}

TEST_F(WarmStorageTest, ARefreshThatHangsLosesItsTurn) {
  make_stale();
  const auto hangs = [&]() -> std::optional<WarmEntry> {
    clock_->advance(10s - 1ns);
    EXPECT_EQ(get(1, [] { return loaded(1, "second"); }), "stale old");
    EXPECT_TRUE(tasks_.empty()) << "the lease still holds";
    clock_->advance(1ns);
    EXPECT_EQ(get(1, [] { return loaded(1, "second"); }), "stale old");
    run_next();
    EXPECT_EQ(get(1), "second");
    return loaded(1, "first, too late");
  };
  (void)get(1, hangs);
  run_next();
  EXPECT_EQ(get(1), "second");
}

TEST_F(WarmStorageTest, ALateRefreshDoesNotEndTheTurnOfTheNext) {
  make_stale();
  const auto hangs = [&]() -> std::optional<WarmEntry> {
    clock_->advance(10s);
    (void)get(1, [] { return loaded(1, "second"); });
    return loaded(1, "first, too late");
  };
  (void)get(1, hangs);
  run_next();
  EXPECT_EQ(get(1, [] { return loaded(1, "third"); }), "stale old");
  EXPECT_EQ(tasks_.size(), 1U) << "the second still has its turn";
  run_next();
  EXPECT_EQ(get(1), "second");
}

TEST_F(WarmStorageTest, RemoveDuringARefreshWins) {
  make_stale();
  (void)get(1, [&] {
    storage_->remove("key");
    return loaded(1, "new");
  });
  run_next();
  EXPECT_EQ(get(1), "(miss)");
}

TEST_F(WarmStorageTest, PutDuringARefreshWins) {
  make_stale();
  (void)get(1, [&] {
    storage_->put("key", 1, text("written meanwhile"));
    return loaded(1, "new");
  });
  run_next();
  EXPECT_EQ(get(1), "written meanwhile");
}

TEST_F(WarmStorageTest, ARemoveBetweenAskingAndRunningWins) {
  make_stale();
  (void)get(1, [] { return loaded(1, "new"); });
  storage_->remove("key");
  run_next();
  EXPECT_EQ(get(1), "(miss)");
}

TEST_F(WarmStorageTest, ARefreshThatFindsNothingRemovesTheCopy) {
  make_stale();
  (void)get(1, [] { return std::nullopt; });
  run_next();
  EXPECT_EQ(get(1), "(miss)");
}

TEST_F(WarmStorageTest, AFailedRefreshIsCountedAndAnotherMayTryAtOnce) {
  make_stale();
  (void)get(1,
            []() -> std::optional<WarmEntry> { throw Error(ErrorCode::unavailable, "no answer", "repeat"); });
  run_next();
  EXPECT_EQ(get(1, [] { return loaded(0, "older than asked"); }), "stale old");
  run_next();
  EXPECT_EQ(storage_->stats().failed_refreshes, 2U);
  EXPECT_EQ(get(1, [] { return loaded(1, "new"); }), "stale old");
  run_next();
  EXPECT_EQ(get(1), "new");
}

TEST_F(WarmStorageTest, ATaskThatIsRefusedOrDroppedEndsItsTurn) {
  bool take = false;
  WarmStorage storage(warm::make_memory_warm_cache(1 << 20), clock_, kOptions,
                      [&](const auto&) { return take; });
  storage.put("key", 1, text("old"));
  clock_->advance(60s);
  for (int i = 0; i < 3; ++i) {
    take = i != 0;  // taken, and dropped unrun
    EXPECT_TRUE(storage.get("key", 1, [] { return loaded(1, "new"); }));
  }
  EXPECT_EQ(storage.stats().refreshes, 0U);
  storage.close();
}

TEST_F(WarmStorageTest, PutIfUnchangedIsRefusedAfterAChange) {
  const std::uint64_t mark = storage_->begin_fill("key");
  EXPECT_TRUE(storage_->put_if_unchanged("key", mark, 1, text("one")));
  EXPECT_EQ(get(1), "one");
  storage_->remove("key");
  EXPECT_FALSE(storage_->put_if_unchanged("key", mark, 1, text("one")));
  EXPECT_EQ(get(1), "(miss)");
  const std::uint64_t second = storage_->begin_fill("key");
  storage_->put("key", 2, text("two"));
  EXPECT_FALSE(storage_->put_if_unchanged("key", second, 3, text("three")));
  const std::uint64_t third = storage_->begin_fill("key");
  storage_->clear();
  EXPECT_FALSE(storage_->put_if_unchanged("key", third, 3, text("three")));
  EXPECT_TRUE(storage_->put_if_unchanged("key", storage_->begin_fill("key"), 3, text("three")));
}

TEST_F(WarmStorageTest, NoFillOutlivesARemoveThatCameAfterItsMark) {
  for (int round = 0; round < 2000; ++round) {
    const std::uint64_t mark = storage_->begin_fill("key");
    std::barrier start(2);
    std::jthread remover([&] {
      start.arrive_and_wait();
      storage_->remove("key");
    });
    start.arrive_and_wait();
    storage_->put_if_unchanged("key", mark, 1, text("old"));
    remover.join();
    ASSERT_EQ(get(1), "(miss)");
  }
}

TEST_F(WarmStorageTest, JitterShortensTtlsDifferently) {
  storage_ = make({.ttl = 1000s, .stale_while_revalidate = 0s, .lease = 10s, .jitter = 0.2});
  for (int i = 0; i < 200; ++i) storage_->put("key " + std::to_string(i), 1, text("record"));
  const auto held = [&] {
    int count = 0;
    for (int i = 0; i < 200; ++i) count += storage_->contains("key " + std::to_string(i), 1) ? 1 : 0;
    return count;
  };
  clock_->advance(799s);
  EXPECT_EQ(held(), 200);
  clock_->advance(101s);
  EXPECT_GT(held(), 60);
  EXPECT_LT(held(), 140);
  clock_->advance(100s);
  EXPECT_EQ(held(), 0);
}

TEST_F(WarmStorageTest, ACacheThatKeepsNoLeasesIsFilledAsEver) {
  storage_ = make({.ttl = 60s, .shared = true});
  EXPECT_FALSE(storage_->shares_fills(0));
  EXPECT_FALSE(storage_->try_lease("key").held());
  storage_->put("key", 1, text("record"));
  WarmStorage::Turn turn = storage_->await_turn("key", 1, MonotonicTime::max(), {});
  EXPECT_FALSE(turn.hit);
  EXPECT_FALSE(turn.lease.held());
  EXPECT_TRUE(
      storage_->put_leased(std::move(turn.lease), "key", storage_->begin_fill("key"), 2, text("two")));
  EXPECT_EQ(get(2), "two");
}

/// A backend that is down.
class FailingCache final : public WarmCache {
 public:
  std::optional<WarmEntry> get(std::string_view) override { fail(); }
  void put(std::string_view, const WarmEntry&) override { fail(); }
  void remove(std::string_view) override { fail(); }
  void clear() override { fail(); }
  WarmCacheStats stats() const override { fail(); }
  bool contains(std::string_view, Version, TimePoint) override { fail(); }
  void close() override { fail(); }

 private:
  [[noreturn]] static void fail() { throw Error(ErrorCode::unavailable, "the cache is down", "start it"); }
};

TEST_F(WarmStorageTest, AFailingBackendIsCountedAndPassedBy) {
  WarmStorage storage(std::make_shared<FailingCache>(), clock_, kOptions, {});
  EXPECT_FALSE(storage.get("key", 1));
  storage.put("key", 1, text("record"));
  EXPECT_FALSE(storage.put_if_unchanged("key", storage.begin_fill("key"), 1, text("record")));
  storage.remove("key");
  storage.clear();
  EXPECT_FALSE(storage.contains("key", 1));
  EXPECT_EQ(storage.stats().misses, 1U);
  EXPECT_GE(storage.stats().cache_errors, 6U);
  storage.close();
}

TEST_F(WarmStorageTest, CloseWaitsForARefreshThatRunsAndStartsNoMore) {
  ThreadPool pool({.threads = 1, .max_queued = 4});
  WarmStorage storage(warm::make_memory_warm_cache(1 << 20), clock_, kOptions,
                      [&](std::function<void()> task) { return pool.try_submit(std::move(task)); });
  storage.put("key", 1, text("old"));
  clock_->advance(60s);
  std::latch running(1);
  std::latch release(1);
  std::atomic<bool> finished = false;
  (void)storage.get("key", 1, [&]() -> std::optional<WarmEntry> {
    running.count_down();
    release.wait();
    finished = true;
    return loaded(1, "new");
  });
  running.wait();
  std::atomic<bool> finished_at_close = false;
  std::latch closing(1);
  std::jthread closer([&] {
    closing.count_down();
    storage.close();
    finished_at_close = finished.load();
  });
  closing.wait();
  release.count_down();
  closer.join();
  EXPECT_TRUE(finished_at_close);
  EXPECT_FALSE(storage.get("key", 1, [] { return loaded(1, "new"); }));
  EXPECT_EQ(storage.stats().refreshes, 1U);
  pool.stop();
}

TEST_F(WarmStorageTest, OptionsThatMakeNoSenseAreRefused) {
  for (const WarmStorage::Options& options :
       {WarmStorage::Options{.ttl = 0s}, WarmStorage::Options{.stale_while_revalidate = -1s},
        WarmStorage::Options{.lease = 0s}, WarmStorage::Options{.fill_lease = 0s},
        WarmStorage::Options{.jitter = 1.0}, WarmStorage::Options{.jitter = -0.1}}) {
    EXPECT_THROW(make(options), Error);
  }
}

}  // namespace
}  // namespace db4::testing
