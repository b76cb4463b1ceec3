#pragma once
// The audit: reads everything a store keeps, and says what does not add up.

#include "kv/engine.hpp"
#include "sealing/sealer.hpp"

#include <db4/config.hpp>
#include <db4/encryption.hpp>
#include <db4/object_store.hpp>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace db4::testing {

struct AuditReport {
  std::vector<std::string> problems = {};
  std::size_t documents = 0;
  std::size_t tombstones = 0;
  std::size_t objects = 0;  ///< in the object store
  std::size_t intents = 0;
  std::size_t garbage = 0;  ///< entries
  std::size_t segments = 0;
  std::size_t dictionaries = 0;
  std::size_t sparse = 0;          ///< segments that wait for compaction
  std::size_t empty_segments = 0;  ///< that wait to be looked at
  // Copies of documents: hot bodies, and records in cold.
  std::size_t sealed_copies = 0;
  std::size_t plain_copies = 0;
  std::size_t key_rings = 0;  ///< copies of the key ring in the object store
  bool needs_keys = false;    ///< the store is opened by nobody without them

  [[nodiscard]] bool clean() const { return problems.empty(); }
};
std::ostream& operator<<(std::ostream& out, const AuditReport& report);

/// Checks the catalogue in `engine` against itself and against `objects`:
///  * every row reads back, with its body or cold record, under its own name and version;
///  * the spaces bodies, due and access hold an entry exactly where the rows say so;
///  * counters equal a recount, of the store, the collections and the segments;
///  * intents, garbage and what rows name do not overlap;
///  * every object is named by a row, a segment, an intent or the garbage, and what rows name is there;
///  * the newest entry of the changes space for a key says what its row says;
///  * the copies counted for each data key are those that rows name with it, and all that rows and segments'
///    indexes name in this way opens, with that key alone;
///  * there is a copy of the key ring that opens all that is in cold;
///  * where the catalogue says that nothing is plain, nothing is; and nothing is sealed, unfinished uploads
///    included, where it opens without keys.
///
/// `sealer`: the store's keys, where it is encrypted; without, what is sealed is a problem.
AuditReport audit(const kv::Engine& engine, ObjectStore& objects, const sealing::Sealer& sealer = {});

/// Of a closed store. `keys`: of one that may be encrypted; a manager without a key store of its own, that
/// nobody has used.
AuditReport audit_closed_store(HotType type, const std::filesystem::path& folder, ObjectStore& objects,
                               const kv::PostgresOptions& postgres = {},
                               const std::shared_ptr<EncryptionManager>& keys = nullptr);

}  // namespace db4::testing
