// What the PostgreSQL engine promises beyond the other engines: many processes at once, and connections that
// break.

#include "engine_fixture.hpp"
#include "kv/postgres_connection.hpp"
#include "tcp_proxy.hpp"

#include <gmock/gmock.h>

#include <thread>

namespace db4::kv::testing {
namespace {

using namespace std::chrono_literals;
using db4::testing::PostgresServer;

class PostgresTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    server_ = db4::testing::shared_postgres_server(&reason);
    if (server_ == nullptr) GTEST_SKIP() << reason;
  }
  [[nodiscard]] EngineOptions options() const {
    return {.spaces = all_spaces(), .postgres = {.url = server_->url(), .schema = schema_}};
  }
  [[nodiscard]] EngineOptions options(const TcpProxy& proxy) const {
    EngineOptions through = options();
    through.postgres.url =
        "postgresql://db4@127.0.0.1:" + std::to_string(proxy.port()) + "/postgres?sslmode=disable";
    return through;
  }
  [[nodiscard]] std::unique_ptr<Engine> open() const { return open_postgres_engine(options()); }

  PostgresServer* server_ = nullptr;
  const std::string schema_ = PostgresServer::new_schema();
};

/// A number in a row, raised by compare-and-set: whether this call raised it.
bool raise_by_one(Engine& engine, std::uint64_t from) {
  Batch batch;
  if (from == 0) {
    batch.require_absent(kRows, "n");
  } else {
    batch.require_equals(kRows, "n", std::to_string(from));
  }
  batch.put(kRows, "n", std::to_string(from + 1));
  batch.add(kCounts, "raised", 1);
  batch.append(kRows, "log/" + std::to_string(from) + "/", "x");
  return commit(engine, batch, Durability::disk).committed();
}

std::uint64_t number(const Engine& engine) { return std::stoull(engine.get(kRows, "n").value_or("0")); }

TEST_F(PostgresTest, SeveralProcessesWriteAndNoneLosesAnything) {
  constexpr int kNodes = 4;
  constexpr int kEach = 100;
  static_cast<void>(open());  // makes the tables
  std::vector<std::thread> nodes;
  for (int node = 0; node < kNodes; ++node) {
    nodes.emplace_back([&] {
      const auto engine = open();
      for (int raised = 0; raised < kEach;) raised += raise_by_one(*engine, number(*engine)) ? 1 : 0;
    });
  }
  for (std::thread& node : nodes) node.join();
  const auto engine = open();
  EXPECT_EQ(number(*engine), kNodes * kEach);
  EXPECT_EQ(counter(*engine, "raised"), kNodes * kEach);
  EXPECT_EQ(keys(*engine, {.space = kRows, .begin = "log/", .end = "log0"}).size(), kNodes * kEach);
}

TEST_F(PostgresTest, SeveralMayOpenAtTheSameMomentWhereNothingIsYet) {
  std::vector<std::thread> nodes;
  std::atomic<int> opened{0};
  for (int node = 0; node < 6; ++node) {
    nodes.emplace_back([&] {
      const auto engine = open();
      put(*engine, kRows, "k", "v");
      ++opened;
    });
  }
  for (std::thread& node : nodes) node.join();
  EXPECT_EQ(opened, 6);
}

TEST_F(PostgresTest, OneOfThoseWhoCreateTheSameKeyWins) {
  const auto a = open();
  const auto b = open();
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> winners{0};
    const auto create = [&](Engine& engine) {
      Batch batch;
      batch.require_absent(kRows, "k" + std::to_string(round));
      batch.put(kRows, "k" + std::to_string(round), "v");
      batch.add(kCounts, "created", 1);
      if (commit(engine, batch).committed()) ++winners;
    };
    std::thread other([&] { create(*a); });
    create(*b);
    other.join();
    ASSERT_EQ(winners, 1);
  }
  EXPECT_EQ(counter(*a, "created"), 50);
}

// One writes the left key where the right one is absent, the other the right key where the left one is.
TEST_F(PostgresTest, AnAbsentKeyIsHeldAbsentUntilTheCommit) {
  const auto a = open();
  const auto b = open();
  for (int round = 0; round < 50; ++round) {
    const std::string left = "left" + std::to_string(round);
    const std::string right = "right" + std::to_string(round);
    const auto put_one = [](Engine& engine, const std::string& key, const std::string& other) {
      Batch batch;
      batch.require_absent(kBodies, other);
      batch.put(kBodies, key, "v");
      return commit(engine, batch).committed();
    };
    bool first = false;
    std::thread other([&] { first = put_one(*a, left, right); });
    const bool second = put_one(*b, right, left);
    other.join();
    ASSERT_NE(first, second) << round;
    ASSERT_EQ(a->get(kBodies, left).has_value(), first);
    ASSERT_EQ(a->get(kBodies, right).has_value(), second);
  }
}

TEST_F(PostgresTest, ARowThatIsCheckedStaysAsItIsUntilTheCommit) {
  const auto a = open();
  const auto b = open();
  put(*a, kRows, "left", "0");
  put(*a, kRows, "right", "0");
  // Each changes one where the other is unchanged: both cannot be first.
  for (int round = 0; round < 50; ++round) {
    const std::string now = std::to_string(round);
    const std::string next = std::to_string(round + 1);
    const auto raise = [&](Engine& engine, const std::string& key, const std::string& other) {
      Batch batch;
      batch.require_equals(kRows, other, now);
      batch.put(kRows, key, next);
      return commit(engine, batch).committed();
    };
    bool first = false;
    std::thread other([&] { first = raise(*a, "left", "right"); });
    const bool second = raise(*b, "right", "left");
    other.join();
    ASSERT_NE(first, second) << round;
    put(*a, kRows, "left", next);
    put(*a, kRows, "right", next);
  }
}

TEST_F(PostgresTest, ACommitWhoseAnswerIsLostIsNotMadeTwice) {
  TcpProxy proxy(server_->port());
  const auto engine = open_postgres_engine(options(proxy));
  std::uint64_t expected = 0;
  for (const Cut cut : {Cut::none, Cut::after, Cut::before, Cut::after, Cut::none, Cut::before}) {
    proxy.cut_at("db4_commit", cut);
    int told = 0;
    Batch batch;
    batch.require_prefix(kRows, "fixed", "");
    batch.add(kCounts, "n", 1);
    batch.append(kRows, "log/", "x");
    batch.on_committed = [&told](const Outcome&) { ++told; };
    if (expected == 0) put(*engine, kRows, "fixed", "");
    EXPECT_TRUE(commit(*engine, batch, Durability::disk).committed());
    EXPECT_EQ(told, 1);
    ++expected;
    EXPECT_EQ(counter(*engine, "n"), static_cast<std::int64_t>(expected));
    EXPECT_EQ(keys(*engine, {.space = kRows, .begin = "log/", .end = "log0"}).size(), expected);
  }
  EXPECT_GE(proxy.cuts(), 4);
}

TEST_F(PostgresTest, ACommitThatArrivesLateDoesNotTakeEffect) {
  TcpProxy proxy(server_->port());
  const auto engine = open_postgres_engine(options(proxy));
  put(*engine, kRows, "k", "0");
  proxy.cut_at("db4_commit", Cut::hold);
  Batch batch;
  batch.put(kRows, "k", "late");  // without a precondition that would give it away
  batch.add(kCounts, "n", 1);
  EXPECT_TRUE(commit(*engine, batch, Durability::disk).committed());
  put(*engine, kRows, "k", "newer");
  EXPECT_EQ(proxy.cuts(), 1);
  proxy.release();
  proxy.wait_until_delivered();
  EXPECT_EQ(engine->get(kRows, "k"), "newer");
  EXPECT_EQ(counter(*engine, "n"), 1);
}

TEST_F(PostgresTest, ACommitThatArrivesBetweenTheLookAndTheRepetitionDoesNotTakeEffect) {
  TcpProxy proxy(server_->port());
  const auto engine = open_postgres_engine(options(proxy));
  put(*engine, kRows, "k", "0");
  proxy.cut_at("db4_commit", std::deque{Cut::hold, Cut::let_by});
  int told = 0;
  Batch batch;
  batch.put(kRows, "k", "once");
  batch.add(kCounts, "n", 1);
  batch.on_committed = [&told](const Outcome&) { ++told; };
  EXPECT_TRUE(commit(*engine, batch, Durability::disk).committed());
  EXPECT_EQ(proxy.cuts(), 2);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(counter(*engine, "n"), 1);
  put(*engine, kRows, "k", "goes on");
  EXPECT_EQ(engine->get(kRows, "k"), "goes on");
}

TEST_F(PostgresTest, ACommitThatIsUnderWayIsWaitedForBeforeItIsJudged) {
  TcpProxy proxy(server_->port());
  const auto engine = open_postgres_engine(options(proxy));
  put(*engine, kRows, "k", "0");
  // It waits for this one, while its client believes it lost.
  const PostgresStatement begin{"", "BEGIN"};
  const PostgresStatement lock{"", "SELECT 1 FROM " + schema_ + ".rows FOR UPDATE"};
  const PostgresStatement commit_it{"", "COMMIT"};
  const MonotonicTime deadline = db4::system_clock()->monotonic() + 1min;
  PostgresConnection holder({.url = server_->url(), .timeout = 1min}, deadline);
  holder.add(begin);
  holder.add(lock);
  EXPECT_GT(holder.run(deadline).at(1).rows(), 0);
  proxy.cut_at("db4_commit", Cut::leave);
  int told = 0;
  Batch batch;
  batch.put(kRows, "k", "once");
  batch.add(kCounts, "n", 1);
  batch.on_committed = [&told](const Outcome&) { ++told; };
  std::thread writer(
      [&] { EXPECT_NO_THROW(EXPECT_TRUE(commit(*engine, batch, Durability::disk).committed())); });
  // The transaction for the row, and who looks for what became of it for the transaction.
  const std::string both_wait = "SELECT count(*) >= 2 FROM pg_locks WHERE NOT granted";
  while (server_->sql(both_wait) != "t" && db4::system_clock()->monotonic() < deadline - 30s) {
    db4::system_clock()->sleep_for(5ms);
  }
  holder.run(commit_it, {}, deadline);
  writer.join();
  EXPECT_EQ(proxy.cuts(), 1);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(counter(*engine, "n"), 1);
  EXPECT_EQ(engine->get(kRows, "k"), "once");
}

TEST_F(PostgresTest, AServerThatEndsSessionsLosesNothingAndRepeatsNothing) {
  const auto engine = open();
  std::atomic<bool> stop{false};
  std::thread terminator([&] {
    while (!stop) {
      server_->sql(
          "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'db4'");
    }
  });
  std::uint64_t raised = 0;
  while (raised < 200) {
    ASSERT_EQ(number(*engine), raised);
    ASSERT_TRUE(raise_by_one(*engine, raised)) << "refused though nobody else writes: it was made twice";
    ++raised;
  }
  stop = true;
  terminator.join();
  EXPECT_EQ(counter(*engine, "raised"), 200);
  EXPECT_EQ(keys(*engine, {.space = kRows, .begin = "log/", .end = "log0"}).size(), 200U);
}

TEST_F(PostgresTest, ARestartedServerIsFoundAgain) {
  PostgresServer server({});
  EngineOptions options = this->options();
  options.postgres.url = server.url();
  const auto engine = open_postgres_engine(options);
  std::uint64_t raised = 0;
  for (const int signal : {SIGINT, SIGQUIT, SIGKILL}) {
    std::thread restarts([&] { server.restart(signal); });
    for (int i = 0; i < 100; ++i, ++raised) ASSERT_TRUE(raise_by_one(*engine, raised));
    restarts.join();
    ASSERT_TRUE(raise_by_one(*engine, raised++));
    EXPECT_EQ(number(*engine), raised);
  }
  EXPECT_EQ(counter(*engine, "raised"), static_cast<std::int64_t>(raised));
}

TEST_F(PostgresTest, WhereTheServerStaysAwayCallsFailAndComeRightAgain) {
  PostgresServer server({});
  EngineOptions options = this->options();
  options.postgres.url = server.url();
  options.postgres.timeout = 300ms;
  const auto engine = open_postgres_engine(options);
  put(*engine, kRows, "k", "v");
  server.kill(SIGINT);
  Batch batch;
  batch.put(kRows, "k", "w");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(thrown_code([&] { commit(*engine, batch); }), ErrorCode::unavailable);
    EXPECT_EQ(thrown_code([&] { (void)engine->get(kRows, "k"); }), ErrorCode::unavailable);
  }
  server.start();
  EXPECT_EQ(engine->get(kRows, "k"), "v");
  EXPECT_TRUE(commit(*engine, batch).committed());
  EXPECT_EQ(engine->get(kRows, "k"), "w");
}

TEST_F(PostgresTest, WhatIsWrongIsSaid) {
  const auto message = [&](const PostgresOptions& postgres) {
    try {
      open_postgres_engine({.spaces = all_spaces(), .postgres = postgres});
    } catch (const Error& error) {
      return std::string(to_string(error.code())) + ": " + error.what();
    }
    return std::string("opened");
  };
  using ::testing::AllOf;
  using ::testing::HasSubstr;
  using ::testing::Not;
  using ::testing::StartsWith;
  const std::string port = std::to_string(server_->port());
  EXPECT_THAT(message({.url = ""}), AllOf(StartsWith("invalid_argument"), HasSubstr("hot.url")));
  EXPECT_THAT(message({.url = "postgresql://["}),
              AllOf(StartsWith("invalid_argument"), HasSubstr("hot.url")));
  EXPECT_THAT(message({.url = "postgresql://db4:swordfish@127.0.0.1/postgres"}),
              AllOf(StartsWith("invalid_argument"), HasSubstr("hot.password"), Not(HasSubstr("swordfish"))));
  EXPECT_THAT(message({.url = server_->url(), .schema = "a\"b"}),
              AllOf(StartsWith("invalid_argument"), HasSubstr("hot.schema")));
  EXPECT_THAT(message({.url = "postgresql://db4@127.0.0.1:" + port + "/nowhere"}),
              AllOf(StartsWith("invalid_argument"), HasSubstr("nowhere")));
  EXPECT_THAT(message({.url = "postgresql://nobody@127.0.0.1:" + port + "/postgres"}),
              AllOf(StartsWith("permission_denied"), HasSubstr("nobody")));
  EXPECT_THAT(message({.url = "postgresql://db4@127.0.0.1:1/postgres", .timeout = 100ms}),
              AllOf(StartsWith("unavailable"), HasSubstr("hot.url")));
}

TEST_F(PostgresTest, APasswordIsAskedForAndNeverShown) {
  PostgresServer server({.access = "local all all trust\nhost all db4 127.0.0.1/32 scram-sha-256"});
  server.sql("ALTER ROLE db4 PASSWORD 'swordfish'");
  PostgresOptions postgres{.url = server.tcp_url(), .password = Secret("swordfish")};
  EXPECT_NO_THROW(open_postgres_engine({.spaces = all_spaces(), .postgres = postgres}));
  for (const char* wrong : {"hunter2", ""}) {
    postgres.password = Secret(wrong);
    try {
      open_postgres_engine({.spaces = all_spaces(), .postgres = postgres});
      ADD_FAILURE() << "opened with '" << wrong << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::permission_denied);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("hot.password"));
      EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("hunter2")));
    }
  }
}

TEST_F(PostgresTest, TlsTrustsTheCertificateThatIsNamedAndNothingElse) {
  PostgresServer server({.access = "local all all trust\nhostssl all db4 127.0.0.1/32 trust", .tls = true});
  const auto open_with = [&](const std::string& parameters) {
    return open_postgres_engine({.spaces = all_spaces(), .postgres = {.url = server.tcp_url() + parameters}});
  };
  const std::string trusting = "?sslmode=verify-full&sslrootcert=";
  const auto engine = open_with(trusting + server.certificate().string());
  put(*engine, kRows, "k", "v");
  EXPECT_EQ(engine->get(kRows, "k"), "v");
  const std::string sessions =
      "SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name = 'db4' "
      "AND ";
  EXPECT_NE(server.sql(sessions + "ssl"), "0");
  EXPECT_EQ(server.sql(sessions + "NOT ssl"), "0");
  const PostgresServer stranger({.tls = true});
  for (const std::string& parameters :
       {trusting + stranger.certificate().string(), std::string("?sslmode=disable")}) {
    EXPECT_EQ(thrown_code([&] { static_cast<void>(open_with(parameters)); }), ErrorCode::permission_denied)
        << parameters;
  }
}

TEST_F(PostgresTest, TablesOfANewerReleaseAreRefused) {
  static_cast<void>(open());
  server_->sql("INSERT INTO " + schema_ + ".db4_format VALUES (2)");
  EXPECT_EQ(thrown_code([&] { static_cast<void>(open()); }), ErrorCode::unsupported);
}

TEST_F(PostgresTest, AClosedEngineLeavesNoSession) {
  const auto engine = open();
  put(*engine, kRows, "k", "v");
  EXPECT_EQ(server_->sql("SELECT count(*) FROM " + schema_ + ".db4_sessions"), "1");
  engine->close();
  EXPECT_EQ(server_->sql("SELECT count(*) FROM " + schema_ + ".db4_sessions"), "0");
}

TEST_F(PostgresTest, ASessionThatWasRemovedIsMadeAnew) {
  const auto engine = open();
  put(*engine, kRows, "k", "v");
  server_->sql("DELETE FROM " + schema_ + ".db4_sessions");
  put(*engine, kRows, "k", "w");
  put(*engine, kRows, "k", "x");
  EXPECT_EQ(engine->get(kRows, "k"), "x");
  EXPECT_EQ(server_->sql("SELECT commits FROM " + schema_ + ".db4_sessions"), "1");
}

TEST_F(PostgresTest, ARefusedBatchLeavesNoTrace) {
  const auto engine = open();
  Batch batch;
  batch.require_absent(kBodies, "place");
  batch.require_present(kRows, "none");
  batch.put(kRows, "k", "v");
  EXPECT_EQ(commit(*engine, batch).failed_precondition, 1U);
  EXPECT_EQ(engine->get(kBodies, "place"), std::nullopt);
  EXPECT_EQ(engine->get(kRows, "k"), std::nullopt);
  Batch taken;  // the place is free
  taken.require_absent(kBodies, "place");
  EXPECT_TRUE(commit(*engine, taken).committed());
  EXPECT_EQ(engine->get(kBodies, "place"), std::nullopt);
}

// A group's preconditions are usually taken to hold; those below cannot be.
TEST_F(PostgresTest, PreconditionsOfOneGroupOnOneKeyAreJudgedByWhatIsThere) {
  const auto engine = open();
  put(*engine, kRows, "k", "abc");
  Batch short_prefix;
  short_prefix.require_prefix(kRows, "k", "ab");
  short_prefix.put(kRows, "first", "1");
  Batch long_prefix;
  long_prefix.require_prefix(kRows, "k", "abc");
  long_prefix.put(kRows, "second", "1");
  Batch wrong;
  wrong.require_prefix(kRows, "k", "abd");
  wrong.put(kRows, "third", "1");
  const Batch* const group[] = {&short_prefix, &wrong, &long_prefix};
  const auto outcomes = engine->commit(group, Durability::process);
  EXPECT_TRUE(outcomes[0].committed());
  EXPECT_FALSE(outcomes[1].committed());
  EXPECT_TRUE(outcomes[2].committed());
  EXPECT_EQ(keys(*engine, {.space = kRows}), (std::vector<std::string>{"first", "k", "second"}));
}

TEST_F(PostgresTest, TheServersTimeIsNow) {
  const auto before = system_clock()->now();
  const auto time = open()->server_time();
  ASSERT_TRUE(time);
  EXPECT_GE(*time, before - 1s);
  EXPECT_LE(*time, system_clock()->now() + 1s);
}

}  // namespace
}  // namespace db4::kv::testing
