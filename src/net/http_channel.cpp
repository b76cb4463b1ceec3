#include "net/http_channel.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <new>

namespace db4::net {
namespace {

// As large as this libcurl takes them: fewer, longer calls of the system.
constexpr long kReceiveBufferBytes = 512L << 10U;
constexpr long kSendBufferBytes = 512L << 10U;
constexpr std::size_t kMaxHeaderBytes = std::size_t{256} << 10U;
/// Of an answer that is no HTTP: enough to tell what it is.
constexpr std::size_t kForeignBytes = 8;
/// A connection that was idle for longer is not used again: the other end has hung up, or is about to.
constexpr long kMaxIdleSeconds = 55;
/// A wait ends at least this often, whatever the clock says that was given.
constexpr std::chrono::milliseconds kLongestPoll{1000};

bool succeeded(int status) { return status >= 200 && status < 300; }

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "HTTP/1.1 200 OK": begins an answer; what an interim one (100) said is forgotten.
void take_status(std::string_view line, HttpResponse& response) {
  const std::size_t space = line.find(' ');
  response.headers.clear();
  response.status = 0;
  if (space == std::string_view::npos) return;
  const auto status = number(trimmed(line.substr(space)).substr(0, 3));
  response.status = static_cast<int>(status.value_or(0));
}

std::size_t on_header(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<HttpTransfer*>(user);
  transfer.header_bytes += size;
  if (transfer.header_bytes > kMaxHeaderBytes) {
    transfer.headers_too_long = true;
    return 0;
  }
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {
    take_status(line, transfer.response);
    return size;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string name(trimmed(line.substr(0, colon)));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (name == "content-length") transfer.response.content_length = number(value);
  transfer.response.headers.emplace_back(std::move(name), value);
  return size;
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<HttpTransfer*>(user);
  HttpResponse& response = transfer.response;
  if (response.status == 0) {  // no line with a status came before it
    transfer.foreign.assign(data, std::min(size, kForeignBytes));
    return 0;
  }
  const bool success = succeeded(response.status);
  const std::uint64_t limit = success ? transfer.request.max_body : kMaxErrorBodyBytes;
  const std::uint64_t announced = response.content_length.value_or(0);
  if (success && (announced > limit || response.body.size() + size > limit)) {
    response.over_limit = true;
    response.body = {};
    return 0;
  }
  if (response.body.empty()) response.body.reserve(std::max<std::uint64_t>(std::min(announced, limit), size));
  const std::size_t taken = std::min<std::uint64_t>(size, limit - response.body.size());
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  response.body.insert(response.body.end(), bytes, bytes + taken);
  transfer.cut_off = taken < size;
  return taken;
}

std::size_t on_read(char* out, std::size_t, std::size_t room, void* user) {
  auto& transfer = *static_cast<HttpTransfer*>(user);
  const ByteView piece = transfer.request.body->subspan(
      transfer.sent, std::min(room, transfer.request.body->size() - transfer.sent));
  if (piece.empty()) return 0;
  std::memcpy(out, piece.data(), piece.size());
  transfer.sent += piece.size();
  if (transfer.request.watcher != nullptr) transfer.request.watcher->sent(piece);
  return piece.size();
}

/// Asked before a request that a closed connection swallowed is sent again.
int on_seek(void* user, curl_off_t offset, int origin) {
  auto& transfer = *static_cast<HttpTransfer*>(user);
  if (origin != SEEK_SET || offset != 0) return CURL_SEEKFUNC_CANTSEEK;
  if (!transfer.request.repeatable) {
    transfer.repeat_refused = true;
    return CURL_SEEKFUNC_FAIL;
  }
  transfer.sent = 0;
  if (transfer.request.watcher != nullptr) transfer.request.watcher->restart();
  return CURL_SEEKFUNC_OK;
}

int on_connected(void* user, char*, char*, int, int) {
  static_cast<HttpTransfer*>(user)->connected = true;
  return CURL_PREREQFUNC_OK;
}

}  // namespace

HttpClient::Channel::Channel() : multi_(::curl_multi_init()), easy_(::curl_easy_init()) {
  if (multi_ != nullptr && easy_ != nullptr) return;
  if (easy_ != nullptr) ::curl_easy_cleanup(easy_);
  if (multi_ != nullptr) ::curl_multi_cleanup(multi_);
  throw std::bad_alloc();
}

HttpClient::Channel::~Channel() {
  ::curl_easy_cleanup(easy_);
  ::curl_multi_cleanup(multi_);
  ::curl_slist_free_all(headers_);
}

void HttpClient::Channel::prepare(const HttpClientOptions& options, HttpTransfer& transfer) {
  ::curl_easy_reset(easy_);
  const auto set = [this](CURLoption option, auto value) { ::curl_easy_setopt(easy_, option, value); };
  message_[0] = '\0';
  set(CURLOPT_ERRORBUFFER, message_.data());
  set(CURLOPT_URL, transfer.request.url.c_str());
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  // What is no HTTP comes as a body without a status, so that on_body sees what it is.
  set(CURLOPT_HTTP09_ALLOWED, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_MAXAGE_CONN, kMaxIdleSeconds);
  set(CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  set(CURLOPT_UPLOAD_BUFFERSIZE, kSendBufferBytes);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  if (!options.user_agent.empty()) set(CURLOPT_USERAGENT, options.user_agent.c_str());
  if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_READFUNCTION, &on_read);
  set(CURLOPT_READDATA, &transfer);
  set(CURLOPT_SEEKFUNCTION, &on_seek);
  set(CURLOPT_SEEKDATA, &transfer);
  set(CURLOPT_PREREQFUNCTION, &on_connected);
  set(CURLOPT_PREREQDATA, &transfer);
  prepare_method(transfer.request);
}

void HttpClient::Channel::prepare_method(const HttpRequest& request) {
  const auto set = [this](CURLoption option, auto value) { ::curl_easy_setopt(easy_, option, value); };
  ::curl_slist_free_all(headers_);
  headers_ = ::curl_slist_append(nullptr, "Expect:");
  for (const auto& [name, value] : request.headers) {
    headers_ = ::curl_slist_append(headers_, (name + (value.empty() ? ":" : ": " + value)).c_str());
  }
  set(CURLOPT_HTTPHEADER, headers_);
  if (request.body) {
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
    // Without a body there is nothing to rewind, and so nobody is asked before it is sent again.
    if (!request.repeatable && request.body->empty()) set(CURLOPT_FRESH_CONNECT, 1L);
  } else if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  }
  set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

std::uint64_t HttpClient::Channel::moved() const {
  curl_off_t up = 0;
  curl_off_t down = 0;
  ::curl_easy_getinfo(easy_, CURLINFO_SIZE_UPLOAD_T, &up);
  ::curl_easy_getinfo(easy_, CURLINFO_SIZE_DOWNLOAD_T, &down);
  return static_cast<std::uint64_t>(up + down);
}

CURLcode HttpClient::Channel::wait_for_end(const HttpClientOptions& options, const Clock& clock,
                                           const HttpTransfer& transfer) {
  const HttpRequest& request = transfer.request;
  const MonotonicTime begun = clock.monotonic();
  const MonotonicTime attempt_end =
      options.attempt_timeout.count() > 0 ? begun + options.attempt_timeout : MonotonicTime::max();
  MonotonicTime last_moved = begun;
  std::uint64_t seen = 0;
  for (;;) {
    int running = 0;
    if (::curl_multi_perform(multi_, &running) != CURLM_OK) return CURLE_FAILED_INIT;
    int queued = 0;
    while (const CURLMsg* message = ::curl_multi_info_read(multi_, &queued)) {
      if (message->msg == CURLMSG_DONE) return message->data.result;
    }
    const MonotonicTime now = clock.monotonic();
    check_bounds(request.stop, request.deadline, now);
    if (now >= attempt_end) {
      throw HttpError(
          HttpFailure::timeout, ErrorCode::unavailable,
          "the request took longer than " + std::to_string(options.attempt_timeout.count()) + " ms",
          "repeat it, or allow more time");
    }
    // Its bytes, its headers and its beginning are all progress.
    const std::uint64_t progress = moved() + transfer.header_bytes + (transfer.connected ? 1 : 0);
    if (progress != seen || !transfer.connected) {
      seen = progress;
      last_moved = now;
    }
    const MonotonicTime stall_end = last_moved + options.stall_timeout;
    if (now >= stall_end) {
      throw HttpError(HttpFailure::stalled, ErrorCode::unavailable,
                      "nothing moved for " + std::to_string(options.stall_timeout.count()) + " ms",
                      "repeat it");
    }
    const MonotonicTime next = std::min({request.deadline, attempt_end, stall_end, now + kLongestPoll});
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - now);
    ::curl_multi_poll(multi_, nullptr, 0, static_cast<int>(wait.count()), nullptr);
  }
}

HttpResponse HttpClient::Channel::run(const HttpRequest& request, const HttpClientOptions& options,
                                      const Clock& clock) {
  HttpTransfer transfer{request};
  prepare(options, transfer);
  if (::curl_multi_add_handle(multi_, easy_) != CURLM_OK) throw std::bad_alloc();
  CURLcode code = CURLE_OK;
  try {
    const std::stop_callback wake(request.stop, [this] { ::curl_multi_wakeup(multi_); });
    code = wait_for_end(options, clock, transfer);
  } catch (...) {
    ::curl_multi_remove_handle(multi_, easy_);  // which ends its connection
    throw;
  }
  long connects = 0;
  ::curl_easy_getinfo(easy_, CURLINFO_NUM_CONNECTS, &connects);
  transfer.response.new_connection = connects > 0;
  ::curl_multi_remove_handle(multi_, easy_);
  if (code == CURLE_OK && transfer.response.status == 0) code = CURLE_WEIRD_SERVER_REPLY;
  const bool enough = transfer.response.over_limit || transfer.cut_off;
  if (code != CURLE_OK && !enough)
    throw_http_failure(code, message_.data(), transfer, options.connect_timeout);
  return std::move(transfer.response);
}

}  // namespace db4::net
