#include "objects/s3_client.hpp"

#include "base/hash.hpp"

#include <db4/version.hpp>

namespace db4::objects {
namespace {

/// What providers take without a word: 15 minutes, by the protocol.
constexpr std::chrono::seconds kAllowedSkew{900};

net::HttpClientOptions http_options(const S3Config& config, const Environment& environment) {
  return {.ca_file = check_s3_limits(config, environment),
          .connect_timeout = config.connect_timeout,
          .attempt_timeout = config.attempt_timeout,
          .stall_timeout = config.stall_timeout,
          .max_connections = config.max_connections,
          .user_agent = "db4/" + std::string(version())};
}

/// Whether the provider refuses the keys themselves, as it does once they have expired.
bool refuses_keys(const S3Response& response) {
  return response.is("ExpiredToken") || response.is("ExpiredTokenException") || response.is("InvalidToken") ||
         response.is("TokenRefreshRequired") || response.is("InvalidAccessKeyId") ||
         response.is("InvalidAccessKey");
}

}  // namespace

S3Client::Identity::Identity(const S3Config& config, const S3Endpoint& endpoint, S3Credentials found)
    : credentials(std::move(found)),
      context{config.bucket,          endpoint.origin(),         endpoint.region,
              credentials.access_key, credentials.secret_origin, credentials.key_origin},
      signer(credentials.access_key, credentials.secret_key, endpoint.region, "s3") {}

S3Client::S3Client(const S3Config& config, const Environment& environment, std::shared_ptr<Clock> clock)
    : config_(config),
      environment_(environment),
      endpoint_(find_s3_endpoint(config, environment)),
      clock_(std::move(clock)),
      http_(http_options(config, environment), clock_),
      identity_(std::make_shared<Identity>(config, endpoint_, find_s3_credentials(config, environment))) {}

std::shared_ptr<S3Client::Identity> S3Client::identity() const {
  const std::lock_guard lock(identity_mutex_);
  return identity_;
}

std::shared_ptr<S3Client::Identity> S3Client::other_than(const std::shared_ptr<Identity>& refused) {
  const std::lock_guard lock(identity_mutex_);
  if (identity_ != refused) return identity_;  // another thread was told so before
  const MonotonicTime now = clock_->monotonic();
  if (!refused->credentials.from_file || (reread_at_ && now - *reread_at_ < kCredentialsRereadInterval)) {
    return nullptr;
  }
  reread_at_ = now;
  try {
    S3Credentials found = find_s3_credentials(config_, environment_);
    const S3Credentials& held = refused->credentials;
    if (found.access_key == held.access_key && found.secret_key == held.secret_key &&
        found.session_token == held.session_token) {
      return nullptr;
    }
    identity_ = std::make_shared<Identity>(config_, endpoint_, std::move(found));
  } catch (const Error&) {
    return nullptr;  // it is being written, or gone: the provider's refusal says more
  }
  return identity_;
}

std::string S3Client::doing(const S3Request& request) const {
  std::string out(request.doing);
  if (!request.name.empty()) out += " the object \"" + std::string(request.name) + "\"";
  return out;
}

std::vector<net::Header> S3Client::signed_headers(const S3Request& request, Identity& identity,
                                                  std::string_view path, std::string_view query) {
  static const std::string hash_of_nothing = to_hex(sha256({}));
  const std::string payload = request.body ? to_hex(sha256(*request.body)) : hash_of_nothing;
  const TimePoint now = clock_->now() + std::chrono::seconds(clock_offset_s_.load());
  const std::string date = net::amz_date(now);
  std::vector<net::Header> headers = request.headers;
  headers.emplace_back("Host", endpoint_.authority);
  headers.emplace_back("x-amz-date", date);
  headers.emplace_back("x-amz-content-sha256", payload);
  if (!identity.credentials.session_token.empty()) {
    headers.emplace_back("x-amz-security-token", identity.credentials.session_token.reveal());
  }
  std::string authorization =
      identity.signer.authorization({request.method, path, query, headers, payload}, date);
  headers.emplace_back("Authorization", std::move(authorization));
  return headers;
}

S3Response S3Client::send_once(const S3Request& request, Identity& identity) {
  const std::string path = request.name.empty() ? endpoint_.path() : endpoint_.path(request.name);
  const std::string query = net::canonical_query(request.parameters);
  net::HttpRequest http{.method = std::string(request.method),
                        .url = endpoint_.origin() + path + (query.empty() ? "" : "?" + query),
                        .headers = signed_headers(request, identity, path, query),
                        .body = request.body,
                        .watcher = request.watcher,
                        .repeatable = request.repeatable,
                        .max_body = request.max_body,
                        .deadline = request.call.deadline,
                        .stop = request.call.stop};
  ++requests_;
  if (request.watcher != nullptr) request.watcher->restart();
  S3Response response;
  try {
    response.http = http_.send(http);
  } catch (const net::HttpError& error) {
    throw s3_error(identity.context, doing(request), error);
  }
  if (response.http.new_connection) ++connections_;
  const bool failed = response.http.status < 200 || response.http.status >= 300;
  // Of an object, only what is no success is looked into.
  if (failed || request.method == "POST") response.error = parse_s3_error(response.http.body);
  return response;
}

bool S3Client::correct_clock(const S3Response& response, TimePoint signed_at) {
  // HEAD has no body that could say why.
  const bool said = response.is("RequestTimeTooSkewed");
  if (!said && (response.error || response.http.status != 403)) return false;
  const auto theirs = net::parse_http_date(response.http.header("date"));
  if (!theirs || std::chrono::abs(*theirs - signed_at) <= kAllowedSkew) return false;
  clock_offset_s_ = std::chrono::floor<std::chrono::seconds>(*theirs - clock_->now()).count();
  return true;
}

bool S3Client::from_s3(const S3Response& response) {
  return response.error || !response.http.header("x-amz-request-id").empty();
}

void S3Client::learn(const S3Request& request, const S3Response& response) {
  if (response.is("NoSuchBucket")) throw error_of(request, response);
  const int status = response.http.status;
  const bool refused = status >= 300 && status < 500;
  // A refusal of S3 says why. Busy servers, and what stands before them, may answer as they like; a condition
  // that does not hold needs no words.
  const bool wordless = status == 304 || status == 408 || status == 412 || status == 429;
  if (refused && !wordless && request.method != "HEAD" && !from_s3(response)) {
    throw not_s3(identity()->context, doing(request), response.http);
  }
  const bool there = response.ok() && !request.name.empty() && from_s3(response);
  if (there || response.is("NoSuchKey")) bucket_seen_ = true;
}

S3Response S3Client::send(const S3Request& request) {
  const std::int64_t offset = clock_offset_s_;
  const TimePoint signed_at = clock_->now() + std::chrono::seconds(offset);
  std::shared_ptr<Identity> keys = identity();
  S3Response response = send_once(request, *keys);
  // Another thread may have corrected it meanwhile: then this request only was late.
  if (correct_clock(response, signed_at) ||
      (response.is("RequestTimeTooSkewed") && clock_offset_s_ != offset)) {
    response = send_once(request, *keys);
  }
  if (refuses_keys(response)) {
    keys = other_than(keys);
    if (keys) response = send_once(request, *keys);
  }
  learn(request, response);
  return response;
}

void S3Client::require_bucket(const CallOptions& call) {
  if (bucket_seen_) return;
  const S3Request request{.method = "GET",
                          .name = {},
                          .doing = "to list the bucket",
                          .parameters = {{"list-type", "2"}, {"max-keys", "1"}},
                          .max_body = kMaxXmlBytes,
                          .call = call};
  const S3Response response = send(request);
  if (response.ok()) {
    try {
      (void)parse_s3_listing(response.http.body);
    } catch (const Error&) {
      throw not_s3(identity()->context, doing(request), response.http);
    }
  } else if (!response.is("AccessDenied")) {
    // Who may not list it is told so by S3: the bucket is there.
    throw error_of(request, response);
  }
  bucket_seen_ = true;
}

Error S3Client::error_of(const S3Request& request, const S3Response& response) const {
  return s3_error(identity()->context, doing(request), response.http, response.error);
}

Error S3Client::not_s3_error(const S3Request& request, const S3Response& response) const {
  return not_s3(identity()->context, doing(request), response.http);
}

S3Stats S3Client::stats() const {
  return {.requests = requests_,
          .connections = connections_,
          .clock_offset = std::chrono::seconds(clock_offset_s_.load())};
}

}  // namespace db4::objects
