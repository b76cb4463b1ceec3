#pragma once
// Records of a store that is encrypted: a plain record's header and payload, each sealed, in a header that
// says so. The byte table is in docs/formats/record.md.
//
// The header is sealed apart and bound to the store alone, so that whoever finds an object and has the keys
// can tell whose it is; the payload is bound to what the header says.

#include "codec/record.hpp"
#include "sealing/sealer.hpp"

namespace db4::sealing {

/// The sealed form of a complete record that is not in frames, with the active key.
Sealer::Sealed seal_record(const Sealer& sealer, std::string_view record);

/// A record's header, and the bytes that its views point into. Not to be moved.
class OpenedHeader {
 public:
  /// Of a plain record or a sealed one, by its first bytes (kMaxHeaderBytes are always enough). Throws as
  /// parse_record_header does, and what opening throws.
  OpenedHeader(const Sealer& sealer, std::string_view record);
  OpenedHeader(const OpenedHeader&) = delete;
  OpenedHeader& operator=(const OpenedHeader&) = delete;
  ~OpenedHeader();  ///< wipes what was opened: there may be a content key in it

  /// Of the plain record: its offsets and lengths are not those of the bytes that are stored.
  [[nodiscard]] const codec::ParsedHeader& header() const noexcept { return header_; }
  /// What is stored; of a plain record the same.
  [[nodiscard]] const codec::ParsedHeader& stored() const noexcept { return stored_; }
  /// The plain record's first bytes, up to its payload.
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }
  /// 0: it is not sealed.
  [[nodiscard]] KeyNumber key() const noexcept { return key_; }

 private:
  codec::ParsedHeader stored_;
  std::string bytes_;
  codec::ParsedHeader header_;
  KeyNumber key_ = 0;
};

/// The plain record of a sealed one; a plain one as it is. Throws corrupt for what is not exactly one record,
/// and where another key sealed it than the one given (0: none): a plain record in the place of a sealed one
/// is somebody else's.
std::string open_record(const Sealer& sealer, std::string_view record, std::optional<KeyNumber> key = {});

/// codec::decode_record of either.
detail::BlockRef decode_record(const Sealer& sealer, std::string_view record, std::optional<KeyNumber> key,
                               const codec::RecordIdentity& expected,
                               const codec::DecodeOptions& options = {});

}  // namespace db4::sealing
