#pragma once
// What a provider's refusals mean: an Error that names the setting to change.

#include "net/http_client.hpp"
#include "objects/s3_settings.hpp"
#include "objects/s3_xml.hpp"

#include <db4/error.hpp>

namespace db4::objects {

/// What an error may have to name.
struct S3Context {
  std::string bucket;
  std::string endpoint;
  std::string region;
  std::string access_key;
  std::string secret_origin;
  std::string key_origin;
};

/// The error of an answer that is none of what was hoped for. `doing`: "to put the object ...". `error`: its
/// body, where it is XML of S3.
Error s3_error(const S3Context& context, std::string_view doing, const net::HttpResponse& response,
               const std::optional<S3ErrorBody>& error);

/// What a code of S3 means, where it means one thing whatever was asked.
std::optional<ErrorCode> s3_error_kind(std::string_view code) noexcept;

/// The error of a server that speaks HTTP, and no S3.
Error not_s3(const S3Context& context, std::string_view doing, const net::HttpResponse& response);

/// The error of a request that got no answer, with the setting to change.
Error s3_error(const S3Context& context, std::string_view doing, const net::HttpError& error);

}  // namespace db4::objects
