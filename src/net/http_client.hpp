#pragma once
// HTTP/1.1 requests over kept connections, by libcurl's multi interface.

#include "net/sigv4.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>
#include <db4/types.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace db4::net {

/// Sees the bytes of a request's body as they are sent, in order, in the thread that sends: so a digest of
/// them is computed while the network works. Called again from the start where a body is sent again.
class BodyWatcher {
 public:
  virtual ~BodyWatcher() = default;
  virtual void restart() = 0;
  virtual void sent(ByteView piece) = 0;
};

struct HttpRequest {
  std::string method = {};            ///< in capitals
  std::string url = {};               ///< encoded; sent as it is
  std::vector<Header> headers = {};   ///< an empty value leaves out a header that would be sent otherwise
  std::optional<ByteView> body = {};  ///< not copied: the caller keeps it until the call is over
  BodyWatcher* watcher = nullptr;
  /// A kept connection may turn out to be closed only once the request is on its way; then it is sent once
  /// more over a new one. Not where it must not be carried out twice: it fails.
  bool repeatable = true;
  /// Of the answer's body, where its status is 2xx. A longer one is cut off.
  std::uint64_t max_body = 0;
  MonotonicTime deadline = MonotonicTime::max();
  std::stop_token stop = {};
};

struct HttpResponse {
  int status = 0;
  std::vector<Header> headers;  ///< names in lower case
  /// Of an answer that is not 2xx, the first kMaxErrorBodyBytes.
  Bytes body;
  /// As announced; nullopt where it was not.
  std::optional<std::uint64_t> content_length;
  /// The body is longer than allowed: there is nothing in `body`, and the rest was not waited for.
  bool over_limit = false;
  bool new_connection = false;

  /// The first of that name (lower case); empty where there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
};

/// Why there is no answer.
enum class HttpFailure {
  resolve,       ///< the host has no address
  connect,       ///< nobody listens there, or not in time
  tls,           ///< no TLS at the other end, or none that both speak
  speaks_plain,  ///< it was asked for TLS, and answers without
  speaks_tls,    ///< it was asked without TLS, and answers with it
  certificate,   ///< the other end's certificate is not trusted
  ca_file,       ///< the file of trusted certificates cannot be read
  url,           ///< no URL that can be asked
  protocol,      ///< what came is no HTTP
  broken,        ///< the connection ended before the answer did
  stalled,       ///< nothing moved for too long
  timeout,       ///< the attempt took too long as a whole
};

/// What a request that got no answer throws, but for deadline_exceeded and cancelled, which are plain Errors.
class HttpError : public Error {
 public:
  HttpError(HttpFailure failure, ErrorCode code, std::string problem, std::string advice)
      : Error(code, std::move(problem), std::move(advice)), failure_(failure) {}
  [[nodiscard]] HttpFailure failure() const noexcept { return failure_; }

 private:
  HttpFailure failure_;
};

struct HttpClientOptions {
  std::string ca_file = {};  ///< trusted certificates; empty: those of the system
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds attempt_timeout{0};  ///< of one request from its first byte on; 0: none
  std::chrono::milliseconds stall_timeout{15'000};
  std::size_t max_connections = 64;
  std::string user_agent = {};
};

/// Of an answer that is an error: more of it is of no use.
inline constexpr std::size_t kMaxErrorBodyBytes = std::size_t{64} << 10U;

/// Asks servers. A request runs in the thread that calls, over a connection that is lent to it (so encryption
/// and copying scale with the callers, and no answer changes threads); at most `max_connections` run at once,
/// more wait for their turn. Connections are kept; the one used last is lent first.
///
/// Certificates are checked; no redirect is followed, no proxy is asked whatever the environment says, no
/// signal is used. `Expect:` is not sent.
///
/// Thread rule: every call may run in many threads at once.
class HttpClient {
 public:
  HttpClient(HttpClientOptions options, std::shared_ptr<Clock> clock);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Any answer, whatever its status. Throws HttpError, and Error with deadline_exceeded or cancelled (within
  /// some milliseconds of the one or the other, the wait for a connection included).
  HttpResponse send(const HttpRequest& request);

  /// Connections that are open or were, at most max_connections.
  [[nodiscard]] std::size_t channels() const;

 private:
  class Channel;
  class Lease;

  std::unique_ptr<Channel> acquire(const HttpRequest& request);
  void release(std::unique_ptr<Channel> channel) noexcept;

  const HttpClientOptions options_;
  const std::shared_ptr<Clock> clock_;
  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Channel>> idle_;  ///< the last one was used last
  std::size_t lent_ = 0;
};

/// "Sun, 06 Nov 1994 08:49:37 GMT" and the like; nullopt where it is no date.
std::optional<TimePoint> parse_http_date(std::string_view text);

/// Throws cancelled or deadline_exceeded where it is time to.
void check_bounds(const std::stop_token& stop, MonotonicTime deadline, MonotonicTime now);

}  // namespace db4::net
