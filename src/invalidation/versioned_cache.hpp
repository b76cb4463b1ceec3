#pragma once
// VersionedCache: copies of documents, bounded, that know their version and their time, and the marks and
// remembered versions that keep a late copy out.
//
// Two things keep what is old from coming back. The newest version known of a document, held or remembered,
// refuses every older copy; but what is remembered is bounded, and an event need not have a version. So each
// key also has a count of its changes, shared by the keys of a stripe: a fill takes it before it reads and is
// refused where it has risen. Sharing costs a refused fill now and then, never a wrong one.
//
// Eviction is S3-FIFO (src/warm/s3_fifo.hpp).

#include "warm/s3_fifo.hpp"

#include <db4/invalidation.hpp>

#include <array>
#include <list>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace db4::invalidation {

/// The newest versions known, by hash, in a fixed table of 24 bytes for each. A bucket that is full
/// forgets its oldest. Two keys of one hash (one pair in 2^64) would refuse each other's copies. Not
/// thread-safe.
class VersionTable {
 public:
  explicit VersionTable(std::size_t capacity);
  [[nodiscard]] Version find(std::uint64_t hash) const noexcept;  ///< 0: not known
  void raise(std::uint64_t hash, Version version) noexcept;

 private:
  struct Slot {
    std::uint64_t hash = 0;
    Version version = 0;
    std::uint64_t stamp = 0;
  };
  static constexpr std::size_t kBucketSlots = 4;
  [[nodiscard]] std::size_t bucket_of(std::uint64_t hash) const noexcept {
    return (hash & bucket_mask_) * kBucketSlots;
  }

  std::vector<Slot> slots_;
  std::uint64_t bucket_mask_;
  std::uint64_t raised_ = 0;
};

/// Thread-safe; each shard has a short lock of its own.
class VersionedCache {
 public:
  struct Options {
    std::uint64_t max_entries = 0;
    std::uint64_t max_bytes = 0;
    std::size_t max_remembered = 0;
    bool compare_versions = true;
  };
  /// Until when a copy is what.
  struct Times {
    MonotonicTime set_at{};
    MonotonicTime fresh_until{};
    MonotonicTime stale_until{};
  };
  enum class SetResult : std::uint8_t { stored, older, overtaken, too_large };
  struct Drop {
    bool dropped = false;
    bool old = false;  ///< nothing that is not known, so nothing was dropped
  };
  struct Totals {
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
    std::uint64_t evictions = 0;
  };

  explicit VersionedCache(Options options);

  [[nodiscard]] FillMark mark(std::string_view collection, std::string_view id) const;
  SetResult set(std::string_view collection, std::string_view id, const Document& document,
                const Times& times, const std::optional<FillMark>& mark);
  [[nodiscard]] CacheLookup find(std::string_view collection, std::string_view id, Version expected,
                                 MonotonicTime now);
  /// Copies below `version` (0: all) are outdated. Ends fills in any case: one that began before may hold a
  /// version that is known to be old now and will be forgotten.
  Drop drop(std::string_view collection, std::string_view id, Version version);
  std::uint64_t drop_collection(std::string_view collection);
  std::uint64_t clear();
  [[nodiscard]] Totals totals() const;

 private:
  struct Node {
    Document document;
    std::string key;
    std::uint64_t hash = 0;
    std::uint64_t bytes = 0;
    Times times;
    std::uint8_t uses = 0;
    bool in_main = false;
  };
  using Nodes = std::list<Node>;
  struct Queue {
    Nodes nodes;
    std::uint64_t bytes = 0;
  };
  struct Key {
    std::uint64_t hash;
    std::string_view text;  ///< of the node
    friend bool operator==(const Key& a, const Key& b) noexcept { return a.text == b.text; }
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept { return key.hash; }
  };
  static constexpr std::size_t kDocumentMarks = 64;    ///< in each shard
  static constexpr std::size_t kCollectionMarks = 16;  ///< the same
  struct Shard {
    Shard(std::size_t ghost_slots, std::size_t remembered);
    mutable std::mutex mutex;
    std::unordered_map<Key, Nodes::iterator, KeyHash> index;
    Queue small;
    Queue main;
    warm::GhostTable ghosts;
    VersionTable versions;
    std::array<std::uint64_t, kDocumentMarks> document_marks{};
    std::array<std::uint64_t, kCollectionMarks> collection_marks{};
    std::uint64_t evictions = 0;
  };

  // The tables take the low bits and the upper half of a hash; these are in between.
  [[nodiscard]] Shard& shard_of(std::uint64_t hash) const noexcept {
    return *shards_[(hash >> 26) & (shards_.size() - 1)];
  }
  static std::size_t document_mark_of(std::uint64_t hash) noexcept { return (hash >> 16) % kDocumentMarks; }
  static std::size_t collection_mark_of(std::string_view collection) noexcept;
  static Queue& queue_of(Shard& shard, const Node& node) noexcept {
    return node.in_main ? shard.main : shard.small;
  }

  void insert(Shard& shard, std::uint64_t hash, std::string_view key, const Document& document,
              const Times& times, std::uint64_t bytes);
  void replace(Shard& shard, Node& node, const Document& document, const Times& times, std::uint64_t bytes);
  void make_room(Shard& shard);
  void evict_or_move(Shard& shard);
  /// Forgets a copy, and remembers its version.
  void erase(Shard& shard, Nodes::iterator node);

  const bool compare_versions_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::uint64_t shard_entries_ = 0;  ///< the bounds of each shard
  std::uint64_t shard_bytes_ = 0;
};

}  // namespace db4::invalidation
