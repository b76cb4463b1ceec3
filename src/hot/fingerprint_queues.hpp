#pragma once
// What S3-FIFO keeps besides the blocks: queues of fingerprints, and the ghosts of what was evicted unused.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>

namespace db4::hot {

/// A FIFO of fingerprints, four bytes each. It does not know when a block leaves the index: who pops looks
/// the fingerprint up and skips it where nobody is meant, so that replacing a block costs nothing here.
class FingerprintQueue {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool full() const noexcept { return size_ == capacity_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return capacity_ * sizeof(std::uint32_t); }

  /// Room for half as many again; false where memory is out.
  bool grow() noexcept {
    const std::size_t capacity = std::max<std::size_t>(16, capacity_ + capacity_ / 2);
    std::unique_ptr<std::uint32_t[]> ring(new (std::nothrow) std::uint32_t[capacity]);
    if (!ring) return false;
    for (std::size_t i = 0; i < size_; ++i) ring[i] = ring_[place(i)];
    ring_ = std::move(ring);
    capacity_ = capacity;
    head_ = 0;
    return true;
  }
  /// Must not be full.
  void push(std::uint32_t print) noexcept { ring_[place(size_++)] = print; }
  /// Must not be empty.
  std::uint32_t pop() noexcept {
    const std::uint32_t print = ring_[head_];
    head_ = head_ + 1 == capacity_ ? 0 : head_ + 1;
    --size_;
    return print;
  }

 private:
  [[nodiscard]] std::size_t place(std::size_t i) const noexcept {
    return head_ + i < capacity_ ? head_ + i : head_ + i - capacity_;
  }

  std::unique_ptr<std::uint32_t[]> ring_;
  std::size_t capacity_ = 0;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

/// Remembers about as many evicted fingerprints as it has places, newest first within each group of eight;
/// sixteen bits of each, so that it takes a stranger for a ghost once in 8,000 times.
class GhostTable {
 public:
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return capacity_ * sizeof(std::uint16_t); }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  /// `capacity` is a power of two. Forgets what it knew; where memory is out, it knows nothing.
  void resize(std::size_t capacity) noexcept {
    capacity = std::max<std::size_t>(capacity, kGroup);
    places_.reset(new (std::nothrow) std::uint16_t[capacity]());
    capacity_ = places_ ? capacity : 0;
  }
  void add(std::uint32_t print) noexcept {
    if (capacity_ == 0) return;
    std::uint16_t* group = group_of(print);
    std::copy_backward(group, group + kGroup - 1, group + kGroup);
    group[0] = short_print(print);
  }
  /// Whether it was remembered; it is not any more.
  bool take(std::uint32_t print) noexcept {
    if (capacity_ == 0) return false;
    std::uint16_t* group = group_of(print);
    std::uint16_t* found = std::find(group, group + kGroup, short_print(print));
    if (found == group + kGroup) return false;
    *found = 0;
    return true;
  }

 private:
  static constexpr std::size_t kGroup = 8;

  static std::uint16_t short_print(std::uint32_t print) noexcept {
    const auto print16 = static_cast<std::uint16_t>(print >> 16);
    return print16 == 0 ? 1 : print16;  // 0 is an empty place
  }
  [[nodiscard]] std::uint16_t* group_of(std::uint32_t print) const noexcept {
    return places_.get() + (print * kGroup & (capacity_ - 1));
  }

  std::unique_ptr<std::uint16_t[]> places_;
  std::size_t capacity_ = 0;
};

}  // namespace db4::hot
