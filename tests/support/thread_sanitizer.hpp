#pragma once
// Whether this build runs under ThreadSanitizer. RocksDB is linked as it is packaged, without
// instrumentation, so there its own threads are reported as races with themselves.

#include <db4/config.hpp>

namespace db4::testing {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#else
inline constexpr bool kThreadSanitizer = false;
#endif

inline constexpr const char* kRocksDbUnderThreadSanitizer =
    "RocksDB is not instrumented; the same code runs over the memory engine";

/// An engine on disk for tests to which it does not matter which.
inline constexpr HotType kDiskEngine = kThreadSanitizer ? HotType::sqlite : HotType::rocksdb;

}  // namespace db4::testing
