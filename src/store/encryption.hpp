#pragma once
// Encryption: whether a store is encrypted, with which keys, and that nobody opens it with others.

#include "catalog/ring_store.hpp"
#include "sealing/sealer.hpp"

#include <db4/clock.hpp>
#include <db4/config.hpp>
#include <db4/encryption.hpp>

#include <functional>
#include <memory>

namespace db4::store {

/// Thread-safe.
class Encryption {
 public:
  /// Reads the keys, or makes them where the store is to be encrypted and has none. Throws key_unavailable,
  /// and has written nothing, where the master key is missing or wrong, or the key ring is not the one that
  /// the store was encrypted with.
  Encryption(kv::Engine& engine, const TieredStoreConfig& config, const std::shared_ptr<Clock>& clock);
  ~Encryption();
  Encryption(const Encryption&) = delete;
  Encryption& operator=(const Encryption&) = delete;

  /// Once the catalogue has the engine. `forget`: called when a key opens nothing any more.
  void adopt(catalog::Catalog& catalog, std::function<void()> forget);
  /// Before the catalogue closes.
  void close();

  /// What this store seals and opens with: without keys where it is not encrypted.
  [[nodiscard]] const std::shared_ptr<sealing::Sealer>& sealer() const noexcept { return sealer_; }
  [[nodiscard]] const std::shared_ptr<EncryptionManager>& manager() const noexcept { return manager_; }
  /// Whether this opening is the first with encryption: what is cached elsewhere may be plain.
  [[nodiscard]] bool is_new() const noexcept { return is_new_; }
  /// Nothing is sealed any more: the store may be opened without keys from now on.
  void forget_keys();

 private:
  void check_mark(bool writes);

  const std::shared_ptr<catalog::RingStore> ring_;
  std::shared_ptr<EncryptionManager> manager_;
  std::shared_ptr<sealing::Sealer> sealer_;
  std::uint64_t user_ = 0;
  bool is_new_ = false;
};

}  // namespace db4::store
