#pragma once
// Byte and duration literals: `50_MiB`, `7_days`. Durations below a day are std::chrono's own (1h, 5min).

#include <chrono>
#include <cstdint>

namespace db4 {
inline namespace literals {

consteval std::uint64_t operator""_B(unsigned long long n) { return n; }
consteval std::uint64_t operator""_KiB(unsigned long long n) { return n << 10; }
consteval std::uint64_t operator""_MiB(unsigned long long n) { return n << 20; }
consteval std::uint64_t operator""_GiB(unsigned long long n) { return n << 30; }
consteval std::uint64_t operator""_TiB(unsigned long long n) { return n << 40; }

consteval std::chrono::hours operator""_days(unsigned long long n) { return std::chrono::hours{n * 24}; }
consteval std::chrono::hours operator""_weeks(unsigned long long n) { return std::chrono::hours{n * 24 * 7}; }

}  // namespace literals
}  // namespace db4
