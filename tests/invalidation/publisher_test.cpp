// What goes out: in order, again after failures, bounded.

#include "invalidation/publisher.hpp"

#include "invalidation/fixtures.hpp"
#include "support/faulty_broadcast_channel.hpp"
#include "support/hasty_clock.hpp"
#include "support/sequence_point.hpp"

namespace db4::testing {
namespace {

using invalidation::Publisher;
using std::chrono::milliseconds;

InvalidationEvent event(std::uint64_t sequence) {
  return {
      .collection = "c", .id = "i", .version = sequence, .node_id = "a", .epoch = 1, .sequence = sequence};
}

/// Takes at most one message of each call, after the sequence point.
class SlowChannel final : public BroadcastChannel {
 public:
  explicit SlowChannel(SequencePoint& inside) : inside_(&inside) {}
  std::size_t publish(std::span<const std::string> messages) override {
    inside_->arrive();
    taken_.add(decode_invalidation(messages.front()));
    return 1;
  }
  Subscription subscribe(BroadcastReceiver) override { return {}; }
  std::string name() const override { return "slow"; }
  BroadcastStats stats() const override { return {}; }
  void close() override {}
  Collected<InvalidationMessage>& taken() { return taken_; }

 private:
  SequencePoint* inside_;
  Collected<InvalidationMessage> taken_;
};

class PublisherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    listening_ = channel_->subscribe(
        {.on_message = [this](std::string_view message) { heard_.add(decode_invalidation(message)); }});
  }
  Publisher::Options options(milliseconds heartbeat = {}) const {
    return {.node_id = "a",
            .epoch = 1,
            .max_queued = 8,
            .heartbeat_interval = heartbeat,
            .retry_base_delay = milliseconds{10},
            .retry_max_delay = milliseconds{100}};
  }
  std::vector<std::uint64_t> sequences() const {
    std::vector<std::uint64_t> out;
    for (const auto& message : heard_.items()) {
      if (message.kind == InvalidationMessageKind::event) out.push_back(message.event.sequence);
    }
    return out;
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<HastyClock> hasty_ = std::make_shared<HastyClock>();
  std::shared_ptr<FaultyBroadcastChannel> channel_ = std::make_shared<FaultyBroadcastChannel>(
      std::make_shared<DirectChannel>(std::make_shared<DirectHub>()), ChannelFaults{}, 1, clock_);
  Collected<InvalidationMessage> heard_;
  Subscription listening_;
};

TEST_F(PublisherTest, EventsGoOutInTheirOrderAndAFarewellEnds) {
  Publisher publisher(channel_, clock_, seeded_random(1), options(), 0, {});
  for (std::uint64_t i = 1; i <= 5; ++i) publisher.enqueue(event(i));
  publisher.stop();
  publisher.stop();
  EXPECT_EQ(sequences(), (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(heard_.items().back().kind, InvalidationMessageKind::farewell);
  EXPECT_EQ(heard_.items().back().event.sequence, 5U);
  EXPECT_EQ(publisher.stats().sent, 5U);
}

TEST_F(PublisherTest, WhatIsRefusedIsTriedAgainAndCounted) {
  channel_->refuse(7);
  Publisher publisher(channel_, hasty_, seeded_random(1), options(), 0, {});
  publisher.enqueue(event(1));
  publisher.enqueue(event(2));
  EXPECT_TRUE(publisher.wait_sent(MonotonicTime::max()));
  EXPECT_EQ(sequences(), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(publisher.stats().failures, 7U);
  EXPECT_EQ(publisher.stats().sent, 2U);
}

TEST_F(PublisherTest, AChannelThatHangsHoldsNoEventUpAndTheQueueBecomesOneFlush) {
  SequencePoint inside;
  const auto slow = std::make_shared<SlowChannel>(inside);
  Publisher publisher(slow, clock_, seeded_random(1), options(), 0, {});
  publisher.enqueue(event(1));
  inside.wait_for(1);
  for (std::uint64_t i = 2; i <= 100; ++i) publisher.enqueue(event(i));
  EXPECT_LE(publisher.stats().queued, 9U);
  EXPECT_EQ(publisher.stats().collapsed, 99U);
  inside.open();
  EXPECT_TRUE(publisher.wait_sent(MonotonicTime::max()));
  publisher.enqueue(event(101));
  EXPECT_TRUE(publisher.wait_sent(MonotonicTime::max()));
  const auto taken = slow->taken().items();
  ASSERT_EQ(taken.size(), 3U);
  EXPECT_EQ(taken[0].event, event(1));
  EXPECT_EQ(taken[1].event.type, InvalidationType::flush);
  EXPECT_EQ(taken[1].event.sequence, 100U);
  EXPECT_EQ(taken[2].event, event(101));
}

TEST_F(PublisherTest, HeartbeatsSayWhereTheNodeStands) {
  Publisher publisher(channel_, clock_, seeded_random(1), options(milliseconds{1000}), 7, {});
  ASSERT_TRUE(heard_.wait_for(1));
  EXPECT_EQ(heard_.items()[0].kind, InvalidationMessageKind::heartbeat);
  EXPECT_EQ(heard_.items()[0].event.sequence, 7U);
  publisher.enqueue(event(8));
  ASSERT_TRUE(heard_.wait_for(2));
  EXPECT_TRUE(publisher.wait_sent(MonotonicTime::max()));
  clock_->advance(std::chrono::seconds{1});
  ASSERT_TRUE(heard_.wait_for(3));
  EXPECT_EQ(heard_.items()[2].kind, InvalidationMessageKind::heartbeat);
  EXPECT_EQ(heard_.items()[2].event.sequence, 8U);
}

TEST_F(PublisherTest, WithoutAChannelThatTakesAnythingItEndsAllTheSame) {
  channel_->refuse(1'000'000);
  Publisher publisher(channel_, clock_, seeded_random(1), options(), 0, {});
  publisher.enqueue(event(1));
  publisher.stop();
  EXPECT_TRUE(heard_.items().empty());
  EXPECT_GE(publisher.stats().failures, 1U);
}

}  // namespace
}  // namespace db4::testing
