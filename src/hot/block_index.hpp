#pragma once
// The index of one shard of the document cache: from a key to its block.
//
// Open addressing with linear probing over eight-byte slots. A slot is a pointer whose sixteen upper bits
// hold a tag and whose four lower bits (blocks are aligned to 16) hold flags, so that a probe reads one cache
// line and, but for one wrong tag in some hundreds, only the block it looks for. Half of the tag is the low
// byte of the slot where the block would like to be: that tells how far it was displaced, so that removal
// shifts later slots back without tombstones and without touching a block.

#include "base/document_block.hpp"

#include <cstdint>
#include <memory>
#include <new>
#include <string_view>

namespace db4::hot {

class BlockIndex {
 public:
  using Slot = std::uint64_t;
  static constexpr Slot kUsed = 1;    ///< has accesses that were not drained
  static constexpr Slot kMain = 2;    ///< in the main queue, otherwise in the small one
  static constexpr Slot kMarked = 4;  ///< scratch of whoever holds the lock; cleared when he is done

  /// What queues and ghosts know a block by; also decides its slot.
  static std::uint32_t fingerprint(std::uint64_t hash) noexcept { return static_cast<std::uint32_t>(hash); }

  static detail::DocumentBlock* block(Slot slot) noexcept {
    return reinterpret_cast<detail::DocumentBlock*>(slot & kPointerBits);
  }
  /// Whether a block's address leaves the bits free that a slot needs (on all but exotic systems it does).
  static bool fits(const detail::DocumentBlock* block) noexcept {
    return (reinterpret_cast<std::uintptr_t>(block) & ~kPointerBits) == 0;
  }

  /// nullptr where there is none.
  [[nodiscard]] Slot* find(std::uint64_t hash, std::string_view key) const noexcept {
    return find_where(fingerprint(hash), [hash, key](Slot slot) {
      const detail::DocumentBlock* found = block(slot);
      prefetch(found);
      return found->hash == hash && found->key() == key;
    });
  }

  /// The first slot of a block with this fingerprint and exactly these flags among kMain and kMarked.
  [[nodiscard]] Slot* find_queued(std::uint32_t print, Slot flags) const noexcept {
    return find_where(print, [print, flags](Slot slot) {
      return (slot & (kMain | kMarked)) == flags && fingerprint(block(slot)->hash) == print;
    });
  }

  /// Makes room for one more; false where there can be none: out of memory, or too many keys want one place.
  bool reserve_one(std::uint64_t hash) noexcept;
  /// After a successful reserve_one, for a block that is not in the index.
  void insert(detail::DocumentBlock* block, Slot flags) noexcept {
    const std::uint32_t print = fingerprint(block->hash);
    slots_[free_slot(print)] = tag_of(print) | reinterpret_cast<std::uintptr_t>(block) | flags;
    ++size_;
  }
  void replace(Slot* slot, detail::DocumentBlock* block) noexcept {
    *slot = (*slot & ~kPointerBits) | reinterpret_cast<std::uintptr_t>(block);
  }
  void erase(Slot* slot) noexcept;

  /// All slots, for going through them; empty ones are 0.
  [[nodiscard]] Slot* begin() const noexcept { return slots_.get(); }
  [[nodiscard]] Slot* end() const noexcept { return slots_.get() + capacity_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return capacity_ * sizeof(Slot); }

 private:
  static constexpr Slot kPointerBits = 0x0000'FFFF'FFFF'FFF0;
  static constexpr std::size_t kFirstCapacity = 16;
  static constexpr std::size_t kMaxDisplacement = 255;  // what half a tag can tell

  struct Free {
    void operator()(Slot* slots) const noexcept { ::operator delete (slots, std::align_val_t{64}); }
  };

  /// Header, key and the start of the body come in together instead of one miss after another.
  static void prefetch(const detail::DocumentBlock* block) noexcept {
    const char* at = reinterpret_cast<const char*>(block);
    for (int line = 0; line < 4; ++line) __builtin_prefetch(at + line * 64);
  }

  static Slot tag_of(std::uint32_t print) noexcept {
    return (static_cast<Slot>(print & 0xFF) << 56) | (static_cast<Slot>(print >> 24) << 48);
  }
  [[nodiscard]] std::size_t displacement(std::size_t at) const noexcept {
    return (at - static_cast<std::size_t>(slots_[at] >> 56)) & mask_ & 0xFF;
  }
  [[nodiscard]] std::size_t free_slot(std::uint32_t print) const noexcept {
    std::size_t at = print & mask_;
    while (slots_[at] != 0) at = (at + 1) & mask_;
    return at;
  }
  bool rebuild(std::size_t capacity) noexcept;

  template <typename Matches>
  [[nodiscard]] Slot* find_where(std::uint32_t print, Matches&& matches) const noexcept {
    if (capacity_ == 0) return nullptr;
    const Slot tag = tag_of(print) >> 48;
    for (std::size_t at = print & mask_;; at = (at + 1) & mask_) {
      const Slot slot = slots_[at];
      if (slot == 0) return nullptr;
      if ((slot >> 48) == tag && matches(slot)) return &slots_[at];
    }
  }

  std::unique_ptr<Slot[], Free> slots_;
  std::size_t mask_ = 0;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

}  // namespace db4::hot
