#pragma once
// codec: the one self-describing, checksummed record format, and compression. Includes base only. The byte
// tables are in docs/formats/record.md.
//
// A record is a header (type-length-value, with a checksum of its own) in one of three carriers, then the
// payload:
//   none: the plain header, then the body as it is;
//   gzip: a gzip member whose extra field holds the header, so that zcat shows the body;
//   zstd: a skippable frame that holds the header, then a zstd frame, so that `zstd -d` shows the body.

#include "base/document_block.hpp"
#include "codec/dictionary.hpp"

#include <db4/config.hpp>
#include <db4/error.hpp>
#include <db4/limits.hpp>

#include <optional>
#include <string>

namespace db4::codec {

struct RecordHeader {
  std::string_view collection;
  std::string_view id;
  Version version = 0;
  std::string_view content_type = {};
  TimePoint created_at{};
  TimePoint updated_at{};
};

struct EncodeOptions {
  Compression compression = Compression::none;
  int level = 0;  ///< gzip 1 to 12, zstd 1 to 19; 0: the codec's default. Unused by none
  /// One for writing, for zstd alone; its own level counts. Readers need it too.
  const Dictionary* dictionary = nullptr;
};

/// Throws invalid_argument, naming the range, where `level` is not one of `compression`'s.
void check_compression_level(Compression compression, int level);

/// What a header says, checked against its checksum. The views point into the record.
struct ParsedHeader {
  RecordHeader header;
  Compression compression = Compression::none;
  /// Not empty: the record is sealed, and this is its own header, sealed (sealing/sealed_record.hpp). Then
  /// nothing else is here but what the payload's bytes are as they are stored.
  std::string_view sealed_header = {};
  /// Of a sealed record in frames: the key that they are sealed with. In sealed headers alone.
  ByteView content_key = {};
  std::uint64_t content_length = 0;  ///< of the body
  std::uint32_t content_crc32c = 0;
  std::uint64_t payload_length = 0;  ///< of what follows the carrier's header
  std::uint32_t payload_crc32c = 0;
  /// Not 0: the payload is in frames of so many bytes of content (framed_record.hpp), and the three checksums
  /// and lengths above but content_length are absent.
  std::uint64_t frame_bytes = 0;
  std::uint32_t dictionary_id = 0;  ///< of the zstd dictionary; 0: none
  std::size_t payload_offset = 0;
};

/// The bytes of the body as a complete record. Falls back to no smaller codec by itself: what is asked is
/// what is written, so that a gzip object is always a gzip object. Throws too_large over kMaxBodyBytes (and
/// the limits of names), invalid_argument for a level out of range and for version 0.
std::string encode_record(const RecordHeader& header, std::string_view body, const EncodeOptions& options);

/// Of the payload that encode_record would make of a body, by gzip or zstd.
std::size_t compressed_size(Compression compression, int level, std::string_view body,
                            const Dictionary* dictionary);

/// The header alone, from the first bytes of a record (kMaxHeaderBytes are always enough). Throws corrupt,
/// and unsupported for a newer format.
ParsedHeader parse_record_header(std::string_view record);
inline constexpr std::size_t kMaxHeaderBytes = 4096;

struct DecodeOptions {
  std::uint64_t max_body_bytes = kMaxBodyBytes;
  /// Where the dictionaries that records name are found; without, such a record is `unsupported`.
  DictionarySource* dictionaries = nullptr;
};

/// Who the record must be. Anything else in it is `corrupt`: a copy under the wrong name is a damaged copy.
struct RecordIdentity {
  std::string_view collection;
  std::string_view id;
  Version version = 0;
};

/// Throws corrupt unless it is that document, in that version.
void check_record_identity(const ParsedHeader& header, const RecordIdentity& expected);

/// Checks header, identity, lengths and both checksums, and decompresses straight into a new block (its
/// access figures are left at zero). `record` must be exactly one record. No frame expands past the length in
/// its header, nor that past the limit (kMaxBodyBytes at most). Throws corrupt, too_large, unsupported,
/// key_unavailable (the record is sealed), and what the source of dictionaries throws. A framed record is
/// `unsupported` here.
detail::BlockRef decode_record(std::string_view record, const RecordIdentity& expected,
                               const DecodeOptions& options = {});

/// Whether these bytes are exactly one record as it was stored: header and payload match their checksums.
/// Nothing is opened: it holds for what is compressed or sealed too.
bool is_intact_record(std::string_view record) noexcept;
/// The same; throws corrupt where it is not, and unsupported for a newer format.
void check_intact_record(std::string_view record);

/// A complete sealed record: what sealing made of a record's header and payload. Throws too_large where the
/// header is longer than any can be.
std::string encode_sealed_record(std::string_view sealed_header, std::string_view sealed_payload);
/// What stands before the frames of a sealed record in frames.
std::string encode_sealed_frames_header(std::string_view sealed_header, std::uint64_t frame_bytes);

/// The length in bytes of the record that starts here: payload_offset + payload_length. Of a sealed record in
/// frames it says nothing: that is known once the header is opened.
std::uint64_t record_length(const ParsedHeader& header) noexcept;

}  // namespace db4::codec
