#pragma once
// What the audit says of the copies of the key ring in cold.

#include "sealing/sealer.hpp"

#include <db4/object_store.hpp>

#include <set>
#include <span>
#include <string>
#include <vector>

namespace db4::testing {

/// Checks that each of the objects `copies` is a ring, and the store's at some time, and that who has nothing
/// but the newest of them and the master key has the keys `needed`, which sealed what is in cold. Adds what
/// does not hold to `problems`.
void audit_key_rings(ObjectStore& objects, std::span<const std::string> copies, const sealing::Sealer& sealer,
                     const std::set<sealing::KeyNumber>& needed, std::vector<std::string>& problems);

}  // namespace db4::testing
