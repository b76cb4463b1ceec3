#pragma once
// The three tiers, and their order.

#include <db4/types.hpp>

#include <optional>
#include <string_view>

namespace db4 {

/// Where a document is served from. Stored on disk: never renumber.
enum class StorageTier : std::uint8_t { cold = 0, warm = 1, hot = 2 };

/// "cold", "warm" or "hot".
constexpr std::string_view to_string(StorageTier tier) noexcept {
  switch (tier) {
    case StorageTier::cold:
      return "cold";
    case StorageTier::warm:
      return "warm";
    case StorageTier::hot:
      return "hot";
  }
  return "unknown";
}

/// The tier of that name; nullopt for any other text.
constexpr std::optional<StorageTier> tier_from_string(std::string_view name) noexcept {
  if (name == "cold") return StorageTier::cold;
  if (name == "warm") return StorageTier::warm;
  if (name == "hot") return StorageTier::hot;
  return std::nullopt;
}

/// hot 2, warm 1, cold 0.
constexpr int get_tier_priority(StorageTier tier) noexcept { return static_cast<int>(tier); }
constexpr bool is_hotter(StorageTier a, StorageTier b) noexcept {
  return get_tier_priority(a) > get_tier_priority(b);
}
constexpr bool is_colder(StorageTier a, StorageTier b) noexcept {
  return get_tier_priority(a) < get_tier_priority(b);
}

}  // namespace db4
