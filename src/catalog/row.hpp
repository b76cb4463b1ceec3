#pragma once
// The catalogue's row: whether a document exists, its version, and where its bytes are. Byte table:
// docs/formats/row.md.

#include <db4/tier.hpp>
#include <db4/types.hpp>

#include <optional>
#include <string>

namespace db4::catalog {

// The enums below are on disk: never renumber.

enum class RowState : std::uint8_t { live = 1, tombstone = 2 };

/// Where the engine holds the body of a document whose home is hot.
enum class BodyPlace : std::uint8_t { none = 0, in_row = 1, in_bodies = 2 };

/// What put a document where it is.
enum class PlacedBy : std::uint8_t {
  write = 1,            ///< written, and hot is where writes go
  write_to_tier = 2,    ///< the writer named the tier
  write_too_large = 3,  ///< over hot.max_body_size (or all of max_size): straight to cold
  policy = 4,           ///< a tiering run
  pressure = 5,         ///< demoted to make room in hot
  read = 6,             ///< promoted by a read
  hand = 7,             ///< promote() or demote(); holds until the document is next used
  remove_copy = 8,      ///< the other copy was dropped
  pin = 9,              ///< a tiering run, for a pin
};

/// Where a record lies in cold: a range of an object.
struct ColdPlace {
  std::string object;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool in_segment = false;
  /// The record is in frames: a large document, uploaded in parts (docs/formats/large.md).
  bool framed = false;
  /// The version that the record names, where it is not the row's: what was uploaded for hours takes the
  /// version after whatever was written meanwhile. 0: the row's.
  Version record_version = 0;
  /// Number of the data key that seals the record (sealing/sealer.hpp); 0: it is plain.
  std::uint64_t key = 0;
  /// Of a sealed record in frames: which one (sealing::digest_of_header). Two uploads of a document that were
  /// begun at the same version name the same one, and only this says which of them the row means.
  std::array<std::byte, 16> digest{};
  friend bool operator==(const ColdPlace&, const ColdPlace&) = default;
};

struct Row {
  std::uint64_t revision = 0;  ///< rises on every change of the row; never repeats for a key
  Version version = 0;         ///< rises on every write and removal
  RowState state = RowState::live;
  StorageTier home = StorageTier::hot;  ///< hot or cold
  BodyPlace body_place = BodyPlace::none;
  PlacedBy placed_by = PlacedBy::write;
  std::uint64_t size = 0;  ///< bytes of the body
  std::int64_t created_at_us = 0;
  std::int64_t updated_at_us = 0;
  std::int64_t placed_at_us = 0;
  std::int64_t due_us = 0;  ///< the entry in the due index; 0: none
  std::string content_type;
  std::optional<ColdPlace> cold;  ///< of this version; kept when a document is promoted
  std::string inline_body;        ///< with BodyPlace::in_row; sealed where body_key is not 0
  std::uint64_t body_key = 0;  ///< number of the data key that seals the body in the engine; 0: it is plain

  [[nodiscard]] bool live() const noexcept { return state == RowState::live; }
  [[nodiscard]] bool hot() const noexcept { return live() && home == StorageTier::hot; }
};

/// The row's bytes. The key takes part in the checksum: a row under another key is a damaged row.
std::string encode_row(std::string_view key, const Row& row);
/// Throws corrupt, and unsupported for a newer format.
Row decode_row(std::string_view key, std::string_view bytes);
/// What every encoding of a row at this revision starts with, and none at another.
std::string revision_prefix(std::uint64_t revision);

}  // namespace db4::catalog
