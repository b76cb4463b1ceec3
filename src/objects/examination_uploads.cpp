// Uploads in parts, tried out.
#include "objects/examination.hpp"

#include <algorithm>

namespace db4::objects {
namespace {

/// Parts of more than this are not sent for a look.
constexpr std::uint64_t kMostSent = 16ULL << 20;
/// Smaller ones show nothing, where a store would take them.
constexpr std::uint64_t kLeastSent = 64ULL << 10;
constexpr const char* kUploads = "uploads in parts";
constexpr const char* kPutLarge = "`db4 upload` does not work; `db4 put` takes up to 64 MiB";

}  // namespace

std::uint64_t Examination::part_size() const {
  return std::max(store_.part_rules().min_part_size, kLeastSent);
}

void Examination::try_uploads() {
  if (!options_.uploads) return skip(kUploads, "not asked for");
  const std::uint64_t least = part_size();
  if (least > kMostSent) {
    return skip(kUploads, "its parts have at least " + std::to_string(least) + " bytes");
  }
  try {
    const std::string object = name("begun");
    uploads_.push_back({object, store_.begin_multipart(object, least, call())});
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) throw;
    const bool none = error.code() == ErrorCode::unsupported;
    report_.findings.push_back({.check = kUploads,
                                .verdict = none ? Soundness::noted : Soundness::unsound,
                                .found = none ? "it has none" : "it failed: " + error.problem(),
                                .meaning = kPutLarge});
    return;
  }
  file(kUploads, &Examination::parts);
  file("sizes of parts", &Examination::part_sizes);
  file("wrong receipts of parts", &Examination::wrong_receipts);
  file("unfinished uploads", &Examination::pending_uploads);
}

/// The last part comes first, and one is sent twice.
Examination::Outcome Examination::parts() {
  const std::uint64_t size = part_size();
  const std::string object = name("in parts");
  const std::string first = bytes(size);
  const std::string last = bytes(std::min<std::uint64_t>(size, 1000));
  const std::string id = store_.begin_multipart(object, size, call());
  uploads_.push_back({object, id});
  const ObjectPart second = store_.put_part(object, id, 2, as_bytes(last), call());
  if (store_.head(object, call())) {
    return {Soundness::unsound, "an upload shows before it is complete", kPutLarge};
  }
  store_.put_part(object, id, 1, as_bytes(last), call());
  const std::vector<ObjectPart> made{store_.put_part(object, id, 1, as_bytes(first), call()), second};
  const auto listed = store_.list_parts(object, id, 0, 1000, call());
  const PutResult done = store_.complete_multipart(object, id, made, call());
  const auto whole = store_.get(object, 2 * kMostSent, call());
  if (!whole || as_text(*whole) != first + last) {
    return {Soundness::unsound, "the object is not its parts, one behind the other", kPutLarge};
  }
  if (!listed || listed->parts.size() != 2 || listed->parts.front().size != size) {
    return {Soundness::noted, "parts that arrived are not listed as they are",
            "an upload that is resumed sends parts again"};
  }
  return {Soundness::sound, "parts in any order become one object",
          done.verified ? "it is proved, and not read back" : "it is read back before a row names it"};
}

Examination::Outcome Examination::part_sizes() {
  const PartRules rules = store_.part_rules();
  const std::string told = "parts of " + std::to_string(rules.min_part_size) + " to " +
                           std::to_string(rules.max_part_size) + " bytes, at most " +
                           std::to_string(rules.max_parts);
  constexpr const char* kKeeps = "db4 keeps to it, and makes all parts but the last of one size";
  if (rules.min_part_size < 2) return {Soundness::sound, told, kKeeps};
  const std::string object = name("of small parts");
  const std::uint64_t size = rules.min_part_size / 2;
  const std::string body = bytes(100);
  try {
    const std::string id = store_.begin_multipart(object, size, call());
    uploads_.push_back({object, id});
    const std::vector<ObjectPart> made{store_.put_part(object, id, 1, as_bytes(bytes(size)), call()),
                                       store_.put_part(object, id, 2, as_bytes(body), call())};
    store_.complete_multipart(object, id, made, call());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) throw;
    return {Soundness::sound, told + "; smaller ones are refused", kKeeps};
  }
  return {Soundness::sound, told + "; smaller ones are taken as well", kKeeps};
}

/// What a part's receipt is there for: that the object is made of the bytes that were sent.
Examination::Outcome Examination::wrong_receipts() {
  const std::uint64_t size = part_size();
  const std::string object = name("of wrong receipts");
  const std::string id = store_.begin_multipart(object, size, call());
  uploads_.push_back({object, id});
  ObjectPart part = store_.put_part(object, id, 1, as_bytes(bytes(100)), call());
  const auto other = std::ranges::find_if(part.etag, [](char c) { return c >= '0' && c <= '9'; });
  if (other == part.etag.end()) {
    return {Soundness::noted, "parts have no digest", "uploads are read back before a row names them"};
  }
  *other = *other == '0' ? '1' : '0';
  try {
    const PutResult done = store_.complete_multipart(object, id, std::vector<ObjectPart>{part}, call());
    constexpr const char* kFound = "a part's wrong receipt is accepted";
    if (done.verified) return {Soundness::unsound, std::string(kFound) + " and proved", kPutLarge};
    return {Soundness::noted, kFound, "uploads are read back before a row names them"};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) throw;
  }
  return {Soundness::sound, "a part's wrong receipt is refused", "nothing"};
}

Examination::Outcome Examination::pending_uploads() {
  const Upload& upload = uploads_.front();
  const auto is_listed = [&] {
    const PendingUploadPage page = store_.list_multipart(upload.name, {}, 1000, call());
    return std::ranges::any_of(page.uploads,
                               [&](const PendingUpload& pending) { return pending.upload_id == upload.id; });
  };
  constexpr const char* kCosts =
      "what is left of uploads that nobody knows costs unseen: have the provider abort them after some days";
  if (!is_listed()) return {Soundness::noted, "an upload that was begun is not listed", kCosts};
  store_.abort_multipart(upload.name, upload.id, call());
  if (is_listed()) return {Soundness::noted, "an upload that was aborted is still listed", kCosts};
  return {Soundness::sound, "they are listed, and gone when they are aborted",
          "`db4 uploads clean` tells of those that nobody knows"};
}

}  // namespace db4::objects
