#pragma once
// What an S3 object store goes by: its configuration, with what the environment and the shared credentials
// file add to it.

#include <db4/object_stores.hpp>

#include <functional>

namespace db4::objects {

/// The value of an environment variable; empty where there is none.
using Environment = std::function<std::string(const char* name)>;
std::string process_environment(const char* name);

struct S3Credentials {
  std::string access_key;
  Secret secret_key;
  Secret session_token;
  /// Where to mend them: "cold.secret_key", "AWS_SECRET_ACCESS_KEY", "the profile x in ~/.aws/credentials".
  std::string secret_origin;
  std::string key_origin;
  bool from_file = false;  ///< which somebody may write anew while the store is open
};

/// Those of the configuration; else, unless it names a profile, of the environment; else of the profile in
/// the shared credentials file. Throws invalid_argument where there are none, or only half of them.
S3Credentials find_s3_credentials(const S3Config& config, const Environment& environment);

/// Where requests go.
struct S3Endpoint {
  std::string scheme;      ///< "https"
  std::string authority;   ///< host, and port unless it is the scheme's own; with the bucket, if it is there
  std::string path_start;  ///< what stands in every path before the object's name: "" or "/base/bucket"
  std::string region;

  /// Of the bucket itself.
  [[nodiscard]] std::string path() const { return path_start.empty() ? "/" : path_start; }
  [[nodiscard]] std::string path(std::string_view name) const;
  [[nodiscard]] std::string origin() const { return scheme + "://" + authority; }
};

/// Throws invalid_argument, and names the setting to change.
S3Endpoint find_s3_endpoint(const S3Config& config, const Environment& environment);

/// The rest: limits of time and number, the file of certificates. Returns that file. Throws invalid_argument.
std::string check_s3_limits(const S3Config& config, const Environment& environment);

/// All of these checks.
void check_s3_config(const S3Config& config, const Environment& environment = &process_environment);

}  // namespace db4::objects
