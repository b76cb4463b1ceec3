// Uploads in parts.
#include "base/hash.hpp"
#include "base/md5.hpp"
#include "objects/object_name.hpp"
#include "objects/part_check.hpp"
#include "objects/s3_object_store.hpp"

#include <algorithm>

namespace db4::objects {
namespace {

[[noreturn]] void refuse(std::string problem, std::string advice) {
  throw Error(ErrorCode::invalid_argument, std::move(problem), std::move(advice));
}

void check_numbers(std::span<const ObjectPart> parts, const PartRules& rules) {
  if (parts.empty()) refuse("an upload is completed without parts", "put at least one, if only an empty one");
  if (parts.size() > rules.max_parts) refuse("an upload has too many parts", "use larger ones");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].number != i + 1) refuse("the parts are not numbered from 1 without a gap", "number them so");
  }
}

int hex_value(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

bool no_such_upload(const S3Response& response) {
  // Ceph forgets the object together with the upload.
  return response.is("NoSuchUpload") || response.is("NoSuchKey");
}

}  // namespace

/// The etag that S3 gives to an object of these parts: the digest of their digests, and how many they are.
/// Empty where their etags are no digests.
std::string S3Store::object_digest(std::span<const ObjectPart> parts) const {
  std::string digests;
  for (const ObjectPart& part : parts) {
    const bool digest =
        part.etag.size() == 32 && part.etag.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!digest) return {};
    for (std::size_t i = 0; i < part.etag.size(); i += 2) {
      digests += static_cast<char>(hex_value(part.etag[i]) * 16 + hex_value(part.etag[i + 1]));
    }
  }
  return to_hex(md5(as_bytes(digests))) + "-" + std::to_string(parts.size());
}

std::string S3Store::begin_multipart(std::string_view name, std::uint64_t part_size,
                                     const CallOptions& call) {
  require_object_name(name);
  check_part_size(part_size, part_rules());
  // Carried out twice it leaves an empty upload, which the provider's rule for those collects.
  const S3Response response = require({.method = "POST",
                                       .name = name,
                                       .doing = "to begin an upload of",
                                       .parameters = {{"uploads", ""}},
                                       .headers = {{"Content-Type", "application/octet-stream"}},
                                       .body = ByteView{},
                                       .max_body = kMaxXmlBytes,
                                       .call = call});
  return parse_s3_upload_id(response.http.body);
}

ObjectPart S3Store::put_part(std::string_view name, std::string_view upload_id, std::uint32_t number,
                             ByteView body, const CallOptions& call) {
  require_object_name(name);
  // How large the others are is not known here: the provider tells when it puts them together.
  check_part(number, body.size(), std::max<std::uint64_t>(body.size(), 1), part_rules());
  S3Request request{
      .method = "PUT",
      .name = name,
      .doing = "to put a part of",
      .parameters = {{"partNumber", std::to_string(number)}, {"uploadId", std::string(upload_id)}},
      .body = body,
      .call = call};
  return {number, body.size(), send_body(request).etag};
}

PutResult S3Store::complete_multipart(std::string_view name, std::string_view upload_id,
                                      std::span<const ObjectPart> parts, const CallOptions& call) {
  require_object_name(name);
  check_numbers(parts, part_rules());
  const std::string body = s3_complete_request(parts);
  const S3Request request{.method = "POST",
                          .name = name,
                          .doing = "to complete the upload of",
                          .parameters = {{"uploadId", std::string(upload_id)}},
                          .headers = {{"Content-Type", "application/xml"}},
                          .body = as_bytes(body),
                          .repeatable = false,
                          .max_body = kMaxXmlBytes,
                          .call = call};
  const S3Response response = client_.send(request);
  if (response.is("InternalError") && !list_parts(name, upload_id, 0, 1, call)) {
    // Ceph 16 says only this of an upload that is not there.
    throw_no_such_upload(name, upload_id);
  }
  if (!response.ok()) throw client_.error_of(request, response);
  PutResult result{.etag = parse_s3_completion(response.http.body)};
  if (result.etag.empty()) {
    // Ceph 16 leaves it out.
    const auto info = head(name, call);
    if (!info) throw client_.error_of(request, response);
    result.etag = info->etag;
  }
  result.verified = result.etag == object_digest(parts);
  return result;
}

void S3Store::abort_multipart(std::string_view name, std::string_view upload_id, const CallOptions& call) {
  require_object_name(name);
  const S3Request request{.method = "DELETE",
                          .name = name,
                          .doing = "to abort the upload of",
                          .parameters = {{"uploadId", std::string(upload_id)}},
                          .call = call};
  const S3Response response = client_.send(request);
  if (!response.ok() && !no_such_upload(response)) throw client_.error_of(request, response);
}

std::optional<ObjectPartPage> S3Store::list_parts(std::string_view name, std::string_view upload_id,
                                                  std::uint32_t after, std::size_t limit,
                                                  const CallOptions& call) {
  require_object_name(name);
  require_list_limit(limit);
  const S3Request request{.method = "GET",
                          .name = name,
                          .doing = "to list the parts of",
                          .parameters = {{"uploadId", std::string(upload_id)},
                                         {"max-parts", std::to_string(limit)},
                                         {"part-number-marker", std::to_string(after)}},
                          .max_body = kMaxXmlBytes,
                          .call = call};
  const S3Response response = client_.send(request);
  if (no_such_upload(response)) return std::nullopt;
  if (!response.ok()) throw client_.error_of(request, response);
  return parse_s3_parts(response.http.body);
}

PendingUploadPage S3Store::list_multipart(std::string_view prefix, const PendingUpload& after,
                                          std::size_t limit, const CallOptions& call) {
  require_list_limit(limit);
  // Without encoding-type: Ceph 16 encodes names then, and does not say so.
  S3Request request{.method = "GET",
                    .name = {},
                    .doing = "to list the uploads in the bucket",
                    .parameters = {{"uploads", ""},
                                   {"max-uploads", std::to_string(limit)},
                                   {"prefix", std::string(prefix)}},
                    .max_body = kMaxXmlBytes,
                    .call = call};
  if (!after.name.empty()) {
    request.parameters.emplace_back("key-marker", after.name);
    request.parameters.emplace_back("upload-id-marker", after.upload_id);
  }
  const S3Response response = require(request);
  return parse_s3_uploads(response.http.body);
}

}  // namespace db4::objects
