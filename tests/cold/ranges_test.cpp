#include "cold/ranges.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace db4::cold {
namespace {

using ::testing::ElementsAre;

TEST(MergeRanges, TakesTogetherWhatLiesCloseWhateverTheOrder) {
  const std::vector<ObjectRange> ranges{{kMaxRangeGap + 300, 10}, {0, 100}, {150, 50}, {0, 100}};
  const auto merged = merge_ranges(ranges);
  ASSERT_EQ(merged.size(), 2U);
  EXPECT_EQ(merged[0].offset, 0U);
  EXPECT_EQ(merged[0].length, 200U);
  EXPECT_THAT(merged[0].members, ElementsAre(1, 3, 2));
  EXPECT_THAT(merged[1].members, ElementsAre(0));
}

TEST(MergeRanges, KeepsToItsBoundsAndForgetsNothing) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<ObjectRange> ranges;
    for (std::uint64_t i = random() % 50; i > 0; --i)
      ranges.push_back({random() % (64 << 20), random() % (1 << 20)});
    std::size_t members = 0;
    std::uint64_t last_end = 0;
    for (const MergedRange& range : merge_ranges(ranges)) {
      EXPECT_TRUE(range.length <= kMaxRangeBytes || range.members.size() == 1);
      members += range.members.size();
      for (const std::size_t index : range.members) {
        EXPECT_GE(ranges[index].offset, range.offset);
        EXPECT_LE(ranges[index].offset + ranges[index].length, range.offset + range.length);
      }
      EXPECT_GE(range.offset + range.length, last_end);
      last_end = range.offset;
    }
    EXPECT_EQ(members, ranges.size());
  }
}

}  // namespace
}  // namespace db4::cold
