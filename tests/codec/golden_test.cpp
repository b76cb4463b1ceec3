// Files that an earlier db4 wrote stay readable: tests/golden/ holds one of each. Compressed payloads may
// differ between versions of the libraries, so those are only decoded; what db4 alone writes must be the same
// byte for byte. Run with --gtest_also_run_disabled_tests --gtest_filter='*WriteGoldenFiles' to write the
// files of a new format version; the files of the old ones are never replaced.

#include "codec/segment.hpp"
#include "record_fixtures.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace db4::codec {

namespace {

const std::filesystem::path kGolden = std::filesystem::path(DB4_SOURCE_DIR) / "tests" / "golden";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.is_open()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.flush().good()) << path;
}

std::filesystem::path record_path(Compression compression) {
  return kGolden / ("record_v1_" + std::string(to_string(compression)) + ".bin");
}

/// The plain golden record twice, under two keys: a segment does not look into its records.
std::string segment_of(std::string_view record) {
  SegmentWriter writer;
  writer.add("users", "user-1", 300, record);
  writer.add("users", "user-2", 7, record);
  return writer.finish();
}

TEST(GoldenTest, RecordsOfFormat1AreReadable) {
  for (const Compression compression : kCodecs) {
    const std::string record = read_file(record_path(compression));
    const ParsedHeader parsed = parse_record_header(record);
    EXPECT_EQ(parsed.compression, compression);
    EXPECT_EQ(parsed.header.content_type, "application/json");
    EXPECT_EQ(parsed.header.created_at, example_header().created_at);
    EXPECT_EQ(parsed.header.updated_at, example_header().updated_at);
    EXPECT_EQ(decode_record(record, {"users", "user-1", 300})->body(), kExampleBody);
  }
}

TEST(GoldenTest, PlainRecordIsWrittenAsEver) {
  EXPECT_EQ(example_record(Compression::none), read_file(record_path(Compression::none)));
}

TEST(GoldenTest, SegmentOfFormat1IsReadableAndWrittenAsEver) {
  const std::string record = read_file(record_path(Compression::none));
  const std::string segment = read_file(kGolden / "segment_v1.bin");
  EXPECT_EQ(segment_of(record), segment);
  const SegmentIndexPlace place = parse_segment_footer(
      std::string_view(segment).substr(segment.size() - kSegmentFooterBytes), segment.size());
  const std::vector<SegmentEntry> entries =
      parse_segment_index(std::string_view(segment).substr(place.offset, place.length), place);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1].id, "user-2");
  EXPECT_EQ(entries[1].version, 7U);
  EXPECT_EQ(segment.substr(entries[1].offset, entries[1].length), record);
}

TEST(GoldenTest, DISABLED_WriteGoldenFiles) {
  for (const Compression compression : kCodecs) {
    write_file(record_path(compression), example_record(compression));
  }
  write_file(kGolden / "segment_v1.bin", segment_of(example_record(Compression::none)));
}

}  // namespace

}  // namespace db4::codec
