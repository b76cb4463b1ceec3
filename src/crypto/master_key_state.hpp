#pragma once
// What is behind a MasterKey, and the keys that are made of it for one key ring.

#include "crypto/guarded_bytes.hpp"
#include "crypto/hkdf.hpp"

#include <db4/key_service.hpp>
#include <db4/master_key.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

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

/// What a master key is. The numbers are those of the key ring's format.
enum class MasterKeyKind : std::uint8_t { key = 1, passphrase = 2, service = 3 };

/// A key, a passphrase or a key service. Immutable.
class MasterKeyState {
 public:
  explicit MasterKeyState(GuardedBytes key) : bytes_(std::move(key)) {}
  MasterKeyState(GuardedBytes passphrase, PassphraseCost cost) : bytes_(std::move(passphrase)), cost_(cost) {}
  explicit MasterKeyState(std::shared_ptr<KeyService> service) : service_(std::move(service)) {}
  [[nodiscard]] MasterKeyKind kind() const noexcept {
    if (service_ != nullptr) return MasterKeyKind::service;
    return cost_ ? MasterKeyKind::passphrase : MasterKeyKind::key;
  }
  /// The cost for a new ring; nullopt: this is no passphrase.
  [[nodiscard]] const std::optional<PassphraseCost>& passphrase_cost() const noexcept { return cost_; }
  /// Of a key or a passphrase; none of a service.
  [[nodiscard]] ByteView bytes() const noexcept { return bytes_.view(); }
  /// nullptr: this is no service.
  [[nodiscard]] KeyService* service() const noexcept { return service_.get(); }

 private:
  GuardedBytes bytes_;
  std::optional<PassphraseCost> cost_;
  std::shared_ptr<KeyService> service_;
};

/// Throws key_unavailable where a ring under `ring` cannot be opened with `given`.
void check_kind(MasterKeyKind ring, MasterKeyKind given);

using RingId = std::array<std::byte, 16>;

/// What a master key is in one key ring: a key that wraps, one that authenticates the ring, and a value by
/// which it is told from other master keys. Immutable.
class RingKeys {
 public:
  /// Runs Argon2id where `parameters` are given. Throws key_unavailable where they are given to a key or
  /// missing for a passphrase, or the master key is a service; resource_exhausted where Argon2id gets no
  /// memory.
  RingKeys(const MasterKeyState& master, const RingId& ring,
           const std::optional<PassphraseParameters>& parameters);
  /// Of the key that a service wraps for the ring.
  RingKeys(KeyView master, const RingId& ring);
  [[nodiscard]] KeyView wrapping() const noexcept { return keys_.key(0); }
  [[nodiscard]] KeyView authenticating() const noexcept { return keys_.key(kKeyBytes); }
  [[nodiscard]] const std::array<std::byte, kHashBytes>& check() const noexcept { return check_; }

 private:
  GuardedBytes keys_;
  std::array<std::byte, kHashBytes> check_{};
};

}  // namespace db4::crypto
