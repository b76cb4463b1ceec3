#include <db4/error.hpp>
#include <db4/object_store.hpp>

namespace db4 {
namespace {

[[noreturn]] void no_multipart() {
  throw Error(ErrorCode::unsupported, "this object store takes no uploads in parts",
              "override the multipart calls of ObjectStore, or use a store that has them");
}

}  // namespace

std::vector<RemoveFailure> ObjectStore::remove_many(std::span<const std::string> names,
                                                    const CallOptions& call) {
  std::vector<RemoveFailure> failures;
  for (const std::string& name : names) {
    try {
      remove(name, call);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::cancelled || error.code() == ErrorCode::deadline_exceeded) throw;
      failures.push_back({name, error.what(), error.code()});
    }
  }
  return failures;
}

std::string ObjectStore::begin_multipart(std::string_view, std::uint64_t, const CallOptions&) {
  no_multipart();
}
ObjectPart ObjectStore::put_part(std::string_view, std::string_view, std::uint32_t, ByteView,
                                 const CallOptions&) {
  no_multipart();
}
PutResult ObjectStore::complete_multipart(std::string_view, std::string_view, std::span<const ObjectPart>,
                                          const CallOptions&) {
  no_multipart();
}
void ObjectStore::abort_multipart(std::string_view, std::string_view, const CallOptions&) { no_multipart(); }
std::optional<ObjectPartPage> ObjectStore::list_parts(std::string_view, std::string_view, std::uint32_t,
                                                      std::size_t, const CallOptions&) {
  no_multipart();
}
PendingUploadPage ObjectStore::list_multipart(std::string_view, const PendingUpload&, std::size_t,
                                              const CallOptions&) {
  no_multipart();
}

std::string ObjectStore::part_digest(ByteView /*body*/) const { return {}; }

std::string ObjectStore::object_digest(std::span<const ObjectPart> /*parts*/) const { return {}; }

PutResult ObjectStoreLayer::put(std::string_view name, ByteView body, const PutOptions& options) {
  return under_->put(name, body, options);
}
std::optional<Bytes> ObjectStoreLayer::get(std::string_view name, std::uint64_t max_bytes,
                                           const CallOptions& call) {
  return under_->get(name, max_bytes, call);
}
std::optional<Bytes> ObjectStoreLayer::get_range(std::string_view name, std::uint64_t offset,
                                                 std::uint64_t length, const CallOptions& call) {
  return under_->get_range(name, offset, length, call);
}
std::optional<ObjectInfo> ObjectStoreLayer::head(std::string_view name, const CallOptions& call) {
  return under_->head(name, call);
}
bool ObjectStoreLayer::remove(std::string_view name, const CallOptions& call) {
  return under_->remove(name, call);
}
std::vector<RemoveFailure> ObjectStoreLayer::remove_many(std::span<const std::string> names,
                                                         const CallOptions& call) {
  return under_->remove_many(names, call);
}
ObjectPage ObjectStoreLayer::list(std::string_view prefix, std::string_view after, std::size_t limit,
                                  const CallOptions& call) {
  return under_->list(prefix, after, limit, call);
}
PartRules ObjectStoreLayer::part_rules() const { return under_->part_rules(); }
std::string ObjectStoreLayer::begin_multipart(std::string_view name, std::uint64_t part_size,
                                              const CallOptions& call) {
  return under_->begin_multipart(name, part_size, call);
}
ObjectPart ObjectStoreLayer::put_part(std::string_view name, std::string_view upload_id, std::uint32_t number,
                                      ByteView body, const CallOptions& call) {
  return under_->put_part(name, upload_id, number, body, call);
}
PutResult ObjectStoreLayer::complete_multipart(std::string_view name, std::string_view upload_id,
                                               std::span<const ObjectPart> parts, const CallOptions& call) {
  return under_->complete_multipart(name, upload_id, parts, call);
}
void ObjectStoreLayer::abort_multipart(std::string_view name, std::string_view upload_id,
                                       const CallOptions& call) {
  under_->abort_multipart(name, upload_id, call);
}
std::optional<ObjectPartPage> ObjectStoreLayer::list_parts(std::string_view name, std::string_view upload_id,
                                                           std::uint32_t after, std::size_t limit,
                                                           const CallOptions& call) {
  return under_->list_parts(name, upload_id, after, limit, call);
}
PendingUploadPage ObjectStoreLayer::list_multipart(std::string_view prefix, const PendingUpload& after,
                                                   std::size_t limit, const CallOptions& call) {
  return under_->list_multipart(prefix, after, limit, call);
}
std::string ObjectStoreLayer::part_digest(ByteView body) const { return under_->part_digest(body); }
std::string ObjectStoreLayer::object_digest(std::span<const ObjectPart> parts) const {
  return under_->object_digest(parts);
}

}  // namespace db4
