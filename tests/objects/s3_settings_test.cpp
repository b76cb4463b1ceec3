// Where requests go and with which keys: configuration, environment, credentials file.
#include "objects/s3_settings.hpp"

#include "support/temporary_folder.hpp"

#include <db4/error.hpp>

#include <gmock/gmock.h>

#include <fstream>
#include <map>
#include <sstream>

namespace db4::testing {
namespace {

using objects::find_s3_credentials;
using objects::find_s3_endpoint;
using objects::S3Credentials;
using objects::S3Endpoint;
using ::testing::HasSubstr;

using Variables = std::map<std::string, std::string>;

objects::Environment environment(Variables variables) {
  return [variables = std::move(variables)](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
}

std::string refused(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_FALSE(error.advice().empty());
    return error.what();
  }
  return "it was accepted";
}

struct Address {
  std::string url;
  std::string region;
  friend bool operator==(const Address&, const Address&) = default;
};

void PrintTo(const Address& address, std::ostream* out) { *out << address.url << " in " << address.region; }

/// Of the object "a b".
Address address(const S3Config& config, Variables variables = {}) {
  const S3Endpoint endpoint = find_s3_endpoint(config, environment(std::move(variables)));
  return {endpoint.origin() + endpoint.path("a b"), endpoint.region};
}

TEST(S3EndpointTest, NamesTheBucketWhereTheProviderWantsIt) {
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "http://127.0.0.1:7480"}),
            (Address{"http://127.0.0.1:7480/attic/a%20b", "us-east-1"}));
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "https://s3.eu-central-1.amazonaws.com"}),
            (Address{"https://attic.s3.eu-central-1.amazonaws.com/a%20b", "eu-central-1"}));
  EXPECT_EQ(address({.bucket = "at.tic", .endpoint = "https://s3.eu-central-1.amazonaws.com"}),
            (Address{"https://s3.eu-central-1.amazonaws.com/at.tic/a%20b", "eu-central-1"}))
      << "the certificate covers one label";
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "https://0123.r2.cloudflarestorage.com/"}),
            (Address{"https://0123.r2.cloudflarestorage.com/attic/a%20b", "auto"}));
  EXPECT_EQ(address({.bucket = "attic",
                     .endpoint = "https://s3.example.com",
                     .addressing = S3Addressing::virtual_host}),
            (Address{"https://attic.s3.example.com/a%20b", "us-east-1"}));
  EXPECT_EQ(address({.bucket = "attic",
                     .endpoint = "https://s3.eu-west-1.amazonaws.com",
                     .addressing = S3Addressing::path}),
            (Address{"https://s3.eu-west-1.amazonaws.com/attic/a%20b", "eu-west-1"}));
}

TEST(S3EndpointTest, ReadsAllThatAnEndpointMayBe) {
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "S3.Example.com:443"}).url,
            "https://s3.example.com/attic/a%20b");
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "http://[::1]:80/"}).url, "http://[::1]/attic/a%20b");
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "http://[::1]:8080"}).url,
            "http://[::1]:8080/attic/a%20b");
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "https://x.example.com/storage/v1/s3"}).url,
            "https://x.example.com/storage/v1/s3/attic/a%20b");
  EXPECT_EQ(address({.bucket = "storage", .endpoint = "https://storage.googleapis.com"}).url,
            "https://storage.googleapis.com/storage/a%20b");
}

TEST(S3EndpointTest, TakesFromTheEnvironmentWhatIsNotConfigured) {
  EXPECT_EQ(address({.bucket = "attic", .region = "eu-west-3"}),
            (Address{"https://attic.s3.eu-west-3.amazonaws.com/a%20b", "eu-west-3"}));
  EXPECT_EQ(address({.bucket = "attic"}, {{"AWS_DEFAULT_REGION", "eu-west-2"}}),
            (Address{"https://attic.s3.eu-west-2.amazonaws.com/a%20b", "eu-west-2"}));
  EXPECT_EQ(address({.bucket = "attic"}, {{"AWS_REGION", "x-1"}, {"AWS_DEFAULT_REGION", "x-2"}}).region,
            "x-1");
  EXPECT_EQ(address({.bucket = "attic"}, {{"AWS_ENDPOINT_URL", "http://a"}}).url, "http://a/attic/a%20b");
  EXPECT_EQ(
      address({.bucket = "attic"}, {{"AWS_ENDPOINT_URL_S3", "http://b"}, {"AWS_ENDPOINT_URL", "http://a"}})
          .url,
      "http://b/attic/a%20b");
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "http://c"}, {{"AWS_ENDPOINT_URL_S3", "http://b"}}).url,
            "http://c/attic/a%20b");
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "http://c"}, {{"AWS_REGION", "x-1"}}).region, "x-1");
  EXPECT_EQ(
      address({.bucket = "attic", .endpoint = "https://s3.eu-west-1.amazonaws.com"}, {{"AWS_REGION", "x-1"}})
          .region,
      "eu-west-1")
      << "what stands in the endpoint's name is what its host expects";
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "https://s3.amazonaws.com"}).region, "us-east-1");
  EXPECT_EQ(address({.bucket = "attic", .endpoint = "https://s3.dualstack.eu-west-1.amazonaws.com"}).region,
            "eu-west-1");
}

TEST(S3EndpointTest, RefusesWhatCannotBeAndNamesTheSetting) {
  const auto refusal = [](const S3Config& config) { return refused([&] { (void)address(config); }); };
  EXPECT_THAT(refusal({.endpoint = "http://a"}), HasSubstr("cold.bucket"));
  for (const char* bucket : {"ab", "a/b", "https://x", "a b c", "ä-bucket"}) {
    EXPECT_THAT(refusal({.bucket = bucket, .endpoint = "http://a"}), HasSubstr("cold.bucket")) << bucket;
  }
  EXPECT_THAT(refusal({.bucket = "attic"}), HasSubstr("cold.endpoint"));
  for (const char* endpoint : {"ftp://a", "http://", "http://a:0x", "http://a:99999", "http://a b",
                               "http://a?x", "http://user@a", "http://a:", "://a"}) {
    EXPECT_THAT(refusal({.bucket = "attic", .endpoint = endpoint}), HasSubstr("cold.endpoint")) << endpoint;
  }
  // As providers show it.
  EXPECT_THAT(refusal({.bucket = "attic", .endpoint = "https://0123.r2.cloudflarestorage.com/attic"}),
              HasSubstr("leave the bucket out"));
  EXPECT_THAT(refusal({.bucket = "attic", .endpoint = "https://attic.s3.eu-west-1.amazonaws.com"}),
              HasSubstr("leave the bucket out"));
  EXPECT_THAT(
      refusal({.bucket = "Attic_1", .endpoint = "http://a", .addressing = S3Addressing::virtual_host}),
      HasSubstr("cold.addressing"));
  EXPECT_THAT(refusal({.bucket = "attic", .endpoint = "http://a", .region = "eu west"}),
              HasSubstr("cold.region"));
}

TEST(S3LimitsTest, AreChecked) {
  const auto refusal = [](S3Config config) {
    return refused([&] { (void)objects::check_s3_limits(config, environment({})); });
  };
  EXPECT_THAT(refusal({.max_connections = 0}), HasSubstr("cold.max_connections"));
  EXPECT_THAT(refusal({.stall_timeout = 0ms}), HasSubstr("cold.connect_timeout"));
  EXPECT_THAT(refusal({.attempt_timeout = 25h}), HasSubstr("attempt_timeout"));
  EXPECT_THAT(refusal({.ca_file = "/no/such/file"}), HasSubstr("cold.ca_file"));
  EXPECT_EQ(objects::check_s3_limits({.attempt_timeout = 0ms}, environment({})), "");
}

class S3CredentialsTest : public ::testing::Test {
 protected:
  void write(const std::string& text) { std::ofstream(file_) << text; }
  static std::string shown(const S3Credentials& credentials) {
    return credentials.access_key + " " + std::string(credentials.secret_key.reveal()) + " " +
           std::string(credentials.session_token.reveal());
  }
  std::string found(const S3Config& config, Variables variables = {}) {
    return shown(find_s3_credentials(config, environment(std::move(variables))));
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "credentials";
  const Variables both_ = {{"AWS_ACCESS_KEY_ID", "EK"}, {"AWS_SECRET_ACCESS_KEY", "es"}};
};

TEST_F(S3CredentialsTest, ConfigurationGoesBeforeTheEnvironmentBeforeTheFile) {
  write("[default]\naws_access_key_id = FK\naws_secret_access_key = fs\n");
  Variables variables = both_;
  variables["AWS_SHARED_CREDENTIALS_FILE"] = file_.string();
  EXPECT_EQ(found({.access_key = "CK", .secret_key = "cs"}, variables), "CK cs ");
  EXPECT_EQ(found({}, variables), "EK es ");
  variables["AWS_SESSION_TOKEN"] = "et";
  EXPECT_EQ(found({}, variables), "EK es et");
  EXPECT_EQ(found({.profile = "default"}, variables), "FK fs ") << "a profile that is asked for is meant";
  EXPECT_EQ(found({}, {{"AWS_SHARED_CREDENTIALS_FILE", file_.string()}}), "FK fs ");
}

TEST_F(S3CredentialsTest, FileHasProfilesCommentsAndBlanks) {
  write(
      "# a comment\n; another\n\n[default]\naws_access_key_id=DK\naws_secret_access_key=ds\n"
      "[ work ]\r\n  aws_access_key_id =  WK \r\naws_secret_access_key = w=s/+\r\naws_session_token = wt\r\n"
      "region = eu-west-1\n[half]\naws_access_key_id = HK\n[profile old]\naws_access_key_id = OK\n"
      "aws_secret_access_key = os");
  EXPECT_EQ(found({.credentials_file = file_}), "DK ds ");
  EXPECT_EQ(found({.profile = "work", .credentials_file = file_}), "WK w=s/+ wt");
  EXPECT_EQ(found({.credentials_file = file_}, {{"AWS_PROFILE", "old"}}), "OK os ");
  EXPECT_THAT(refused([&] { found({.profile = "half", .credentials_file = file_}); }),
              HasSubstr("aws_secret_access_key"));
  EXPECT_THAT(refused([&] { found({.profile = "none", .credentials_file = file_}); }),
              HasSubstr("cold.profile"));
}

TEST_F(S3CredentialsTest, HomeHasTheFileWhereNothingElseIsNamed) {
  std::filesystem::create_directory(folder_.path() / ".aws");
  file_ = folder_.path() / ".aws" / "credentials";
  write("[default]\naws_access_key_id = FK\naws_secret_access_key = fs\n");
  EXPECT_EQ(found({}, {{"HOME", folder_.path().string()}}), "FK fs ");
}

TEST_F(S3CredentialsTest, NoneOrHalfAreRefusedByName) {
  EXPECT_THAT(refused([&] { found({}); }), HasSubstr("cold.access_key"));
  EXPECT_THAT(refused([&] { found({}, {{"HOME", folder_.path().string()}}); }), HasSubstr("cold.access_key"));
  EXPECT_THAT(refused([&] { found({.access_key = "K"}); }), HasSubstr("cold.secret_key is not"));
  EXPECT_THAT(refused([&] { found({.secret_key = "s"}); }), HasSubstr("cold.access_key is not"));
  EXPECT_THAT(refused([&] { found({.session_token = "t"}); }), HasSubstr("cold.session_token"));
  EXPECT_THAT(refused([&] { found({}, {{"AWS_ACCESS_KEY_ID", "K"}}); }), HasSubstr("AWS_SECRET_ACCESS_KEY"));
  EXPECT_THAT(refused([&] { found({.credentials_file = folder_.path() / "none"}); }),
              HasSubstr("cold.credentials_file"));
}

TEST_F(S3CredentialsTest, WhatCannotStandInAHeaderIsRefused) {
  EXPECT_THAT(refused([&] { found({.access_key = "K\r\nx: y", .secret_key = "s"}); }),
              HasSubstr("cold.access_key"));
  EXPECT_THAT(refused([&] { found({.access_key = "K", .secret_key = "s", .session_token = "t\n"}); }),
              HasSubstr("session token"));
  EXPECT_THAT(refused([&] {
                found({}, {{"AWS_ACCESS_KEY_ID", "a b"}, {"AWS_SECRET_ACCESS_KEY", "s"}});
              }),
              HasSubstr("AWS_ACCESS_KEY_ID"));
}

TEST_F(S3CredentialsTest, ErrorsNameWhereTheSecretCameFrom) {
  write("[default]\naws_access_key_id = FK\naws_secret_access_key = fs\n");
  const auto origin = [&](const S3Config& config, Variables variables = {}) {
    return find_s3_credentials(config, environment(std::move(variables))).secret_origin;
  };
  EXPECT_EQ(origin({.access_key = "K", .secret_key = "s"}), "cold.secret_key");
  EXPECT_EQ(origin({}, both_), "AWS_SECRET_ACCESS_KEY");
  EXPECT_THAT(origin({.credentials_file = file_}), HasSubstr("[default]"));
}

TEST(SecretTest, IsNotSeen) {
  const Secret secret("hidden");
  std::ostringstream out;
  out << secret << "," << Secret();
  EXPECT_EQ(out.str(), "***,");
  EXPECT_EQ(secret.reveal(), "hidden");
  EXPECT_TRUE(Secret(static_cast<const char*>(nullptr)).empty());
  Secret moved = Secret(std::string("short"));
  Secret other(std::move(moved));
  EXPECT_TRUE(moved.empty());  // NOLINT(bugprone-use-after-move): that it is, is promised
  EXPECT_TRUE(other == Secret("short"));
  EXPECT_FALSE(other == secret);
  other = secret;
  EXPECT_TRUE(other == secret);
}

TEST(SecretTest, WipedTextLeavesNoBytes) {
  std::string text = "a secret of more than the few bytes that stand in the object itself";
  const char* bytes = text.data();
  const std::size_t size = text.size();
  text.resize(3);
  wipe(text);
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(std::string(bytes, size), std::string(size, '\0'));
}

}  // namespace
}  // namespace db4::testing
