#include <db4/access_tracker.hpp>
#include <db4/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <thread>

namespace db4 {
namespace {

class AccessTracker : public testing::Test {
 protected:
  [[nodiscard]] std::unique_ptr<AccessPatternTracker> make(AccessPatternTrackerConfig config = {}) const {
    return std::make_unique<AccessPatternTracker>(config, clock_);
  }
  static void touch(AccessPatternTracker& tracker, std::string_view key, int times) {
    for (int i = 0; i < times; ++i) tracker.record_access(key);
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
};

ErrorCode code_of(const std::function<void()>& call, std::string_view message = {}) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::internal;
}

// ---- configuration and keys

TEST_F(AccessTracker, RefusesEmptyWindowsByName) {
  const auto refused = [this](AccessPatternTrackerConfig config, std::string_view field) {
    EXPECT_EQ(code_of([&] { (void)make(config); }, field), ErrorCode::invalid_argument);
  };
  refused({.history_window = 0ms}, "tracker.history_window");
  refused({.cold_age_threshold = -1ms}, "tracker.cold_age_threshold");
  refused({.access_window = 0ms}, "tracker.access_window");
  refused({.max_keys = 0}, "tracker.max_keys");
}

TEST_F(AccessTracker, AKeyIsSplitAtItsFirstSlash) {
  const auto tracker = make();
  tracker->record_access("books/a/b");
  EXPECT_EQ(tracker->recent_accesses("books", "a/b"), 1U);
  EXPECT_EQ(tracker->recent_accesses("books/a", "b"), 0U);
  EXPECT_GT(tracker->get_tiering_score("books/a/b"), 0);
  tracker->forget("books/a/b");
  EXPECT_EQ(tracker->tracked_keys(), 0U);
}

TEST_F(AccessTracker, AKeyWithoutASlashOrTooLongIsRefused) {
  const auto tracker = make();
  EXPECT_EQ(code_of([&] { tracker->record_access("books"); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { tracker->record_access(std::string(256, 'c'), "a"); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { tracker->record_access("c", std::string(1'025, 'i')); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(tracker->tracked_keys(), 0U);
  tracker->record_access(std::string(255, 'c'), std::string(1'024, 'i'));
  EXPECT_EQ(tracker->recent_accesses(std::string(255, 'c'), std::string(1'024, 'i')), 1U);
}

// ---- score

TEST_F(AccessTracker, AnUnknownKeyScoresZeroAndATrackedOneMore) {
  const auto tracker = make();
  EXPECT_EQ(tracker->get_tiering_score("books/a"), 0);
  tracker->record_access("books/a");
  EXPECT_NEAR(tracker->get_tiering_score("books/a"), 1, 1e-9);
  clock_->advance(std::chrono::hours(24 * 365 * 100));
  EXPECT_GT(tracker->get_tiering_score("books/a"), 0);
}

TEST_F(AccessTracker, AScoreHalvesEveryQuarterOfTheHistory) {
  const auto tracker = make({.history_window = 4h});
  touch(*tracker, "books/a", 8);
  clock_->advance(1h);
  EXPECT_NEAR(tracker->get_tiering_score("books/a"), 4, 1e-6);
  touch(*tracker, "books/a", 2);
  EXPECT_NEAR(tracker->get_tiering_score("books/a"), 6, 1e-6);
  clock_->advance(2h);
  EXPECT_NEAR(tracker->get_tiering_score("books/a"), 1.5, 1e-6);
}

TEST_F(AccessTracker, ManyAccessesAtOnceScoreAsMuchAsOneByOne) {
  const auto tracker = make();
  touch(*tracker, "books/single", 1'000);
  tracker->record_accesses("books", "bulk", 1'000, clock_->now());
  EXPECT_NEAR(tracker->get_tiering_score("books", "single"), tracker->get_tiering_score("books", "bulk"),
              1e-6);
}

// ---- windows

TEST_F(AccessTracker, RecentAccessesAreNeverOlderThanTheWindow) {
  const auto tracker = make({.access_window = 10min});
  std::mt19937_64 random(11);
  std::vector<TimePoint> all;
  for (int i = 0; i < 2'000; ++i) {
    clock_->advance(std::chrono::seconds(random() % 90));
    if (random() % 3 == 0) {
      tracker->record_access("books/a");
      all.push_back(clock_->now());
    }
    const auto younger_than = [&](std::chrono::minutes age) {
      return std::count_if(all.begin(), all.end(),
                           [&](TimePoint when) { return clock_->now() - when < age; });
    };
    const std::uint32_t recent = tracker->recent_accesses("books", "a");
    ASSERT_LE(recent, std::count_if(all.begin(), all.end(),
                                    [&](TimePoint when) { return clock_->now() - when <= 10min; }));
    ASSERT_GE(recent, younger_than(5min)) << i;
  }
}

TEST_F(AccessTracker, ABulkOfHitsCountsWhenItHappened) {
  const auto tracker = make({.access_window = 10min});
  const TimePoint then = clock_->now();
  clock_->advance(20min);
  tracker->record_access("books/a");
  tracker->record_accesses("books", "a", 7, then);
  EXPECT_EQ(tracker->recent_accesses("books", "a"), 1U);
  const AccessFigures figures = *tracker->unflushed("books", "a");
  EXPECT_EQ(figures.count, 8U);
  EXPECT_EQ(figures.last_access, clock_->now());
  tracker->record_accesses("books", "a", 3, clock_->now() + 1h);  // nobody knows the future
  EXPECT_EQ(tracker->unflushed("books", "a")->last_access, clock_->now());
}

TEST_F(AccessTracker, NoHitsAreNoAccess) {
  const auto tracker = make();
  tracker->record_accesses("books", "a", 0, clock_->now());
  EXPECT_EQ(tracker->tracked_keys(), 0U);
}

// ---- prediction

TEST_F(AccessTracker, PredictsWhatIsReadSeldomOrLongAgoColdestFirst) {
  const auto tracker =
      make({.history_window = 7_days, .cold_prediction_threshold = 3, .cold_age_threshold = 24h});
  touch(*tracker, "books/old", 50);
  clock_->advance(24h);
  touch(*tracker, "books/once", 1);
  touch(*tracker, "books/twice", 2);
  touch(*tracker, "books/thrice", 3);
  const std::vector<std::string> all{"books/once", "books/twice", "books/old"};
  EXPECT_EQ(tracker->predict_cold_documents(), all);
  EXPECT_EQ(tracker->predict_cold_documents(2), std::vector<std::string>(all.begin(), all.begin() + 2));
  EXPECT_TRUE(tracker->predict_cold_documents(0).empty());
}

TEST_F(AccessTracker, AccessesCountUntilTheHistoryEnds) {
  const auto tracker =
      make({.history_window = 8h, .cold_prediction_threshold = 3, .cold_age_threshold = 1000h});
  const auto into_the_hour = clock_->now().time_since_epoch() % std::chrono::microseconds(1h);
  clock_->advance(std::chrono::microseconds(1h) - into_the_hour);  // where an eighth begins
  touch(*tracker, "books/a", 2);
  clock_->advance(4h);
  touch(*tracker, "books/a", 1);
  EXPECT_TRUE(tracker->predict_cold_documents().empty());
  clock_->advance(4h - 1us);
  EXPECT_TRUE(tracker->predict_cold_documents().empty());
  clock_->advance(1us);  // now the first two are a whole window ago
  EXPECT_EQ(tracker->predict_cold_documents(), std::vector<std::string>{"books/a"});
}

TEST_F(AccessTracker, ManyAccessesAreAsGoodAsTheHistoryCanCount) {
  const auto tracker = make({.cold_prediction_threshold = 60'000});
  tracker->record_accesses("books", "a", 4'000'000'000U, clock_->now());
  tracker->record_accesses("books", "a", 4'000'000'000U, clock_->now());
  EXPECT_TRUE(tracker->predict_cold_documents().empty());
  EXPECT_EQ(tracker->unflushed("books", "a")->count, 8'000'000'000U);
  EXPECT_EQ(tracker->recent_accesses("books", "a"), 0xFFFF'FFFFU);
}

// ---- a clock that goes backwards

TEST_F(AccessTracker, SurvivesAClockSetBack) {
  const auto tracker = make({.cold_prediction_threshold = 3, .cold_age_threshold = 48h});
  const TimePoint now = clock_->now();
  clock_->set_wall_time(now + std::chrono::hours(24 * 3650));  // a wrong year
  touch(*tracker, "books/a", 2);
  (void)tracker->take_unflushed(10);
  clock_->set_wall_time(now);
  EXPECT_GT(tracker->get_tiering_score("books/a"), 0);
  EXPECT_LT(tracker->get_tiering_score("books/a"), 2.1);
  (void)tracker->predict_cold_documents();
  touch(*tracker, "books/a", 3);
  EXPECT_GE(tracker->recent_accesses("books", "a"), 3U);
  EXPECT_NEAR(tracker->get_tiering_score("books/a"), 5, 1e-3);
  EXPECT_TRUE(tracker->predict_cold_documents().empty());
  EXPECT_EQ(tracker->unflushed("books", "a")->last_access, now);
  clock_->advance(49h);
  EXPECT_EQ(tracker->predict_cold_documents(), std::vector<std::string>{"books/a"});
}

TEST_F(AccessTracker, SurvivesTimesBeforeTheEpoch) {
  const auto tracker = make();
  clock_->set_wall_time(TimePoint{-5h});
  tracker->record_access("books/a");
  tracker->record_accesses("books", "a", 2, TimePoint::min());
  EXPECT_EQ(tracker->unflushed("books", "a")->count, 3U);
  EXPECT_GT(tracker->get_tiering_score("books/a"), 0);
  (void)tracker->predict_cold_documents();
}

// ---- flushing

TEST_F(AccessTracker, UnflushedFiguresAreTakenOnce) {
  const auto tracker = make({.access_window = 1h});
  touch(*tracker, "books/a", 3);
  touch(*tracker, "books/b", 1);
  EXPECT_EQ(tracker->unflushed("books", "a")->count, 3U);
  EXPECT_EQ(tracker->take_unflushed(1).size(), 1U);
  EXPECT_EQ(tracker->take_unflushed(10).size(), 1U);
  EXPECT_TRUE(tracker->take_unflushed(10).empty());
  EXPECT_FALSE(tracker->unflushed("books", "a"));
  EXPECT_EQ(tracker->recent_accesses("books", "a"), 3U);

  tracker->record_access("books/a");
  const std::vector<KeyAccess> delta = tracker->take_unflushed(10);
  ASSERT_EQ(delta.size(), 1U);
  EXPECT_EQ(delta[0].collection, "books");
  EXPECT_EQ(delta[0].id, "a");
  EXPECT_EQ(delta[0].figures.count, 1U);
  EXPECT_EQ(delta[0].figures.last_access, clock_->now());
  EXPECT_EQ(recent_accesses(delta[0].figures.buckets, 1h, clock_->now()), 1U);
}

TEST_F(AccessTracker, DeltasMergeToWhatWasSeen) {
  const auto tracker = make({.access_window = 10min});
  std::mt19937_64 random(3);
  AccessBuckets stored;
  for (int i = 0; i < 1'000; ++i) {
    clock_->advance(std::chrono::seconds(random() % 120));
    if (random() % 2 == 0) tracker->record_access("books/a");
    if (random() % 5 == 0) {
      for (const KeyAccess& delta : tracker->take_unflushed(10)) {
        stored = merge_buckets(stored, delta.figures.buckets);
      }
    }
    AccessBuckets both = stored;
    if (const auto rest = tracker->unflushed("books", "a")) both = merge_buckets(stored, rest->buckets);
    ASSERT_EQ(recent_accesses(both, 10min, clock_->now()), tracker->recent_accesses("books", "a")) << i;
  }
}

TEST_F(AccessTracker, FiguresThatAreGivenBackAreGivenAgain) {
  const auto tracker = make({.access_window = 10min});
  std::mt19937_64 random(4);
  AccessBuckets stored;
  std::uint64_t stored_count = 0;
  std::uint64_t accesses = 0;
  for (int i = 0; i < 1'000; ++i) {
    clock_->advance(std::chrono::seconds(random() % 120));
    if (random() % 2 == 0) {
      tracker->record_access("books/a");
      ++accesses;
    }
    if (random() % 5 == 0) {
      const std::vector<KeyAccess> deltas = tracker->take_unflushed(10);
      // What was recorded between the two is in neither's way.
      clock_->advance(std::chrono::seconds(random() % 120));
      tracker->record_access("books/a");
      ++accesses;
      if (random() % 2 == 0) {
        tracker->give_back(deltas);
      } else {
        for (const KeyAccess& delta : deltas) {
          stored = merge_buckets(stored, delta.figures.buckets);
          stored_count += delta.figures.count;
        }
      }
    }
    AccessBuckets both = stored;
    const auto rest = tracker->unflushed("books", "a");
    if (rest) both = merge_buckets(stored, rest->buckets);
    ASSERT_EQ(recent_accesses(both, 10min, clock_->now()), tracker->recent_accesses("books", "a")) << i;
    ASSERT_EQ(stored_count + (rest ? rest->count : 0), accesses) << i;
  }
  EXPECT_EQ(tracker->lost_figures(), 0U);
}

TEST_F(AccessTracker, FiguresOfAForgottenKeyCannotBeGivenBack) {
  const auto tracker = make();
  touch(*tracker, "books/a", 3);
  const std::vector<KeyAccess> taken = tracker->take_unflushed(10);
  tracker->forget("books/a");
  tracker->give_back(taken);
  EXPECT_TRUE(tracker->take_unflushed(10).empty());
  EXPECT_EQ(tracker->tracked_keys(), 0U);
  EXPECT_EQ(tracker->lost_figures(), 1U);
}

TEST_F(AccessTracker, ThreadsLoseNoAccess) {
  const auto tracker = make({.max_keys = 10'000});
  constexpr int kThreads = 4;
  constexpr int kEach = 20'000;
  std::map<std::string, std::uint64_t> taken;
  const auto take = [&](std::size_t limit) {
    for (const KeyAccess& access : tracker->take_unflushed(limit)) taken[access.id] += access.figures.count;
  };
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&tracker, t] {
        std::mt19937_64 random(static_cast<std::uint64_t>(t));
        for (int i = 0; i < kEach; ++i) tracker->record_access("books", std::to_string(random() % 500));
      });
    }
    for (int i = 0; i < 200; ++i) {
      take(100);
      (void)tracker->predict_cold_documents(10);
      (void)tracker->busiest(2, 10);
    }
  }
  take(10'000);
  std::uint64_t sum = 0;
  for (const auto& [id, count] : taken) sum += count;
  EXPECT_EQ(sum, static_cast<std::uint64_t>(kThreads) * kEach);
  EXPECT_EQ(tracker->lost_figures(), 0U);
}

TEST_F(AccessTracker, TakingLittleAtATimeReachesEveryKey) {
  const auto tracker = make();
  std::set<std::string> seen;
  for (int round = 0; round < 400; ++round) {
    for (int i = 0; i < 200; ++i) tracker->record_access("books", std::to_string(i));
    for (const KeyAccess& access : tracker->take_unflushed(10)) seen.insert(access.id);
  }
  EXPECT_EQ(seen.size(), 200U);
}

TEST_F(AccessTracker, ForgettingDropsAKeyAndItsFigures) {
  const auto tracker = make();
  touch(*tracker, "books/a", 3);
  touch(*tracker, "books/b", 2);
  tracker->forget("books/a");
  tracker->forget("books", "nobody");
  EXPECT_EQ(tracker->get_tiering_score("books/a"), 0);
  EXPECT_EQ(tracker->tracked_keys(), 1U);
  const auto rest = tracker->take_unflushed(10);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].id, "b");
  EXPECT_EQ(tracker->lost_figures(), 0U);
}

// ---- the busiest

TEST_F(AccessTracker, BusiestComeMostFirst) {
  const auto tracker = make({.access_window = 1h});
  touch(*tracker, "books/yesterday", 100);
  clock_->advance(24h);
  for (int i = 1; i <= 20; ++i) touch(*tracker, "books/" + std::to_string(i), i);
  (void)tracker->take_unflushed(100);  // taken or not makes no difference
  const auto busiest = tracker->busiest(5, 3);
  ASSERT_EQ(busiest.size(), 3U);
  EXPECT_EQ(busiest[0].id, "20");
  EXPECT_EQ(busiest[0].figures.count, 20U);
  EXPECT_EQ(busiest[1].id, "19");
  EXPECT_EQ(busiest[2].id, "18");
  EXPECT_EQ(tracker->busiest(5, 100).size(), 16U);
  EXPECT_TRUE(tracker->busiest(21, 100).empty());
}

// ---- the bound

TEST_F(AccessTracker, TracksExactlyAsManyKeysAsItMay) {
  for (const std::size_t max_keys : {1U, 3U, 200U, 5'000U}) {
    const auto tracker = make({.max_keys = max_keys});
    for (std::size_t i = 0; i < max_keys; ++i) tracker->record_access("books", std::to_string(i));
    EXPECT_EQ(tracker->tracked_keys(), max_keys);
    EXPECT_EQ(tracker->lost_figures(), 0U);
    tracker->record_access("books", "one more");
    EXPECT_EQ(tracker->tracked_keys(), max_keys);
    EXPECT_EQ(tracker->lost_figures(), 1U);
    EXPECT_EQ(tracker->recent_accesses("books", "one more"), 1U);
    EXPECT_EQ(tracker->take_unflushed(10'000).size(), max_keys);
  }
}

TEST_F(AccessTracker, AMillionKeysStayWithinTheBound) {
  const auto tracker = make({.max_keys = 10'000});
  touch(*tracker, "books/hot", 1'000);
  for (int i = 0; i < 1'000'000; ++i) {
    tracker->record_access("books", std::to_string(i));
    if (i % 5'000 == 0) (void)tracker->take_unflushed(10'000);
    ASSERT_LE(tracker->tracked_keys(), 10'000U);
  }
  EXPECT_EQ(tracker->tracked_keys(), 10'000U);
  EXPECT_EQ(tracker->lost_figures(), 0U);  // those nobody had taken stayed
  EXPECT_GT(tracker->get_tiering_score("books/hot"), 900);
}

TEST_F(AccessTracker, ThreadsTogetherStayWithinTheBound) {
  const auto tracker = make({.max_keys = 300});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&tracker, t] {
      for (int i = 0; i < 5'000; ++i) {
        const std::string id = std::to_string(t) + "-" + std::to_string(i);
        tracker->record_access("books", id);
        EXPECT_LE(tracker->tracked_keys(), 300U);
        if (i % 3 == 0) tracker->forget("books", id);
        if (i % 100 == 0) (void)tracker->take_unflushed(50);
      }
    });
  }
  threads.clear();
  std::size_t keys = 0;
  for (const KeyAccess& access : tracker->busiest(0, 1'000)) keys += access.id.empty() ? 0 : 1;
  EXPECT_EQ(keys, tracker->tracked_keys());
}

// ---- against a model

TEST_F(AccessTracker, AgreesWithAMapOfCounts) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const auto tracker = make();
    std::map<std::string, std::uint64_t> unflushed;
    std::set<std::string> known;
    for (int step = 0; step < 20'000; ++step) {
      const std::string id = std::to_string(random() % 300);
      switch (random() % 8) {
        case 0:
          tracker->forget("books", id);
          known.erase(id);
          unflushed.erase(id);
          break;
        case 1:
          for (const KeyAccess& access : tracker->take_unflushed(random() % 20)) {
            ASSERT_EQ(access.figures.count, unflushed.at(access.id));
            unflushed.erase(access.id);
          }
          break;
        default: {
          const auto hits = static_cast<std::uint32_t>(1 + random() % 5);
          tracker->record_accesses("books", id, hits, clock_->now());
          known.insert(id);
          unflushed[id] += hits;
        }
      }
      const std::string probe = std::to_string(random() % 300);
      ASSERT_EQ(tracker->get_tiering_score("books", probe) > 0, known.contains(probe));
      const auto figures = tracker->unflushed("books", probe);
      ASSERT_EQ(figures ? figures->count : 0, unflushed.contains(probe) ? unflushed[probe] : 0);
      ASSERT_EQ(tracker->tracked_keys(), known.size());
    }
  }
}

// ---- the free functions

TEST(AccessBucketsMath, MergeIsSymmetricAndPutsEachBucketToItsTime) {
  const AccessBuckets newer{.index = 10, .current = 4, .previous = 2};
  const AccessBuckets older{.index = 9, .current = 5, .previous = 7};
  for (const AccessBuckets& merged : {merge_buckets(newer, older), merge_buckets(older, newer)}) {
    EXPECT_EQ(merged.index, 10);
    EXPECT_EQ(merged.current, 4U);
    EXPECT_EQ(merged.previous, 7U);
  }
  EXPECT_EQ(merge_buckets(newer, newer).current, 8U);
  EXPECT_EQ(merge_buckets(newer, AccessBuckets{}).previous, 2U);
  const AccessBuckets full{.index = 10, .current = 0xFFFF'FFFF, .previous = 0};
  EXPECT_EQ(merge_buckets(full, newer).current, 0xFFFF'FFFFU);
}

TEST(AccessBucketsMath, RecentAccessesFadeByHalves) {
  const AccessBuckets buckets{.index = 100, .current = 4, .previous = 2};
  const auto at = [&](std::chrono::minutes when) { return recent_accesses(buckets, 10min, TimePoint{when}); };
  EXPECT_EQ(at(500min), 6U);
  EXPECT_EQ(at(504min), 6U);
  EXPECT_EQ(at(505min), 4U);
  EXPECT_EQ(at(510min), 0U);
  EXPECT_EQ(at(499min), 6U);  // the clock was set back a little
  EXPECT_EQ(at(100min), 0U);  // or a lot
  EXPECT_EQ(recent_accesses(buckets, 0ms, TimePoint{500min}), 0U);
}

}  // namespace
}  // namespace db4
