#pragma once
// What the tests of crypto share.

#include "base/hash.hpp"
#include "crypto/sealed_stream.hpp"
#include "support/error_of.hpp"

#include <db4/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace db4::crypto {

using testing::error_of;

inline Bytes from_hex(std::string_view hex) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

inline Bytes to_bytes(std::string_view text) { return {as_bytes(text).begin(), as_bytes(text).end()}; }

/// The bytes 0, 1, 2 ... as a data key, plus `by`.
inline std::array<std::byte, kKeyBytes> counting_key(unsigned by = 0) {
  std::array<std::byte, kKeyBytes> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(i + by);
  return key;
}

inline constexpr KeyId kFirstId{std::byte{0xA1}, std::byte{2}, std::byte{3}, std::byte{4},
                                std::byte{5},    std::byte{6}, std::byte{7}, std::byte{8}};
inline constexpr KeyId kSecondId{std::byte{0xB2}};

inline constexpr SealContext kContext{
    .store_id = "store", .collection = "users", .id = "user-1", .version = 7, .codec = 2};

inline Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 131 + (i >> 8));
  return out;
}

inline bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace db4::crypto
