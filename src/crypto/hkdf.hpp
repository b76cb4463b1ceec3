#pragma once
// HMAC-SHA256 (RFC 2104) and HKDF-SHA256 (RFC 5869), over OpenSSL's SHA-256.
//
// A record's key costs two HMACs of short texts under one key. OpenSSL's own HKDF takes longer to look up
// what it needs than to hash them, and a context that it keeps for a key is in memory that may be swapped
// out. So the state of SHA-256 after the key's block, which is as good as the key, is plain bytes here, kept
// where its owner keeps keys.

#include "crypto/aes_gcm.hpp"

#include <array>

namespace db4::crypto {

inline constexpr std::size_t kHashBytes = 32;

/// What HMAC makes of a key before it sees a text: as secret as the key.
inline constexpr std::size_t kHmacStateBytes = 224;
using HmacState = std::span<const std::byte, kHmacStateBytes>;
void make_hmac_state(ByteView key, std::span<std::byte, kHmacStateBytes> out);

/// Of the pieces in order, into `out`. Throws unavailable where OpenSSL fails. Thread rule: any.
void hmac_sha256(HmacState key, Pieces pieces, std::span<std::byte, kHashBytes> out);
void hmac_sha256(ByteView key, Pieces pieces, std::span<std::byte, kHashBytes> out);

/// RFC 5869, section 2.2. An empty salt is one of 32 zeros.
void hkdf_extract(ByteView salt, ByteView secret, std::span<std::byte, kHashBytes> out);

/// RFC 5869, section 2.3. Throws invalid_argument for more than 255 * 32 bytes.
void hkdf_expand(HmacState pseudorandom_key, ByteView info, std::span<std::byte> out);
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
