#pragma once
// DocumentBlock: one version of a document in memory, in a single allocation: header, key, content type,
// body. The hot cache holds these, Document shares them, and a cold read decompresses straight into one.
//
// Everything but the access figures is immutable once the block is shared.

#include <db4/document.hpp>
#include <db4/types.hpp>

#include <atomic>
#include <cstring>

namespace db4::detail {

struct DocumentBlock {
  std::atomic<std::uint32_t> references{1};
  /// Hits not yet drained into the access tracker, and the last of them (microseconds since the epoch,
  /// coarse).
  std::atomic<std::uint32_t> pending_hits{0};
  std::atomic<std::int64_t> last_access_us{0};
  /// Reads counted in the access space and the tracker when the block was made or last drained.
  std::atomic<std::uint64_t> base_access_count{0};
  /// Accesses in this half of access_window and the one before, with the half's number: see count_recent.
  std::atomic<std::uint64_t> recent{0};
  /// When the catalogue was last known to have this version (monotonic, nanoseconds); of one that many nodes
  /// share.
  std::atomic<std::int64_t> current_at_ns{0};
  /// S3-FIFO's use counter (0 to 3).
  std::atomic<std::uint8_t> use_count{0};
  std::uint8_t collection_size = 0;
  std::uint8_t content_type_size = 0;
  std::uint16_t id_size = 0;
  std::uint32_t body_size = 0;
  std::uint64_t hash = 0;  ///< hash_key(key())
  Version version = 0;
  std::int64_t created_at_us = 0;
  std::int64_t updated_at_us = 0;

  /// The catalogue's key: one byte of length, collection, id.
  [[nodiscard]] std::string_view key() const noexcept { return {tail(), 1U + collection_size + id_size}; }
  [[nodiscard]] std::string_view collection() const noexcept { return {tail() + 1, collection_size}; }
  [[nodiscard]] std::string_view id() const noexcept { return {tail() + 1 + collection_size, id_size}; }
  [[nodiscard]] std::string_view content_type() const noexcept {
    return {tail() + 1 + collection_size + id_size, content_type_size};
  }
  [[nodiscard]] std::string_view body() const noexcept { return {body_data(), body_size}; }
  /// Writable until the block is shared.
  [[nodiscard]] char* mutable_body() noexcept { return const_cast<char*>(body_data()); }
  /// What the block costs in memory, malloc's own header estimated.
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    return allocation_size(key().size(), content_type_size, body_size) + 16;
  }

  /// Counts an access at `now_us` (unless `hits` is 0) and returns those within the window: by two buckets of
  /// half of it, as AccessBuckets does. Racing threads may lose a count of each other's.
  std::uint32_t count_recent(std::int64_t now_us, std::int64_t half_window_us, std::uint32_t hits) noexcept;
  void set_recent(std::int64_t half_window_number, std::uint32_t current, std::uint32_t previous) noexcept;

  /// A block with key and content type filled in and room for `body_size` bytes of body. Throws
  /// std::bad_alloc.
  static BlockRef create(std::string_view collection, std::string_view id, std::string_view content_type,
                         std::size_t body_size);

 private:
  [[nodiscard]] const char* tail() const noexcept { return reinterpret_cast<const char*>(this + 1); }
  [[nodiscard]] const char* body_data() const noexcept {
    return tail() + 1 + collection_size + id_size + content_type_size;
  }
  static std::size_t allocation_size(std::size_t key, std::size_t content_type, std::size_t body) noexcept {
    return sizeof(DocumentBlock) + key + content_type + body;
  }
};

}  // namespace db4::detail
