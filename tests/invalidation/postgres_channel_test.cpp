// The channel over PostgreSQL: under the conformance suite, and what becomes of it when sessions and servers
// end.

#include "invalidation/channel_suite.hpp"
#include "invalidation/postgres_fixtures.hpp"

#include <db4/invalidation.hpp>

#include <algorithm>
#include <cctype>
#include <thread>

namespace db4::testing {
namespace {

using namespace std::chrono_literals;
std::vector<std::shared_ptr<BroadcastChannel>> over_postgres(std::size_t count) {
  std::string reason;
  PostgresServer* server = shared_postgres_server(&reason);
  if (server == nullptr) {
    [&] { GTEST_SKIP() << reason; }();
    return {};
  }
  const PostgresChannelOptions options{.url = server->url(), .channel = new_channel()};
  std::vector<std::shared_ptr<BroadcastChannel>> channels;
  for (std::size_t i = 0; i < count; ++i) {
    channels.push_back(std::make_shared<PostgresBroadcastChannel>(options));
  }
  return channels;
}

INSTANTIATE_TEST_SUITE_P(Postgres, ChannelSuite,
                         ::testing::Values(ChannelFactory{.name = "Postgres", .make = &over_postgres}),
                         [](const auto& param) { return param.param.name; });

TEST_F(PostgresChannelTest, TheSameMessageManyTimesInOneCallArrivesAsOften) {
  PostgresBroadcastChannel channel(options_);
  Messages heard;
  const Subscription subscription = channel.subscribe(into(heard));
  const std::vector<std::string> messages(5, "same");
  EXPECT_EQ(channel.publish(messages), 5U);
  ASSERT_TRUE(heard.wait_for(5));
  EXPECT_EQ(channel.publish(messages), 5U);
  ASSERT_TRUE(heard.wait_for(10));
  EXPECT_EQ(heard.items(), std::vector<std::string>(10, "same"));
}

TEST_F(PostgresChannelTest, TheLargestMessagesArriveAndACallTakesABoundedNumber) {
  constexpr std::size_t kMessages = PostgresBroadcastChannel::kMaxAtOnce + 100;
  std::vector<std::string> messages;
  for (std::size_t i = 0; i < kMessages; ++i) {
    messages.emplace_back(kMaxBroadcastMessageBytes - i % 3, static_cast<char>(i));
  }
  PostgresBroadcastChannel channel(options_);
  Messages heard;
  const Subscription subscription = channel.subscribe(into(heard));
  EXPECT_EQ(channel.publish(messages), PostgresBroadcastChannel::kMaxAtOnce);
  EXPECT_EQ(channel.publish(std::span(messages).subspan(PostgresBroadcastChannel::kMaxAtOnce)), 100U);
  ASSERT_TRUE(heard.wait_for(kMessages));
  EXPECT_TRUE(heard.items() == messages);
  EXPECT_EQ(channel.publish({}), 0U);
  EXPECT_EQ(channel.stats().published, kMessages);
  EXPECT_EQ(channel.stats().delivered, kMessages);
}

TEST_F(PostgresChannelTest, AnEndedSessionIsSaidToEveryReceiverAndTheyHearAgain) {
  PostgresBroadcastChannel hearing(named());
  PostgresBroadcastChannel publishing(options_);
  Messages first;
  Messages second;
  const Subscription at_first = hearing.subscribe(into(first));
  const Subscription at_second = hearing.subscribe(into(second));
  ASSERT_EQ(publish(publishing, "before"), 1U);
  ASSERT_TRUE(first.wait_for(1));
  ASSERT_TRUE(second.wait_for(1));
  ASSERT_EQ(server_->sql("SELECT count(pg_terminate_backend(pid)) " + named_sessions()), "1");
  ASSERT_TRUE(first.wait_for(2));
  ASSERT_TRUE(second.wait_for(2));
  ASSERT_EQ(publish(publishing, "after"), 1U);
  const std::vector<std::string> expected = {"before", "(lost)", "after"};
  ASSERT_TRUE(first.wait_for(3));
  ASSERT_TRUE(second.wait_for(3));
  EXPECT_EQ(first.items(), expected);
  EXPECT_EQ(second.items(), expected);
  EXPECT_EQ(hearing.stats().lost, 2U);
  EXPECT_EQ(hearing.stats().delivered, 4U);
}

TEST_F(PostgresChannelTest, APublishingSessionThatEndedIsReplacedBeforeItIsUsed) {
  PostgresBroadcastChannel channel(named());
  ASSERT_EQ(publish(channel, "first"), 1U);
  ASSERT_EQ(server_->sql("SELECT count(pg_terminate_backend(pid, 60000)) " + named_sessions()), "1");
  ASSERT_TRUE(server_says("0", "SELECT count(*) " + named_sessions()));
  EXPECT_EQ(publish(channel, "second"), 1U);
  EXPECT_EQ(channel.stats().refused, 0U);
}

TEST_F(PostgresChannelTest, AnIdleTimeoutOfTheServerDoesNotEndListening) {
  PostgresChannelOptions options = named();
  options.url += "&options=-c%20idle_session_timeout%3D1s";
  PostgresBroadcastChannel channel(options);
  Messages heard;
  const Subscription subscription = channel.subscribe(into(heard));
  ASSERT_TRUE(server_says(
      "1", "SELECT count(*) " + named_sessions() + " AND now() - state_change > interval '1500ms'"));
  ASSERT_TRUE(publish_at_last(channel, "hello"));
  ASSERT_TRUE(heard.wait_for(1));
  EXPECT_EQ(heard.items(), std::vector<std::string>{"hello"});
}

TEST_F(PostgresChannelTest, WhatIsNoMessageIsALossAndNotDelivered) {
  PostgresBroadcastChannel channel(options_);
  Messages heard;
  const Subscription subscription = channel.subscribe(into(heard));
  const std::string notify = "NOTIFY \"" + options_.channel + "\"";
  const std::vector<std::string> payloads = {"",
                                             ", 'hello'",
                                             ", '2 0 aGVsbG8='",
                                             ", '1 aGVsbG8='",
                                             ", '1 0 aGVsbG8'",
                                             ", '1 0 '",
                                             ", '1 0 ****'",
                                             ", '1 0 " + std::string(2736, 'A') + "'"};
  for (const std::string& payload : payloads) server_->sql(notify + payload);
  server_->sql(notify + ", '1 0 aGVsbG8='");
  ASSERT_TRUE(heard.wait_for(payloads.size() + 1));
  std::vector<std::string> expected(payloads.size(), "(lost)");
  expected.emplace_back("hello");
  EXPECT_EQ(heard.items(), expected);
}

TEST_F(PostgresChannelTest, ChannelsOfOneNameInTwoDatabasesAreTwo) {
  server_->sql("CREATE DATABASE " + options_.channel);
  PostgresChannelOptions others = options_;
  std::string database = options_.channel;
  std::ranges::transform(database, database.begin(), [](unsigned char c) { return std::tolower(c); });
  others.url += "&dbname=" + database;
  PostgresBroadcastChannel here(options_);
  PostgresBroadcastChannel there(others);
  Messages heard_here;
  Messages heard_there;
  const Subscription at_here = here.subscribe(into(heard_here));
  const Subscription at_there = there.subscribe(into(heard_there));
  publish(here, "here");
  publish(there, "there");
  ASSERT_TRUE(heard_here.wait_for(1));
  ASSERT_TRUE(heard_there.wait_for(1));
  EXPECT_EQ(heard_here.items(), std::vector<std::string>{"here"});
  EXPECT_EQ(heard_there.items(), std::vector<std::string>{"there"});
}

TEST_F(PostgresChannelTest, AnInvalidationDropsTheCopiesOfAnotherNode) {
  CacheInvalidationManager writer({.node_id = "writer"});
  CacheInvalidationManager reader({.node_id = "reader"});
  Messages dropped;
  const Subscription subscription = reader.subscribe([&](const InvalidationEvent& event) {
    if (event.type == InvalidationType::document) dropped.add(event.id);
  });
  writer.set_broadcast_channel(std::make_shared<PostgresBroadcastChannel>(options_));
  reader.set_broadcast_channel(std::make_shared<PostgresBroadcastChannel>(options_));
  const FillMark mark = reader.begin_fill("users", "kept");
  reader.set("users", "kept", make_document("users", "kept", 1), {}, mark);
  writer.announce({.collection = "users", .id = "kept", .version = 2, .node_id = {}});
  ASSERT_TRUE(dropped.wait_for(1));
  EXPECT_FALSE(reader.get("users", "kept").value);
}

TEST_F(PostgresChannelTest, AWrongRoleAndAWrongDatabaseAreSaidInTheChannelsWords) {
  PostgresChannelOptions wrong_role = options_;
  wrong_role.url = server_->tcp_url("nobody_of_that_name");
  PostgresChannelOptions wrong_database = options_;
  wrong_database.url += "&dbname=none_of_that_name";
  const std::vector<std::pair<PostgresChannelOptions, ErrorCode>> cases = {
      {wrong_role, ErrorCode::permission_denied}, {wrong_database, ErrorCode::invalid_argument}};
  for (const auto& [options, code] : cases) {
    PostgresBroadcastChannel channel(options);
    for (const auto& error : {error_of([&] { publish(channel, "hello"); }),
                              error_of([&] { (void)channel.subscribe({.on_message = [](auto) {}}); })}) {
      ASSERT_TRUE(error);
      EXPECT_EQ(error->code(), code) << error->what();
      EXPECT_NE(error->advice().find("url"), std::string::npos) << error->what();
      EXPECT_EQ(error->advice().find("hot."), std::string::npos) << error->what();
    }
    EXPECT_EQ(channel.stats().refused, 1U);
    EXPECT_EQ(channel.stats().receivers, 0U);
  }
}

TEST(PostgresChannelServerTest, AServerThatIsAwayRefusesAndOneThatComesBackGoesOn) {
  std::unique_ptr<PostgresServer> server;
  try {
    server = std::make_unique<PostgresServer>(
        PostgresServer::Options{.access = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256"});
    server->sql("CREATE ROLE guest LOGIN PASSWORD 'open sesame'");
  } catch (const std::runtime_error& error) {
    GTEST_SKIP() << error.what();
  }
  PostgresChannelOptions options{.url = server->tcp_url("guest"), .password = Secret("wrong")};
  {
    PostgresBroadcastChannel channel(options);
    const auto error = error_of([&] { publish(channel, "hello"); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::permission_denied);
  }
  options.password = Secret("open sesame");
  PostgresBroadcastChannel hearing(options);
  PostgresBroadcastChannel publishing(options);
  EXPECT_EQ(hearing.name().find("sesame"), std::string::npos);
  EXPECT_EQ(hearing.name(), "db4_changes at 127.0.0.1:" + std::to_string(server->port()) + "/postgres");
  Messages heard;
  const Subscription subscription = hearing.subscribe(into(heard));
  ASSERT_EQ(publish(publishing, "before"), 1U);
  ASSERT_TRUE(heard.wait_for(1));

  server->kill(SIGINT);
  for (int i = 0; i < 3; ++i) {
    const auto refused = error_of([&] { publish(publishing, "away"); });
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->code(), ErrorCode::unavailable) << refused->what();
  }
  const auto refused = error_of([&] { (void)publishing.subscribe({.on_message = [](auto) {}}); });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code(), ErrorCode::unavailable) << refused->what();
  EXPECT_EQ(publishing.stats().refused, 3U);

  server->start();
  ASSERT_TRUE(heard.wait([](const auto& items) { return items.back() == "(lost)"; }));
  ASSERT_TRUE(publish_at_last(publishing, "after"));
  ASSERT_TRUE(heard.wait([](const auto& items) { return items.back() == "after"; }));
  const auto items = heard.items();
  EXPECT_EQ(items.front(), "before");
  EXPECT_EQ(std::ranges::count(items, "away"), 0);

  // As a crash does: sessions end without a word.
  server->restart(SIGQUIT);
  ASSERT_TRUE(heard.wait([](const auto& all) { return all.back() == "(lost)"; }));
  ASSERT_TRUE(publish_at_last(publishing, "again"));
  ASSERT_TRUE(heard.wait([](const auto& all) { return all.back() == "again"; }));
}

/// A server that takes connections and says nothing.
class SilentServer {
 public:
  SilentServer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener_, 16);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;
  ~SilentServer() {
    for (const int connection : connections_) ::close(connection);
    ::close(listener_);
  }
  /// Waits for a client.
  void accept() { connections_.push_back(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)); }
  [[nodiscard]] PostgresChannelOptions options() const {
    return {.url = "postgresql://db4@127.0.0.1:" + std::to_string(port_) + "/postgres",
            .connect_timeout = 24h,
            .timeout = 24h};
  }

 private:
  int listener_;
  int port_ = 0;
  std::vector<int> connections_;
};

TEST(PostgresChannelSilenceTest, PublishGivesUpWithinItsBoundWhateverTheTimeouts) {
  const SilentServer server;
  PostgresBroadcastChannel channel(server.options());
  const auto error = error_of([&] { publish(channel, "hello"); });  // or this test never ends
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable) << error->what();
}

TEST(PostgresChannelSilenceTest, ClosingEndsASubscribeThatWaitsForTheServer) {
  SilentServer server;
  PostgresBroadcastChannel channel(server.options());
  std::optional<Error> error;
  std::jthread waiting(
      [&] { error = error_of([&] { (void)channel.subscribe({.on_message = [](auto) {}}); }); });
  server.accept();
  channel.close();
  waiting.join();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable) << error->what();
}

TEST(PostgresChannelOptionsTest, WhatMakesNoSenseIsRefusedByTheNameOfTheOption) {
  const PostgresChannelOptions good{.url = "postgresql://db4@127.0.0.1:1/documents"};
  const auto with = [&](const std::function<void(PostgresChannelOptions&)>& change) {
    PostgresChannelOptions options = good;
    change(options);
    return options;
  };
  const std::vector<std::pair<std::string, PostgresChannelOptions>> cases = {
      {"url is empty", with([](auto& o) { o.url = ""; })},
      {"url cannot be read", with([](auto& o) { o.url = "postgresql://[::1"; })},
      {"url holds a password", with([](auto& o) { o.url = "postgresql://db4:secret@127.0.0.1/d"; })},
      {"channel is", with([](auto& o) { o.channel = ""; })},
      {"channel is", with([](auto& o) { o.channel = "a\"; DROP TABLE x; --"; })},
      {"channel is", with([](auto& o) { o.channel = std::string(64, 'a'); })},
      {"connect_timeout is", with([](auto& o) { o.connect_timeout = 0ms; })},
      {"timeout is", with([](auto& o) { o.timeout = -1ms; })},
      {"poll_interval is", with([](auto& o) { o.poll_interval = 0ms; })},
      {"schema is", with([](auto& o) { o.schema = "a\"; DROP TABLE x; --"; })},
      {"max_queued", with([](auto& o) { o.max_queued = 0; })}};
  for (const auto& [says, options] : cases) {
    const auto error = error_of([&options = options] { PostgresBroadcastChannel channel(options); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(error->what()).find(says), std::string::npos) << error->what();
    EXPECT_EQ(std::string(error->what()).find("hot."), std::string::npos) << error->what();
  }
  const PostgresBroadcastChannel channel(with([](auto& o) { o.channel = std::string(63, 'a'); }));
  EXPECT_EQ(channel.name(), std::string(63, 'a') + " at 127.0.0.1:1/documents");
}

}  // namespace
}  // namespace db4::testing
