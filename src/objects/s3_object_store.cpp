#include "objects/s3_object_store.hpp"

#include "base/hash.hpp"
#include "objects/object_name.hpp"

#include <algorithm>
#include <charconv>

namespace db4::objects {
namespace {

/// Servers count in signed 64 bits, and some fail at their end: a range beyond this is open.
constexpr std::uint64_t kMaxOffset = 1ULL << 60U;

/// The digest of a body, computed while it is sent.
class Md5Watcher final : public net::BodyWatcher {
 public:
  void restart() override { md5_.restart(); }
  void sent(ByteView piece) override { md5_.update(piece); }
  std::string digest() { return to_hex(md5_.finish()); }

 private:
  Md5 md5_;
};

[[noreturn]] void throw_too_large(std::string_view name, const net::HttpResponse& response,
                                  std::uint64_t max_bytes) {
  const std::string size =
      response.content_length ? std::to_string(*response.content_length) + " bytes" : "bytes without end";
  throw Error(ErrorCode::too_large,
              "the object \"" + std::string(name) + "\" has " + size + ", over the " +
                  std::to_string(max_bytes) + " that were allowed",
              "read it in ranges or allow more");
}

/// "bytes 10-19/100": where it begins.
std::optional<std::uint64_t> range_begin(std::string_view content_range) {
  const std::size_t blank = content_range.find(' ');
  if (blank == std::string_view::npos) return std::nullopt;
  std::uint64_t begin = 0;
  const char* end = content_range.data() + content_range.size();
  const auto [stopped, error] = std::from_chars(content_range.data() + blank + 1, end, begin);
  if (error != std::errc() || stopped == end || *stopped != '-') return std::nullopt;
  return begin;
}

std::string range_header(std::uint64_t offset, std::uint64_t length) {
  const bool open = length > kMaxOffset - offset;
  return "bytes=" + std::to_string(offset) + "-" + (open ? "" : std::to_string(offset + length - 1));
}

}  // namespace

S3Response S3Store::require(const S3Request& request) {
  S3Response response = client_.send(request);
  if (!response.ok()) throw client_.error_of(request, response);
  return response;
}

PutResult S3Store::send_body(S3Request& request) {
  Md5Watcher watcher;
  request.watcher = &watcher;
  const S3Response response = require(request);
  PutResult result{.etag = unquoted(response.http.header("etag"))};
  if (result.etag.empty()) throw client_.not_s3_error(request, response);
  result.verified = result.etag == watcher.digest();
  return result;
}

PutResult S3Store::put(std::string_view name, ByteView body, const PutOptions& options) {
  require_object_name(name);
  if (!options.if_match.empty()) return put_if_match(name, body, options);
  S3Request request{.method = "PUT",
                    .name = name,
                    .doing = "to put",
                    .headers = {{"Content-Type", "application/octet-stream"}},
                    .body = body,
                    .call = options.call};
  if (options.only_if_absent) {
    request.headers.emplace_back("If-None-Match", "*");
    // Carried out twice, it would find itself, and call that a conflict.
    request.repeatable = false;
  }
  return send_body(request);
}

PutResult S3Store::put_if_match(std::string_view name, ByteView body, const PutOptions& options) {
  const auto attempt = [&](bool quoted) {
    const std::string etag = quoted ? "\"" + options.if_match + "\"" : options.if_match;
    S3Request request{.method = "PUT",
                      .name = name,
                      .doing = "to replace",
                      .headers = {{"Content-Type", "application/octet-stream"}, {"If-Match", etag}},
                      .body = body,
                      .repeatable = false,
                      .call = options.call};
    return send_body(request);
  };
  const bool quoted = quoted_etags_;
  try {
    return attempt(quoted);
  } catch (const Error& error) {
    // AWS takes an etag with and without quotes, Ceph only without. For one that takes it only with quotes:
    // where the object does have this etag, the other form is tried, which is as safe.
    const bool unclear = error.code() == ErrorCode::conflict || error.code() == ErrorCode::invalid_argument;
    if (!unclear) throw;
    const auto info = head(name, options.call);
    if (!info) {
      throw Error(ErrorCode::conflict, "the object \"" + std::string(name) + "\" is gone",
                  "look at what is there, and decide");
    }
    if (info->etag != options.if_match) throw;
  }
  PutResult result = attempt(!quoted);
  quoted_etags_ = !quoted;
  return result;
}

std::optional<Bytes> S3Store::get(std::string_view name, std::uint64_t max_bytes, const CallOptions& call) {
  require_object_name(name);
  const S3Request request{
      .method = "GET", .name = name, .doing = "to get", .max_body = max_bytes, .call = call};
  S3Response response = client_.send(request);
  if (response.http.status == 404) return std::nullopt;
  if (!response.ok()) throw client_.error_of(request, response);
  client_.require_s3(response, call);
  if (response.http.over_limit) throw_too_large(name, response.http, max_bytes);
  return std::move(response.http.body);
}

std::optional<Bytes> S3Store::get_range(std::string_view name, std::uint64_t offset, std::uint64_t length,
                                        const CallOptions& call) {
  require_object_name(name);
  if (length == 0 || offset >= kMaxOffset) {
    // No range of HTTP is empty.
    return head(name, call) ? std::optional(Bytes{}) : std::nullopt;
  }
  const S3Request request{.method = "GET",
                          .name = name,
                          .doing = "to get a range of",
                          .headers = {{"Range", range_header(offset, length)}},
                          .max_body = length,
                          .call = call};
  S3Response response = client_.send(request);
  if (response.http.status == 404) return std::nullopt;
  if (response.http.status == 416) return Bytes{};
  if (!response.ok()) throw client_.error_of(request, response);
  client_.require_s3(response, call);
  if (response.http.status == 206) {
    if (response.http.over_limit || range_begin(response.http.header("content-range")) != offset) {
      throw Error(ErrorCode::unavailable,
                  "the S3 provider sent another range of the object \"" + std::string(name) +
                      "\" than the one asked for",
                  "repeat it");
    }
    return std::move(response.http.body);
  }
  // The whole object: all that a provider may send, and does where the range is all of it.
  if (response.http.over_limit) {
    throw Error(ErrorCode::unsupported,
                "the S3 provider sends the whole object \"" + std::string(name) + "\" instead of a range",
                "use a provider, or a proxy before it, that heeds Range");
  }
  Bytes& body = response.http.body;
  body.erase(body.begin(),
             body.begin() + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(offset, body.size())));
  return std::move(body);
}

std::optional<ObjectInfo> S3Store::head(std::string_view name, const CallOptions& call) {
  require_object_name(name);
  const S3Request request{.method = "HEAD", .name = name, .doing = "to look at", .call = call};
  S3Response response = client_.send(request);
  if (!response.ok() && response.http.status != 404) {
    // A refusal without a body does not say why; that of a GET does.
    const S3Request first_byte{.method = "GET",
                               .name = name,
                               .doing = "to look at",
                               .headers = {{"Range", "bytes=0-0"}},
                               .max_body = 1,
                               .call = call};
    const S3Response why = client_.send(first_byte);
    if (!why.ok()) throw client_.error_of(request, why);
    response = client_.send(request);  // keys or the clock were corrected
  }
  if (response.http.status == 404) {
    client_.require_bucket(call);  // without a body, nothing says what is not there
    return std::nullopt;
  }
  if (!response.ok()) throw client_.error_of(request, response);
  client_.require_s3(response, call);
  if (!response.http.content_length) throw client_.not_s3_error(request, response);
  return ObjectInfo{std::string(name), *response.http.content_length,
                    net::parse_http_date(response.http.header("last-modified")).value_or(TimePoint{}),
                    unquoted(response.http.header("etag"))};
}

bool S3Store::remove(std::string_view name, const CallOptions& call) {
  require_object_name(name);
  const S3Request request{.method = "DELETE", .name = name, .doing = "to remove", .call = call};
  const S3Response response = client_.send(request);
  if (!response.ok() && !response.is("NoSuchKey")) throw client_.error_of(request, response);
  return true;
}

}  // namespace db4::objects

namespace db4 {

std::shared_ptr<S3ObjectStore> make_s3_object_store(const S3Config& config, std::shared_ptr<Clock> clock) {
  return std::make_shared<objects::S3Store>(config, &objects::process_environment, std::move(clock));
}

}  // namespace db4
