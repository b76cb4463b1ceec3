#pragma once
// ObjectStore: the plug point under the cold tier. A folder, memory, S3; bring your own by deriving from it
// and passing the conformance suite in tests/objects/ (docs/backends.md).

#include <db4/error.hpp>
#include <db4/types.hpp>

#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace db4 {

/// What bounds one call. A store that never waits (memory, a folder) may ignore it.
struct CallOptions {
  /// On the monotonic clock that the store was made with (db4::system_clock() unless it was given another):
  /// past it the call throws deadline_exceeded.
  MonotonicTime deadline = MonotonicTime::max();
  /// Once it is asked for, the call ends soon and throws cancelled. A put or remove may have taken effect.
  std::stop_token stop = {};
};

/// What is known of an object without reading it.
struct ObjectInfo {
  std::string name = {};
  std::uint64_t size = 0;
  TimePoint modified{};
  /// Changes whenever the object is replaced; opaque, without quotes. Empty where the store has none.
  std::string etag = {};
};

/// A part of a listing.
struct ObjectPage {
  std::vector<ObjectInfo> objects = {};  ///< in byte order of their names
  bool more = false;                     ///< whether objects follow after the last one here
};

/// How an object is put. At most one of the two conditions.
struct PutOptions {
  /// Throws conflict, and changes nothing, where the name exists already.
  bool only_if_absent = false;
  /// Not empty: throws conflict, and changes nothing, unless the name exists with this etag.
  std::string if_match = {};
  CallOptions call = {};
};

/// What a store says of an object that it took.
struct PutResult {
  std::string etag = {};
  /// Whether the store has proved that it holds exactly the bytes that were sent (their digest came back).
  /// Where it has not, db4 reads back what arrived before a row names it.
  bool verified = false;
};

/// A part that a store took.
struct ObjectPart {
  std::uint32_t number = 0;  ///< from 1
  std::uint64_t size = 0;
  std::string etag = {};  ///< opaque; the digest of its bytes, where the store says so (part_digest)
  friend bool operator==(const ObjectPart&, const ObjectPart&) = default;
};

/// A part of a listing of parts.
struct ObjectPartPage {
  std::vector<ObjectPart> parts = {};  ///< in order of their numbers
  bool more = false;
};

/// An upload in parts that was begun and neither completed nor aborted.
struct PendingUpload {
  std::string name = {};
  std::string upload_id = {};
  TimePoint started{};
};

/// A part of a listing of uploads.
struct PendingUploadPage {
  std::vector<PendingUpload> uploads = {};  ///< by name, then in the store's own order
  bool more = false;
};

/// What an upload in parts must keep to. The defaults are those of S3; R2 adds that all parts but the last
/// are of one size and the last is no larger, which db4 keeps to everywhere.
struct PartRules {
  std::uint64_t min_part_size = 5ULL << 20;  ///< of every part but the last
  std::uint64_t max_part_size = 5ULL << 30;
  std::uint32_t max_parts = 10'000;
  std::uint64_t max_object_size = 5ULL << 40;
};

/// An object that remove_many could not remove.
struct RemoveFailure {
  std::string name = {};
  std::string message = {};
  /// As remove() would have thrown it: `unavailable` where a repetition may help.
  ErrorCode code = ErrorCode::unavailable;
};

/// Named immutable blobs. Names are 1 to kMaxObjectNameBytes bytes of UTF-8 without control characters, and
/// any such name is legal: it is never taken as a path ("../x", "a//b", "con" and "A" next to "a" are just
/// names).
///
/// Thread rule: every call may run in many threads at once. Errors: db4::Error with `unavailable` where a
/// repetition may help, `resource_exhausted` for a full disk, `permission_denied`, `read_only`, `too_large`,
/// `conflict` (a condition of PutOptions), `invalid_argument` (an illegal name or limit), `unsupported` (a
/// condition that the provider does not know), `corrupt` (an answer with a name or etag that cannot be one),
/// `deadline_exceeded` and `cancelled` (CallOptions); nothing else. A put or remove that throws
/// `unavailable`, `deadline_exceeded` or `cancelled` may have taken effect.
class DB4_API ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// Stores a whole object, all or nothing, and returns only when it would survive a power cut. An existing
  /// object of that name is replaced, atomically for readers.
  virtual PutResult put(std::string_view name, ByteView body, const PutOptions& options) = 0;
  PutResult put(std::string_view name, ByteView body) { return put(name, body, PutOptions{}); }

  /// The whole object; nullopt where there is none; `too_large` where it is over `max_bytes`.
  [[nodiscard]] virtual std::optional<Bytes> get(std::string_view name, std::uint64_t max_bytes,
                                                 const CallOptions& call) = 0;
  [[nodiscard]] std::optional<Bytes> get(std::string_view name, std::uint64_t max_bytes) {
    return get(name, max_bytes, CallOptions{});
  }

  /// `length` bytes from `offset`, fewer where the object ends before; nullopt where there is no object.
  [[nodiscard]] virtual std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset,
                                                       std::uint64_t length, const CallOptions& call) = 0;
  [[nodiscard]] std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset,
                                               std::uint64_t length) {
    return get_range(name, offset, length, CallOptions{});
  }

  /// Without reading it; nullopt where there is no object.
  [[nodiscard]] virtual std::optional<ObjectInfo> head(std::string_view name, const CallOptions& call) = 0;
  [[nodiscard]] std::optional<ObjectInfo> head(std::string_view name) { return head(name, CallOptions{}); }

  /// Whether there was one, as far as the store tells (S3 does not: true then). Removing what is not there is
  /// no error. Durable when it returns.
  virtual bool remove(std::string_view name, const CallOptions& call) = 0;
  bool remove(std::string_view name) { return remove(name, CallOptions{}); }

  /// Removes them all, in as few requests as the store allows; those that could not be removed are returned,
  /// and what concerns all of them is thrown. Unless overridden: one remove() after another.
  virtual std::vector<RemoveFailure> remove_many(std::span<const std::string> names, const CallOptions& call);
  std::vector<RemoveFailure> remove_many(std::span<const std::string> names) {
    return remove_many(names, CallOptions{});
  }

  /// Objects whose names start with `prefix` and come after `after` in byte order, at most `limit` (1 to
  /// 1,000).
  [[nodiscard]] virtual ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                                        const CallOptions& call) = 0;
  [[nodiscard]] ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit) {
    return list(prefix, after, limit, CallOptions{});
  }

  // -- an object in parts --
  // begin_multipart, then put_part for numbers 1 to n in any order and from many threads, then
  // complete_multipart: only then is there an object. Every part but the last has the size that begin was
  // given, the last is no larger. A part may be put again; the last one put counts. Unless overridden these
  // throw unsupported: a store without them takes no large documents.

  [[nodiscard]] virtual PartRules part_rules() const { return {}; }

  /// The upload's id, the store's own. `part_size`: of all parts but the last.
  virtual std::string begin_multipart(std::string_view name, std::uint64_t part_size,
                                      const CallOptions& call);
  std::string begin_multipart(std::string_view name, std::uint64_t part_size) {
    return begin_multipart(name, part_size, CallOptions{});
  }

  /// Durable when it returns. Throws invalid_argument where there is no such upload (any more), or for a
  /// number or size outside of the rules.
  virtual ObjectPart put_part(std::string_view name, std::string_view upload_id, std::uint32_t number,
                              ByteView body, const CallOptions& call);
  ObjectPart put_part(std::string_view name, std::string_view upload_id, std::uint32_t number,
                      ByteView body) {
    return put_part(name, upload_id, number, body, CallOptions{});
  }

  /// Makes the object of these parts, in order of their numbers without a gap; replaces one of that name.
  /// Throws invalid_argument where there is no such upload (any more: it may have been completed by a call
  /// whose answer was lost, which head() tells), or where a part is not there with that etag and size.
  virtual PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                                       std::span<const ObjectPart> parts, const CallOptions& call);
  PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                               std::span<const ObjectPart> parts) {
    return complete_multipart(name, upload_id, parts, CallOptions{});
  }

  /// Gives the upload up and frees its parts. No error where there is none. A part that was under way may
  /// arrive afterwards: abort again until list_parts says that nothing is there.
  virtual void abort_multipart(std::string_view name, std::string_view upload_id, const CallOptions& call);
  void abort_multipart(std::string_view name, std::string_view upload_id) {
    abort_multipart(name, upload_id, CallOptions{});
  }

  /// The parts with numbers above `after`, at most `limit` (1 to 1,000); nullopt where there is no such
  /// upload.
  [[nodiscard]] virtual std::optional<ObjectPartPage> list_parts(std::string_view name,
                                                                 std::string_view upload_id,
                                                                 std::uint32_t after, std::size_t limit,
                                                                 const CallOptions& call);
  [[nodiscard]] std::optional<ObjectPartPage> list_parts(std::string_view name, std::string_view upload_id,
                                                         std::uint32_t after, std::size_t limit) {
    return list_parts(name, upload_id, after, limit, CallOptions{});
  }

  /// Uploads to names that start with `prefix`, after the one given (a default one: from the start), at most
  /// `limit` (1 to 1,000).
  [[nodiscard]] virtual PendingUploadPage list_multipart(std::string_view prefix, const PendingUpload& after,
                                                         std::size_t limit, const CallOptions& call);
  [[nodiscard]] PendingUploadPage list_multipart(std::string_view prefix, const PendingUpload& after,
                                                 std::size_t limit) {
    return list_multipart(prefix, after, limit, CallOptions{});
  }

  /// The etag that put_part gives to a part of these bytes, where the store's etags are digests: so a part
  /// whose receipt was lost is known again. Empty where they are not.
  [[nodiscard]] virtual std::string part_digest(ByteView body) const;

  /// The etag that complete_multipart gives to an object of these parts, where it follows from theirs: so an
  /// object whose completion nobody heard of is known again without being read. Empty where it does not.
  [[nodiscard]] virtual std::string object_digest(std::span<const ObjectPart> parts) const;
};

/// An object store over another one, which forwards every call: derive from it and override what the layer is
/// about.
class DB4_API ObjectStoreLayer : public ObjectStore {
 public:
  explicit ObjectStoreLayer(std::shared_ptr<ObjectStore> under) : under_(std::move(under)) {}

  using ObjectStore::abort_multipart, ObjectStore::begin_multipart, ObjectStore::complete_multipart,
      ObjectStore::get, ObjectStore::get_range, ObjectStore::head, ObjectStore::list,
      ObjectStore::list_multipart, ObjectStore::list_parts, ObjectStore::put, ObjectStore::put_part,
      ObjectStore::remove, ObjectStore::remove_many;

  PutResult put(std::string_view name, ByteView body, const PutOptions& options) override;
  std::optional<Bytes> get(std::string_view name, std::uint64_t max_bytes, const CallOptions& call) override;
  std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset, std::uint64_t length,
                                 const CallOptions& call) override;
  std::optional<ObjectInfo> head(std::string_view name, const CallOptions& call) override;
  bool remove(std::string_view name, const CallOptions& call) override;
  std::vector<RemoveFailure> remove_many(std::span<const std::string> names,
                                         const CallOptions& call) override;
  ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                  const CallOptions& call) override;
  [[nodiscard]] PartRules part_rules() const override;
  std::string begin_multipart(std::string_view name, std::uint64_t part_size,
                              const CallOptions& call) override;
  ObjectPart put_part(std::string_view name, std::string_view upload_id, std::uint32_t number, ByteView body,
                      const CallOptions& call) override;
  PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                               std::span<const ObjectPart> parts, const CallOptions& call) override;
  void abort_multipart(std::string_view name, std::string_view upload_id, const CallOptions& call) override;
  std::optional<ObjectPartPage> list_parts(std::string_view name, std::string_view upload_id,
                                           std::uint32_t after, std::size_t limit,
                                           const CallOptions& call) override;
  PendingUploadPage list_multipart(std::string_view prefix, const PendingUpload& after, std::size_t limit,
                                   const CallOptions& call) override;
  [[nodiscard]] std::string part_digest(ByteView body) const override;
  [[nodiscard]] std::string object_digest(std::span<const ObjectPart> parts) const override;

 protected:
  [[nodiscard]] ObjectStore& under() const noexcept { return *under_; }

 private:
  std::shared_ptr<ObjectStore> under_;
};

}  // namespace db4
