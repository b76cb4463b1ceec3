#include "keyservice/vault_settings.hpp"

#include "crypto/crypto_fixtures.hpp"

#include <db4/error.hpp>

#include <gmock/gmock.h>

#include <map>

namespace db4::keyservice {
namespace {

using crypto::error_of;
using ::testing::HasSubstr;
using ::testing::Not;

std::string origin_of(const std::string& url) { return parse_vault_address(url, "the address").origin; }

VaultConfig valid() { return {.key = "orders", .token = "hvs.token"}; }

TEST(VaultAddressTest, IsTakenApart) {
  EXPECT_EQ(origin_of("https://vault.example.org"), "https://vault.example.org");
  EXPECT_EQ(origin_of("https://vault.example.org:8200/"), "https://vault.example.org:8200");
  EXPECT_EQ(origin_of("https://[2001:db8::1]:8200"), "https://[2001:db8::1]:8200");
  EXPECT_EQ(parse_vault_address("https://h/proxy/vault/", "it").path, "/proxy/vault");
  EXPECT_EQ(parse_vault_address("https://h/", "it").path, "");
}

TEST(VaultAddressTest, PlainHttpIsForThisMachineAlone) {
  for (const char* url :
       {"http://127.0.0.1:8200", "http://127.255.0.9", "http://localhost:8200", "http://[::1]:8200"}) {
    EXPECT_EQ(error_of([&] { origin_of(url); }), std::nullopt) << url;
  }
  for (const char* url : {"http://vault.example.org", "http://10.0.0.1:8200", "http://127.0.0.1.example.org",
                          "http://localhost.example.org", "http://[2001:db8::1]", "http://[::ffff:127.0.0.1]",
                          "http://0.0.0.0", "http://127.1", "http://2130706433", "http://LOCALHOST"}) {
    try {
      origin_of(url);
      ADD_FAILURE() << url;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_THAT(error.what(), HasSubstr("in the clear")) << url;
    }
  }
}

TEST(VaultAddressTest, RefusesWhatTwoReadersCouldTakeForDifferentHosts) {
  for (const char* url : {"",
                          "vault.example.org:8200",
                          "https://",
                          "https:///v1",
                          "ftp://h",
                          "HTTPS://h",
                          "https://h:0",
                          "https://h:65536",
                          "https://h:",
                          "https://h:8x",
                          "https://user:hunter2@h",
                          "https://h?x=hunter2",
                          "https://h#hunter2",
                          "https://h\\hunter2",
                          "https://h%2f",
                          "https://h/a/../b",
                          "https://h//x",
                          "https://h h",
                          "https://h\r\n",
                          "https://[h]",
                          "https://[::1",
                          "https://a]b",
                          "unix:///run/vault",
                          "http://127.0.0.1@example.org",
                          "https://\xc3\xbc.example.org"}) {
    try {
      origin_of(url);
      ADD_FAILURE() << url;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << url;
      EXPECT_THAT(error.what(), Not(HasSubstr("hunter2"))) << url;
    }
  }
  EXPECT_EQ(error_of([] { origin_of("https://" + std::string(3'000, 'h')); }), ErrorCode::invalid_argument);
}

TEST(VaultConfigTest, RefusesWhatMakesNoSense) {
  EXPECT_EQ(error_of([] { check_vault_config(valid()); }), std::nullopt);
  const auto refused = [](auto change) {
    VaultConfig config = valid();
    change(config);
    EXPECT_NE(error_of([&] { check_vault_config(config); }), std::nullopt);
    EXPECT_NE(error_of([&] { make_vault_key_service(config); }), std::nullopt);
  };
  for (const char* name :
       {"", "a/b", "../x", ".", "..", "a b", "a?b", "a%2fb", "a\nb", "hvs.CAESIJ0123456789abcdefghij"}) {
    refused([&](VaultConfig& config) { config.key = name; });
  }
  for (const char* name : {"", "/transit", "transit/", "a//b", "a/../b", "a b", "a\r\nb"}) {
    refused([&](VaultConfig& config) { config.mount = name; });
  }
  for (const char* name : {"/", "/a", "a//", "a b", "a\r\nX-Vault-Token: b"}) {
    refused([&](VaultConfig& config) { config.vault_namespace = name; });
  }
  refused([](VaultConfig& config) { config.url = "http://vault.example.org"; });
  refused([](VaultConfig& config) { config.token = Secret(); });
  refused([](VaultConfig& config) { config.token = "two words"; });
  refused([](VaultConfig& config) { config.token = "a\r\nX-Evil: b"; });
  refused([](VaultConfig& config) { config.token_file = "also/a/file"; });
  refused([](VaultConfig& config) { config.timeout = std::chrono::milliseconds{0}; });
  refused([](VaultConfig& config) { config.attempt_timeout = std::chrono::milliseconds{-1}; });
  refused([](VaultConfig& config) { config.connect_timeout = std::chrono::hours{2}; });
  refused([](VaultConfig& config) { config.retry_base_delay = std::chrono::milliseconds{-1}; });
  refused([](VaultConfig& config) { config.max_attempts = 0; });
  VaultConfig config = valid();
  config.vault_namespace = "team/orders/";
  config.mount = "deep/transit";
  config.key = "orders-2026.v1_x";
  EXPECT_EQ(error_of([&] { check_vault_config(config); }), std::nullopt);
}

TEST(VaultConfigTest, ComesFromTheVariablesOfVaultsOwnClient) {
  std::map<std::string, std::string> variables;
  const Environment environment = [&](const char* name) { return variables[name]; };
  EXPECT_EQ(error_of([&] { vault_config_of("orders", environment); }), ErrorCode::key_unavailable);
  variables = {{"VAULT_TOKEN_FILE", "some/token"}};
  VaultConfig config = vault_config_of("orders", environment);
  EXPECT_EQ(config.url, "https://127.0.0.1:8200");
  EXPECT_EQ(config.mount, "transit");
  EXPECT_EQ(config.key, "orders");
  EXPECT_EQ(config.token_file, "some/token");
  variables = {{"VAULT_ADDR", "https://vault.example.org:8200"},
               {"VAULT_TOKEN", "hvs.token"},
               {"VAULT_TOKEN_FILE", "some/token"},
               {"VAULT_NAMESPACE", "team"},
               {"VAULT_CACERT", "ca.pem"}};
  config = vault_config_of("deep/transit/orders", environment);
  EXPECT_EQ(config.url, "https://vault.example.org:8200");
  EXPECT_EQ(config.mount, "deep/transit");
  EXPECT_EQ(config.key, "orders");
  EXPECT_EQ(config.token, Secret("hvs.token"));
  EXPECT_EQ(config.token_file, "") << "VAULT_TOKEN comes first";
  EXPECT_EQ(config.vault_namespace, "team");
  EXPECT_EQ(config.ca_file, "ca.pem");
  for (const char* name : {"/orders", "transit/", "a//b", "a b"}) {
    EXPECT_EQ(error_of([&] { vault_config_of(name, environment); }), ErrorCode::invalid_argument) << name;
  }
  variables["VAULT_ADDR"] = "http://vault.example.org:8200";
  EXPECT_EQ(error_of([&] { vault_config_of("orders", environment); }), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace db4::keyservice
