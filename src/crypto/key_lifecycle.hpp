#pragma once
// What may become of a key: changes of a KeyRing as a value. Who may ask for them, and when they reach the
// key store, is EncryptionManager's.
//
//     active -> decrypt_only <-> pending_destruction -> destroyed

#include "crypto/key_ring.hpp"

#include <chrono>

namespace db4::crypto {

/// A new ring, without keys yet.
KeyRing make_key_ring(RandomSource& random);

/// Draws a new data key and makes it the active one; the one before becomes decrypt_only. Its id is one that
/// the ring never had. Throws resource_exhausted past kMaxKeys.
KeyId add_active_key(KeyRing& ring, TimePoint now, std::chrono::seconds lifetime, const RingKeys& keys,
                     RandomSource& random);

/// Throws invalid_argument for the active key, key_destroyed for a destroyed one. One that is pending keeps
/// its time; `forced` stays set once it was.
void schedule_destruction(RingKey& key, TimePoint destroy_after, bool forced);

/// Throws invalid_argument unless its destruction is pending, key_destroyed where it has happened.
void cancel_destruction(RingKey& key);

/// Whether its destruction is pending and its time has come.
bool is_due_for_destruction(const RingKey& key, TimePoint now) noexcept;

/// For good: its wrapped bytes go, its id stays taken.
void destroy(RingKey& key) noexcept;

/// Wraps all keys that are left by another master key.
void rewrap_keys(KeyRing& ring, const RingKeys& from, const RingKeys& to, RandomSource& random);

}  // namespace db4::crypto
