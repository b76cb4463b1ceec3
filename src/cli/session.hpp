#pragma once
// A session with a store: through the live socket of the process that holds it, or with the store opened
// here.

#include <db4/key_store.hpp>
#include <db4/operations.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <memory>
#include <stop_token>
#include <string_view>

namespace db4::cli {

/// Opens a store that this process works on for long: others may ask it through its socket. Waits up to
/// `wait` for a process that is just using it; then throws its Error of code `locked`.
std::unique_ptr<TieredStore> open_waiting(TieredStoreConfig config, std::chrono::milliseconds wait,
                                          const std::stop_token& stop);

/// The key ring in the database of a store that nobody has open; waits as open_waiting.
std::shared_ptr<KeyStore> open_ring_waiting(const TieredStoreConfig& config, std::chrono::milliseconds wait,
                                            const std::stop_token& stop);

/// How long a command works on a store.
enum class SessionKind {
  short_one,  ///< it is over before anybody could ask the store, which does not listen; a stop ends an
              ///< operation
  long_one,   ///< others may ask the store meanwhile; it stops between two operations
};

/// One thread.
class Session {
 public:
  /// Asks the process that holds the store where there is one that listens, and else opens the store here.
  /// `wait` as for open_waiting.
  Session(TieredStoreConfig config, std::chrono::milliseconds wait, std::stop_token stop,
          SessionKind kind = SessionKind::short_one);

  /// Runs an operation (docs/json.md). Throws what it throws; invalid_argument for text that is no UTF-8.
  OperationReply ask(const nlohmann::json& request, std::string_view body = {});

  [[nodiscard]] bool live() const noexcept { return live_ != nullptr; }
  /// The store, where it was opened here; null where another process holds it.
  [[nodiscard]] TieredStore* store() const noexcept { return store_.get(); }
  /// Closes the store where it was opened here. Throws what TieredStore::close throws.
  void close();

 private:
  std::stop_token stop_;
  std::unique_ptr<LiveClient> live_;
  std::unique_ptr<TieredStore> store_;
};

}  // namespace db4::cli
