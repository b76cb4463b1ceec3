#pragma once
// crypto: sealing of bytes under keys that rotate. Includes base only. The byte tables are in
// docs/formats/sealed.md; what it protects, and from whom, is in docs/security.md.
//
// From below: AES-256-GCM and HKDF-SHA256 by OpenSSL; sealed messages and streams (seal.hpp,
// sealed_stream.hpp); the key ring and its master key (key_ring.hpp, master_key.hpp); EncryptionManager,
// which ties them together.

#include <db4/types.hpp>

namespace db4::crypto {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kNonceBytes = 12;
inline constexpr std::size_t kTagBytes = 16;

using KeyView = std::span<const std::byte, kKeyBytes>;
using NonceView = std::span<const std::byte, kNonceBytes>;
/// Bytes that are taken one after another, as if they stood together.
using Pieces = std::span<const ByteView>;

/// AES-256-GCM (NIST SP 800-38D): the ciphertext, then the tag. A nonce must never come twice under one key.
/// `out` has exactly the room for both and overlaps nothing else. Throws unavailable where OpenSSL fails.
/// Thread rule: any; each thread keeps a context of its own.
void aes_gcm_seal(KeyView key, NonceView nonce, Pieces associated, Pieces plaintext,
                  std::span<std::byte> out);

/// The reverse: whether the tag is right. `out` has kTagBytes less than `sealed`, which has at least those.
/// Where the tag is wrong, `out` is wiped: nothing unchecked is left in it.
[[nodiscard]] bool aes_gcm_open(KeyView key, NonceView nonce, Pieces associated, ByteView sealed,
                                std::span<std::byte> out);

/// Takes the last key out of this thread's contexts. For keys that serve more than one record: what else a
/// key leaves behind is overwritten by the next, or wiped when the thread ends.
void aes_gcm_forget_key();

}  // namespace db4::crypto
