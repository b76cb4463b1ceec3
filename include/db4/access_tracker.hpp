#pragma once
// AccessPatternTracker: who is read how often, in bounded memory.

#include <db4/clock.hpp>
#include <db4/config.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace db4 {

/// Accesses within a window, by two buckets of half of it, aligned to the wall clock: what is counted is
/// never older than the window, and everything younger than half of it is counted.
struct AccessBuckets {
  std::int64_t index = 0;  ///< number of the current half window since 1970
  std::uint32_t current = 0;
  std::uint32_t previous = 0;
};

/// What has been seen of a key. As a delta: since it was last taken by take_unflushed.
struct AccessFigures {
  std::uint64_t count = 0;
  TimePoint last_access{};
  AccessBuckets buckets = {};
};

/// A document and what has been seen of it.
struct KeyAccess {
  std::string collection;
  std::string id;
  AccessFigures figures;
};

/// Records accesses in memory, about 100 bytes and the key for each of at most `max_keys` keys; at the bound
/// a key with a low score makes room (chosen by sampling; keys with unflushed figures last). Thread-safe:
/// sharded, each call takes one short lock; predict_cold_documents and candidates take them one after
/// another.
class DB4_API AccessPatternTracker {
 public:
  explicit AccessPatternTracker(AccessPatternTrackerConfig config = {},
                                std::shared_ptr<Clock> clock = system_clock());
  ~AccessPatternTracker();
  AccessPatternTracker(const AccessPatternTracker&) = delete;
  AccessPatternTracker& operator=(const AccessPatternTracker&) = delete;

  void record_access(std::string_view collection, std::string_view id);
  /// "collection/id", split at the first '/'. Throws invalid_argument where there is none.
  void record_access(std::string_view key);
  /// `hits` accesses at once, the last of them at `when`.
  void record_accesses(std::string_view collection, std::string_view id, std::uint32_t hits, TimePoint when);

  /// Tracked keys with fewer than cold_prediction_threshold accesses within history_window, or none for
  /// cold_age_threshold; coldest first ("collection/id"), at most `limit`.
  [[nodiscard]] std::vector<std::string> predict_cold_documents(std::size_t limit = 1000) const;

  /// Decayed frequency and recency: each access counts 1 and halves every quarter of history_window. Higher:
  /// keep hotter. A tracked key is above 0, an unknown one is 0.
  [[nodiscard]] double get_tiering_score(std::string_view key) const;
  [[nodiscard]] double get_tiering_score(std::string_view collection, std::string_view id) const;

  /// As if it had never been accessed.
  void forget(std::string_view key);
  void forget(std::string_view collection, std::string_view id);

  /// Accesses of a tracked key within access_window; 0 for an unknown one.
  [[nodiscard]] std::uint32_t recent_accesses(std::string_view collection, std::string_view id) const;
  /// What take_unflushed would give for this key; nullopt where there is nothing.
  [[nodiscard]] std::optional<AccessFigures> unflushed(std::string_view collection,
                                                       std::string_view id) const;
  /// Up to `limit` keys with figures that were not taken before, and marks them taken. The caller adds them
  /// to what is stored.
  [[nodiscard]] std::vector<KeyAccess> take_unflushed(std::size_t limit);
  /// Takes back what take_unflushed gave and could not be stored: it is given again, and is no new access.
  /// Figures of keys that are no longer tracked are lost (lost_figures).
  void give_back(std::span<const KeyAccess> figures);
  /// Keys with at least `min_recent` accesses within access_window, most first, at most `limit`: who may
  /// deserve a hotter tier.
  [[nodiscard]] std::vector<KeyAccess> busiest(std::uint32_t min_recent, std::size_t limit) const;

  /// At most max_keys.
  [[nodiscard]] std::size_t tracked_keys() const;
  /// Keys that had to go at the bound, or were gone before they could be given back, with figures nobody had
  /// stored.
  [[nodiscard]] std::uint64_t lost_figures() const;

 private:
  struct DB4_INTERNAL Shard;
  struct DB4_INTERNAL State;
  std::unique_ptr<State> state_;
};

/// The accesses still within the window at `now`.
DB4_API std::uint32_t recent_accesses(const AccessBuckets& buckets, std::chrono::milliseconds access_window,
                                      TimePoint now) noexcept;
/// Adds b to a, each bucket to its own time.
DB4_API AccessBuckets merge_buckets(const AccessBuckets& a, const AccessBuckets& b) noexcept;

}  // namespace db4
