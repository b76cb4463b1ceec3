#pragma once
// What is behind a MasterKey, and the keys that are made of it for one key ring.

#include "crypto/guarded_bytes.hpp"
#include "crypto/hkdf.hpp"

#include <db4/master_key.hpp>

#include <array>
#include <cstdint>
#include <optional>

namespace db4::crypto {

inline constexpr std::size_t kPassphraseSaltBytes = 16;

/// How a key ring's master key is made of a passphrase; kept in the ring.
struct PassphraseParameters {
  std::array<std::byte, kPassphraseSaltBytes> salt{};
  PassphraseCost cost = {};
  friend bool operator==(const PassphraseParameters& a, const PassphraseParameters& b) noexcept {
    return a.salt == b.salt && a.cost.memory_bytes == b.cost.memory_bytes && a.cost.passes == b.cost.passes;
  }
};

/// Whether a cost is within the bounds of PassphraseCost: also of one that a key ring names.
bool is_legal(const PassphraseCost& cost) noexcept;

/// A key or a passphrase. Immutable.
class MasterKeyState {
 public:
  explicit MasterKeyState(GuardedBytes key) : bytes_(std::move(key)) {}
  MasterKeyState(GuardedBytes passphrase, PassphraseCost cost) : bytes_(std::move(passphrase)), cost_(cost) {}
  /// The cost for a new ring; nullopt: this is a key.
  [[nodiscard]] const std::optional<PassphraseCost>& passphrase_cost() const noexcept { return cost_; }
  [[nodiscard]] ByteView bytes() const noexcept { return bytes_.view(); }

 private:
  GuardedBytes bytes_;
  std::optional<PassphraseCost> cost_;
};

using RingId = std::array<std::byte, 16>;

/// What a master key is in one key ring: a key that wraps, one that authenticates the ring, and a value by
/// which it is told from other master keys. Immutable.
class RingKeys {
 public:
  /// Runs Argon2id where `parameters` are given. Throws key_unavailable where they are given to a key or
  /// missing for a passphrase, resource_exhausted where Argon2id gets no memory.
  RingKeys(const MasterKeyState& master, const RingId& ring,
           const std::optional<PassphraseParameters>& parameters);
  [[nodiscard]] KeyView wrapping() const noexcept { return keys_.key(0); }
  [[nodiscard]] KeyView authenticating() const noexcept { return keys_.key(kKeyBytes); }
  [[nodiscard]] const std::array<std::byte, kHashBytes>& check() const noexcept { return check_; }

 private:
  GuardedBytes keys_;
  std::array<std::byte, kHashBytes> check_{};
};

}  // namespace db4::crypto
