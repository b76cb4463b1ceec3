#pragma once
// One connection's worth of libcurl: what runs a request.

#include "net/http_client.hpp"

#include <curl/curl.h>

namespace db4::net {

/// What one request has come to: what libcurl's callbacks see and fill.
struct HttpTransfer {
  const HttpRequest& request;
  HttpResponse response = {};
  std::size_t sent = 0;
  std::size_t header_bytes = 0;
  bool connected = false;       ///< the request is on its way
  bool repeat_refused = false;  ///< it broke off, and was not to be sent again
  bool cut_off = false;         ///< enough of an error's body is there
  bool headers_too_long = false;
  std::string foreign = {};  ///< the first bytes of an answer that is no HTTP
};

/// A multi handle with one easy handle, which lets a wait be ended from outside; both keep their connection
/// from request to request. For one thread at a time.
class HttpClient::Channel {
 public:
  Channel();
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  HttpResponse run(const HttpRequest& request, const HttpClientOptions& options, const Clock& clock);

 private:
  void prepare(const HttpClientOptions& options, HttpTransfer& transfer);
  void prepare_method(const HttpRequest& request);
  CURLcode wait_for_end(const HttpClientOptions& options, const Clock& clock, const HttpTransfer& transfer);
  [[nodiscard]] std::uint64_t moved() const;

  CURLM* multi_ = nullptr;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> message_{};
};

/// Throws what a transfer that failed is: never CURLE_OK.
[[noreturn]] void throw_http_failure(CURLcode code, std::string_view detail, const HttpTransfer& transfer,
                                     std::chrono::milliseconds connect_timeout);

}  // namespace db4::net
