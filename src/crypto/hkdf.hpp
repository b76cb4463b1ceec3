#pragma once
// HMAC-SHA256 (RFC 2104) and HKDF-SHA256 (RFC 5869), by OpenSSL's SHA-256.
//
// A kept context of OpenSSL's HMAC would spare two of four compressions, and would keep what is as good as
// the key in memory that may be swapped out; so the key is taken from where it is kept each time. Hashing one
// of these short texts costs less than OpenSSL's own HKDF takes to look up what it needs.

#include "crypto/aes_gcm.hpp"

#include <array>

namespace db4::crypto {

inline constexpr std::size_t kHashBytes = 32;

/// Of the pieces in order, into `out`. Throws unavailable where OpenSSL fails. Thread rule: any.
void hmac_sha256(ByteView key, Pieces pieces, std::span<std::byte, kHashBytes> out);

/// RFC 5869, section 2.2. An empty salt is one of 32 zeros.
void hkdf_extract(ByteView salt, ByteView secret, std::span<std::byte, kHashBytes> out);

/// RFC 5869, section 2.3. Throws invalid_argument for more than 255 * 32 bytes.
void hkdf_expand(ByteView pseudorandom_key, ByteView info, std::span<std::byte> out);

/// Takes as long for all bytes of one length; false for different lengths.
bool equal_in_constant_time(ByteView a, ByteView b) noexcept;

/// An array of key material, wiped when it goes.
template <std::size_t kSize>
class WipedArray : public std::array<std::byte, kSize> {
 public:
  WipedArray() noexcept : std::array<std::byte, kSize>{} {}
  WipedArray(const WipedArray&) = delete;
  WipedArray& operator=(const WipedArray&) = delete;
  ~WipedArray();
};
void wipe(std::span<std::byte> bytes) noexcept;
template <std::size_t kSize>
WipedArray<kSize>::~WipedArray() {
  wipe(std::span<std::byte>(*this));
}

}  // namespace db4::crypto
