#include "catalog/history.hpp"

#include "base/encoding.hpp"

#include <db4/tiering.hpp>

#include <algorithm>

namespace db4::catalog {
namespace {

constexpr std::uint8_t kHistoryFormat = 1;

void put_entry(std::string& out, const HistoryEntry& entry) {
  put_fixed(out, entry.at_us);
  out.push_back(static_cast<char>(entry.placed_by));
  out.push_back(static_cast<char>(entry.note.from));
  out.push_back(static_cast<char>(entry.note.to));
  put_varint(out, entry.note.unused_seconds);
  put_varint(out, entry.note.recent_reads);
}

bool is_tier(std::uint8_t value) noexcept { return value <= static_cast<std::uint8_t>(StorageTier::hot); }

}  // namespace

std::string add_to_history(std::string_view value, const HistoryEntry& entry) {
  std::vector<HistoryEntry> entries = decode_history(value);
  entries.insert(entries.begin(), entry);
  entries.resize(std::min(entries.size(), kMaxPastMoves));
  std::string out(1, static_cast<char>(kHistoryFormat));
  for (const HistoryEntry& kept : entries) put_entry(out, kept);
  return out;
}

std::vector<HistoryEntry> decode_history(std::string_view value) {
  std::vector<HistoryEntry> out;
  Reader in(value);
  if (in.fixed<std::uint8_t>() != kHistoryFormat) return out;
  while (!in.done() && out.size() < kMaxPastMoves) {
    HistoryEntry entry;
    entry.at_us = in.fixed<std::int64_t>();
    entry.placed_by = static_cast<PlacedBy>(in.fixed<std::uint8_t>());
    const auto from = in.fixed<std::uint8_t>();
    const auto to = in.fixed<std::uint8_t>();
    entry.note.unused_seconds = in.varint();
    entry.note.recent_reads = static_cast<std::uint32_t>(in.varint());
    if (!in.ok() || !is_tier(from) || !is_tier(to)) break;
    entry.note.from = static_cast<StorageTier>(from);
    entry.note.to = static_cast<StorageTier>(to);
    out.push_back(entry);
  }
  return out;
}

}  // namespace db4::catalog
