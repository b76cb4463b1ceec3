// The S3 object store against a real server, which tests/objects/s3.sh starts and names in the environment.
#include "objects/object_store_suite.hpp"

#include <db4/clock.hpp>
#include <db4/object_stores.hpp>

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

namespace db4::testing {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value == nullptr ? "" : value;
}

S3Config server() {
  return {.bucket = variable("DB4_TEST_S3_BUCKET"),
          .endpoint = variable("DB4_TEST_S3_ENDPOINT"),
          .region = variable("DB4_TEST_S3_REGION"),
          .access_key = variable("DB4_TEST_S3_ACCESS_KEY"),
          .secret_key = variable("DB4_TEST_S3_SECRET_KEY"),
          // A small server on a busy machine may take a while over a thousand removals.
          .stall_timeout = std::chrono::minutes{2}};
}

/// A test's own: of whatever an earlier one left.
void empty(ObjectStore& store) {
  for (;;) {
    const ObjectPage page = store.list("", "", 1000);
    std::vector<std::string> names;
    for (const ObjectInfo& object : page.objects) names.push_back(object.name);
    if (names.empty()) break;
    EXPECT_TRUE(store.remove_many(names).empty());
  }
  for (const PendingUpload& upload : store.list_multipart("", {}, 1000).uploads)
    store.abort_multipart(upload.name, upload.upload_id);
}

std::vector<ObjectStoreFactory> servers() {
  if (server().endpoint.empty()) return {};
  const bool conditions = variable("DB4_TEST_S3_CONDITIONS") != "none";
  return {{.name = variable("DB4_TEST_S3_NAME"),
           .make =
               [] {
                 auto store = make_s3_object_store(server());
                 empty(*store);
                 return store;
               },
           .if_match = conditions,
           .only_if_absent = conditions,
           .losers_are_told = false,  // Ceph answers some of them 500
           .slow = true,
           .remove_tells = false}};
}

INSTANTIATE_TEST_SUITE_P(S3Server, ObjectStoreSuite, ::testing::ValuesIn(servers()),
                         [](const auto& param) { return param.param.name; });

class S3ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (config_.endpoint.empty()) {
      GTEST_SKIP() << "DB4_TEST_S3_ENDPOINT names no server; tests/objects/s3.sh starts some";
    }
  }

  static Error error_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {ErrorCode::internal, "none", "none"};
  }
  /// What the call fails with for good: a server may be busy first, as any may be, most of all one that just
  /// began.
  static Error lasting_error_of(const std::function<void()>& call) {
    constexpr int kAttempts = 100;
    Error error = error_of(call);
    for (int i = 1; i < kAttempts && error.retryable(); ++i) {
      system_clock()->sleep_for(100ms);
      error = error_of(call);
    }
    return error;
  }
  /// Every call says the same of a mistake in the configuration.
  static void expect_refused(ObjectStore& store, ErrorCode code, const std::string& advice) {
    const std::vector<std::function<void()>> calls = {
        [&] { store.put("a", as_bytes("x")); },
        [&] { (void)store.get("a", 10); },
        [&] { (void)store.get_range("a", 0, 10); },
        [&] { (void)store.head("a"); },
        [&] { store.remove("a"); },
        [&] { (void)store.list("", "", 10); },
        [&] { store.remove_many(std::vector<std::string>{"a"}); },
        [&] { store.begin_multipart("a", 5 << 20); },
        [&] { (void)store.list_multipart("", {}, 10); }};
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const Error error = lasting_error_of(calls[i]);
      EXPECT_EQ(error.code(), code) << i << ": " << error.what();
      EXPECT_THAT(error.what(), HasSubstr(advice)) << i;
      EXPECT_FALSE(error.retryable());
    }
  }

  S3Config config_ = server();
};

TEST_F(S3ServerTest, MissingBucketIsNamed) {
  config_.bucket = "no-such-bucket-here";
  expect_refused(*make_s3_object_store(config_), ErrorCode::invalid_argument, "cold.bucket");
}

TEST_F(S3ServerTest, WrongSecretIsNamed) {
  config_.secret_key = "wrong";
  expect_refused(*make_s3_object_store(config_), ErrorCode::permission_denied, "cold.secret_key");
  // An upload of some size is refused while it is under way.
  const std::string large(8 << 20, 'x');
  const Error error = error_of([&] { make_s3_object_store(config_)->put("a", as_bytes(large)); });
  EXPECT_THAT(error.what(), HasSubstr("cold.secret_key"));
}

TEST_F(S3ServerTest, ClockThatIsOffIsCorrectedOnceAndRemembered) {
  for (const std::chrono::hours off : {std::chrono::hours(-1), std::chrono::hours(30)}) {
    const auto clock = std::make_shared<SimulatedClock>(system_clock()->now() + off);
    const auto store = make_s3_object_store(config_, clock);
    EXPECT_FALSE(store->head("not there"));  // an answer without a body to tell by
    EXPECT_LT(std::chrono::abs(store->stats().clock_offset + off), std::chrono::minutes(5));
    const std::uint64_t requests = store->stats().requests;
    store->put("a", as_bytes("x"));
    EXPECT_EQ(text_of(store->get("a", 1)), "x");
    EXPECT_EQ(store->stats().requests, requests + 2);
  }
  EXPECT_EQ(make_s3_object_store(config_)->stats().clock_offset.count(), 0);
}

TEST_F(S3ServerTest, WhatWasPutIsVerifiedByItsDigest) {
  const auto store = make_s3_object_store(config_);
  const std::string body(100'000, 'b');
  const PutResult put = store->put("verified", as_bytes(body));
  EXPECT_TRUE(put.verified);
  EXPECT_EQ(put.etag, store->part_digest(as_bytes(body)));
  const std::string id = store->begin_multipart("in parts", 5 << 20);
  const std::string large(5 << 20, 'p');
  const std::vector<ObjectPart> parts = {store->put_part("in parts", id, 1, as_bytes(large)),
                                         store->put_part("in parts", id, 2, as_bytes(body))};
  EXPECT_TRUE(store->complete_multipart("in parts", id, parts).verified);
}

TEST_F(S3ServerTest, ConnectionsAreKept) {
  const auto store = make_s3_object_store(config_);
  for (int i = 0; i < 10; ++i) {
    store->put("kept", as_bytes("x"));
    EXPECT_EQ(text_of(store->get("kept", 1)), "x");
  }
  EXPECT_EQ(store->stats().requests, 20U);
  EXPECT_EQ(store->stats().connections, 1U);
}

TEST_F(S3ServerTest, TlsTrustsTheFileThatIsNamedAndNothingElse) {
  config_.endpoint = variable("DB4_TEST_S3_TLS_ENDPOINT");
  if (config_.endpoint.empty()) GTEST_SKIP() << "this server has no TLS";
  const Error untrusted = error_of([&] { make_s3_object_store(config_)->put("a", as_bytes("x")); });
  EXPECT_EQ(untrusted.code(), ErrorCode::permission_denied);
  EXPECT_THAT(untrusted.what(), HasSubstr("cold.ca_file"));
  config_.ca_file = variable("DB4_TEST_S3_CA_FILE");
  // Without a scheme it is TLS.
  config_.endpoint = config_.endpoint.substr(config_.endpoint.find("://") + 3);
  const auto store = make_s3_object_store(config_);
  const std::string large(9 << 20, 't');
  EXPECT_TRUE(store->put("over tls", as_bytes(large)).verified);
  EXPECT_TRUE(text_of(store->get("over tls", kAnySize)) == large);
  EXPECT_EQ(store->stats().connections, 1U);
  // Plain HTTP where TLS is spoken, and TLS where it is not.
  S3Config plain = config_;
  plain.endpoint = "http://" + config_.endpoint;
  // The server hangs up without a word, as one does that ends.
  EXPECT_EQ(error_of([&] { make_s3_object_store(plain)->put("a", as_bytes("x")); }).code(),
            ErrorCode::unavailable);
  S3Config tls = config_;
  tls.endpoint = "https" + server().endpoint.substr(4);
  EXPECT_THAT(error_of([&] { make_s3_object_store(tls)->put("a", as_bytes("x")); }).what(),
              HasSubstr("cold.endpoint"));
}

/// What tests/objects/s3.sh has other clients read and write: files in a folder, and objects of their names.
class S3ExchangeTest : public S3ServerTest {
 protected:
  void SetUp() override {
    S3ServerTest::SetUp();
    folder_ = variable("DB4_TEST_S3_EXCHANGE");
    if (!IsSkipped() && folder_.empty()) GTEST_SKIP() << "DB4_TEST_S3_EXCHANGE names no folder";
  }

  static std::string bytes(std::size_t size) {
    std::string out(size, '\0');
    std::uint32_t state = 1;
    for (char& c : out) c = static_cast<char>((state = state * 1'664'525 + 1'013'904'223) >> 24U);
    return out;
  }
  static std::string read(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }

  std::filesystem::path folder_;
};

TEST_F(S3ExchangeTest, Writes) {
  const auto store = make_s3_object_store(config_);
  const std::map<std::string, std::string> objects = {{"plain.txt", "plain"},
                                                      {"empty", ""},
                                                      {"sub/with a blank+plus", "blank"},
                                                      {"sub/ünïcödé/日本", "letters"},
                                                      {"a megabyte", bytes(1'000'003)},
                                                      {"in parts", bytes((5 << 20) + 17)}};
  for (const auto& [name, body] : objects) {
    const std::filesystem::path file = folder_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << body;
    const std::string object = "exchange/ours/" + name;
    if (name != "in parts") {
      store->put(object, as_bytes(body));
      continue;
    }
    const std::string id = store->begin_multipart(object, 5 << 20);
    const std::string_view text = body;
    const std::vector<ObjectPart> parts = {store->put_part(object, id, 1, as_bytes(text.substr(0, 5 << 20))),
                                           store->put_part(object, id, 2, as_bytes(text.substr(5 << 20)))};
    store->complete_multipart(object, id, parts);
  }
}

TEST_F(S3ExchangeTest, Reads) {
  const auto store = make_s3_object_store(config_);
  const std::string prefix = "exchange/theirs/";
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const std::string name = prefix + std::filesystem::relative(entry.path(), folder_).string();
    const std::string body = read(entry.path());
    EXPECT_TRUE(text_of(store->get(name, kAnySize)) == body) << name;
    EXPECT_EQ(text_of(store->get_range(name, 3, 5)), body.size() < 3 ? "" : body.substr(3, 5)) << name;
    const auto info = store->head(name);
    ASSERT_TRUE(info) << name;
    EXPECT_EQ(info->size, body.size());
  }
  EXPECT_GE(files, 6U);
  EXPECT_EQ(store->list(prefix, "", 1000).objects.size(), files);
}

}  // namespace
}  // namespace db4::testing
