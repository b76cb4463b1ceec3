#pragma once
// Re-encryption: sealing anew what a store holds, with the key that is active now.

#include <db4/types.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <stop_token>
#include <string>
#include <vector>

namespace db4 {

/// How far a re-encryption has come.
struct ReencryptProgress {
  std::uint64_t documents = 0;  ///< sealed anew by this call
  std::uint64_t bytes = 0;      ///< of their bodies
  std::uint64_t left = 0;       ///< copies on other keys than the active one; plain ones are not counted
};

/// Bounds of one re-encryption. Some documents are always looked at, unless max_documents is 0.
struct ReencryptOptions {
  std::uint64_t max_documents = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t max_bytes = std::numeric_limits<std::uint64_t>::max();  ///< of bodies
  /// Nothing new is begun after it.
  std::chrono::milliseconds max_duration = std::chrono::milliseconds::max();
  /// After every page of documents.
  std::function<void(const ReencryptProgress&)> on_progress = {};
  std::stop_token stop = {};
};

/// What a re-encryption did.
struct ReencryptResult {
  std::uint64_t documents = 0;  ///< sealed anew (or made plain)
  std::uint64_t bytes = 0;      ///< of their bodies
  std::uint64_t failed = 0;     ///< could not be read or written; they are as they were
  std::string first_error = {};
  /// There is more to do: a bound was reached, something failed, or others changed documents meanwhile.
  bool more = false;
};

/// How many copies of documents a data key has sealed. A document that is hot and keeps its cold copy counts
/// twice; an unfinished upload counts as one.
struct KeyUse {
  std::string key_id = {};
  std::uint64_t copies = 0;
};

/// How a store is encrypted at this moment.
struct EncryptionStatus {
  bool encrypted = false;          ///< it has a key ring: some of it may be sealed
  bool writes = false;             ///< what is written is sealed
  std::string active_key_id = {};  ///< empty: not encrypted
  std::vector<KeyUse> uses = {};   ///< of keys that anything was ever sealed with, in order of their ids
  /// Copies that the active key did not seal.
  std::uint64_t copies_on_old_keys = 0;
  /// No re-encryption has gone over the whole store since what is written is sealed: there may be plain
  /// copies.
  bool plain_left = false;
};

}  // namespace db4
