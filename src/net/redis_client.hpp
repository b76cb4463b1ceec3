#pragma once
// A client of one Redis server (or Valkey, KeyDB, Dragonfly) over kept connections.

#include "net/redis_endpoint.hpp"
#include "net/redis_reply.hpp"

#include <db4/error.hpp>

#include <chrono>
#include <condition_variable>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace db4::net {

class AddressLookup;
class TlsContext;

/// Commands of a pipeline that are sent before replies are read.
inline constexpr std::size_t kMaxPipelined = 64;
inline constexpr std::size_t kMaxRedisConnections = 10'000;

struct RedisClientOptions {
  RedisEndpoint endpoint = {};
  std::string ca_file = {};  ///< certificates to trust, in PEM format; empty: those of the system
  /// Of making a connection: finding the address, TLS and logging in included.
  std::chrono::milliseconds connect_timeout{1000};
  /// Of one call, from when it has a connection; and of the wait for one.
  std::chrono::milliseconds timeout{500};
  std::size_t max_connections = 32;
  std::size_t max_reply_bytes = std::size_t{32} << 20;
  /// Put before the settings' names in advice: "warm.".
  std::string settings = {};
};

/// What went wrong with a call.
enum class RedisFailure {
  unreachable,  ///< nobody answers there, or nobody who is trusted
  log_in,       ///< name, password or database are refused
  broken,       ///< the connection ended before the reply did, or what came is not Redis's protocol
  timeout,      ///< no whole reply in time
  busy,         ///< all connections were in use for as long as a call may take
  too_large,    ///< the reply is over max_reply_bytes
  refused,      ///< the server answered with an error
};

/// What every call throws. Name and password never stand in a message.
class RedisError : public Error {
 public:
  RedisError(RedisFailure failure, ErrorCode code, std::string problem, std::string advice)
      : Error(code, std::move(problem), std::move(advice)), failure_(failure) {}
  [[nodiscard]] RedisFailure failure() const noexcept { return failure_; }
  /// Whether the next call is likely to fail too, and to take its time for it.
  [[nodiscard]] bool server_is_away() const noexcept {
    return failure_ == RedisFailure::unreachable || failure_ == RedisFailure::log_in ||
           failure_ == RedisFailure::broken || failure_ == RedisFailure::timeout;
  }

 private:
  RedisFailure failure_;
};

/// A script in Lua, named by its digest, so that its text is sent once to a server.
class RedisScript {
 public:
  explicit RedisScript(std::string text);
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] const std::string& digest() const noexcept { return digest_; }

 private:
  std::string text_;
  std::string digest_;
};

/// Asks one server. A call runs in the thread that calls, over a connection that is lent to it; at most
/// `max_connections` are open, and who finds none free waits for one. The one used last is lent first. One
/// that the server closed meanwhile is noticed before it is used, unless that was within a millisecond; after
/// any failure of its own a connection is thrown away, so that nobody reads the reply to another's question.
/// Nothing is repeated.
///
/// A call takes at most `timeout` for the wait, `connect_timeout` where a connection must be made, and
/// `timeout` for the exchange; on the machine's clock.
///
/// Nothing is connected before the first call. Thread rule: every call may run in many threads at once.
class RedisClient {
 public:
  /// Throws invalid_argument where the ca_file cannot be read.
  explicit RedisClient(RedisClientOptions options);
  ~RedisClient();
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;

  /// One command. Throws RedisError, also where the reply is an error.
  RedisReply command(RedisWords words);
  RedisReply command(std::initializer_list<std::string_view> words) {
    return command(RedisWords(words.begin(), words.size()));
  }
  /// Several commands on one connection, in one go for each kMaxPipelined of them; their replies in order.
  /// An error that the server answers is a reply here: it does not keep the others from being carried out.
  std::vector<RedisReply> pipeline(std::span<const RedisWords> commands);
  /// Runs a script by its digest, and by its text where the server does not know it yet.
  RedisReply eval(const RedisScript& script, RedisWords keys, RedisWords arguments);
  /// Throws what command() throws for it, where the reply is an error.
  void check(const RedisReply& reply) const;

  /// Connections that are open.
  [[nodiscard]] std::size_t connections() const;
  /// Closes those that nobody uses, the others when they come back. Later calls throw `cancelled`.
  void close() noexcept;
  /// The same, and ends calls that wait for a reply: they throw. One that makes a connection goes on until it
  /// has one.
  void interrupt() noexcept;

 private:
  class Connection;
  class Lease;

  std::unique_ptr<Connection> acquire();
  std::unique_ptr<Connection> connect();
  /// Ends the use of `used` (null: there was none), and keeps it where `good`.
  void release(std::unique_ptr<Connection> used, bool good) noexcept;
  /// A connection in use, which interrupt() is to find. Throws `cancelled` where the client is closed.
  void enlist(Connection& connection);
  void strike(const Connection& connection) noexcept;
  [[noreturn]] void fail_closed() const;
  template <typename Exchange>
  auto with_connection(const Exchange& exchange);
  [[noreturn]] void rethrow_stream_error() const;
  [[nodiscard]] RedisError refusal(const RedisReply& reply, bool logging_in) const;
  [[nodiscard]] std::string setting(std::string_view name) const {
    return options_.settings + std::string(name);
  }

  const RedisClientOptions options_;
  const std::string server_;  ///< for messages
  std::unique_ptr<TlsContext> tls_;
  std::unique_ptr<AddressLookup> lookup_;
  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Connection>> idle_;  ///< the last one was used last
  std::vector<Connection*> used_;
  std::size_t lent_ = 0;
  bool closed_ = false;
};

}  // namespace db4::net
