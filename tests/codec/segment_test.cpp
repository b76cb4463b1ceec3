#include "codec/segment.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "record_fixtures.hpp"

#include <random>

namespace db4::codec {

namespace {

std::vector<SegmentEntry> entries_of(std::string_view segment) {
  const std::size_t footer_size = std::min(segment.size(), kSegmentFooterBytes);
  const SegmentIndexPlace place =
      parse_segment_footer(segment.substr(segment.size() - footer_size), segment.size());
  return parse_segment_index(segment.substr(place.offset, place.length), place);
}

std::optional<ErrorCode> segment_error(std::string_view segment) {
  return error_of([&] { (void)entries_of(segment); });
}

std::string example_segment() {
  SegmentWriter writer;
  writer.add("users", "a", 1, "first record");
  writer.add("users", "b", 200, "second");
  writer.add("logs", "", 3, "x");
  return writer.finish();
}

/// A segment of `records` bytes of records with this index and count, sealed rightly.
std::string forged_segment(std::string_view records, std::string_view index, std::uint32_t count,
                           std::uint32_t format_version = 1, std::uint32_t flags = 0,
                           std::int64_t index_shift = 0) {
  std::string footer("DB4S");
  put_fixed<std::uint32_t>(footer, format_version);
  put_fixed<std::uint64_t>(footer, records.size() + static_cast<std::uint64_t>(index_shift));
  put_fixed<std::uint64_t>(footer, index.size());
  put_fixed<std::uint32_t>(footer, count);
  put_fixed<std::uint32_t>(footer, crc32c(as_bytes(index)));
  put_fixed<std::uint32_t>(footer, flags);
  put_fixed<std::uint32_t>(footer, crc32c(as_bytes(footer)));
  return std::string(records).append(index).append(footer);
}

std::string index_entry(std::uint64_t length, std::string_view collection = "c", std::string_view id = "i") {
  std::string entry;
  put_varint(entry, length);
  put_varint(entry, 1);
  put_sized(entry, collection);
  put_sized(entry, id);
  return entry;
}

TEST(SegmentTest, RecordsAreFoundAgainByTheIndex) {
  constexpr std::uint64_t kSeed = 7;
  std::mt19937_64 random(kSeed);
  SegmentWriter writer;
  std::vector<std::string> records;
  for (int i = 0; i < 500; ++i) {
    records.emplace_back(1 + random() % 700, static_cast<char>(i));
    const std::string id(random() % (kMaxIdBytes + 1), static_cast<char>(random()));
    const std::uint64_t before = writer.record_bytes();
    EXPECT_EQ(writer.add("collection", id, random() >> (random() % 64), records.back()), before);
  }
  EXPECT_EQ(writer.count(), records.size());
  const std::vector<SegmentEntry> written = writer.entries();
  const std::string segment = writer.finish();
  const std::vector<SegmentEntry> read = entries_of(segment);
  ASSERT_EQ(read.size(), written.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].offset, written[i].offset);
    EXPECT_EQ(read[i].version, written[i].version);
    EXPECT_EQ(read[i].collection, written[i].collection);
    EXPECT_EQ(read[i].id, written[i].id);
    EXPECT_EQ(segment.substr(read[i].offset, read[i].length), records[i]);
  }
}

TEST(SegmentTest, WriterIsEmptyAfterFinish) {
  SegmentWriter writer;
  writer.add("c", "i", 1, "record");
  const std::string first = writer.finish();
  EXPECT_EQ(writer.count(), 0U);
  EXPECT_EQ(writer.record_bytes(), 0U);
  writer.add("c", "i", 1, "record");
  EXPECT_EQ(writer.finish(), first);
}

TEST(SegmentTest, SegmentWithoutRecordsIsAFooter) {
  const std::string segment = SegmentWriter().finish();
  EXPECT_EQ(segment.size(), kSegmentFooterBytes);
  EXPECT_TRUE(entries_of(segment).empty());
}

TEST(SegmentTest, WhatTheIndexCannotHoldIsRefused) {
  SegmentWriter writer;
  const auto error = [&](std::string_view collection, std::string_view id, std::string_view record) {
    return error_of([&] { writer.add(collection, id, 1, record); });
  };
  EXPECT_EQ(error(std::string(kMaxCollectionBytes + 1, 'c'), "i", "record"), ErrorCode::too_large);
  EXPECT_EQ(error("c", std::string(kMaxIdBytes + 1, 'i'), "record"), ErrorCode::too_large);
  EXPECT_EQ(error("c", "i", ""), ErrorCode::invalid_argument);
  EXPECT_EQ(writer.count(), 0U);
  EXPECT_EQ(writer.record_bytes(), 0U);
}

TEST(SegmentDamageTest, EveryFlippedBitOfIndexAndFooterIsCorrupt) {
  const std::string segment = example_segment();
  const std::size_t index_at = entries_of(segment).back().offset + 1;
  for (std::size_t bit = index_at * 8; bit < segment.size() * 8; ++bit) {
    std::string damaged = segment;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_EQ(segment_error(damaged), ErrorCode::corrupt) << "bit " << bit;
  }
}

TEST(SegmentDamageTest, EveryTruncationAndExtensionIsCorrupt) {
  const std::string segment = example_segment();
  for (std::size_t size = 0; size < segment.size(); ++size) {
    ASSERT_EQ(segment_error(segment.substr(0, size)), ErrorCode::corrupt) << "end lost at " << size;
    ASSERT_EQ(segment_error(segment.substr(segment.size() - size)), ErrorCode::corrupt)
        << "start lost, " << size << " left";
  }
  EXPECT_EQ(segment_error(segment + '\0'), ErrorCode::corrupt);
  EXPECT_EQ(segment_error('\0' + segment), ErrorCode::corrupt);
  EXPECT_EQ(segment_error(segment + segment), ErrorCode::corrupt);
}

TEST(SegmentDamageTest, SealedIndexThatPointsElsewhereIsCorrupt) {
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(4), 1)), std::nullopt);
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(5), 1)), ErrorCode::corrupt) << "past the end";
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(3), 1)), ErrorCode::corrupt) << "a byte over";
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(0) + index_entry(4), 2)), ErrorCode::corrupt);
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(2) + index_entry(~0ULL), 2)), ErrorCode::corrupt)
      << "a sum that overflows";
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(5) + index_entry(~0ULL), 2)), ErrorCode::corrupt)
      << "a sum that overflows into the right one";
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(4), 2)), ErrorCode::corrupt) << "too few";
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(2) + index_entry(2), 1)), ErrorCode::corrupt)
      << "too many";
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(4), 0xFFFFFFFF)), ErrorCode::corrupt)
      << "a count that would allocate hundreds of gigabytes";
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(4), 1, 1, 0, -1)), ErrorCode::corrupt);
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(4), 1, 1, 0, 1LL << 62)), ErrorCode::corrupt);
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(4, std::string(256, 'c')), 1)),
            ErrorCode::corrupt);
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(4, "c", std::string(1025, 'i')), 1)),
            ErrorCode::corrupt);
}

TEST(SegmentDamageTest, NewerFormatAndUnknownFlagsAreUnsupported) {
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(4), 1, 2)), ErrorCode::unsupported);
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(4), 1, 0)), ErrorCode::corrupt);
  EXPECT_EQ(segment_error(forged_segment("1234", index_entry(4), 1, 1, 2)), ErrorCode::unsupported);
}

}  // namespace

}  // namespace db4::codec
