// The channel over PostgreSQL where there is no LISTEN: messages in a table. Under the conformance suite, and
// how a node finds out that it has to poll, and that it hears nothing.

#include "invalidation/channel_suite.hpp"
#include "invalidation/postgres_fixtures.hpp"
#include "invalidation/postgres_table.hpp"
#include "kv/tcp_proxy.hpp"

#include <db4/invalidation.hpp>

#include <algorithm>
#include <map>
#include <thread>

namespace db4::testing {
namespace {

using namespace std::chrono_literals;
using invalidation::PostgresMessageTable;
using kv::PostgresConnection;
using kv::testing::TcpProxy;

MonotonicTime in_a_minute() { return system_clock()->monotonic() + 1min; }

std::vector<std::shared_ptr<BroadcastChannel>> over_a_table(std::size_t count) {
  std::string reason;
  PostgresServer* server = shared_postgres_server(&reason);
  if (server == nullptr) {
    [&] { GTEST_SKIP() << reason; }();
    return {};
  }
  const PostgresChannelOptions options{
      .url = server->url(), .channel = new_channel(), .notify = false, .poll_interval = 2ms};
  std::vector<std::shared_ptr<BroadcastChannel>> channels;
  for (std::size_t i = 0; i < count; ++i) {
    channels.push_back(std::make_shared<PostgresBroadcastChannel>(options));
  }
  return channels;
}

INSTANTIATE_TEST_SUITE_P(PostgresPolling, ChannelSuite,
                         ::testing::Values(ChannelFactory{.name = "PostgresPolling", .make = &over_a_table}),
                         [](const auto& param) { return param.param.name; });

class PostgresPollingTest : public PostgresChannelTest {
 protected:
  void SetUp() override {
    PostgresChannelTest::SetUp();
    options_.poll_interval = 2ms;
  }
  [[nodiscard]] PostgresChannelOptions polling() const {
    PostgresChannelOptions options = options_;
    options.notify = false;
    return options;
  }
  [[nodiscard]] PostgresChannelOptions through(const TcpProxy& proxy) const {
    PostgresChannelOptions options = options_;
    options.url = "postgresql://db4@127.0.0.1:" + std::to_string(proxy.port()) + "/postgres?sslmode=disable";
    return options;
  }
  [[nodiscard]] std::unique_ptr<PostgresConnection> connect() const {
    return std::make_unique<PostgresConnection>(kv::PostgresOptions{.url = server_->url(), .timeout = 1min},
                                                in_a_minute());
  }
  [[nodiscard]] std::string table() const { return "\"" + options_.channel + "\""; }
};

TEST_F(PostgresPollingTest, WhereLISTENIsRefusedBothSidesPoll) {
  const std::vector<std::pair<std::string, std::string>> refusals = {
      {"LISTEN ", "LISTENS"},                                                 // is no SQL there
      {"LISTEN ", "NOTIFY "},                                                 // is taken, and has no effect
      {"SELECT pg_listening_channels()", "SELECT pg_listening_chan___s()"}};  // does not know it
  for (const auto& [text, instead] : refusals) {
    SCOPED_TRACE(instead);
    options_.channel = new_channel();
    TcpProxy proxy(server_->port());
    proxy.rewrite(text, instead);
    PostgresBroadcastChannel hearing(through(proxy));
    PostgresBroadcastChannel publishing(through(proxy));
    PostgresBroadcastChannel told_to(polling());
    EXPECT_FALSE(hearing.stats().polls);
    EXPECT_TRUE(told_to.stats().polls);
    Messages heard;
    Messages heard_too;
    const Subscription subscription = hearing.subscribe(into(heard));
    const Subscription other = told_to.subscribe(into(heard_too));
    EXPECT_TRUE(hearing.stats().polls);
    // One that never listened.
    EXPECT_EQ(publish(publishing, "hello"), 1U);
    EXPECT_TRUE(publishing.stats().polls);
    ASSERT_TRUE(heard.wait_for(1));
    ASSERT_TRUE(heard_too.wait_for(1));
    EXPECT_EQ(heard.items(), std::vector<std::string>{"hello"});
    EXPECT_EQ(heard_too.items(), std::vector<std::string>{"hello"});
  }
}

TEST_F(PostgresPollingTest, WhereEachStatementMeetsAnotherSessionNobodyListensOrPolls) {
  TcpProxy proxy(server_->port());
  using namespace std::string_literals;
  proxy.rewrite("\0LISTEN "s, "\0NOTIFY "s);  // and not what ends it
  proxy.rewrite("SELECT pg_backend_pid()", "SELECT random()::float4");
  PostgresBroadcastChannel channel(through(proxy));
  const auto error = error_of([&] { (void)channel.subscribe({.on_message = [](auto) {}}); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unsupported) << error->what();
  EXPECT_NE(error->advice().find("notify = false"), std::string::npos) << error->what();
  // Whoever listens elsewhere is told all the same.
  PostgresBroadcastChannel hearing(options_);
  Messages heard;
  const Subscription subscription = hearing.subscribe(into(heard));
  ASSERT_EQ(publish(channel, "hello"), 1U);
  ASSERT_TRUE(heard.wait([](const auto& items) { return std::ranges::count(items, "hello") == 1; }));
  EXPECT_FALSE(channel.stats().polls);
}

TEST_F(PostgresPollingTest, WhereThereIsLISTENNobodyPolls) {
  PostgresBroadcastChannel hearing(options_);
  PostgresBroadcastChannel publishing(options_);
  Messages heard;
  const Subscription subscription = hearing.subscribe(into(heard));
  EXPECT_EQ(publish(publishing, "hello"), 1U);
  ASSERT_TRUE(heard.wait_for(1));
  EXPECT_FALSE(hearing.stats().polls);
  EXPECT_FALSE(publishing.stats().polls);
  EXPECT_EQ(server_->sql("SELECT count(*) FROM pg_tables WHERE tablename = '" + options_.channel + "'"), "0");
}

TEST_F(PostgresPollingTest, AnEndedSessionIsSaidAndWhatComesAfterIsHeard) {
  PostgresChannelOptions options = named();
  options.notify = false;
  PostgresBroadcastChannel hearing(options);
  PostgresBroadcastChannel publishing(polling());
  Messages heard;
  const Subscription subscription = hearing.subscribe(into(heard));
  ASSERT_EQ(publish(publishing, "before"), 1U);
  ASSERT_TRUE(heard.wait_for(1));
  ASSERT_EQ(server_->sql("SELECT count(pg_terminate_backend(pid)) " + named_sessions()), "1");
  ASSERT_TRUE(heard.wait_for(2));
  ASSERT_EQ(publish(publishing, "after"), 1U);
  ASSERT_TRUE(heard.wait_for(3));
  EXPECT_EQ(heard.items(), (std::vector<std::string>{"before", "(lost)", "after"}));
}

TEST_F(PostgresPollingTest, WhatIsNoMessageOrWasTakenAwayUnreadIsALoss) {
  PostgresBroadcastChannel channel(polling());
  Messages heard;
  const Subscription subscription = channel.subscribe(into(heard));
  // Other states of the table than nodes make, each in one transaction.
  const std::string insert = "INSERT INTO " + table() + " (number, message) ";
  const auto put = [&](int head, const std::string& rows) {
    server_->sql("BEGIN; UPDATE " + table() + " SET head = " + std::to_string(head) + " WHERE number = 0; " +
                 rows + "; COMMIT");
  };
  put(1, insert + "VALUES (1, '')");
  ASSERT_TRUE(heard.wait_for(1));
  put(5, insert + "VALUES (5, 'five')");  // 2 to 4 are gone
  ASSERT_TRUE(heard.wait_for(3));
  put(9, "DELETE FROM " + table() + " WHERE number > 0");  // and then all
  ASSERT_TRUE(heard.wait_for(4));
  put(2, insert + "VALUES (1, 'one')");  // by a server that lacks some
  ASSERT_TRUE(heard.wait_for(5));
  put(3, insert + "VALUES (3, 'three')");
  ASSERT_TRUE(heard.wait_for(6));
  EXPECT_EQ(heard.items(),
            (std::vector<std::string>{"(lost)", "(lost)", "five", "(lost)", "(lost)", "three"}));
}

TEST_F(PostgresPollingTest, ARoleThatMayNotMakeTheTableIsToldSoAndMayUseOneThatIsThere) {
  const std::string role = options_.channel;
  server_->sql("CREATE ROLE \"" + role + "\" LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
  PostgresChannelOptions options = polling();
  options.url = server_->tcp_url(role);
  PostgresBroadcastChannel guest(options);
  Messages heard;
  for (const auto& error :
       {error_of([&] { publish(guest, "hello"); }), error_of([&] { (void)guest.subscribe(into(heard)); })}) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::permission_denied) << error->what();
    EXPECT_NE(error->advice().find("CREATE"), std::string::npos) << error->what();
  }
  PostgresBroadcastChannel owner(polling());
  ASSERT_EQ(publish(owner, "makes it"), 1U);
  server_->sql("GRANT SELECT, INSERT, UPDATE, DELETE ON " + table() + " TO \"" + role + "\"");
  const Subscription subscription = guest.subscribe(into(heard));
  ASSERT_TRUE(publish_at_last(guest, "hello"));
  ASSERT_TRUE(heard.wait_for(1));
  EXPECT_EQ(heard.items(), std::vector<std::string>{"hello"});
}

TEST_F(PostgresPollingTest, TheTableIsInTheSchemaThatIsNamed) {
  PostgresChannelOptions options = polling();
  options.schema = options.channel;
  PostgresBroadcastChannel channel(options);
  const auto error = error_of([&] { publish(channel, "hello"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::invalid_argument) << error->what();
  server_->sql("CREATE SCHEMA " + table());
  EXPECT_EQ(publish(channel, "hello"), 1U);
  EXPECT_EQ(server_->sql("SELECT count(*) FROM " + table() + "." + table()), "2");
}

TEST_F(PostgresPollingTest, AnInvalidationDropsTheCopiesOfAnotherNode) {
  CacheInvalidationManager writer({.node_id = "writer"});
  CacheInvalidationManager reader({.node_id = "reader"});
  Messages dropped;
  const Subscription subscription = reader.subscribe([&](const InvalidationEvent& event) {
    if (event.type == InvalidationType::document) dropped.add(event.id);
  });
  writer.set_broadcast_channel(std::make_shared<PostgresBroadcastChannel>(polling()));
  reader.set_broadcast_channel(std::make_shared<PostgresBroadcastChannel>(polling()));
  const FillMark mark = reader.begin_fill("users", "kept");
  reader.set("users", "kept", make_document("users", "kept", 1), {}, mark);
  writer.announce({.collection = "users", .id = "kept", .version = 2, .node_id = {}});
  ASSERT_TRUE(dropped.wait_for(1));
  EXPECT_FALSE(reader.get("users", "kept").value);
}

TEST_F(PostgresPollingTest, AListenThatWasLostInSilenceIsNoticedByWhatOneSaysOneself) {
  TcpProxy proxy(server_->port());
  PostgresChannelOptions options = through(proxy);
  options.timeout = 1s;
  PostgresBroadcastChannel channel(options);
  PostgresBroadcastChannel other(options_);
  Messages heard;
  const Subscription subscription = channel.subscribe(into(heard));
  ASSERT_TRUE(publish_at_last(channel, "heard"));
  ASSERT_TRUE(heard.wait_for(1));
  // As a pooler does that gave the session to somebody else.
  proxy.swallow(options.channel + '\0');
  ASSERT_EQ(publish(other, "unheard"), 1U);
  ASSERT_TRUE(publish_at_last(channel, "unheard"));
  ASSERT_TRUE(heard.wait([](const auto& items) { return items.back() == "(lost)"; }));
  proxy.swallow("");
  // It may be in the middle of connecting anew: then that is said, and the next one heard.
  ASSERT_TRUE(heard.wait([&](const auto& items) {
    publish(other, "again");
    return items.back() == "again";
  }));
  const auto items = heard.items();
  EXPECT_EQ(std::ranges::count(items, "unheard"), 0);
}

TEST_F(PostgresPollingTest, ASessionThatIsNotOnesOwnIsNoticedWherePublishingIsRefusedForIt) {
  using namespace std::string_literals;
  TcpProxy proxy(server_->port());
  // It is prepared, and then, as behind a pooler, not there.
  proxy.rewrite("\0db4_notify\0"s, "\0db4_nobody\0"s);
  PostgresChannelOptions options = through(proxy);
  options.timeout = 1s;
  PostgresBroadcastChannel channel(options);
  Messages heard;
  const Subscription subscription = channel.subscribe(into(heard));
  const auto error = error_of([&] { publish(channel, "hello"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable) << error->what();
  EXPECT_NE(error->advice().find("notify = false"), std::string::npos) << error->what();
  ASSERT_TRUE(heard.wait_for(1));
  EXPECT_EQ(heard.items().front(), "(lost)");
}

TEST_F(PostgresPollingTest, OfTheTableSoManyStayAsAreKept) {
  const PostgresMessageTable table("", options_.channel, 3);
  const auto connection = connect();
  EXPECT_EQ(table.newest(*connection, in_a_minute()), 0);
  const std::vector<std::string> messages = {"a", "b", "c", "d", "e"};
  std::int64_t position = 0;
  table.append(*connection, std::span(messages).first(2), in_a_minute());
  auto page = table.read(*connection, position, in_a_minute());
  EXPECT_FALSE(page.lost);
  EXPECT_EQ(page.messages, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(position, 2);
  table.append(*connection, std::span(messages).subspan(2), in_a_minute());
  page = table.read(*connection, position, in_a_minute());
  EXPECT_FALSE(page.lost);
  EXPECT_EQ(page.messages, (std::vector<std::string>{"c", "d", "e"}));
  position = 0;
  page = table.read(*connection, position, in_a_minute());
  EXPECT_TRUE(page.lost);
  EXPECT_EQ(page.messages.size(), 3U);
  page = table.read(*connection, position, in_a_minute());
  EXPECT_FALSE(page.lost);
  EXPECT_TRUE(page.messages.empty());
  EXPECT_EQ(table.newest(*connection, in_a_minute()), 5);
  EXPECT_EQ(server_->sql("SELECT count(*) FROM " + this->table()), "4");
}

TEST_F(PostgresPollingTest, PagesFollowEachOtherToTheEnd) {
  const PostgresMessageTable table("", options_.channel, 10'000);
  const auto connection = connect();
  std::vector<std::string> messages;
  for (std::size_t i = 0; i < 2 * PostgresMessageTable::kPage + 1; ++i) messages.push_back(std::to_string(i));
  table.append(*connection, messages, in_a_minute());
  std::vector<std::string> read;
  std::int64_t position = 0;
  for (const bool more : {true, true, false}) {
    const auto page = table.read(*connection, position, in_a_minute());
    EXPECT_FALSE(page.lost);
    EXPECT_EQ(page.more, more);
    read.insert(read.end(), page.messages.begin(), page.messages.end());
  }
  EXPECT_EQ(read, messages);
}

TEST_F(PostgresPollingTest, WhatCommitsLateIsNeverPassedOver) {
  constexpr int kWriters = 4;
  constexpr int kEach = 100;
  const PostgresMessageTable table("", options_.channel, 10'000);
  std::atomic<int> writing = kWriters;
  const auto connection = connect();
  std::int64_t position = table.newest(*connection, in_a_minute());
  std::vector<std::jthread> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([&, writer] {
      const auto own = connect();
      for (int i = 0; i < kEach; ++i) {
        const std::string message = std::to_string(writer) + ":" + std::to_string(i);
        table.append(*own, std::span(&message, 1), in_a_minute());
      }
      --writing;
    });
  }
  std::map<char, int> next;
  for (bool last = false; !last;) {
    last = writing == 0;
    const auto page = table.read(*connection, position, in_a_minute());
    EXPECT_FALSE(page.lost);
    for (const std::string& message : page.messages) {
      EXPECT_EQ(std::stoi(message.substr(2)), next[message.front()]++);
    }
  }
  for (int writer = 0; writer < kWriters; ++writer) EXPECT_EQ(next[static_cast<char>('0' + writer)], kEach);
}

}  // namespace
}  // namespace db4::testing
