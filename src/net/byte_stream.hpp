#pragma once
// A connection to a server, over TCP, TLS or a unix socket, whose every call ends at a deadline.

#include "base/file_descriptor.hpp"

#include <db4/error.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

// OpenSSL's own names, so that its headers stay out of this one.
struct bio_method_st;
struct ssl_ctx_st;
struct ssl_st;

namespace db4::net {

class AddressLookup;

/// Why a stream failed.
enum class StreamFailure {
  connect,      ///< no address, or nobody listens there
  tls,          ///< no TLS at the other end, or none that both speak
  certificate,  ///< the other end's certificate is not trusted, or another host's
  ca_file,      ///< the file of trusted certificates cannot be read
  broken,       ///< the connection ended
  timeout,      ///< the deadline passed
};

/// What every call of a stream throws. Who knows what is being asked says what to do about it.
class StreamError : public Error {
 public:
  StreamError(StreamFailure failure, ErrorCode code, std::string problem)
      : Error(code, std::move(problem), "repeat it"), failure_(failure) {}
  [[nodiscard]] StreamFailure failure() const noexcept { return failure_; }

 private:
  StreamFailure failure_;
};

/// Whom to trust; shared by many connections. TLS 1.2 and newer; the other end must show a certificate of its
/// host. Thread-safe.
class TlsContext {
 public:
  /// `ca_file`: certificates in PEM format; empty: those of the system. Throws StreamError (ca_file).
  explicit TlsContext(const std::string& ca_file);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class ByteStream;
  ssl_ctx_st* context_ = nullptr;
  bio_method_st* method_ = nullptr;
};

/// Where to connect to: a unix socket where `socket_path` is not empty.
struct StreamTarget {
  std::string host = {};
  std::string port = {};
  std::string socket_path = {};
  const TlsContext* tls = nullptr;  ///< null: none
};

/// One connection. Calls from one thread at a time. Deadlines are on the machine's monotonic clock
/// (system_clock()), whatever clock a store is given: the network is never simulated here. After a call that
/// threw, only the destructor may follow.
class ByteStream {
 public:
  /// Connects, with TLS where the target asks for it.
  ByteStream(const StreamTarget& target, AddressLookup& lookup, MonotonicTime deadline);
  ~ByteStream();
  ByteStream(ByteStream&& other) noexcept;
  ByteStream& operator=(ByteStream&&) = delete;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  /// Says how long calls usually have: a receive() that has about so long is one system call instead of two,
  /// and may end late by a twentieth of it. Not for TLS, where it does nothing.
  void expect_timeout(std::chrono::nanoseconds timeout) noexcept;

  void send(std::string_view bytes, MonotonicTime deadline);
  /// At least one byte and at most `size`.
  std::size_t receive(char* out, std::size_t size, MonotonicTime deadline);
  /// Whether the other end has neither hung up nor said anything unasked.
  [[nodiscard]] bool quiet() const noexcept;
  /// Ends the connection, so that a call that waits in another thread throws; from any thread.
  void interrupt() const noexcept;

 private:
  void connect_path(const std::string& path, MonotonicTime deadline);
  void connect_host(const StreamTarget& target, AddressLookup& lookup, MonotonicTime deadline);
  void start_tls(const StreamTarget& target, MonotonicTime deadline);
  /// Waits for what OpenSSL wants after a call that gave `result`.
  void wait_for_tls(int result, MonotonicTime deadline);

  FileDescriptor socket_;
  ssl_st* ssl_ = nullptr;
  std::chrono::nanoseconds usual_timeout_{0};  ///< 0: the socket never waits by itself
};

}  // namespace db4::net
