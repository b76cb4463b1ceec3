#pragma once
// KeySource: where those who seal get their keys. EncryptionManager has one.

#include "crypto/seal.hpp"

#include <memory>

namespace db4::crypto {

/// Thread-safe. Throws as EncryptionManager says.
class KeySource {
 public:
  virtual ~KeySource() = default;
  /// The active key, for one message or one stream: each call is counted as one use.
  virtual std::shared_ptr<const SealKey> for_sealing() = 0;
  /// The key of this id, where it may still open.
  virtual std::shared_ptr<const SealKey> for_opening(const KeyId& id) = 0;
};

}  // namespace db4::crypto
