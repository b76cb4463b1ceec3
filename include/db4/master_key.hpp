#pragma once
// MasterKey: the one key that an operator keeps. It wraps the data keys of a key ring, and seals nothing
// else.

#include <db4/secret.hpp>
#include <db4/types.hpp>

#include <filesystem>
#include <iosfwd>
#include <memory>
#include <string>

namespace db4 {

namespace crypto {
class MasterKeyState;
}

/// What Argon2id (RFC 9106) may cost to make a key of a passphrase. It is paid at initialize() and rewrap().
struct PassphraseCost {
  std::uint64_t memory_bytes = 256ULL << 20;  ///< 8 MiB to 4 GiB, in whole KiB
  std::uint32_t passes = 3;                   ///< 1 to 64
};

/// A key of 256 bits, a passphrase that one is made of, or a service that keeps one (<db4/key_service.hpp>).
/// Its bytes are locked in memory and left out of core dumps where the system allows, and wiped with the last
/// copy; streamed, it is `***` (nothing where there is none). Whoever loses it loses everything sealed below
/// it.
///
///     config.master_key = db4::master_key_from_file("keys/master");
///
/// Copies share the bytes. Immutable; safe to share between threads.
class MasterKey {
 public:
  /// None.
  MasterKey() noexcept = default;
  [[nodiscard]] bool empty() const noexcept { return state_ == nullptr; }

  // For db4's own use.
  explicit MasterKey(std::shared_ptr<const crypto::MasterKeyState> state) noexcept
      : state_(std::move(state)) {}
  [[nodiscard]] const crypto::MasterKeyState* state() const noexcept { return state_.get(); }

 private:
  std::shared_ptr<const crypto::MasterKeyState> state_;
};

DB4_API std::ostream& operator<<(std::ostream& out, const MasterKey& key);

/// A new one, of the system's cryptographic random source.
DB4_API MasterKey generate_master_key();

/// Of exactly 32 bytes; they remain the caller's to wipe. Throws invalid_argument for another length.
DB4_API MasterKey master_key_from_bytes(ByteView bytes);

/// Of its text: 32 bytes in base64, 44 characters, as reveal_master_key gives them and `openssl rand -base64
/// 32` makes them; white space around it is left out. Throws invalid_argument for another text.
DB4_API MasterKey master_key_from_text(const Secret& text);

/// Of a file that holds such a text. Throws key_unavailable where there is no such file, permission_denied
/// where the group or others may read or write it or it is not this user's (or root's), invalid_argument
/// where it holds something else.
DB4_API MasterKey master_key_from_file(const std::filesystem::path& path);

/// Of an environment variable that holds such a text. Throws key_unavailable where it is not set or empty.
/// Other programs of the same user can read a process's environment: a file is better.
DB4_API MasterKey master_key_from_environment(const std::string& name);

/// Of such a text, read from a descriptor up to its end: 0 is standard input. Throws unavailable where it
/// cannot be read, invalid_argument where it holds something else.
DB4_API MasterKey master_key_from_descriptor(int descriptor);

/// Of a passphrase, by Argon2id. The salt and the cost are kept in the key ring; a ring that exists keeps its
/// own. Throws invalid_argument for an empty passphrase, one of more than 1,024 bytes, or a cost out of
/// range.
DB4_API MasterKey master_key_from_passphrase(const Secret& passphrase, PassphraseCost cost = {});

/// The key as text, to be kept in a safe place. Throws invalid_argument for none, for a passphrase and
/// for a key service's.
DB4_API Secret reveal_master_key(const MasterKey& key);

/// Writes the key as text into a new file that only this user may read, and syncs it. Throws conflict where
/// the file exists, and what reveal_master_key throws; permission_denied, resource_exhausted, unavailable
/// where the system refuses.
DB4_API void write_master_key_file(const MasterKey& key, const std::filesystem::path& path);

}  // namespace db4
