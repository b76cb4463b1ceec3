// Any bytes as a segment: refused, or every entry lies inside it. Tried as it is, and with the checksums of
// index and footer put right, which a fuzzer cannot guess.

#include "base/hash.hpp"
#include "codec/segment.hpp"
#include "fuzz_target.hpp"

#include <cstring>

namespace {

using namespace db4;
using namespace db4::codec;

void parse(std::string_view segment) {
  const std::size_t footer_size = std::min(segment.size(), kSegmentFooterBytes);
  std::vector<SegmentEntry> entries;
  SegmentIndexPlace place;
  const auto read = [&] {
    place = parse_segment_footer(segment.substr(segment.size() - footer_size), segment.size());
    fuzz::require(place.offset + place.length + kSegmentFooterBytes == segment.size(), "the parts add up");
    entries = parse_segment_index(segment.substr(place.offset, place.length), place);
  };
  if (!fuzz::succeeds(read, {ErrorCode::corrupt, ErrorCode::unsupported})) return;
  fuzz::require(entries.size() == place.count, "the footer counts the entries");

  SegmentWriter writer;
  for (const SegmentEntry& entry : entries) {
    fuzz::require(entry.offset + entry.length <= place.offset, "records end before the index");
    writer.add(entry.collection, entry.id, entry.version, segment.substr(entry.offset, entry.length));
  }
  const std::string again = writer.finish();
  fuzz::require(std::string_view(again).substr(0, place.offset) == segment.substr(0, place.offset),
                "the entries give back every byte before the index");
}

void put_right_checksum(std::string& segment, std::size_t begin, std::size_t end, std::size_t at) {
  const std::uint32_t crc = crc32c(as_bytes(std::string_view(segment).substr(begin, end - begin)));
  std::memcpy(segment.data() + at, &crc, sizeof crc);
}

std::string with_right_checksums(std::string segment) {
  if (segment.size() < kSegmentFooterBytes) return segment;
  const std::size_t footer = segment.size() - kSegmentFooterBytes;
  std::uint64_t index = 0;
  std::memcpy(&index, segment.data() + footer + 8, sizeof index);
  if (index <= footer) put_right_checksum(segment, index, footer, footer + 28);
  put_right_checksum(segment, footer, footer + 36, footer + 36);
  return segment;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = fuzz::as_input(data, size);
  parse(input);
  parse(with_right_checksums(std::string(input)));
  return 0;
}
