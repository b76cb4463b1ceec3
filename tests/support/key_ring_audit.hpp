#pragma once
// What the audit says of the copies of the key ring in cold.

#include "sealing/sealer.hpp"

#include <db4/object_store.hpp>

#include <set>
#include <string>
#include <vector>

namespace db4::testing {

/// Checks what somebody finds who has the objects and the master key alone: that the copy of the key ring
/// that he takes (cold::find_key_ring) is of the store's ring, no newer than that, and has the keys `needed`,
/// which sealed what is in cold. Rings that a store had before it was made plain may lie beside it. Adds what
/// does not hold to `problems`.
void audit_key_rings(ObjectStore& objects, const std::string& folder, const sealing::Sealer& sealer,
                     const std::set<sealing::KeyNumber>& needed, std::vector<std::string>& problems);

}  // namespace db4::testing
