#include "support/key_ring_audit.hpp"

#include "crypto/key_ring.hpp"

#include <db4/key_store.hpp>

namespace db4::testing {
namespace {

void check_copy(const std::string& object, const crypto::KeyRing& ring, std::string_view bytes,
                crypto::KeyRingOwner& owner, std::vector<std::string>& problems) {
  const crypto::KeyRingOwner::Snapshot now = owner.snapshot();
  if (ring.id != owner.ring_id()) problems.push_back("the key ring " + object + " is another store's");
  if (ring.generation > now.generation) {
    problems.push_back("the key ring " + object + " is newer than the store's");
  }
  if (ring.generation == now.generation && bytes != now.bytes) {
    problems.push_back("the key ring " + object + " is not the store's");
  }
}

}  // namespace

void audit_key_rings(ObjectStore& objects, std::span<const std::string> copies, const sealing::Sealer& sealer,
                     const std::set<sealing::KeyNumber>& needed, std::vector<std::string>& problems) {
  std::optional<crypto::KeyRing> newest;
  for (const std::string& object : copies) {
    try {
      const auto bytes = objects.get(object, kMaxKeyRingBytes);
      crypto::KeyRing ring = crypto::parse_key_ring(as_text(bytes.value()));
      if (sealer.has_keys()) check_copy(object, ring, as_text(*bytes), sealer.manager()->owner(), problems);
      if (!newest || newest->generation < ring.generation) newest = std::move(ring);
    } catch (const Error& error) {
      problems.push_back("the key ring " + object + ": " + error.what());
    }
  }
  for (const sealing::KeyNumber number : needed) {
    const auto id = crypto::key_id_from_text(sealing::to_text(number));
    const crypto::RingKey* const key = newest && id ? crypto::find_key(*newest, *id) : nullptr;
    if (key == nullptr || key->state == KeyState::destroyed) {
      problems.push_back("no copy of the key ring in cold has the key " + sealing::to_text(number) +
                         ", which sealed records there");
    }
  }
}

}  // namespace db4::testing
