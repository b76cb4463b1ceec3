#pragma once
// S3-FIFO, the eviction of both warm caches: "FIFO queues are all you need for cache eviction", Yang, Zhang,
// Qiu, Yue and Rashmi, SOSP 2023.
//
// New entries enter a small queue, a tenth of the bytes. One that was used when it comes to the front moves
// to the main queue (the paper asks for two uses; one gave 1 to 4 % fewer misses on our traces, or the same);
// any other is evicted, and only its fingerprint is remembered, in the ghost queue. One that comes back while
// it is remembered enters the main queue directly. At the front of the main queue an entry that was used goes
// round once more, its count one less; any other is evicted. So entries that are used once, most of them in
// real traces, pass through a tenth of the room. A hit only raises a counter of two bits: nothing moves,
// nothing is written.
//
// Here are the parts that hold no entries: the rules, and the ghost queue in fixed memory.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace db4::warm {

inline constexpr std::uint8_t kMaxUses = 3;
inline constexpr std::uint8_t kUsesToStay = 1;  ///< in the small queue, to be moved to the main one

/// Whether the next victim comes from the small queue.
inline bool evict_from_small(std::uint64_t small_bytes, std::uint64_t main_bytes) noexcept {
  return main_bytes == 0 || (small_bytes != 0 && small_bytes >= (small_bytes + main_bytes) / 10);
}

/// Entries larger than this would push out too much of what is worth keeping.
inline std::uint64_t max_entry_bytes(std::uint64_t max_bytes) noexcept { return max_bytes / 10; }

/// Fingerprints of what the small queue evicted lately, in a fixed table: eight bytes for each. A bucket that
/// is full forgets its oldest. Two keys may share a fingerprint (four in 2^32): then one is let into the main
/// queue for the other, which does no harm. Not thread-safe.
class GhostTable {
 public:
  /// `capacity` is rounded up to a power of two.
  explicit GhostTable(std::size_t capacity)
      : slots_(std::bit_ceil(std::max(capacity, kBucketSlots))),
        bucket_mask_(slots_.size() / kBucketSlots - 1) {}

  void insert(std::uint64_t hash) noexcept {
    const std::uint32_t print = fingerprint(hash);
    Slot* const bucket = bucket_of(hash);
    Slot* target = bucket;
    for (Slot* slot = bucket; slot != bucket + kBucketSlots; ++slot) {
      if (slot->fingerprint == print) {
        target = slot;
        break;
      }
      if (age(*slot) > age(*target)) target = slot;
    }
    *target = {print, ++inserted_};
  }

  /// Whether the hash is among the last `window` that were inserted; forgets it.
  bool take(std::uint64_t hash, std::uint64_t window) noexcept {
    const std::uint32_t print = fingerprint(hash);
    Slot* const bucket = bucket_of(hash);
    for (Slot* slot = bucket; slot != bucket + kBucketSlots; ++slot) {
      if (slot->fingerprint != print) continue;
      const bool remembered = age(*slot) < window;
      *slot = {};
      return remembered;
    }
    return false;
  }

  void clear() noexcept { std::fill(slots_.begin(), slots_.end(), Slot{}); }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return slots_.size() * sizeof(Slot); }

 private:
  struct Slot {
    std::uint32_t fingerprint = 0;  ///< 0: empty
    std::uint32_t inserted = 0;     ///< the count of insertions then; wraps, which is rare and harmless
  };
  static constexpr std::size_t kBucketSlots = 4;

  static std::uint32_t fingerprint(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32) | 1U;
  }
  std::uint32_t age(const Slot& slot) const noexcept {
    return slot.fingerprint == 0 ? ~0U : inserted_ - slot.inserted;
  }
  Slot* bucket_of(std::uint64_t hash) noexcept { return &slots_[(hash & bucket_mask_) * kBucketSlots]; }

  std::vector<Slot> slots_;
  std::uint64_t bucket_mask_;
  std::uint32_t inserted_ = 0;
};

/// A ghost table for a cache of so many bytes: one slot for 512 of them, 8 MiB at most.
inline std::size_t ghost_capacity(std::uint64_t max_bytes) noexcept {
  return std::clamp<std::uint64_t>(max_bytes / 512, 64, 1U << 20);
}

}  // namespace db4::warm
