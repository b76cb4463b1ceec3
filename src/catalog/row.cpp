#include "catalog/row.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"

#include <db4/error.hpp>

#include <algorithm>

namespace db4::catalog {
namespace {

constexpr std::uint8_t kRowFormat = 1;
constexpr std::uint8_t kHasCold = 1;
constexpr std::uint8_t kColdInSegment = 2;
constexpr std::uint8_t kColdFramed = 4;
constexpr std::uint8_t kColdHasVersion = 8;
constexpr std::uint8_t kBodySealed = 16;
constexpr std::uint8_t kColdSealed = 32;
constexpr std::uint8_t kKnownFlags =
    kHasCold | kColdInSegment | kColdFramed | kColdHasVersion | kBodySealed | kColdSealed;

[[noreturn]] void damaged(std::string_view what) {
  throw Error(ErrorCode::corrupt,
              "the document's row in the catalogue is damaged (" + std::string(what) + ")",
              "check the disk, and restore the hot folder from a backup or rebuild it from the cold tier");
}

std::uint32_t row_checksum(std::string_view key, std::string_view bytes) {
  return crc32c(as_bytes(bytes), crc32c(as_bytes(key)));
}

template <typename Enum>
Enum checked(std::uint8_t value, Enum first, Enum last) {
  if (value < static_cast<std::uint8_t>(first) || value > static_cast<std::uint8_t>(last)) damaged("field");
  return static_cast<Enum>(value);
}

}  // namespace

std::string revision_prefix(std::uint64_t revision) {
  std::string out;
  out.push_back(static_cast<char>(kRowFormat));
  put_fixed(out, revision);
  return out;
}

std::string encode_row(std::string_view key, const Row& row) {
  std::string out = revision_prefix(row.revision);
  out.reserve(96 + row.content_type.size() + row.inline_body.size() +
              (row.cold ? row.cold->object.size() + 16 : 0));
  put_fixed(out, row.version);
  out.push_back(static_cast<char>(row.state));
  out.push_back(static_cast<char>(row.home));
  out.push_back(static_cast<char>(row.body_place));
  out.push_back(static_cast<char>(row.placed_by));
  std::uint8_t flags = 0;
  if (row.cold) flags |= kHasCold;
  if (row.cold && row.cold->in_segment) flags |= kColdInSegment;
  if (row.cold && row.cold->framed) flags |= kColdFramed;
  if (row.cold && row.cold->record_version != 0) flags |= kColdHasVersion;
  if (row.body_key != 0) flags |= kBodySealed;
  if (row.cold && row.cold->key != 0) flags |= kColdSealed;
  out.push_back(static_cast<char>(flags));
  put_fixed(out, row.created_at_us);
  put_fixed(out, row.updated_at_us);
  put_fixed(out, row.placed_at_us);
  put_fixed(out, row.due_us);
  put_varint(out, row.size);
  put_sized(out, row.content_type);
  if (row.cold) {
    put_sized(out, row.cold->object);
    put_varint(out, row.cold->offset);
    put_varint(out, row.cold->length);
    if (row.cold->record_version != 0) put_varint(out, row.cold->record_version);
    if (row.cold->key != 0) {
      put_fixed(out, row.cold->key);
      if (row.cold->framed) out.append(as_text(row.cold->digest));
    }
  }
  if (row.body_key != 0) put_fixed(out, row.body_key);
  out.append(row.inline_body);
  put_fixed(out, row_checksum(key, out));
  return out;
}

Row decode_row(std::string_view key, std::string_view bytes) {
  if (bytes.size() < 5) damaged("too short");
  const std::string_view content = bytes.substr(0, bytes.size() - 4);
  if (load_fixed<std::uint32_t>(bytes.data() + content.size()) != row_checksum(key, content))
    damaged("checksum");
  Reader in(content);
  if (const auto format = in.fixed<std::uint8_t>(); format != kRowFormat) {
    throw Error(ErrorCode::unsupported, "the document's row has format " + std::to_string(format),
                "open the store with the newer db4 that wrote it");
  }
  Row row;
  row.revision = in.fixed<std::uint64_t>();
  row.version = in.fixed<Version>();
  row.state = checked(in.fixed<std::uint8_t>(), RowState::live, RowState::tombstone);
  row.home = checked(in.fixed<std::uint8_t>(), StorageTier::cold, StorageTier::hot);
  row.body_place = checked(in.fixed<std::uint8_t>(), BodyPlace::none, BodyPlace::in_bodies);
  row.placed_by = checked(in.fixed<std::uint8_t>(), PlacedBy::write, PlacedBy::pin);
  if (row.home == StorageTier::warm) damaged("home");
  const auto flags = in.fixed<std::uint8_t>();
  if ((flags & ~kKnownFlags) != 0) {
    throw Error(ErrorCode::unsupported, "the document's row has flags that this db4 does not know",
                "open the store with the newer db4 that wrote it");
  }
  row.created_at_us = in.fixed<std::int64_t>();
  row.updated_at_us = in.fixed<std::int64_t>();
  row.placed_at_us = in.fixed<std::int64_t>();
  row.due_us = in.fixed<std::int64_t>();
  row.size = in.varint();
  row.content_type = in.sized();
  if ((flags & kHasCold) != 0) {
    ColdPlace cold;
    cold.object = in.sized();
    cold.offset = in.varint();
    cold.length = in.varint();
    cold.in_segment = (flags & kColdInSegment) != 0;
    cold.framed = (flags & kColdFramed) != 0;
    if ((flags & kColdHasVersion) != 0) cold.record_version = in.varint();
    if ((flags & kColdSealed) != 0) {
      cold.key = in.fixed<std::uint64_t>();
      if (cold.framed) std::ranges::copy(as_bytes(in.bytes(cold.digest.size())), cold.digest.begin());
    }
    row.cold = std::move(cold);
  }
  if ((flags & kBodySealed) != 0) row.body_key = in.fixed<std::uint64_t>();
  if (!in.ok()) damaged("length");
  if (row.live() && !row.hot() && !row.cold) damaged("place");
  row.inline_body = in.rest();
  if (row.body_key != 0 && row.body_place == BodyPlace::none) damaged("key");
  if (row.body_place != BodyPlace::in_row) {
    if (!row.inline_body.empty()) damaged("body length");
  } else if (row.body_key == 0 ? row.inline_body.size() != row.size : row.inline_body.size() <= row.size) {
    damaged("body length");  // what is sealed is longer
  }
  return row;
}

}  // namespace db4::catalog
