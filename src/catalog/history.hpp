#pragma once
// The last moves of a document, kept apart from its row. Byte table: docs/formats/row.md.

#include "catalog/row.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace db4::catalog {

/// How much a document was used when it was moved: what the mover's reason rests on.
struct MoveNote {
  StorageTier from = StorageTier::hot;
  StorageTier to = StorageTier::cold;
  std::uint64_t unused_seconds = 0;
  std::uint32_t recent_reads = 0;
};

struct HistoryEntry {
  std::int64_t at_us = 0;
  PlacedBy placed_by = PlacedBy::policy;
  MoveNote note;
};

/// `value` (what was stored before, or nothing) with a move in front; the oldest go past kMaxPastMoves. Some
/// 14 bytes a move.
std::string add_to_history(std::string_view value, const HistoryEntry& entry);
/// Newest first. What cannot be read ends the list: history is for people, no data hangs on it.
std::vector<HistoryEntry> decode_history(std::string_view value);

}  // namespace db4::catalog
