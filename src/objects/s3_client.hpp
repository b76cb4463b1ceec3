#pragma once
// Requests to one bucket: addressed, signed, sent, and their refusals explained.

#include "net/http_client.hpp"
#include "objects/s3_errors.hpp"
#include "objects/s3_settings.hpp"

#include <atomic>

namespace db4::objects {

/// One request. The texts must live as long as the call.
struct S3Request {
  std::string_view method;
  std::string_view name;   ///< of the object; empty: the bucket
  std::string_view doing;  ///< "to put": for messages
  std::vector<net::Parameter> parameters = {};
  std::vector<net::Header> headers = {};  ///< beside those that every request has
  std::optional<ByteView> body = {};
  net::BodyWatcher* watcher = nullptr;
  bool repeatable = true;
  /// Of a successful answer. Most have none; one that is sent all the same is read, for the connection's
  /// sake.
  std::uint64_t max_body = net::kMaxErrorBodyBytes;
  CallOptions call = {};
};

/// An answer, its error understood.
struct S3Response {
  net::HttpResponse http;
  std::optional<S3ErrorBody> error;  ///< where it is one of S3, whatever the status

  [[nodiscard]] bool ok() const noexcept { return http.status >= 200 && http.status < 300 && !error; }
  [[nodiscard]] bool is(std::string_view code) const noexcept { return error && error->code == code; }
};

/// Largest answer that is XML: a thousand names of 1,024 bytes, each byte of them encoded, with all the rest.
inline constexpr std::uint64_t kMaxXmlBytes = 16ULL << 20U;

/// Keys out of the credentials file are read anew at most this often, whatever the provider says of them.
inline constexpr std::chrono::seconds kCredentialsRereadInterval{5};

/// Thread-safe.
class S3Client {
 public:
  S3Client(const S3Config& config, const Environment& environment, std::shared_ptr<Clock> clock);

  /// Any answer of an S3 service but "there is no such bucket". Throws Error: there was no answer, or none of
  /// S3.
  ///
  /// A refusal because of the time is taken as a clock that is off: the offset to the provider's clock is
  /// remembered, and the request sent once more. A refusal of keys that came out of the credentials file has
  /// the file read anew; where it has other keys now, the request is sent once more with them.
  S3Response send(const S3Request& request);

  /// The error of an answer; never for one that is ok().
  [[nodiscard]] Error error_of(const S3Request& request, const S3Response& response) const;
  /// The error of an answer that lacks what every S3 service sends.
  [[nodiscard]] Error not_s3_error(const S3Request& request, const S3Response& response) const;
  /// Asks for the bucket itself, unless an answer has shown already that it is there. Throws where it is not.
  void require_bucket(const CallOptions& call);

  /// Throws where a successful answer, which may be anybody's web page, is not of S3.
  void require_s3(const S3Response& response, const CallOptions& call) {
    if (!from_s3(response)) require_bucket(call);
  }

  [[nodiscard]] S3Stats stats() const;

 private:
  /// Keys, and what is made of them.
  struct Identity {
    Identity(const S3Config& config, const S3Endpoint& endpoint, S3Credentials found);
    const S3Credentials credentials;
    const S3Context context;
    net::SigV4Signer signer;
  };

  S3Response send_once(const S3Request& request, Identity& identity);
  [[nodiscard]] std::vector<net::Header> signed_headers(const S3Request& request, Identity& identity,
                                                        std::string_view path, std::string_view query);
  [[nodiscard]] std::shared_ptr<Identity> identity() const;
  /// Other keys than those that were refused; null where there are none.
  std::shared_ptr<Identity> other_than(const std::shared_ptr<Identity>& refused);
  bool correct_clock(const S3Response& response, TimePoint signed_at);
  /// Whether the answer itself shows that an S3 service gave it.
  static bool from_s3(const S3Response& response);
  /// Takes from it that the bucket is there, and refuses what is no answer of S3.
  void learn(const S3Request& request, const S3Response& response);
  [[nodiscard]] std::string doing(const S3Request& request) const;

  const S3Config config_;
  const Environment environment_;
  const S3Endpoint endpoint_;
  const std::shared_ptr<Clock> clock_;
  net::HttpClient http_;
  mutable std::mutex identity_mutex_;
  std::shared_ptr<Identity> identity_;
  std::optional<MonotonicTime> reread_at_;  ///< the credentials file
  std::atomic<bool> bucket_seen_{false};
  std::atomic<std::int64_t> clock_offset_s_{0};
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> connections_{0};
};

}  // namespace db4::objects
