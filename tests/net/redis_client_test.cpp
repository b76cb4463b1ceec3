// The Redis client against a server that the test starts, and hurts.
#include "net/redis_client.hpp"

#include "net/local_socket.hpp"
#include "support/redis_server.hpp"

#include <db4/clock.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace db4::net {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RedisServer;
using Type = RedisReply::Type;

/// Long enough never to be reached where all is well, however busy the machine is.
constexpr std::chrono::milliseconds kPatience{30'000};
/// For calls that are to end by it.
constexpr std::chrono::milliseconds kShort{100};

class RedisClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string absence = RedisServer::absence(); !absence.empty()) GTEST_SKIP() << absence;
  }
  static RedisClientOptions options_for(const std::string& endpoint) {
    return {.endpoint = parse_redis_endpoint(endpoint, "warm.endpoint"),
            .connect_timeout = kPatience,
            .timeout = kPatience,
            .settings = "warm."};
  }
  static void expect_works(RedisClient& client) {
    EXPECT_EQ(client.command({"SET", "key", "value"}).text, "OK");
    EXPECT_EQ(client.command({"GET", "key"}).text, "value");
  }
  template <typename Call>
  static RedisError error_of(const Call& call) {
    try {
      call();
    } catch (const RedisError& error) {
      return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {RedisFailure::busy, ErrorCode::internal, "nothing was thrown", ""};
  }
  /// Until that many clients of the server wait for something.
  static void wait_for_blocked(RedisClient& client, int blocked) {
    const std::string line = "blocked_clients:" + std::to_string(blocked) + "\r";
    while (client.command({"INFO", "clients"}).text.find(line) == std::string::npos)
      std::this_thread::yield();
  }
};

TEST_F(RedisClientTest, AsksOverUnixSocketTcpAndTls) {
  RedisServer plain;
  RedisServer tls({.tls = true});
  RedisClient over_unix(options_for(plain.unix_endpoint()));
  RedisClient over_path(options_for(plain.socket()));
  RedisClient over_tcp(options_for(plain.endpoint()));
  RedisClient over_name(options_for(plain.endpoint("localhost")));
  for (RedisClient* client : {&over_unix, &over_path, &over_tcp, &over_name}) expect_works(*client);
  for (const char* host : {"127.0.0.1", "localhost"}) {
    RedisClientOptions options = options_for(tls.endpoint(host));
    options.ca_file = tls.ca_file();
    RedisClient client(options);
    expect_works(client);
    const std::string large(5 << 20, 'x');
    EXPECT_EQ(client.command({"SET", "large", large}).text, "OK");
    EXPECT_EQ(client.command({"GET", "large"}).text, large);
  }
}

TEST_F(RedisClientTest, WordsAndRepliesAreArbitraryBytesOfEveryKind) {
  RedisServer server;
  RedisClient client(options_for(server.unix_endpoint()));
  const std::string odd("\0\r\n$-1\r\n\xff", 9);
  EXPECT_EQ(client.command({"SET", odd, odd}).text, "OK");
  EXPECT_EQ(client.command({"GET", odd}).text, odd);
  EXPECT_TRUE(client.command({"GET", "absent"}).is(Type::nil));
  EXPECT_EQ(client.command({"INCRBY", "number", "-42"}).integer, -42);
  EXPECT_EQ(client.command({"SET", "empty", ""}).text, "OK");
  const RedisReply list = client.command({"MGET", odd, "absent", "empty"});
  ASSERT_EQ(list.array.size(), 3U);
  EXPECT_EQ(list.array[0].text, odd);
  EXPECT_TRUE(list.array[1].is(Type::nil));
  EXPECT_TRUE(list.array[2].is(Type::text));
  const RedisReply nested =
      client.command({"EVAL", "return {1, {'two', {}}, redis.error_reply('ERR x')}", "0"});
  ASSERT_EQ(nested.array.size(), 3U);
  EXPECT_EQ(nested.array[1].array[0].text, "two");
  EXPECT_TRUE(nested.array[1].array[1].array.empty());
  EXPECT_TRUE(nested.array[2].is(Type::error));
  const std::string large(9 << 20, 'l');
  client.command({"SET", "large", large});
  EXPECT_EQ(client.command({"GET", "large"}).text, large);
}

TEST_F(RedisClientTest, APipelineGivesEveryReplyInOrder) {
  RedisServer server;
  RedisClient client(options_for(server.unix_endpoint()));
  std::vector<std::string> numbers;
  for (std::size_t i = 0; i < 3 * kMaxPipelined + 5; ++i) numbers.push_back(std::to_string(i));
  std::vector<std::array<std::string_view, 2>> words;
  for (const std::string& number : numbers) words.push_back({"ECHO", number});
  words[7] = {"INCR", "a list"};
  std::vector<RedisWords> commands(words.begin(), words.end());
  client.command({"RPUSH", "a list", "x"});
  const std::vector<RedisReply> replies = client.pipeline(commands);
  ASSERT_EQ(replies.size(), numbers.size());
  for (std::size_t i = 0; i < replies.size(); ++i) {
    if (i == 7) {
      EXPECT_TRUE(replies[i].is(Type::error)) << "the others are carried out all the same";
    } else {
      EXPECT_EQ(replies[i].text, numbers[i]);
    }
  }
  EXPECT_EQ(client.connections(), 1U);
  EXPECT_TRUE(client.pipeline({}).empty());
}

TEST_F(RedisClientTest, ScriptsAreSentOnceAndAgainWhereTheServerForgotThem) {
  RedisServer server;
  RedisClient client(options_for(server.unix_endpoint()));
  const RedisScript script("return {KEYS[1], ARGV[1]}");
  const std::string_view keys[] = {"key"};
  const std::string_view arguments[] = {"argument"};
  for (int round = 0; round < 3; ++round) {
    const RedisReply reply = client.eval(script, keys, arguments);
    EXPECT_EQ(reply.array.at(1).text, "argument");
    if (round == 1) client.command({"SCRIPT", "FLUSH"});
  }
}

TEST_F(RedisClientTest, PasswordsRightWrongAndMissing) {
  RedisServer server({.password = "open sesame"});
  RedisClientOptions options = options_for(server.endpoint());
  options.endpoint.password = "open sesame";
  RedisClient right(options);
  expect_works(right);
  right.command({"ACL", "SETUSER", "ann", "on", ">of her own", "~*", "+@all"});
  options.endpoint.username = "ann";
  options.endpoint.password = "of her own";
  RedisClient ann(options);
  expect_works(ann);

  options.endpoint.password = "closed sesame";
  RedisClient wrong(options);
  const RedisError refused = error_of([&] { wrong.command({"PING"}); });
  EXPECT_EQ(refused.code(), ErrorCode::permission_denied);
  EXPECT_EQ(refused.failure(), RedisFailure::log_in);
  EXPECT_THAT(refused.what(), HasSubstr("warm.password"));
  EXPECT_THAT(refused.what(), Not(HasSubstr("sesame")));

  RedisClient missing(options_for(server.endpoint()));
  const RedisError asked = error_of([&] { missing.command({"PING"}); });
  EXPECT_EQ(asked.code(), ErrorCode::permission_denied);
  EXPECT_THAT(asked.what(), HasSubstr("warm.password"));

  RedisServer open;
  RedisClientOptions needless = options_for(open.endpoint());
  needless.endpoint.password = "sesame";
  RedisClient unwanted(needless);
  EXPECT_EQ(error_of([&] { unwanted.command({"PING"}); }).code(), ErrorCode::permission_denied);
}

TEST_F(RedisClientTest, DatabasesAreChosenAndChecked) {
  RedisServer server;
  RedisClient third(options_for(server.endpoint() + "/3"));
  third.command({"SET", "where", "third"});
  RedisClient first(options_for(server.endpoint()));
  EXPECT_TRUE(first.command({"GET", "where"}).is(Type::nil));
  RedisClient none(options_for(server.endpoint() + "/500"));
  const RedisError error = error_of([&] { none.command({"PING"}); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("warm.endpoint"));
}

TEST_F(RedisClientTest, CertificatesAreChecked) {
  RedisServer server({.tls = true});
  RedisClient stranger(options_for(server.endpoint()));
  const RedisError untrusted = error_of([&] { stranger.command({"PING"}); });
  EXPECT_EQ(untrusted.code(), ErrorCode::permission_denied);
  EXPECT_THAT(untrusted.what(), HasSubstr("warm.ca_file"));

  RedisClientOptions options = options_for(server.endpoint("127.0.0.2"));
  options.ca_file = server.ca_file();
  RedisServer other({.tls = true, .more = {"--bind", "127.0.0.1", "127.0.0.2"}});
  options.endpoint = parse_redis_endpoint(other.endpoint("127.0.0.2"), "warm.endpoint");
  options.ca_file = other.ca_file();
  RedisClient misled(options);
  EXPECT_EQ(error_of([&] { misled.command({"PING"}); }).code(), ErrorCode::permission_denied)
      << "the certificate is another host's";

  options.ca_file = "/dev/null";
  try {
    const RedisClient client(options);
    ADD_FAILURE() << "no certificate in it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("warm.ca_file"));
  }

  RedisServer plain;
  std::string endpoint = plain.endpoint();
  endpoint.replace(0, 5, "rediss");
  RedisClientOptions unheard_options = options_for(endpoint);
  unheard_options.connect_timeout = kShort;  // a plain server waits for the end of a line
  RedisClient unheard(unheard_options);
  EXPECT_TRUE(error_of([&] { unheard.command({"PING"}); }).server_is_away());
  endpoint = server.endpoint();
  endpoint.replace(0, 6, "redis");
  RedisClient plain_to_tls(options_for(endpoint));
  EXPECT_THAT(error_of([&] { plain_to_tls.command({"PING"}); }).what(), HasSubstr("rediss://"));
}

TEST_F(RedisClientTest, NobodyThere) {
  std::string endpoint;
  {
    RedisServer server;
    endpoint = server.endpoint();
  }
  RedisClient refused(options_for(endpoint));
  const RedisError error = error_of([&] { refused.command({"PING"}); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_TRUE(error.server_is_away());
  EXPECT_THAT(error.what(), HasSubstr("warm.endpoint"));
  testing::TemporaryFolder folder;
  RedisClient no_socket(options_for("unix://" + (folder.path() / "none.sock").string()));
  EXPECT_EQ(error_of([&] { no_socket.command({"PING"}); }).failure(), RedisFailure::unreachable);
  RedisClient no_name(options_for("redis://no-such-host.invalid"));
  EXPECT_TRUE(error_of([&] { no_name.command({"PING"}); }).server_is_away());
}

TEST_F(RedisClientTest, SocketsMayLieDeep) {
  testing::TemporaryFolder folder;
  const std::filesystem::path deep = folder.path() / std::string(60, 'a') / std::string(60, 'b');
  std::filesystem::create_directories(deep);
  RedisServer server;
  std::filesystem::create_symlink(server.socket(), deep / "redis.sock");
  RedisClient client(options_for((deep / "redis.sock").string()));
  expect_works(client);
}

TEST_F(RedisClientTest, AHungServerEndsACallAtItsDeadlineAndNobodyReadsTheLateReply) {
  for (const bool tls : {false, true}) {
    RedisServer server({.tls = tls});
    RedisClientOptions options = options_for(server.endpoint());
    if (tls) options.ca_file = server.ca_file();
    RedisClient patient(options);
    patient.command({"SET", "first", "1"});
    options.timeout = kShort;
    options.connect_timeout = kShort;
    RedisClient client(options);
    // On a machine that does other things, even a healthy server may take its time.
    while (true) {
      try {
        client.command({"SET", "second", "2"});
        break;
      } catch (const RedisError& error) {
        ASSERT_EQ(error.code(), ErrorCode::deadline_exceeded);
      }
    }
    server.freeze();
    const RedisError error = error_of([&] { client.command({"GET", "first"}); });
    EXPECT_EQ(error.code(), ErrorCode::deadline_exceeded);
    EXPECT_TRUE(error.server_is_away());
    EXPECT_EQ(client.connections(), 0U) << "it was thrown away";
    EXPECT_EQ(error_of([&] { client.command({"GET", "first"}); }).code(), ErrorCode::deadline_exceeded);
    server.thaw();
    for (int i = 0; i < 100; ++i) {
      try {
        EXPECT_EQ(client.command({"GET", "second"}).text, "2");
      } catch (const RedisError& late) {
        EXPECT_EQ(late.code(), ErrorCode::deadline_exceeded);
      }
    }
  }
}

TEST_F(RedisClientTest, AServerKilledInAPipelineFailsItAndTheNextCallsConnectAnew) {
  RedisServer server;
  RedisClient client(options_for(server.endpoint()));
  RedisClient watcher(options_for(server.unix_endpoint()));
  auto broken = std::async(std::launch::async, [&] {
    const std::string_view ping[] = {"PING"};
    const std::string_view wait[] = {"BLPOP", "nothing", "0"};
    const RedisWords commands[] = {ping, wait, ping};
    return error_of([&] { client.pipeline(commands); });
  });
  wait_for_blocked(watcher, 1);
  server.kill();
  const RedisError error = broken.get();
  EXPECT_EQ(error.failure(), RedisFailure::broken);
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_TRUE(error_of([&] { client.command({"PING"}); }).server_is_away());
  server.start();
  expect_works(client);
  expect_works(watcher);
}

TEST_F(RedisClientTest, ConnectionsThatTheServerClosedAreNoticedBeforeTheyAreUsed) {
  for (const bool tls : {false, true}) {
    RedisServer server({.tls = tls});
    RedisClientOptions options = options_for(server.endpoint());
    if (tls) options.ca_file = server.ca_file();
    RedisClient client(options);
    expect_works(client);
    server.kill();
    server.start();
    EXPECT_EQ(client.command({"PING"}).text, "PONG") << "nothing failed for the restart";
    EXPECT_EQ(client.connections(), 1U);
  }
}

// What no Redis does: a connection that has more to say than it was asked is not used again.
TEST(RedisClientOddServer, NobodyReadsWhatWasSaidUnasked) {
  const testing::TemporaryFolder folder;
  LocalListener listener(folder.path(), "odd.sock");
  constexpr std::size_t kPingBytes = 14;
  const std::string answers[] = {"+one\r\n+unasked\r\n", "+two\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"};
  std::jthread server([&] {
    for (const std::string& answer : answers) {
      const std::optional<LocalSocket> socket = listener.accept();
      std::string asked;
      if (!socket || !socket->receive(asked, kPingBytes, kPatience)) return;
      socket->send(answer, kPatience);
      if (answer.starts_with("+one")) (void)socket->receive(asked, 1, kPatience);  // until it is closed
    }
  });
  RedisClient client(
      {.endpoint = parse_redis_endpoint((folder.path() / "odd.sock").string(), "warm.endpoint"),
       .connect_timeout = kPatience,
       .timeout = kPatience});
  EXPECT_EQ(client.command({"PING"}).text, "one");
  EXPECT_EQ(client.command({"PING"}).text, "two");
  try {
    client.command({"PING"});
    ADD_FAILURE() << "that was no reply";
  } catch (const RedisError& error) {
    EXPECT_EQ(error.failure(), RedisFailure::broken);
  }
  listener.shut_down();
}

TEST_F(RedisClientTest, AReplyOverTheBoundIsRefused) {
  RedisServer server;
  RedisClientOptions options = options_for(server.unix_endpoint());
  options.max_reply_bytes = 1 << 20;
  RedisClient client(options);
  client.command({"SETRANGE", "large", "8388608", "x"});
  const RedisError error = error_of([&] { client.command({"GET", "large"}); });
  EXPECT_EQ(error.code(), ErrorCode::too_large);
  EXPECT_FALSE(error.server_is_away());
  EXPECT_EQ(client.connections(), 0U);
  expect_works(client);
}

TEST_F(RedisClientTest, WhoFindsNoConnectionWaitsForOneWithinHisTime) {
  RedisServer server;
  RedisClient watcher(options_for(server.unix_endpoint()));
  RedisClientOptions options = options_for(server.unix_endpoint());
  options.max_connections = 1;
  RedisClient client(options);
  auto first = std::async(std::launch::async, [&] { return client.command({"BLPOP", "a list", "0"}); });
  wait_for_blocked(watcher, 1);
  auto second = std::async(std::launch::async, [&] { return client.command({"PING"}); });
  watcher.command({"RPUSH", "a list", "element"});
  EXPECT_EQ(first.get().array.at(1).text, "element");
  EXPECT_EQ(second.get().text, "PONG");
  EXPECT_EQ(client.connections(), 1U);

  // More than one waits for the one connection, and he who has it waits for a server that hangs.
  options.timeout = kShort;
  RedisClient hasty(options);
  server.freeze();
  std::atomic<bool> busy = false;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        while (!busy) {
          const RedisError error = error_of([&] { hasty.command({"PING"}); });
          if (error.failure() != RedisFailure::busy) continue;
          EXPECT_THAT(error.what(), HasSubstr("warm.max_connections"));
          EXPECT_FALSE(error.server_is_away());
          busy = true;
        }
      });
    }
  }
}

TEST_F(RedisClientTest, ServersRefusalsNameWhatToChange) {
  RedisServer server;
  RedisClient client(options_for(server.unix_endpoint()));
  const struct {
    const char* reply;
    ErrorCode code;
    const char* named;
  } cases[] = {{"OOM command not allowed", ErrorCode::resource_exhausted, "maxmemory"},
               {"LOADING Redis is loading", ErrorCode::unavailable, "loaded"},
               {"READONLY You can't write", ErrorCode::read_only, "warm.endpoint"},
               {"MOVED 3999 127.0.0.1:6381", ErrorCode::unsupported, "cluster"},
               {"NOPERM this user", ErrorCode::permission_denied, "docs/redis.md"},
               {"ERR something \x01 new", ErrorCode::unsupported, "something ? new"}};
  for (const auto& one : cases) {
    const RedisError error = error_of([&] {
      client.command({"EVAL", "return redis.error_reply(ARGV[1])", "0", one.reply});
    });
    EXPECT_EQ(error.code(), one.code) << one.reply;
    EXPECT_THAT(error.what(), HasSubstr(one.named));
  }
  EXPECT_EQ(client.connections(), 1U) << "a refusal is an answer";
  client.command({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(error_of([&] { client.command({"SET", "a", "b"}); }).code(), ErrorCode::resource_exhausted);
}

TEST_F(RedisClientTest, ManyThreadsGetTheirOwnReplies) {
  RedisServer server;
  RedisClientOptions options = options_for(server.unix_endpoint());
  options.max_connections = 3;
  RedisClient client(options);
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 300; ++i) {
          const std::string word = std::to_string(t) + "/" + std::to_string(i);
          if (client.command({"ECHO", word}).text != word) ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(client.connections(), 3U);
  client.close();
  EXPECT_EQ(client.connections(), 0U);
  EXPECT_EQ(error_of([&] { client.command({"PING"}); }).code(), ErrorCode::cancelled);
}

TEST_F(RedisClientTest, AnInterruptEndsCallsThatWait) {
  for (const bool tls : {false, true}) {
    RedisServer server({.tls = tls});
    RedisClientOptions options = options_for(server.endpoint());
    if (tls) options.ca_file = server.ca_file();
    RedisClient client(options);
    RedisClient other(options);
    auto waiting = std::async(std::launch::async, [&] {
      return error_of([&] { client.command({"BLPOP", "nothing", "0"}); }).failure();
    });
    wait_for_blocked(other, 1);
    client.interrupt();
    EXPECT_EQ(waiting.get(), RedisFailure::broken);
    EXPECT_EQ(client.connections(), 0U);
    EXPECT_EQ(error_of([&] { client.command({"PING"}); }).code(), ErrorCode::cancelled);
  }
}

}  // namespace
}  // namespace db4::net
