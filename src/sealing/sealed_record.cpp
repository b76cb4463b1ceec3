#include "sealing/sealed_record.hpp"

#include "base/wiping.hpp"

namespace db4::sealing {
namespace {

std::uint8_t payload_codec(Compression compression) noexcept {
  return static_cast<std::uint8_t>(static_cast<unsigned>(Kind::record_payload) +
                                   static_cast<unsigned>(compression));
}

Identity identity_of(const codec::RecordHeader& header) noexcept {
  return {.collection = header.collection, .id = header.id, .version = header.version};
}

void check_key(const codec::ParsedHeader& stored, std::optional<KeyNumber> key) {
  if (!key) return;
  const KeyNumber held = stored.sealed_header.empty() ? 0 : key_of(stored.sealed_header);
  if (held == *key) return;
  throw Error(ErrorCode::corrupt,
              held == 0 ? "the record is plain, and should be sealed"
                        : "the record is sealed with another key than it should be",
              "read another copy, or restore the document; somebody may have changed it");
}

}  // namespace

Sealer::Sealed seal_record(const Sealer& sealer, std::string_view record) {
  const codec::ParsedHeader plain = codec::parse_record_header(record);
  // Both with one key: it is the one that is noted, and must not go before either.
  const auto key = sealer.keys().for_sealing();
  const Sealer::Sealed header = sealer.seal(*key, static_cast<std::uint8_t>(Kind::record_header), {},
                                            as_bytes(record.substr(0, plain.payload_offset)), Padding::none);
  const Sealer::Sealed payload =
      sealer.seal(*key, payload_codec(plain.compression), identity_of(plain.header),
                  as_bytes(record.substr(plain.payload_offset)), sealer.padding());
  return {.bytes = codec::encode_sealed_record(header.bytes, payload.bytes), .key = header.key};
}

OpenedHeader::OpenedHeader(const Sealer& sealer, std::string_view record)
    : stored_(codec::parse_record_header(record)) {
  if (stored_.sealed_header.empty()) {
    bytes_ = record.substr(0, stored_.payload_offset);
  } else {
    key_ = key_of(stored_.sealed_header);
    bytes_ = sealer.open(Kind::record_header, {}, stored_.sealed_header);
  }
  header_ = codec::parse_record_header(bytes_);
}

OpenedHeader::~OpenedHeader() {
  if (key_ != 0) crypto::wipe(std::as_writable_bytes(std::span(bytes_)));
}

std::string open_record(const Sealer& sealer, std::string_view record, std::optional<KeyNumber> key) {
  check_key(codec::parse_record_header(record), key);
  OpenedHeader opened(sealer, record);
  if (opened.key() == 0) return std::string(record);
  const codec::ParsedHeader& header = opened.header();
  codec::check_intact_record(record);
  std::string payload = sealer.open(payload_codec(header.compression), identity_of(header.header),
                                    record.substr(opened.stored().payload_offset));
  const ReleasedAtEnd released(payload);
  std::string plain;
  plain.reserve(opened.bytes().size() + payload.size());
  plain.append(opened.bytes()).append(payload);
  return plain;
}

detail::BlockRef decode_record(const Sealer& sealer, std::string_view record, std::optional<KeyNumber> key,
                               const codec::RecordIdentity& expected, const codec::DecodeOptions& options) {
  const codec::ParsedHeader stored = codec::parse_record_header(record);
  check_key(stored, key);
  if (stored.sealed_header.empty()) return codec::decode_record(record, expected, options);
  std::string plain = open_record(sealer, record);
  const ReleasedAtEnd released(plain);
  return codec::decode_record(plain, expected, options);
}

}  // namespace db4::sealing
