#pragma once
// The small types that every other header uses.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Marks what the library exports; everything else in it is hidden.
#define DB4_API __attribute__((visibility("default")))
// Marks what stays inside although the class around it is exported.
#define DB4_INTERNAL __attribute__((visibility("hidden")))

namespace db4 {

/// A document's version. It rises with every write of the document, through removals as well; 0 means absent.
using Version = std::uint64_t;

/// A moment on the wall clock, in microseconds since 1970-01-01 UTC.
using TimePoint = std::chrono::sys_time<std::chrono::microseconds>;

/// A moment on the monotonic clock: nanoseconds since an arbitrary start. For deadlines and latencies only.
using MonotonicTime = std::chrono::nanoseconds;

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

/// The bytes of a text, without copying.
inline ByteView as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// Bytes seen as text, without copying or checking.
inline std::string_view as_text(ByteView bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace db4
