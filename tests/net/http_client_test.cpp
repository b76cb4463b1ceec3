// The HTTP client against a server that does what it is told.
#include "net/http_client.hpp"

#include "support/scripted_server.hpp"

#include <gmock/gmock.h>

#include <thread>

namespace db4::net {
namespace {

using testing::answer;
using ::testing::HasSubstr;
using testing::ScriptedReply;
using testing::ScriptedServer;
using Then = ScriptedReply::Then;

HttpRequest get(const ScriptedServer& server, std::uint64_t max_body = 1 << 20) {
  return {.method = "GET", .url = server.endpoint() + "/x", .max_body = max_body};
}

ScriptedReply then(ScriptedReply reply, Then next) {
  reply.then = next;
  return reply;
}

class HttpClientTest : public ::testing::Test {
 protected:
  std::unique_ptr<HttpClient> client(HttpClientOptions options = {}) {
    return std::make_unique<HttpClient>(std::move(options), system_clock());
  }
  /// Of what the call throws, which must be an HttpError.
  static HttpFailure failure_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const HttpError& error) {
      EXPECT_FALSE(error.advice().empty());
      return error.failure();
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
      return HttpFailure::timeout;
    }
    ADD_FAILURE() << "nothing was thrown";
    return HttpFailure::timeout;
  }
  static ErrorCode code_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorCode::internal;
  }
};

TEST_F(HttpClientTest, SendsWhatItIsGivenAndReturnsTheAnswer) {
  ScriptedServer server({answer(201, "made", {"X-One:  a ", "X-Two: b"})});
  const std::string body = "the body";
  const HttpResponse response = client()->send({.method = "PUT",
                                                .url = server.endpoint() + "/a/../b//c?q=1",
                                                .headers = {{"X-Mine", "value"}},
                                                .body = as_bytes(body),
                                                .max_body = 4});
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(as_text(response.body), "made");
  EXPECT_EQ(response.header("x-one"), "a");
  EXPECT_EQ(response.header("x-three"), "");
  EXPECT_EQ(response.content_length, 4U);
  const testing::ScriptedRequest request = server.requests().at(0);
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.target, "/a/../b//c?q=1") << "a path is sent as it is";
  EXPECT_EQ(request.body, body);
  EXPECT_EQ(request.headers.at("x-mine"), "value");
  EXPECT_FALSE(request.headers.contains("expect"));
  EXPECT_FALSE(request.headers.contains("transfer-encoding"));
}

TEST_F(HttpClientTest, EmptyBodiesHaveALength) {
  ScriptedServer server({answer(200)});
  for (const char* method : {"PUT", "POST"}) {
    client()->send({.method = method, .url = server.endpoint() + "/x", .body = ByteView{}});
    EXPECT_EQ(server.requests().back().method, method);
    EXPECT_EQ(server.requests().back().headers.at("content-length"), "0");
  }
}

TEST_F(HttpClientTest, HeadHasALengthAndNoBody) {
  ScriptedServer server({answer(200, "", {"Content-Length: 1000"})});
  const auto kept = client();
  for (int i = 0; i < 2; ++i) {
    const HttpResponse response = kept->send({.method = "HEAD", .url = server.endpoint() + "/x"});
    EXPECT_EQ(response.content_length, 1000U);
    EXPECT_TRUE(response.body.empty());
  }
  EXPECT_EQ(server.connections(), 1U);
}

TEST_F(HttpClientTest, ConnectionsAreKeptAndCounted) {
  ScriptedServer server({answer(200, "x")});
  const auto kept = client();
  EXPECT_TRUE(kept->send(get(server)).new_connection);
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(kept->send(get(server)).new_connection);
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(kept->channels(), 1U);
}

TEST_F(HttpClientTest, NoMoreConnectionsThanAllowedAndTheOthersWait) {
  ScriptedServer server({answer(200, "x")});
  const auto two = client({.max_connections = 2});
  std::atomic<int> answered = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 10; ++n) answered += two->send(get(server)).status == 200 ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(answered, 80);
  EXPECT_LE(server.connections(), 2U);
  EXPECT_LE(two->channels(), 2U);
}

TEST_F(HttpClientTest, ConnectionThatWasClosedMeanwhileIsReplaced) {
  ScriptedServer server({then(answer(200, "x"), Then::close), answer(200, "x")});
  const auto kept = client();
  EXPECT_EQ(kept->send(get(server)).status, 200);
  EXPECT_EQ(kept->send(get(server)).status, 200);
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(HttpClientTest, RequestThatAKeptConnectionSwallowedIsSentOnceMore) {
  const std::string body = "the body";
  ScriptedServer server({answer(200, "first"), then({}, Then::reset), answer(200, "again")});
  const auto kept = client();
  kept->send(get(server));
  const HttpResponse response =
      kept->send({.method = "PUT", .url = server.endpoint() + "/x", .body = as_bytes(body), .max_body = 100});
  EXPECT_EQ(as_text(response.body), "again");
  EXPECT_EQ(server.requests().size(), 3U);
  EXPECT_EQ(server.requests()[2].body, body);
}

TEST_F(HttpClientTest, RequestThatMustNotBeRepeatedIsNot) {
  for (const std::string body : {"the body", ""}) {
    ScriptedServer server({answer(200, "first"), then({}, Then::reset), answer(200, "again")});
    const auto kept = client();
    kept->send(get(server));
    const auto put = [&] {
      kept->send(
          {.method = "PUT", .url = server.endpoint() + "/x", .body = as_bytes(body), .repeatable = false});
    };
    EXPECT_EQ(failure_of(put), HttpFailure::broken);
    EXPECT_EQ(server.requests().size(), 2U);
  }
}

TEST_F(HttpClientTest, FirstConnectionThatBreaksOffIsAFailure) {
  ScriptedServer server({then({}, Then::reset)});
  EXPECT_EQ(failure_of([&] { client()->send(get(server)); }), HttpFailure::broken);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(HttpClientTest, TruncatedBodyIsAFailure) {
  ScriptedServer server({then(answer(200, "half", {"Content-Length: 8"}), Then::close)});
  EXPECT_EQ(failure_of([&] { client()->send(get(server)); }), HttpFailure::broken);
}

TEST_F(HttpClientTest, BodyOverTheLimitIsCutOff) {
  const std::string body(100, 'x');
  ScriptedServer server(
      {answer(200, body),
       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + body + "\r\n0\r\n\r\n"}});
  const auto kept = client();
  EXPECT_FALSE(client()->send(get(server, 100)).over_limit);
  for (int i = 0; i < 2; ++i) {
    const HttpResponse response = kept->send(get(server, 99));
    EXPECT_TRUE(response.over_limit);
    EXPECT_TRUE(response.body.empty());
  }
  EXPECT_EQ(as_text(kept->send(get(server, 100)).body), body);
}

TEST_F(HttpClientTest, OfAnErrorTheBeginningIsEnough) {
  ScriptedServer server({answer(500, std::string(200'000, 'e'))});
  const HttpResponse response = client()->send(get(server, 0));
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.size(), kMaxErrorBodyBytes);
}

TEST_F(HttpClientTest, InterimAnswersAreNotTheAnswer) {
  ScriptedServer server({{"HTTP/1.1 100 Continue\r\nX-Old: 1\r\n\r\n" + answer(200, "x").bytes}});
  const HttpResponse response = client()->send(get(server));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("x-old"), "");
}

TEST_F(HttpClientTest, RedirectsAreAnswersAndNotFollowed) {
  ScriptedServer server({answer(301, "", {"Location: http://127.0.0.1:1/"})});
  EXPECT_EQ(client()->send(get(server)).status, 301);
}

TEST_F(HttpClientTest, ProxiesOfTheEnvironmentAreNotAsked) {
  ScriptedServer server({answer(200, "x")});
  ::setenv("http_proxy", "http://127.0.0.1:1", 1);  // NOLINT(concurrency-mt-unsafe): no other thread is there
  EXPECT_EQ(client()->send(get(server)).status, 200);
  ::unsetenv("http_proxy");  // NOLINT(concurrency-mt-unsafe)
}

TEST_F(HttpClientTest, WhatIsNoHttpIsSaidSo) {
  ScriptedServer server({then({"SSH-2.0-Server\r\n"}, Then::close)});
  EXPECT_EQ(failure_of([&] { client()->send(get(server)); }), HttpFailure::protocol);
  EXPECT_EQ(failure_of([&] {
              client()->send({.method = "GET", .url = "https" + server.endpoint().substr(4) + "/"});
            }),
            HttpFailure::speaks_plain);
}

TEST_F(HttpClientTest, TlsThatWasNotAskedForIsSaidSo) {
  // An alert, "protocol version": what a TLS server says to "GET / HTTP/1.1".
  ScriptedServer server({then({std::string("\x15\x03\x01\x00\x02\x02\x46", 7)}, Then::close)});
  EXPECT_EQ(failure_of([&] { client()->send(get(server)); }), HttpFailure::speaks_tls);
  EXPECT_EQ(failure_of([&] { client()->send({.method = "HEAD", .url = server.endpoint() + "/"}); }),
            HttpFailure::protocol)
      << "of an answer without a body nothing is seen";
}

TEST_F(HttpClientTest, NobodyThereIsSaidSo) {
  std::string url;
  {
    const ScriptedServer gone;
    url = gone.endpoint();
  }
  EXPECT_EQ(failure_of([&] { client()->send({.method = "GET", .url = url}); }), HttpFailure::connect);
  EXPECT_EQ(failure_of([&] { client()->send({.method = "GET", .url = "http://no-such-host.invalid/"}); }),
            HttpFailure::resolve);
  EXPECT_EQ(failure_of([&] { client()->send({.method = "GET", .url = "http://a b/"}); }), HttpFailure::url);
  EXPECT_EQ(failure_of([&] { client()->send({.method = "GET", .url = "file:///etc/passwd"}); }),
            HttpFailure::protocol);
}

TEST_F(HttpClientTest, EndlessHeadersAreRefused) {
  std::string headers;
  for (int i = 0; i < 10'000; ++i)
    headers += "X-Filler-" + std::to_string(i) + ": " + std::string(60, 'x') + "\r\n";
  ScriptedServer server({then({"HTTP/1.1 200 OK\r\n" + headers}, Then::close)});
  EXPECT_EQ(failure_of([&] { client()->send(get(server)); }), HttpFailure::protocol);
}

TEST_F(HttpClientTest, StallEndsARequest) {
  ScriptedServer server({then(answer(200, "half", {"Content-Length: 8"}), Then::hang)});
  const auto impatient = client({.stall_timeout = std::chrono::milliseconds(50)});
  EXPECT_EQ(failure_of([&] { impatient->send(get(server)); }), HttpFailure::stalled);
}

TEST_F(HttpClientTest, AttemptTakesNoLongerThanAllowed) {
  ScriptedServer server({then({}, Then::hang)});
  const auto impatient = client({.attempt_timeout = std::chrono::milliseconds(50)});
  EXPECT_EQ(failure_of([&] { impatient->send(get(server)); }), HttpFailure::timeout);
}

TEST_F(HttpClientTest, DeadlineEndsARequestAndTheWaitForAConnection) {
  ScriptedServer server({then({}, Then::hang)});
  const auto one = client({.max_connections = 1});
  std::stop_source stop;
  std::jthread holder([&] {
    HttpRequest request = get(server);
    request.stop = stop.get_token();
    EXPECT_EQ(code_of([&] { one->send(request); }), ErrorCode::cancelled);
  });
  server.wait_for_requests(1);
  HttpRequest second = get(server);
  second.deadline = system_clock()->monotonic() + std::chrono::milliseconds(30);
  EXPECT_EQ(code_of([&] { one->send(second); }), ErrorCode::deadline_exceeded);
  stop.request_stop();
  holder.join();
  second.deadline = system_clock()->monotonic() + std::chrono::milliseconds(30);
  EXPECT_EQ(code_of([&] { one->send(second); }), ErrorCode::deadline_exceeded);
  second.deadline = MonotonicTime{0};
  EXPECT_EQ(code_of([&] { one->send(second); }), ErrorCode::deadline_exceeded);
  EXPECT_EQ(server.requests().size(), 2U) << "what was too late already was not sent";
}

TEST_F(HttpClientTest, StopEndsTheWaitForAConnection) {
  ScriptedServer server({then({}, Then::hang)});
  const auto one = client({.max_connections = 1});
  std::stop_source stop;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        HttpRequest request = get(server);
        request.stop = stop.get_token();
        EXPECT_EQ(code_of([&] { one->send(request); }), ErrorCode::cancelled);
      });
    }
    server.wait_for_requests(1);
    stop.request_stop();
  }
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(HttpClientTest, WatcherSeesWhatIsSentAndStartsAgainWithIt) {
  class Collector final : public BodyWatcher {
   public:
    void restart() override { seen.clear(); }
    void sent(ByteView piece) override { seen += as_text(piece); }
    std::string seen;
  };
  std::string body(3'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761U >> 13U);
  ScriptedServer server({answer(200), then({}, Then::reset), answer(200)});
  const auto kept = client();
  kept->send(get(server));
  Collector collector;
  kept->send(
      {.method = "PUT", .url = server.endpoint() + "/x", .body = as_bytes(body), .watcher = &collector});
  EXPECT_TRUE(collector.seen == body);
  EXPECT_TRUE(server.requests().back().body == body);
}

TEST_F(HttpClientTest, CertificateFileThatIsNoneIsNamed) {
  ScriptedServer server({answer(200)});
  const auto strange = client({.ca_file = "/dev/null"});
  EXPECT_EQ(failure_of([&] {
              strange->send({.method = "GET", .url = "https" + server.endpoint().substr(4) + "/"});
            }),
            HttpFailure::ca_file);
}

TEST(HttpDate, IsReadInItsForms) {
  const TimePoint expected{std::chrono::seconds(784'111'777)};
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), expected);
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), expected);
  EXPECT_FALSE(parse_http_date("yesterday"));
  EXPECT_FALSE(parse_http_date(""));
}

}  // namespace
}  // namespace db4::net
