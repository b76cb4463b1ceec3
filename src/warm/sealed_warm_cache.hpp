#pragma once
// What a warm cache of an encrypted store keeps: sealed records under hidden keys. docs/formats/warm.md has
// the byte tables.

#include "crypto/key_source.hpp"

#include <db4/sealing.hpp>
#include <db4/warm_cache.hpp>

#include <memory>
#include <string>

namespace db4::warm {

/// `cache`, with its leases, where whatever holds it reads nothing: it sees each record sealed as a message,
/// and for each key an HMAC of it. Versions and times stay readable, since the cache goes by them; lengths do
/// as `padding` says.
///
/// Names come from the active data key too. So where that was rotated, what was put before is absent from the
/// next put (or lease) on, and goes as the cache forgets it. A get asks for no key to seal with, but the
/// first of all.
///
/// A record that cannot be opened (changed, another entry's or version's, or under a key that was destroyed,
/// awaits it or is not in the ring) is absent, removed, and counted: WarmCacheStats::unreadable. Throws what
/// the cache throws, and what KeySource does where no key can be had at all; nothing is removed for that.
///
/// `keys` outlives the result; `random` (null: the system's) makes salts. Thread rule: as of WarmCache.
/// Throws invalid_argument without a cache, and for a store id over kMaxStoreIdBytes.
std::shared_ptr<WarmCache> seal_warm_cache(std::shared_ptr<WarmCache> cache, crypto::KeySource& keys,
                                           std::string store_id, std::shared_ptr<RandomSource> random,
                                           Padding padding);

}  // namespace db4::warm
