#include "objects/s3_errors.hpp"

#include <algorithm>
#include <array>

namespace db4::objects {
namespace {

/// Codes that mean one thing whatever was asked; `advice` may have %s for a name out of the context.
struct Meaning {
  std::string_view code;
  ErrorCode kind;
  std::string_view advice;
};

constexpr std::string_view kRepeat = "repeat it later";
constexpr std::string_view kAdviseRights =
    "give the access key the rights to read, write, list and delete in it";
constexpr std::string_view kAdviseQuota = "make room in the bucket, or have its quota raised";
constexpr std::string_view kAdviseParts = "begin the upload anew";
constexpr const char* kAdviseTls = "write https:// in cold.endpoint instead of http://";

constexpr std::array kMeanings = {
    Meaning{"AccessDenied", ErrorCode::permission_denied, kAdviseRights},
    Meaning{"AllAccessDisabled", ErrorCode::permission_denied, kAdviseRights},
    Meaning{"AccountProblem", ErrorCode::permission_denied, "ask the provider about the account"},
    Meaning{"ExpiredToken", ErrorCode::permission_denied, "renew the session token: cold.session_token"},
    Meaning{"InvalidToken", ErrorCode::permission_denied, "check cold.session_token (AWS_SESSION_TOKEN)"},
    Meaning{"TokenRefreshRequired", ErrorCode::permission_denied, "renew cold.session_token"},
    Meaning{"InvalidObjectState", ErrorCode::permission_denied,
            "the object is archived: restore it, and take the bucket's archiving rule off db4's prefix"},
    Meaning{"ObjectLockConfigurationNotFoundError", ErrorCode::permission_denied, kAdviseRights},
    Meaning{"RequestTimeTooSkewed", ErrorCode::permission_denied, "set this machine's clock"},
    Meaning{"EntityTooLarge", ErrorCode::too_large, "send less in one request"},
    Meaning{"MaxMessageLengthExceeded", ErrorCode::too_large, "send less in one request"},
    Meaning{"QuotaExceeded", ErrorCode::resource_exhausted, kAdviseQuota},
    Meaning{"XMinioStorageFull", ErrorCode::resource_exhausted, kAdviseQuota},
    Meaning{"NotImplemented", ErrorCode::unsupported, "use a provider that offers it"},
    Meaning{"MethodNotAllowed", ErrorCode::unsupported, "use a provider that allows it"},
    Meaning{"PreconditionFailed", ErrorCode::conflict, "look at what is there, and decide"},
    Meaning{"NoSuchUpload", ErrorCode::invalid_argument, kAdviseParts},
    Meaning{"InvalidPart", ErrorCode::invalid_argument, "put the part again, or begin the upload anew"},
    Meaning{"InvalidPartOrder", ErrorCode::invalid_argument, kAdviseParts},
    Meaning{"EntityTooSmall", ErrorCode::invalid_argument, "use parts of at least 5 MiB, but for the last"},
    Meaning{"KeyTooLongError", ErrorCode::invalid_argument, "use a shorter cold.prefix"},
    Meaning{"BadDigest", ErrorCode::unavailable, "it was damaged on its way: repeat it"},
    Meaning{"XAmzContentSHA256Mismatch", ErrorCode::unavailable, "it was damaged on its way: repeat it"},
    Meaning{"IncompleteBody", ErrorCode::unavailable, kRepeat},
    Meaning{"RequestTimeout", ErrorCode::unavailable, kRepeat},
    Meaning{"InternalError", ErrorCode::unavailable, kRepeat},
    Meaning{"SlowDown", ErrorCode::unavailable, "repeat it later, or ask less at once"},
    Meaning{"TooManyRequests", ErrorCode::unavailable, "repeat it later, or ask less at once"},
    Meaning{"ServiceUnavailable", ErrorCode::unavailable, kRepeat},
    Meaning{"OperationAborted", ErrorCode::unavailable, kRepeat},
    Meaning{"ConditionalRequestConflict", ErrorCode::unavailable, kRepeat},
};

ErrorCode kind_of_status(int status) {
  switch (status) {
    case 401:
    case 403:
      return ErrorCode::permission_denied;
    case 405:
    case 501:
      return ErrorCode::unsupported;
    case 408:
    case 409:
    case 425:
    case 429:
      return ErrorCode::unavailable;
    case 412:
      return ErrorCode::conflict;
    case 413:
      return ErrorCode::too_large;
    case 507:
      return ErrorCode::resource_exhausted;
    default:
      return status >= 500 ? ErrorCode::unavailable : ErrorCode::invalid_argument;
  }
}

std::string_view advice_for(ErrorCode kind) {
  switch (kind) {
    case ErrorCode::permission_denied:
      return "check the keys, and the rights they have in the bucket";
    case ErrorCode::unsupported:
      return "use a provider that offers it";
    case ErrorCode::conflict:
      return "look at what is there, and decide";
    case ErrorCode::resource_exhausted:
      return kAdviseQuota;
    case ErrorCode::invalid_argument:
      return "check cold.endpoint and cold.bucket, and what the provider's S3 API offers";
    default:
      return kRepeat;
  }
}

bool is_plain(const S3Context& context) { return context.endpoint.starts_with("http://"); }

/// What servers answer in plain HTTP, at a port for TLS, to one who does not speak it: 400, and a sentence of
/// Go's and MinIO's ("... to an HTTPS server"), nginx's ("... to HTTPS port"), Apache's ("... SSL-enabled
/// server port") or Tomcat's ("... requires TLS").
bool wants_tls(const S3Context& context, const net::HttpResponse& response) {
  if (response.status != 400 || !is_plain(context)) return false;
  const std::string_view body = as_text(response.body);
  return std::ranges::any_of(
      std::array<std::string_view, 4>{"HTTPS server", "HTTPS port", "SSL-enabled", "requires TLS"},
      [&](std::string_view each) { return body.find(each) != std::string_view::npos; });
}

/// What a provider says, on one line and not endless: it comes from outside.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 300)) out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return out;
}

std::string what_was_said(const net::HttpResponse& response, const std::optional<S3ErrorBody>& error) {
  std::string out = "HTTP " + std::to_string(response.status);
  if (error) out += " " + shown(error->code);
  if (error && !error->message.empty()) out += ": " + shown(error->message);
  return out;
}

/// The mistakes in a configuration that have a setting to name.
std::optional<Error> mistake(const S3Context& context, std::string_view doing,
                             const net::HttpResponse& response, const S3ErrorBody& error) {
  const std::string said = " " + std::string(doing) + " (" + what_was_said(response, error) + ")";
  if (error.code == "NoSuchBucket") {
    return Error(ErrorCode::invalid_argument,
                 "there is no bucket \"" + context.bucket + "\" at " + context.endpoint + said,
                 "check cold.bucket, or make the bucket");
  }
  if (error.code == "SignatureDoesNotMatch") {
    return Error(ErrorCode::permission_denied,
                 "the secret does not belong to the access key " + context.access_key + said,
                 "check " + context.secret_origin);
  }
  if (error.code == "InvalidAccessKeyId" || error.code == "InvalidAccessKey") {
    return Error(ErrorCode::permission_denied,
                 "the provider does not know the access key " + context.access_key + said,
                 "check " + context.key_origin + ", and that cold.endpoint is the provider it is for");
  }
  const bool moved = response.status == 301 || response.status == 307 || error.code == "PermanentRedirect" ||
                     error.code == "TemporaryRedirect" || error.code == "AuthorizationHeaderMalformed" ||
                     error.code == "InvalidRegionName" || error.code == "IllegalLocationConstraintException";
  if (!moved) return std::nullopt;
  const std::string region =
      error.region.empty() ? std::string(response.header("x-amz-bucket-region")) : error.region;
  const std::string problem =
      "the bucket \"" + context.bucket + "\" is not in the region " + context.region + said;
  if (!region.empty()) {
    return Error(ErrorCode::invalid_argument, problem,
                 "set cold.region to " + shown(region) + ", and cold.endpoint to that region's");
  }
  return Error(ErrorCode::invalid_argument, problem,
               "check cold.region" + (error.endpoint.empty()
                                          ? ", and cold.endpoint"
                                          : "; cold.endpoint would be https://" + shown(error.endpoint)));
}

}  // namespace

Error s3_error(const S3Context& context, std::string_view doing, const net::HttpResponse& response,
               const std::optional<S3ErrorBody>& error) {
  if (error) {
    if (auto found = mistake(context, doing, response, *error)) return *found;
  }
  ErrorCode kind = kind_of_status(response.status);
  std::string_view advice = advice_for(kind);
  if (error) {
    const auto* known = std::ranges::find(kMeanings, error->code, &Meaning::code);
    if (known != kMeanings.end()) {
      kind = known->kind;
      advice = known->advice;
    } else if (response.status < 300) {
      kind = ErrorCode::unavailable;  // an error inside of an answer that began as a success
      advice = kRepeat;
    }
  }
  return {kind, "the S3 provider refuses " + std::string(doing) + " (" + what_was_said(response, error) + ")",
          std::string(advice)};
}

std::optional<ErrorCode> s3_error_kind(std::string_view code) noexcept {
  const auto* known = std::ranges::find(kMeanings, code, &Meaning::code);
  return known == kMeanings.end() ? std::nullopt : std::optional(known->kind);
}

Error not_s3(const S3Context& context, std::string_view doing, const net::HttpResponse& response) {
  if (wants_tls(context, response)) {
    return {ErrorCode::invalid_argument,
            context.endpoint + " speaks TLS, and was asked without, " + std::string(doing), kAdviseTls};
  }
  std::string type(response.header("content-type"));
  return {ErrorCode::invalid_argument,
          context.endpoint + " answers " + std::string(doing) + " with something that is not S3 (HTTP " +
              std::to_string(response.status) + (type.empty() ? "" : ", " + shown(type)) + ")",
          "check cold.endpoint: scheme, host and port of the provider's S3 API"};
}

Error s3_error(const S3Context& context, std::string_view doing, const net::HttpError& error) {
  using net::HttpFailure;
  std::string advice;
  ErrorCode code = error.code();
  switch (error.failure()) {
    case HttpFailure::resolve:
    case HttpFailure::connect:
      advice = "check cold.endpoint and the network, and repeat it";
      break;
    case HttpFailure::tls:
      advice = "check cold.endpoint: http:// where that port speaks no TLS";
      break;
    case HttpFailure::speaks_plain:
      advice = "write http:// in cold.endpoint instead of https://, or the provider's port for TLS";
      break;
    case HttpFailure::speaks_tls:
      advice = kAdviseTls;
      break;
    case HttpFailure::certificate:
      advice = "set cold.ca_file to the certificate that signed it, or check cold.endpoint";
      break;
    case HttpFailure::ca_file:
      advice = "check cold.ca_file: it must hold certificates in PEM format";
      break;
    case HttpFailure::url:
    case HttpFailure::protocol:
      advice = "check cold.endpoint: scheme (https where that port speaks TLS), host and port";
      break;
    case HttpFailure::broken:
      advice = error.advice();
      // Many that speak TLS hang up on who does not, without a word.
      if (is_plain(context)) advice += "; if it stays so, check cold.endpoint: https:// where TLS is spoken";
      break;
    case HttpFailure::stalled:
      advice = "repeat it; cold.stall_timeout says how long to wait";
      break;
    case HttpFailure::timeout:
      advice = "repeat it, or raise cold.attempt_timeout";
      break;
  }
  return {code, error.problem() + ", asked " + context.endpoint + " " + std::string(doing), advice};
}

}  // namespace db4::objects
