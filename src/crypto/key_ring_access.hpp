#pragma once
// KeyRingAccess: a key ring in a key store, as one process sees it: read, changed by compare-and-swap, read
// again.

#include "crypto/key_ring.hpp"

#include <db4/clock.hpp>
#include <db4/key_store.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>

namespace db4::crypto {

/// Thread rule: one at a time. Throws as EncryptionManager says.
class KeyRingAccess {
 public:
  KeyRingAccess(MasterKey master, std::shared_ptr<KeyStore> store, std::shared_ptr<RandomSource> random);

  /// Reads the ring, where there is one; whether there was. Throws key_unavailable without a master key.
  bool open();
  /// Makes the ring with what `fill` puts into it; false, with nothing changed, where another was faster.
  bool create(const std::function<void(KeyRing&, const RingKeys&)>& fill);

  /// Reads the ring again. Throws, and keeps what it has, where the ring is gone, is another or an older one,
  /// or is under another master key.
  void reload();
  /// Reads the ring, lets `apply` change it, and puts it back; again, where another was faster. `apply` says
  /// whether it changed anything; where not, or where it throws, nothing is written.
  using Change = std::function<bool(KeyRing& ring, const RingKeys& keys)>;
  void change(const Change& apply);
  /// Puts the ring under another master key. A service that knows what the ring carries wraps it anew itself.
  void rewrap(const MasterKey& master);

  /// Before open() and create(): another place for the ring.
  void keep_in(std::shared_ptr<KeyStore> store) noexcept { store_ = std::move(store); }
  /// After them: another place, which has this very ring, whatever became of it there. False, with nothing
  /// changed, where it has none or another.
  bool move_to(std::shared_ptr<KeyStore> store);

  [[nodiscard]] const KeyRing& ring() const noexcept { return ring_; }
  /// As the key store has it.
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }
  /// An unwrapped key; nullptr where it may neither seal nor open, and where there is none.
  [[nodiscard]] std::shared_ptr<const SealKey> usable(const KeyId& id) const;
  [[nodiscard]] const std::shared_ptr<const SealKey>& active() const noexcept { return active_; }

 private:
  using UsableKeys = std::map<KeyId, std::shared_ptr<const SealKey>>;

  std::shared_ptr<const RingKeys> keys_of(const KeyRing& ring) const;
  bool rewrap_in_service(const MasterKey& master);
  void adopt(std::string bytes, KeyRing ring, std::shared_ptr<const RingKeys> keys);
  bool replace(const std::optional<std::string>& expected, KeyRing ring,
               std::shared_ptr<const RingKeys> keys);

  MasterKey master_;
  std::shared_ptr<KeyStore> store_;
  std::shared_ptr<RandomSource> random_;

  // What was read last; empty before open().
  std::string bytes_;
  KeyRing ring_;
  std::shared_ptr<const RingKeys> keys_;
  UsableKeys usable_;
  std::shared_ptr<const SealKey> active_;
};

}  // namespace db4::crypto
