#pragma once
// Operations: what a program asks of a store in JSON, in this process or through the store's live socket. The
// command line is made of them. The requests and replies are described in docs/json.md and stay stable.

#include <db4/tiered_store.hpp>

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

namespace db4 {

/// What an operation gives.
struct OperationReply {
  std::string json = {};  ///< one object
  std::string body = {};  ///< a document's body, for "get"
};

/// Runs one: `request_json` is an object with "op" and its arguments, `body` a document's body for "put",
/// documents for "put_batch" (append_batch_item). Any thread. Throws what the store's calls throw;
/// invalid_argument for a request that is none: not an object, an operation or an argument that does not
/// exist, or a value of the wrong kind.
DB4_API OperationReply run_operation(TieredStore& store, std::string_view request_json,
                                     std::string_view body = {}, const std::stop_token& stop = {});

inline constexpr std::size_t kMaxOperationRequestBytes = 64ULL << 10;  ///< of the JSON
/// The body of "put_batch" with one document more: its id, content type (empty: JSON, which is checked) and
/// body, each behind its length in four bytes, little-endian. The lengths in front, the texts after them.
DB4_API void append_batch_item(std::string& body, std::string_view id, std::string_view content_type,
                               std::string_view document);
inline constexpr std::size_t kBatchItemHeadBytes = 12;  ///< that a document takes in it besides its texts

inline constexpr std::uint64_t kMaxReadOperationBytes = 32ULL << 20;  ///< of a document, in one "read"
inline constexpr std::size_t kMaxOperationListed = 1000;              ///< documents or moves in one reply

/// The same through the unix socket of the process that holds a store (LiveConfig). Thread-safe: one
/// operation at a time, in turn.
///
///     if (auto live = db4::LiveClient::connect("data/hot")) std::cout << live->run(R"({"op":
///     "stats"})").json;
class DB4_API LiveClient {
 public:
  /// Null where nobody listens. `hot_path`: the store's hot.path. Throws permission_denied (another user's
  /// store), unavailable.
  static std::unique_ptr<LiveClient> connect(const std::filesystem::path& hot_path);
  ~LiveClient();
  LiveClient(const LiveClient&) = delete;
  LiveClient& operator=(const LiveClient&) = delete;

  /// Throws what the store over there threw; unsupported where it speaks another version of the protocol;
  /// unavailable where the connection broke, which for an operation that changes something leaves open
  /// whether it did. Connect again then.
  ///
  /// `stop`: an answer is waited for 3 s more, then it throws cancelled, and the connection is gone; whether
  /// what was asked for was done is open then, too.
  OperationReply run(std::string_view request_json, std::string_view body = {},
                     const std::stop_token& stop = {});

 private:
  class DB4_INTERNAL State;
  explicit LiveClient(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace db4
