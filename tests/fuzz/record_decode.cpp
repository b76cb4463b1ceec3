// Any bytes as a record: refused, or decoded into just what the header says. Since a fuzzer cannot guess
// checksums, each input is tried twice: as it is, and with the checksums of header and payload put right.

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "codec/record.hpp"
#include "fuzz_target.hpp"

namespace {

using namespace db4;
using namespace db4::codec;

constexpr DecodeOptions kLimits{.max_body_bytes = 1U << 20};

bool parse(std::string_view record, ParsedHeader& out) {
  return fuzz::succeeds([&] { out = parse_record_header(record); },
                        {ErrorCode::corrupt, ErrorCode::unsupported});
}

void decode(std::string_view record) {
  ParsedHeader parsed;
  if (!parse(record, parsed)) return;
  fuzz::require(parsed.payload_offset <= record.size(), "the payload begins inside what was given");
  fuzz::require(parsed.payload_offset <= kMaxHeaderBytes, "headers are within kMaxHeaderBytes");
  const RecordIdentity identity{parsed.header.collection, parsed.header.id, parsed.header.version};
  detail::BlockRef block;
  if (!fuzz::succeeds([&] { block = decode_record(record, identity, kLimits); },
                      {ErrorCode::corrupt, ErrorCode::too_large, ErrorCode::key_unavailable})) {
    return;
  }
  fuzz::require(record_length(parsed) == record.size(), "a record is exactly one record");
  fuzz::require(block->body().size() == parsed.content_length, "the body has the length that was stated");
  fuzz::require(crc32c(as_bytes(block->body())) == parsed.content_crc32c, "the body has the checksum stated");
  fuzz::require(parsed.content_length <= kLimits.max_body_bytes, "no body is over the limit");

  const std::string again = encode_record(parsed.header, block->body(), {.compression = parsed.compression});
  fuzz::require(decode_record(again, identity)->body() == block->body(), "what was read can be written");
}

/// Where the plain header stands, by its carrier's first byte; the rest is left to the parser.
std::size_t header_offset(std::string_view record) {
  if (record.starts_with('\x1f')) return 16;
  return record.starts_with('\x5d') ? 8 : 0;
}

void put_right_checksum(std::string& record, std::size_t begin, std::size_t end, std::size_t at) {
  const std::uint32_t crc = crc32c(as_bytes(std::string_view(record).substr(begin, end - begin)));
  std::memcpy(record.data() + at, &crc, sizeof crc);
}

std::string with_right_checksums(std::string record) {
  const std::size_t begin = header_offset(record);
  if (record.size() < begin + 12) return record;
  const std::size_t length = load_fixed<std::uint16_t>(record.data() + begin + 6);
  if (length < 12 || begin + length > record.size()) return record;
  const std::size_t end = begin + length - 4;
  // An encoder ends the header with the payload's checksum; so do most inputs that grew from the corpus.
  if (end >= begin + 14 && record[end - 6] == 12 && record[end - 5] == 4) {
    put_right_checksum(record, end + 4, record.size(), end - 4);
  }
  put_right_checksum(record, begin, end, end);
  return record;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = fuzz::as_input(data, size);
  decode(input);
  decode(with_right_checksums(std::string(input)));
  return 0;
}
