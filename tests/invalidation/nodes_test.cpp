// Several managers over one channel, whole and broken.

#include "invalidation/fixtures.hpp"
#include "support/faulty_broadcast_channel.hpp"
#include "support/sequence_point.hpp"

#include <db4/invalidation.hpp>

#include <map>
#include <random>
#include <thread>

namespace db4::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

/// Three nodes. What one publishes has reached the others when its drain() returned: the channels are direct.
class NodesTest : public ::testing::Test {
 protected:
  struct Node {
    std::shared_ptr<FaultyBroadcastChannel> channel;
    std::unique_ptr<CacheInvalidationManager> manager;
  };

  void SetUp() override {
    for (const char* name : {"a", "b", "c"}) start(name);
    for (auto& [name, node] : nodes_) ASSERT_TRUE(node.manager->drain(minutes{1}));
  }
  void TearDown() override {
    for (auto& [name, node] : nodes_) node.manager->close();
  }
  void start(const std::string& name, ChannelFaults faults = {}) {
    Node& node = nodes_[name];
    if (node.manager) node.manager->close();
    node.channel =
        std::make_shared<FaultyBroadcastChannel>(std::make_shared<DirectChannel>(hub_), faults, 1, clock_);
    node.manager = std::make_unique<CacheInvalidationManager>(
        CacheInvalidationConfig{
            .node_id = name, .heartbeat_interval = heartbeat_, .silence_after = seconds{10}},
        clock_, seeded_random(++seed_));
    node.manager->set_broadcast_channel(node.channel);
  }
  CacheInvalidationManager& at(const std::string& name) { return *nodes_.at(name).manager; }
  void fill(const std::string& node, const std::string& id, Version version) {
    EXPECT_TRUE(at(node).set("c", id, make_document("c", id, version), {}, at(node).begin_fill("c", id)));
  }
  void sent(const std::string& node) { ASSERT_TRUE(at(node).drain(minutes{1})); }
  Version held(const std::string& node, const std::string& id) {
    const CacheLookup lookup = at(node).get("c", id);
    return lookup.value ? lookup.value->version() : 0;
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<DirectHub> hub_ = std::make_shared<DirectHub>();
  std::chrono::milliseconds heartbeat_{0};
  std::uint64_t seed_ = 0;
  std::map<std::string, Node> nodes_;
};

TEST_F(NodesTest, WhatOneInvalidatesTheOthersDrop) {
  for (const char* node : {"a", "b", "c"}) fill(node, "i", 1);
  at("a").announce({.collection = "c", .id = "i", .version = 2});
  sent("a");
  for (const char* node : {"a", "b", "c"}) EXPECT_EQ(held(node, "i"), 0U);
  EXPECT_EQ(at("b").stats().events_received, 1U);
  EXPECT_EQ(at("a").stats().ignored_own, 1U);
  EXPECT_EQ(at("a").stats().events_sent, 1U);
  EXPECT_EQ(at("b").stats().missed, 0U);
}

TEST_F(NodesTest, AWriteIsToldAndTheNewVersionStaysWhereItIsKnown) {
  fill("b", "i", 1);
  fill("c", "i", 2);
  EXPECT_TRUE(at("a").set("c", "i", make_document("c", "i", 2)));
  sent("a");
  EXPECT_EQ(held("a", "i"), 2U);
  EXPECT_EQ(held("b", "i"), 0U);
  EXPECT_EQ(held("c", "i"), 2U);
  EXPECT_EQ(at("c").stats().ignored_old, 1U);
}

TEST_F(NodesTest, CollectionsAndFlushesReachEverybody) {
  for (const char* id : {"1", "2"}) fill("b", id, 1);
  EXPECT_EQ(at("a").invalidate_collection("c"), 0U);
  sent("a");
  EXPECT_EQ(at("b").stats().entries, 0U);
  fill("b", "1", 1);
  at("c").invalidate_all();
  sent("c");
  EXPECT_EQ(at("b").stats().entries, 0U);
}

TEST_F(NodesTest, SubscribersHearOfOtherNodesOnceAlsoWhereMessagesAreDoubled) {
  nodes_.at("a").channel->set_faults({.duplicate = 1.0});
  Collected<InvalidationEvent> events;
  const Subscription subscription =
      at("b").subscribe([&](const InvalidationEvent& event) { events.add(event); });
  at("a").announce({.collection = "c", .id = "i", .version = 7});
  sent("a");
  ASSERT_TRUE(at("b").drain(minutes{1}));
  ASSERT_EQ(events.items().size(), 1U);
  EXPECT_EQ(events.items()[0].node_id, "a");
  EXPECT_EQ(events.items()[0].epoch, at("a").epoch());
  EXPECT_EQ(events.items()[0].sequence, 1U);
  EXPECT_EQ(at("b").stats().ignored_repeated, 1U);
}

TEST_F(NodesTest, AGapFlushesWhereNobodyCanTellWhatWasMissed) {
  fill("b", "i", 1);
  fill("b", "other", 1);
  nodes_.at("a").channel->partition();
  at("a").announce({.collection = "c", .id = "i", .version = 2});
  sent("a");
  nodes_.at("a").channel->heal();
  EXPECT_EQ(held("b", "i"), 1U);
  at("a").announce({.collection = "c", .id = "x", .version = 2});
  sent("a");
  EXPECT_EQ(held("b", "i"), 0U);
  EXPECT_EQ(held("b", "other"), 0U);
  EXPECT_EQ(at("b").stats().missed, 1U);
}

TEST_F(NodesTest, AHandlerThatReadsTheRecordSparesTheFlush) {
  fill("b", "i", 1);
  fill("b", "other", 1);
  std::map<std::uint64_t, InvalidationEvent> record;
  Collected<MissedEvents> asked;
  at("b").set_missed_handler([&](const MissedEvents& missed) {
    for (std::uint64_t i = missed.from; i <= missed.to; ++i) at("b").apply(record.at(i));
    asked.add(missed);
    return true;
  });
  const auto announce = [&](std::uint64_t number, const std::string& id) {
    record[number] = {.collection = "c", .id = id, .version = 2, .sequence = number};
    at("a").announce(record[number]);
    sent("a");
  };
  nodes_.at("a").channel->partition();
  announce(1, "i");
  nodes_.at("a").channel->heal();
  announce(2, "x");
  ASSERT_TRUE(at("b").drain(minutes{1}));
  EXPECT_EQ(held("b", "i"), 0U);
  EXPECT_EQ(held("b", "other"), 1U);
  ASSERT_EQ(asked.items().size(), 1U);
  EXPECT_EQ(asked.items()[0], (MissedEvents{.node_id = "a",
                                            .epoch = at("a").epoch(),
                                            .from = 1,
                                            .to = 1,
                                            .reason = MissedReason::first_sight}));
  EXPECT_EQ(at("b").stats().recovered, 1U);
}

TEST_F(NodesTest, AHandlerThatFailsIsFollowedByAFlush) {
  int calls = 0;
  at("b").set_missed_handler([&](const MissedEvents&) -> bool {
    if (++calls == 1) throw Error(ErrorCode::unavailable, "the record is away", "ordered by the test");
    return false;
  });
  for (std::uint64_t number : {5U, 9U}) {
    fill("b", "other", 1);
    at("a").announce({.collection = "c", .id = "i", .version = number, .sequence = number});
    sent("a");
    ASSERT_TRUE(at("b").drain(minutes{1}));
    EXPECT_EQ(held("b", "other"), 0U);
  }
  at("b").set_missed_handler(nullptr);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(at("b").stats().recovered, 0U);
}

TEST_F(NodesTest, ALostConnectionOrADamagedMessageFlushes) {
  fill("b", "i", 1);
  hub_->publish("rubbish");
  EXPECT_EQ(held("b", "i"), 0U);
  EXPECT_EQ(at("b").stats().undecodable, 1U);
  const auto flushes = at("b").stats().flushes;
  fill("b", "i", 1);
  const auto lossy = std::make_shared<InMemoryBroadcastChannel>("lossy", 1);
  at("b").set_broadcast_channel(lossy);
  EXPECT_EQ(held("b", "i"), 0U);  // nobody told of changes between the two channels
  EXPECT_GT(at("b").stats().flushes, flushes);
}

TEST_F(NodesTest, ANewLifeOfANodeIsHeard) {
  fill("b", "i", 1);
  at("a").announce({.collection = "c", .id = "x", .version = 2});
  sent("a");
  start("a");  // with a farewell
  at("a").announce({.collection = "c", .id = "i", .version = 2});
  sent("a");
  EXPECT_EQ(held("b", "i"), 0U);
  EXPECT_EQ(at("b").stats().missed, 0U);
  fill("b", "other", 1);
  nodes_.at("a").channel->partition();  // without one
  start("a");
  at("a").announce({.collection = "c", .id = "x", .version = 3});
  sent("a");
  EXPECT_EQ(held("b", "other"), 0U);
  EXPECT_EQ(at("b").stats().missed, 1U);
}

TEST_F(NodesTest, WithoutBroadcastAChannelIsNotTouched) {
  CacheInvalidationManager alone({.broadcast_enabled = false}, clock_);
  const auto channel = std::make_shared<DirectChannel>(hub_);
  alone.set_broadcast_channel(channel);
  alone.invalidate_all();
  EXPECT_EQ(channel->stats().published, 0U);
  EXPECT_FALSE(alone.hears_all());
}

TEST_F(NodesTest, AChannelThatCannotBeListenedToIsRefused) {
  const auto channel = std::make_shared<DirectChannel>(hub_);
  channel->close();
  EXPECT_THROW(at("a").set_broadcast_channel(channel), Error);
  EXPECT_FALSE(at("a").hears_all());
  at("a").set_broadcast_channel(nullptr);
}

class NodesWithHeartbeatsTest : public NodesTest {
 protected:
  NodesWithHeartbeatsTest() { heartbeat_ = seconds{1}; }

  /// A second passes, and every node has beaten and looked for silence.
  void second() {
    const auto beats = [this] {
      std::uint64_t sum = 0;
      for (auto& [name, node] : nodes_) sum += node.manager->stats().heartbeats_sent;
      return sum;
    };
    const std::uint64_t before = beats();
    clock_->advance(seconds{1});
    while (beats() < before + nodes_.size() || clock_->waiting() < nodes_.size()) std::this_thread::yield();
  }
};

TEST_F(NodesWithHeartbeatsTest, WhatWasLostAtTheEndIsNoticedByTheNextHeartbeat) {
  fill("b", "i", 1);
  nodes_.at("a").channel->partition();
  at("a").announce({.collection = "c", .id = "i", .version = 2});
  sent("a");
  nodes_.at("a").channel->heal();
  EXPECT_EQ(held("b", "i"), 1U);
  second();
  EXPECT_EQ(held("b", "i"), 0U);
}

TEST_F(NodesWithHeartbeatsTest, SilenceIsNoticedAndEndsWhenTheNodeIsHeardAgain) {
  second();
  EXPECT_TRUE(at("b").hears_all());
  nodes_.at("a").channel->partition(true, false);
  for (int i = 0; i < 9; ++i) second();
  fill("b", "i", 1);
  EXPECT_EQ(held("b", "i"), 1U);
  for (int i = 0; i < 2; ++i) second();
  EXPECT_EQ(held("b", "i"), 0U);
  EXPECT_FALSE(at("b").hears_all());
  EXPECT_TRUE(at("a").hears_all());
  nodes_.at("a").channel->heal();
  second();
  EXPECT_TRUE(at("b").hears_all());
  EXPECT_EQ(at("b").stats().missed, 1U);
  EXPECT_EQ(at("b").stats().nodes, 2U);
}

/// Nodes write, read and fill through a bad network. When it is whole again and each has beaten once, nobody
/// holds what is old.
TEST_F(NodesWithHeartbeatsTest, ConvergesAfterWhateverANetworkDoes) {
  const std::uint64_t first_seed = from_environment("DB4_TEST_SEED", 7);
  const std::uint64_t rounds = std::min<std::uint64_t>(from_environment("DB4_TEST_STEPS", 20'000) / 1000, 20);
  for (std::uint64_t round = 0; round < std::max<std::uint64_t>(rounds, 2); ++round) {
    SCOPED_TRACE("repeat it with DB4_TEST_SEED=" + std::to_string(first_seed + round));
    std::mt19937_64 random(first_seed + round);
    std::map<std::string, Version> truth;
    for (auto& [name, node] : nodes_) {
      node.channel->set_faults({.drop = 0.1, .duplicate = 0.1, .delay = 0.2, .reorder = 0.1});
    }
    const std::vector<std::string> names = {"a", "b", "c"};
    for (int i = 0; i < 300; ++i) {
      const std::string& name = names[random() % names.size()];
      const std::string id = std::to_string(random() % 8);
      switch (random() % 8) {
        case 0:
        case 1:
          at(name).set("c", id,
                       make_document("c", id, truth[id] = 1000 * round + static_cast<Version>(i) + 1));
          break;
        case 2:
          nodes_.at(name).channel->partition(random() % 2 == 0, random() % 2 == 0);
          break;
        case 3:
          clock_->advance(std::chrono::milliseconds{random() % 200});
          break;
        default:
          if (truth[id] != 0) {
            at(name).set("c", id, make_document("c", id, truth[id]), {}, at(name).begin_fill("c", id));
          }
      }
    }
    for (auto& [name, node] : nodes_) {
      node.channel->set_faults({});
      node.channel->heal();
      sent(name);
      node.channel->deliver_all();
    }
    second();
    for (const std::string& name : names) {
      for (const auto& [id, version] : truth) {
        const Version copy = held(name, id);
        EXPECT_TRUE(copy == 0 || copy == version) << name << " " << id << " " << copy << " " << version;
      }
    }
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace db4::testing
