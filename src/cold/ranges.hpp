#pragma once
// Merging of ranges of one object that lie close: one request instead of many.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace db4::cold {

/// Ranges with no more than this between them are read as one: reading so much more costs less than another
/// request (at 100 MB/s the time of half a millisecond, and no money).
inline constexpr std::uint64_t kMaxRangeGap = 64ULL << 10;
/// A merged range is cut at this size, unless a single one is larger: it bounds the memory of a request.
inline constexpr std::uint64_t kMaxRangeBytes = 8ULL << 20;

struct ObjectRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct MergedRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::vector<std::size_t> members;  ///< indices into what was merged, by offset
};

/// In order of their offsets. Ranges may overlap and repeat.
std::vector<MergedRange> merge_ranges(std::span<const ObjectRange> ranges);

}  // namespace db4::cold
