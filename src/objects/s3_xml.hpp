#pragma once
// The XML of the S3 protocol, read and written.

#include <db4/object_store.hpp>

#include <optional>
#include <span>
#include <string>

namespace db4::objects {

/// An answer that is an error.
struct S3ErrorBody {
  std::string code;
  std::string message;
  std::string region;    ///< the one that was expected, where the provider says so
  std::string endpoint;  ///< the one to ask instead, likewise
};

/// nullopt where it is no <Error>.
std::optional<S3ErrorBody> parse_s3_error(ByteView body);

struct S3Listing {
  ObjectPage page;
  std::string continuation;  ///< of the next page
};

// Each throws unavailable where the answer is not what was asked for: damaged, or of something else than S3;
// and corrupt where a name, an etag or an id in it cannot be one.
S3Listing parse_s3_listing(ByteView body);
/// A name, and why it could not be removed; those that were not there count as removed.
struct S3DeleteFailure {
  std::string name;
  S3ErrorBody error;
};
std::vector<S3DeleteFailure> parse_s3_delete_result(ByteView body);
std::string parse_s3_upload_id(ByteView body);
/// The etag of a completed upload; empty where the provider does not tell.
std::string parse_s3_completion(ByteView body);
ObjectPartPage parse_s3_parts(ByteView body);
PendingUploadPage parse_s3_uploads(ByteView body);

/// Whether the name can stand in XML: without characters that it cannot express.
bool fits_xml(std::string_view name) noexcept;
/// The body of DeleteObjects. Each name must fit.
std::string s3_delete_request(std::span<const std::string> names);
std::string s3_complete_request(std::span<const ObjectPart> parts);

/// Without the quotes around it. Throws corrupt where it has control characters: it would go into headers.
std::string unquoted(std::string_view etag);
/// "2009-10-12T17:50:30.000Z"; the epoch where it is no such time.
TimePoint parse_iso_time(std::string_view text) noexcept;

}  // namespace db4::objects
