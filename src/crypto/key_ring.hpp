#pragma once
// KeyRing: the data keys, wrapped, with their states; as a value, and as the bytes that a KeyStore keeps. The
// byte table is in docs/formats/sealed.md.

#include "crypto/master_key_state.hpp"
#include "crypto/seal.hpp"

#include <db4/encryption.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace db4::crypto {

inline constexpr std::size_t kWrappedKeyBytes = kNonceBytes + kKeyBytes + kTagBytes;

struct RingKey {
  KeyId id{};
  KeyState state = KeyState::active;
  bool forced = false;  ///< its destruction, although it is needed
  TimePoint created_at{};
  TimePoint expires_at{};
  TimePoint destroy_after{};  ///< the epoch: none
  std::uint64_t uses = 0;
  /// Nonce, ciphertext and tag; zeros of a destroyed key.
  std::array<std::byte, kWrappedKeyBytes> wrapped{};
};

struct KeyRing {
  RingId id{};
  std::uint64_t generation = 0;                         ///< rises with every change
  std::optional<PassphraseParameters> passphrase = {};  ///< nullopt: the master key is no passphrase
  std::string wrapped_master = {};  ///< as a key service gave it; empty: the master key is no service's
  std::array<std::byte, kHashBytes> master_check{};
  std::vector<RingKey> keys = {};  ///< oldest first; exactly one is active
};

/// What the ring's master key is.
MasterKeyKind master_kind(const KeyRing& ring) noexcept;

/// nullptr where there is none.
RingKey* find_key(KeyRing& ring, const KeyId& id) noexcept;
const RingKey* find_key(const KeyRing& ring, const KeyId& id) noexcept;
RingKey& active_key(KeyRing& ring);
const RingKey& active_key(const KeyRing& ring);

/// The ring's bytes, authenticated.
std::string encode_key_ring(const KeyRing& ring, const RingKeys& keys);

/// Reads the bytes, without checking who wrote them: so that the master key can be told to be the right one.
/// Throws corrupt, and unsupported for a newer format.
KeyRing parse_key_ring(std::string_view bytes);

/// Throws key_unavailable where `keys` are of another master key than the ring's, corrupt where somebody
/// without the master key changed the bytes.
void check_key_ring(const KeyRing& ring, std::string_view bytes, const RingKeys& keys);

/// Seals a data key with the master key, bound to ring and id; and the reverse, which throws corrupt.
void wrap_key(KeyView data_key, const RingId& ring, RingKey& into, const RingKeys& keys,
              RandomSource& random);
GuardedBytes unwrap_key(const RingKey& key, const RingId& ring, const RingKeys& keys);

}  // namespace db4::crypto
