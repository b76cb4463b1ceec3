#include "codec/record_header.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "codec/framed_record.hpp"

namespace db4::codec {

namespace {

constexpr std::string_view kMagic = "DB4R";
constexpr std::size_t kLengthAt = 6;  // in the header: magic, format version, then its own length
constexpr std::size_t kFixedBytes = 8;
constexpr std::size_t kChecksumBytes = 4;

// RFC 1952: magic, deflate, FEXTRA alone, no time, no hint, unknown system: the same bytes on every machine.
constexpr std::string_view kGzipStart{"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff", 10};
constexpr std::string_view kGzipSubfield = "D4";
constexpr std::size_t kGzipCarrierBytes = 16;  // start, XLEN, subfield id, subfield length
constexpr std::size_t kGzipSubfieldBytes = 4;  // the last two of those, which XLEN counts

// One of the sixteen skippable magics, 0x184D2A50 to 5F; 5E is taken by zstd's seekable format.
constexpr std::string_view kSkippableMagic = "\x5d\x2a\x4d\x18";
constexpr std::size_t kSkippableCarrierBytes = 8;  // magic, length

constexpr std::size_t kMaxPlainHeaderBytes = kMaxHeaderBytes - kGzipCarrierBytes;
// So that sums of offsets and lengths cannot overflow.
constexpr std::uint64_t kMaxLength = 1ULL << 62;

void put_field(std::string& out, FieldType type, std::string_view value) {
  out.push_back(static_cast<char>(type));
  put_sized(out, value);
}

void put_varint_field(std::string& out, FieldType type, std::uint64_t value) {
  std::string encoded;
  put_varint(encoded, value);
  put_field(out, type, encoded);
}

template <typename Integer>
void put_fixed_field(std::string& out, FieldType type, Integer value) {
  std::string encoded;
  put_fixed(encoded, value);
  put_field(out, type, encoded);
}

void check_limit(std::string_view what, std::size_t size, std::size_t limit) {
  if (size <= limit) return;
  throw Error(ErrorCode::too_large,
              "the " + std::string(what) + " has " + std::to_string(size) + " bytes, the limit is " +
                  std::to_string(limit),
              "make it shorter");
}

void check_encodable(const RecordHeader& header) {
  check_limit("collection", header.collection.size(), kMaxCollectionBytes);
  check_limit("id", header.id.size(), kMaxIdBytes);
  check_limit("content type", header.content_type.size(), kMaxContentTypeBytes);
  if (header.version == 0) {
    throw Error(ErrorCode::invalid_argument, "a record cannot have version 0, which means absent",
                "encode documents with the version of their catalogue row");
  }
}

void put_fields(std::string& out, const ParsedHeader& header) {
  put_field(out, FieldType::collection, header.header.collection);
  put_field(out, FieldType::id, header.header.id);
  put_varint_field(out, FieldType::version, header.header.version);
  put_varint_field(out, FieldType::codec, static_cast<std::uint64_t>(header.compression));
  put_field(out, FieldType::content_type, header.header.content_type);
  put_fixed_field(out, FieldType::created_at, header.header.created_at.time_since_epoch().count());
  put_fixed_field(out, FieldType::updated_at, header.header.updated_at.time_since_epoch().count());
  put_varint_field(out, FieldType::content_length, header.content_length);
  if (header.frame_bytes != 0) {
    put_varint_field(out, FieldType::frame_bytes, header.frame_bytes);
    if (!header.content_key.empty()) put_field(out, FieldType::content_key, as_text(header.content_key));
    return;
  }
  put_fixed_field(out, FieldType::content_crc32c, header.content_crc32c);
  put_varint_field(out, FieldType::payload_length, header.payload_length);
  put_fixed_field(out, FieldType::payload_crc32c, header.payload_crc32c);
  if (header.dictionary_id != 0) put_fixed_field(out, FieldType::dictionary, header.dictionary_id);
}

/// How a record begins, and where in it the header stands.
struct Carrier {
  Compression compression = Compression::none;
  std::size_t header_offset = 0;
  /// What the carrier says the header's length is; absent where the header alone says it.
  std::optional<std::size_t> header_length;
};

Carrier recognise_carrier(std::string_view record) {
  if (record.starts_with(kMagic)) return {};
  if (record.starts_with(kGzipStart)) {
    if (record.size() < kGzipCarrierBytes) throw_corrupt_record("it ends inside the gzip header");
    const std::size_t extra_length = load_fixed<std::uint16_t>(record.data() + kGzipStart.size());
    const std::size_t subfield_length = load_fixed<std::uint16_t>(record.data() + kGzipCarrierBytes - 2);
    if (record.substr(12, 2) != kGzipSubfield || extra_length != subfield_length + kGzipSubfieldBytes) {
      throw_corrupt_record("the gzip header's extra field is not db4's");
    }
    return {Compression::gzip, kGzipCarrierBytes, subfield_length};
  }
  if (record.starts_with(kSkippableMagic)) {
    if (record.size() < kSkippableCarrierBytes) throw_corrupt_record("it ends inside the skippable frame");
    return {Compression::zstd, kSkippableCarrierBytes,
            load_fixed<std::uint32_t>(record.data() + kSkippableMagic.size())};
  }
  throw_corrupt_record("it begins like no db4 record");
}

/// The header from magic to checksum, which is checked. These places are the same in every format version, so
/// that damage and a newer format can be told apart.
std::string_view checked_header(std::string_view record, const Carrier& carrier) {
  const std::string_view from = record.substr(carrier.header_offset);
  if (from.size() < kFixedBytes || !from.starts_with(kMagic)) throw_corrupt_record("it has no header");
  const std::size_t length = load_fixed<std::uint16_t>(from.data() + kLengthAt);
  if (length < kFixedBytes + kChecksumBytes || length > kMaxPlainHeaderBytes || length > from.size() ||
      carrier.header_length.value_or(length) != length) {
    throw_corrupt_record("the header's length is wrong");
  }
  const std::string_view header = from.substr(0, length);
  const std::string_view covered = header.substr(0, length - kChecksumBytes);
  if (crc32c(as_bytes(covered)) != load_fixed<std::uint32_t>(covered.data() + covered.size())) {
    throw_corrupt_record("the header's checksum does not match");
  }
  const auto version = load_fixed<std::uint16_t>(header.data() + kMagic.size());
  if (version == 0) throw_corrupt_record("the format version is 0");
  if (version > kRecordFormatVersion) {
    throw Error(ErrorCode::unsupported, "the record has format version " + std::to_string(version),
                "read it with a newer db4");
  }
  return covered.substr(kFixedBytes);
}

std::string_view text_value(std::string_view value, std::size_t limit) {
  if (value.size() > limit) throw_corrupt_record("a name in the header is over its limit");
  return value;
}

std::uint64_t varint_value(std::string_view value, std::uint64_t limit) {
  Reader reader(value);
  const std::uint64_t number = reader.varint();
  if (!reader.done() || number > limit) throw_corrupt_record("a number in the header is out of range");
  return number;
}

template <typename Integer>
Integer fixed_value(std::string_view value) {
  if (value.size() != sizeof(Integer)) throw_corrupt_record("a field of the header has the wrong length");
  return load_fixed<Integer>(value.data());
}

TimePoint time_value(std::string_view value) {
  return TimePoint{std::chrono::microseconds{fixed_value<std::int64_t>(value)}};
}

[[noreturn]] void throw_unsupported(const std::string& what) {
  throw Error(ErrorCode::unsupported, "the record has " + what + ", which this db4 does not know",
              "read it with a newer db4");
}

void check_codec(std::string_view value, Compression carrier) {
  const std::uint64_t codec = varint_value(value, kMaxLength);
  if (codec > static_cast<std::uint64_t>(Compression::zstd)) {
    throw_unsupported("codec " + std::to_string(codec));
  }
  if (codec != static_cast<std::uint64_t>(carrier)) {
    throw_corrupt_record("the header names another codec than its carrier");
  }
}

void take_field(ParsedHeader& out, std::uint8_t type, std::string_view value) {
  switch (static_cast<FieldType>(type)) {
    case FieldType::collection:
      out.header.collection = text_value(value, kMaxCollectionBytes);
      return;
    case FieldType::id:
      out.header.id = text_value(value, kMaxIdBytes);
      return;
    case FieldType::version:
      out.header.version = varint_value(value, ~0ULL);
      return;
    case FieldType::codec:
      check_codec(value, out.compression);
      return;
    case FieldType::key_id:
      throw_unsupported("a key id");
    case FieldType::content_type:
      out.header.content_type = text_value(value, kMaxContentTypeBytes);
      return;
    case FieldType::created_at:
      out.header.created_at = time_value(value);
      return;
    case FieldType::updated_at:
      out.header.updated_at = time_value(value);
      return;
    case FieldType::content_length:
      out.content_length = varint_value(value, kMaxLength);
      return;
    case FieldType::content_crc32c:
      out.content_crc32c = fixed_value<std::uint32_t>(value);
      return;
    case FieldType::payload_length:
      out.payload_length = varint_value(value, kMaxLength);
      return;
    case FieldType::payload_crc32c:
      out.payload_crc32c = fixed_value<std::uint32_t>(value);
      return;
    case FieldType::frame_bytes:
      out.frame_bytes = varint_value(value, kMaxFrameBytes);
      if (out.frame_bytes < kMinFrameBytes) throw_corrupt_record("its frames are too small");
      return;
    case FieldType::dictionary:
      out.dictionary_id = fixed_value<std::uint32_t>(value);
      if (out.dictionary_id == 0) throw_corrupt_record("the id of its dictionary is 0");
      return;
    case FieldType::sealed_header:
      out.sealed_header = text_value(value, kMaxHeaderBytes);
      if (value.empty()) throw_corrupt_record("its sealed header is empty");
      return;
    case FieldType::content_key:
      if (value.size() != kContentKeyBytes) throw_corrupt_record("its content key has the wrong length");
      out.content_key = as_bytes(value);
      return;
  }
  if (type < kFirstOptionalField) throw_unsupported("a header field of type " + std::to_string(type));
}

constexpr std::uint32_t bit(FieldType type) { return 1U << static_cast<unsigned>(type); }
/// All fields but key_id, which only an encrypted record has, dictionary, and frame_bytes: where that one is,
/// each frame has a checksum instead.
constexpr std::uint32_t kRequiredFields = 0x1FFE & ~bit(FieldType::key_id);
/// All that a sealed record has: its own header is among it, sealed.
constexpr std::uint32_t kSealedFields =
    bit(FieldType::sealed_header) | bit(FieldType::payload_length) | bit(FieldType::payload_crc32c);
constexpr std::uint32_t kSealedFramedFields = bit(FieldType::sealed_header) | bit(FieldType::frame_bytes);
constexpr std::uint32_t kUnframedFields =
    bit(FieldType::content_crc32c) | bit(FieldType::payload_length) | bit(FieldType::payload_crc32c);

void parse_fields(std::string_view fields, ParsedHeader& out) {
  Reader reader(fields);
  std::uint32_t seen = 0;
  unsigned last_type = 0;
  while (!reader.done()) {
    const auto type = reader.fixed<std::uint8_t>();
    const std::string_view value = reader.sized();
    if (!reader.ok()) throw_corrupt_record("a field of the header ends outside it");
    // Strictly rising types: each field at most once, without a set of those seen.
    if (type <= last_type) throw_corrupt_record("the header's fields are out of order");
    last_type = type;
    take_field(out, type, value);
    if (type < 32) seen |= 1U << type;
  }
  if ((seen & bit(FieldType::sealed_header)) != 0) {
    if (out.compression != Compression::none || (seen != kSealedFields && seen != kSealedFramedFields)) {
      throw_corrupt_record("a sealed record's header says too much or too little");
    }
    return;
  }
  if (!out.content_key.empty() && out.frame_bytes == 0) {
    throw_corrupt_record("it has a content key, and no frames");
  }
  if (out.dictionary_id != 0 && out.compression != Compression::zstd) {
    throw_corrupt_record("it names a dictionary, and zstd did not compress it");
  }
  const bool framed = out.frame_bytes != 0;
  if (framed && (seen & kUnframedFields) != 0) throw_corrupt_record("it is both framed and not");
  if (framed && out.compression != Compression::none) throw_corrupt_record("its frames are compressed");
  const std::uint32_t required = framed ? kRequiredFields & ~kUnframedFields : kRequiredFields;
  if ((seen & required) != required) throw_corrupt_record("the header lacks a field");
  if (out.header.version == 0) throw_corrupt_record("the document's version is 0");
}

}  // namespace

void throw_corrupt_record(std::string_view what) {
  throw Error(ErrorCode::corrupt, "the record is damaged: " + std::string(what),
              "read another copy, or restore the document");
}

namespace {

/// The header without a carrier, of fields that `put` puts. Within kFieldsReserve bytes, and those of
/// `names_bytes`, it is written in one place: no copy of a content key is left behind.
constexpr std::size_t kFieldsReserve = 256;
template <typename Put>
std::string plain_header(std::size_t names_bytes, const Put& put) {
  std::string plain;
  plain.reserve(kFieldsReserve + names_bytes);
  plain.append(kMagic);
  put_fixed<std::uint16_t>(plain, kRecordFormatVersion);
  put_fixed<std::uint16_t>(plain, 0);
  put(plain);
  const auto length = static_cast<std::uint16_t>(plain.size() + kChecksumBytes);
  std::memcpy(plain.data() + kLengthAt, &length, sizeof length);
  put_fixed<std::uint32_t>(plain, crc32c(as_bytes(plain)));
  return plain;
}

void check_sealed_header(std::string_view sealed_header) {
  // Leaves room for the other fields; the longest header that is sealed is far shorter.
  check_limit("sealed header", sealed_header.size(), kMaxPlainHeaderBytes - 64);
}

}  // namespace

std::string encode_sealed_record(std::string_view sealed_header, std::string_view sealed_payload) {
  check_sealed_header(sealed_header);
  std::string out = plain_header(sealed_header.size(), [&](std::string& fields) {
    put_varint_field(fields, FieldType::payload_length, sealed_payload.size());
    put_fixed_field(fields, FieldType::payload_crc32c, crc32c(as_bytes(sealed_payload)));
    put_field(fields, FieldType::sealed_header, sealed_header);
  });
  out.append(sealed_payload);
  return out;
}

std::string encode_sealed_frames_header(std::string_view sealed_header, std::uint64_t frame_bytes) {
  check_sealed_header(sealed_header);
  return plain_header(sealed_header.size(), [&](std::string& fields) {
    put_varint_field(fields, FieldType::frame_bytes, frame_bytes);
    put_field(fields, FieldType::sealed_header, sealed_header);
  });
}

std::string encode_record_header(const ParsedHeader& header) {
  check_encodable(header.header);
  const RecordHeader& names = header.header;
  std::string plain = plain_header(names.collection.size() + names.id.size() + names.content_type.size(),
                                   [&](std::string& fields) { put_fields(fields, header); });
  const std::size_t length = plain.size();

  if (header.compression == Compression::none) return plain;
  std::string out;
  out.reserve(kGzipCarrierBytes + plain.size());
  if (header.compression == Compression::gzip) {
    out.append(kGzipStart);
    put_fixed<std::uint16_t>(out, static_cast<std::uint16_t>(length + kGzipSubfieldBytes));
    out.append(kGzipSubfield);
    put_fixed<std::uint16_t>(out, length);
  } else {
    out.append(kSkippableMagic);
    put_fixed<std::uint32_t>(out, length);
  }
  out.append(plain);
  return out;
}

ParsedHeader parse_record_header(std::string_view record) {
  const Carrier carrier = recognise_carrier(record);
  const std::string_view fields = checked_header(record, carrier);
  ParsedHeader out;
  out.compression = carrier.compression;
  parse_fields(fields, out);
  out.payload_offset = carrier.header_offset + kFixedBytes + fields.size() + kChecksumBytes;
  return out;
}

std::uint64_t record_length(const ParsedHeader& header) noexcept {
  if (header.frame_bytes != 0) {
    const std::uint64_t frames = header.content_length / header.frame_bytes +
                                 (header.content_length % header.frame_bytes != 0 ? 1 : 0);
    return header.payload_offset + header.content_length + frames * kFrameChecksumBytes;
  }
  return header.payload_offset + header.payload_length;
}

}  // namespace db4::codec
