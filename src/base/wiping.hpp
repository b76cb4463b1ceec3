#pragma once
// Wiping: a process that has an encrypted store open overwrites what was in documents before it frees the
// memory. Keys are wiped always (crypto/guarded_bytes.hpp, db4::Secret); this is for what is large and
// everywhere, and costs a pass over each buffer.

#include <cstddef>
#include <memory>
#include <string>

namespace db4 {

/// From now on, in this process, for all stores: a buffer does not know whose it is. Thread-safe. Not
/// `wanted`: as before, for whoever measures what it costs.
void wipe_released_content(bool wanted = true) noexcept;
/// Whether that was said.
[[nodiscard]] bool wipes_released_content() noexcept;

/// Overwrites what is about to be freed, where that is wanted. Takes null.
void release_content(void* bytes, std::size_t size) noexcept;

/// The same for a string or vector of bytes, with what a longer content left behind its end.
template <typename Buffer>
requires requires(Buffer& buffer) { buffer.capacity(); }
void release_content(Buffer& buffer) noexcept {
  if (!wipes_released_content()) return;
  buffer.resize(buffer.capacity());  // allocates nothing
  release_content(buffer.data(), buffer.size());
}

/// Releases a string or vector of bytes at the end of the scope; where it was moved from by then, nothing.
template <typename Buffer>
class ReleasedAtEnd {
 public:
  explicit ReleasedAtEnd(Buffer& buffer) noexcept : buffer_(buffer) {}
  ~ReleasedAtEnd() { release_content(buffer_); }
  ReleasedAtEnd(const ReleasedAtEnd&) = delete;
  ReleasedAtEnd& operator=(const ReleasedAtEnd&) = delete;

 private:
  Buffer& buffer_;
};

/// Shared, and released with its last owner.
std::shared_ptr<const std::string> share_content(std::string text);

/// Deletes what `new char[size]` made, released.
struct ReleasingDelete {
  std::size_t size = 0;
  void operator()(char* bytes) const noexcept {
    release_content(bytes, size);
    delete[] bytes;
  }
};

}  // namespace db4
