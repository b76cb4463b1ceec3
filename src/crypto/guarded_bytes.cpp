#include "crypto/guarded_bytes.hpp"

#include <db4/error.hpp>

#include <sodium.h>

namespace db4::crypto {

void prepare_sodium() {
  static const int ready = ::sodium_init();  // 1: somebody else did it
  if (ready < 0) {
    throw Error(ErrorCode::unavailable, "libsodium cannot be used",
                "check that the system's random source (getrandom, /dev/urandom) works, then start anew");
  }
}

GuardedBytes::GuardedBytes(std::size_t size, const std::function<void(std::span<std::byte>)>& fill)
    : size_(size) {
  prepare_sodium();
  bytes_ = static_cast<std::byte*>(::sodium_malloc(size));
  if (bytes_ == nullptr) {
    throw Error(ErrorCode::resource_exhausted, "the system has no memory for a key",
                "free memory, or raise the process's limits, then repeat");
  }
  try {
    fill({bytes_, size});
  } catch (...) {
    ::sodium_free(bytes_);
    throw;
  }
  ::sodium_mprotect_readonly(bytes_);
}

GuardedBytes::~GuardedBytes() { ::sodium_free(bytes_); }

}  // namespace db4::crypto
