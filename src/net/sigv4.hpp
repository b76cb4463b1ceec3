#pragma once
// AWS Signature Version 4, in headers, by the path rules of S3: the path is signed as it stands on the wire,
// encoded once, with no dot or empty segment removed.
// Source: "Signature Version 4 signing process" and "Authenticating Requests (AWS Signature Version 4)" of
// the AWS and S3 references.

#include <db4/secret.hpp>
#include <db4/types.hpp>

#include <array>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace db4::net {

using Header = std::pair<std::string, std::string>;     ///< name, value
using Parameter = std::pair<std::string, std::string>;  ///< name, value; not encoded

/// All bytes but A-Z a-z 0-9 - . _ ~ become %XX; '/' too, unless it is kept.
std::string uri_encode(std::string_view text, bool keep_slash = false);

/// The query as it is signed and sent: encoded, sorted, and a '=' in every parameter.
std::string canonical_query(std::span<const Parameter> parameters);

/// "20150830T123600Z": x-amz-date.
std::string amz_date(TimePoint at);

/// What is signed of a request. Every header given is signed; `host` and `x-amz-date` must be among them.
struct SigV4Request {
  std::string_view method;
  std::string_view path;   ///< from '/', as it is sent
  std::string_view query;  ///< without '?', from canonical_query()
  std::span<const Header> headers;
  std::string_view payload_sha256;  ///< in hexadecimal; as in x-amz-content-sha256
};

std::string canonical_request(const SigV4Request& request);

/// Signs with one pair of keys for one region and service. Thread-safe.
class SigV4Signer {
 public:
  SigV4Signer(std::string access_key, Secret secret_key, std::string region, std::string service);
  ~SigV4Signer();
  SigV4Signer(const SigV4Signer&) = delete;
  SigV4Signer& operator=(const SigV4Signer&) = delete;

  /// The value of the header Authorization. `date` is that of x-amz-date.
  std::string authorization(const SigV4Request& request, std::string_view date);
  [[nodiscard]] std::string string_to_sign(std::string_view canonical, std::string_view date) const;
  [[nodiscard]] const std::string& region() const noexcept { return region_; }

 private:
  using Key = std::array<unsigned char, 32>;

  [[nodiscard]] std::string scope(std::string_view date) const;
  /// It is good for a day, so it is derived once a day.
  Key key_of(std::string_view day);

  const std::string access_key_;
  const Secret secret_key_;
  const std::string region_;
  const std::string service_;
  std::mutex mutex_;
  std::string day_;
  Key key_{};
};

}  // namespace db4::net
