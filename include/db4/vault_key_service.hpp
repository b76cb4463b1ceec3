#pragma once
// Master keys in HashiCorp Vault (and OpenBao, which speaks the same): its Transit secrets engine, over HTTP.
//
//     auto service = db4::make_vault_key_service({.url = "https://vault.example.org:8200",
//                                                 .key = "orders",
//                                                 .token_file = "/run/vault/token"});
//     config.master_key = db4::master_key_from_service(service);
//
// docs/security.md says how Vault is set up for it.

#include <db4/clock.hpp>
#include <db4/key_service.hpp>
#include <db4/random.hpp>
#include <db4/secret.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace db4 {

/// Where Vault is, and how it is asked.
struct VaultConfig {
  /// As VAULT_ADDR has it. http:// is taken for this machine alone (localhost, 127.0.0.0/8, ::1): anywhere
  /// else the token and the key could be read on the way.
  std::string url = "https://127.0.0.1:8200";
  std::string mount = "transit";  ///< the path that the engine is mounted at
  std::string key = {};           ///< the name of its key: neither derived nor convergent
  /// What Vault lets db4 in by; needs the capability `update` on MOUNT/encrypt/KEY, MOUNT/decrypt/KEY and
  /// MOUNT/rewrap/KEY. db4 does not renew it.
  Secret token = {};
  /// Where the token is instead, which nobody but this user (or root) may read; read anew for each call, so
  /// that whoever renews it (Vault Agent's sink, say) may replace it at any time.
  std::filesystem::path token_file = {};
  std::string vault_namespace = {};    ///< of Vault Enterprise; empty: none
  std::filesystem::path ca_file = {};  ///< trusted certificates, in PEM format; empty: those of the system
  std::chrono::milliseconds connect_timeout = std::chrono::seconds{5};   ///< above 0
  std::chrono::milliseconds attempt_timeout = std::chrono::seconds{10};  ///< of one request; above 0
  std::chrono::milliseconds timeout = std::chrono::seconds{30};  ///< of a call with its repetitions; above 0
  /// What is busy, sealed, or gone for a moment (412, 429, 472, 473, 5xx, no connection, no answer) is asked
  /// again, so many times in all; 1 to 100.
  std::uint32_t max_attempts = 5;
  /// After a pause drawn between 0 and this, doubled each time; longer where Vault says so.
  std::chrono::milliseconds retry_base_delay{250};
  std::chrono::milliseconds retry_max_delay = std::chrono::seconds{5};  ///< no pause is longer
};

/// A client of Vault's Transit engine. Nothing is asked yet. No proxy is asked, whatever the environment
/// says; a standby's redirect is followed once, never from https to http.
///
/// Throws invalid_argument for a configuration that makes no sense. Its calls throw as KeyService says, and
/// in particular permission_denied where Vault does not take the token or its certificate is not trusted,
/// key_unavailable where it has no such key or did not wrap what it is given, unsupported for a key that
/// wants a context, and invalid_argument where nothing is mounted there, or what answers is not Vault.
DB4_API std::shared_ptr<KeyService> make_vault_key_service(
    VaultConfig config, std::shared_ptr<Clock> clock = system_clock(),
    std::shared_ptr<RandomSource> random = system_random());

}  // namespace db4
