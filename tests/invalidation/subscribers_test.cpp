// Who is told, in which thread, and what happens where one is slow, throws or leaves.

#include "invalidation/fixtures.hpp"
#include "support/sequence_point.hpp"

#include <db4/invalidation.hpp>

#include <stdexcept>
#include <thread>

namespace db4::testing {
namespace {

using std::chrono::minutes;

class SubscribersTest : public ::testing::Test {
 protected:
  void invalidate(const std::string& id) { manager_.invalidate("c", id); }
  auto into(Collected<InvalidationEvent>& events) {
    return manager_.subscribe([&events](const InvalidationEvent& event) { events.add(event); });
  }
  static std::vector<std::string> ids(const Collected<InvalidationEvent>& events) {
    std::vector<std::string> out;
    for (const auto& event : events.items()) out.push_back(event.id);
    return out;
  }

  CacheInvalidationManager manager_{
      {.node_id = "me", .epoch = 5, .max_subscribers = 4, .max_queued_events = 8}};
};

TEST_F(SubscribersTest, EveryEventIsToldInOrderWithItsNumber) {
  Collected<InvalidationEvent> events;
  const Subscription subscription = into(events);
  manager_.set("c", "a", make_document("c", "a", 3));
  manager_.set("c", "a", make_document("c", "a", 2));  // older than what is known
  manager_.set("c", "a", make_document("c", "a", 4), {}, manager_.begin_fill("c", "a"));  // a fill
  manager_.invalidate("c", "b", StorageTier::warm);
  manager_.invalidate_collection("c");
  manager_.invalidate_all();
  ASSERT_TRUE(manager_.drain(minutes{1}));
  const std::vector<InvalidationEvent> expected = {
      {.collection = "c", .id = "a", .version = 3, .node_id = "me", .epoch = 5, .sequence = 1},
      {.collection = "c", .id = "b", .tier = StorageTier::warm, .node_id = "me", .epoch = 5, .sequence = 2},
      {.type = InvalidationType::collection, .collection = "c", .node_id = "me", .epoch = 5, .sequence = 3},
      {.type = InvalidationType::flush, .node_id = "me", .epoch = 5, .sequence = 4}};
  EXPECT_EQ(events.items(), expected);
}

TEST_F(SubscribersTest, WritesAreNotToldWhereTheConfigurationSaysSo) {
  CacheInvalidationManager quiet({.invalidate_on_write = false});
  Collected<InvalidationEvent> events;
  const Subscription subscription =
      quiet.subscribe([&](const InvalidationEvent& event) { events.add(event); });
  quiet.set("c", "a", make_document("c", "a", 3));
  ASSERT_TRUE(quiet.drain(minutes{1}));
  EXPECT_TRUE(events.items().empty());
}

TEST_F(SubscribersTest, AnExceptionHarmsNoOther) {
  Collected<InvalidationEvent> events;
  const Subscription throwing =
      manager_.subscribe([](const InvalidationEvent&) { throw std::runtime_error("thrown by the test"); });
  const Subscription subscription = into(events);
  invalidate("a");
  invalidate("b");
  ASSERT_TRUE(manager_.drain(minutes{1}));
  EXPECT_EQ(ids(events), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(manager_.stats().subscriber_errors, 2U);
}

TEST_F(SubscribersTest, ASlowOneHoldsNobodyUpAndGetsAFlush) {
  SequencePoint inside;
  Collected<InvalidationEvent> slow;
  Collected<InvalidationEvent> quick;
  const Subscription first = manager_.subscribe([&](const InvalidationEvent& event) {
    slow.add(event);
    inside.arrive();
  });
  const Subscription second = into(quick);
  for (int i = 0; i < 20; ++i) {
    invalidate(std::to_string(i));
    if (i == 0) inside.wait_for(1);
    ASSERT_TRUE(quick.wait_for(static_cast<std::size_t>(i) + 1));
  }
  EXPECT_EQ(manager_.stats().subscriber_queued, 1U);
  inside.open();
  ASSERT_TRUE(manager_.drain(minutes{1}));
  const auto events = slow.items();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].id, "0");
  EXPECT_EQ(events[1].type, InvalidationType::flush);
  EXPECT_EQ(events[1].sequence, 20U);
  EXPECT_EQ(manager_.stats().collapsed_events, 19U);
}

TEST_F(SubscribersTest, OneMayLeaveInsideItsCallAndCallTheManager) {
  Collected<InvalidationEvent> events;
  Subscription itself;
  itself = manager_.subscribe([&](const InvalidationEvent& event) {
    if (event.id == "a") {
      invalidate("from inside");
      itself.cancel();
    }
    events.add(event);
  });
  invalidate("a");
  ASSERT_TRUE(events.wait_for(1));
  invalidate("b");
  ASSERT_TRUE(manager_.drain(minutes{1}));
  EXPECT_EQ(ids(events), std::vector<std::string>{"a"});
  EXPECT_EQ(manager_.stats().subscribers, 0U);
}

TEST_F(SubscribersTest, EndingWaitsForTheCallThatRuns) {
  SequencePoint inside;
  std::atomic<bool> returned = false;
  Subscription subscription = manager_.subscribe([&](const InvalidationEvent&) {
    inside.arrive();
    returned = true;
  });
  invalidate("a");
  inside.wait_for(1);
  std::jthread opener([&] { inside.open(); });
  subscription = Subscription();
  EXPECT_TRUE(returned);
}

TEST_F(SubscribersTest, AManagerMayGoInsideACallAndBeforeItsSubscriptions) {
  auto manager = std::make_unique<CacheInvalidationManager>();
  SequencePoint inside;
  Collected<bool> gone;
  const Subscription subscription = manager->subscribe([&](const InvalidationEvent&) {
    inside.arrive();  // until invalidate() has returned
    manager.reset();
    gone.add(true);
  });
  manager->invalidate("c", "a");
  inside.open();
  ASSERT_TRUE(gone.wait_for(1));
}

TEST_F(SubscribersTest, ThereAreNoMoreThanTheLimit) {
  Collected<InvalidationEvent> events;
  std::vector<Subscription> subscriptions;
  for (int i = 0; i < 4; ++i) subscriptions.push_back(into(events));
  EXPECT_THROW((void)into(events), Error);
  subscriptions.pop_back();
  subscriptions.push_back(into(events));
  EXPECT_EQ(manager_.stats().subscribers, 4U);
  manager_.close();
  manager_.close();
  EXPECT_EQ(manager_.stats().subscribers, 0U);
  EXPECT_THROW((void)into(events), Error);
  EXPECT_THROW(manager_.set_broadcast_channel(nullptr), Error);
  EXPECT_TRUE(manager_.set("c", "a", make_document("c", "a", 1)));
}

}  // namespace
}  // namespace db4::testing
