#include "codec/framed_record.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "codec/record_header.hpp"

#include <algorithm>

namespace db4::codec {

FramedLayout::FramedLayout(const RecordHeader& header, std::uint64_t content_length,
                           std::uint64_t frame_bytes)
    : content_length_(content_length),
      frame_bytes_(frame_bytes),
      content_type_(header.content_type),
      created_at_(header.created_at),
      updated_at_(header.updated_at) {
  ParsedHeader fields;
  fields.header = header;
  fields.content_length = content_length;
  fields.frame_bytes = frame_bytes;
  header_ = encode_record_header(fields);
}

FramedLayout::FramedLayout(std::string_view start, const RecordIdentity& expected) {
  const ParsedHeader parsed = parse_record_header(start);
  check_record_identity(parsed, expected);
  *this = FramedLayout(start.substr(0, parsed.payload_offset), parsed, kFrameChecksumBytes);
}

FramedLayout::FramedLayout(std::string_view stored_header, const ParsedHeader& record,
                           std::uint64_t frame_overhead)
    : header_(stored_header),
      content_length_(record.content_length),
      frame_bytes_(record.frame_bytes),
      frame_overhead_(frame_overhead),
      content_type_(record.header.content_type),
      created_at_(record.header.created_at),
      updated_at_(record.header.updated_at) {
  if (frame_bytes_ == 0) throw_corrupt_record("it is not in frames");
}

std::uint32_t FramedLayout::checksum(std::uint64_t index, ByteView content) const noexcept {
  const auto seed = load_fixed<std::uint32_t>(header_.data() + header_.size() - sizeof(std::uint32_t));
  char bytes[sizeof index];
  std::memcpy(bytes, &index, sizeof index);
  return crc32c(content, crc32c(as_bytes({bytes, sizeof bytes}), seed));
}

void decode_frames(const FramedLayout& layout, std::uint64_t first, ByteView stored,
                   std::span<std::byte> out) {
  for (std::uint64_t index = first; !stored.empty(); ++index) {
    const std::uint64_t size = index < layout.frames() ? layout.frame_content(index) : 0;
    if (size == 0 || stored.size() < size + kFrameChecksumBytes || out.size() < size) {
      throw_corrupt_record("a frame is cut short");
    }
    const ByteView content = stored.first(size);
    const auto* const checksum = reinterpret_cast<const char*>(stored.data() + size);
    if (layout.checksum(index, content) != load_fixed<std::uint32_t>(checksum)) {
      throw_corrupt_record("the checksum of a frame does not match");
    }
    std::ranges::copy(content, out.begin());
    out = out.subspan(size);
    stored = stored.subspan(size + kFrameChecksumBytes);
  }
  if (!out.empty()) throw_corrupt_record("a frame is missing");
}

}  // namespace db4::codec
