#include "crypto/key_ring_access.hpp"

#include "crypto/key_lifecycle.hpp"
#include "crypto/service_key.hpp"

#include <db4/error.hpp>

namespace db4::crypto {
namespace {

constexpr int kMaxAttempts = 100;

void require_master(const MasterKey& master) {
  if (!master.empty()) return;
  throw Error(ErrorCode::key_unavailable, "there is no master key",
              "give one: master_key_from_file(), for example; generate_master_key() makes a new one");
}

/// Throws where `now` cannot have become of `before`: somebody put something else in its place.
void check_successor(const KeyRing& now, const KeyRing& before) {
  if (now.id == before.id && now.generation >= before.generation) return;
  throw Error(ErrorCode::corrupt, "the key ring was replaced by an older or another one while it was in use",
              "put its newest copy back; keys of after the older one was copied are only in there");
}

std::optional<PassphraseParameters> new_parameters(const MasterKey& master, RandomSource& random) {
  const auto& cost = master.state()->passphrase_cost();
  if (!cost) return std::nullopt;
  PassphraseParameters parameters{.cost = *cost};
  random.fill(parameters.salt);
  return parameters;
}

/// What a ring comes under.
struct NewMaster {
  std::optional<PassphraseParameters> passphrase = {};
  std::string wrapped = {};
  std::shared_ptr<const RingKeys> keys;
};

NewMaster make_master(const MasterKey& master, const RingId& ring, RandomSource& random) {
  if (KeyService* const service = master.state()->service()) {
    ServiceKey made = make_service_key(*service, ring, random);
    return {.wrapped = std::move(made.wrapped), .keys = std::move(made.keys)};
  }
  NewMaster made{.passphrase = new_parameters(master, random), .keys = {}};
  made.keys = std::make_shared<const RingKeys>(*master.state(), ring, made.passphrase);
  return made;
}

/// What the service makes of what the ring carries; nullopt where it does not know that: it is another
/// service or another key of it, or has put that version away.
std::optional<ServiceKey> rewrap_by_same_service(const MasterKey& master, const KeyRing& ring) {
  KeyService* const service = master.state()->service();
  if (service == nullptr || master_kind(ring) != MasterKeyKind::service) return std::nullopt;
  try {
    return rewrap_service_key(*service, ring.wrapped_master, ring.id);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::key_unavailable) throw;
    return std::nullopt;
  }
}

[[noreturn]] void throw_busy() {
  throw Error(ErrorCode::unavailable, "others change the key ring without a pause", "repeat later");
}

}  // namespace

KeyRingAccess::KeyRingAccess(MasterKey master, std::shared_ptr<KeyStore> store,
                             std::shared_ptr<RandomSource> random)
    : master_(std::move(master)), store_(std::move(store)), random_(std::move(random)) {}

bool KeyRingAccess::open() {
  require_master(master_);
  std::optional<std::string> bytes = store_->load();
  if (!bytes) return false;
  KeyRing ring = parse_key_ring(*bytes);
  auto keys = keys_of(ring);
  check_key_ring(ring, *bytes, *keys);
  adopt(std::move(*bytes), std::move(ring), std::move(keys));
  return true;
}

bool KeyRingAccess::move_to(std::shared_ptr<KeyStore> store) {
  const std::optional<std::string> bytes = store->load();
  if (!bytes || parse_key_ring(*bytes).id != ring_.id) return false;
  store_ = std::move(store);
  return open();
}

bool KeyRingAccess::create(const std::function<void(KeyRing&, const RingKeys&)>& fill) {
  require_master(master_);
  KeyRing ring = make_key_ring(*random_);
  NewMaster made = make_master(master_, ring.id, *random_);
  ring.passphrase = made.passphrase;
  ring.wrapped_master = std::move(made.wrapped);
  ring.master_check = made.keys->check();
  fill(ring, *made.keys);
  return replace(std::nullopt, std::move(ring), std::move(made.keys));
}

void KeyRingAccess::reload() {
  std::optional<std::string> bytes = store_->load();
  if (!bytes) {
    throw Error(ErrorCode::key_unavailable, "the key ring is gone", "put its newest copy back");
  }
  if (*bytes == bytes_) return;
  KeyRing ring = parse_key_ring(*bytes);
  auto keys = keys_of(ring);
  check_key_ring(ring, *bytes, *keys);
  check_successor(ring, ring_);
  adopt(std::move(*bytes), std::move(ring), std::move(keys));
}

void KeyRingAccess::change(const Change& apply) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    reload();
    KeyRing ring = ring_;
    if (!apply(ring, *keys_)) return;
    if (replace(bytes_, std::move(ring), keys_)) return;
  }
  throw_busy();
}

void KeyRingAccess::rewrap(const MasterKey& master) {
  require_master(master);
  if (rewrap_in_service(master)) return;
  const NewMaster made = make_master(master, ring_.id, *random_);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    reload();
    KeyRing ring = ring_;
    rewrap_keys(ring, *keys_, *made.keys, *random_);
    ring.passphrase = made.passphrase;
    ring.wrapped_master = made.wrapped;
    if (replace(bytes_, std::move(ring), made.keys)) {
      master_ = master;
      return;
    }
  }
  throw_busy();
}

// The key that the service wraps stays, and with it every wrapped data key: other processes go on without
// asking the service.
bool KeyRingAccess::rewrap_in_service(const MasterKey& master) {
  std::string before;
  std::optional<ServiceKey> made;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    reload();
    if (!made || before != ring_.wrapped_master) {
      before = ring_.wrapped_master;
      made = rewrap_by_same_service(master, ring_);
      if (!made || made->keys->check() != keys_->check()) return false;
    }
    KeyRing ring = ring_;
    ring.wrapped_master = made->wrapped;
    if (replace(bytes_, std::move(ring), keys_)) {
      master_ = master;
      return true;
    }
  }
  throw_busy();
}

std::shared_ptr<const SealKey> KeyRingAccess::usable(const KeyId& id) const {
  const auto at = usable_.find(id);
  return at == usable_.end() ? nullptr : at->second;
}

std::shared_ptr<const RingKeys> KeyRingAccess::keys_of(const KeyRing& ring) const {
  // Argon2id takes its time and a service may be away, and the master key hardly ever changes. Whoever writes
  // this check without the key is found out by the ring's authentication.
  if (keys_ != nullptr && ring.id == ring_.id && ring.master_check == keys_->check()) return keys_;
  check_kind(master_kind(ring), master_.state()->kind());
  if (KeyService* const service = master_.state()->service()) {
    return unwrap_service_key(*service, ring.wrapped_master, ring.id);
  }
  return std::make_shared<const RingKeys>(*master_.state(), ring.id, ring.passphrase);
}

bool KeyRingAccess::replace(const std::optional<std::string>& expected, KeyRing ring,
                            std::shared_ptr<const RingKeys> keys) {
  ++ring.generation;
  std::string bytes = encode_key_ring(ring, *keys);
  if (!store_->replace(expected, bytes)) return false;
  adopt(std::move(bytes), std::move(ring), std::move(keys));
  return true;
}

void KeyRingAccess::adopt(std::string bytes, KeyRing ring, std::shared_ptr<const RingKeys> keys) {
  UsableKeys usable;
  for (const RingKey& key : ring.keys) {
    if (key.state != KeyState::active && key.state != KeyState::decrypt_only) continue;
    auto known = this->usable(key.id);
    if (known == nullptr) {
      known = std::make_shared<const SealKey>(key.id, unwrap_key(key, ring.id, *keys).key());
    }
    usable.emplace(key.id, std::move(known));
  }
  active_ = usable.at(active_key(ring).id);
  usable_ = std::move(usable);
  bytes_ = std::move(bytes);
  ring_ = std::move(ring);
  keys_ = std::move(keys);
}

}  // namespace db4::crypto
