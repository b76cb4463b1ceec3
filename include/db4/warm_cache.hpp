#pragma once
// WarmCache: the plug point under the warm tier. Memory, disk, later Redis; bring your own by deriving from
// it and passing the conformance suite in tests/warm/.

#include <db4/types.hpp>

#include <memory>
#include <optional>
#include <string>

namespace db4 {

/// One cached copy: an encoded record (which names its own key, version and checksum) and its two times.
struct WarmEntry {
  Version version = 0;
  TimePoint fresh_until{};  ///< served as it is until then ...
  TimePoint stale_until{};  ///< ... and until then while somebody refreshes it; never after
  std::shared_ptr<const std::string> record;
};

struct WarmCacheStats {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t evictions = 0;  ///< since the cache was opened
};

/// A bounded key-value cache that may forget anything at any time. Keys are 1 to 2,048 arbitrary bytes.
///
/// Thread rule: every call may run in many threads at once. Errors: a cache that fails throws db4::Error; the
/// warm tier counts it and goes on as if the entry were absent.
class DB4_API WarmCache {
 public:
  virtual ~WarmCache() = default;
  [[nodiscard]] virtual std::optional<WarmEntry> get(std::string_view key) = 0;
  /// Replaces an entry of the same key unless that one has a higher version: a late put cannot bring back the
  /// past.
  virtual void put(std::string_view key, const WarmEntry& entry) = 0;
  virtual void remove(std::string_view key) = 0;
  virtual void clear() = 0;
  [[nodiscard]] virtual WarmCacheStats stats() const = 0;
  /// Whether the key is held, without counting as a use of it.
  [[nodiscard]] virtual bool contains(std::string_view key, Version version) = 0;
  virtual void close() {}
};

}  // namespace db4
