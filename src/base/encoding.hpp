#pragma once
// Fixed-width and variable-width integers in byte strings. Everything db4 writes is little-endian, except
// integers inside ordered keys, which are big-endian so that byte order is numeric order.

#include <db4/types.hpp>

#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace db4 {

static_assert(std::endian::native == std::endian::little, "db4 is written for little-endian machines");

template <typename Integer>
void put_fixed(std::string& out, Integer value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

template <typename Integer>
Integer load_fixed(const char* from) noexcept {
  Integer value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline void put_big_endian(std::string& out, std::uint64_t value) {
  put_fixed(out, __builtin_bswap64(value));
}
inline std::uint64_t load_big_endian(const char* from) noexcept {
  return __builtin_bswap64(load_fixed<std::uint64_t>(from));
}

/// LEB128, at most ten bytes.
inline void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

inline void put_sized(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  out.append(text);
}

/// Reads what the functions above wrote; every read checks the bounds, and after one that failed all fail.
class Reader {
 public:
  explicit Reader(std::string_view from) noexcept : rest_(from) {}

  template <typename Integer>
  Integer fixed() noexcept {
    if (rest_.size() < sizeof(Integer)) return fail<Integer>();
    const auto value = load_fixed<Integer>(rest_.data());
    rest_.remove_prefix(sizeof(Integer));
    return value;
  }

  std::uint64_t big_endian() noexcept { return __builtin_bswap64(fixed<std::uint64_t>()); }

  std::uint64_t varint() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = fixed<std::uint8_t>();
      if (failed_) return 0;
      if (shift == 63 && byte > 1) return fail<std::uint64_t>();
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return fail<std::uint64_t>();
  }

  std::string_view bytes(std::uint64_t size) noexcept {
    if (rest_.size() < size) return fail<std::string_view>();
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

  std::string_view sized() noexcept { return bytes(varint()); }

  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
  [[nodiscard]] bool ok() const noexcept { return !failed_; }
  /// All read, and nothing failed.
  [[nodiscard]] bool done() const noexcept { return !failed_ && rest_.empty(); }

 private:
  template <typename T>
  T fail() noexcept {
    failed_ = true;
    rest_ = {};
    return T{};
  }

  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace db4
