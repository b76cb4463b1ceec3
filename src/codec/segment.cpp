#include "codec/segment.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"

#include <db4/error.hpp>
#include <db4/limits.hpp>

#include <limits>
#include <utility>

namespace db4::codec {

namespace {

constexpr std::string_view kMagic = "DB4S";
constexpr std::uint32_t kSegmentFormatVersion = 1;
constexpr std::uint32_t kSealedIndex = 1;  // of the footer's flags
constexpr std::size_t kFooterChecksumAt = kSegmentFooterBytes - 4;
/// The least that an index holds for a record: four numbers of one byte each.
constexpr std::uint64_t kMinEntryBytes = 4;

[[noreturn]] void throw_corrupt(std::string_view what) {
  throw Error(ErrorCode::corrupt, "the segment is damaged: " + std::string(what),
              "read another copy, or restore its documents");
}

[[noreturn]] void throw_unsupported(const std::string& what) {
  throw Error(ErrorCode::unsupported, "the segment has " + what, "read it with a newer db4");
}

}  // namespace

std::uint64_t SegmentWriter::add(std::string_view collection, std::string_view id, Version version,
                                 std::string_view record) {
  if (collection.size() > kMaxCollectionBytes || id.size() > kMaxIdBytes) {
    throw Error(ErrorCode::too_large, "a collection or id is over its limit", "make it shorter");
  }
  if (record.empty()) {
    throw Error(ErrorCode::invalid_argument, "an empty record cannot stand in a segment",
                "add complete records");
  }
  const std::uint64_t offset = bytes_.size();
  // Room first, so that the entry and its bytes come together or, where memory is short, not at all.
  bytes_.reserve(offset + record.size());
  entries_.push_back({offset, record.size(), version, std::string(collection), std::string(id)});
  bytes_.append(record);
  return offset;
}

std::string SegmentWriter::finish(const IndexTransform& seal) {
  if (entries_.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw Error(ErrorCode::too_large, "the segment has more records than its footer can count",
                "finish segments earlier");
  }
  std::string index;
  for (const SegmentEntry& entry : entries_) {
    put_varint(index, entry.length);
    put_varint(index, entry.version);
    put_sized(index, entry.collection);
    put_sized(index, entry.id);
  }
  if (seal) index = seal(index);
  const auto count = static_cast<std::uint32_t>(entries_.size());
  std::string out = std::exchange(bytes_, {});
  entries_.clear();

  std::string footer(kMagic);
  put_fixed<std::uint32_t>(footer, kSegmentFormatVersion);
  put_fixed<std::uint64_t>(footer, out.size());
  put_fixed<std::uint64_t>(footer, index.size());
  put_fixed<std::uint32_t>(footer, count);
  put_fixed<std::uint32_t>(footer, crc32c(as_bytes(index)));
  put_fixed<std::uint32_t>(footer, seal ? kSealedIndex : 0);  // flags
  put_fixed<std::uint32_t>(footer, crc32c(as_bytes(footer)));
  out.append(index).append(footer);
  return out;
}

SegmentIndexPlace parse_segment_footer(std::string_view footer, std::uint64_t segment_size) {
  if (footer.size() != kSegmentFooterBytes || !footer.starts_with(kMagic)) throw_corrupt("it has no footer");
  const std::string_view covered = footer.substr(0, kFooterChecksumAt);
  if (crc32c(as_bytes(covered)) != load_fixed<std::uint32_t>(footer.data() + kFooterChecksumAt)) {
    throw_corrupt("the footer's checksum does not match");
  }
  Reader reader(covered.substr(kMagic.size()));
  const auto version = reader.fixed<std::uint32_t>();
  if (version == 0) throw_corrupt("the format version is 0");
  if (version > kSegmentFormatVersion) throw_unsupported("format version " + std::to_string(version));
  SegmentIndexPlace place;
  place.offset = reader.fixed<std::uint64_t>();
  place.length = reader.fixed<std::uint64_t>();
  place.count = reader.fixed<std::uint32_t>();
  place.crc32c = reader.fixed<std::uint32_t>();
  const auto flags = reader.fixed<std::uint32_t>();
  if ((flags & ~kSealedIndex) != 0) throw_unsupported("flags " + std::to_string(flags));
  place.sealed = (flags & kSealedIndex) != 0;
  // Compared by subtraction: a sum could overflow.
  if (segment_size < kSegmentFooterBytes || place.offset > segment_size - kSegmentFooterBytes ||
      place.length != segment_size - kSegmentFooterBytes - place.offset) {
    throw_corrupt("records, index and footer do not add up to its size");
  }
  if (place.count > place.length / kMinEntryBytes) throw_corrupt("the index is too short for its records");
  return place;
}

std::vector<SegmentEntry> parse_segment_index(std::string_view index, const SegmentIndexPlace& place,
                                              const SegmentWriter::IndexTransform& open) {
  if (index.size() != place.length || crc32c(as_bytes(index)) != place.crc32c) {
    throw_corrupt("the index's checksum does not match");
  }
  std::string opened;
  if (place.sealed) {
    if (!open) {
      throw Error(ErrorCode::key_unavailable, "the segment's index is sealed",
                  "read it through the store that wrote it");
    }
    opened = open(index);
    index = opened;
  }
  if (place.count > index.size() / kMinEntryBytes) throw_corrupt("the index is too short for its records");
  Reader reader(index);
  std::vector<SegmentEntry> entries;
  entries.reserve(place.count);
  std::uint64_t offset = 0;
  for (std::uint32_t i = 0; i < place.count; ++i) {
    const std::uint64_t length = reader.varint();
    const Version version = reader.varint();
    const std::string_view collection = reader.sized();
    const std::string_view id = reader.sized();
    if (!reader.ok() || collection.size() > kMaxCollectionBytes || id.size() > kMaxIdBytes) {
      throw_corrupt("an entry of the index is malformed");
    }
    if (length == 0 || length > place.offset - offset)
      throw_corrupt("a record does not end before the index");
    entries.push_back({offset, length, version, std::string(collection), std::string(id)});
    offset += length;
  }
  if (!reader.done() || offset != place.offset) throw_corrupt("the index does not account for every byte");
  return entries;
}

}  // namespace db4::codec
