#pragma once
// A small stand-in for HashiCorp Vault's Transit engine: an HTTP server on the loopback that encrypts by keys
// of its own, in versions, and answers as the published API says
// (https://developer.hashicorp.com/vault/api-docs/secret/transit). It can be told to fail.

#include "support/scripted_server.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace db4::testing {

/// Thread-safe.
class TransitServer {
 public:
  TransitServer();

  /// "http://127.0.0.1:PORT".
  [[nodiscard]] std::string url() const { return server_.endpoint(); }
  [[nodiscard]] std::string token() const;
  /// From now on another one lets in.
  void set_token(const std::string& token);
  /// From now on requests must name this namespace.
  void set_namespace(const std::string& name);
  /// The engine's path; "transit" at first.
  void set_mount(const std::string& mount);

  void make_key(const std::string& name, bool derived = false);
  void rotate(const std::string& name);
  /// Older versions are kept, and used no more: min_decryption_version.
  void set_oldest(const std::string& name, std::size_t version);
  [[nodiscard]] std::size_t versions(const std::string& name);
  /// The token may not do this ("encrypt", "decrypt", "rewrap") any more.
  void forbid(const std::string& operation);

  /// Answers everything with 503, as a Vault that is sealed.
  void seal(bool sealed);
  /// Answers the next `count` requests with this, and nothing else happens.
  void fail_next(std::size_t count, ScriptedReply reply);
  /// Changes answers before they are sent.
  void set_filter(ScriptedServer::Responder filter);

  /// Everything that was asked, in order.
  [[nodiscard]] std::vector<ScriptedRequest> requests() const { return server_.requests(); }
  void wait_for_requests(std::size_t count) { server_.wait_for_requests(count); }

 private:
  struct Key {
    std::vector<std::array<std::byte, 32>> versions;
    std::size_t oldest = 1;
    bool derived = false;
  };

  ScriptedReply respond(const ScriptedRequest& request);
  ScriptedReply operate(const std::string& operation, Key& key, const std::string& body);
  std::string encrypt(const Key& key, const std::string& plaintext);
  /// The plaintext, or Vault's words.
  static std::optional<std::string> decrypt(const Key& key, const std::string& ciphertext,
                                            std::string& error);

  std::mutex mutex_;
  std::string token_ = "hvs.CAESIJ-a-token-of-the-stand-in";
  std::string namespace_;
  std::string mount_ = "transit";
  std::map<std::string, Key> keys_;
  std::vector<std::string> forbidden_;
  bool sealed_ = false;
  std::uint64_t nonces_ = 0;
  std::size_t failures_ = 0;
  ScriptedReply failure_;
  ScriptedServer::Responder filter_;
  ScriptedServer server_;  // last: it asks as soon as it is there
};

}  // namespace db4::testing
