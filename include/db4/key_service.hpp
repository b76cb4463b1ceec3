#pragma once
// KeyService: a service that keeps master keys to itself. db4 hands it the key of a key ring to be encrypted,
// and what came of that to be decrypted; the service's own key never leaves it.
//
//     config.master_key = db4::master_key_from_service(db4::make_vault_key_service({.key = "orders", .token =
//     token}));
//
// docs/security.md says what that protects; docs/backends.md says how to write one.

#include <db4/master_key.hpp>
#include <db4/secret.hpp>
#include <db4/types.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace db4 {

/// The longest text that a service may make of a key. Vault makes 89 characters and a few digits.
inline constexpr std::size_t kMaxWrappedKeyBytes = 4'096;

/// Encrypts and decrypts keys of 32 bytes by a master key of its own, of which it may have several versions.
/// Derive from it to use another service.
///
/// What wrap() gives is kept in the key ring, where anybody may read and change it: a service must notice a
/// change, and give nothing back then. It is bound to its ring by db4: a text of another ring opens nothing.
///
/// Every call throws
/// * unavailable where the service is away, hangs or is busy: repeating may help, and the service has
/// repeated
///   what it was worth repeating;
/// * permission_denied where it does not take the caller's credentials, or does not let the caller do this;
/// * key_unavailable where it does not have the key that is asked for, any more or at all;
/// * invalid_argument or unsupported where it cannot be used as it is set up.
///
/// No message may hold a key, a token, or what the service said if that could hold one.
///
/// Thread-safe.
class DB4_API KeyService {
 public:
  virtual ~KeyService() = default;

  /// Encrypts a key by the newest version of the service's own: 1 to kMaxWrappedKeyBytes bytes. Called when a
  /// ring is made, or comes under this service by EncryptionManager::rewrap.
  [[nodiscard]] virtual std::string wrap(ByteView key) = 0;

  /// The key that `wrapped` was made of, byte for byte. Throws key_unavailable for a text that this service
  /// did not make, that was changed, or that is of a version which it has put away. Called when a ring is
  /// opened.
  [[nodiscard]] virtual Secret unwrap(std::string_view wrapped) = 0;

  /// The same key encrypted by the newest version, without showing it to the caller where the service can do
  /// that. Throws key_unavailable as unwrap() does.
  [[nodiscard]] virtual std::string rewrap(std::string_view wrapped) = 0;
};

/// A master key that a service keeps. Nothing is asked yet. Throws invalid_argument for none. It is not
/// revealed by reveal_master_key.
DB4_API MasterKey master_key_from_service(std::shared_ptr<KeyService> service);

}  // namespace db4
