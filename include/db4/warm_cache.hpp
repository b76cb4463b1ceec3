#pragma once
// WarmCache: the plug point under the warm tier. Memory, disk, Redis; bring your own by deriving from it
// and passing the conformance suite in tests/warm/.

#include <db4/types.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace db4 {

/// One cached copy: an encoded record (which names its own key, version and checksum) and its two times.
struct WarmEntry {
  Version version = 0;
  TimePoint fresh_until{};  ///< served as it is until then ...
  TimePoint stale_until{};  ///< ... and until then while somebody refreshes it; never after
  std::shared_ptr<const std::string> record = {};
};

/// What a warm cache holds.
struct WarmCacheStats {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;      ///< keys, records and overhead: what the cache's bound is about
  std::uint64_t evictions = 0;  ///< since the cache was opened
  std::uint64_t wiped = 0;      ///< how often it was started anew because what it held could not be read
  /// Entries that could not be unsealed, and were removed, since the cache was opened: tampered with, or
  /// under a key that opens nothing any more. 0 where entries are not sealed.
  std::uint64_t unreadable = 0;
};

/// Whose turn it is to fill a key, over all processes that share a cache: one at a time, each for as long as
/// its lease lasts, so that what many of them miss is fetched once (after Nishtala et al., "Scaling Memcache
/// at Facebook", 2013). A lease guards nothing but work: who gets none may fetch all the same.
///
/// Thread rule and errors: as of WarmCache.
class DB4_API WarmLeases {
 public:
  virtual ~WarmLeases() = default;
  /// Takes the lease of a key: a token, another one each time; nullopt while somebody has it. It ends after
  /// `duration` (above 0), by release() and put_leased(), and by whatever changes the key meanwhile: put(),
  /// remove() and clear() of anybody.
  [[nodiscard]] virtual std::optional<std::string> take(std::string_view key,
                                                        std::chrono::milliseconds duration) = 0;
  /// WarmCache::put and the end of the lease in one step; false, and nothing is stored, where it had ended.
  virtual bool put_leased(std::string_view key, const WarmEntry& entry, std::string_view token) = 0;
  /// Ends the lease, if it is still that of the token.
  virtual void release(std::string_view key, std::string_view token) = 0;
  /// Longer records are not stored, and so not worth a lease.
  [[nodiscard]] virtual std::uint64_t max_record_bytes() const noexcept = 0;
};

/// A bounded key-value cache that may forget anything at any time. Keys are 1 to 2,048 arbitrary bytes.
///
/// Thread rule: every call may run in many threads at once. Errors: a cache that fails throws db4::Error; the
/// warm tier counts it and goes on as if the entry were absent. After close() only the destructor may follow.
class DB4_API WarmCache {
 public:
  virtual ~WarmCache() = default;
  /// The entry as it was put, expired or not; nullopt where it is not held.
  [[nodiscard]] virtual std::optional<WarmEntry> get(std::string_view key) = 0;
  /// Replaces an entry of the same key unless that one has a higher version: a late put cannot bring back the
  /// past.
  virtual void put(std::string_view key, const WarmEntry& entry) = 0;
  /// Removing what is not there is no error.
  virtual void remove(std::string_view key) = 0;
  /// Forgets everything.
  virtual void clear() = 0;
  [[nodiscard]] virtual WarmCacheStats stats() const = 0;
  /// Whether that version of the key is held and `now` is before its stale_until; not a use of it.
  [[nodiscard]] virtual bool contains(std::string_view key, Version version, TimePoint now) = 0;
  /// Of a cache that several processes share; null: it keeps none. Part of the cache: lives as long.
  [[nodiscard]] virtual WarmLeases* leases() noexcept { return nullptr; }
  /// Lets go of files and connections.
  virtual void close() {}
};

}  // namespace db4
