#include "net/http_client.hpp"

#include "net/http_channel.hpp"

namespace db4::net {
namespace {

/// "http://host:port".
std::string origin_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t path = scheme == std::string_view::npos ? scheme : url.find('/', scheme + 3);
  return std::string(url.substr(0, path));
}

/// Whether bytes that came are a record of TLS (RFC 8446, 5.1): an alert or a handshake, of version 3.x.
bool is_tls_record(std::string_view bytes) {
  return bytes.size() >= 2 && (bytes[0] == '\x15' || bytes[0] == '\x16') && bytes[1] == '\x03';
}

/// What the TLS libraries that libcurl is built with say of bytes that are no TLS.
bool says_no_tls(std::string_view detail) {
  return detail.find("wrong version number") != std::string_view::npos ||
         detail.find("unexpected TLS packet") != std::string_view::npos;
}

struct Explanation {
  HttpFailure failure;
  ErrorCode code;
  const char* problem;  ///< "the host of X ..."
  const char* advice;
};

Explanation explain(CURLcode code, std::string_view detail, const HttpTransfer& transfer) {
  using enum HttpFailure;
  using enum ErrorCode;
  if (is_tls_record(transfer.foreign)) {
    return {speaks_tls, invalid_argument, "it answers in TLS, and was asked without", "write https://"};
  }
  if (!transfer.foreign.empty()) {
    return {protocol, invalid_argument, "the answer is no HTTP", "check host and port"};
  }
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {resolve, unavailable, "its host has no address", "check the name, and this machine's network"};
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
      return {connect, unavailable, "nobody answers there", "check host and port, and repeat"};
    case CURLE_OPERATION_TIMEDOUT:
      return {connect, unavailable, "no connection in time", "check host and port, and repeat"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return {certificate, permission_denied, "its certificate is not trusted",
              "name a file with the certificate that signed it"};
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
      return {ca_file, invalid_argument, "the file of trusted certificates cannot be read",
              "name one in PEM format"};
    case CURLE_SSL_CONNECT_ERROR:
      if (says_no_tls(detail)) {
        return {speaks_plain, invalid_argument, "it was asked for TLS, and answers without",
                "write http://, or take its port for TLS"};
      }
      [[fallthrough]];
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CIPHER:
      return {tls, unavailable, "no TLS connection comes about", "check that this port speaks TLS"};
    case CURLE_URL_MALFORMAT:
      return {url, invalid_argument, "this is no URL", "write http:// or https://, host and port"};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_BAD_CONTENT_ENCODING:
      return {protocol, invalid_argument, "the answer is no HTTP", "check host and port"};
    case CURLE_OUT_OF_MEMORY:
      return {broken, resource_exhausted, "there is no memory", "free some"};
    default:
      break;
  }
  if (transfer.headers_too_long) {
    return {protocol, invalid_argument, "the answer's headers have no end", "check host and port"};
  }
  if (transfer.repeat_refused) {
    return {broken, unavailable, "the connection was closed when the request was on its way",
            "see whether it was carried out, and repeat it"};
  }
  return {broken, unavailable, "the connection broke off", "repeat it"};
}

}  // namespace

void throw_http_failure(CURLcode code, std::string_view detail, const HttpTransfer& transfer,
                        std::chrono::milliseconds connect_timeout) {
  const Explanation why = explain(code, detail, transfer);
  std::string problem = origin_of(transfer.request.url) + ": " + why.problem;
  if (code == CURLE_OPERATION_TIMEDOUT) problem += " (" + std::to_string(connect_timeout.count()) + " ms)";
  // Of what on_body refused libcurl can only say that it was refused.
  std::string said(detail.empty() ? ::curl_easy_strerror(code) : detail);
  throw HttpError(why.failure, why.code, transfer.foreign.empty() ? problem + " (" + said + ")" : problem,
                  why.advice);
}

std::string_view HttpResponse::header(std::string_view name) const noexcept {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::optional<TimePoint> parse_http_date(std::string_view text) {
  const std::time_t seconds = ::curl_getdate(std::string(text).c_str(), nullptr);
  if (seconds < 0) return std::nullopt;
  return TimePoint(std::chrono::seconds(seconds));
}

void check_bounds(const std::stop_token& stop, MonotonicTime deadline, MonotonicTime now) {
  if (stop.stop_requested()) {
    throw Error(ErrorCode::cancelled, "the request was stopped", "repeat it if it is still wanted");
  }
  if (now >= deadline) {
    throw Error(ErrorCode::deadline_exceeded, "the request was not over in the time it was given",
                "repeat it with more time");
  }
}

/// Gives a channel back, whatever happens.
class HttpClient::Lease {
 public:
  Lease(HttpClient& client, std::unique_ptr<Channel> channel)
      : client_(client), channel_(std::move(channel)) {}
  ~Lease() { client_.release(std::move(channel_)); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  /// A new one is made here, outside of the lock, and its place is given back if that fails.
  Channel& channel() {
    if (channel_ == nullptr) channel_ = std::make_unique<Channel>();
    return *channel_;
  }

 private:
  HttpClient& client_;
  std::unique_ptr<Channel> channel_;
};

HttpClient::HttpClient(HttpClientOptions options, std::shared_ptr<Clock> clock)
    : options_(std::move(options)), clock_(std::move(clock)) {
  if (::curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    throw Error(ErrorCode::internal, "libcurl cannot be set up", "check its installation");
  }
  idle_.reserve(options_.max_connections);
}

HttpClient::~HttpClient() {
  idle_.clear();
  ::curl_global_cleanup();
}

std::unique_ptr<HttpClient::Channel> HttpClient::acquire(const HttpRequest& request) {
  const std::stop_callback wake(request.stop, [this] {
    const std::lock_guard lock(mutex_);
    freed_.notify_all();
  });
  std::unique_lock lock(mutex_);
  const auto may_go_on = [&] { return request.stop.stop_requested() || lent_ < options_.max_connections; };
  clock_->wait_until(lock, freed_, request.deadline, may_go_on);
  try {
    check_bounds(request.stop, request.deadline, clock_->monotonic());
  } catch (const Error&) {
    freed_.notify_one();  // somebody else may take the place that woke this one
    throw;
  }
  ++lent_;
  if (idle_.empty()) return nullptr;
  std::unique_ptr<Channel> channel = std::move(idle_.back());
  idle_.pop_back();
  return channel;
}

void HttpClient::release(std::unique_ptr<Channel> channel) noexcept {
  const std::lock_guard lock(mutex_);
  --lent_;
  if (channel != nullptr) idle_.push_back(std::move(channel));
  freed_.notify_one();
}

HttpResponse HttpClient::send(const HttpRequest& request) {
  check_bounds(request.stop, request.deadline, clock_->monotonic());
  Lease lease(*this, acquire(request));
  return lease.channel().run(request, options_, *clock_);
}

std::size_t HttpClient::channels() const {
  const std::lock_guard lock(mutex_);
  return idle_.size() + lent_;
}

}  // namespace db4::net
