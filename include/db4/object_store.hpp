#pragma once
// ObjectStore: the plug point under the cold tier. A folder, memory, later S3; bring your own by deriving
// from it and passing the conformance suite in tests/objects/.

#include <db4/types.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace db4 {

/// What is known of an object without reading it.
struct ObjectInfo {
  std::string name = {};
  std::uint64_t size = 0;
  TimePoint modified{};
};

/// A part of a listing.
struct ObjectPage {
  std::vector<ObjectInfo> objects = {};  ///< in byte order of their names
  bool more = false;                     ///< whether objects follow after the last one here
};

/// How an object is put.
struct PutOptions {
  /// Throws conflict, and changes nothing, where the name exists already.
  bool only_if_absent = false;
};

/// Named immutable blobs. Names are 1 to kMaxObjectNameBytes bytes of UTF-8 without NUL, and any such name is
/// legal: it is never taken as a path ("../x", "a//b", "con" and "A" next to "a" are just names).
///
/// Thread rule: every call may run in many threads at once. Errors: db4::Error with `unavailable` where a
/// repetition may help, `resource_exhausted` for a full disk, `permission_denied`, `read_only`, `too_large`,
/// `conflict` (only_if_absent), `invalid_argument` (an illegal name or limit); nothing else. A put or remove
/// that throws `unavailable` may have taken effect.
class DB4_API ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// Stores a whole object, all or nothing, and returns only when it would survive a power cut. An existing
  /// object of that name is replaced, atomically for readers.
  virtual void put(std::string_view name, ByteView body, const PutOptions& options) = 0;
  void put(std::string_view name, ByteView body) { put(name, body, PutOptions{}); }

  /// The whole object; nullopt where there is none; `too_large` where it is over `max_bytes`.
  [[nodiscard]] virtual std::optional<Bytes> get(std::string_view name, std::uint64_t max_bytes) = 0;

  /// `length` bytes from `offset`, fewer where the object ends before; nullopt where there is no object.
  [[nodiscard]] virtual std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset,
                                                       std::uint64_t length) = 0;

  /// Without reading it; nullopt where there is no object.
  [[nodiscard]] virtual std::optional<ObjectInfo> head(std::string_view name) = 0;

  /// Whether there was one. Removing what is not there is no error. Durable when it returns.
  virtual bool remove(std::string_view name) = 0;

  /// Objects whose names start with `prefix` and come after `after` in byte order, at most `limit` (1 to
  /// 1,000).
  [[nodiscard]] virtual ObjectPage list(std::string_view prefix, std::string_view after,
                                        std::size_t limit) = 0;
};

}  // namespace db4
