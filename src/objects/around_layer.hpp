#pragma once
// AroundLayer: for layers that do the same around every call of an object store.

#include <db4/object_operation.hpp>
#include <db4/object_store.hpp>

#include <algorithm>

namespace db4::objects {

/// One call, as such a layer sees it.
struct ObjectCall {
  ObjectOperation operation = ObjectOperation::put;
  std::string_view name = {};  ///< the object; of a listing the prefix; of remove_many nothing
  std::uint64_t sent = 0;      ///< bytes of the body that goes out
  std::uint64_t wanted = 0;    ///< bytes of the body that may come back, at most
};

/// The bytes of body in an answer.
template <typename Result>
std::uint64_t body_bytes(const Result& /*result*/) noexcept {
  return 0;
}
inline std::uint64_t body_bytes(const std::optional<Bytes>& result) noexcept {
  return result ? result->size() : 0;
}

/// Derive as `class Mine final : public AroundLayer<Mine>`, with
///
///     template <typename Call>
///     auto around(const ObjectCall& what, const CallOptions& bounds, const Call& call);
///
/// which returns what `call(bounds)` returns: the same call of the store below, within the bounds given.
template <typename Layer>
class AroundLayer : public ObjectStoreLayer {
 public:
  using ObjectStoreLayer::abort_multipart, ObjectStoreLayer::begin_multipart,
      ObjectStoreLayer::complete_multipart, ObjectStoreLayer::get, ObjectStoreLayer::get_range,
      ObjectStoreLayer::head, ObjectStoreLayer::list, ObjectStoreLayer::list_multipart,
      ObjectStoreLayer::list_parts, ObjectStoreLayer::put, ObjectStoreLayer::put_part,
      ObjectStoreLayer::remove, ObjectStoreLayer::remove_many;
  using ObjectStoreLayer::ObjectStoreLayer;

  PutResult put(std::string_view name, ByteView body, const PutOptions& options) override {
    return run({.operation = ObjectOperation::put, .name = name, .sent = body.size()}, options.call,
               [&](const CallOptions& bounds) {
                 PutOptions bounded = options;
                 bounded.call = bounds;
                 return under().put(name, body, bounded);
               });
  }
  std::optional<Bytes> get(std::string_view name, std::uint64_t max_bytes, const CallOptions& call) override {
    return run({.operation = ObjectOperation::get, .name = name, .wanted = max_bytes}, call,
               [&](const CallOptions& bounds) { return under().get(name, max_bytes, bounds); });
  }
  std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset, std::uint64_t length,
                                 const CallOptions& call) override {
    return run({.operation = ObjectOperation::get_range, .name = name, .wanted = length}, call,
               [&](const CallOptions& bounds) { return under().get_range(name, offset, length, bounds); });
  }
  std::optional<ObjectInfo> head(std::string_view name, const CallOptions& call) override {
    return run({.operation = ObjectOperation::head, .name = name}, call,
               [&](const CallOptions& bounds) { return under().head(name, bounds); });
  }
  bool remove(std::string_view name, const CallOptions& call) override {
    return run({.operation = ObjectOperation::remove, .name = name}, call,
               [&](const CallOptions& bounds) { return under().remove(name, bounds); });
  }
  std::vector<RemoveFailure> remove_many(std::span<const std::string> names,
                                         const CallOptions& call) override {
    return run({.operation = ObjectOperation::remove_many}, call,
               [&](const CallOptions& bounds) { return under().remove_many(names, bounds); });
  }
  ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                  const CallOptions& call) override {
    return run({.operation = ObjectOperation::list, .name = prefix}, call,
               [&](const CallOptions& bounds) { return under().list(prefix, after, limit, bounds); });
  }
  std::string begin_multipart(std::string_view name, std::uint64_t part_size,
                              const CallOptions& call) override {
    return run({.operation = ObjectOperation::begin_multipart, .name = name}, call,
               [&](const CallOptions& bounds) { return under().begin_multipart(name, part_size, bounds); });
  }
  ObjectPart put_part(std::string_view name, std::string_view upload_id, std::uint32_t number, ByteView body,
                      const CallOptions& call) override {
    return run(
        {.operation = ObjectOperation::put_part, .name = name, .sent = body.size()}, call,
        [&](const CallOptions& bounds) { return under().put_part(name, upload_id, number, body, bounds); });
  }
  PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                               std::span<const ObjectPart> parts, const CallOptions& call) override {
    return run({.operation = ObjectOperation::complete_multipart, .name = name}, call,
               [&](const CallOptions& bounds) {
                 return under().complete_multipart(name, upload_id, parts, bounds);
               });
  }
  void abort_multipart(std::string_view name, std::string_view upload_id, const CallOptions& call) override {
    run({.operation = ObjectOperation::abort_multipart, .name = name}, call, [&](const CallOptions& bounds) {
      under().abort_multipart(name, upload_id, bounds);
      return true;
    });
  }
  std::optional<ObjectPartPage> list_parts(std::string_view name, std::string_view upload_id,
                                           std::uint32_t after, std::size_t limit,
                                           const CallOptions& call) override {
    return run(
        {.operation = ObjectOperation::list_parts, .name = name}, call,
        [&](const CallOptions& bounds) { return under().list_parts(name, upload_id, after, limit, bounds); });
  }
  PendingUploadPage list_multipart(std::string_view prefix, const PendingUpload& after, std::size_t limit,
                                   const CallOptions& call) override {
    return run(
        {.operation = ObjectOperation::list_multipart, .name = prefix}, call,
        [&](const CallOptions& bounds) { return under().list_multipart(prefix, after, limit, bounds); });
  }

 private:
  template <typename Call>
  auto run(const ObjectCall& what, const CallOptions& bounds, const Call& call) {
    return static_cast<Layer*>(this)->around(what, bounds, call);
  }
};

}  // namespace db4::objects
