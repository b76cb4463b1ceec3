#pragma once
// One shard of the document cache: an index, S3-FIFO's queues and one lock over both.
//
// S3-FIFO: a block enters a small queue (a tenth of the bytes). At its head it is evicted, unless it was hit
// twice since: then it moves to the main queue, where every hit (three at most count) buys one more round.
// What leaves the small queue unused leaves a ghost, and whoever finds his ghost on return enters the main
// queue at once. So a scan passes through a tenth of the cache, and a hit never moves anything. Cost: a hit
// is one probe; an eviction is amortised constant, and bounded by kMaxSecondChances.

#include "hot/block_index.hpp"
#include "hot/document_cache.hpp"
#include "hot/fingerprint_queues.hpp"
#include "hot/short_lock.hpp"

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

namespace db4::hot {

/// Accesses of one block, on their way out of the cache.
struct DrainedAccesses {
  detail::BlockRef block;
  std::uint32_t hits = 0;
  std::int64_t last_access_us = 0;
};

/// Counts the changes of the documents of one stripe: pending ones in the low half, so that they can never
/// be carried into, ended ones in the high half, where a wrap is harmless.
class ChangeCounter {
 public:
  void begin() noexcept { value_.fetch_add(1, std::memory_order_acq_rel); }
  void end() noexcept { value_.fetch_add((1ULL << 32) - 1, std::memory_order_acq_rel); }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_acquire); }
  /// Whether nothing was pending when `then` was taken, and nothing has begun since.
  [[nodiscard]] bool quiet_since(std::uint64_t then) const noexcept {
    return static_cast<std::uint32_t>(then) == 0 && value() == then;
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Thread-safe.
class alignas(64) CacheShard {
 public:
  enum class Fill { inserted, refused, not_inserted };
  struct Limits {
    std::uint64_t bytes = 0;          ///< blocks, index, queues, ghosts and evicted accesses together
    std::size_t evicted_pending = 0;  ///< blocks whose accesses outlive them
  };

  CacheShard() = default;
  ~CacheShard();
  CacheShard(const CacheShard&) = delete;
  CacheShard& operator=(const CacheShard&) = delete;

  /// Once, before the shard is used.
  void set_limits(Limits limits) noexcept { limits_ = limits; }

  [[nodiscard]] detail::BlockRef find(std::uint64_t hash, std::string_view key, std::int64_t now_us) noexcept;
  [[nodiscard]] detail::BlockRef peek(std::uint64_t hash, std::string_view key) const noexcept;
  Fill fill(const ChangeCounter& changes, std::uint64_t ticket, const detail::BlockRef& block) noexcept;
  void put(const detail::BlockRef& block) noexcept;
  void erase(std::uint64_t hash, std::string_view key) noexcept;
  void forget(std::uint64_t hash, std::string_view key) noexcept;
  void clear() noexcept;

  /// Moves all accesses of evicted blocks into `out`, with blocks that have no body.
  void take_evicted(std::vector<DrainedAccesses>& out);
  /// Accesses of cached blocks: appends to `out` within its capacity, from slot `cursor` on, for a bounded
  /// time; whether there is more.
  bool drain(std::size_t& cursor, std::vector<DrainedAccesses>& out) noexcept;

  void add_to(DocumentCacheStats& stats) const noexcept;

 private:
  using Slot = BlockIndex::Slot;
  class Discarded;
  struct Part {
    FingerprintQueue queue;  ///< of every block of the part, and of some that are gone
    std::size_t count = 0;
    std::uint64_t bytes = 0;
  };

  [[nodiscard]] bool cacheable(const detail::DocumentBlock& block) const noexcept;
  [[nodiscard]] std::uint64_t bytes() const noexcept;
  Part& part_of(Slot slot) noexcept { return (slot & BlockIndex::kMain) != 0 ? main_ : small_; }
  bool insert(detail::DocumentBlock* block) noexcept;
  void replace(Slot* slot, detail::DocumentBlock* block, Discarded& discarded) noexcept;
  void remove(Slot* slot, Discarded& discarded) noexcept;
  void keep_accesses(const detail::DocumentBlock& block) noexcept;
  void make_room(Discarded& discarded) noexcept;
  void evict_one(Discarded& discarded) noexcept;
  bool move_to_main(Slot* slot) noexcept;
  bool enqueue(Part& part, std::uint32_t print) noexcept;
  void drop_stale(Part& part) noexcept;

  mutable ShortLock lock_;
  BlockIndex index_;
  Part small_;
  Part main_;
  GhostTable ghosts_;
  std::vector<detail::BlockRef> evicted_;
  std::uint64_t evicted_bytes_ = 0;
  std::uint64_t evictions_ = 0;
  std::uint64_t dropped_accesses_ = 0;
  Limits limits_;
};

}  // namespace db4::hot
