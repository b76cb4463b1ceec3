#include "base/encoding.hpp"
#include "base/hash.hpp"

#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// CRC32C: the polynomial 0x1EDC6F41 (Castagnoli), bits reflected, all ones before and after.
//
// Portable: slicing-by-8, "A systematic approach to building high performance software-based CRC generators"
// (Kounavis, Berry, 2005). Hardware: the crc32 instruction gives a result every cycle but takes three to do
// it, so three neighbouring stretches are summed at once; the sums are joined by a carry-less multiplication
// ("Fast CRC computation for iSCSI polynomial using CRC32 instruction", Gopal et al., Intel 2011).

namespace db4 {

namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // reflected

constexpr std::uint32_t times_x(std::uint32_t value) {
  return (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
}

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = times_x(crc);
    tables[0][byte] = crc;
  }
  for (std::size_t n = 1; n < 8; ++n) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t crc = tables[n - 1][byte];
      tables[n][byte] = (crc >> 8) ^ tables[0][crc & 0xFF];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

#if defined(__x86_64__)

#define DB4_CRC_TARGET __attribute__((target("sse4.2,pclmul")))

// x^(8 * bytes - 33) mod P. With it, crc32_u64(0, clmul(crc, that)) is the crc moved on over `bytes` zeros:
// the product of two reflected 32-bit values stands one bit low in 64, and the instruction multiplies by
// x^32: together the 33.
constexpr std::uint32_t shift_factor(std::size_t bytes) {
  std::uint32_t out = 0x8000'0000;  // x^0
  for (std::size_t n = 0; n < 8 * bytes - 33; ++n) out = times_x(out);
  return out;
}

DB4_CRC_TARGET std::uint64_t carryless_multiply(std::uint64_t crc, std::uint32_t factor) {
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(crc)),
                                               _mm_cvtsi64_si128(static_cast<long long>(factor)), 0);
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(product));
}

// Takes stretches of 3 * kStretch bytes off the front of [p, end) while there are any.
template <std::size_t kStretch>
DB4_CRC_TARGET std::uint64_t sum_three_at_once(std::uint64_t crc, const char*& p, const char* end) {
  constexpr std::uint32_t kOverOne = shift_factor(kStretch);
  constexpr std::uint32_t kOverTwo = shift_factor(2 * kStretch);
  while (static_cast<std::size_t>(end - p) >= 3 * kStretch) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (const char* const stop = p + kStretch; p != stop; p += 8) {
      crc = _mm_crc32_u64(crc, load_fixed<std::uint64_t>(p));
      second = _mm_crc32_u64(second, load_fixed<std::uint64_t>(p + kStretch));
      third = _mm_crc32_u64(third, load_fixed<std::uint64_t>(p + 2 * kStretch));
    }
    crc = third ^ _mm_crc32_u64(0, carryless_multiply(crc, kOverTwo) ^ carryless_multiply(second, kOverOne));
    p += 2 * kStretch;
  }
  return crc;
}

DB4_CRC_TARGET std::uint32_t crc32c_hardware(ByteView data, std::uint32_t seed) {
  const char* p = reinterpret_cast<const char*>(data.data());
  const char* const end = p + data.size();
  std::uint64_t crc = static_cast<std::uint32_t>(~seed);
  crc = sum_three_at_once<1024>(crc, p, end);
  crc = sum_three_at_once<128>(crc, p, end);
  for (; end - p >= 8; p += 8) crc = _mm_crc32_u64(crc, load_fixed<std::uint64_t>(p));
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; p != end; ++p) narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*p));
  return ~narrow;
}

#endif

}  // namespace

std::uint32_t crc32c_portable(ByteView data, std::uint32_t seed) noexcept {
  const char* p = reinterpret_cast<const char*>(data.data());
  const char* const end = p + data.size();
  std::uint32_t crc = ~seed;
  for (; end - p >= 8; p += 8) {
    const std::uint64_t word = load_fixed<std::uint64_t>(p) ^ crc;
    crc = 0;
    for (std::size_t n = 0; n < 8; ++n) crc ^= kTables[7 - n][(word >> (8 * n)) & 0xFF];
  }
  for (; p != end; ++p) crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<unsigned char>(*p)) & 0xFF];
  return ~crc;
}

bool crc32c_by_hardware() noexcept {
#if defined(__x86_64__)
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
#else
  return false;
#endif
}

std::uint32_t crc32c(ByteView data, std::uint32_t seed) noexcept {
#if defined(__x86_64__)
  if (crc32c_by_hardware()) return crc32c_hardware(data, seed);
#endif
  return crc32c_portable(data, seed);
}

}  // namespace db4
