#include "invalidation/channel_suite.hpp"

#include "invalidation/fixtures.hpp"
#include "support/sequence_point.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <thread>

namespace db4::testing {
namespace {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ChannelSuite);

using Messages = Collected<std::string>;

BroadcastReceiver into(const std::shared_ptr<Messages>& messages) {
  return {.on_message = [messages](std::string_view message) { messages->add(std::string(message)); }};
}

ErrorCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::internal;
}

TEST_P(ChannelSuite, AMessageReachesEveryOtherChannel) {
  const auto second = std::make_shared<Messages>();
  const auto third = std::make_shared<Messages>();
  const Subscription at_second = channels_[1]->subscribe(into(second));
  const Subscription at_third = channels_[2]->subscribe(into(third));
  publish(*channels_[0], {"hello"});
  ASSERT_TRUE(second->wait_for(1));
  ASSERT_TRUE(third->wait_for(1));
  EXPECT_EQ(second->items().front(), "hello");
  EXPECT_EQ(third->items().front(), "hello");
  EXPECT_FALSE(channels_[0]->name().empty());
}

TEST_P(ChannelSuite, MessagesAreArbitraryBytesAndArriveAsTheyWere) {
  const std::vector<std::string> messages = {std::string(1, '\0'), std::string("\0\xff\n\r'", 5), "\xff\xfe",
                                             std::string(kMaxBroadcastMessageBytes, '\xff'), "$1\r\n*2"};
  const auto heard = std::make_shared<Messages>();
  const Subscription subscription = channels_[1]->subscribe(into(heard));
  publish(*channels_[0], messages);
  ASSERT_TRUE(heard->wait_for(messages.size()));
  EXPECT_EQ(heard->items(), messages);
}

TEST_P(ChannelSuite, IllegalMessagesAreRefusedAsAWhole) {
  const auto heard = std::make_shared<Messages>();
  const Subscription subscription = channels_[1]->subscribe(into(heard));
  BroadcastChannel& channel = *channels_[0];
  EXPECT_EQ(code_of([&] { publish(channel, {"a", ""}); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] {
              publish(channel, {"b", std::string(kMaxBroadcastMessageBytes + 1, 'x')});
            }),
            ErrorCode::too_large);
  publish(channel, {"c"});
  ASSERT_TRUE(heard->wait_for(1));
  EXPECT_EQ(heard->items(), std::vector<std::string>{"c"});
}

TEST_P(ChannelSuite, EachPublisherIsHeardInItsOrderAndInFull) {
  constexpr int kEach = 500;
  const auto heard = std::make_shared<Messages>();
  const Subscription subscription = channels_[2]->subscribe(into(heard));
  std::vector<std::jthread> threads;
  for (int node = 0; node < 2; ++node) {
    threads.emplace_back([this, node] {
      for (int i = 0; i < kEach; i += 5) {
        std::vector<std::string> batch;
        for (int j = i; j < i + 5; ++j) batch.push_back(std::to_string(node) + ":" + std::to_string(j));
        publish(*channels_[static_cast<std::size_t>(node)], batch);
      }
    });
  }
  threads.clear();
  ASSERT_TRUE(heard->wait_for(2 * kEach));
  std::map<char, int> next;
  for (const std::string& message : heard->items()) {
    EXPECT_EQ(std::stoi(message.substr(2)), next[message.front()]++);
  }
  EXPECT_EQ(next['0'], kEach);
  EXPECT_EQ(next['1'], kEach);
}

TEST_P(ChannelSuite, AnEndedSubscriptionHearsNothing) {
  const auto ended = std::make_shared<Messages>();
  const auto heard = std::make_shared<Messages>();
  const Subscription subscription = channels_[1]->subscribe(into(heard));
  {
    const Subscription brief = channels_[1]->subscribe(into(ended));
    publish(*channels_[0], {"first"});
    ASSERT_TRUE(ended->wait_for(1));
  }
  publish(*channels_[0], {"second"});
  ASSERT_TRUE(heard->wait_for(2));
  EXPECT_EQ(ended->items(), std::vector<std::string>{"first"});
}

TEST_P(ChannelSuite, AReceiverMayEndItselfInsideItsCall) {
  const auto heard = std::make_shared<Messages>();
  const auto after = std::make_shared<Messages>();
  Subscription itself;
  itself = channels_[1]->subscribe({.on_message = [&](std::string_view message) {
    itself.cancel();
    heard->add(std::string(message));
  }});
  const Subscription other = channels_[1]->subscribe(into(after));
  publish(*channels_[0], {"first"});
  ASSERT_TRUE(heard->wait_for(1));
  publish(*channels_[0], {"second"});
  ASSERT_TRUE(after->wait_for(2));
  EXPECT_EQ(heard->items(), std::vector<std::string>{"first"});
}

TEST_P(ChannelSuite, EndingWaitsForACallThatRuns) {
  SequencePoint inside;
  std::atomic<bool> returned = false;
  Subscription subscription = channels_[1]->subscribe({.on_message = [&](std::string_view) {
    inside.arrive();
    returned = true;
  }});
  std::jthread publisher([this] { publish(*channels_[0], {"hello"}); });
  inside.wait_for(1);
  std::atomic<bool> ended_early = false;
  std::jthread ender([&] {
    subscription.cancel();
    ended_early = !returned;
  });
  inside.open();
  ender.join();
  EXPECT_FALSE(ended_early);
}

TEST_P(ChannelSuite, AReceiverThatThrowsHarmsNobody) {
  const auto heard = std::make_shared<Messages>();
  const auto own = std::make_shared<Messages>();
  const Subscription throwing = channels_[1]->subscribe({.on_message = [own](std::string_view message) {
    own->add(std::string(message));
    throw std::runtime_error("thrown by the test");
  }});
  const Subscription other = channels_[1]->subscribe(into(heard));
  publish(*channels_[0], {"first", "second"});
  ASSERT_TRUE(heard->wait_for(2));
  ASSERT_TRUE(own->wait_for(2));
}

TEST_P(ChannelSuite, ASlowReceiverHoldsNobodyUpAndHearsAllOrThatSomethingWasLost) {
  if (GetParam().calls_in_publish) GTEST_SKIP() << "it calls receivers in the thread that publishes";
  constexpr std::size_t kMessages = 20'000;
  SequencePoint inside;
  const auto slow = std::make_shared<Messages>();
  const Subscription at_slow = channels_[1]->subscribe({.on_message =
                                                            [&inside, slow](std::string_view message) {
                                                              inside.arrive();
                                                              slow->add(std::string(message));
                                                            },
                                                        .on_lost = [slow] { slow->add("(lost)"); }});
  publish(*channels_[0], {"0"});
  inside.wait_for(1);
  for (std::size_t i = 1; i < kMessages; i += 100) {
    std::vector<std::string> batch;
    for (std::size_t j = i; j < std::min(i + 100, kMessages); ++j) batch.push_back(std::to_string(j));
    publish(*channels_[0], batch);
  }
  const auto quick = std::make_shared<Messages>();
  const Subscription at_quick = channels_[2]->subscribe(into(quick));
  publish(*channels_[0], {"still there"});
  ASSERT_TRUE(quick->wait([](const auto& items) { return std::ranges::count(items, "still there") == 1; }));
  inside.open();
  ASSERT_TRUE(slow->wait([](const auto& items) {
    return items.size() > kMessages || std::ranges::count(items, "(lost)") != 0;
  }));
  const auto heard = slow->items();
  for (std::size_t i = 0; i < heard.size() && heard[i] != "(lost)"; ++i) {
    EXPECT_EQ(heard[i], i < kMessages ? std::to_string(i) : "still there");
  }
}

TEST_P(ChannelSuite, AReceiverMayPublish) {
  const auto answers = std::make_shared<Messages>();
  const Subscription asked = channels_[1]->subscribe({.on_message = [this](std::string_view message) {
    if (message == "ping") publish(*channels_[1], {"pong"});
  }});
  const Subscription asking = channels_[0]->subscribe(into(answers));
  publish(*channels_[0], {"ping"});
  ASSERT_TRUE(answers->wait([](const auto& items) { return std::ranges::count(items, "pong") == 1; }));
}

TEST_P(ChannelSuite, ChannelsOfAnotherGroupHearNothing) {
  const auto others = GetParam().make(1);
  const auto heard = std::make_shared<Messages>();
  const Subscription subscription = others[0]->subscribe(into(heard));
  publish(*channels_[0], {"not for them"});
  publish(*others[0], {"for them"});
  // Not every channel lets a node hear itself; what it hears at least is its own.
  const auto own = std::make_shared<Messages>();
  const Subscription at_other = channels_[1]->subscribe(into(own));
  publish(*channels_[0], {"for us"});
  ASSERT_TRUE(own->wait_for(1));
  for (const std::string& message : heard->items()) EXPECT_EQ(message, "for them");
  others[0]->close();
}

TEST_P(ChannelSuite, AClosedChannelTakesAndGivesNothing) {
  const auto heard = std::make_shared<Messages>();
  const auto other = std::make_shared<Messages>();
  const Subscription at_closed = channels_[1]->subscribe(into(heard));
  const Subscription at_other = channels_[2]->subscribe(into(other));
  channels_[1]->close();
  channels_[1]->close();
  EXPECT_EQ(code_of([this] { publish(*channels_[1], {"hello"}); }), ErrorCode::unavailable);
  EXPECT_EQ(code_of([&] { (void)channels_[1]->subscribe(into(heard)); }), ErrorCode::unavailable);
  publish(*channels_[0], {"hello"});
  ASSERT_TRUE(other->wait_for(1));
  EXPECT_TRUE(heard->items().empty());
}

TEST_P(ChannelSuite, StatsCountWhatWasPublished) {
  publish(*channels_[0], {"a", "b", "c"});
  EXPECT_EQ(channels_[0]->stats().published, 3U);
}

}  // namespace
}  // namespace db4::testing
