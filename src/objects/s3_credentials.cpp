#include "objects/s3_settings.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>

namespace db4::objects {
namespace {

constexpr std::uintmax_t kMaxCredentialsFileBytes = 1U << 20U;

[[noreturn]] void refuse(std::string problem, std::string advice) {
  throw Error(ErrorCode::invalid_argument, std::move(problem), std::move(advice));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// Lines of "[profile]", "name = value" and comments that begin with # or ;.
std::optional<std::map<std::string, Secret>> read_profile(std::istream& in, std::string_view profile) {
  std::optional<std::map<std::string, Secret>> found;
  bool inside = false;
  std::string line;
  while (std::getline(in, line)) {
    const std::string_view text = trimmed(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') continue;
    if (text.front() == '[') {
      const std::string_view name = trimmed(text.substr(1, text.find(']') - 1));
      inside = name == profile || (name.starts_with("profile ") && trimmed(name.substr(8)) == profile);
      if (inside && !found) found.emplace();
      continue;
    }
    const std::size_t equals = text.find('=');
    if (!inside || equals == std::string_view::npos) continue;
    (*found)[std::string(trimmed(text.substr(0, equals)))] = Secret(trimmed(text.substr(equals + 1)));
  }
  wipe(line);
  return found;
}

struct ProfilePlace {
  std::string profile;
  std::filesystem::path file;
  bool named = false;  ///< somebody asked for this file, or this profile
};

ProfilePlace profile_place(const S3Config& config, const Environment& environment) {
  ProfilePlace place{config.profile, config.credentials_file, true};
  if (place.profile.empty()) place.profile = environment("AWS_PROFILE");
  if (place.file.empty()) place.file = environment("AWS_SHARED_CREDENTIALS_FILE");
  place.named = !place.profile.empty() || !place.file.empty();
  if (place.profile.empty()) place.profile = "default";
  if (place.file.empty()) {
    const std::string home = environment("HOME");
    if (!home.empty()) place.file = std::filesystem::path(home) / ".aws" / "credentials";
  }
  return place;
}

[[noreturn]] void no_credentials() {
  refuse("there are no keys for the S3 provider",
         "set cold.access_key and cold.secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
         "cold.profile for one in ~/.aws/credentials");
}

S3Credentials from_profile(const S3Config& config, const Environment& environment) {
  const ProfilePlace place = profile_place(config, environment);
  const std::string file = place.file.string();
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(place.file, error);
  std::ifstream in(place.file);
  if (place.file.empty() || error || !in) {
    if (!place.named) no_credentials();
    refuse("the credentials file " + file + " cannot be read",
           "check cold.credentials_file (or AWS_SHARED_CREDENTIALS_FILE) and its permissions");
  }
  if (size > kMaxCredentialsFileBytes) {
    refuse("the credentials file " + file + " is larger than 1 MiB", "name another in cold.credentials_file");
  }
  const auto values = read_profile(in, place.profile);
  if (!values) {
    if (!place.named) no_credentials();
    refuse("the credentials file " + file + " has no profile [" + place.profile + "]",
           "check cold.profile (or AWS_PROFILE)");
  }
  const auto value = [&](const char* name) {
    const auto found = values->find(name);
    return found == values->end() ? Secret() : found->second;
  };
  const std::string origin = "the profile [" + place.profile + "] in " + file;
  S3Credentials out{std::string(value("aws_access_key_id").reveal()),
                    value("aws_secret_access_key"),
                    value("aws_session_token"),
                    origin,
                    origin,
                    /*from_file=*/true};
  if (out.access_key.empty() || out.secret_key.empty()) {
    refuse(origin + " has no aws_access_key_id or no aws_secret_access_key",
           "write both there, or name another profile in cold.profile");
  }
  return out;
}

}  // namespace

std::string process_environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value == nullptr ? "" : value;
}

namespace {

/// Throws for what cannot stand in a header; the secret never does.
S3Credentials checked(S3Credentials found) {
  const auto fits = [](std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
  };
  if (!fits(found.access_key) || !fits(found.session_token.reveal())) {
    refuse("the access key or session token has a blank, a control character or another that is not ASCII",
           "check " + found.key_origin);
  }
  return found;
}

}  // namespace

S3Credentials find_s3_credentials(const S3Config& config, const Environment& environment) {
  if (config.access_key.empty() != config.secret_key.empty()) {
    refuse(config.access_key.empty() ? "cold.secret_key is set, and cold.access_key is not"
                                     : "cold.access_key is set, and cold.secret_key is not",
           "set both, or neither to take them from the environment or a profile");
  }
  if (!config.access_key.empty()) {
    return checked(
        {config.access_key, config.secret_key, config.session_token, "cold.secret_key", "cold.access_key"});
  }
  if (!config.session_token.empty()) {
    refuse("cold.session_token is set without keys", "set cold.access_key and cold.secret_key as well");
  }
  if (config.profile.empty()) {
    S3Credentials out{environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY"),
                      environment("AWS_SESSION_TOKEN"), "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"};
    if (out.access_key.empty() != out.secret_key.empty()) {
      refuse("of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set",
             "set both, or cold.access_key and cold.secret_key");
    }
    if (!out.access_key.empty()) return checked(std::move(out));
  }
  return checked(from_profile(config, environment));
}

}  // namespace db4::objects
