#pragma once
// EncryptionManager: data keys that rotate, and sealing with them.
//
//     auto encryption = std::make_shared<db4::EncryptionManager>(db4::EncryptionConfig{
//         .master_key = db4::master_key_from_file("keys/master"),
//         .key_store = std::make_shared<db4::FileKeyStore>("keys/ring")});
//     encryption->initialize();
//     const db4::Bytes sealed = encryption->seal(db4::as_bytes("text"), {.collection = "users", .id =
//     "user-1"}); const db4::Bytes opened = encryption->open(sealed, {.collection = "users", .id =
//     "user-1"}); encryption->rotate_key();
//
// docs/security.md says what it protects, and what not.

#include <db4/clock.hpp>
#include <db4/key_store.hpp>
#include <db4/master_key.hpp>
#include <db4/random.hpp>
#include <db4/sealing.hpp>
#include <db4/types.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace db4 {

inline constexpr std::size_t kMaxKeys = 4'096;  ///< of one ring, those that were destroyed included

/// What a data key may be used for. The numbers are those of the key ring's format.
enum class KeyState : std::uint8_t {
  active = 1,               ///< seals and opens; there is exactly one
  decrypt_only = 2,         ///< opens what was sealed with it
  pending_destruction = 3,  ///< neither; cancel_destruction brings it back until its time has come
  destroyed = 4,            ///< gone for good; what was sealed with it cannot be opened by anybody
};

/// "active", "decrypt_only" and so on.
DB4_API std::string_view to_string(KeyState state) noexcept;

/// What is known of a data key. Its bytes are not.
struct KeyInfo {
  std::string id = {};  ///< sixteen hexadecimal digits, drawn at random and never given to another key
  KeyState state = KeyState::active;
  TimePoint created_at{};
  TimePoint expires_at{};                       ///< when process_expirations() rotates it, while it is active
  std::optional<TimePoint> destroy_after = {};  ///< with pending_destruction
  std::uint64_t uses = 0;  ///< seals it may have been used for: counted ahead in blocks, never too few
};

/// How many documents (or whatever is counted) still need the key of this id. Called without a lock held.
using KeyUseCounter = std::function<std::uint64_t(std::string_view key_id)>;

/// How keys are kept and when they change.
struct EncryptionConfig {
  MasterKey master_key = {};
  /// Where the key ring is kept. nullptr: in the database of the TieredStore that is given the manager; for
  /// one that works alone in memory, so that nothing sealed can be opened after this process.
  std::shared_ptr<KeyStore> key_store = {};
  /// initialize() makes a key ring where there is none; false: that is key_unavailable.
  bool create_key_ring = true;
  std::chrono::seconds default_key_expiration = std::chrono::hours{90 * 24};  ///< above 0
  /// From schedule_destruction to destruction; not negative. Keep it far above refresh_interval where several
  /// processes share the ring: one that has not heard yet may seal with a key for so long.
  std::chrono::seconds destruction_grace_period = std::chrono::hours{7 * 24};
  /// A key ring that was read so long ago is read again before it is used: so long may a rotation elsewhere
  /// go unnoticed. 0: read before each use.
  std::chrono::milliseconds refresh_interval = std::chrono::minutes{1};
  /// Past so many seals the key is rotated. Every seal has a key of its own, so that 2^64 were no danger.
  std::uint64_t max_uses_per_key = 1ULL << 40;
  /// Uses are counted in the ring ahead of time, so many at once; 1 to max_uses_per_key.
  std::uint64_t use_block = 1ULL << 20;
  /// Asked before a key is destroyed; without it nothing says that a key is needed.
  KeyUseCounter use_counter = {};
};

/// How a key is rotated.
struct RotationOptions {
  /// The old key still opens what was sealed with it. false: its destruction is scheduled.
  bool keep_old_key = true;
  /// With keep_old_key = false: although use_counter says that it is needed.
  bool force = false;
};

/// Which key took the place of which.
struct KeyRotation {
  std::string old_key_id = {};
  std::string new_key_id = {};
};

/// How a key's destruction is scheduled.
struct DestructionOptions {
  /// Although use_counter says that documents need the key: they can never be read again (crypto-shredding).
  bool force = false;
};

/// What process_expirations did.
struct ExpirationResult {
  std::optional<KeyRotation> rotated = {};
  std::vector<std::string> destroyed = {};
  /// Due, and kept because use_counter says that they are needed.
  std::vector<std::string> still_needed = {};
};

namespace crypto {
class KeySource;
class KeyRingOwner;
}  // namespace crypto

/// One key ring, opened. Thread-safe. Several processes (and managers) may share a KeyStore: each change is a
/// compare-and-swap of the ring, made anew where another was faster; a key id that is not known makes a
/// manager read the ring again. Every call but the constructor throws what the key store throws, and
///
/// * what its key service throws, where it is asked (KeyService);
/// * invalid_argument before initialize(), or for an argument that is none;
/// * key_unavailable where the master key is missing or is not the ring's (any more), where the ring is gone,
/// or the
///   key is unknown or awaits its destruction;
/// * key_destroyed where the key was destroyed;
/// * corrupt where the ring, or what is to be opened, is damaged or was tampered with, or is older than it
/// was.
class DB4_API EncryptionManager {
 public:
  /// Touches nothing yet. Throws invalid_argument for a configuration that makes no sense. `random` makes
  /// keys and salts: never give another than the system's outside of tests.
  explicit EncryptionManager(EncryptionConfig config, std::shared_ptr<Clock> clock = system_clock(),
                             std::shared_ptr<RandomSource> random = system_random());
  ~EncryptionManager();
  EncryptionManager(const EncryptionManager&) = delete;
  EncryptionManager& operator=(const EncryptionManager&) = delete;

  /// Reads the key ring and unwraps its keys, or makes a ring with one active key. A missing or wrong master
  /// key is key_unavailable, and nothing was written. A key service is asked here, once (twice for a new
  /// ring), and later only where another process has put the ring under another master key. May be called
  /// again: it then does nothing.
  void initialize();

  /// Makes a new active key; the one before becomes decrypt_only, or pending_destruction. Throws
  /// invalid_argument where that one is to go and is needed, resource_exhausted past kMaxKeys.
  KeyRotation rotate_key(RotationOptions options = {});

  /// All keys, those that were destroyed included, oldest first.
  [[nodiscard]] std::vector<KeyInfo> list_keys();
  [[nodiscard]] std::string active_key_id();

  /// From now on the key opens nothing; destroyed by the first process_expirations() after
  /// destruction_grace_period. Gives that moment. Throws invalid_argument for the active key, for one that is
  /// needed (use_counter) unless forced, and for an id that is none.
  TimePoint schedule_destruction(std::string_view key_id, DestructionOptions options = {});
  /// The key opens again. Throws invalid_argument where its destruction is not pending.
  void cancel_destruction(std::string_view key_id);

  /// Rotates the active key if it expired, and destroys keys whose time has come, unless they are needed and
  /// their destruction was not forced. To be called now and then; once an hour is often enough.
  ExpirationResult process_expirations();

  /// Wraps all data keys by another master key. Documents need not be touched. From then on the old one is
  /// refused: give the new one to all processes that share the ring. One step: killed in between, one of the
  /// two holds; so it is where this throws unavailable, and then a new manager with either tells which.
  ///
  /// A key, a passphrase and a key service take each other's place in any order. With the key service that
  /// the ring is under already, the service wraps the ring's key anew, by its newest version
  /// (KeyService::rewrap); the data keys stay as they are, and other processes need no news.
  void rewrap(const MasterKey& new_master_key);

  /// How long the sealed bytes will be: known without sealing.
  [[nodiscard]] static std::uint64_t sealed_size(std::uint64_t plaintext_bytes,
                                                 Padding padding = Padding::none) noexcept;
  /// Seals with the active key: into a buffer of the caller's of exactly sealed_size() bytes, without copies,
  /// or into one of its own. Throws invalid_argument for another size, and over kMaxSealedMessageBytes.
  void seal_into(std::span<std::byte> out, ByteView plaintext, const SealContext& context,
                 Padding padding = Padding::none);
  [[nodiscard]] Bytes seal(ByteView plaintext, const SealContext& context, Padding padding = Padding::none);

  /// Opens with the key that the bytes name: into a buffer of the caller's that is as long as `sealed` or
  /// longer (giving the plaintext's size), or into one of its own. Nothing is given that was not checked:
  /// what is damaged, cut short, extended, or of another context is corrupt.
  std::size_t open_into(std::span<std::byte> out, ByteView sealed, const SealContext& context);
  [[nodiscard]] Bytes open(ByteView sealed, const SealContext& context);

  /// The id of the key that sealed these bytes, as they say; whether that is true is known when they are
  /// opened.
  [[nodiscard]] static std::string key_id_of(ByteView sealed);
  /// Whether another key than the active one sealed these bytes.
  [[nodiscard]] bool needs_reencryption(ByteView sealed);

  // For db4's own use: keys for what is sealed in other ways. Valid as long as the manager.
  [[nodiscard]] crypto::KeySource& keys() noexcept;
  /// The part that a store has in it (crypto/key_ring_owner.hpp).
  [[nodiscard]] crypto::KeyRingOwner& owner() noexcept;

 private:
  class DB4_INTERNAL State;
  std::unique_ptr<State> state_;
};

}  // namespace db4
