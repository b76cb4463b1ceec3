#pragma once
// Values of the space kMeta.

#include "base/encoding.hpp"
#include "catalog/spaces.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace db4::catalog {

/// There where something plain came into a store that seals what it writes, since the last re-encryption was
/// begun.
inline constexpr std::string_view kPlainArrivedKey = "plain_arrived";

/// A number as a value of the space.
template <typename Integer>
std::string encoded(Integer value) {
  std::string out;
  put_fixed(out, value);
  return out;
}

/// Throws corrupt where what stands there is none.
template <typename Integer>
std::optional<Integer> read_meta(const kv::Engine& engine, std::string_view key) {
  const auto value = engine.get(kMeta, key);
  if (!value) return std::nullopt;
  if (value->size() != sizeof(Integer)) {
    throw Error(ErrorCode::corrupt, "the catalogue's entry '" + std::string(key) + "' is damaged",
                "check the disk, and restore the hot folder from a backup");
  }
  return load_fixed<Integer>(value->data());
}

/// What the keys of the changes that one node made in one of its lives begin with.
inline std::string change_key_prefix(std::uint64_t node, std::uint64_t epoch) {
  std::string out;
  put_big_endian(out, node);
  put_big_endian(out, epoch);
  return out;
}

}  // namespace db4::catalog
