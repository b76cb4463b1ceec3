#include "support/transit_server.hpp"

#include "base/base64.hpp"
#include "crypto/aes_gcm.hpp"

#include <db4/random.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

namespace db4::testing {
namespace {

using Json = nlohmann::json;

ScriptedReply errors(int status, const std::string& error) {
  return answer(status, Json{{"errors", Json::array({error})}}.dump() + "\n",
                {"Content-Type: application/json"});
}

ScriptedReply data(const Json& members) {
  const Json body = {{"request_id", "a6c2d1d0-5f5e-4b53-9f0d-0c5c0f0f1c1e"},
                     {"lease_id", ""},
                     {"renewable", false},
                     {"lease_duration", 0},
                     {"data", members},
                     {"wrap_info", nullptr},
                     {"warnings", nullptr},
                     {"auth", nullptr}};
  return answer(200, body.dump() + "\n", {"Content-Type: application/json", "Cache-Control: no-store"});
}

std::string header(const ScriptedRequest& request, const std::string& name) {
  const auto at = request.headers.find(name);
  return at == request.headers.end() ? "" : at->second;
}

}  // namespace

TransitServer::TransitServer()
    : server_([this](const ScriptedRequest& request) { return respond(request); }) {}

std::string TransitServer::token() const { return token_; }

void TransitServer::set_token(const std::string& token) {
  const std::lock_guard lock(mutex_);
  token_ = token;
}
void TransitServer::set_namespace(const std::string& name) {
  const std::lock_guard lock(mutex_);
  namespace_ = name;
}
void TransitServer::set_mount(const std::string& mount) {
  const std::lock_guard lock(mutex_);
  mount_ = mount;
}
void TransitServer::make_key(const std::string& name, bool derived) {
  {
    const std::lock_guard lock(mutex_);
    keys_[name] = {.versions = {}, .derived = derived};
  }
  rotate(name);
}
void TransitServer::rotate(const std::string& name) {
  const std::lock_guard lock(mutex_);
  system_random()->fill(keys_.at(name).versions.emplace_back());
}
void TransitServer::set_oldest(const std::string& name, std::size_t version) {
  const std::lock_guard lock(mutex_);
  keys_.at(name).oldest = version;
}
std::size_t TransitServer::versions(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return keys_.at(name).versions.size();
}
void TransitServer::forbid(const std::string& operation) {
  const std::lock_guard lock(mutex_);
  forbidden_.push_back(operation);
}
void TransitServer::seal(bool sealed) {
  const std::lock_guard lock(mutex_);
  sealed_ = sealed;
}
void TransitServer::fail_next(std::size_t count, ScriptedReply reply) {
  const std::lock_guard lock(mutex_);
  failures_ = count;
  failure_ = std::move(reply);
}
void TransitServer::set_filter(ScriptedServer::Responder filter) {
  const std::lock_guard lock(mutex_);
  filter_ = std::move(filter);
}

ScriptedReply TransitServer::respond(const ScriptedRequest& request) {
  const std::lock_guard lock(mutex_);
  if (failures_ > 0) {
    --failures_;
    return failure_;
  }
  if (filter_) return filter_(request);
  if (sealed_) return errors(503, "Vault is sealed");
  if (header(request, "x-vault-namespace") != namespace_) return errors(404, "no handler for route");
  if (header(request, "x-vault-token").empty()) return errors(400, "missing client token");
  if (header(request, "x-vault-token") != token_) return errors(403, "permission denied");
  const std::string prefix = "/v1/" + mount_ + "/";
  if (!request.target.starts_with(prefix))
    return errors(404, "no handler for route \"" + request.target + "\"");
  const std::string rest = request.target.substr(prefix.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const std::string operation = rest.substr(0, slash);
  if (std::ranges::find(forbidden_, operation) != forbidden_.end()) return errors(403, "permission denied");
  if (operation != "encrypt" && operation != "decrypt" && operation != "rewrap")
    return errors(404, "unsupported path");
  if (request.method != "POST" && request.method != "PUT") return errors(405, "unsupported operation");
  const auto key = keys_.find(rest.substr(std::min(slash + 1, rest.size())));
  if (key == keys_.end()) return errors(400, "encryption key not found");
  return operate(operation, key->second, request.body);
}

ScriptedReply TransitServer::operate(const std::string& operation, Key& key, const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return errors(400, "failed to parse JSON input");
  if (key.derived) {
    return errors(
        400,
        "missing 'context' for key derivation; the key was created using a derived key, which means "
        "additional, per-request information must be included in order to perform operations with the key");
  }
  const std::string text = json.value(operation == "encrypt" ? "plaintext" : "ciphertext", "");
  if (operation == "encrypt") {
    if (!from_base64(text)) return errors(400, "illegal base64 data at input byte 0");
    return data({{"ciphertext", encrypt(key, text)}, {"key_version", key.versions.size()}});
  }
  if (text.empty()) return errors(400, "missing ciphertext to decrypt");
  std::string error;
  const auto plaintext = decrypt(key, text, error);
  if (!plaintext) return errors(400, error);
  if (operation == "decrypt") return data({{"plaintext", *plaintext}});
  return data({{"ciphertext", encrypt(key, *plaintext)}, {"key_version", key.versions.size()}});
}

std::string TransitServer::encrypt(const Key& key, const std::string& plaintext) {
  const std::string bytes = from_base64(plaintext).value();
  std::vector<std::byte> out(crypto::kNonceBytes + bytes.size() + crypto::kTagBytes);
  const std::span<std::byte> all(out);
  const auto nonce = all.first<crypto::kNonceBytes>();
  // Counted: OpenSSL now and then loses the random state of a thread that goes, which LeakSanitizer tells.
  std::memcpy(nonce.data(), &++nonces_, sizeof nonces_);
  const ByteView piece = as_bytes(bytes);
  crypto::aes_gcm_seal(key.versions.back(), nonce, {}, {&piece, 1}, all.subspan(crypto::kNonceBytes));
  return "vault:v" + std::to_string(key.versions.size()) + ":" + to_base64(out);
}

std::optional<std::string> TransitServer::decrypt(const Key& key, const std::string& ciphertext,
                                                  std::string& error) {
  const auto refuse = [&](const char* why) {
    error = why;
    return std::nullopt;
  };
  if (!ciphertext.starts_with("vault:v")) return refuse("invalid ciphertext: no prefix");
  const std::size_t colon = ciphertext.find(':', 7);
  if (colon == std::string::npos) return refuse("invalid ciphertext: wrong number of fields");
  const std::string digits = ciphertext.substr(7, colon - 7);
  const bool number = !digits.empty() && digits.size() < 9 &&
                      std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  if (!number) return refuse("invalid ciphertext: version number could not be decoded");
  const std::size_t version = std::max<std::size_t>(std::stoul(digits), 1);  // 0 is 1, as Vault has it
  if (version > key.versions.size()) return refuse("invalid ciphertext: version is too new");
  if (version < key.oldest)
    return refuse("ciphertext or signature version is disallowed by policy (too old)");
  const auto bytes = from_base64(ciphertext.substr(colon + 1));
  if (!bytes) return refuse("invalid ciphertext: could not decode base64");
  if (bytes->size() < crypto::kNonceBytes + crypto::kTagBytes) return refuse("invalid ciphertext length");
  const ByteView sealed = as_bytes(*bytes);
  std::vector<std::byte> out(sealed.size() - crypto::kNonceBytes - crypto::kTagBytes);
  if (!crypto::aes_gcm_open(key.versions[version - 1], sealed.first<crypto::kNonceBytes>(), {},
                            sealed.subspan(crypto::kNonceBytes), out)) {
    return refuse("cipher: message authentication failed");
  }
  return to_base64(out);
}

}  // namespace db4::testing
