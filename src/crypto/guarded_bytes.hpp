#pragma once
// GuardedBytes: key material, kept where it is not swapped out and not dumped.

#include "crypto/aes_gcm.hpp"

#include <functional>
#include <utility>

namespace db4::crypto {

/// Bytes in pages of their own, by libsodium's guarded allocations: locked in memory (mlock) and left out of
/// core dumps (MADV_DONTDUMP) where the system allows, between pages that cannot be touched, read-only once
/// filled, wiped when they go. A key takes four pages; the limit on locked memory (ulimit -l) bounds how many
/// are locked, and past it they are kept unlocked. Move-only. Thread rule: as a value.
class GuardedBytes {
 public:
  /// None.
  GuardedBytes() noexcept = default;
  /// `size` bytes (above 0) that `fill` writes. Throws resource_exhausted where there is no memory, and what
  /// `fill` throws.
  GuardedBytes(std::size_t size, const std::function<void(std::span<std::byte>)>& fill);
  GuardedBytes(GuardedBytes&& other) noexcept
      : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  GuardedBytes& operator=(GuardedBytes&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~GuardedBytes();

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] ByteView view() const noexcept { return {bytes_, size_}; }
  /// The key that starts at `offset`.
  [[nodiscard]] KeyView key(std::size_t offset = 0) const noexcept {
    return view().subspan(offset).first<kKeyBytes>();
  }

 private:
  std::byte* bytes_ = nullptr;
  std::size_t size_ = 0;
};

/// Makes libsodium ready; every user of it calls this first. Throws unavailable where it cannot be.
void prepare_sodium();

}  // namespace db4::crypto
