#include "base/hash.hpp"

#include "base/encoding.hpp"

#include <db4/error.hpp>

#include <openssl/evp.h>

#include <memory>

namespace db4 {

namespace {

__extension__ using Product = unsigned __int128;

// Both halves of the product, folded: every bit of either factor reaches every bit of the result.
std::uint64_t multiply_fold(std::uint64_t a, std::uint64_t b) noexcept {
  const Product product = static_cast<Product>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t load_8(const char* p) noexcept { return load_fixed<std::uint64_t>(p); }
std::uint64_t load_4(const char* p) noexcept { return load_fixed<std::uint32_t>(p); }

// Of fetching SHA-256 and using it, fetching is the slower for a short text. Never freed, so that threads
// that outlive main() may still use it.
const EVP_MD* fetched_sha256() {
  static const EVP_MD* const digest = ::EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return digest;
}

}  // namespace

// After wyhash (Wang Yi, "Modern non-cryptographic hash function and pseudorandom number generator", final
// version 4, public domain): short keys are read by overlapping loads without a loop, longer ones in three
// lanes, each by one multiply-fold for 16 bytes.
std::uint64_t hash_key(std::string_view key) noexcept {
  constexpr std::uint64_t kSecret0 = 0x2D358DCCAA6C78A5;
  constexpr std::uint64_t kSecret1 = 0x8BB84B93962EACC9;
  constexpr std::uint64_t kSecret2 = 0x4B33A62ED433D4A3;
  constexpr std::uint64_t kSecret3 = 0x4D5A2DA51DE1AA47;
  constexpr std::uint64_t kSeed = 0xCA813BF4C7ABF0A9;

  const char* p = key.data();
  const std::size_t size = key.size();
  std::uint64_t seed = kSeed;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  if (size > 16) {
    std::size_t left = size;
    if (left > 48) {
      std::uint64_t lane1 = seed;
      std::uint64_t lane2 = seed;
      for (; left > 48; p += 48, left -= 48) {
        seed = multiply_fold(load_8(p) ^ kSecret1, load_8(p + 8) ^ seed);
        lane1 = multiply_fold(load_8(p + 16) ^ kSecret2, load_8(p + 24) ^ lane1);
        lane2 = multiply_fold(load_8(p + 32) ^ kSecret3, load_8(p + 40) ^ lane2);
      }
      seed ^= lane1 ^ lane2;
    }
    for (; left > 16; p += 16, left -= 16) {
      seed = multiply_fold(load_8(p) ^ kSecret1, load_8(p + 8) ^ seed);
    }
    a = load_8(p + left - 16);
    b = load_8(p + left - 8);
  } else if (size >= 4) {
    const std::size_t middle = (size >> 3) << 2;
    a = (load_4(p) << 32) | load_4(p + middle);
    b = (load_4(p + size - 4) << 32) | load_4(p + size - 4 - middle);
  } else if (size > 0) {
    const auto byte = [&](std::size_t n) { return std::uint64_t{static_cast<unsigned char>(p[n])}; };
    a = (byte(0) << 16) | (byte(size >> 1) << 8) | byte(size - 1);
  }
  a ^= kSecret1;
  b ^= seed;
  const Product product = static_cast<Product>(a) * b;
  return multiply_fold(static_cast<std::uint64_t>(product) ^ kSecret0 ^ size,
                       static_cast<std::uint64_t>(product >> 64) ^ kSecret1);
}

std::array<std::byte, 32> sha256(ByteView data) {
  std::array<std::byte, 32> out{};
  if (::EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(out.data()), nullptr,
                   fetched_sha256(), nullptr) != 1) {
    throw Error(ErrorCode::unavailable, "OpenSSL computed no SHA-256",
                "check that OpenSSL's configuration offers SHA-256 and that memory is left, then repeat");
  }
  return out;
}

std::string to_hex(ByteView data) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * data.size());
  for (const std::byte byte : data) {
    out += kDigits[std::to_integer<std::size_t>(byte) >> 4];
    out += kDigits[std::to_integer<std::size_t>(byte) & 0xF];
  }
  return out;
}

}  // namespace db4
