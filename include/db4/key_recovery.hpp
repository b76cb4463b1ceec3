#pragma once
// Recovery: a copy of a key ring in a file, under a key of its own, for the day when the ring or its master
// key is lost.
//
//     db4::export_key_ring(ring, master_key, "recovery-2026", db4::master_key_from_passphrase(passphrase));

#include <db4/config.hpp>
#include <db4/encryption.hpp>
#include <db4/key_store.hpp>
#include <db4/master_key.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace db4 {

/// Writes a copy of a key ring, wrapped by `recovery_key` in the place of `master_key`, into a new file that
/// only this user may read, and syncs it. `ring` stays as it is. Gives the keys that are in the copy: what is
/// sealed with a later one the copy does not open. Any thread.
///
/// Throws conflict where the file exists; key_unavailable where there is no ring, or it is not master_key's;
/// corrupt for a damaged one; invalid_argument for no recovery key; and what the key store and the file
/// throw.
DB4_API std::vector<KeyInfo> export_key_ring(KeyStore& ring, const MasterKey& master_key,
                                             const std::filesystem::path& file,
                                             const MasterKey& recovery_key);

/// How a copy is put back.
struct KeyRingImportOptions {
  /// Although the ring that is there has keys that the copy has not: what they sealed can never be read
  /// again.
  bool force = false;
};

/// What came of it.
struct KeyRingImport {
  /// false: the same ring was there, under master_key, and as new as the copy or newer; it stays.
  bool imported = false;
  std::vector<KeyInfo> keys = {};              ///< of the ring that is there now
  std::vector<std::string> lost_key_ids = {};  ///< with force: that were in the ring before, and are not now
};

/// Puts such a copy in the place of a key ring that is lost or damaged, or whose master key is: wrapped by
/// `master_key`. One step: it happens or does not. It then counts as newer than all that was there before.
/// Keys that were destroyed after the copy was made come back with it. Any thread; nobody may have the ring
/// open.
///
/// Throws conflict where another ring is there that works (master_key opens it), and where the one that is
/// there has keys that the copy has not, unless forced; key_unavailable where there is no such file, or
/// recovery_key is not the copy's; corrupt for a damaged copy; and what the key store throws.
DB4_API KeyRingImport import_key_ring(const std::filesystem::path& file, const MasterKey& recovery_key,
                                      KeyStore& ring, const MasterKey& master_key,
                                      KeyRingImportOptions options = {});

/// The key ring in the database of a TieredStore, which is not opened: for the two calls above. Holds the
/// database until it goes: nobody else can have it open, unless it is in PostgreSQL.
///
/// Throws invalid_argument where there is no store, or one in memory; locked where another process has it;
/// and what opening a store throws. Its replace() throws conflict for another ring than the store was
/// encrypted with.
DB4_API std::shared_ptr<KeyStore> open_key_ring(const TieredStoreConfig& config);

}  // namespace db4
