#include "crypto/files.hpp"
#include "crypto/key_ring_access.hpp"

#include <db4/error.hpp>
#include <db4/key_recovery.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

namespace db4 {
namespace {

using crypto::KeyRing;

/// A ring beside the one that is in use: what is done to it is not done to that one.
std::shared_ptr<KeyStore> copy_of(const std::string& ring) {
  auto copy = std::make_shared<InMemoryKeyStore>();
  std::ignore = copy->replace(std::nullopt, ring);
  return copy;
}

EncryptionConfig opening(const MasterKey& key, std::shared_ptr<KeyStore> ring) {
  return {.master_key = key, .key_store = std::move(ring), .create_key_ring = false};
}

void require_key(const MasterKey& key, const char* which) {
  if (!key.empty()) return;
  throw Error(ErrorCode::invalid_argument, std::string("there is no ") + which, "give one");
}

/// The ring that is there, as far as it can be read without its master key; nullopt where it is damaged.
std::optional<KeyRing> parse(const std::string& ring) {
  try {
    return crypto::parse_key_ring(ring);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    return std::nullopt;
  }
}

/// Whether a master key opens the ring. Throws where that cannot be told, since a key service is away, say.
bool works(const std::string& ring, const MasterKey& master_key) {
  EncryptionManager manager(opening(master_key, copy_of(ring)));
  try {
    manager.initialize();
    return true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::key_unavailable && error.code() != ErrorCode::corrupt) throw;
    return false;
  }
}

/// What is kept of a ring elsewhere goes by its generation. A ring that is put back is the newest, whatever
/// became of those that are lost: as many changes as this no ring ever sees.
constexpr std::uint64_t kGenerationGap = 1ULL << 32;
constexpr std::uint64_t kHighestBelieved = 1ULL << 62;

void raise_generation(const std::shared_ptr<KeyStore>& copy, const MasterKey& master_key,
                      std::uint64_t present) {
  crypto::KeyRingAccess access(master_key, copy, system_random());
  access.open();
  // Two that are put back one after the other are two, also where nothing is left of the first.
  std::array<std::byte, 3> drawn{};
  system_random()->fill(drawn);
  std::uint64_t apart = 0;
  for (const std::byte byte : drawn) apart = apart << 8 | std::to_integer<std::uint64_t>(byte);
  access.change([&](KeyRing& ring, const crypto::RingKeys&) {
    // What cannot be opened may say anything.
    const std::uint64_t before = std::min(present, kHighestBelieved);
    ring.generation = std::max(ring.generation, before) + kGenerationGap + apart;
    return true;
  });
}

/// The keys of `before` that `now` has not. Those that were destroyed open nothing, and are not missed.
std::vector<std::string> missing(const KeyRing& before, const KeyRing& now) {
  std::vector<std::string> ids;
  for (const crypto::RingKey& key : before.keys) {
    if (key.state == KeyState::destroyed) continue;
    const bool same = before.id == now.id && crypto::find_key(now, key.id) != nullptr;
    if (!same) ids.push_back(crypto::to_text(key.id));
  }
  return ids;
}

std::string listed(const std::vector<std::string>& ids) {
  constexpr std::size_t kShown = 5;
  std::string out;
  for (std::size_t i = 0; i < std::min(kShown, ids.size()); ++i) out += (i == 0 ? "" : ", ") + ids[i];
  return ids.size() > kShown ? out + " and " + std::to_string(ids.size() - kShown) + " more" : out;
}

void refuse_to_lose(const std::vector<std::string>& ids, bool same_ring) {
  const std::string problem = same_ring
                                  ? "the key ring that is there is newer than the copy, which lacks its keys "
                                  : "the key ring that is there is another than the copy's, with keys ";
  throw Error(ErrorCode::conflict, problem + listed(ids),
              "look for the master key that opens it, or for a later copy; forced, what these keys sealed is "
              "lost for good");
}

}  // namespace

std::vector<KeyInfo> export_key_ring(KeyStore& ring, const MasterKey& master_key,
                                     const std::filesystem::path& file, const MasterKey& recovery_key) {
  require_key(recovery_key, "recovery key");
  const std::optional<std::string> bytes = ring.load();
  if (!bytes) {
    throw Error(ErrorCode::key_unavailable, "there is no key ring to make a copy of",
                "nothing was ever sealed there, or the ring is lost: put a copy of it back");
  }
  const std::shared_ptr<KeyStore> copy = copy_of(*bytes);
  EncryptionManager manager(opening(master_key, copy));
  manager.initialize();
  manager.rewrap(recovery_key);
  crypto::create_private_file(file, as_bytes(copy->load().value()));
  return manager.list_keys();
}

KeyRingImport import_key_ring(const std::filesystem::path& file, const MasterKey& recovery_key,
                              KeyStore& ring, const MasterKey& master_key, KeyRingImportOptions options) {
  require_key(recovery_key, "recovery key");
  require_key(master_key, "master key");
  const std::optional<std::string> saved = FileKeyStore(file).load();
  if (!saved) {
    throw Error(ErrorCode::key_unavailable, "there is no file " + file.string(),
                "name the file that a copy of the key ring was written to");
  }
  const std::shared_ptr<KeyStore> copy = copy_of(*saved);
  EncryptionManager manager(opening(recovery_key, copy));
  manager.initialize();
  const KeyRing recovered = crypto::parse_key_ring(*saved);

  KeyRingImport result{.imported = true};
  const std::optional<std::string> present = ring.load();
  const std::optional<KeyRing> before = present ? parse(*present) : std::nullopt;
  if (before) {
    const bool same = before->id == recovered.id;
    if (works(*present, master_key)) {
      if (!same) {
        throw Error(ErrorCode::conflict, "another key ring is there, which works: its master key is given",
                    "keep it; a copy is for a ring that is lost, or whose master key is");
      }
      // Wrapping the copy anew counted as one change.
      if (before->generation + 1 >= recovered.generation) {
        EncryptionManager kept(opening(master_key, copy_of(*present)));
        kept.initialize();
        return {.imported = false, .keys = kept.list_keys()};
      }
    }
    result.lost_key_ids = missing(*before, recovered);
    if (!result.lost_key_ids.empty() && !options.force) refuse_to_lose(result.lost_key_ids, same);
  }
  manager.rewrap(master_key);
  raise_generation(copy, master_key, before ? before->generation : 0);
  if (!ring.replace(present, copy->load().value())) {
    throw Error(ErrorCode::conflict, "the key ring was changed by another process at the same moment",
                "end what uses it, then repeat");
  }
  result.keys = manager.list_keys();
  return result;
}

}  // namespace db4
