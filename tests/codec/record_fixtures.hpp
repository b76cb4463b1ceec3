#pragma once
// What the tests of records share: a document, forged headers, and what a damaged record must throw.

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "codec/record.hpp"
#include "codec/record_header.hpp"
#include "support/error_of.hpp"

#include <gtest/gtest.h>

#include <string>

namespace db4::codec {

inline constexpr Compression kCodecs[] = {Compression::none, Compression::gzip, Compression::zstd};

inline RecordHeader example_header() {
  return {.collection = "users",
          .id = "user-1",
          .version = 300,
          .content_type = "application/json",
          .created_at = TimePoint{std::chrono::microseconds{1'700'000'000'000'001}},
          .updated_at = TimePoint{std::chrono::microseconds{1'700'000'100'000'002}}};
}

inline constexpr std::string_view kExampleBody =
    R"({"name":"Ada","visits":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"note":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})";

inline RecordIdentity identity_of(const RecordHeader& header) {
  return {header.collection, header.id, header.version};
}

inline std::string example_record(Compression compression) {
  return encode_record(example_header(), kExampleBody, {.compression = compression});
}

using testing::error_of;

inline std::optional<ErrorCode> decode_error(std::string_view record, const DecodeOptions& limits = {}) {
  return error_of([&] { decode_record(record, identity_of(example_header()), limits); });
}

/// `payload` under a header that is sealed rightly but was changed by `forge` first.
template <typename Forge>
std::string forged_record(Compression compression, std::string_view payload, const Forge& forge) {
  ParsedHeader header;
  header.header = example_header();
  header.compression = compression;
  header.content_length = payload.size();
  header.content_crc32c = crc32c(as_bytes(payload));
  header.payload_length = payload.size();
  header.payload_crc32c = crc32c(as_bytes(payload));
  forge(header);
  return encode_record_header(header).append(payload);
}

/// A plain record whose header's fields (and format version) were changed by `change`, sealed again.
template <typename Change>
std::string resealed_record(const Change& change) {
  const std::string record = example_record(Compression::none);
  const std::size_t payload_at = parse_record_header(record).payload_offset;
  std::string header = record.substr(0, payload_at - 4);
  change(header);
  const auto length = static_cast<std::uint16_t>(header.size() + 4);
  std::memcpy(header.data() + 6, &length, sizeof length);
  put_fixed<std::uint32_t>(header, crc32c(as_bytes(header)));
  return header.append(record.substr(payload_at));
}

}  // namespace db4::codec
