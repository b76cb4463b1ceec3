// The client of Vault's Transit engine against a stand-in that follows the published API.
#include "base/base64.hpp"
#include "crypto/crypto_fixtures.hpp"
#include "crypto/key_ring.hpp"
#include "crypto/key_service_suite.hpp"
#include "support/hasty_clock.hpp"
#include "support/temporary_folder.hpp"
#include "support/transit_server.hpp"

#include <db4/encryption.hpp>
#include <db4/vault_key_service.hpp>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

namespace db4::keyservice {
namespace {

using crypto::counting_key;
using crypto::error_of;
using crypto::kContext;
using crypto::pattern;
using ::testing::AllOf;
using testing::answer;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ScriptedReply;
using testing::ScriptedRequest;
using testing::TransitServer;
using Then = ScriptedReply::Then;

/// What the call throws.
template <typename Call>
Error thrown_by(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_FALSE(error.advice().empty());
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::internal, "nothing", "nothing"};
}

ScriptedReply then(ScriptedReply reply, Then next) {
  reply.then = next;
  return reply;
}

ScriptedReply json_errors(int status, const std::string& error) {
  return answer(status, R"({"errors":[")" + error + R"("]})");
}

class VaultTest : public ::testing::Test {
 protected:
  VaultTest() { vault_.make_key("orders"); }
  VaultConfig config() {
    return {.url = vault_.url(),
            .key = "orders",
            .token = vault_.token(),
            .max_attempts = 3,
            .retry_base_delay = std::chrono::milliseconds{1},
            .retry_max_delay = std::chrono::milliseconds{2}};
  }
  std::shared_ptr<KeyService> client() { return make_vault_key_service(config()); }
  /// What an unwrap throws after this answer to it (and to its repetitions).
  Error after(const ScriptedReply& reply) {
    const auto service = client();
    const std::string wrapped = service->wrap(counting_key());
    vault_.fail_next(10, reply);
    Error error = thrown_by([&] { std::ignore = service->unwrap(wrapped); });
    vault_.fail_next(0, {});
    return error;
  }
  std::unique_ptr<EncryptionManager> open(std::shared_ptr<KeyService> service) {
    auto manager = std::make_unique<EncryptionManager>(
        EncryptionConfig{.master_key = master_key_from_service(std::move(service)), .key_store = store_});
    manager->initialize();
    return manager;
  }

  TransitServer vault_;
  std::shared_ptr<InMemoryKeyStore> store_ = std::make_shared<InMemoryKeyStore>();
};

TEST_F(VaultTest, AsksAsThePublishedApiSays) {
  vault_.set_namespace("team/a");
  vault_.set_mount("deep/transit");
  VaultConfig with = config();
  with.url += "/";
  with.vault_namespace = "team/a";
  with.mount = "deep/transit";
  const auto service = make_vault_key_service(with);
  const std::string wrapped = service->wrap(counting_key());
  EXPECT_THAT(wrapped, ::testing::StartsWith("vault:v1:"));
  std::ignore = service->unwrap(wrapped);
  std::ignore = service->rewrap(wrapped);
  const auto requests = vault_.requests();
  ASSERT_EQ(requests.size(), 3);
  EXPECT_EQ(requests[0].target, "/v1/deep/transit/encrypt/orders");
  EXPECT_EQ(requests[0].body, R"({"plaintext":")" + to_base64(counting_key()) + R"("})");
  EXPECT_EQ(requests[1].target, "/v1/deep/transit/decrypt/orders");
  EXPECT_EQ(requests[1].body, R"({"ciphertext":")" + wrapped + R"("})");
  EXPECT_EQ(requests[2].target, "/v1/deep/transit/rewrap/orders");
  for (const ScriptedRequest& request : requests) {
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.headers.at("x-vault-token"), vault_.token());
    EXPECT_EQ(request.headers.at("x-vault-namespace"), "team/a");
    EXPECT_EQ(request.headers.at("x-vault-request"), "true");
  }
  EXPECT_EQ(requests.back().connection, 1U) << "the connection is kept";
}

TEST_F(VaultTest, ARingIsOpenedByOneRequestAndMadeByTwo) {
  const Bytes sealed = open(client())->seal(pattern(50), kContext);
  EXPECT_EQ(vault_.requests().size(), 2U);
  EXPECT_EQ(open(client())->open(sealed, kContext), pattern(50));
  EXPECT_EQ(vault_.requests().size(), 3U);
}

TEST_F(VaultTest, RewrapTakesTheNewestVersionWithoutShowingTheKey) {
  const auto manager = open(client());
  const Bytes sealed = manager->seal(pattern(50), kContext);
  const auto other = open(client());
  vault_.rotate("orders");
  const std::size_t before = vault_.requests().size();
  manager->rewrap(master_key_from_service(client()));
  const auto requests = vault_.requests();
  ASSERT_EQ(requests.size(), before + 2);
  EXPECT_THAT(requests[before].target, HasSubstr("/rewrap/"));
  EXPECT_THAT(requests[before + 1].target, HasSubstr("/decrypt/"));
  EXPECT_THAT(crypto::parse_key_ring(store_->load().value()).wrapped_master, HasSubstr("vault:v2:"));
  vault_.set_oldest("orders", 2);
  EXPECT_EQ(open(client())->open(sealed, kContext), pattern(50));
  EXPECT_EQ(other->open(other->seal(pattern(5), kContext), kContext), pattern(5));
}

TEST_F(VaultTest, TheKeyIsInNoRequestButTheOneThatWrapsIt) {
  const auto manager = open(client());
  vault_.rotate("orders");
  manager->rewrap(master_key_from_service(client()));
  manager->rotate_key();
  open(client());
  const auto requests = vault_.requests();
  const std::string wrapped = crypto::parse_key_ring(store_->load().value()).wrapped_master;
  const std::string key(client()->unwrap(wrapped).reveal());
  const std::string in_base64 = to_base64(as_bytes(key));
  EXPECT_THAT(requests.at(0).body, HasSubstr(in_base64));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    std::string seen = requests[i].target + (i == 0 ? "" : requests[i].body);
    for (const auto& [name, value] : requests[i].headers) {
      if (name != "x-vault-token") seen += name + value;
    }
    EXPECT_THAT(seen, AllOf(Not(HasSubstr(in_base64)), Not(HasSubstr(key)), Not(HasSubstr(vault_.token()))))
        << i;
  }
  EXPECT_EQ(store_->load()->find(key), std::string::npos);
  EXPECT_EQ(store_->load()->find(in_base64), std::string::npos);
}

TEST_F(VaultTest, AWrongTokenIsPermissionDeniedAndNothingIsWritten) {
  VaultConfig with = config();
  with.token = "hvs.another-token-that-is-not-valid";
  const Error error = thrown_by([&] { open(make_vault_key_service(with)); });
  EXPECT_EQ(error.code(), ErrorCode::permission_denied);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("transit/encrypt/orders"), Not(HasSubstr("another-token"))));
  EXPECT_EQ(vault_.requests().size(), 1U) << "asking again is of no use";
  EXPECT_EQ(store_->load(), std::nullopt);
  open(client());
  const auto ring = store_->load();
  EXPECT_EQ(error_of([&] { open(make_vault_key_service(with)); }), ErrorCode::permission_denied);
  EXPECT_EQ(store_->load(), ring);
}

TEST_F(VaultTest, ATokenThatMayEncryptAndNotDecryptMakesNoRing) {
  vault_.forbid("decrypt");
  const Error error = thrown_by([&] { open(client()); });
  EXPECT_EQ(error.code(), ErrorCode::permission_denied);
  EXPECT_THAT(error.what(), HasSubstr("update on transit/decrypt/orders"));
  EXPECT_EQ(store_->load(), std::nullopt);
}

TEST_F(VaultTest, ATokenThatMayNotRewrapChangesNothing) {
  const auto manager = open(client());
  const auto ring = store_->load();
  vault_.forbid("rewrap");
  EXPECT_EQ(error_of([&] { manager->rewrap(master_key_from_service(client())); }),
            ErrorCode::permission_denied);
  EXPECT_EQ(store_->load(), ring);
}

TEST_F(VaultTest, RefusesARingOfAnotherKeyMountOrVersion) {
  open(client());
  const auto refusal = [&](const VaultConfig& with) {
    return thrown_by([&] { open(make_vault_key_service(with)); });
  };
  vault_.make_key("other");
  VaultConfig with = config();
  with.key = "other";
  EXPECT_EQ(refusal(with).code(), ErrorCode::key_unavailable);
  EXPECT_THAT(refusal(with).what(), HasSubstr("transit/keys/other"));
  with.key = "none";
  EXPECT_EQ(refusal(with).code(), ErrorCode::key_unavailable);
  EXPECT_THAT(refusal(with).what(), HasSubstr("Vault has no key transit/keys/none"));
  with = config();
  with.mount = "elsewhere";
  EXPECT_EQ(refusal(with).code(), ErrorCode::invalid_argument);
  EXPECT_THAT(refusal(with).what(), HasSubstr("vault secrets enable -path=elsewhere transit"));
  with = config();
  with.vault_namespace = "nobodys";
  EXPECT_EQ(refusal(with).code(), ErrorCode::invalid_argument);
  EXPECT_THAT(refusal(with).what(), HasSubstr("namespace nobodys"));
  vault_.rotate("orders");
  vault_.set_oldest("orders", 2);
  EXPECT_EQ(refusal(config()).code(), ErrorCode::key_unavailable);
  EXPECT_THAT(refusal(config()).what(), HasSubstr("min_decryption_version"));
}

TEST_F(VaultTest, ADerivedKeyIsUnsupported) {
  vault_.make_key("derived", true);
  VaultConfig with = config();
  with.key = "derived";
  const Error error = thrown_by([&] { open(make_vault_key_service(with)); });
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  EXPECT_THAT(error.what(), HasSubstr("derived or convergent"));
}

TEST_F(VaultTest, AskingAgainIsBounded) {
  for (const int status : {412, 429, 472, 473, 500, 502, 503, 504}) {
    const std::size_t before = vault_.requests().size();
    const Error error = after(json_errors(status, "busy"));
    EXPECT_EQ(error.code(), ErrorCode::unavailable) << status;
    EXPECT_THAT(error.what(), AllOf(HasSubstr(std::to_string(status)), HasSubstr("(tried 3 times)")));
    EXPECT_EQ(vault_.requests().size(), before + 1 + 3) << status;
  }
  EXPECT_THAT(after(json_errors(503, "Vault is sealed")).what(), HasSubstr("unseal it"));
}

TEST_F(VaultTest, WhatPassesIsAskedAgainUntilItHasPassed) {
  const auto service = client();
  for (const ScriptedReply& reply :
       {json_errors(503, "Vault is sealed"), json_errors(429, "rate limit quota exceeded"),
        answer(502, "<html>"), then({}, Then::reset),
        then({"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"data\""}, Then::close)}) {
    vault_.fail_next(2, reply);
    EXPECT_EQ(service->unwrap(service->wrap(counting_key())).reveal(), as_text(counting_key()));
  }
}

TEST_F(VaultTest, WaitsAsLongAsVaultSaysAndNoLongerThanItMay) {
  const auto clock = std::make_shared<testing::HastyClock>();
  VaultConfig with = config();
  with.retry_max_delay = std::chrono::seconds{8};
  const auto service = make_vault_key_service(with, clock);
  const auto waited = [&](const char* header) {
    vault_.fail_next(1, answer(429, R"({"errors":["quota"]})", {header}));
    const MonotonicTime before = clock->monotonic();
    std::ignore = service->wrap(counting_key());
    return clock->monotonic() - before;
  };
  EXPECT_EQ(waited("Retry-After: 6"), std::chrono::seconds{6});
  EXPECT_EQ(waited("Retry-After: 600"), std::chrono::seconds{8});
  EXPECT_LE(waited("Retry-After: soon"), std::chrono::milliseconds{1});
  EXPECT_LE(waited("X-None: 1"), std::chrono::milliseconds{1});
}

TEST_F(VaultTest, GivesUpWhereAPauseWouldTakeTooLong) {
  const auto clock = std::make_shared<testing::HastyClock>();
  VaultConfig with = config();
  with.timeout = std::chrono::seconds{5};
  with.retry_max_delay = std::chrono::seconds{30};
  with.max_attempts = 100;
  const auto service = make_vault_key_service(with, clock);
  vault_.fail_next(100, answer(429, R"({"errors":["quota"]})", {"Retry-After: 2"}));
  EXPECT_EQ(error_of([&] { std::ignore = service->wrap(counting_key()); }), ErrorCode::unavailable);
  EXPECT_EQ(vault_.requests().size(), 3U) << "at 0, 2 and 4 seconds";
}

TEST_F(VaultTest, AVaultThatHangsIsUnavailable) {
  VaultConfig with = config();
  with.attempt_timeout = std::chrono::milliseconds{50};
  with.max_attempts = 2;
  vault_.fail_next(2, then({}, Then::hang));
  const Error error = thrown_by([&] { open(make_vault_key_service(with)); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  with = config();
  with.timeout = std::chrono::milliseconds{50};
  vault_.fail_next(1, then({"HTTP/1.1 200 OK\r\n"}, Then::hang));
  EXPECT_EQ(error_of([&] { open(make_vault_key_service(with)); }), ErrorCode::unavailable);
  EXPECT_EQ(store_->load(), std::nullopt);
}

TEST_F(VaultTest, NobodyThereIsUnavailable) {
  VaultConfig with = config();
  with.url = testing::ScriptedServer().endpoint();  // which is gone by now
  const Error error = thrown_by([&] { open(make_vault_key_service(with)); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_THAT(error.what(), HasSubstr("VAULT_ADDR"));
}

TEST_F(VaultTest, WhatIsNotVaultIsSaidToBeNone) {
  for (const ScriptedReply& reply :
       {answer(200, "<html>It works!</html>"), answer(200, ""), answer(200, "{}"),
        answer(200, R"({"data":null})"), answer(200, R"({"data":{"plaintext":7}})"),
        answer(200, R"({"data":{"plaintext":"unended)"),
        answer(200, R"({"data":{"plaintext":"not base64"}})"),
        answer(200, R"({"data":{"plaintext":"QUJD\n"}})"), answer(200, std::string(100'000, ' ')),
        answer(404, "not found"), answer(404, R"({"message":"no"})"), answer(400, "bad request"),
        answer(405, "no"), answer(418, R"({"errors":["teapot"]})"), answer(301, "moved"), answer(204)}) {
    const Error error = after(reply);
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << reply.bytes.substr(0, 200) << "\n"
                                                         << error.what();
  }
}

TEST_F(VaultTest, AKeyOfAnotherLengthIsNotTheRings) {
  open(client());
  for (const char* key : {"", "QUJD"}) {
    vault_.fail_next(1, answer(200, R"({"data":{"plaintext":")" + std::string(key) + R"("}})"));
    EXPECT_EQ(error_of([&] { open(client()); }), ErrorCode::key_unavailable);
  }
  vault_.fail_next(1, answer(200, R"({"data":{"plaintext":")" + to_base64(counting_key()) + R"("}})"));
  EXPECT_EQ(error_of([&] { open(client()); }), ErrorCode::key_unavailable);
}

TEST_F(VaultTest, ARefusalThatSomeReleasesCall500IsOneAllTheSame) {
  const std::size_t before = vault_.requests().size();
  const Error error = after(json_errors(500, "1 error occurred: * cipher: message authentication failed"));
  EXPECT_EQ(error.code(), ErrorCode::key_unavailable);
  EXPECT_EQ(vault_.requests().size(), before + 2) << "and is not asked again";
}

TEST_F(VaultTest, NoMessageHoldsTokenOrKeyWhateverIsAnswered) {
  const std::string key = to_base64(counting_key());
  for (const int status : {400, 403, 404, 500, 503}) {
    vault_.set_filter([&](const ScriptedRequest& request) {
      return answer(status, R"({"errors":["you sent )" + request.headers.at("x-vault-token") + " and " +
                                (request.body.find(key) != std::string::npos ? key : "no key") + R"("]})");
    });
    for (const bool with_token_alone : {true, false}) {
      const auto service = client();
      const Error error = thrown_by([&] {
        with_token_alone ? std::ignore = service->unwrap("vault:v1:AAAA")
                         : std::ignore = service->wrap(counting_key());
      });
      EXPECT_THAT(error.what(), AllOf(Not(HasSubstr(vault_.token())), Not(HasSubstr(key)))) << status;
    }
  }
  vault_.set_filter([&](const ScriptedRequest&) { return json_errors(403, key + " is what you sent"); });
  EXPECT_THAT(thrown_by([&] { std::ignore = client()->wrap(counting_key()); }).what(), Not(HasSubstr(key)));
  vault_.set_filter(
      [](const ScriptedRequest&) { return json_errors(403, "a\\u001b[2Jb" + std::string(5'000, 'x')); });
  const std::string shown = thrown_by([&] { std::ignore = client()->wrap(counting_key()); }).what();
  EXPECT_LT(shown.size(), 1'000U);
  EXPECT_EQ(shown.find('\x1b'), std::string::npos);
}

TEST_F(VaultTest, AStandbyLeadsToTheActiveNode) {
  testing::ScriptedServer standby([&](const ScriptedRequest& request) {
    return answer(307, "", {"Location: " + vault_.url() + request.target});
  });
  VaultConfig with = config();
  with.url = standby.endpoint();
  const auto service = make_vault_key_service(with);
  EXPECT_EQ(service->unwrap(service->wrap(counting_key())).reveal(), as_text(counting_key()));
  EXPECT_EQ(vault_.requests().size(), 2U);
}

TEST_F(VaultTest, ARedirectToWhereTheTokenWouldBeSeenIsNotFollowed) {
  std::string location;
  testing::ScriptedServer standby([&](const ScriptedRequest& request) {
    return answer(307, "", {"Location: " + location + (location.empty() ? "" : request.target)});
  });
  VaultConfig with = config();
  with.url = standby.endpoint();
  const auto service = make_vault_key_service(with);
  for (const std::string& to :
       {std::string(), std::string("http://vault.example.org"), std::string("ftp://127.0.0.1"),
        std::string("http://127.0.0.1@vault.example.org"), vault_.url() + "/elsewhere", std::string("/")}) {
    location = to;
    const Error error = thrown_by([&] { std::ignore = service->wrap(counting_key()); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << to;
    EXPECT_THAT(error.what(), HasSubstr("standby"));
  }
  location = standby.endpoint();
  EXPECT_EQ(error_of([&] { std::ignore = service->wrap(counting_key()); }), ErrorCode::invalid_argument)
      << "one that leads in a circle";
  EXPECT_TRUE(vault_.requests().empty());
}

class VaultTokenFileTest : public VaultTest {
 protected:
  void write(const std::string& text) {
    std::ofstream(path_) << text << std::flush;
    ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
  }
  std::shared_ptr<KeyService> client_with_file() {
    VaultConfig with = config();
    with.token = Secret();
    with.token_file = path_;
    return make_vault_key_service(with);
  }

  testing::TemporaryFolder folder_;
  std::string path_ = folder_.path() / "token";
};

TEST_F(VaultTokenFileTest, IsReadAnewForEachCall) {
  write(vault_.token() + "\n");
  const auto service = client_with_file();
  const std::string wrapped = service->wrap(counting_key());
  vault_.set_token("hvs.renewed");
  EXPECT_EQ(error_of([&] { std::ignore = service->unwrap(wrapped); }), ErrorCode::permission_denied);
  write("hvs.renewed");
  EXPECT_EQ(service->unwrap(wrapped).reveal(), as_text(counting_key()));
}

TEST_F(VaultTokenFileTest, MustBeThereClosedToOthersAndHoldAToken) {
  const auto service = client_with_file();
  const auto code = [&] { return error_of([&] { std::ignore = service->wrap(counting_key()); }); };
  EXPECT_EQ(code(), ErrorCode::key_unavailable);
  write(vault_.token());
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  EXPECT_EQ(code(), ErrorCode::permission_denied);
  for (const std::string& text : {std::string(), std::string("\n"), std::string("two lines\nof it"),
                                  std::string("a\r\nX-Vault-Token: b"), std::string(5'000, 'x')}) {
    write(text);
    const Error error = thrown_by([&] { std::ignore = service->wrap(counting_key()); });
    EXPECT_EQ(error.code(), ErrorCode::permission_denied);
    EXPECT_THAT(error.what(), Not(HasSubstr("two lines")));
  }
  EXPECT_TRUE(vault_.requests().empty());
}

}  // namespace
}  // namespace db4::keyservice

namespace db4::testing {
namespace {

KeyServiceFactory vault() {
  const auto server = std::make_shared<std::unique_ptr<TransitServer>>();
  const auto client = [server](const std::string& key) {
    return make_vault_key_service({.url = (*server)->url(),
                                   .key = key,
                                   .token = (*server)->token(),
                                   .max_attempts = 2,
                                   .retry_base_delay = std::chrono::milliseconds{1}});
  };
  return {.name = "Vault",
          .make =
              [=] {
                *server = std::make_unique<TransitServer>();
                (*server)->make_key("orders");
                return client("orders");
              },
          .another = [=] { return client("orders"); },
          .stranger =
              [=] {
                (*server)->make_key("strange");
                return client("strange");
              },
          .rotate = [=] { (*server)->rotate("orders"); },
          .retire_old = [=] { (*server)->set_oldest("orders", (*server)->versions("orders")); },
          .set_away = [=](bool away) { (*server)->seal(away); }};
}

INSTANTIATE_TEST_SUITE_P(KeyServices, KeyServiceSuite, ::testing::Values(vault()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace db4::testing
