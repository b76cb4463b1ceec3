#pragma once
// keyservice: where master keys come from. Includes net, crypto and base. A text that names a source
// (master_key_source.hpp), and Vault's Transit engine: its settings, its answers, and the client that asks.

#include <db4/vault_key_service.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace db4::keyservice {

/// The value of an environment variable; empty where there is none.
using Environment = std::function<std::string(const char* name)>;
std::string process_environment(const char* name);

/// Where requests go.
struct VaultAddress {
  bool https = true;
  std::string origin;  ///< "https://host:8200"
  std::string path;    ///< in front of "/v1"; empty, or from '/' without one at the end
};

/// Throws invalid_argument for another text, and for http:// to another machine. `what` names it in messages,
/// in which it is not repeated where it might hold a password.
VaultAddress parse_vault_address(std::string_view url, const std::string& what);

/// Checks all of a configuration; throws invalid_argument.
void check_vault_config(const VaultConfig& config);

/// Whether a text has the form of a token, and so is hardly the name of a key.
bool looks_like_vault_token(std::string_view text);

/// Of the token: what may stand in a header. Throws permission_denied for another, which is not repeated.
Secret checked_token(std::string_view text, const std::string& source);

/// The configuration for `name`, KEY or MOUNT/KEY, with the rest from the variables that Vault's own client
/// takes: VAULT_ADDR, VAULT_TOKEN or VAULT_TOKEN_FILE, VAULT_NAMESPACE, VAULT_CACERT. Throws key_unavailable
/// where there is no token.
VaultConfig vault_config_of(std::string_view name, const Environment& environment);

}  // namespace db4::keyservice
