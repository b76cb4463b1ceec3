// The channel over Redis against servers that the test starts, and hurts.
#include "invalidation/channel_suite.hpp"
#include "invalidation/fixtures.hpp"
#include "net/redis_client.hpp"
#include "support/redis_server.hpp"
#include "support/sequence_point.hpp"

#include <db4/invalidation.hpp>
#include <db4/redis_channel.hpp>

#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

namespace db4::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using Channels = std::vector<std::shared_ptr<BroadcastChannel>>;
using Messages = Collected<std::string>;

const char* const kLost = "(lost)";

/// As long as publishing may take, for machines that are busy.
RedisChannelOptions options_for(const std::string& endpoint) {
  return {.endpoint = endpoint, .connect_timeout = 300ms, .timeout = 350ms};
}

ChannelFactory over(const std::string& name, bool tls) {
  const auto server = std::make_shared<std::unique_ptr<RedisServer>>();
  return {.name = name,
          .make =
              [server, tls](std::size_t count) {
                static int groups = 0;
                if (*server == nullptr)
                  *server = std::make_unique<RedisServer>(RedisServer::Options{.tls = tls});
                RedisChannelOptions options =
                    options_for(tls ? (*server)->endpoint() : (*server)->unix_endpoint());
                if (tls) options.ca_file = (*server)->ca_file();
                options.key = "group:" + std::to_string(++groups);
                Channels channels;
                for (std::size_t i = 0; i < count; ++i) {
                  channels.push_back(std::make_shared<RedisBroadcastChannel>(options));
                }
                return channels;
              },
          .cleanup = [server] { server->reset(); },
          .skip_reason = RedisServer::absence()};
}

INSTANTIATE_TEST_SUITE_P(Redis, ChannelSuite,
                         ::testing::Values(over("Redis", false), over("RedisOverTls", true)),
                         [](const auto& param) { return param.param.name; });

/// Tries for a minute, lest a fault hang the test.
template <typename Condition>
void poll(const Condition& condition) {
  const MonotonicTime deadline = system_clock()->monotonic() + 1min;
  while (!condition() && system_clock()->monotonic() < deadline) std::this_thread::yield();
}

ErrorCode publish_once(BroadcastChannel& channel, const std::string& message) {
  try {
    EXPECT_EQ(channel.publish(std::span(&message, 1)), 1U);
    return ErrorCode::internal;  // none
  } catch (const Error& error) {
    return error.code();
  }
}
constexpr ErrorCode kTaken = ErrorCode::internal;

/// As a manager does: again, as long as it is worth it. So a message may come twice.
void publish(BroadcastChannel& channel, const std::string& message) {
  ErrorCode code = ErrorCode::unavailable;
  poll([&] { return (code = publish_once(channel, message)) != ErrorCode::unavailable; });
  EXPECT_EQ(code, kTaken);
}

/// In the order in which they came first.
std::vector<std::string> without_repetitions(const std::vector<std::string>& items) {
  std::vector<std::string> out;
  for (const std::string& item : items) {
    if (std::ranges::find(out, item) == out.end()) out.push_back(item);
  }
  return out;
}

class RedisChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string absence = RedisServer::absence(); !absence.empty()) GTEST_SKIP() << absence;
  }
  static BroadcastReceiver into(Messages& messages) {
    return {.on_message = [&](std::string_view message) { messages.add(std::string(message)); },
            .on_lost = [&] { messages.add(kLost); }};
  }
  static bool wait_for_item(Messages& messages, const std::string& item) {
    return messages.wait([&](const auto& items) { return std::ranges::count(items, item) > 0; });
  }
  static void ask(const RedisServer& server, std::initializer_list<std::string_view> words) {
    net::RedisClient client({.endpoint = net::parse_redis_endpoint(server.unix_endpoint(), "endpoint"),
                             .connect_timeout = 1min,
                             .timeout = 1min});
    (void)client.command(words);
  }
};

/// A server that has a user of its own for who reads, so that reading alone can be cut off.
class CutOffReader {
 public:
  explicit CutOffReader(RedisServer::Options options = {}) : server_(with_user(std::move(options))) {}

  RedisServer& server() { return server_; }
  RedisChannelOptions options() const {
    RedisChannelOptions made = options_for(server_.unix_endpoint());
    made.username = "reader";
    made.password = "sesame";
    return made;
  }
  /// Until the channel has noticed.
  void cut_off(const RedisBroadcastChannel& channel) {
    admin().command({"ACL", "SETUSER", "reader", "off"});
    admin().command({"CLIENT", "KILL", "USER", "reader"});
    poll([&] { return channel.last_error().find("WRONGPASS") != std::string::npos; });
    EXPECT_THAT(channel.last_error(), HasSubstr("WRONGPASS"));
  }
  void let_in() { admin().command({"ACL", "SETUSER", "reader", "on"}); }

 private:
  static RedisServer::Options with_user(RedisServer::Options options) {
    for (const char* word : {"--user", "reader", "on", ">sesame", "~*", "+@all"})
      options.more.emplace_back(word);
    return options;
  }
  net::RedisClient& admin() {
    client_ = std::make_unique<net::RedisClient>(
        net::RedisClientOptions{.endpoint = net::parse_redis_endpoint(server_.unix_endpoint(), "endpoint"),
                                .connect_timeout = 1min,
                                .timeout = 1min});
    return *client_;
  }

  RedisServer server_;
  std::unique_ptr<net::RedisClient> client_;
};

TEST_F(RedisChannelTest, WhoSubscribesHearsWhatIsPublishedFromThenOn) {
  RedisServer server;
  RedisBroadcastChannel channel(options_for(server.unix_endpoint()));
  RedisBroadcastChannel other(options_for(server.endpoint()));
  EXPECT_EQ(channel.name(), server.unix_endpoint() + " db4:changes");
  publish(channel, "before");
  Messages heard;
  const Subscription subscription = other.subscribe(into(heard));
  publish(channel, "after");
  ASSERT_TRUE(heard.wait_for(1));
  EXPECT_EQ(heard.items(), std::vector<std::string>{"after"});
  EXPECT_EQ(other.last_error(), "");
}

TEST_F(RedisChannelTest, NothingIsLostWhenConnectionsAreKilled) {
  RedisServer server;
  RedisBroadcastChannel publisher(options_for(server.unix_endpoint()));
  RedisBroadcastChannel reader(options_for(server.unix_endpoint()));
  Messages heard;
  publish(publisher, "first");
  const Subscription subscription = reader.subscribe(into(heard));
  std::vector<std::string> all;
  for (int i = 0; i < 20; ++i) {
    ask(server, {"CLIENT", "KILL", "TYPE", "normal"});
    for (int j = 0; j < 5; ++j) {
      all.push_back(std::to_string(i) + "." + std::to_string(j));
      publish(publisher, all.back());
    }
  }
  ASSERT_TRUE(wait_for_item(heard, all.back()));
  EXPECT_EQ(without_repetitions(heard.items()), all);
}

TEST_F(RedisChannelTest, WhatIsPublishedWhileItIsAwayIsReadThen) {
  CutOffReader place;
  RedisBroadcastChannel publisher(options_for(place.server().unix_endpoint()));
  RedisChannelOptions options = place.options();
  options.max_queued = 100;  // less than what comes at once
  RedisBroadcastChannel reader(options);
  Messages heard;
  const Subscription subscription = reader.subscribe(into(heard));
  std::vector<std::string> all{"seen"};
  publish(publisher, all.back());
  ASSERT_TRUE(heard.wait_for(1));
  place.cut_off(reader);
  for (int i = 0; i < 3000; ++i) all.push_back(std::to_string(i));
  std::span<const std::string> rest = std::span(all).subspan(1);
  while (!rest.empty()) rest = rest.subspan(publisher.publish(rest));
  place.let_in();
  ASSERT_TRUE(wait_for_item(heard, all.back()));
  EXPECT_EQ(heard.items(), all);
}

TEST_F(RedisChannelTest, NothingIsLostWhenTheServerRestartsWithItsData) {
  CutOffReader place({.more = {"--appendonly", "yes", "--appendfsync", "always"}});
  RedisBroadcastChannel publisher(options_for(place.server().unix_endpoint()));
  RedisBroadcastChannel reader(place.options());
  Messages heard;
  const Subscription subscription = reader.subscribe(into(heard));
  publish(publisher, "seen");
  ASSERT_TRUE(heard.wait_for(1));
  place.cut_off(reader);
  publish(publisher, "unseen");
  place.server().kill();
  EXPECT_EQ(publish_once(publisher, "refused"), ErrorCode::unavailable);
  place.server().start();
  publish(publisher, "after");
  ASSERT_TRUE(wait_for_item(heard, "after"));
  EXPECT_EQ(without_repetitions(heard.items()), (std::vector<std::string>{"seen", "unseen", "after"}));
}

TEST_F(RedisChannelTest, AServerThatComesBackEmptyIsALossAndAStart) {
  RedisServer server;
  RedisBroadcastChannel publisher(options_for(server.unix_endpoint()));
  RedisBroadcastChannel reader(options_for(server.unix_endpoint()));
  Messages heard;
  const Subscription subscription = reader.subscribe(into(heard));
  publish(publisher, "before");
  ASSERT_TRUE(heard.wait_for(1));
  server.kill();
  server.start();
  ASSERT_TRUE(heard.wait_for(2)) << "also where nothing is published";
  publish(publisher, "after");
  ASSERT_TRUE(wait_for_item(heard, "after"));
  EXPECT_EQ(without_repetitions(heard.items()), (std::vector<std::string>{"before", kLost, "after"}));
  EXPECT_EQ(reader.stats().lost, 1U);
}

TEST_F(RedisChannelTest, AnEmptyServerThatIsPublishedToAtOnceIsALossAsWell) {
  CutOffReader place;
  RedisBroadcastChannel publisher(options_for(place.server().unix_endpoint()));
  RedisBroadcastChannel reader(place.options());
  Messages heard;
  const Subscription subscription = reader.subscribe(into(heard));
  publish(publisher, "before");
  ASSERT_TRUE(heard.wait_for(1));
  place.cut_off(reader);
  publish(publisher, "gone");
  ask(place.server(), {"FLUSHALL"});
  publish(publisher, "after");
  place.let_in();
  ASSERT_TRUE(wait_for_item(heard, "after"));
  EXPECT_EQ(heard.items(), (std::vector<std::string>{"before", kLost, "after"}));
}

TEST_F(RedisChannelTest, WhatWasTrimmedAwayUnreadIsALoss) {
  CutOffReader place;
  RedisChannelOptions options = options_for(place.server().unix_endpoint());
  options.max_length = 1;
  RedisBroadcastChannel publisher(options);
  RedisBroadcastChannel reader(place.options());
  Messages heard;
  const Subscription subscription = reader.subscribe(into(heard));
  publish(publisher, "before");
  ASSERT_TRUE(heard.wait_for(1));
  place.cut_off(reader);
  for (int i = 0; i < 1000; ++i) publish(publisher, std::to_string(i));
  place.let_in();
  ASSERT_TRUE(wait_for_item(heard, "999"));
  publish(publisher, "after");
  ASSERT_TRUE(wait_for_item(heard, "after"));
  const std::vector<std::string> items = heard.items();
  EXPECT_EQ(items[0], "before");
  EXPECT_EQ(items[1], kLost);
  EXPECT_LT(items.size(), 500U) << "the server keeps no more than it is told, and some";
  EXPECT_EQ(std::ranges::count(items, kLost), 1);
}

TEST_F(RedisChannelTest, TrimmingBehindTheReaderIsNoLoss) {
  RedisServer server;
  RedisChannelOptions options = options_for(server.unix_endpoint());
  options.max_length = 1;
  RedisBroadcastChannel channel(options);
  Messages heard;
  const Subscription subscription = channel.subscribe(into(heard));
  std::vector<std::string> all;
  for (int i = 0; i < 500; ++i) {
    all.push_back(std::to_string(i));
    publish(channel, all.back());
    ASSERT_TRUE(heard.wait_for(all.size()));
  }
  EXPECT_EQ(heard.items(), all);
}

TEST_F(RedisChannelTest, AServerThatIsAwayIsReportedAndFoundAgain) {
  RedisServer server;
  RedisBroadcastChannel publisher(options_for(server.endpoint()));
  RedisBroadcastChannel reader(options_for(server.endpoint()));
  Messages heard;
  publish(publisher, "first");
  const Subscription subscription = reader.subscribe(into(heard));
  server.stop();
  EXPECT_EQ(publish_once(publisher, "refused"), ErrorCode::unavailable);
  Messages none;
  RedisBroadcastChannel late(options_for(server.endpoint()));
  try {
    (void)late.subscribe(into(none));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_THAT(error.what(), HasSubstr("RedisChannelOptions::endpoint"));
  }
  poll([&] { return !reader.last_error().empty(); });
  EXPECT_THAT(reader.last_error(), HasSubstr("Redis at " + server.endpoint()));
  server.start();
  publish(publisher, "after");
  ASSERT_TRUE(wait_for_item(heard, "after"));
  EXPECT_GE(publisher.stats().refused, 1U);
  EXPECT_EQ(reader.last_error(), "");
  const Subscription works_now = late.subscribe(into(none));
}

TEST_F(RedisChannelTest, AServerThatHangsHoldsNobodyForLong) {
  RedisServer server;
  RedisBroadcastChannel publisher(options_for(server.unix_endpoint()));
  RedisBroadcastChannel reader(options_for(server.unix_endpoint()));
  Messages heard;
  publish(publisher, "first");
  const Subscription subscription = reader.subscribe(into(heard));
  server.freeze();
  EXPECT_EQ(publish_once(publisher, "hung"), ErrorCode::unavailable);
  poll([&] { return !reader.last_error().empty(); });
  EXPECT_THAT(reader.last_error(), HasSubstr("no answer in time"));
  server.thaw();
  publish(publisher, "after");
  ASSERT_TRUE(wait_for_item(heard, "after"));
  EXPECT_EQ(std::ranges::count(heard.items(), kLost), 0);
}

TEST_F(RedisChannelTest, ClosingDoesNotWaitForAServerThatHangs) {
  for (const bool tls : {false, true}) {
    RedisServer server({.tls = tls});
    RedisChannelOptions options = options_for(server.endpoint());
    if (tls) options.ca_file = server.ca_file();
    RedisBroadcastChannel channel(options);
    Messages heard;
    const Subscription subscription = channel.subscribe(into(heard));
    publish(channel, "hello");
    ASSERT_TRUE(heard.wait_for(1));
    server.freeze();
    channel.close();
    EXPECT_EQ(publish_once(channel, "late"), ErrorCode::unavailable);
    EXPECT_EQ(channel.stats().receivers, 0U);
  }
}

TEST_F(RedisChannelTest, AWrongPasswordIsToldAndNotShown) {
  RedisServer server({.password = "sesame"});
  RedisChannelOptions options = options_for(server.unix_endpoint());
  options.password = "mustard";
  RedisBroadcastChannel channel(options);
  Messages heard;
  EXPECT_EQ(publish_once(channel, "hello"), ErrorCode::permission_denied);
  try {
    (void)channel.subscribe(into(heard));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::permission_denied);
    EXPECT_THAT(error.what(), HasSubstr("RedisChannelOptions::password"));
    EXPECT_THAT(error.what(), Not(HasSubstr("mustard")));
  }
  options.password = "sesame";
  RedisBroadcastChannel right(options);
  const Subscription subscription = right.subscribe(into(heard));
  publish(right, "hello");
  EXPECT_TRUE(heard.wait_for(1));
}

TEST_F(RedisChannelTest, AUserNeedsNoMoreThanTheDocumentedRights) {
  RedisServer server;
  ask(server,
      {"ACL", "SETUSER", "shop", "on", ">sesame", "~db4:changes", "+xadd", "+xread", "+xinfo|stream"});
  RedisChannelOptions options = options_for(server.unix_endpoint());
  options.username = "shop";
  options.password = "sesame";
  RedisBroadcastChannel channel(options);
  Messages heard;
  const Subscription subscription = channel.subscribe(into(heard));
  publish(channel, "hello");
  ASSERT_TRUE(heard.wait_for(1));
  options.key = "others";
  RedisBroadcastChannel elsewhere(options);
  EXPECT_EQ(publish_once(elsewhere, "hello"), ErrorCode::permission_denied);
}

TEST_F(RedisChannelTest, WhatOthersPutIntoTheStreamIsPassedOver) {
  RedisServer server;
  RedisBroadcastChannel channel(options_for(server.unix_endpoint()));
  Messages heard;
  const Subscription subscription = channel.subscribe(into(heard));
  ask(server, {"XADD", "db4:changes", "*", "other", "thing"});
  publish(channel, "hello");
  ASSERT_TRUE(heard.wait_for(1));
  EXPECT_EQ(heard.items(), std::vector<std::string>{"hello"});
}

TEST_F(RedisChannelTest, AKeyThatIsNoStreamIsRefused) {
  RedisServer server;
  ask(server, {"SET", "db4:changes", "text"});
  RedisBroadcastChannel channel(options_for(server.unix_endpoint()));
  Messages heard;
  EXPECT_EQ(publish_once(channel, "hello"), ErrorCode::unsupported);
  EXPECT_THROW((void)channel.subscribe(into(heard)), Error);
}

TEST_F(RedisChannelTest, AReceiverThatIsStuckIsToldThatItLostSomething) {
  RedisServer server;
  RedisChannelOptions options = options_for(server.unix_endpoint());
  options.max_queued = 4;
  RedisBroadcastChannel channel(options);
  SequencePoint inside;
  Messages slow;
  Messages quick;
  const Subscription stuck = channel.subscribe({.on_message =
                                                    [&](std::string_view message) {
                                                      slow.add(std::string(message));
                                                      inside.arrive();
                                                    },
                                                .on_lost = [&] { slow.add(kLost); }});
  const Subscription other = channel.subscribe(into(quick));
  publish(channel, "0");
  inside.wait_for(1);
  for (std::size_t i = 1; i <= 10; ++i) {
    publish(channel, std::to_string(i));
    ASSERT_TRUE(quick.wait_for(i + 1));
  }
  EXPECT_EQ(channel.stats().lost, 10U);
  inside.open();
  ASSERT_TRUE(slow.wait_for(2));
  EXPECT_EQ(slow.items(), (std::vector<std::string>{"0", kLost}));
}

TEST_F(RedisChannelTest, AReceiverMayCloseTheChannel) {
  RedisServer server;
  RedisBroadcastChannel channel(options_for(server.unix_endpoint()));
  Messages heard;
  const Subscription subscription = channel.subscribe({.on_message = [&](std::string_view message) {
    channel.close();
    heard.add(std::string(message));
  }});
  publish(channel, "hello");
  EXPECT_TRUE(heard.wait_for(1));
}

TEST_F(RedisChannelTest, ReadingEndsWithTheLastReceiverAndBeginsAgain) {
  RedisServer server;
  RedisBroadcastChannel channel(options_for(server.unix_endpoint()));
  for (int i = 0; i < 3; ++i) {
    Messages heard;
    const Subscription subscription = channel.subscribe(into(heard));
    publish(channel, std::to_string(i));
    ASSERT_TRUE(wait_for_item(heard, std::to_string(i)));
  }
}

TEST_F(RedisChannelTest, TellsManagersOfEachOthersWrites) {
  RedisServer server;
  CacheInvalidationManager writer;
  CacheInvalidationManager holder;
  for (CacheInvalidationManager* manager : {&writer, &holder}) {
    manager->set_broadcast_channel(
        std::make_shared<RedisBroadcastChannel>(options_for(server.unix_endpoint())));
  }
  poll([&] { return holder.stats().nodes == 1; });
  holder.set("users", "1", make_document("users", "1", 7), {}, holder.begin_fill("users", "1"));
  writer.announce({.collection = "users", .id = "1", .version = 8});
  poll([&] { return !holder.get("users", "1").value; });
  EXPECT_FALSE(holder.get("users", "1").value);
  EXPECT_TRUE(holder.hears_all());
}

TEST(RedisChannelOptionsTest, WrongOnesAreNamed) {
  const auto refused = [](const auto& change) {
    RedisChannelOptions options{.endpoint = "redis://h"};
    change(options);
    try {
      const RedisBroadcastChannel channel(options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      return std::string(error.what());
    }
    return std::string("(taken)");
  };
  const auto names = [](const char* option) {
    return HasSubstr(std::string("RedisChannelOptions::") + option);
  };
  EXPECT_EQ(refused([](auto&) {}), "(taken)");
  EXPECT_THAT(refused([](auto& o) { o.endpoint = ""; }), names("endpoint"));
  EXPECT_THAT(refused([](auto& o) { o.endpoint = "h:1"; }), names("endpoint"));
  EXPECT_THAT(refused([](auto& o) { o.username = "u"; }), names("password"));
  EXPECT_THAT(refused([](auto& o) { o.key = ""; }), names("key"));
  EXPECT_THAT(refused([](auto& o) { o.key = std::string(257, 'x'); }), names("key"));
  EXPECT_THAT(refused([](auto& o) { o.max_length = 0; }), names("max_length"));
  EXPECT_THAT(refused([](auto& o) { o.connect_timeout = 0ms; }), names("connect_timeout"));
  EXPECT_THAT(refused([](auto& o) { o.timeout = 0ms; }), names("timeout"));
  EXPECT_THAT(refused([](auto& o) { o.timeout = 400ms; }), HasSubstr("1000 ms"));
  EXPECT_THAT(refused([](auto& o) { o.timeout = std::chrono::milliseconds::max(); }), names("timeout"));
  EXPECT_THAT(refused([](auto& o) { o.max_queued = 0; }), names("max_queued"));
  EXPECT_THAT(refused([](auto& o) { o.ca_file = "ca.pem"; }), names("ca_file"));
}

}  // namespace
}  // namespace db4::testing
