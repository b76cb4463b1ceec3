#include "store/encryption.hpp"

#include "base/wiping.hpp"
#include "cold/catalog_sessions.hpp"
#include "crypto/key_ring_owner.hpp"

#include <db4/error.hpp>
#include <db4/master_key_source.hpp>

namespace db4::store {
namespace {

std::shared_ptr<EncryptionManager> make_manager(const TieredStoreConfig& config,
                                                const std::shared_ptr<Clock>& clock) {
  if (config.encryption) return config.encryption;
  const SealingConfig& sealing = config.sealing;
  if (sealing.master_key.empty()) return nullptr;
  return std::make_shared<EncryptionManager>(
      EncryptionConfig{.master_key = master_key_from_source(sealing.master_key),
                       .default_key_expiration = sealing.key_expiration,
                       .destruction_grace_period = sealing.destruction_grace_period},
      clock);
}

}  // namespace

Encryption::Encryption(kv::Engine& engine, const TieredStoreConfig& config,
                       const std::shared_ptr<Clock>& clock)
    : ring_(std::make_shared<catalog::RingStore>(engine)),
      manager_(make_manager(config, clock)),
      sealer_(std::make_shared<sealing::Sealer>(manager_, config.sealing.writes, config.sealing.padding)) {
  try {
    check_mark(config.sealing.writes);
  } catch (...) {
    ring_->close();  // the manager may be somebody's, and the engine goes
    throw;
  }
}

Encryption::~Encryption() { close(); }

void Encryption::check_mark(bool writes) {
  const auto mark = ring_->mark();
  if (!mark && !writes) {  // nothing is sealed, and nothing shall be
    manager_ = nullptr;
    sealer_ = std::make_shared<sealing::Sealer>();
    return;
  }
  if (!manager_) {
    if (!mark) return;
    throw Error(ErrorCode::key_unavailable, "the store is encrypted, and no master key is configured",
                "set encryption.master_key, or TieredStoreConfig::encryption");
  }
  crypto::KeyRingOwner& owner = manager_->owner();
  if (owner.keep_in(ring_)) sealer_->set_kept_ring(&owner);
  // A new ring could not open what is there.
  owner.initialize(/*may_create=*/!mark);
  wipe_released_content();  // before anything is opened
  const crypto::RingId ring = owner.ring_id();
  if (mark && *mark != ring) {
    throw Error(ErrorCode::key_unavailable, "the key ring is another one than the store was encrypted with",
                "open the store with its own key ring");
  }
  if (mark) return;
  // Before anything can be sealed: from now on nobody opens the store without the keys.
  ring_->set_mark(ring);
  is_new_ = true;
}

void Encryption::adopt(catalog::Catalog& catalog, std::function<void()> forget) {
  ring_->adopt(catalog);
  if (!manager_) return;
  const auto count = [&catalog](std::string_view key_id) {
    const auto id = crypto::key_id_from_text(key_id);
    if (!id) return std::uint64_t{0};
    const sealing::KeyNumber key = sealing::number_of(*id);
    return catalog.count_sealed_copies(key) + cold::count_unfinished_uploads(catalog)[key];
  };
  user_ = manager_->owner().add_user({.count = count, .on_key_gone = std::move(forget)});
}

void Encryption::close() {
  if (manager_ && user_ != 0) manager_->owner().remove_user(user_);
  user_ = 0;
  ring_->close();
}

void Encryption::forget_keys() { ring_->clear_mark(); }

}  // namespace db4::store
