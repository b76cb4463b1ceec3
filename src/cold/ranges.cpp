#include "cold/ranges.hpp"

#include <algorithm>
#include <numeric>

namespace db4::cold {

std::vector<MergedRange> merge_ranges(std::span<const ObjectRange> ranges) {
  std::vector<std::size_t> order(ranges.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t index) { return ranges[index].offset; });
  std::vector<MergedRange> out;
  for (const std::size_t index : order) {
    const ObjectRange& range = ranges[index];
    const std::uint64_t end = range.offset + range.length;
    if (!out.empty()) {
      MergedRange& last = out.back();
      const std::uint64_t last_end = last.offset + last.length;
      const std::uint64_t merged_end = std::max(last_end, end);
      if (range.offset <= last_end + kMaxRangeGap && merged_end - last.offset <= kMaxRangeBytes) {
        last.length = merged_end - last.offset;
        last.members.push_back(index);
        continue;
      }
    }
    out.push_back({.offset = range.offset, .length = range.length, .members = {index}});
  }
  return out;
}

}  // namespace db4::cold
