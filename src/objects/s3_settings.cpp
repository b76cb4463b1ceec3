#include "objects/s3_settings.hpp"

#include "net/sigv4.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <fstream>
#include <optional>

namespace db4::objects {
namespace {

[[noreturn]] void refuse(std::string problem, std::string advice) {
  throw Error(ErrorCode::invalid_argument, std::move(problem), std::move(advice));
}

bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

void check_bucket(const std::string& bucket) {
  if (bucket.empty()) refuse("cold.bucket is empty", "name the bucket of the S3 provider; it must exist");
  const auto legal = [](char c) {
    return lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
  };
  if (bucket.size() < 3 || bucket.size() > 255 || !std::ranges::all_of(bucket, legal)) {
    refuse("cold.bucket \"" + bucket + "\" is no bucket's name",
           "use its 3 to 63 letters, digits, '-' and '.', without a folder or URL");
  }
}

/// Whether the bucket may be part of a host's name, and of a wildcard certificate's.
bool fits_host(const std::string& bucket, bool dots) {
  if (bucket.size() > 63 || !lower_or_digit(bucket.front()) || !lower_or_digit(bucket.back())) return false;
  return std::ranges::all_of(bucket,
                             [&](char c) { return lower_or_digit(c) || c == '-' || (dots && c == '.'); });
}

/// An endpoint's parts.
struct Url {
  std::string scheme;
  std::string host;  ///< in lower case
  std::string port;  ///< empty: the scheme's own
  std::string path;  ///< empty, or from '/' without one at the end
};

Url parse_endpoint(const std::string& text) {
  const auto bad = [&](const char* why) {
    refuse("cold.endpoint \"" + text + "\" " + why,
           "write https://HOST or https://HOST:PORT, as the provider names it");
  };
  Url url{"https", "", "", ""};
  std::string_view rest = text;
  if (const std::size_t scheme = rest.find("://"); scheme != std::string_view::npos) {
    url.scheme = rest.substr(0, scheme);
    rest.remove_prefix(scheme + 3);
  }
  if (url.scheme != "http" && url.scheme != "https") bad("is neither http nor https");
  const auto printable = [](char c) { return c > ' ' && c < 0x7F && c != '"' && c != '<' && c != '>'; };
  if (!std::ranges::all_of(rest, printable)) bad("has a blank or another illegal character");
  if (rest.find_first_of("?#@\\%") != std::string_view::npos) bad("has more in it than a host and a path");
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  url.path = rest.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    url.port = authority.substr(colon + 1);
    authority = authority.substr(0, colon);
    const bool digits = std::ranges::all_of(url.port, [](char c) { return c >= '0' && c <= '9'; });
    if (url.port.empty() || url.port.size() > 5 || !digits || std::stoi(url.port) > 65535) {
      bad("has no port from 1 to 65535 after the colon");
    }
  }
  url.host = authority;
  for (char& c : url.host) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (url.host.empty()) bad("names no host");
  if (url.port == (url.scheme == "https" ? "443" : "80")) url.port.clear();
  return url;
}

bool is_aws(std::string_view host) {
  return host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
}

/// s3.REGION.amazonaws.com, s3.dualstack.REGION..., s3-REGION...; empty where no region stands there.
std::string region_in(std::string_view host) {
  if (host.ends_with(".r2.cloudflarestorage.com")) return "auto";
  if (!is_aws(host)) return {};
  std::string_view rest = host.substr(0, host.find(".amazonaws.com"));
  if (rest.find("s3") == std::string_view::npos) return {};
  rest.remove_prefix(rest.rfind("s3") + 2);
  if (rest.starts_with(".dualstack")) rest.remove_prefix(10);
  if (rest.size() < 2) return "us-east-1";
  return std::string(rest.substr(1));
}

std::string find_region(const S3Config& config, std::string_view host, const Environment& environment) {
  if (!config.region.empty() && config.region != "auto") return config.region;
  if (std::string named = region_in(host); !named.empty()) return named;
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (std::string value = environment(name); !value.empty()) return value;
  }
  // What most providers without regions take, or call their only one.
  return host.empty() ? std::string() : "us-east-1";
}

std::string endpoint_text(const S3Config& config, const Environment& environment) {
  if (!config.endpoint.empty()) return config.endpoint;
  for (const char* name : {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}) {
    if (std::string value = environment(name); !value.empty()) return value;
  }
  const std::string region = find_region(config, "", environment);
  if (region.empty()) {
    refuse("neither cold.endpoint nor cold.region says where the bucket is",
           "set cold.endpoint to the provider's, such as https://s3.eu-central-1.amazonaws.com, or "
           "cold.region for AWS");
  }
  return "https://s3." + region + ".amazonaws.com" + (region.starts_with("cn-") ? ".cn" : "");
}

bool bucket_in_host(const S3Config& config, const Url& url) {
  switch (config.addressing) {
    case S3Addressing::path:
      return false;
    case S3Addressing::virtual_host:
      if (fits_host(config.bucket, /*dots=*/true)) return true;
      refuse("cold.bucket \"" + config.bucket + "\" cannot be part of a host's name",
             "set cold.addressing to path");
    case S3Addressing::automatic:
      return is_aws(url.host) && fits_host(config.bucket, /*dots=*/url.scheme == "http");
  }
  refuse("cold.addressing is none", "set it to automatic, path or virtual_host");
}

void check_region(const std::string& region) {
  const auto legal = [](char c) {
    return lower_or_digit(c) || c == '-' || c == '_' || (c >= 'A' && c <= 'Z');
  };
  if (region.size() <= 64 && std::ranges::all_of(region, legal)) return;
  refuse("cold.region \"" + region + "\" is no region's name", "write one such as eu-central-1, or auto");
}

}  // namespace

std::string S3Endpoint::path(std::string_view name) const {
  return path_start + "/" + net::uri_encode(name, /*keep_slash=*/true);
}

S3Endpoint find_s3_endpoint(const S3Config& config, const Environment& environment) {
  check_bucket(config.bucket);
  const Url url = parse_endpoint(endpoint_text(config, environment));
  const std::string doubled =
      "it would be there twice: leave the bucket out of cold.endpoint, cold.bucket adds it";
  if (url.path == "/" + config.bucket || url.host.starts_with(config.bucket + ".s3")) {
    refuse("cold.endpoint ends or begins with the bucket " + config.bucket, doubled);
  }
  const bool in_host = bucket_in_host(config, url);
  S3Endpoint out;
  out.scheme = url.scheme;
  out.authority = (in_host ? config.bucket + "." : "") + url.host + (url.port.empty() ? "" : ":" + url.port);
  out.path_start = net::uri_encode(url.path, true) + (in_host ? "" : "/" + config.bucket);
  out.region = find_region(config, url.host, environment);
  check_region(out.region);
  return out;
}

std::string check_s3_limits(const S3Config& config, const Environment& environment) {
  if (config.max_connections == 0 || config.max_connections > 10'000) {
    refuse("cold.max_connections is not from 1 to 10,000", "set it in range");
  }
  if (config.connect_timeout <= 0ms || config.stall_timeout <= 0ms || config.attempt_timeout < 0ms) {
    refuse("cold.connect_timeout, stall_timeout or attempt_timeout is not positive",
           "set them above 0; attempt_timeout 0 is no bound");
  }
  if (std::max({config.connect_timeout, config.stall_timeout, config.attempt_timeout}) > 24h) {
    refuse("cold.connect_timeout, stall_timeout or attempt_timeout is over a day", "lower it");
  }
  std::string file = config.ca_file.string();
  if (file.empty()) file = environment("AWS_CA_BUNDLE");
  if (!file.empty() && !std::ifstream(file)) {
    refuse("the file of certificates " + file + " cannot be read", "check cold.ca_file (or AWS_CA_BUNDLE)");
  }
  return file;
}

void check_s3_config(const S3Config& config, const Environment& environment) {
  (void)find_s3_endpoint(config, environment);
  (void)check_s3_limits(config, environment);
  (void)find_s3_credentials(config, environment);
}

}  // namespace db4::objects

namespace db4 {

S3Config s3_config(const ColdConfig& cold) {
  return {.bucket = cold.bucket,
          .endpoint = cold.endpoint,
          .region = cold.region,
          .access_key = cold.access_key,
          .secret_key = cold.secret_key,
          .session_token = cold.session_token,
          .profile = cold.profile,
          .credentials_file = cold.credentials_file,
          .ca_file = cold.ca_file,
          .addressing = cold.addressing,
          .connect_timeout = cold.connect_timeout,
          .attempt_timeout = cold.attempt_timeout,
          .stall_timeout = cold.stall_timeout,
          .max_connections = cold.max_connections};
}

}  // namespace db4
