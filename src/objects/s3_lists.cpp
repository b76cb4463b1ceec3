// Objects listed, and removed by the list.
#include "base/base64.hpp"
#include "base/md5.hpp"
#include "objects/object_name.hpp"
#include "objects/s3_object_store.hpp"

#include <algorithm>

namespace db4::objects {
namespace {

constexpr std::size_t kMaxBatch = 1000;  ///< by the protocol
/// A provider may give pages without any object while it passes over what was removed; not for ever.
constexpr std::size_t kMaxEmptyPages = 1000;

/// That a list which goes on comes to an end: every page says where the next begins, names grow.
class ListProgress {
 public:
  explicit ListProgress(std::string_view after) : last_(after) {}

  void check(const S3Listing& part, const std::string& continuation) {
    for (const ObjectInfo& object : part.page.objects) {
      if (object.name <= last_) fail("is not in the order of names");
      last_ = object.name;
    }
    if (!part.page.more || !part.page.objects.empty()) {
      empty_pages_ = 0;
      return;
    }
    if (part.continuation.empty()) fail("goes on and does not say where");
    if (part.continuation == continuation || ++empty_pages_ == kMaxEmptyPages)
      fail("goes on and names nothing");
  }

 private:
  [[noreturn]] static void fail(const std::string& what) {
    throw Error(ErrorCode::unavailable, "the S3 provider's list " + what,
                "repeat it; if it stays so, this provider's lists cannot be relied on");
  }

  std::string last_;
  std::size_t empty_pages_ = 0;
};

}  // namespace

ObjectPage S3Store::list(std::string_view prefix, std::string_view after, std::size_t limit,
                         const CallOptions& call) {
  require_list_limit(limit);
  ObjectPage page;
  ListProgress progress(after);
  std::string continuation;
  do {
    // A provider may end a page early; ours is full unless the list ends.
    S3Request request{.method = "GET",
                      .name = {},
                      .doing = "to list the bucket",
                      .parameters = {{"list-type", "2"},
                                     {"encoding-type", "url"},
                                     {"max-keys", std::to_string(limit - page.objects.size())},
                                     {"prefix", std::string(prefix)}},
                      .max_body = kMaxXmlBytes,
                      .call = call};
    if (!continuation.empty()) {
      request.parameters.emplace_back("continuation-token", continuation);
    } else if (!page.objects.empty()) {
      request.parameters.emplace_back("start-after", page.objects.back().name);
    } else if (!after.empty()) {
      request.parameters.emplace_back("start-after", after);
    }
    const S3Response response = require(request);
    S3Listing part = parse_s3_listing(response.http.body);
    page.more = part.page.more;
    progress.check(part, continuation);
    continuation = std::move(part.continuation);
    std::ranges::move(part.page.objects, std::back_inserter(page.objects));
  } while (page.more && page.objects.size() < limit);
  return page;
}

void S3Store::remove_alone(const std::string& name, const CallOptions& call,
                           std::vector<RemoveFailure>& failures) {
  try {
    remove(name, call);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled || error.code() == ErrorCode::deadline_exceeded) throw;
    failures.push_back({name, error.what(), error.code()});
  }
}

void S3Store::remove_batch(std::span<const std::string> names, const CallOptions& call,
                           std::vector<RemoveFailure>& failures) {
  const std::string body = s3_delete_request(names);
  const S3Response response = require(
      {.method = "POST",
       .name = {},
       .doing = "to remove objects",
       .parameters = {{"delete", ""}},
       .headers = {{"Content-MD5", to_base64(md5(as_bytes(body)))}, {"Content-Type", "application/xml"}},
       .body = as_bytes(body),
       .max_body = kMaxXmlBytes,
       .call = call});
  for (const S3DeleteFailure& failure : parse_s3_delete_result(response.http.body)) {
    failures.push_back({failure.name, failure.error.code + ": " + failure.error.message,
                        s3_error_kind(failure.error.code).value_or(ErrorCode::unavailable)});
  }
}

std::vector<RemoveFailure> S3Store::remove_many(std::span<const std::string> names, const CallOptions& call) {
  std::vector<std::string> together;
  std::vector<RemoveFailure> failures;
  for (const std::string& name : names) require_object_name(name);
  for (const std::string& name : names) {
    if (fits_xml(name)) {
      together.push_back(name);
    } else {
      remove_alone(name, call, failures);
    }
  }
  for (std::size_t i = 0; i < together.size(); i += kMaxBatch) {
    remove_batch(std::span(together).subspan(i, std::min(kMaxBatch, together.size() - i)), call, failures);
  }
  return failures;
}

}  // namespace db4::objects
