#pragma once
// The header of a record and its three carriers, apart from the payload. Private to codec.

#include "codec/record.hpp"

namespace db4::codec {

/// Types of the header's fields. On disk for ever: never renumber. Below kFirstOptionalField a field that a
/// reader does not know makes it refuse the record; from there on it is skipped.
enum class FieldType : std::uint8_t {
  collection = 1,
  id = 2,
  version = 3,
  codec = 4,
  key_id = 5,
  content_type = 6,
  created_at = 7,
  updated_at = 8,
  content_length = 9,
  content_crc32c = 10,
  payload_length = 11,
  payload_crc32c = 12,
  frame_bytes = 13,
  dictionary = 14,
  sealed_header = 16,
  content_key = 17,
  // 18 to 23 are reserved, see docs/formats/record.md.
};
inline constexpr std::uint8_t kFirstOptionalField = 128;
inline constexpr std::size_t kContentKeyBytes = 32;

inline constexpr std::uint16_t kRecordFormatVersion = 1;

/// The carrier's first bytes and the header, up to where the payload begins. `header.payload_offset` is not
/// read. Throws too_large where collection, id or content type are over their limits, invalid_argument for
/// version 0.
std::string encode_record_header(const ParsedHeader& header);

/// Throws `corrupt` for a record in which `what` is wrong.
[[noreturn]] void throw_corrupt_record(std::string_view what);

}  // namespace db4::codec
