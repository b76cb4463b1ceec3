#pragma once
// What the Redis cache keeps in Redis; docs/redis.md has the tables. In front of every name stand the prefix,
// the store's id and a colon:
//
//   e:KEY   an entry: the record, then the trailer below
//   g       the generation: eight random bytes. Entries of another one do not count any more
//   l:KEY   who may fill that entry, for as long as the key lives: the lease's token, then the generation
//   n       what is held, as a hash: "Tn" entries and "Tb" bytes that are gone by second T of the wall clock
//
// The trailer is at the end, so that reading an entry needs no copy of its record, and GETRANGE gives it
// alone. Where a format changes the letters change too: versions of db4 that share a server do not see each
// other's.

#include "base/encoding.hpp"
#include "base/hash.hpp"

#include <db4/warm_cache.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

namespace db4::warm {

inline constexpr std::string_view kRedisMagic = "db4w";
inline constexpr std::uint8_t kRedisFormat = 1;
/// Magic, format, three zeros; version, fresh_until, stale_until, counted_until; checksum.
inline constexpr std::size_t kRedisCheckedBytes = 4 + 1 + 3 + 8 + 8 + 8 + 8;
inline constexpr std::size_t kGenerationBytes = 8;
inline constexpr std::size_t kRedisTrailerBytes = kRedisCheckedBytes + 4 + kGenerationBytes;
static_assert(kRedisTrailerBytes == 52, "the scripts count these bytes too");

/// An entry's last second in the counts: its end, rounded up so that about thirty of them cover the time that
/// an entry lives. Entries come and go by thousands, the counts have a handful of fields.
inline std::uint64_t counted_until(TimePoint stale_until, TimePoint now) {
  const auto seconds = [](TimePoint at) {
    return static_cast<std::uint64_t>(
        std::max<std::int64_t>(std::chrono::ceil<std::chrono::seconds>(at.time_since_epoch()).count(), 0));
  };
  const std::uint64_t end = seconds(stale_until);
  const std::uint64_t left = end > seconds(now) ? end - seconds(now) : 1;
  const std::uint64_t width = std::max<std::uint64_t>(std::bit_ceil(left) / 32, 1);
  return (end / width + 1) * width;
}

/// The trailer without the generation, which the script that stores it adds.
inline std::string encode_redis_trailer(std::string_view key, const WarmEntry& entry, std::uint64_t counted) {
  std::string out;
  out.reserve(kRedisTrailerBytes);
  out.append(kRedisMagic);
  put_fixed(out, kRedisFormat);
  out.append(3, '\0');
  put_fixed(out, entry.version);
  put_fixed(out, static_cast<std::int64_t>(entry.fresh_until.time_since_epoch().count()));
  put_fixed(out, static_cast<std::int64_t>(entry.stale_until.time_since_epoch().count()));
  put_fixed(out, counted);
  put_fixed(out, crc32c(as_bytes(out), crc32c(as_bytes(key))));
  return out;
}

/// The entry without its record; nullopt where this is no trailer, or another key's.
inline std::optional<WarmEntry> decode_redis_trailer(std::string_view key, std::string_view trailer) {
  if (trailer.size() != kRedisTrailerBytes || !trailer.starts_with(kRedisMagic)) return std::nullopt;
  const std::string_view checked = trailer.substr(0, kRedisCheckedBytes);
  Reader reader(trailer.substr(kRedisMagic.size()));
  const auto format = reader.fixed<std::uint8_t>();
  (void)reader.bytes(3);
  WarmEntry entry;
  entry.version = reader.fixed<Version>();
  entry.fresh_until = TimePoint{std::chrono::microseconds{reader.fixed<std::int64_t>()}};
  entry.stale_until = TimePoint{std::chrono::microseconds{reader.fixed<std::int64_t>()}};
  (void)reader.fixed<std::uint64_t>();
  const auto checksum = reader.fixed<std::uint32_t>();
  if (format != kRedisFormat || checksum != crc32c(as_bytes(checked), crc32c(as_bytes(key)))) {
    return std::nullopt;
  }
  return entry;
}

inline std::string_view generation_in(std::string_view trailer) {
  return trailer.substr(trailer.size() - kGenerationBytes);
}

// The scripts. A server runs one at a time, so each is one step to all processes. They name every key that
// they touch, and use no library beyond strings, so that Valkey, KeyDB and Dragonfly run them as well.

/// Finds the generation (`gen`, false where there is none) and what is held under KEYS[1]; `forget` takes the
/// latter out of the counts. Strings are compared byte by byte: `<` on strings asks the server's locale. The
/// checksum is not looked at: a damaged trailer may hold a put off, until the next read removes it.
inline constexpr std::string_view kRedisPreamble = R"(
local gen = redis.call('GET', KEYS[2])
local tail = redis.pcall('GETRANGE', KEYS[1], -52, -1)
if type(tail) ~= 'string' then tail = '' end
local held = gen and #tail == 52 and tail:sub(1, 5) == 'db4w\1' and tail:sub(45) == gen
local bytes = held and redis.call('STRLEN', KEYS[1]) + #KEYS[1] + 100
local function count(second, entries, change)
  redis.call('HINCRBY', KEYS[3], second .. 'n', entries)
  redis.call('HINCRBY', KEYS[3], second .. 'b', change)
end
local function forget()
  local second = 0
  for i = 40, 33, -1 do second = second * 256 + tail:byte(i) end
  second = string.format('%.0f', second)
  if redis.call('HEXISTS', KEYS[3], second .. 'n') == 1 then count(second, -1, -bytes) end
end
)";
/// What the scripts count for an entry beside key and value: Redis's own overhead, about.
inline constexpr std::uint64_t kRedisOverheadBytes = 100;

/// KEYS: entry, generation, counts, lease. ARGV: the value without the generation (empty: store nothing, but
/// end what an older version left); the version, 8 bytes, little-endian; milliseconds to live; a new
/// generation, should there be none; the second in the counts; the second that is now; the token of the lease
/// under which it is put, without which it is not (empty: under none). Whoever else has the lease loses it:
/// last, for a server that is short of memory refuses the script's first write alone.
inline constexpr std::string_view kRedisPutScript = R"(
if ARGV[7] ~= '' and (not gen or redis.pcall('GET', KEYS[4]) ~= ARGV[7] .. gen) then return 0 end
if not gen or #gen ~= 8 then
  gen = ARGV[4]
  held = false
  redis.call('SET', KEYS[2], gen)
  redis.call('DEL', KEYS[3])
end
if held then
  for i = 8, 1, -1 do
    local old, new = tail:byte(8 + i), ARGV[2]:byte(i)
    if old > new then
      redis.call('UNLINK', KEYS[4])
      return 0
    end
    if old < new then break end
  end
  forget()
end
if ARGV[1] == '' then
  redis.call('UNLINK', KEYS[1], KEYS[4])
  return 1
end
redis.call('SET', KEYS[1], ARGV[1] .. gen, 'PX', ARGV[3])
redis.call('UNLINK', KEYS[4])
count(ARGV[5], 1, #ARGV[1] + 8 + #KEYS[1] + 100)
local life = tonumber(ARGV[3])
if redis.call('PTTL', KEYS[2]) < life + 60000 then
  redis.call('PEXPIRE', KEYS[2], 2 * life + 120000)
  redis.call('PEXPIRE', KEYS[3], 2 * life + 120000)
end
if redis.call('HLEN', KEYS[3]) > 512 then
  for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
    if tonumber(field:sub(1, -2)) <= tonumber(ARGV[6]) then redis.call('HDEL', KEYS[3], field) end
  end
end
return 1
)";

/// KEYS: entry, generation, counts, lease.
inline constexpr std::string_view kRedisRemoveScript = R"(
redis.call('UNLINK', KEYS[4])
local gone = redis.call('UNLINK', KEYS[1])
if held then forget() end
return gone
)";

/// KEYS: lease, generation, counts. ARGV: a token; milliseconds; a new generation, should there be none. A
/// lease of another generation was ended by a clear. SET with NX is not enough for that.
inline constexpr std::string_view kRedisTakeScript = R"(
local gen = redis.call('GET', KEYS[2])
if not gen or #gen ~= 8 then
  gen = ARGV[3]
  redis.call('SET', KEYS[2], gen, 'PX', 86400000)
  redis.call('DEL', KEYS[3])
end
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and held:sub(-8) == gen then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. gen, 'PX', ARGV[2])
return 1
)";

/// KEYS: lease. ARGV: the token.
inline constexpr std::string_view kRedisReleaseScript = R"(
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and held:sub(1, -9) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end
return 0
)";

/// KEYS: generation, counts. ARGV: the new generation.
inline constexpr std::string_view kRedisClearScript = R"(
redis.call('SET', KEYS[1], ARGV[1], 'PX', 86400000)
return redis.call('UNLINK', KEYS[2])
)";

}  // namespace db4::warm
