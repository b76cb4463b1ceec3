#pragma once
// The key ring of a store, kept in the cold tier too: who loses the hot folder and has the master key can
// rebuild the catalogue, and read what is in cold. It is wrapped by the master key, so that nothing is given
// away.

#include "crypto/key_ring_owner.hpp"

#include <db4/object_store.hpp>

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace db4::cold {

/// Under the store's own folder. Before every name of documents and segments or behind it, never among them.
inline constexpr std::string_view kKeyRingFolder = "keys/";

/// Whether this is the name of a copy, from behind the prefix and the store's id: the ring's id and its
/// generation, 32 and 16 hex digits.
bool is_key_ring_name(std::string_view rest) noexcept;

/// Keeps the copy of the newest ring, and no older one: keys that were destroyed must go there too.
/// Thread-safe.
class KeyRingCopies {
 public:
  /// `folder`: the store's own, with a slash at its end. `owner` null: there is no ring, or its keeper looks
  /// after it himself.
  KeyRingCopies(ObjectStore& objects, crypto::KeyRingOwner* owner) noexcept
      : objects_(objects), owner_(owner) {}

  /// Returns when the ring, as this process knows it or newer, is in cold; to be called before what its keys
  /// sealed is put there. Costs nothing where it is. Throws what the object store throws; what it could not
  /// delete it leaves to clean_up().
  void keep(const std::string& folder, const CallOptions& call);
  /// Deletes older copies that were left. Throws unavailable where that fails again.
  void clean_up(const std::string& folder, const CallOptions& call);

 private:
  void remove_older(const std::string& folder, const std::string& kept, const CallOptions& call);

  ObjectStore& objects_;
  crypto::KeyRingOwner* const owner_;
  std::mutex mutex_;
  std::atomic<std::uint64_t> kept_{0};  ///< generation; they begin with 1
  std::string left_beside_;             ///< the copy that has older ones beside it yet; empty: none does
};

/// The newest copy of each ring in a store's folder, the one that was put last first: of several the others
/// are of a time before the store was made plain and encrypted again.
std::vector<std::string> find_key_rings(ObjectStore& objects, const std::string& folder,
                                        const CallOptions& call);

}  // namespace db4::cold
