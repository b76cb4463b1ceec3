// Every channel of db4, and every layer over memory, under the one conformance suite; and what only some do.

#include "invalidation/channel_suite.hpp"
#include "invalidation/fixtures.hpp"
#include "support/faulty_broadcast_channel.hpp"
#include "support/sequence_point.hpp"

#include <atomic>

namespace db4::testing {
namespace {

using Channels = std::vector<std::shared_ptr<BroadcastChannel>>;

Channels in_memory(std::size_t count) {
  static std::atomic<int> groups = 0;
  const std::string name = "group " + std::to_string(++groups);
  Channels channels;
  for (std::size_t i = 0; i < count; ++i)
    channels.push_back(std::make_shared<InMemoryBroadcastChannel>(name));
  return channels;
}

Channels direct(std::size_t count) {
  const auto hub = std::make_shared<DirectHub>();
  Channels channels;
  for (std::size_t i = 0; i < count; ++i) channels.push_back(std::make_shared<DirectChannel>(hub));
  return channels;
}

/// The layer without faults is to be no layer.
Channels faultless(std::size_t count) {
  Channels channels = in_memory(count);
  for (auto& channel : channels) {
    channel = std::make_shared<FaultyBroadcastChannel>(channel, ChannelFaults{}, 1,
                                                       std::make_shared<SimulatedClock>());
  }
  return channels;
}

INSTANTIATE_TEST_SUITE_P(Channels, ChannelSuite,
                         ::testing::Values(ChannelFactory{.name = "Memory", .make = &in_memory},
                                           ChannelFactory{
                                               .name = "Direct", .make = &direct, .calls_in_publish = true},
                                           ChannelFactory{.name = "FaultyWithoutFaults", .make = &faultless}),
                         [](const auto& param) { return param.param.name; });

TEST(InMemoryBroadcastChannelTest, ASlowReceiverIsToldThatItLostSomethingAndHoldsNobodyUp) {
  InMemoryBroadcastChannel channel("slow", 4);
  SequencePoint inside;
  Collected<std::string> heard;
  const Subscription slow = channel.subscribe({.on_message =
                                                   [&](std::string_view message) {
                                                     heard.add(std::string(message));
                                                     inside.arrive();
                                                   },
                                               .on_lost = [&] { heard.add("(lost)"); }});
  Collected<std::string> quick;
  const Subscription other =
      channel.subscribe({.on_message = [&](std::string_view message) { quick.add(std::string(message)); }});
  const auto publish = [&](const std::string& message) { channel.publish(std::span(&message, 1)); };
  publish("0");
  inside.wait_for(1);
  for (int i = 1; i <= 10; ++i) {
    publish(std::to_string(i));
    ASSERT_TRUE(quick.wait_for(static_cast<std::size_t>(i) + 1));
  }
  EXPECT_EQ(channel.stats().queued, 1U);
  EXPECT_EQ(channel.stats().lost, 10U);
  inside.open();
  ASSERT_TRUE(heard.wait_for(2));
  publish("11");
  ASSERT_TRUE(heard.wait_for(3));
  EXPECT_EQ(heard.items(), (std::vector<std::string>{"0", "(lost)", "11"}));
}

TEST(InMemoryBroadcastChannelTest, ANameIsFreeAgainWhenItsChannelsAreGone) {
  for (int i = 0; i < 3; ++i) {
    InMemoryBroadcastChannel first("name");
    InMemoryBroadcastChannel second("name");
    Collected<std::string> heard;
    const Subscription subscription =
        second.subscribe({.on_message = [&](std::string_view message) { heard.add(std::string(message)); }});
    const std::string message = std::to_string(i);
    first.publish(std::span(&message, 1));
    ASSERT_TRUE(heard.wait_for(1));
    EXPECT_EQ(heard.items().front(), message);
  }
}

TEST(InMemoryBroadcastChannelTest, ASubscriptionMayOutliveItsChannel) {
  Subscription subscription;
  {
    InMemoryBroadcastChannel channel("short");
    subscription = channel.subscribe({.on_message = [](std::string_view) {}});
    EXPECT_TRUE(subscription);
    EXPECT_EQ(channel.stats().receivers, 1U);
  }
  subscription = Subscription();
  EXPECT_FALSE(subscription);
}

/// What arrives of messages 0 to 199 with these faults.
std::vector<std::string> arrivals(ChannelFaults faults, std::uint64_t seed) {
  const auto hub = std::make_shared<DirectHub>();
  const auto clock = std::make_shared<SimulatedClock>();
  FaultyBroadcastChannel channel(std::make_shared<DirectChannel>(hub), faults, seed, clock);
  Collected<std::string> heard;
  const Subscription subscription =
      channel.subscribe({.on_message = [&](std::string_view message) { heard.add(std::string(message)); }});
  for (int i = 0; i < 200; ++i) {
    const std::string message = std::to_string(i);
    channel.publish(std::span(&message, 1));
    clock->advance(std::chrono::milliseconds{1});
  }
  clock->advance(faults.max_delay);
  channel.deliver_due();
  channel.deliver_all();
  return heard.items();
}

TEST(FaultyBroadcastChannelTest, ReplaysFromItsSeed) {
  const ChannelFaults faults{.drop = 0.1, .duplicate = 0.1, .delay = 0.1, .reorder = 0.1};
  EXPECT_EQ(arrivals(faults, 7), arrivals(faults, 7));
  EXPECT_NE(arrivals(faults, 7), arrivals(faults, 8));
}

TEST(FaultyBroadcastChannelTest, EveryFaultDoesWhatItsNameSays) {
  const auto sorted = [](std::vector<std::string> items) {
    std::ranges::sort(items);
    return items;
  };
  const auto whole = arrivals({}, 1);
  EXPECT_EQ(whole.size(), 200U);
  const auto dropped = arrivals({.drop = 0.5}, 1);
  EXPECT_LT(dropped.size(), 150U);
  EXPECT_GT(dropped.size(), 50U);
  EXPECT_GT(arrivals({.duplicate = 0.5}, 1).size(), 250U);
  for (const ChannelFaults& faults : {ChannelFaults{.delay = 0.5}, ChannelFaults{.reorder = 0.5}}) {
    const auto shuffled = arrivals(faults, 1);
    EXPECT_NE(shuffled, whole);
    EXPECT_EQ(sorted(shuffled), sorted(whole));
  }
}

TEST(FaultyBroadcastChannelTest, APartitionCutsBothWaysUntilItIsHealed) {
  const auto hub = std::make_shared<DirectHub>();
  DirectChannel whole(hub);
  FaultyBroadcastChannel cut(std::make_shared<DirectChannel>(hub), {}, 1, std::make_shared<SimulatedClock>());
  Collected<std::string> at_whole;
  Collected<std::string> at_cut;
  const Subscription first =
      whole.subscribe({.on_message = [&](std::string_view message) { at_whole.add(std::string(message)); }});
  const Subscription second =
      cut.subscribe({.on_message = [&](std::string_view message) { at_cut.add(std::string(message)); }});
  const auto both_publish = [&](const std::string& message) {
    whole.publish(std::span(&message, 1));
    cut.publish(std::span(&message, 1));
  };
  cut.partition();
  both_publish("a");
  EXPECT_EQ(at_whole.items().size(), 1U);
  EXPECT_EQ(at_cut.items().size(), 0U);
  cut.heal();
  both_publish("b");
  EXPECT_EQ(at_whole.items().size(), 3U);
  EXPECT_EQ(at_cut.items().size(), 2U);
  EXPECT_EQ(cut.dropped(), 1U);
}

}  // namespace
}  // namespace db4::testing
