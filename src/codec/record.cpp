#include "codec/record.hpp"

#include "base/hash.hpp"
#include "codec/compress.hpp"
#include "codec/record_header.hpp"

#include <algorithm>

namespace db4::codec {

namespace {

[[noreturn]] void throw_body_too_large(std::uint64_t size, std::uint64_t limit) {
  throw Error(ErrorCode::too_large,
              "the body has " + std::to_string(size) + " bytes, the limit is " + std::to_string(limit),
              "store less in one document, or split it");
}

}  // namespace

void check_record_identity(const ParsedHeader& parsed, const RecordIdentity& expected) {
  const RecordHeader& header = parsed.header;
  if (header.collection != expected.collection || header.id != expected.id) {
    throw_corrupt_record("it holds another document than the one asked for");
  }
  if (header.version != expected.version) {
    throw_corrupt_record("it holds version " + std::to_string(header.version) + ", not version " +
                         std::to_string(expected.version));
  }
}

namespace {

/// Everything that can be known before memory is allocated for the body.
void check_before_decoding(std::string_view record, const ParsedHeader& header,
                           const RecordIdentity& expected, const DecodeOptions& options) {
  if (!header.sealed_header.empty()) {
    throw Error(ErrorCode::key_unavailable, "the record is sealed",
                "read it through the store that wrote it");
  }
  check_record_identity(header, expected);
  if (header.frame_bytes != 0) {
    throw Error(ErrorCode::unsupported, "the record is in frames", "read it as a large document");
  }
  if (record.size() != record_length(header)) throw_corrupt_record("it is too short or too long");
  const std::uint64_t limit = std::min(options.max_body_bytes, kMaxBodyBytes);
  if (header.content_length > limit) throw_body_too_large(header.content_length, limit);
  if (crc32c(as_bytes(record.substr(header.payload_offset))) != header.payload_crc32c) {
    throw_corrupt_record("the payload's checksum does not match");
  }
}

std::shared_ptr<const Dictionary> find_dictionary(const ParsedHeader& header, const DecodeOptions& options) {
  if (header.dictionary_id == 0) return {};
  if (options.dictionaries == nullptr) {
    throw Error(ErrorCode::unsupported, "the record is compressed with a dictionary",
                "read it through the store that wrote it");
  }
  auto dictionary = options.dictionaries->find_dictionary(header.dictionary_id);
  if (dictionary) return dictionary;
  throw Error(ErrorCode::corrupt,
              "the dictionary " + std::to_string(header.dictionary_id) +
                  ", with which the record is compressed, is missing",
              "restore its object in the cold tier, or the hot folder, from a backup");
}

}  // namespace

std::string encode_record(const RecordHeader& header, std::string_view body, const EncodeOptions& options) {
  check_compression_level(options.compression, options.level);
  if (body.size() > kMaxBodyBytes) throw_body_too_large(body.size(), kMaxBodyBytes);
  const Dictionary* dictionary = options.compression == Compression::zstd ? options.dictionary : nullptr;
  Payload compressed;
  std::string_view payload = body;
  if (options.compression != Compression::none) {
    compressed = compress(options.compression, options.level, body, dictionary);
    payload = compressed.view();
  }
  ParsedHeader fields;
  fields.header = header;
  fields.compression = options.compression;
  if (dictionary != nullptr) fields.dictionary_id = dictionary->id();
  fields.content_length = body.size();
  fields.content_crc32c = crc32c(as_bytes(body));
  fields.payload_length = payload.size();
  fields.payload_crc32c =
      options.compression == Compression::none ? fields.content_crc32c : crc32c(as_bytes(payload));
  const std::string start = encode_record_header(fields);
  std::string record;
  record.reserve(start.size() + payload.size());
  record.append(start).append(payload);
  return record;
}

detail::BlockRef decode_record(std::string_view record, const RecordIdentity& expected,
                               const DecodeOptions& options) {
  const ParsedHeader parsed = parse_record_header(record);
  check_before_decoding(record, parsed, expected, options);
  const std::shared_ptr<const Dictionary> dictionary = find_dictionary(parsed, options);
  const std::string_view payload = record.substr(parsed.payload_offset);
  if (parsed.compression == Compression::none &&
      (parsed.content_length != payload.size() || parsed.content_crc32c != parsed.payload_crc32c)) {
    throw_corrupt_record("content and payload differ though nothing is compressed");
  }
  const RecordHeader& header = parsed.header;
  const auto size = static_cast<std::size_t>(parsed.content_length);
  detail::BlockRef block =
      detail::DocumentBlock::create(header.collection, header.id, header.content_type, size);
  block->version = header.version;
  block->created_at_us = header.created_at.time_since_epoch().count();
  block->updated_at_us = header.updated_at.time_since_epoch().count();
  if (parsed.compression == Compression::none) {
    std::memcpy(block->mutable_body(), payload.data(), size);
    return block;
  }
  decompress(parsed.compression, payload, block->mutable_body(), size, dictionary.get());
  if (crc32c(as_bytes(block->body())) != parsed.content_crc32c) {
    throw_corrupt_record("the content's checksum does not match");
  }
  return block;
}

std::size_t compressed_size(Compression compression, int level, std::string_view body,
                            const Dictionary* dictionary) {
  return compress(compression, level, body, dictionary).size;
}

void check_intact_record(std::string_view record) {
  const ParsedHeader header = parse_record_header(record);
  if (header.frame_bytes != 0) {
    throw Error(ErrorCode::unsupported, "the record is in frames", "read it as a large document");
  }
  if (record.size() != record_length(header)) throw_corrupt_record("it is too short or too long");
  if (crc32c(as_bytes(record.substr(header.payload_offset))) != header.payload_crc32c) {
    throw_corrupt_record("the payload's checksum does not match");
  }
}

bool is_intact_record(std::string_view record) noexcept {
  try {
    check_intact_record(record);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace db4::codec
