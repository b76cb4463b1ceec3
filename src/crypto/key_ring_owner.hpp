#pragma once
// KeyRingOwner: what a store does with the manager of its keys, besides sealing.

#include "crypto/master_key_state.hpp"

#include <db4/encryption.hpp>
#include <db4/key_store.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace db4::crypto {

/// Thread-safe. Throws as EncryptionManager says.
class KeyRingOwner {
 public:
  virtual ~KeyRingOwner() = default;
  /// Keeps the ring there, where the manager was told of no place; whether it was so. Throws invalid_argument
  /// where it was initialized without one.
  virtual bool keep_in(std::shared_ptr<KeyStore> store) = 0;
  /// EncryptionManager::initialize(); with may_create = false, a ring that is missing is key_unavailable
  /// whatever the configuration says.
  virtual void initialize(bool may_create) = 0;
  virtual RingId ring_id() = 0;

  /// Rises with every change of the ring; as this process knows it. Above 0.
  virtual std::uint64_t generation() = 0;
  /// The ring as this process knows it.
  struct Snapshot {
    std::uint64_t generation = 0;
    std::string bytes;
  };
  virtual Snapshot snapshot() = 0;

  /// A store that seals with these keys.
  struct User {
    /// Asked besides EncryptionConfig::use_counter.
    KeyUseCounter count = {};
    /// Called after this process took a key away from those that open: what was opened with it is to be
    /// forgotten. Must not throw.
    std::function<void()> on_key_gone = {};
  };
  /// Until it is removed; that waits while one of the two is called.
  virtual std::uint64_t add_user(User user) = 0;
  virtual void remove_user(std::uint64_t number) = 0;
};

}  // namespace db4::crypto
