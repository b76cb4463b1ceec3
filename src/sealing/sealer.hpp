#pragma once
// sealing: what a store seals and opens, all by one path, between the records of codec and the keys of
// crypto. Includes base, codec, crypto.

#include "crypto/key_ring_owner.hpp"
#include "crypto/key_source.hpp"
#include "sealing/kinds.hpp"

#include <db4/encryption.hpp>
#include <db4/random.hpp>
#include <db4/sealing.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace db4::sealing {

/// A data key's id as a number, as rows keep it. 0: none, what it is about is plain. (One of 2^64 keys has it
/// for its id; the key ring draws another then.)
using KeyNumber = std::uint64_t;
KeyNumber number_of(const crypto::KeyId& id) noexcept;
/// As KeyInfo::id has it; empty for none.
std::string to_text(KeyNumber key);

/// Whose bytes they are. The views are used during the call only.
struct Identity {
  std::optional<std::string_view> collection = {};
  std::optional<std::string_view> id = {};
  Version version = 0;
};

/// A store's sealing: its keys, and whether they are used for what is written. Without keys it seals and
/// opens nothing. Thread-safe once the store's id is set.
///
/// Calls that open or seal throw what EncryptionManager throws; key_unavailable without keys.
class Sealer {
 public:
  Sealer() = default;
  /// `writes`: what is written is sealed.
  Sealer(std::shared_ptr<EncryptionManager> manager, bool writes, Padding padding,
         std::shared_ptr<RandomSource> random = system_random());

  /// Before the first use: what is sealed is bound to it.
  void set_store_id(std::string id) { store_id_ = std::move(id); }
  [[nodiscard]] const std::string& store_id() const noexcept { return store_id_; }

  /// The key ring, where the store keeps it and nobody else.
  void set_kept_ring(crypto::KeyRingOwner* owner) noexcept { kept_ring_ = owner; }
  [[nodiscard]] crypto::KeyRingOwner* kept_ring() const noexcept { return kept_ring_; }

  [[nodiscard]] bool has_keys() const noexcept { return manager_ != nullptr; }
  [[nodiscard]] bool seals() const noexcept { return manager_ != nullptr && writes_; }
  [[nodiscard]] Padding padding() const noexcept { return padding_; }
  [[nodiscard]] const std::shared_ptr<EncryptionManager>& manager() const noexcept { return manager_; }
  [[nodiscard]] RandomSource& random() const noexcept { return *random_; }
  /// Throws key_unavailable without keys.
  [[nodiscard]] crypto::KeySource& keys() const;

  /// Throws as opening with that key would, where it cannot be used (any more); 0 is always well.
  void check_key(KeyNumber key) const;
  /// The key that what is written now is sealed with; 0: it is written plain.
  [[nodiscard]] KeyNumber wanted_key() const;

  /// Sealed bytes, and with which key.
  struct Sealed {
    std::string bytes;
    KeyNumber key = 0;
  };
  /// With the active key, whatever seals() says. `codec`: a Kind, or what follows it.
  [[nodiscard]] Sealed seal(std::uint8_t codec, const Identity& identity, ByteView plaintext,
                            Padding padding) const;
  [[nodiscard]] Sealed seal(Kind kind, const Identity& identity, ByteView plaintext, Padding padding) const {
    return seal(static_cast<std::uint8_t>(kind), identity, plaintext, padding);
  }
  /// With a key that was taken from keys(): for parts of one thing, which are to go with one key.
  [[nodiscard]] Sealed seal(const crypto::SealKey& key, std::uint8_t codec, const Identity& identity,
                            ByteView plaintext, Padding padding) const;
  /// Throws corrupt for whatever was not sealed just so.
  [[nodiscard]] std::string open(std::uint8_t codec, const Identity& identity, std::string_view sealed) const;
  [[nodiscard]] std::string open(Kind kind, const Identity& identity, std::string_view sealed) const {
    return open(static_cast<std::uint8_t>(kind), identity, sealed);
  }
  /// Into exactly `out`, without a copy where nothing was padded. Throws corrupt where the plaintext has
  /// another size, too.
  void open_into(Kind kind, const Identity& identity, std::string_view sealed,
                 std::span<std::byte> out) const;

 private:
  [[nodiscard]] SealContext context(std::uint8_t codec, const Identity& identity) const noexcept;

  std::shared_ptr<EncryptionManager> manager_;
  bool writes_ = false;
  Padding padding_ = Padding::none;
  std::shared_ptr<RandomSource> random_ = system_random();
  std::string store_id_;
  crypto::KeyRingOwner* kept_ring_ = nullptr;
};

/// The key that sealed these bytes, as they say.
KeyNumber key_of(std::string_view sealed);

}  // namespace db4::sealing
