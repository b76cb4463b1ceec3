#pragma once
// Values of the meta, intents, garbage and segments spaces.

#include "catalog/catalog.hpp"

#include <string>

namespace db4::catalog {

inline constexpr std::string_view kFormatKey = "format";
inline constexpr std::string_view kStoreIdKey = "store_id";
inline constexpr std::string_view kEpochKey = "epoch";
inline constexpr std::string_view kVersionFloorKey = "version_floor";
inline constexpr std::string_view kWatermarkKey = "watermark";
inline constexpr std::string_view kPolicyKey = "policy";
inline constexpr std::string_view kRefilingKey = "refiling";

std::string encode_garbage(GarbageKind kind, std::uint64_t bytes);
/// Throws corrupt.
GarbageEntry decode_garbage(std::string_view key, std::string_view value);

std::string encode_intent(std::int64_t deadline_us, std::uint64_t bytes);
struct Intent {
  std::int64_t deadline_us = 0;
  std::uint64_t bytes = 0;
};
Intent decode_intent(std::string_view value);

std::string encode_segment_facts(std::uint64_t bytes, std::uint32_t records);
SegmentFacts decode_segment_facts(std::string_view object, std::string_view value);

}  // namespace db4::catalog
