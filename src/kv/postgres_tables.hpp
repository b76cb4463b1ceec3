#pragma once
// The tables of a store in PostgreSQL as a whole: whether they are there, and where they stand.

#include "kv/engine.hpp"

#include <string>

namespace db4::kv {

/// Each call connects for itself and takes hot.timeout at most. `options` are those that the engine is opened
/// with. All throw unavailable and what the server refuses.

/// Whether the schema holds any table of the engine's.
bool postgres_tables_exist(const EngineOptions& options);

/// Moves the engine's tables to another schema, which is made where it is missing, and takes away the one
/// that they were in: all of it or nothing. No engine may have them open. Throws conflict where the other
/// schema holds one of them.
void move_postgres_tables(const EngineOptions& options, const std::string& to);

/// Takes away the engine's tables with all that is in them, and their schema where nothing else is in it.
void drop_postgres_tables(const EngineOptions& options);

}  // namespace db4::kv
