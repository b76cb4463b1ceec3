#pragma once
// What the disk cache keeps in its engine. No other version of db4 reads it: where a format changes, kFolder
// of disk_warm_cache.cpp changes too, and the cache starts anew.
//
//   records      key -> record, then a trailer: version, fresh_until, stale_until, CRC32C of key and trailer
//   places       key -> queue, sequence number, bytes, version, stale_until
//   small_queue, main_queue    sequence number (big-endian) -> key
//   totals       what the queues hold, and the last sequence number

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "kv/engine.hpp"

#include <db4/warm_cache.hpp>

#include <array>

namespace db4::warm {

enum Space : std::uint8_t { kRecords = 1, kPlaces = 2, kSmallQueue = 3, kMainQueue = 4, kTotals = 5 };

inline std::vector<kv::SpaceSpec> warm_spaces() {
  return {{kRecords, "records", kv::SpaceKind::bodies},
          {kPlaces, "places", kv::SpaceKind::keys},
          {kSmallQueue, "small_queue", kv::SpaceKind::keys},
          {kMainQueue, "main_queue", kv::SpaceKind::keys},
          {kTotals, "totals", kv::SpaceKind::counters}};
}

/// Where an entry stands. Small, so that eviction and contains() read no record.
struct Place {
  std::uint8_t queue = kSmallQueue;
  std::uint64_t sequence = 0;
  std::uint64_t bytes = 0;
  Version version = 0;
  TimePoint stale_until{};
};

inline std::string encode_place(const Place& place) {
  std::string out;
  put_fixed(out, place.queue);
  put_fixed(out, place.sequence);
  put_fixed(out, place.bytes);
  put_fixed(out, place.version);
  put_fixed(out, static_cast<std::int64_t>(place.stale_until.time_since_epoch().count()));
  return out;
}

inline std::optional<Place> decode_place(std::string_view text) {
  Reader reader(text);
  Place place;
  place.queue = reader.fixed<std::uint8_t>();
  place.sequence = reader.fixed<std::uint64_t>();
  place.bytes = reader.fixed<std::uint64_t>();
  place.version = reader.fixed<Version>();
  place.stale_until = TimePoint{std::chrono::microseconds{reader.fixed<std::int64_t>()}};
  if (!reader.done() || (place.queue != kSmallQueue && place.queue != kMainQueue)) return std::nullopt;
  return place;
}

inline constexpr std::size_t kTrailerBytes = 8 + 8 + 8 + 4;

/// At the end, so that reading an entry needs no copy of its record.
inline std::string encode_entry(std::string_view key, const WarmEntry& entry) {
  std::string trailer;
  put_fixed(trailer, entry.version);
  put_fixed(trailer, static_cast<std::int64_t>(entry.fresh_until.time_since_epoch().count()));
  put_fixed(trailer, static_cast<std::int64_t>(entry.stale_until.time_since_epoch().count()));
  put_fixed(trailer, crc32c(as_bytes(trailer), crc32c(as_bytes(key))));
  std::string out;
  out.reserve(entry.record->size() + kTrailerBytes);
  out.append(*entry.record).append(trailer);
  return out;
}

/// nullopt where the trailer is damaged or another key's. The record's own checksum is checked by whoever
/// decodes it.
inline std::optional<WarmEntry> decode_entry(std::string_view key, std::string stored) {
  if (stored.size() < kTrailerBytes) return std::nullopt;
  const std::size_t record_bytes = stored.size() - kTrailerBytes;
  const std::string_view trailer = std::string_view(stored).substr(record_bytes);
  Reader reader(trailer);
  WarmEntry entry;
  entry.version = reader.fixed<Version>();
  entry.fresh_until = TimePoint{std::chrono::microseconds{reader.fixed<std::int64_t>()}};
  entry.stale_until = TimePoint{std::chrono::microseconds{reader.fixed<std::int64_t>()}};
  const std::uint32_t checksum =
      crc32c(as_bytes(trailer.substr(0, kTrailerBytes - 4)), crc32c(as_bytes(key)));
  if (reader.fixed<std::uint32_t>() != checksum) return std::nullopt;
  stored.resize(record_bytes);
  entry.record = std::make_shared<const std::string>(std::move(stored));
  return entry;
}

inline std::string sequence_key(std::uint64_t sequence) {
  std::string key;
  put_big_endian(key, sequence);
  return key;
}

/// Counters over all entries: in memory, and changed on disk in the same batch as the entries.
struct Totals {
  std::int64_t small_bytes = 0;
  std::int64_t small_entries = 0;
  std::int64_t main_bytes = 0;
  std::int64_t main_entries = 0;
  std::int64_t sequence = 0;

  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return static_cast<std::uint64_t>(small_bytes + main_bytes);
  }
  [[nodiscard]] std::uint64_t entries() const noexcept {
    return static_cast<std::uint64_t>(small_entries + main_entries);
  }

  /// Calls `visit(name, member)` for each.
  template <typename Self, typename Visit>
  static void for_each(Self& self, const Visit& visit) {
    visit("small_bytes", self.small_bytes);
    visit("small_entries", self.small_entries);
    visit("main_bytes", self.main_bytes);
    visit("main_entries", self.main_entries);
    visit("sequence", self.sequence);
  }
};

}  // namespace db4::warm
