#include "support/key_ring_audit.hpp"

#include "cold/key_ring_copies.hpp"
#include "crypto/key_ring.hpp"

namespace db4::testing {
namespace {

void check_copy(const crypto::KeyRing& ring, std::string_view bytes, crypto::KeyRingOwner& owner,
                std::vector<std::string>& problems) {
  const crypto::KeyRingOwner::Snapshot now = owner.snapshot();
  if (ring.id != owner.ring_id()) {
    problems.emplace_back("the copy of the key ring in cold is another store's");
  } else if (ring.generation > now.generation) {
    problems.emplace_back("the copy of the key ring in cold is newer than the store's");
  } else if (ring.generation == now.generation && bytes != now.bytes) {
    problems.emplace_back("the copy of the key ring in cold is not the store's");
  }
}

}  // namespace

void audit_key_rings(ObjectStore& objects, const std::string& folder, const sealing::Sealer& sealer,
                     const std::set<sealing::KeyNumber>& needed, std::vector<std::string>& problems) {
  std::optional<crypto::KeyRing> ring;
  try {
    if (const auto rings = cold::find_key_rings(objects, folder, {}); !rings.empty()) {
      ring = crypto::parse_key_ring(rings.front());
      if (sealer.has_keys() && !needed.empty()) {
        check_copy(*ring, rings.front(), sealer.manager()->owner(), problems);
      }
    }
  } catch (const Error& error) {
    problems.push_back(std::string("the copy of the key ring in cold: ") + error.what());
  }
  for (const sealing::KeyNumber number : needed) {
    const auto id = crypto::key_id_from_text(sealing::to_text(number));
    const crypto::RingKey* const key = ring && id ? crypto::find_key(*ring, *id) : nullptr;
    if (key == nullptr || key->state == KeyState::destroyed) {
      problems.push_back("no copy of the key ring in cold has the key " + sealing::to_text(number) +
                         ", which sealed records there");
    }
  }
}

}  // namespace db4::testing
