#pragma once
// Hashes and checksums. None of them is a secret's guard: for that see src/crypto/.

#include <db4/types.hpp>

#include <array>
#include <string>
#include <string_view>

namespace db4 {

/// CRC32C (Castagnoli, reflected, as in RFC 3720): hardware where the processor has it. `seed` is the CRC of
/// what came before, so crc32c(b, crc32c(a)) == crc32c(a + b).
std::uint32_t crc32c(ByteView data, std::uint32_t seed = 0) noexcept;

/// Whether this processor has what crc32c wants of it.
bool crc32c_by_hardware() noexcept;

/// The table-driven version, for tests and for processors without the instruction.
std::uint32_t crc32c_portable(ByteView data, std::uint32_t seed = 0) noexcept;

/// A fast 64-bit hash of a key for in-memory tables and shards. Not stable between releases: never store it.
std::uint64_t hash_key(std::string_view key) noexcept;

/// SHA-256 (FIPS 180-4), by OpenSSL.
std::array<std::byte, 32> sha256(ByteView data);

/// Lower-case hexadecimal.
std::string to_hex(ByteView data);

}  // namespace db4
