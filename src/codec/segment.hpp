#pragma once
// Segments: complete records one after another, then an index and a footer. The byte tables are in
// docs/formats/segment.md. Nothing in a record names its segment or place, so compaction copies bytes.

#include <db4/types.hpp>

#include <functional>
#include <string>
#include <vector>

namespace db4::codec {

struct SegmentEntry {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  Version version = 0;
  std::string collection;
  std::string id;
};

/// Gathers records into one segment. Not thread-safe.
class SegmentWriter {
 public:
  /// Adds a complete record; returns its offset.
  std::uint64_t add(std::string_view collection, std::string_view id, Version version,
                    std::string_view record);
  [[nodiscard]] std::uint64_t record_bytes() const noexcept { return bytes_.size(); }
  [[nodiscard]] std::size_t count() const noexcept { return entries_.size(); }
  [[nodiscard]] const std::vector<SegmentEntry>& entries() const noexcept { return entries_; }
  /// Makes other bytes of an index, and the reverse: where the store is encrypted.
  using IndexTransform = std::function<std::string(std::string_view index)>;
  /// The whole segment, with index (sealed by `seal`, if given) and footer. The writer is empty again
  /// afterwards, unless `seal` throws.
  std::string finish(const IndexTransform& seal = {});

 private:
  std::string bytes_;
  std::vector<SegmentEntry> entries_;
};

inline constexpr std::size_t kSegmentFooterBytes = 40;

/// Where the index is, from the last kSegmentFooterBytes bytes of a segment of `segment_size` bytes. Throws
/// corrupt.
struct SegmentIndexPlace {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint32_t count = 0;
  std::uint32_t crc32c = 0;  ///< of the index as it is stored
  bool sealed = false;       ///< the index is
};
SegmentIndexPlace parse_segment_footer(std::string_view footer, std::uint64_t segment_size);
/// The entries of an index; checks the checksum, the count, and that every entry lies before the index.
/// `open`: the inverse of what sealed it. Throws corrupt, key_unavailable where the index is sealed and none
/// is given, and what `open` throws.
std::vector<SegmentEntry> parse_segment_index(std::string_view index, const SegmentIndexPlace& place,
                                              const SegmentWriter::IndexTransform& open = {});

}  // namespace db4::codec
