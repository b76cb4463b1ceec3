// The S3 object store against a server that does what it is told: what real ones do rarely.
#include "objects/object_store_suite.hpp"
#include "support/scripted_server.hpp"
#include "support/temporary_folder.hpp"

#include <db4/object_stores.hpp>

#include <gmock/gmock.h>

#include <fstream>

namespace db4::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Then = ScriptedReply::Then;

constexpr const char* kId = "x-amz-request-id: 1";

std::string error_xml(const std::string& code, const std::string& more = {}) {
  return "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>the message</Message>" + more +
         "</Error>";
}

ScriptedReply refusal(int status, const std::string& code, const std::string& more = {}) {
  return answer(status, error_xml(code, more), {kId, "Content-Type: application/xml"});
}

ScriptedReply stored(const std::string& etag) { return answer(200, "", {kId, "ETag: \"" + etag + "\""}); }

ScriptedReply then(ScriptedReply reply, Then next) {
  reply.then = next;
  return reply;
}

class S3StoreTest : public ::testing::Test {
 protected:
  S3ObjectStore& start(std::vector<ScriptedReply> replies, std::shared_ptr<Clock> clock = system_clock()) {
    store_.reset();
    server_ = std::make_unique<ScriptedServer>(std::move(replies));
    config_.endpoint = server_->endpoint();
    store_ = make_s3_object_store(config_, std::move(clock));
    return *store_;
  }
  static Error error_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_FALSE(error.advice().empty());
      EXPECT_THAT(error.what(), Not(HasSubstr("the-secret")));
      return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {ErrorCode::internal, "none", "none"};
  }
  /// What a get of one answer throws.
  Error get_error(const ScriptedReply& reply) {
    S3ObjectStore& store = start({reply});
    return error_of([&] { (void)store.get("a", 100); });
  }
  [[nodiscard]] ScriptedRequest request(std::size_t n) const { return server_->requests().at(n); }

  S3Config config_{.bucket = "attic", .access_key = "KEY", .secret_key = "the-secret"};
  std::unique_ptr<ScriptedServer> server_;
  std::shared_ptr<S3ObjectStore> store_;
};

TEST_F(S3StoreTest, RequestsAreSignedWithTheirBody) {
  config_.session_token = "the-token";
  S3ObjectStore& store = start({stored("841a2d689ad86bd1611447453c22c6fc")});
  EXPECT_TRUE(store.put("a b/ü", as_bytes("body")).verified);
  const ScriptedRequest put = request(0);
  EXPECT_EQ(put.target, "/attic/a%20b/%C3%BC");
  EXPECT_EQ(put.headers.at("x-amz-content-sha256"),
            "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5");
  EXPECT_THAT(put.headers.at("authorization"),
              HasSubstr("SignedHeaders=content-type;host;x-amz-content-sha256;"
                        "x-amz-date;x-amz-security-token"));
  EXPECT_EQ(put.headers.at("x-amz-security-token"), "the-token");
  EXPECT_FALSE(put.headers.contains("expect"));
}

TEST_F(S3StoreTest, EtagThatIsNoDigestProvesNothing) {
  S3ObjectStore& store = start({stored("ffffffffffffffffffffffffffffffff")});
  const PutResult result = store.put("a", as_bytes("body"));
  EXPECT_FALSE(result.verified);
  EXPECT_EQ(result.etag, "ffffffffffffffffffffffffffffffff");
}

TEST_F(S3StoreTest, ErrorInsideOfASuccessIsAnError) {
  // Amazon begins its answer, keeps it alive with blanks, and may end it with an error.
  S3ObjectStore& store = start({answer(200, "   \r\n" + error_xml("InternalError"), {kId}),
                                answer(200, "<ListPartsResult></ListPartsResult>", {kId}),
                                answer(200, error_xml("SlowDown"), {kId})});
  const std::vector<ObjectPart> parts = {{1, 3, "900150983cd24fb0d6963f7d28e17f72"}};
  EXPECT_EQ(error_of([&] { store.complete_multipart("a", "u", parts); }).code(), ErrorCode::unavailable);
  EXPECT_EQ(error_of([&] { store.complete_multipart("a", "u", parts); }).code(), ErrorCode::unavailable);
  EXPECT_EQ(error_of([&] { store.remove_many(std::vector<std::string>{"a"}); }).code(),
            ErrorCode::unavailable);
}

TEST_F(S3StoreTest, CompletionIsVerifiedByTheDigestOfDigests) {
  const std::string etag = "\"af5da9f45af7a300e3aded972f8ff687-1\"";  // of the digest of "abc"
  const auto completed = [&](const std::string& tag) {
    return answer(200,
                  "<CompleteMultipartUploadResult><ETag>" + tag + "</ETag></CompleteMultipartUploadResult>",
                  {kId});
  };
  S3ObjectStore& store = start({completed(etag), completed("&quot;other-1&quot;")});
  const std::vector<ObjectPart> parts = {{1, 3, "900150983cd24fb0d6963f7d28e17f72"}};
  EXPECT_TRUE(store.complete_multipart("a", "u", parts).verified);
  EXPECT_THAT(request(0).body, HasSubstr("<PartNumber>1</PartNumber>"));
  const PutResult other = store.complete_multipart("a", "u", parts);
  EXPECT_FALSE(other.verified);
  EXPECT_EQ(other.etag, "other-1");
  EXPECT_EQ("\"" + store.object_digest(parts) + "\"", etag);
  EXPECT_EQ(store.object_digest(std::vector<ObjectPart>{{1, 3, "no digest"}}), "");
}

TEST_F(S3StoreTest, TruncatedObjectsAreNotServed) {
  S3ObjectStore& store = start({then(answer(200, "half", {kId, "Content-Length: 8"}), Then::close)});
  const Error error = error_of([&] { (void)store.get("a", 100); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_TRUE(error.retryable());
}

TEST_F(S3StoreTest, AnotherRangeThanTheOneAskedForIsNotServed) {
  S3ObjectStore& store = start({answer(206, "0123", {kId, "Content-Range: bytes 0-3/10"}),
                                answer(206, "4567", {kId, "Content-Range: bytes 4-7/10"}),
                                answer(200, "0123456789", {kId}),  // by a server that knows no ranges
                                answer(200, "012345", {kId}), refusal(416, "InvalidRange")});
  EXPECT_EQ(error_of([&] { (void)store.get_range("a", 4, 4); }).code(), ErrorCode::unavailable);
  EXPECT_EQ(text_of(store.get_range("a", 4, 4)), "4567");
  EXPECT_EQ(request(1).headers.at("range"), "bytes=4-7");
  EXPECT_EQ(error_of([&] { (void)store.get_range("a", 4, 4); }).code(), ErrorCode::unsupported);
  EXPECT_EQ(text_of(store.get_range("a", 4, 6)), "45");
  EXPECT_EQ(text_of(store.get_range("a", 40, 6)), "");
}

TEST_F(S3StoreTest, MistakesNameTheSettingToChange) {
  const struct {
    ScriptedReply reply;
    ErrorCode code;
    const char* names;
  } cases[] = {
      {refusal(404, "NoSuchBucket"), ErrorCode::invalid_argument, "cold.bucket"},
      {refusal(403, "SignatureDoesNotMatch"), ErrorCode::permission_denied, "cold.secret_key"},
      {refusal(403, "InvalidAccessKeyId"), ErrorCode::permission_denied, "cold.access_key"},
      {refusal(403, "AccessDenied"), ErrorCode::permission_denied, "rights"},
      {refusal(400, "ExpiredToken"), ErrorCode::permission_denied, "cold.session_token"},
      {refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-west-7</Region>"),
       ErrorCode::invalid_argument, "cold.region to eu-west-7"},
      {refusal(301, "PermanentRedirect", "<Endpoint>other.example.com</Endpoint>"),
       ErrorCode::invalid_argument, "https://other.example.com"},
      {answer(301, error_xml("PermanentRedirect"), {kId, "x-amz-bucket-region: eu-west-8"}),
       ErrorCode::invalid_argument, "cold.region to eu-west-8"},
      {answer(404, "<html><body>no such page</body></html>", {"Content-Type: text/html"}),
       ErrorCode::invalid_argument, "cold.endpoint"},
      {answer(404), ErrorCode::invalid_argument, "cold.endpoint"},
      {answer(405, "<html/>"), ErrorCode::invalid_argument, "cold.endpoint"},
      {answer(302, "", {"Location: /login"}), ErrorCode::invalid_argument, "cold.endpoint"},
      {{"SSH-2.0-OpenSSH\r\n", Then::close}, ErrorCode::invalid_argument, "cold.endpoint"},
  };
  for (const auto& each : cases) {
    const Error error = get_error(each.reply);
    EXPECT_EQ(error.code(), each.code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(each.names));
    EXPECT_FALSE(error.retryable());
    EXPECT_EQ(server_->requests().size(), 1U) << "what is refused is not repeated";
  }
}

TEST_F(S3StoreTest, TheOtherSchemeIsNamed) {
  const ScriptedReply alert = then({std::string("\x15\x03\x01\x00\x02\x02\x46", 7)}, Then::close);
  const std::string page = "<html>The plain HTTP request was sent to HTTPS port</html>";
  for (const ScriptedReply& reply :
       {alert, answer(400, "Client sent an HTTP request to an HTTPS server.\n"), answer(400, page)}) {
    const Error error = get_error(reply);
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("https:// in cold.endpoint instead of http://"));
  }
  // Without a word: it may be that, and may be another thing.
  const Error broken = get_error(then({}, Then::close));
  EXPECT_EQ(broken.code(), ErrorCode::unavailable);
  EXPECT_THAT(broken.what(), HasSubstr("cold.endpoint: https://"));

  start({answer(200)});
  config_.endpoint = "https" + server_->endpoint().substr(4);
  const auto tls = make_s3_object_store(config_);
  const Error plain = error_of([&] { (void)tls->get("a", 100); });
  EXPECT_EQ(plain.code(), ErrorCode::invalid_argument) << plain.what();
  EXPECT_THAT(plain.what(), HasSubstr("http:// in cold.endpoint instead of https://"));
}

TEST_F(S3StoreTest, WhatMayHelpLaterIsUnavailable) {
  for (const ScriptedReply& reply :
       {refusal(503, "SlowDown"), refusal(500, "InternalError"), refusal(400, "RequestTimeout"),
        refusal(409, "OperationAborted"), answer(502, "<html>Bad Gateway</html>"), answer(503), answer(429),
        then({}, Then::reset)}) {
    const Error error = get_error(reply);
    EXPECT_EQ(error.code(), ErrorCode::unavailable) << error.what();
    EXPECT_EQ(server_->requests().size(), 1U) << "repeating is the retry layer's";
  }
}

TEST_F(S3StoreTest, FullAndTooLargeAreToldApart) {
  EXPECT_EQ(get_error(refusal(403, "QuotaExceeded")).code(), ErrorCode::resource_exhausted);
  EXPECT_EQ(get_error(answer(507, "", {kId})).code(), ErrorCode::resource_exhausted);
  EXPECT_EQ(get_error(refusal(400, "EntityTooLarge")).code(), ErrorCode::too_large);
  EXPECT_EQ(get_error(refusal(501, "NotImplemented")).code(), ErrorCode::unsupported);
  EXPECT_EQ(get_error(refusal(403, "InvalidObjectState")).code(), ErrorCode::permission_denied);
}

TEST_F(S3StoreTest, WebPageThatAnswersEverythingIsNoS3) {
  const ScriptedReply page = answer(200, "<html>welcome</html>", {"Content-Type: text/html", "ETag: \"1\""});
  S3ObjectStore& store = start({page});
  EXPECT_THAT(error_of([&] { (void)store.get("a", 100); }).what(), HasSubstr("cold.endpoint"));
  EXPECT_THAT(error_of([&] { (void)store.head("a"); }).what(), HasSubstr("cold.endpoint"));
  EXPECT_THAT(error_of([&] { (void)store.list("", "", 1); }).what(), HasSubstr("cold.endpoint"));
  S3ObjectStore& empty = start({answer(200)});
  EXPECT_THAT(error_of([&] { empty.put("a", as_bytes("x")); }).what(), HasSubstr("cold.endpoint"));
}

TEST_F(S3StoreTest, AbsentObjectIsBelievedOnceTheBucketWasSeen) {
  const ScriptedReply absent = answer(404, "", {kId});
  const ScriptedReply listing =
      answer(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>");
  S3ObjectStore& store = start({absent, listing, absent});
  EXPECT_FALSE(store.head("a"));
  EXPECT_FALSE(store.head("a"));
  EXPECT_EQ(server_->requests().size(), 3U);
  S3ObjectStore& missing = start({absent, refusal(404, "NoSuchBucket")});
  EXPECT_THAT(error_of([&] { (void)missing.head("a"); }).what(), HasSubstr("cold.bucket"));
  S3ObjectStore& not_listable = start({absent, refusal(403, "AccessDenied")});
  EXPECT_FALSE(not_listable.head("a"));
}

TEST_F(S3StoreTest, RefusedHeadIsExplainedByAGet) {
  S3ObjectStore& store = start({answer(403, "", {kId}), refusal(403, "InvalidAccessKeyId")});
  EXPECT_THAT(error_of([&] { (void)store.head("a"); }).what(), HasSubstr("cold.access_key"));
}

TEST_F(S3StoreTest, ClockThatIsOffIsCorrectedOnce) {
  const auto clock = std::make_shared<SimulatedClock>(TimePoint(std::chrono::seconds(784'111'777)));
  const std::string date = "Date: Sun, 06 Nov 1994 10:49:37 GMT";  // two hours ahead
  const ScriptedReply skewed = answer(403, error_xml("RequestTimeTooSkewed"), {kId, date});
  S3ObjectStore& store = start({skewed, answer(200, "x", {kId, date})}, clock);
  EXPECT_EQ(text_of(store.get("a", 1)), "x");
  EXPECT_EQ(store.stats().clock_offset, std::chrono::hours(2));
  EXPECT_EQ(request(0).headers.at("x-amz-date"), "19941106T084937Z");
  EXPECT_EQ(request(1).headers.at("x-amz-date"), "19941106T104937Z");

  S3ObjectStore& never = start({skewed}, clock);
  const Error error = error_of([&] { (void)never.get("a", 1); });
  EXPECT_EQ(error.code(), ErrorCode::permission_denied);
  EXPECT_THAT(error.what(), HasSubstr("clock"));
  EXPECT_EQ(server_->requests().size(), 2U) << "once";
}

/// Keys in a credentials file, which somebody writes anew from time to time.
class S3RenewedKeysTest : public S3StoreTest {
 protected:
  S3RenewedKeysTest() {
    write("OLD");
    config_.access_key.clear();
    config_.secret_key = {};
    config_.profile = "work";
    config_.credentials_file = file_;
  }
  void write(const std::string& key) const {
    std::ofstream(file_) << "[work]\naws_access_key_id = " << key << "\naws_secret_access_key = the-secret-"
                         << key << "\naws_session_token = token-of-" << key << "\n";
  }
  [[nodiscard]] bool signed_by(std::size_t n, const std::string& key) const {
    const ScriptedRequest asked = request(n);
    return asked.headers.at("authorization").find("Credential=" + key + "/") != std::string::npos &&
           asked.headers.at("x-amz-security-token") == "token-of-" + key;
  }

  const TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "credentials";
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>(system_clock()->now());
};

TEST_F(S3RenewedKeysTest, KeysThatExpiredAreReadAnewAndTheRequestRepeatedOnce) {
  for (const char* code : {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidAccessKeyId"}) {
    write("OLD");
    S3ObjectStore& store = start({stored("1"), refusal(400, code), stored("2")}, clock_);
    store.put("a", as_bytes("x"), {.only_if_absent = true});
    write("NEW");
    EXPECT_EQ(store.put("a", as_bytes("body"), {.only_if_absent = true}).etag, "2") << code;
    ASSERT_EQ(server_->requests().size(), 3U);
    EXPECT_TRUE(signed_by(1, "OLD"));
    EXPECT_TRUE(signed_by(2, "NEW"));
    EXPECT_EQ(request(2).body, "body");
  }
}

TEST_F(S3RenewedKeysTest, AHeadThatWasRefusedIsAskedAgain) {
  const ScriptedReply found = answer(200, "", {kId, "ETag: \"e\"", "Content-Length: 0"});
  S3ObjectStore& store =
      start({answer(400, "", {kId}), refusal(400, "ExpiredToken"), answer(206, "x", {kId}), found}, clock_);
  write("NEW");
  EXPECT_EQ(store.head("a")->etag, "e");
  EXPECT_TRUE(signed_by(3, "NEW"));
}

TEST_F(S3RenewedKeysTest, WhereTheFileHasNoOthersTheRefusalStands) {
  S3ObjectStore& store = start({refusal(400, "ExpiredToken")}, clock_);
  const auto refused = [&] { return error_of([&] { (void)store.get("a", 1); }); };
  EXPECT_EQ(refused().code(), ErrorCode::permission_denied);
  EXPECT_EQ(server_->requests().size(), 1U);
  // Read a moment ago: not again.
  write("NEW");
  refused();
  EXPECT_EQ(server_->requests().size(), 2U);
  clock_->advance(std::chrono::seconds(6));
  refused();
  ASSERT_EQ(server_->requests().size(), 4U) << "once, and not without end";
  EXPECT_TRUE(signed_by(3, "NEW"));
  // A file that is being written has half of it.
  clock_->advance(std::chrono::seconds(6));
  std::ofstream(file_) << "[work]\naws_access_key_id = HALF\n";
  EXPECT_THAT(refused().what(), HasSubstr("ExpiredToken"));
  EXPECT_EQ(server_->requests().size(), 5U);
}

TEST_F(S3RenewedKeysTest, KeysOfTheConfigurationAreNotLookedForElsewhere) {
  config_.access_key = "KEY";
  config_.secret_key = "the-secret";
  S3ObjectStore& store = start({refusal(400, "ExpiredToken")}, clock_);
  EXPECT_EQ(error_of([&] { (void)store.get("a", 1); }).code(), ErrorCode::permission_denied);
  EXPECT_EQ(server_->requests().size(), 1U);
}

TEST_F(S3StoreTest, PutIsSentAgainOverANewConnectionUnlessItHasACondition) {
  const ScriptedReply reset = then({}, Then::reset);
  S3ObjectStore& store = start({stored("1"), reset, stored("2"), reset, stored("3")});
  store.put("a", as_bytes("x"));
  EXPECT_EQ(store.put("a", as_bytes("x")).etag, "2");
  EXPECT_EQ(error_of([&] { store.put("a", as_bytes("x"), {.only_if_absent = true}); }).code(),
            ErrorCode::unavailable);
  EXPECT_EQ(server_->requests().size(), 4U);
}

TEST_F(S3StoreTest, ConnectionsAreKept) {
  S3ObjectStore& store = start({stored("1")});
  for (int i = 0; i < 10; ++i) store.put("a", as_bytes("x"));
  EXPECT_EQ(server_->connections(), 1U);
  EXPECT_EQ(store.stats().connections, 1U);
}

TEST_F(S3StoreTest, ConditionsAreHeaders) {
  S3ObjectStore& store = start({stored("1"), refusal(412, "PreconditionFailed"), stored("2"),
                                answer(501, error_xml("NotImplemented"), {kId})});
  store.put("a", as_bytes("x"), {.only_if_absent = true});
  EXPECT_EQ(request(0).headers.at("if-none-match"), "*");
  EXPECT_EQ(error_of([&] { store.put("a", as_bytes("x"), {.only_if_absent = true}); }).code(),
            ErrorCode::conflict);
  store.put("a", as_bytes("x"), {.if_match = "1"});
  EXPECT_EQ(request(2).headers.at("if-match"), "1");
  EXPECT_EQ(error_of([&] { store.put("a", as_bytes("x"), {.only_if_absent = true}); }).code(),
            ErrorCode::unsupported);
}

TEST_F(S3StoreTest, EtagsAreQuotedForProvidersThatWantThem) {
  const ScriptedReply no = refusal(412, "PreconditionFailed");
  const auto seen = [](const std::string& etag) {
    return answer(200, "", {kId, "ETag: \"" + etag + "\"", "Content-Length: 1"});
  };
  // Refused, although the object has this etag: so it is the form.
  S3ObjectStore& store = start({no, seen("one"), stored("two"), stored("three"), no, seen("other")});
  EXPECT_EQ(store.put("a", as_bytes("x"), {.if_match = "one"}).etag, "two");
  EXPECT_EQ(request(2).headers.at("if-match"), "\"one\"");
  store.put("a", as_bytes("x"), {.if_match = "two"});
  EXPECT_EQ(request(3).headers.at("if-match"), "\"two\"") << "the form is remembered";
  EXPECT_EQ(error_of([&] { store.put("a", as_bytes("x"), {.if_match = "three"}); }).code(),
            ErrorCode::conflict);
  EXPECT_EQ(server_->requests().size(), 6U);
}

TEST_F(S3StoreTest, AListThatDoesNotGoOnIsGivenUp) {
  const auto listing = [](const std::string& content) {
    return answer(200, "<ListBucketResult>" + content + "</ListBucketResult>", {kId});
  };
  const auto more = [](const std::string& token) {
    return "<IsTruncated>true</IsTruncated><NextContinuationToken>" + token + "</NextContinuationToken>";
  };
  const auto key = [](const std::string& name) {
    return "<Contents><Key>" + name + "</Key><LastModified>2024-02-29T12:34:56Z</LastModified></Contents>";
  };
  S3ObjectStore& same = start({listing(more("t")), listing(more("t"))});
  EXPECT_THAT(error_of([&] { (void)same.list("", "", 3); }).what(), HasSubstr("names nothing"));
  std::vector<ScriptedReply> endless;
  for (int i = 0; i < 1000; ++i) endless.push_back(listing(more("t" + std::to_string(i))));
  S3ObjectStore& empty = start(endless);
  EXPECT_THAT(error_of([&] { (void)empty.list("", "", 3); }).what(), HasSubstr("names nothing"));
  S3ObjectStore& again = start({listing(more("t") + key("a")), listing(more("u") + key("a"))});
  EXPECT_THAT(error_of([&] { (void)again.list("", "", 3); }).what(), HasSubstr("order of names"));
}

TEST_F(S3StoreTest, PagesAreFilledAcrossTheProvidersOwn) {
  const auto listing = [](const std::string& keys, const std::string& more) {
    return answer(200,
                  "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" + more +
                      "<EncodingType>url</EncodingType>" + keys + "</ListBucketResult>",
                  {kId});
  };
  const auto key = [](const std::string& name) {
    return "<Contents><Key>" + name +
           "</Key><LastModified>2024-02-29T12:34:56.789Z</LastModified>"
           "<ETag>&quot;e&quot;</ETag><Size>7</Size></Contents>";
  };
  const std::string token =
      "<IsTruncated>true</IsTruncated><NextContinuationToken>t/+</NextContinuationToken>";
  const std::string last = "<IsTruncated>false</IsTruncated>";
  S3ObjectStore& store = start({listing("", token), listing(key("a%2Bb+c"), token),
                                listing(key("b%25"), "<IsTruncated>true</IsTruncated>"),
                                listing(key("c"), last), listing("", "<IsTruncated>true</IsTruncated>")});
  const ObjectPage page = store.list("pre", "a", 3);
  ASSERT_EQ(page.objects.size(), 3U);
  EXPECT_EQ(page.objects[0].name, "a+b c");
  EXPECT_EQ(page.objects[1].name, "b%");
  EXPECT_EQ(page.objects[0].size, 7U);
  EXPECT_EQ(page.objects[0].etag, "e");
  EXPECT_EQ(page.objects[0].modified, TimePoint(std::chrono::milliseconds(1'709'210'096'789)));
  EXPECT_FALSE(page.more);
  EXPECT_THAT(request(0).target, HasSubstr("max-keys=3&prefix=pre&start-after=a"));
  EXPECT_THAT(request(1).target, HasSubstr("continuation-token=t%2F%2B"));
  EXPECT_THAT(request(2).target, HasSubstr("max-keys=2"));
  EXPECT_THAT(request(3).target, HasSubstr("start-after=b%25"));
  EXPECT_EQ(error_of([&] { (void)store.list("", "", 3); }).code(), ErrorCode::unavailable)
      << "a list without an end";
}

TEST_F(S3StoreTest, RemoveManyAsksInThousandsAndAlone) {
  const std::string failed =
      "<DeleteResult><Error><Key>n1</Key><Code>AccessDenied</Code><Message>m</Message></Error>"
      "<Error><Key>n2</Key><Code>NoSuchKey</Code></Error></DeleteResult>";
  S3ObjectStore& store =
      start({answer(204, "", {kId}), answer(200, failed, {kId}), answer(200, "<DeleteResult/>", {kId})});
  std::vector<std::string> names = {"\uFFFF"};
  for (int i = 0; i < 1500; ++i) names.push_back("n" + std::to_string(i) + (i == 0 ? "<&>" : ""));
  const std::vector<RemoveFailure> failures = store.remove_many(names);
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0].name, "n1");
  EXPECT_EQ(failures[0].code, ErrorCode::permission_denied);
  ASSERT_EQ(server_->requests().size(), 3U);
  EXPECT_EQ(request(0).method, "DELETE") << "XML has no such character";
  EXPECT_EQ(request(1).target, "/attic?delete=");
  EXPECT_TRUE(request(1).headers.contains("content-md5"));
  EXPECT_THAT(request(1).body, HasSubstr("<Key>n0&lt;&amp;&gt;</Key>"));
  EXPECT_THAT(request(2).body, HasSubstr("<Key>n1499</Key>"));
}

TEST_F(S3StoreTest, ControlCharactersOfAServerGoNoFurther) {
  const auto xml = [](const std::string& root, const std::string& inside) {
    return answer(200, "<" + root + ">" + inside + "</" + root + ">", {kId});
  };
  const std::vector<ObjectPart> parts = {{1, 3, "900150983cd24fb0d6963f7d28e17f72"}};
  const struct {
    ScriptedReply reply;
    std::function<void(S3ObjectStore&)> call;
  } cases[] = {
      {xml("ListBucketResult", "<EncodingType>url</EncodingType><Contents><Key>a%0D%0Ab</Key></Contents>"),
       [](S3ObjectStore& store) { (void)store.list("", "", 1); }},
      {xml("ListBucketResult", "<Contents><Key>a&#x1B;[2J</Key></Contents>"),
       [](S3ObjectStore& store) { (void)store.list("", "", 1); }},
      {xml("ListBucketResult", "<Contents><Key>a</Key><ETag>\"&#10;x: y\"</ETag></Contents>"),
       [](S3ObjectStore& store) { (void)store.list("", "", 1); }},
      {xml("ListBucketResult", "<Contents><Key>" + std::string(1025, 'x') + "</Key></Contents>"),
       [](S3ObjectStore& store) { (void)store.list("", "", 1); }},
      {xml("ListBucketResult",
           "<IsTruncated>true</IsTruncated>"
           "<NextContinuationToken>a&#10;b</NextContinuationToken>"),
       [](S3ObjectStore& store) { (void)store.list("", "", 1); }},
      {answer(200, "", {kId, "ETag: \"a\x01\""}), [](S3ObjectStore& store) { store.put("a", {}); }},
      {answer(200, "", {kId, "ETag: \"a\x7f\""}),
       [](S3ObjectStore& store) { store.put_part("a", "u", 1, as_bytes("x")); }},
      {answer(200, "", {kId, "ETag: \"a\x01\""}), [](S3ObjectStore& store) { (void)store.head("a"); }},
      {xml("InitiateMultipartUploadResult", "<UploadId>u&#13;&#10;</UploadId>"),
       [](S3ObjectStore& store) { store.begin_multipart("a", 5_MiB); }},
      {xml("CompleteMultipartUploadResult", "<ETag>\"&#9;\"</ETag>"),
       [&](S3ObjectStore& store) { store.complete_multipart("a", "u", parts); }},
      {xml("ListPartsResult", "<Part><PartNumber>1</PartNumber><ETag>\"&#1;\"</ETag></Part>"),
       [](S3ObjectStore& store) { (void)store.list_parts("a", "u", 0, 1); }},
      {xml("ListMultipartUploadsResult", "<Upload><Key>a</Key><UploadId>&#7;</UploadId></Upload>"),
       [](S3ObjectStore& store) { (void)store.list_multipart("", {}, 1); }},
      {xml("ListMultipartUploadsResult", "<Upload><Key>a&#10;</Key><UploadId>u</UploadId></Upload>"),
       [](S3ObjectStore& store) { (void)store.list_multipart("", {}, 1); }},
      {xml("DeleteResult", "<Error><Key>a&#10;</Key><Code>AccessDenied</Code></Error>"),
       [](S3ObjectStore& store) { store.remove_many(std::vector<std::string>{"a"}); }},
  };
  for (const auto& each : cases) {
    S3ObjectStore& store = start({each.reply});
    const Error error = error_of([&] { each.call(store); });
    EXPECT_EQ(error.code(), ErrorCode::corrupt) << error.what() << "\n" << each.reply.bytes;
    for (const char c : std::string(error.what())) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
    EXPECT_EQ(server_->requests().size(), 1U);
  }
}

TEST_F(S3StoreTest, ControlCharactersInNamesAreNotSent) {
  S3ObjectStore& store = start({stored("1")});
  for (const std::string& name : {std::string("a\nb"), std::string("\x7f"), std::string("a\0b", 3)}) {
    EXPECT_EQ(error_of([&] { store.put(name, {}); }).code(), ErrorCode::invalid_argument);
    EXPECT_EQ(error_of([&] { (void)store.get(name, 1); }).code(), ErrorCode::invalid_argument);
    EXPECT_EQ(error_of([&] { store.begin_multipart(name, 5_MiB); }).code(), ErrorCode::invalid_argument);
  }
  EXPECT_TRUE(server_->requests().empty());
}

TEST_F(S3StoreTest, DamagedXmlIsUnavailableAndNoList) {
  for (const char* body : {"<ListBucketResult><Contents>", "", "{}", "<Other/>"}) {
    S3ObjectStore& store = start({answer(200, body, {kId})});
    EXPECT_EQ(error_of([&] { (void)store.list("", "", 1); }).code(), ErrorCode::unavailable) << body;
  }
}

TEST_F(S3StoreTest, StopAndDeadlineEndACall) {
  S3ObjectStore& store = start({then({}, Then::hang)});
  EXPECT_EQ(error_of([&] {
              (void)store.get("a", 1,
                              {.deadline = system_clock()->monotonic() + std::chrono::milliseconds(20)});
            }).code(),
            ErrorCode::deadline_exceeded);
  std::stop_source stop;
  std::jthread stopper([&] {
    server_->wait_for_requests(2);
    stop.request_stop();
  });
  EXPECT_EQ(error_of([&] { (void)store.get("a", 1, {.stop = stop.get_token()}); }).code(),
            ErrorCode::cancelled);
}

TEST_F(S3StoreTest, RefusalIsHeardThoughTheBodyIsStillOnItsWay) {
  ScriptedReply early = refusal(403, "SignatureDoesNotMatch");
  early.early = true;
  early.then = Then::close;
  S3ObjectStore& store = start({early});
  const std::string large(16 << 20, 'x');
  // A server that hangs up on what it does not read may reset what it said, too.
  const Error error = error_of([&] { store.put("a", as_bytes(large)); });
  EXPECT_TRUE(error.code() == ErrorCode::permission_denied || error.code() == ErrorCode::unavailable)
      << error.what();
}

}  // namespace
}  // namespace db4::testing
