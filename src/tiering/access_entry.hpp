#pragma once
// What the access tracker keeps of a key, and the table of one of its shards. Nothing here takes a lock.

#include <db4/access_tracker.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace db4::tiering {

struct AccessEntry;
struct AccessEntryDelete {
  void operator()(AccessEntry* entry) const noexcept;
};
using AccessEntryPtr = std::unique_ptr<AccessEntry, AccessEntryDelete>;

/// One allocation: these figures, then collection and id.
struct AccessEntry {
  TimePoint last_access{};
  /// log2 of the score at the epoch: as a logarithm it neither grows out of a double nor decays to 0.
  double score_log2 = 0;
  std::int64_t history_number = 0;  ///< of history[0], in eighths of history_window since 1970
  std::array<std::uint16_t, 8> history{};
  std::int64_t half_number = 0;  ///< of the current buckets, in halves of access_window since 1970
  std::uint32_t seen_current = 0;
  std::uint32_t seen_previous = 0;
  std::uint32_t unflushed_current = 0;
  std::uint32_t unflushed_previous = 0;
  std::uint64_t seen_count = 0;
  std::uint64_t unflushed_count = 0;
  std::uint32_t short_hash = 0;
  std::uint32_t position = 0;  ///< in AccessTable::entries()
  std::uint16_t id_size = 0;
  std::uint8_t collection_size = 0;

  static std::uint64_t hash_of(std::string_view collection, std::string_view id) noexcept;
  /// Throws std::bad_alloc. The sizes must fit.
  static AccessEntryPtr make(std::string_view collection, std::string_view id, std::uint64_t hash);

  [[nodiscard]] std::string_view collection() const noexcept { return {tail(), collection_size}; }
  [[nodiscard]] std::string_view id() const noexcept { return {tail() + collection_size, id_size}; }
  [[nodiscard]] AccessBuckets seen_buckets() const noexcept {
    return {.index = half_number, .current = seen_current, .previous = seen_previous};
  }
  [[nodiscard]] AccessFigures seen() const noexcept {
    return {.count = seen_count, .last_access = last_access, .buckets = seen_buckets()};
  }
  [[nodiscard]] AccessFigures unflushed() const noexcept {
    return {.count = unflushed_count,
            .last_access = last_access,
            .buckets = {.index = half_number, .current = unflushed_current, .previous = unflushed_previous}};
  }
  /// Adds figures of its own that were unflushed once to what is.
  void give_back(const AccessFigures& figures) noexcept;

 private:
  [[nodiscard]] const char* tail() const noexcept { return reinterpret_cast<const char*>(this + 1); }
};

/// How time turns into an entry's figures. What an entry holds from the future, because the clock was set
/// back, is taken to be of now: it neither freezes the figures until that future comes, nor gets lost.
class AccessWindows {
 public:
  explicit AccessWindows(const AccessPatternTrackerConfig& config) noexcept;
  /// `when` must not be after `now`.
  void record(AccessEntry& entry, std::uint32_t hits, TimePoint when, TimePoint now) const noexcept;
  /// Accesses within history_window: by eight buckets of an eighth of it, so never an older one.
  [[nodiscard]] std::uint32_t history(const AccessEntry& entry, TimePoint now) const noexcept;
  /// Above 0.
  [[nodiscard]] double score(const AccessEntry& entry, TimePoint now) const noexcept;

 private:
  void bring_back_from_future(AccessEntry& entry, TimePoint now) const noexcept;
  [[nodiscard]] double score_lives(TimePoint when) const noexcept;

  std::int64_t history_eighth_us_;
  std::int64_t access_half_us_;
  double score_half_life_us_;
};

/// Keys by open addressing over eight-byte slots (hash and position), and entries in one array whose first
/// part has unflushed figures: so both parts can be taken from, and sampled, at once.
class AccessTable {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] const std::vector<AccessEntryPtr>& entries() const noexcept { return entries_; }
  [[nodiscard]] AccessEntry* find(std::uint64_t hash, std::string_view collection,
                                  std::string_view id) const noexcept;

  /// Room for one more. Throws std::bad_alloc.
  void reserve_one();
  /// After reserve_one, a key that is not in the table; its figures count as flushed.
  AccessEntry* add(AccessEntryPtr entry) noexcept;
  void remove(AccessEntry& entry) noexcept;
  /// Of some that are sampled the one with the lowest score, of the flushed ones where there are any. Returns
  /// whether unflushed figures went. The table must not be empty.
  bool evict_one() noexcept;

  void mark_unflushed(AccessEntry& entry) noexcept;
  /// And forgets what was unflushed.
  void mark_flushed(AccessEntry& entry) noexcept;
  /// One after another in turn, so that none waits for ever; nullptr where there is none.
  [[nodiscard]] AccessEntry* next_unflushed() noexcept;

 private:
  struct Slot {
    std::uint32_t short_hash = 0;
    std::uint32_t position_plus_one = 0;  ///< 0: empty
  };
  [[nodiscard]] std::size_t slot_of(const AccessEntry& entry) const noexcept;
  void swap_positions(std::size_t a, std::size_t b) noexcept;
  void put_slot(Slot slot) noexcept;
  std::uint64_t next_random() noexcept;

  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
  std::vector<AccessEntryPtr> entries_;
  std::size_t unflushed_ = 0;  ///< so many at the front
  std::size_t turn_ = 0;
  std::uint64_t random_ = 0x9E37'79B9'7F4A'7C15;
};

}  // namespace db4::tiering
