#pragma once
// The audit: reads everything a store keeps, and says what does not add up.

#include "kv/engine.hpp"

#include <db4/config.hpp>
#include <db4/object_store.hpp>

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

  [[nodiscard]] bool clean() const { return problems.empty(); }
};
std::ostream& operator<<(std::ostream& out, const AuditReport& report);

/// Checks the catalogue in `engine` against itself and against `objects`:
///  * every row reads back, with its body or cold record, under its own name and version;
///  * the spaces bodies, due and access hold an entry exactly where the rows say so;
///  * counters equal a recount, of the store, the collections and the segments;
///  * intents, garbage and what rows name do not overlap;
///  * every object is named by a row, a segment, an intent or the garbage, and what rows name is there;
///  * the newest entry of the changes space for a key says what its row says.
AuditReport audit(const kv::Engine& engine, ObjectStore& objects);

/// Of a closed store.
AuditReport audit_closed_store(HotType type, const std::filesystem::path& folder, ObjectStore& objects,
                               const kv::PostgresOptions& postgres = {});

}  // namespace db4::testing
