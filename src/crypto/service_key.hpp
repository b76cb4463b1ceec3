#pragma once
// The key of a ring that is under a key service: drawn here, wrapped there.

#include "crypto/master_key_state.hpp"

#include <db4/random.hpp>

#include <memory>
#include <string>

namespace db4::crypto {

/// What a key service made for a ring. Immutable.
struct ServiceKey {
  std::string wrapped;                   ///< what the ring carries
  std::shared_ptr<const RingKeys> keys;  ///< what comes of the key in there
};

/// All of these throw what the service does, and key_unavailable where it gives what cannot be right.

/// The keys of a ring that carries `wrapped`. Asks the service once.
std::shared_ptr<const RingKeys> unwrap_service_key(KeyService& service, const std::string& wrapped,
                                                   const RingId& ring);

/// A new key. Asks the service to wrap it, and to unwrap it again: a ring that could not be opened later,
/// because the caller may encrypt and not decrypt, say, would be found out too late.
ServiceKey make_service_key(KeyService& service, const RingId& ring, RandomSource& random);

/// The same key under the service's newest version; proven in the same way.
ServiceKey rewrap_service_key(KeyService& service, const std::string& wrapped, const RingId& ring);

}  // namespace db4::crypto
