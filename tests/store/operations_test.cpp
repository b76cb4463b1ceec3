// Operations: each with its reply, in this process and through the live socket; and requests that are none.
#include "live/protocol.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/operations.hpp>
#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <latch>
#include <thread>

namespace db4 {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

enum class Way { direct, live };

/// Runs every test twice: on the store itself, and through its socket.
class OperationsTest : public ::testing::TestWithParam<Way> {
 protected:
  OperationsTest() { open(); }

  void open(std::size_t max_clients = 16) {
    client_.reset();
    store_.reset();
    store_ = std::make_unique<TieredStore>(TieredStoreConfig{.hot = {.type = testing::kDiskEngine,
                                                                     .path = folder_.path() / "hot",
                                                                     .durability = Durability::process},
                                                             .cold = {.path = folder_.path() / "cold"},
                                                             .tiering = {.interval = 0ms},
                                                             .stats = {.sample_interval = 10min},
                                                             .live = {.max_clients = max_clients}},
                                           Components{.clock = clock_});
    if (GetParam() == Way::live) {
      client_ = LiveClient::connect(folder_.path() / "hot");
      ASSERT_NE(client_, nullptr);
    }
  }
  OperationReply run(const json& request, std::string_view body = {}) {
    return client_ ? client_->run(request.dump(), body) : run_operation(*store_, request.dump(), body);
  }
  json ask(const json& request, std::string_view body = {}) { return json::parse(run(request, body).json); }
  Error error_of(const json& request, std::string_view body = {}) {
    try {
      run(request, body);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << request << " gave no error";
    return {ErrorCode::internal, "", ""};
  }
  void put(std::string_view id, std::string_view body = R"({"n": 1})") {
    ask({{"op", "put"}, {"collection", "docs"}, {"id", id}, {"json", true}}, body);
  }

  testing::TemporaryFolder folder_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::unique_ptr<TieredStore> store_;
  std::unique_ptr<LiveClient> client_;
};

TEST_P(OperationsTest, ADocumentIsPutReadListedExplainedAndRemoved) {
  const json put = ask({{"op", "put"}, {"collection", "docs"}, {"id", "a"}, {"json", true}}, R"({"x": 1})");
  EXPECT_EQ(put, (json{{"version", 1}, {"tier", "hot"}}));
  const OperationReply got = run({{"op", "get"}, {"collection", "docs"}, {"id", "a"}});
  EXPECT_EQ(got.body, R"({"x": 1})");
  EXPECT_EQ(json::parse(got.json).at("served_from"), "hot");
  EXPECT_EQ(ask({{"op", "stat"}, {"collection", "docs"}, {"id", "a"}}).at("size"), 8);
  EXPECT_EQ(ask({{"op", "tier"}, {"collection", "docs"}, {"id", "a"}}).at("tier"), "hot");
  const json listed = ask({{"op", "ls"}, {"collection", "docs"}, {"prefix", "a"}});
  ASSERT_EQ(listed.at("documents").size(), 1U);
  EXPECT_EQ(listed.at("documents")[0].at("id"), "a");
  EXPECT_EQ(listed.at("cursor"), "");
  EXPECT_EQ(ask({{"op", "ls"}}).at("collections")[0].at("hot_documents"), 1);
  const json explained = ask({{"op", "explain"}, {"collection", "docs"}, {"id", "a"}});
  EXPECT_EQ(explained.at("home"), "hot");
  EXPECT_TRUE(explained.at("moves").empty());
  EXPECT_EQ(ask({{"op", "rm"}, {"collection", "docs"}, {"id", "a"}}).at("removed"), true);
  for (const char* op : {"get", "stat", "explain", "tier", "promote", "demote"}) {
    EXPECT_EQ(ask({{"op", op}, {"collection", "docs"}, {"id", "a"}}), (json{{"found", false}})) << op;
  }
}

TEST_P(OperationsTest, BodiesOfAnyBytesGoThroughUnharmed) {
  std::string body(3'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 >> 3);
  ask({{"op", "put"}, {"collection", "docs"}, {"id", "bytes"}, {"content_type", "image/png"}}, body);
  const OperationReply got = run({{"op", "get"}, {"collection", "docs"}, {"id", "bytes"}});
  EXPECT_EQ(got.body, body);
  EXPECT_EQ(json::parse(got.json).at("content_type"), "image/png");
}

TEST_P(OperationsTest, APeekIsNoUse) {
  put("a");
  put("b");
  ask({{"op", "demote"}, {"collection", "docs"}, {"id", "b"}, {"to", "cold"}});
  clock_->advance(1h);
  for (const char* id : {"a", "b"}) {
    const json before = ask({{"op", "explain"}, {"collection", "docs"}, {"id", id}});
    for (int i = 0; i < 3; ++i) {
      const OperationReply got = run({{"op", "get"}, {"collection", "docs"}, {"id", id}, {"peek", true}});
      EXPECT_EQ(got.body, R"({"n": 1})");
      EXPECT_EQ(json::parse(got.json).at("accessed_at"), before.at("meta").at("accessed_at"));
    }
    EXPECT_EQ(ask({{"op", "explain"}, {"collection", "docs"}, {"id", id}}), before);
  }
  EXPECT_EQ(ask({{"op", "stats"}}).at("tiers").at("warm").at("documents"), 0);
  run({{"op", "get"}, {"collection", "docs"}, {"id", "a"}});
  EXPECT_EQ(ask({{"op", "stat"}, {"collection", "docs"}, {"id", "a"}}).at("access_count"), 1);
}

TEST_P(OperationsTest, ABatchIsWrittenAsAWholeOrNotAtAll) {
  std::string body;
  append_batch_item(body, "a", "", R"({"n": 1})");
  append_batch_item(body, "b", "image/png", std::string("\0\xFF", 2));
  const json request{{"op", "put_batch"}, {"collection", "docs"}, {"if_version", 0}};
  EXPECT_EQ(ask(request, body), (json{{"written", 2}}));
  const OperationReply got = run({{"op", "get"}, {"collection", "docs"}, {"id", "b"}});
  EXPECT_EQ(got.body, std::string("\0\xFF", 2));
  EXPECT_EQ(json::parse(got.json).at("content_type"), "image/png");
  EXPECT_EQ(ask(request), (json{{"written", 0}}));

  std::string more;
  append_batch_item(more, "c", "", "{}");
  EXPECT_EQ(error_of(request, more + body).code(), ErrorCode::conflict);
  std::string bad;
  append_batch_item(bad, "d", "", "{");
  EXPECT_EQ(error_of(request, more + bad).code(), ErrorCode::invalid_argument);
  for (std::size_t cut = 1; cut < body.size(); cut += 7) {
    const Error error = error_of(request, std::string_view(body).substr(0, body.size() - cut));
    EXPECT_TRUE(error.code() == ErrorCode::invalid_argument || error.code() == ErrorCode::conflict) << cut;
  }
  EXPECT_EQ(ask({{"op", "stat"}, {"collection", "docs"}, {"id", "c"}}), (json{{"found", false}}));
}

TEST_P(OperationsTest, MovesPinsAndRuns) {
  put("a");
  put("b");
  EXPECT_EQ(ask({{"op", "demote"}, {"collection", "docs"}, {"id", "a"}, {"to", "cold"}}).at("moved"), true);
  EXPECT_EQ(ask({{"op", "promote"}, {"collection", "docs"}, {"id", "a"}}).at("to"), "hot");
  ask({{"op", "pin"}, {"collection", "docs"}, {"scope", "document"}, {"id", "a"}, {"tier", "hot"}});
  EXPECT_EQ(ask({{"op", "pins"}}).at("pins")[0].at("scope"), "document");
  clock_->advance(48h);
  const json plan = ask({{"op", "tier_run"}, {"dry_run", true}});
  EXPECT_EQ(plan.at("dry_run"), true);
  ASSERT_EQ(plan.at("moves").size(), 1U);
  EXPECT_THAT(plan.at("moves")[0].at("reason").get<std::string>(), HasSubstr("not used for 2 d"));
  EXPECT_EQ(ask({{"op", "tier_run"}, {"max_operations", 5}}).at("demoted"), 1);
  const json explained = ask({{"op", "explain"}, {"collection", "docs"}, {"id", "a"}});
  EXPECT_EQ(explained.at("pin").at("tier"), "hot");
  EXPECT_EQ(explained.at("moves").size(), 2U);
  EXPECT_EQ(ask({{"op", "unpin"}, {"collection", "docs"}, {"scope", "document"}, {"id", "a"}}).at("removed"),
            true);
}

TEST_P(OperationsTest, FiguresTopAndSamples) {
  put("user:1");
  put("user:2");
  for (int i = 0; i < 5; ++i) run({{"op", "get"}, {"collection", "docs"}, {"id", "user:1"}});
  run({{"op", "get"}, {"collection", "docs"}, {"id", "user:2"}});
  const json top = ask({{"op", "top"}, {"limit", 1}});
  ASSERT_EQ(top.at("busiest").size(), 1U);
  EXPECT_EQ(top.at("busiest")[0].at("id"), "user:1");
  EXPECT_EQ(top.at("busiest")[0].at("recent_access_count"), 5);
  EXPECT_EQ(
      top.at("prefixes")[0],
      (json{{"collection", "docs"}, {"prefix", "user:"}, {"documents", 2}, {"recent_access_count", 6}}));
  EXPECT_EQ(top.at("stats").at("writes"), 2);
  const json stats = ask({{"op", "stats"}});
  EXPECT_EQ(stats.at("tiers").at("hot").at("hits"), 6);
  EXPECT_EQ(stats.at("store").at("hot_type"), to_string(testing::kDiskEngine));
  EXPECT_EQ(stats.at("store").at("id").get<std::string>().size(), 16U);
  EXPECT_EQ(stats.at("last_background_error"), "");
  EXPECT_TRUE(ask({{"op", "samples"}}).at("samples").empty());
  clock_->advance(1h);
  ask({{"op", "tier_run"}});
  const json samples = ask({{"op", "samples"}});
  ASSERT_EQ(samples.at("samples").size(), 1U);
  EXPECT_EQ(samples.at("samples")[0].at("writes"), 2);
  const std::int64_t at = samples.at("samples")[0].at("at");
  EXPECT_TRUE(ask({{"op", "samples"}, {"since", at + 1}}).at("samples").empty());
}

TEST_P(OperationsTest, ErrorsKeepWhatTheySay) {
  put("a");
  const Error conflict =
      error_of({{"op", "put"}, {"collection", "docs"}, {"id", "a"}, {"json", true}, {"if_version", 7}}, "{}");
  EXPECT_EQ(conflict.code(), ErrorCode::conflict);
  EXPECT_EQ(conflict.current_version(), 1U);
  EXPECT_EQ(conflict.advice(), "read it again and decide");
  const Error bad = error_of({{"op", "put"}, {"collection", "docs"}, {"id", "a"}, {"json", true}}, "{nope");
  EXPECT_EQ(bad.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(bad.what(), HasSubstr("byte offset 2"));
}

TEST_P(OperationsTest, RequestsThatAreNoneAreRefusedAndTheNextOneWorks) {
  const auto refused = [&](std::string_view text) {
    try {
      client_ ? client_->run(text) : run_operation(*store_, text);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << text;
      EXPECT_NE(error.advice(), "") << text;
      return;
    }
    ADD_FAILURE() << text;
  };
  refused("");
  refused("[]");
  refused("{");
  refused(R"({"op": 1})");
  refused(R"({"op": "nope"})");
  refused(R"({"op": "stats", "limt": 1})");
  refused(R"({"op": "stats", "": 1})");
  refused(R"({"op": "get", "collection": "docs"})");
  refused(R"({"op": "get", "collection": "docs", "id": 7})");
  refused(R"({"op": "ls", "collection": "docs", "limit": -1})");
  refused(R"({"op": "ls", "collection": "docs", "limit": 1.5})");
  refused(R"({"op": "ls", "collection": "docs", "tier": "tepid"})");
  refused(R"({"op": "ls", "collection": ["docs"]})");
  refused(R"({"op": "tier_run", "dry_run": "yes"})");
  refused(R"({"op": "pin", "collection": "docs", "scope": "everything", "tier": "hot"})");
  refused(R"({"op": "pin", "collection": "docs", "scope": "collection"})");
  refused("{\"op\": \"ls\", \"collection\": " + std::string(50'000, '['));
  EXPECT_TRUE(ask({{"op", "ls"}}).contains("collections"));
}

TEST_P(OperationsTest, ALongRequestIsTooLarge) {
  const std::string text =
      R"({"op": "get", "collection": ")" + std::string(kMaxOperationRequestBytes, 'x') + "\"}";
  EXPECT_THROW(client_ ? client_->run(text) : run_operation(*store_, text), Error);
}

INSTANTIATE_TEST_SUITE_P(Ways, OperationsTest, ::testing::Values(Way::direct, Way::live),
                         [](const auto& way) { return way.param == Way::direct ? "direct" : "live"; });

/// The socket itself.
class LiveTest : public OperationsTest {};
INSTANTIATE_TEST_SUITE_P(Live, LiveTest, ::testing::Values(Way::live), [](const auto&) { return "live"; });

TEST_P(LiveTest, TheSocketIsTheOwnersAloneAndGoesWithTheStore) {
  struct stat info {};
  const std::string path = folder_.path() / "hot" / "live.sock";
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  store_->close();
  EXPECT_EQ(LiveClient::connect(folder_.path() / "hot"), nullptr);
  EXPECT_THROW(client_->run(R"({"op": "stats"})"), Error);
  EXPECT_EQ(LiveClient::connect(folder_.path() / "nowhere"), nullptr);
}

TEST_P(LiveTest, ALeftOverSocketIsReplaced) {
  store_.reset();
  { std::ofstream(folder_.path() / "hot" / "live.sock") << "left over"; }
  EXPECT_EQ(LiveClient::connect(folder_.path() / "hot"), nullptr);
  open();
  put("a");
}

TEST_P(LiveTest, AStoreThatWasClosedLeavesItsSuccessorsSocketAlone) {
  store_->close();
  auto successor = std::make_unique<TieredStore>(
      TieredStoreConfig{.hot = {.type = testing::kDiskEngine, .path = folder_.path() / "hot"},
                        .cold = {.path = folder_.path() / "cold"}});
  store_.reset();
  EXPECT_NE(LiveClient::connect(folder_.path() / "hot"), nullptr);
}

TEST_P(LiveTest, AClientWhoseConnectionBrokeSaysSoEverAfter) {
  store_->close();
  for (int i = 0; i < 2; ++i) {
    try {
      client_->run(R"({"op": "stats"})");
      FAIL() << "it was answered";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unavailable);
    }
  }
}

TEST_P(LiveTest, AFolderDeeperThanASocketsAddressIsNoObstacle) {
  const auto deep = folder_.path() / std::string(120, 'd') / "hot";
  TieredStore store({.hot = {.type = testing::kDiskEngine, .path = deep, .durability = Durability::process},
                     .cold = {.path = deep / "cold"}});
  const auto client = LiveClient::connect(deep);
  ASSERT_NE(client, nullptr);
  EXPECT_THAT(client->run(R"({"op": "ls"})").json, HasSubstr("collections"));
}

TEST_P(LiveTest, MoreClientsThanAllowedAreToldSo) {
  open(/*max_clients=*/2);
  ask({{"op", "ls"}});
  const auto second = LiveClient::connect(folder_.path() / "hot");
  second->run(R"({"op": "ls"})");
  const auto third = LiveClient::connect(folder_.path() / "hot");
  try {
    third->run(R"({"op": "ls"})");
    FAIL() << "it was let in";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::resource_exhausted);
    EXPECT_THAT(error.what(), HasSubstr("live.max_clients"));
  }
  EXPECT_TRUE(ask({{"op", "ls"}}).contains("collections"));
}

TEST_P(LiveTest, ManyClientsAtOnceAndACloseInTheMiddle) {
  put("a");
  std::latch busy(8);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto client = LiveClient::connect(folder_.path() / "hot");
      client->run(R"({"op": "ls"})");
      busy.count_down();
      try {
        while (true) client->run(R"({"op": "get", "collection": "docs", "id": "a"})");
      } catch (const Error& error) {
        // The store refused, or the connection went.
        EXPECT_TRUE(error.code() == ErrorCode::unavailable || error.code() == ErrorCode::invalid_argument)
            << error.what();
      }
    });
  }
  busy.wait();
  store_->close();
}

TEST_P(LiveTest, BytesThatAreNoFrameGetAnErrorAndAClosedConnection) {
  const auto hot = folder_.path() / "hot";
  const auto answer_to = [&](std::string bytes) {
    const auto socket = net::LocalSocket::connect(hot, live::kSocketName);
    EXPECT_TRUE(socket->send(bytes, 1s));
    const auto frame = live::receive_frame(*socket, live::kMaxReplyBytes, 10s);
    if (!frame) return std::string("closed");
    EXPECT_EQ(frame->kind, live::FrameKind::error);
    const std::string code(to_string(live::decode_error(frame->json).code()));
    EXPECT_FALSE(live::receive_frame(*socket, live::kMaxReplyBytes, 10s).has_value());
    return code;
  };
  const auto head = [](std::uint16_t version, std::uint16_t kind, std::uint32_t json_size,
                       std::uint32_t body_size) {
    std::string out = "DB4L";
    out.append(reinterpret_cast<const char*>(&version), 2).append(reinterpret_cast<const char*>(&kind), 2);
    return out.append(reinterpret_cast<const char*>(&json_size), 4)
        .append(reinterpret_cast<const char*>(&body_size), 4);
  };
  EXPECT_EQ(answer_to("GET / HTTP/1.1\r\n\r\n"), "invalid_argument");
  EXPECT_EQ(answer_to(head(2, 1, 0, 0)), "unsupported");
  EXPECT_EQ(answer_to(head(1, 9, 0, 0)), "invalid_argument");
  EXPECT_EQ(answer_to(head(1, 1, 0xFFFF'FFFF, 0)), "too_large");
  EXPECT_EQ(answer_to(head(1, 1, 2, 0xFFFF'FFFF)), "too_large");
  EXPECT_EQ(answer_to(head(1, 2, 2, 0) + "{}"), "closed");
  put("a");
}

TEST(LocalListener, WhoWasNeverAcceptedIsHungUpOnWhenItCloses) {
  const testing::TemporaryFolder folder;
  net::LocalListener listener(folder.path(), "a.sock");
  const auto client = net::LocalSocket::connect(folder.path(), "a.sock");
  ASSERT_TRUE(client.has_value());
  EXPECT_TRUE(client->send("a request", 10s));
  listener.shut_down();
  EXPECT_EQ(listener.accept(), std::nullopt);
  listener.close();
  std::string answer;
  EXPECT_FALSE(client->receive(answer, 1, 1h));
  EXPECT_EQ(net::LocalSocket::connect(folder.path(), "a.sock"), std::nullopt);
}

TEST(LiveOff, NobodyListensWhereItIsSwitchedOffOrNothingIsOnDisk) {
  const testing::TemporaryFolder folder;
  TieredStore store({.hot = {.type = testing::kDiskEngine,
                             .path = folder.path() / "hot",
                             .durability = Durability::process},
                     .cold = {.path = folder.path() / "cold"},
                     .live = {.enabled = false}});
  EXPECT_EQ(LiveClient::connect(folder.path() / "hot"), nullptr);
}

}  // namespace
}  // namespace db4
