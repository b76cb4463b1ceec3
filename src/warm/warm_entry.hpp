#pragma once
// What every warm cache checks of what it is given.

#include <db4/error.hpp>
#include <db4/warm_cache.hpp>

namespace db4::warm {

inline constexpr std::size_t kMaxKeyBytes = 2048;

inline void require_key(std::string_view key) {
  if (!key.empty() && key.size() <= kMaxKeyBytes) return;
  throw Error(ErrorCode::invalid_argument,
              "a warm cache's key of " + std::to_string(key.size()) + " bytes is not legal",
              "use 1 to " + std::to_string(kMaxKeyBytes) + " bytes");
}

inline void require_record(const WarmEntry& entry) {
  if (entry.record != nullptr) return;
  throw Error(ErrorCode::invalid_argument, "a warm entry has no record", "give it one");
}

}  // namespace db4::warm
