#include "keyservice/vault_answer.hpp"

#include "crypto/hkdf.hpp"

#include <nlohmann/json.hpp>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

namespace db4::keyservice {
namespace {

constexpr std::size_t kMaxSaidBytes = 300;  // of what Vault says, in a message
constexpr int kMissingState = 412;          // a node that has not heard yet of what another one knows
constexpr int kTooManyRequests = 429;
constexpr int kStandby = 472;  // of disaster recovery
constexpr int kPerformanceStandby = 473;

bool says(std::string_view errors, std::string_view part) {
  return errors.find(part) != std::string_view::npos;
}

/// Which of Vault's own words say that it cannot decrypt this. Some releases answer 500 with them
/// (https://github.com/hashicorp/vault/issues/10842).
bool says_refused(std::string_view errors) {
  return says(errors, "message authentication failed") || says(errors, "disallowed by policy") ||
         says(errors, "invalid ciphertext");
}

std::string_view doing(VaultOperation operation) {
  switch (operation) {
    case VaultOperation::encrypt:
      return "wrap the key ring's key";
    case VaultOperation::decrypt:
      return "unwrap the key ring's key";
    case VaultOperation::rewrap:
      break;
  }
  return "rewrap the key ring's key";
}

std::string key_of(const VaultContext& context) { return context.mount + "/keys/" + context.key; }

std::string where(const VaultContext& context) {
  return context.vault_namespace.empty() ? "" : " in the namespace " + context.vault_namespace;
}

/// Vault's words as they may stand in a message: short, legible, and without a secret that they might repeat.
std::string shown(std::string_view errors, const std::vector<std::string_view>& hidden) {
  for (const std::string_view secret : hidden) {
    if (!secret.empty() && says(errors, secret)) return "";
  }
  std::string text(errors.substr(0, kMaxSaidBytes));
  for (char& c : text) c = c >= ' ' && c < 0x7F ? c : ' ';
  return text.empty() ? "" : " (it says: " + text + ")";
}

Error explain_400(const VaultContext& context, VaultOperation operation, std::string_view errors,
                  const std::string& said) {
  const std::string key = key_of(context) + where(context);
  if (says(errors, "key derivation") || says(errors, "'context'") || says(errors, "convergent")) {
    return {ErrorCode::unsupported,
            "Vault's key " + key + " is derived or convergent, and wants a context" + said,
            "use a key that is neither: vault write -f " + key_of(context)};
  }
  if (says(errors, "client token")) {
    return {ErrorCode::permission_denied, "Vault got no token that it knows" + said,
            "give a token that is valid"};
  }
  if (says(errors, "key not found") || says(errors, "policy not found") || says(errors, "no existing key")) {
    return {
        ErrorCode::key_unavailable, "Vault has no key " + key + said,
        "name the right key, mount and namespace; vault write -f " + key_of(context) + " makes a new one"};
  }
  if (operation == VaultOperation::encrypt) {
    return {ErrorCode::unsupported, "Vault cannot wrap a key by " + key + said,
            "use a key of type aes256-gcm96"};
  }
  if (says(errors, "too old")) {
    return {ErrorCode::key_unavailable,
            "Vault has put away the version of " + key + " that wrapped the key ring's key" + said,
            "lower its min_decryption_version, rewrap the key ring, and raise it again"};
  }
  return {ErrorCode::key_unavailable, "Vault refuses what the key ring carries as wrapped by " + key + said,
          "use the Vault, mount, key and namespace that the ring was made with, or that its last rewrap was "
          "given"};
}

Error explain_busy(const VaultContext& context, VaultOperation operation, int status, std::string_view errors,
                   const std::string& said) {
  const std::string problem = "Vault at " + context.origin + " cannot " + std::string(doing(operation)) +
                              " now: HTTP " + std::to_string(status);
  if (says(errors, "sealed"))
    return {ErrorCode::unavailable, problem + ", it is sealed" + said, "unseal it, and repeat"};
  if (status == kTooManyRequests)
    return {ErrorCode::unavailable, problem + ", too many requests" + said,
            "repeat later, or raise its quota"};
  return {ErrorCode::unavailable, problem + said, "look at Vault's own state (vault status), and repeat"};
}

}  // namespace

std::string_view to_string(VaultOperation operation) noexcept {
  switch (operation) {
    case VaultOperation::encrypt:
      return "encrypt";
    case VaultOperation::decrypt:
      return "decrypt";
    case VaultOperation::rewrap:
      break;
  }
  return "rewrap";
}

// simdjson shows where the text stands in the answer; a parser that unescapes would leave copies in its
// buffers.
std::optional<Secret> take_member(Bytes& answer, std::string_view member) {
  const std::size_t size = answer.size();
  Bytes padded(size + simdjson::SIMDJSON_PADDING);
  std::ranges::copy(answer, padded.begin());
  crypto::wipe(answer);
  answer.clear();
  const auto* const text = reinterpret_cast<const char*>(padded.data());
  std::optional<Secret> found;
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::raw_json_string raw;
  if (parser.iterate(text, size, padded.size()).get(document) == simdjson::SUCCESS &&
      document["data"][member].get_raw_json_string().get(raw) == simdjson::SUCCESS) {
    const std::string_view rest(raw.raw(), static_cast<std::size_t>(text + size - raw.raw()));
    const std::string_view value = rest.substr(0, rest.find('"'));
    if (value.size() < rest.size() && value.find('\\') == std::string_view::npos) found.emplace(value);
  }
  crypto::wipe(padded);
  return found;
}

std::optional<std::string> errors_in(ByteView answer) {
  const auto json = nlohmann::json::parse(as_text(answer), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("errors") || !json["errors"].is_array()) return std::nullopt;
  std::string all;
  for (const auto& each : json["errors"]) {
    if (!each.is_string()) return std::nullopt;
    all += (all.empty() ? "" : "; ") + each.get<std::string>();
  }
  return all;
}

bool may_pass(int status, std::string_view errors) {
  if (status == kMissingState || status == kTooManyRequests || status == kStandby ||
      status == kPerformanceStandby)
    return true;
  return status >= 500 && status < 600 && !says_refused(errors);
}

std::chrono::seconds retry_after(const net::HttpResponse& response) {
  const std::string_view text = response.header("retry-after");
  std::uint32_t seconds = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, seconds);
  return std::chrono::seconds(error == std::errc{} && stop == end ? seconds : 0);
}

Error refusal(const VaultContext& context, VaultOperation operation, const net::HttpResponse& response,
              const std::vector<std::string_view>& hidden) {
  const int status = response.status;
  const auto errors = errors_in(response.body);
  const std::string words = errors.value_or("");
  const std::string said = shown(words, hidden);
  if (may_pass(status, words)) return explain_busy(context, operation, status, words, said);
  if (status == 401 || status == 403) {
    return {ErrorCode::permission_denied,
            "Vault does not let this token " + std::string(doing(operation)) + where(context) + said,
            "give a token that is valid and not expired, with a policy that has update on " + context.mount +
                "/" + std::string(to_string(operation)) + "/" + context.key};
  }
  if (errors && status == 404) {
    return {ErrorCode::invalid_argument,
            "Vault has no Transit engine at " + context.mount + "/" + where(context) + said,
            "name the right mount and namespace, or make it: vault secrets enable -path=" + context.mount +
                " transit"};
  }
  if (errors && (status == 400 || status >= 500)) return explain_400(context, operation, words, said);
  return not_vault(context, operation, status);
}

Error not_vault(const VaultContext& context, VaultOperation operation, int status) {
  return {ErrorCode::invalid_argument,
          "what answers at " + context.origin + " (HTTP " + std::to_string(status) + "), asked to " +
              std::string(doing(operation)) + ", is not Vault's Transit engine",
          "check the address (VAULT_ADDR)"};
}

Error no_answer(VaultOperation operation, const net::HttpError& error) {
  const std::string problem =
      "Vault cannot be asked to " + std::string(doing(operation)) + ": " + error.problem();
  switch (error.failure()) {
    case net::HttpFailure::certificate:
    case net::HttpFailure::ca_file:
      return {error.code(), problem, "name the file with the certificate that signed Vault's (VAULT_CACERT)"};
    case net::HttpFailure::speaks_tls:
    case net::HttpFailure::speaks_plain:
      return {error.code(), problem, "mend the address (VAULT_ADDR): " + error.advice()};
    default:
      return {error.code(), problem, "check that Vault is up, and its address (VAULT_ADDR), then repeat"};
  }
}

}  // namespace db4::keyservice
