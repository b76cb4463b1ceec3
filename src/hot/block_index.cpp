#include "hot/block_index.hpp"

#include <algorithm>
#include <utility>

namespace db4::hot {

bool BlockIndex::reserve_one(std::uint64_t hash) noexcept {
  if (size_ + 1 > capacity_ / 4 * 3 && !rebuild(std::max(capacity_ * 2, kFirstCapacity))) return false;
  const std::uint32_t print = fingerprint(hash);
  const auto displaced = [&] { return (free_slot(print) - (print & mask_)) & mask_; };
  // More slots part keys that crowd by chance. Where the index is nearly empty they crowd because their
  // hashes are the same, which somebody may have chosen: then it must not grow without end.
  while (displaced() > kMaxDisplacement) {
    if (size_ < capacity_ / 8 || !rebuild(capacity_ * 2)) return false;
  }
  return true;
}

void BlockIndex::erase(Slot* slot) noexcept {
  auto hole = static_cast<std::size_t>(slot - slots_.get());
  for (std::size_t at = (hole + 1) & mask_; slots_[at] != 0; at = (at + 1) & mask_) {
    if (displacement(at) < ((at - hole) & mask_)) continue;  // it would land before the place it wants
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = 0;
  --size_;
}

bool BlockIndex::rebuild(std::size_t capacity) noexcept {
  void* memory = ::operator new (capacity * sizeof(Slot), std::align_val_t{64}, std::nothrow);
  if (memory == nullptr) return false;
  std::unique_ptr<Slot[], Free> old(static_cast<Slot*>(memory));
  std::fill_n(old.get(), capacity, Slot{0});
  std::swap(old, slots_);
  const std::size_t old_capacity = std::exchange(capacity_, capacity);
  mask_ = capacity - 1;
  if (size_ == 0) return true;
  // From a free slot on and in order: so none ends further from the place it wants than it was.
  const auto first =
      static_cast<std::size_t>(std::find(old.get(), old.get() + old_capacity, Slot{0}) - old.get());
  for (std::size_t i = 1; i < old_capacity; ++i) {
    const Slot slot = old[(first + i) & (old_capacity - 1)];
    if (slot != 0) slots_[free_slot(fingerprint(block(slot)->hash))] = slot;
  }
  return true;
}

}  // namespace db4::hot
