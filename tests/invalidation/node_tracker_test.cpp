// Which events of which node have come, by their numbers.

#include "invalidation/node_tracker.hpp"

#include "invalidation/fixtures.hpp"

#include <algorithm>
#include <random>
#include <set>

namespace db4::invalidation {
namespace {

using std::chrono::seconds;
using Missed = std::vector<MissedEvents>;

class NodeTrackerTest : public ::testing::Test {
 protected:
  static InvalidationMessage message(std::uint64_t sequence, InvalidationMessageKind kind, std::string node,
                                     std::uint64_t epoch,
                                     InvalidationType type = InvalidationType::document) {
    return {.kind = kind,
            .event = {.type = type, .node_id = std::move(node), .epoch = epoch, .sequence = sequence}};
  }
  NodeTracker::Heard event(std::uint64_t sequence, std::string node = "a", std::uint64_t epoch = 1) {
    return tracker_.hear(message(sequence, InvalidationMessageKind::event, std::move(node), epoch), now_);
  }
  NodeTracker::Heard flush(std::uint64_t sequence) {
    return tracker_.hear(message(sequence, InvalidationMessageKind::event, "a", 1, InvalidationType::flush),
                         now_);
  }
  NodeTracker::Heard heartbeat(std::uint64_t sequence, std::string node = "a", std::uint64_t epoch = 1) {
    return tracker_.hear(message(sequence, InvalidationMessageKind::heartbeat, std::move(node), epoch), now_);
  }
  NodeTracker::Heard farewell(std::uint64_t sequence, std::string node = "a", std::uint64_t epoch = 1) {
    return tracker_.hear(message(sequence, InvalidationMessageKind::farewell, std::move(node), epoch), now_);
  }
  static MissedEvents missed(std::uint64_t from, std::uint64_t to, MissedReason reason,
                             std::string node = "a", std::uint64_t epoch = 1) {
    return {.node_id = std::move(node), .epoch = epoch, .from = from, .to = to, .reason = reason};
  }

  NodeTracker tracker_{{.max_nodes = 4, .silence_after = seconds{10}}};
  MonotonicTime now_{seconds{100}};
};

TEST_F(NodeTrackerTest, NumbersInARowMissNothing) {
  EXPECT_TRUE(heartbeat(0).missed.empty());
  for (std::uint64_t i = 1; i <= 200; ++i) {
    const auto heard = event(i);
    EXPECT_TRUE(heard.missed.empty());
    EXPECT_FALSE(heard.repeated);
    EXPECT_TRUE(heartbeat(i).missed.empty());
  }
  EXPECT_TRUE(farewell(200).missed.empty());
}

TEST_F(NodeTrackerTest, AGapIsReportedOnceAndWhatComesLateIsNotARepetition) {
  (void)event(1);
  EXPECT_EQ(event(5).missed, Missed{missed(2, 4, MissedReason::gap)});
  EXPECT_TRUE(event(6).missed.empty());
  EXPECT_FALSE(event(3).repeated);
  EXPECT_TRUE(event(3).repeated);
  EXPECT_TRUE(event(5).repeated);
  EXPECT_TRUE(event(1).repeated);
}

TEST_F(NodeTrackerTest, WhatIsOlderThanTheWindowCountsAsLate) {
  (void)event(1);
  for (std::uint64_t i = 2; i <= 65; ++i) (void)event(i);
  EXPECT_FALSE(event(1).repeated);
  EXPECT_TRUE(event(2).repeated);
}

TEST_F(NodeTrackerTest, AHeartbeatShowsWhatWasLostAtTheEnd) {
  (void)event(1);
  EXPECT_EQ(heartbeat(3).missed, Missed{missed(2, 3, MissedReason::gap)});
  EXPECT_TRUE(heartbeat(3).missed.empty());
  EXPECT_FALSE(event(3).repeated);
  EXPECT_EQ(farewell(5).missed, Missed{missed(4, 5, MissedReason::gap)});
}

TEST_F(NodeTrackerTest, AFlushStandsForWhatIsMissingBeforeIt) {
  EXPECT_TRUE(flush(7).missed.empty());
  EXPECT_TRUE(flush(20).missed.empty());
  EXPECT_EQ(event(22).missed, Missed{missed(21, 21, MissedReason::gap)});
  InvalidationMessage of_a_tier =
      message(30, InvalidationMessageKind::event, "a", 1, InvalidationType::flush);
  of_a_tier.event.tier = StorageTier::warm;
  EXPECT_EQ(tracker_.hear(of_a_tier, now_).missed, Missed{missed(23, 29, MissedReason::gap)});
}

TEST_F(NodeTrackerTest, AnUnknownNodePastItsFirstEventWasMissed) {
  EXPECT_TRUE(event(1, "a").missed.empty());
  EXPECT_EQ(event(4, "b").missed, Missed{missed(1, 3, MissedReason::first_sight, "b")});
  EXPECT_EQ(heartbeat(4, "c").missed, Missed{missed(1, 4, MissedReason::first_sight, "c")});
}

TEST_F(NodeTrackerTest, ANewEpochLeavesTheEndOfTheOldOneUnknown) {
  (void)event(1, "a", 5);
  EXPECT_EQ(event(1, "a", 9).missed, Missed{missed(2, 0, MissedReason::new_epoch, "a", 5)});
  EXPECT_TRUE(event(2, "a", 9).missed.empty());
  // A late one of the life that is over revives nothing.
  EXPECT_FALSE(event(1, "b", 1).repeated);
  EXPECT_TRUE(event(1, "a", 5).repeated);
  now_ += seconds{10};
  Missed silent = tracker_.silent(now_);
  ASSERT_EQ(silent.size(), 2U);
  EXPECT_EQ(silent[0].epoch, 9U);
  EXPECT_EQ(silent[1].node_id, "b");
}

TEST_F(NodeTrackerTest, AnEpochAfterAFarewellMissesNothing) {
  (void)event(1, "a", 9);
  (void)farewell(1, "a", 9);
  EXPECT_TRUE(heartbeat(0, "a", 5).missed.empty());
  EXPECT_TRUE(event(1, "a", 5).missed.empty());
}

TEST_F(NodeTrackerTest, SilenceIsReportedAgainAndAgainAndThenForgotten) {
  (void)event(3);
  EXPECT_TRUE(tracker_.silent(now_ + seconds{9}).empty());
  for (std::uint64_t i = 1; i <= NodeTracker::kMaxSilenceReports; ++i) {
    now_ += seconds{10};
    EXPECT_EQ(tracker_.silent(now_), Missed{missed(4, 0, MissedReason::silence)});
    EXPECT_TRUE(tracker_.silent(now_).empty());
    EXPECT_EQ(tracker_.any_silent(), i < NodeTracker::kMaxSilenceReports);
  }
  EXPECT_EQ(tracker_.size(), 0U);
  EXPECT_EQ(event(5).missed, Missed{missed(1, 4, MissedReason::first_sight)});
}

TEST_F(NodeTrackerTest, WhoIsHeardAgainIsNotSilentAnyMore) {
  (void)event(1);
  now_ += seconds{10};
  EXPECT_EQ(tracker_.silent(now_).size(), 1U);
  EXPECT_TRUE(heartbeat(1).missed.empty());
  EXPECT_FALSE(tracker_.any_silent());
  EXPECT_TRUE(tracker_.silent(now_ + seconds{9}).empty());
}

TEST_F(NodeTrackerTest, WhoSaidFarewellMayBeSilent) {
  (void)event(1);
  (void)farewell(1);
  EXPECT_TRUE(tracker_.silent(now_ + seconds{100}).empty());
  (void)heartbeat(1);
  EXPECT_EQ(tracker_.silent(now_ + seconds{100}).size(), 1U);
}

TEST_F(NodeTrackerTest, PastItsBoundTheLongestUnheardIsReportedAndGoes) {
  for (const char* node : {"a", "b", "c", "d"}) {
    now_ += seconds{1};
    (void)event(1, node);
  }
  (void)farewell(1, "c");
  EXPECT_TRUE(event(1, "e").missed.empty());  // c is over
  EXPECT_EQ(event(1, "f").missed, Missed{missed(2, 0, MissedReason::silence, "a")});
  EXPECT_EQ(tracker_.size(), 4U);
}

/// Whatever a network does to them: after a heartbeat each event has come, or was reported, or a flush that
/// came stands for it; and none was taken for a repetition that had not come.
TEST(NodeTrackerModelTest, NothingIsLostInSilence) {
  const std::uint64_t seed = testing::from_environment("DB4_TEST_SEED", 20'261'127);
  for (std::uint64_t round = 0; round < 2000; ++round) {
    SCOPED_TRACE("repeat it with DB4_TEST_SEED=" + std::to_string(seed + round));
    std::mt19937_64 random(seed + round);
    const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
    std::vector<InvalidationMessage> sent;
    const std::uint64_t count = 1 + random() % 150;
    for (std::uint64_t i = 1; i <= count; ++i) {
      InvalidationMessage message{.event = {.node_id = "a", .epoch = 1, .sequence = i}};
      if (chance(3)) message.event.type = InvalidationType::flush;
      if (!chance(10)) sent.push_back(message);
      if (chance(10)) sent.push_back(message);
    }
    for (std::size_t i = 1; i < sent.size(); ++i) {
      if (chance(20)) std::swap(sent[i], sent[i - std::min<std::size_t>(i, 1 + random() % 80)]);
    }
    sent.push_back({.kind = InvalidationMessageKind::heartbeat,
                    .event = {.node_id = "a", .epoch = 1, .sequence = count}});

    NodeTracker tracker({.max_nodes = 4, .silence_after = {}});
    std::set<std::uint64_t> known;
    std::set<std::uint64_t> came;
    for (const InvalidationMessage& message : sent) {
      const auto heard = tracker.hear(message, {});
      for (const MissedEvents& range : heard.missed) {
        for (std::uint64_t i = range.from; i <= range.to; ++i) known.insert(i);
      }
      if (message.kind != InvalidationMessageKind::event) continue;
      ASSERT_TRUE(!heard.repeated || came.contains(message.event.sequence));
      came.insert(message.event.sequence);
      known.insert(message.event.sequence);
      if (message.event.type != InvalidationType::flush) continue;
      for (std::uint64_t i = 1; i <= message.event.sequence; ++i) known.insert(i);
    }
    ASSERT_EQ(known.size(), count);
  }
}

}  // namespace
}  // namespace db4::invalidation
