// The manager's copies: versions, times, fills, bounds. Nothing here goes to another node.

#include "invalidation/fixtures.hpp"

#include <db4/invalidation.hpp>

#include <random>
#include <thread>

namespace db4::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ManagerTest : public ::testing::Test {
 protected:
  static CacheInvalidationConfig plain() {
    return {.default_ttl = seconds{60}, .ttl_jitter = 0.0, .max_remembered_versions = 1024};
  }
  std::unique_ptr<CacheInvalidationManager> make(CacheInvalidationConfig config) const {
    return std::make_unique<CacheInvalidationManager>(std::move(config), clock_, seeded_random(1));
  }
  bool set(Version version, std::optional<FillMark> mark = {}) {
    return manager_->set("c", "i", make_document("c", "i", version), {}, mark);
  }
  Version held(std::optional<Version> expected = {}) {
    const CacheLookup lookup = manager_->get("c", "i", expected);
    return lookup.value ? lookup.value->version() : 0;
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::unique_ptr<CacheInvalidationManager> manager_ = make(plain());
};

TEST_F(ManagerTest, WhatWasSetIsGotWithoutCopyingItsBody) {
  const Document document = make_document("c", "i", 3, "body");
  EXPECT_TRUE(manager_->set("c", "i", document));
  const CacheLookup lookup = manager_->get("c", "i");
  ASSERT_TRUE(lookup.value);
  EXPECT_EQ(lookup.value->text().data(), document.text().data());
  EXPECT_FALSE(lookup.stale);
  EXPECT_FALSE(lookup.version_mismatch);
  EXPECT_FALSE(manager_->get("c", "j").value);
  EXPECT_FALSE(manager_->get("ci", "i").value);
  EXPECT_EQ(manager_->stats().hits, 1U);
  EXPECT_EQ(manager_->stats().misses, 2U);
}

TEST_F(ManagerTest, ACopyOlderThanExpectedIsNotGiven) {
  EXPECT_TRUE(set(3));
  EXPECT_EQ(held(3), 3U);
  EXPECT_EQ(held(2), 3U);
  const CacheLookup lookup = manager_->get("c", "i", 4);
  EXPECT_FALSE(lookup.value);
  EXPECT_TRUE(lookup.version_mismatch);
  EXPECT_EQ(manager_->stats().version_mismatches, 1U);
}

TEST_F(ManagerTest, AnOlderVersionReplacesNothing) {
  EXPECT_TRUE(set(3));
  EXPECT_FALSE(set(2));
  EXPECT_EQ(held(), 3U);
  EXPECT_TRUE(set(3));
  EXPECT_TRUE(set(4));
  EXPECT_EQ(held(), 4U);
  EXPECT_EQ(manager_->stats().refused_older, 1U);
}

TEST_F(ManagerTest, AVersionThatAnInvalidationEndedIsRefused) {
  EXPECT_TRUE(set(3));
  manager_->announce({.collection = "c", .id = "i", .version = 5});
  EXPECT_EQ(held(), 0U);
  EXPECT_FALSE(set(4));
  EXPECT_TRUE(set(5));
  EXPECT_EQ(held(), 5U);
}

TEST_F(ManagerTest, AnEventOfAKnownVersionDropsNothing) {
  EXPECT_TRUE(set(3));
  manager_->announce({.collection = "c", .id = "i", .version = 3});
  manager_->announce({.collection = "c", .id = "i", .version = 2});
  EXPECT_EQ(held(), 3U);
  EXPECT_EQ(manager_->stats().ignored_old, 2U);
}

TEST_F(ManagerTest, WithoutVersionsEveryEventDropsAndEverySetIsTaken) {
  CacheInvalidationConfig config = plain();
  config.version_based_invalidation = false;
  manager_ = make(config);
  EXPECT_TRUE(set(3));
  EXPECT_TRUE(set(2));
  EXPECT_EQ(held(9), 2U);
  manager_->announce({.collection = "c", .id = "i", .version = 1});
  EXPECT_EQ(held(), 0U);
}

TEST_F(ManagerTest, InvalidateDropsWhateverVersionIsHeld) {
  EXPECT_FALSE(manager_->invalidate("c", "i"));
  EXPECT_TRUE(set(3));
  EXPECT_TRUE(manager_->invalidate("c", "i"));
  EXPECT_EQ(held(), 0U);
}

TEST_F(ManagerTest, ATierMeansItsCopiesAloneAndMemoryIsHot) {
  EXPECT_TRUE(set(3));
  EXPECT_FALSE(manager_->invalidate("c", "i", StorageTier::warm));
  EXPECT_FALSE(manager_->invalidate("c", "i", StorageTier::cold));
  EXPECT_EQ(held(), 3U);
  EXPECT_TRUE(manager_->invalidate("c", "i", StorageTier::hot));
  EXPECT_EQ(held(), 0U);
}

TEST_F(ManagerTest, ACollectionOrEverythingIsDroppedAtOnce) {
  for (const char* collection : {"a", "b"}) {
    for (const char* id : {"1", "2", "3"}) {
      EXPECT_TRUE(manager_->set(collection, id, make_document(collection, id, 1)));
    }
  }
  EXPECT_EQ(manager_->invalidate_collection("a"), 3U);
  EXPECT_EQ(manager_->stats().entries, 3U);
  EXPECT_TRUE(manager_->get("b", "1").value);
  EXPECT_EQ(manager_->invalidate_all(), 3U);
  EXPECT_EQ(manager_->stats().entries, 0U);
  EXPECT_EQ(manager_->stats().bytes, 0U);
}

TEST_F(ManagerTest, AFillThatBeganBeforeAnInvalidationIsNotStored) {
  const auto begin = [this] { return manager_->begin_fill("c", "i"); };
  FillMark mark = begin();
  EXPECT_TRUE(set(1, mark));
  EXPECT_TRUE(set(1, mark));  // another fill says nothing about this one

  const std::vector<std::function<void()>> changes = {
      [&] { manager_->invalidate("c", "i"); },
      [&] { manager_->invalidate_collection("c"); },
      [&] { manager_->invalidate_all(); },
      [&] { manager_->apply({.collection = "c", .id = "i", .version = 1}); },  // known, and may be forgotten
      [&] { set(1); },
  };
  for (const auto& change : changes) {
    mark = begin();
    change();
    EXPECT_FALSE(set(1, mark));
    EXPECT_TRUE(set(1, begin()));
  }
  EXPECT_FALSE(set(9, FillMark{}));
  EXPECT_EQ(manager_->stats().overtaken_fills, changes.size() + 1);

  mark = begin();
  manager_->invalidate("c", "i", StorageTier::cold);  // other copies
  EXPECT_TRUE(set(1, mark));
}

TEST_F(ManagerTest, CopiesLiveForTheirTtlAndAreStaleForALittleLonger) {
  CacheInvalidationConfig config = plain();
  config.stale_while_revalidate = seconds{10};
  manager_ = make(config);
  EXPECT_TRUE(set(2));
  clock_->advance(seconds{60} - milliseconds{1});
  EXPECT_FALSE(manager_->get("c", "i").stale);
  clock_->advance(milliseconds{1});
  CacheLookup lookup = manager_->get("c", "i");
  EXPECT_TRUE(lookup.stale);
  EXPECT_TRUE(lookup.value);
  EXPECT_EQ(lookup.age, seconds{60});
  clock_->advance(seconds{10});
  lookup = manager_->get("c", "i");
  EXPECT_TRUE(lookup.stale);
  EXPECT_FALSE(lookup.value);
  EXPECT_FALSE(manager_->get("c", "i").stale);  // gone
  EXPECT_EQ(manager_->stats().stale_hits, 1U);
  EXPECT_FALSE(set(1));  // its version is remembered
}

TEST_F(ManagerTest, TtlsAreOfTheMonotonicClockAndOneMayBeGiven) {
  EXPECT_TRUE(manager_->set("c", "i", make_document("c", "i", 1), seconds{5}));
  clock_->set_wall_time(clock_->now() + std::chrono::hours{24});
  EXPECT_EQ(held(), 1U);
  clock_->advance(seconds{5});
  EXPECT_EQ(held(), 0U);
  EXPECT_TRUE(manager_->set("c", "i", make_document("c", "i", 1), milliseconds::max()));
  clock_->advance(std::chrono::hours{24 * 365 * 100});
  EXPECT_EQ(held(), 1U);
}

TEST_F(ManagerTest, JitterShortensTtlsByNoMoreThanItsShare) {
  CacheInvalidationConfig config = plain();
  config.ttl_jitter = 0.5;
  manager_ = make(config);
  const auto alive = [&] {
    int count = 0;
    for (int i = 0; i < 200; ++i) count += manager_->get("c", std::to_string(i)).value ? 1 : 0;
    return count;
  };
  for (int i = 0; i < 200; ++i) {
    manager_->set("c", std::to_string(i), make_document("c", std::to_string(i), 1));
  }
  clock_->advance(seconds{30} - milliseconds{1});
  EXPECT_EQ(alive(), 200);
  clock_->advance(seconds{15});
  EXPECT_GT(alive(), 50);
  EXPECT_LT(alive(), 150);
  clock_->advance(seconds{15} + milliseconds{1});
  EXPECT_EQ(alive(), 0);
}

TEST_F(ManagerTest, EntriesAndBytesStayWithinTheirBounds) {
  CacheInvalidationConfig config = plain();
  config.max_entries = 5000;
  config.max_bytes = 20U << 20;
  manager_ = make(config);
  std::mt19937_64 random(1);
  for (int i = 0; i < 30'000; ++i) {
    const std::string id = std::to_string(random() % 20'000);
    const std::string body(random() % 20'000, 'x');
    EXPECT_TRUE(manager_->set("c", id, make_document("c", id, 1, body)));
    (void)manager_->get("c", std::to_string(random() % 20'000));
    if (i % 100 != 0) continue;
    const CacheInvalidationStats stats = manager_->stats();
    ASSERT_LE(stats.entries, 5000U);
    ASSERT_LE(stats.bytes, 20U << 20);
  }
  EXPECT_GT(manager_->stats().evictions, 20'000U);
  EXPECT_GT(manager_->stats().entries, 1000U);
}

TEST_F(ManagerTest, ACopyThatIsTooLargeIsNotKeptAndEndsTheOneBefore) {
  CacheInvalidationConfig config = plain();
  config.max_bytes = 64 << 10;
  manager_ = make(config);
  EXPECT_TRUE(set(1));
  EXPECT_FALSE(manager_->set("c", "i", make_document("c", "i", 2, std::string(20'000, 'x'))));
  EXPECT_EQ(held(), 0U);
  EXPECT_FALSE(set(1));
  EXPECT_EQ(manager_->stats().refused_large, 1U);
}

TEST_F(ManagerTest, WhatIsUsedStays) {
  CacheInvalidationConfig config = plain();
  config.max_entries = 100;
  manager_ = make(config);
  EXPECT_TRUE(set(1));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(held(), 1U);
    const std::string id = "other " + std::to_string(i);
    manager_->set("c", id, make_document("c", id, 1));
  }
}

TEST_F(ManagerTest, IllegalCallsAreRefused) {
  const Document document = make_document("c", "i", 1);
  EXPECT_THROW(manager_->set("c", "other", document), Error);
  EXPECT_THROW(manager_->set("c", "i", document, milliseconds{0}), Error);
  EXPECT_THROW(set(0), Error);
  EXPECT_THROW((void)manager_->get("", "i"), Error);
  EXPECT_THROW((void)manager_->get("c", std::string(2000, 'x')), Error);
  EXPECT_THROW((void)manager_->begin_fill("c", ""), Error);
  EXPECT_THROW(manager_->invalidate(std::string(300, 'x'), "i"), Error);
  EXPECT_THROW(manager_->apply({.collection = "c", .id = std::string(2000, 'x')}), Error);
  EXPECT_THROW(manager_->announce({.type = InvalidationType::flush, .collection = "c"}), Error);
  manager_->announce({.type = InvalidationType::flush, .sequence = 7});
  EXPECT_THROW(manager_->announce({.type = InvalidationType::flush, .sequence = 7}), Error);
  EXPECT_THROW((void)manager_->subscribe({}), Error);
}

TEST_F(ManagerTest, ConfigurationsThatMakeNoSenseAreRefused) {
  std::vector<CacheInvalidationConfig> wrong(7, plain());
  wrong[0].default_ttl = milliseconds{0};
  wrong[1].ttl_jitter = 1.0;
  wrong[2].node_id = std::string(65, 'x');
  wrong[3].max_entries = 0;
  wrong[4].max_queued_events = 0;
  wrong[5].silence_after = wrong[5].heartbeat_interval;
  wrong[6].retry_max_delay = milliseconds{1};
  for (const CacheInvalidationConfig& config : wrong) EXPECT_THROW((void)make(config), Error);
  EXPECT_THROW(CacheInvalidationManager({}, nullptr), Error);
  EXPECT_EQ(make({.node_id = "me", .epoch = 4})->epoch(), 4U);
  EXPECT_EQ(make({.node_id = "me"})->node_id(), "me");
  EXPECT_EQ(manager_->node_id().size(), 32U);
  EXPECT_NE(manager_->epoch(), 0U);
}

/// For ThreadSanitizer, and for what must hold whatever the order: a copy that is got is never older than one
/// that this thread has seen before.
TEST_F(ManagerTest, ManyThreadsSeeVersionsRise) {
  constexpr int kSteps = 3000;
  std::atomic<Version> newest = 1;
  std::vector<std::jthread> threads;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      Version seen = 0;
      for (int i = 0; i < kSteps; ++i) {
        if (random() % 10 == 0) {
          const Version version = ++newest;
          manager_->announce({.collection = "c", .id = "i", .version = version});
          seen = std::max(seen, version);
        }
        const FillMark mark = manager_->begin_fill("c", "i");
        set(newest, mark);
        const CacheLookup lookup = manager_->get("c", "i");
        if (!lookup.value) continue;
        EXPECT_GE(lookup.value->version(), seen);
        seen = std::max(seen, lookup.value->version());
        if (random() % 500 == 0) manager_->invalidate_all();
      }
    });
  }
  threads.clear();
}

}  // namespace
}  // namespace db4::testing
