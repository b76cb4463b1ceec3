#include "keyservice/vault_settings.hpp"

#include <db4/error.hpp>

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

namespace db4::keyservice {
namespace {

constexpr std::size_t kMaxNameBytes = 256;     // of a key, a mount, a namespace
constexpr std::size_t kMaxTokenBytes = 4'096;  // a batch token takes some hundred
constexpr std::size_t kMaxUrlBytes = 2'048;

[[noreturn]] void refuse(std::string problem, std::string advice) {
  throw Error(ErrorCode::invalid_argument, std::move(problem), std::move(advice));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter_or_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_name_letter(char c) { return is_letter_or_digit(c) || c == '_' || c == '-' || c == '.'; }
bool is_visible(char c) { return c > ' ' && c < 0x7F; }

/// A name as Vault has it in its paths: nothing of it needs an escape, and no part of it goes up.
bool is_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxNameBytes) return false;
  for (;;) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || !std::ranges::all_of(part, is_name_letter))
      return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  std::array<unsigned char, 4> address{};
  return ::inet_pton(AF_INET, std::string(host).c_str(), address.data()) == 1 && address[0] == 127;
}

/// A host's name, an address, or one of IPv6 in brackets: nothing that two readers could take for different
/// hosts.
bool is_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) {
    std::array<unsigned char, 16> address{};
    const std::string inside(host.substr(1, host.size() - 2));
    return ::inet_pton(AF_INET6, inside.c_str(), address.data()) == 1;
  }
  const auto legal = [](char c) { return is_letter_or_digit(c) || c == '-' || c == '.' || c == '_'; };
  return !host.empty() && std::ranges::all_of(host, legal);
}

bool is_port(std::string_view port) {
  unsigned number = 0;
  const char* const end = port.data() + port.size();
  const auto [stop, error] = std::from_chars(port.data(), end, number);
  return error == std::errc{} && stop == end && number >= 1 && number <= 65'535;
}

void check_authority(std::string_view authority, bool https, const auto& bad) {
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  std::string_view host = authority;
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host = authority.substr(0, colon);
    if (!is_port(authority.substr(colon + 1))) bad("has no port from 1 to 65535 after the colon");
  }
  if (!is_host(host)) bad("names no host");
  if (!https && !is_loopback(host)) bad("would send the token over the network in the clear");
}

void check_names(const VaultConfig& config) {
  if (!is_path(config.mount)) {
    refuse("what names the mount of Vault's Transit engine is no path of one",
           "write it as Vault lists it: transit");
  }
  const bool one_part = config.key.find('/') == std::string::npos;
  if (!is_path(config.key) || !one_part || looks_like_vault_token(config.key)) {
    refuse("what names the key of Vault's Transit engine is no name of one",
           "write 1 to 256 letters, digits, '-', '_' and '.', as in transit/keys/NAME");
  }
  std::string_view name = config.vault_namespace;
  if (name.ends_with('/')) name.remove_suffix(1);
  if (!config.vault_namespace.empty() && !is_path(name)) {
    refuse("what names the namespace of Vault is no path of one", "write it as Vault lists it: team/orders");
  }
}

}  // namespace

std::string process_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

VaultAddress parse_vault_address(std::string_view url, const std::string& what) {
  const auto bad = [&](const char* why) {
    refuse(what + " " + why, "write https://HOST:8200; http:// is for this machine alone (127.0.0.1)");
  };
  if (url.size() > kMaxUrlBytes || !std::ranges::all_of(url, is_visible))
    bad("has a blank or another illegal character");
  if (url.find_first_of("@?#\\%\"<>") != std::string_view::npos) bad("has more in it than a host and a path");
  VaultAddress address;
  const std::size_t scheme = url.find("://");
  const std::string_view name = url.substr(0, std::min(scheme, url.size()));
  if (scheme == std::string_view::npos || (name != "https" && name != "http"))
    bad("is neither https:// nor http://");
  address.https = name == "https";
  const std::string_view rest = url.substr(scheme + 3);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  check_authority(rest.substr(0, slash), address.https, bad);
  address.origin = url.substr(0, scheme + 3 + slash);
  std::string_view path = rest.substr(slash);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (!path.empty() && !is_path(path.substr(1))) bad("has a path that none of Vault's is");
  address.path = path;
  return address;
}

bool looks_like_vault_token(std::string_view text) {
  for (const std::string_view prefix : {"hvs.", "hvb.", "hvr.", "s.", "b.", "r."}) {
    if (!text.starts_with(prefix)) continue;
    return text.size() >= prefix.size() + 20;  // 24 random letters or more stand in every kind
  }
  return false;
}

Secret checked_token(std::string_view text, const std::string& source) {
  while (text.ends_with('\n') || text.ends_with('\r') || text.ends_with(' ')) text.remove_suffix(1);
  if (!text.empty() && text.size() <= kMaxTokenBytes && std::ranges::all_of(text, is_visible)) return {text};
  throw Error(ErrorCode::permission_denied, source + " holds no token of Vault",
              "put a token there, and nothing else");
}

void check_vault_config(const VaultConfig& config) {
  parse_vault_address(config.url, "the address of Vault");
  check_names(config);
  if (config.token.empty() == config.token_file.empty()) {
    refuse(config.token.empty() ? "there is no token for Vault" : "there are two tokens for Vault",
           "give token or token_file");
  }
  if (!config.token.empty()) std::ignore = checked_token(config.token.reveal(), "the setting of it");
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours{1};
  const auto legal = [&](std::chrono::milliseconds time) { return time.count() > 0 && time <= kLongest; };
  const auto legal_pause = [&](std::chrono::milliseconds time) {
    return time.count() >= 0 && time <= kLongest;
  };
  if (!legal(config.connect_timeout) || !legal(config.attempt_timeout) || !legal(config.timeout) ||
      !legal_pause(config.retry_base_delay) || !legal_pause(config.retry_max_delay) ||
      config.max_attempts < 1 || config.max_attempts > 100) {
    refuse("times or attempts for Vault that make no sense",
           "use timeouts above 0, pauses from 0, each up to an hour, and 1 to 100 attempts");
  }
}

VaultConfig vault_config_of(std::string_view name, const Environment& environment) {
  VaultConfig config;
  if (std::string url = environment("VAULT_ADDR"); !url.empty()) config.url = std::move(url);
  const std::size_t slash = name.rfind('/');
  config.key = slash == std::string_view::npos ? name : name.substr(slash + 1);
  if (slash != std::string_view::npos) config.mount = name.substr(0, slash);
  config.token = environment("VAULT_TOKEN");
  if (config.token.empty()) config.token_file = environment("VAULT_TOKEN_FILE");
  config.vault_namespace = environment("VAULT_NAMESPACE");
  config.ca_file = environment("VAULT_CACERT");
  check_names(config);
  if (config.token.empty() && config.token_file.empty()) {
    throw Error(ErrorCode::key_unavailable, "there is no token for Vault",
                "set VAULT_TOKEN_FILE to the path of a file that holds one, or VAULT_TOKEN to one");
  }
  check_vault_config(config);
  return config;
}

}  // namespace db4::keyservice
