#include "crypto/key_lifecycle.hpp"

#include <db4/error.hpp>

namespace db4::crypto {
namespace {

void refuse_destroyed(const RingKey& key) {
  if (key.state != KeyState::destroyed) return;
  throw Error(ErrorCode::key_destroyed, "the key " + to_text(key.id) + " is destroyed",
              "nothing brings it back; list_keys() has those that are left");
}

}  // namespace

KeyRing make_key_ring(RandomSource& random) {
  KeyRing ring;
  random.fill(ring.id);
  return ring;
}

KeyId add_active_key(KeyRing& ring, TimePoint now, std::chrono::seconds lifetime, const RingKeys& keys,
                     RandomSource& random) {
  if (ring.keys.size() >= kMaxKeys) {
    throw Error(ErrorCode::resource_exhausted, "the key ring has as many keys as it can ever have",
                "re-encrypt everything into another key ring");
  }
  RingKey added{.created_at = now, .expires_at = now + lifetime};
  do {
    random.fill(added.id);
  } while (find_key(ring, added.id) != nullptr);
  const GuardedBytes data_key(kKeyBytes, [&](std::span<std::byte> out) { random.fill(out); });
  wrap_key(data_key.key(), ring.id, added, keys, random);
  if (!ring.keys.empty()) active_key(ring).state = KeyState::decrypt_only;
  ring.keys.push_back(added);
  return added.id;
}

void schedule_destruction(RingKey& key, TimePoint destroy_after, bool forced) {
  refuse_destroyed(key);
  if (key.state == KeyState::active) {
    throw Error(ErrorCode::invalid_argument, "the key " + to_text(key.id) + " is the active one",
                "rotate it first, then re-encrypt what it sealed");
  }
  if (key.state == KeyState::decrypt_only) key.destroy_after = destroy_after;
  key.state = KeyState::pending_destruction;
  key.forced = key.forced || forced;
}

void cancel_destruction(RingKey& key) {
  refuse_destroyed(key);
  if (key.state != KeyState::pending_destruction) {
    throw Error(ErrorCode::invalid_argument,
                "the destruction of the key " + to_text(key.id) + " is not pending", "look at list_keys()");
  }
  key.state = KeyState::decrypt_only;
  key.destroy_after = {};
  key.forced = false;
}

bool is_due_for_destruction(const RingKey& key, TimePoint now) noexcept {
  return key.state == KeyState::pending_destruction && key.destroy_after <= now;
}

void destroy(RingKey& key) noexcept {
  key.state = KeyState::destroyed;
  key.wrapped = {};
}

void rewrap_keys(KeyRing& ring, const RingKeys& from, const RingKeys& to, RandomSource& random) {
  for (RingKey& key : ring.keys) {
    if (key.state == KeyState::destroyed) continue;
    wrap_key(unwrap_key(key, ring.id, from).key(), ring.id, key, to, random);
  }
  ring.master_check = to.check();
}

}  // namespace db4::crypto
