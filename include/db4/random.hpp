#pragma once
// Randomness, injected: with a seeded source, object names and jitter replay in a test.

#include <db4/types.hpp>

#include <memory>

namespace db4 {

/// Where db4 takes random bits from. Thread-safe.
class DB4_API RandomSource {
 public:
  virtual ~RandomSource() = default;
  /// Fills all of `out` with random bytes.
  virtual void fill(std::span<std::byte> out) = 0;
  /// Sixty-four random bits.
  [[nodiscard]] std::uint64_t next_u64();
};

/// The system's cryptographic source (OpenSSL's DRBG), drawn in bulk.
DB4_API std::shared_ptr<RandomSource> system_random();

/// A reproducible source for tests and simulations (SplitMix64). Never use it for keys.
DB4_API std::shared_ptr<RandomSource> seeded_random(std::uint64_t seed);

}  // namespace db4
