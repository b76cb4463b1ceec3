#include "kv/postgres_schema.hpp"

#include <algorithm>
#include <charconv>

namespace db4::kv {
namespace {

constexpr int kFormat = 1;
constexpr std::size_t kMaxNameBytes = 63;
/// Each that fails means that somebody else has made a table.
constexpr int kCreateAttempts = 1000;
/// Whoever writes nothing for so long makes a new session when he does.
constexpr const char* kOldSession = "30 days";

/// A count that is not the wanted one is cast from a text that is no number. It stands in no constant, which
/// the server would cast before it runs the statement; and its log shows this text.
std::string fails_unless(const std::string& count, const std::string& wanted) {
  return "CASE WHEN " + count + " = " + wanted + " THEN 0 ELSE CAST('db4: preconditions held: ' || " + count +
         " AS int8) END";
}

PostgresSpace statements_of(const SpaceSpec& space, const std::string& table) {
  const bool counters = space.kind == SpaceKind::counters;
  const std::string type = counters ? "int8" : "bytea";
  const std::string name = "db4_" + std::to_string(space.id) + "_";
  const std::string from = " FROM " + table;
  const std::string values = " VALUES ($1::bytea, $2::" + type + ")";
  const std::string unnested = " SELECT * FROM unnest($1::bytea[], $2::" + type + "[])";
  const std::string insert = "INSERT INTO " + table + " (key, value)";
  const std::string replace = " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value";
  const std::string sum = " ON CONFLICT (key) DO UPDATE SET value = c.value + EXCLUDED.value";
  const std::string range = " WHERE key >= $1::bytea AND key < $2::bytea";
  const std::string to_end = " WHERE key >= $1::bytea";

  const auto page = [&](const std::string& columns, const std::string& where, int limit) {
    return "SELECT " + columns + from + where + " ORDER BY key LIMIT $" + std::to_string(limit) + "::int8";
  };
  // Bodies are large: those past the bound are not sent at all.
  const auto page_of_values = [&](const std::string& where, int limit) {
    std::string inner = page("key, value", where, limit);
    if (space.kind != SpaceKind::bodies) return inner;
    return "SELECT key, value FROM (SELECT key, value, sum(length(key) + length(value)) OVER (ORDER BY key) "
           "AS "
           "total, row_number() OVER (ORDER BY key) AS place FROM (" +
           inner + ") AS page) AS summed WHERE total <= $" + std::to_string(limit + 1) +
           "::int8 OR place = 1 ORDER BY key";
  };
  const std::string holds =
      "substr(t.value, 1, length(p.prefix)) = p.prefix AND (p.size < 0 OR length(t.value) = p.size)";
  const auto check = [&](const std::string& wanted, const std::string& lock, const std::string& source) {
    // A counter's preconditions are checked here, on what read_locked gives.
    if (counters) return std::string();
    return "SELECT " + fails_unless("held", wanted) + " FROM (SELECT count(*) AS held FROM (SELECT 1 FROM " +
           table + " AS t JOIN " + source + " AS p(key, prefix, size) ON t.key = p.key WHERE " + holds +
           " ORDER BY t.key FOR " + lock + " OF t) AS locked) AS counted";
  };
  // A row that must be as said is checked where it is changed.
  const auto replace_held = [&](const std::string& wanted, const std::string& source) {
    if (counters) return std::string();
    return "WITH replaced AS (UPDATE " + table + " AS t SET value = p.value FROM " + source +
           " AS p(key, value, prefix, size) WHERE t.key = p.key AND " + holds + " RETURNING 1) SELECT " +
           fails_unless("n", wanted) + " FROM (SELECT count(*) AS n FROM replaced) AS counted";
  };
  const std::string one = "(VALUES ($1::bytea, $2::bytea, $3::int8))";
  const std::string many = "unnest($1::bytea[], $2::bytea[], $3::int8[])";

  return {
      .get = {name + "get", "SELECT value" + from + " WHERE key = $1::bytea"},
      .scan = {name + "scan", page_of_values(range, 3)},
      .scan_to_end = {name + "scan_to_end", page_of_values(to_end, 2)},
      .scan_keys = {name + "scan_keys", page("key", range, 3)},
      .scan_keys_to_end = {name + "scan_keys_to_end", page("key", to_end, 2)},
      .put = {name + "put", insert + values + replace},
      .put_many = {name + "put_many", insert + unnested + replace},
      .replace = {name + "replace",
                  replace_held("1", "(VALUES ($1::bytea, $2::bytea, $3::bytea, $4::int8))")},
      .replace_many = {name + "replace_many",
                       replace_held("$5::int8",
                                    "(SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], "
                                    "$4::int8[]) AS u(key, value, prefix, size) ORDER BY key)")},
      .insert = {name + "insert", insert + values},
      .insert_many = {name + "insert_many", insert + unnested},
      .erase = {name + "erase", "DELETE" + from + " WHERE key = $1::bytea"},
      .erase_many = {name + "erase_many", "DELETE" + from + " WHERE key = ANY($1::bytea[])"},
      .erase_range = {name + "erase_range", "DELETE" + from + range},
      .erase_to_end = {name + "erase_to_end", "DELETE" + from + to_end},
      .add = {name + "add", "INSERT INTO " + table + " AS c (key, value)" + values + sum},
      .add_many = {name + "add_many", "INSERT INTO " + table + " AS c (key, value)" + unnested + sum},
      .check_shared = {name + "check_shared", check("1", "SHARE", one)},
      .check = {name + "check", check("1", "UPDATE", one)},
      .check_many_shared = {name + "check_many_shared", check("$4::int8", "SHARE", many)},
      .check_many = {name + "check_many", check("$4::int8", "UPDATE", many)},
      .hold_places = {name + "hold_places",
                      insert + " SELECT k, " + (counters ? "0" : "''::bytea") +
                          " FROM unnest($1::bytea[]) AS u(k) ON CONFLICT (key) DO NOTHING RETURNING key"},
      .read_locked = {name + "read_locked",
                      "SELECT key, value" + from + " WHERE key = ANY($1::bytea[]) ORDER BY key FOR UPDATE"},
  };
}

PostgresSessions sessions_in(const std::string& table) {
  return {
      .create = {"db4_session_create", "INSERT INTO " + table + " (id) VALUES ($1::bytea)"},
      .mark = {"db4_session_mark",
               "UPDATE " + table +
                   " SET commits = CASE WHEN commits = $2::int8 AND fence = $4::int8 THEN $3::int8 ELSE "
                   "CAST('db4: commits: ' || commits AS int8) END, seen = now() WHERE id = $1::bytea"},
      .fence = {"db4_session_fence",
                "UPDATE " + table + " SET fence = $2::int8 WHERE id = $1::bytea RETURNING commits"},
      .remove = {"db4_session_remove", "DELETE FROM " + table + " WHERE id = $1::bytea"},
      .remove_old = {"db4_session_remove_old",
                     "DELETE FROM " + table + " WHERE seen < now() - interval '" + kOldSession + "'"},
  };
}

}  // namespace

PostgresSchema::PostgresSchema(const SpaceTable& spaces, const std::string& name)
    : spaces_(spaces), name_(name) {
  const bool legal = !name.empty() && name.size() <= kMaxNameBytes && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (!legal) {
    throw Error(ErrorCode::invalid_argument, "hot.schema is no name of a schema",
                "use 1 to 63 letters, digits and underscores");
  }
  for (const SpaceSpec& space : spaces.all()) {
    statements_.push_back(statements_of(space, "\"" + name + "\".\"" + space.name + "\""));
  }
  sessions_ = sessions_in("\"" + name + "\".db4_sessions");
}

void PostgresSchema::create(PostgresConnection& connection, MonotonicTime deadline) const {
  for (int attempt = 1;; ++attempt) {
    try {
      create_missing(connection, deadline);
      break;
    } catch (const PostgresRefusal& refusal) {
      // Somebody else made the same at the same moment (which "if not exists" does not keep apart).
      const bool overtaken = refusal.state().starts_with("23") || refusal.state().starts_with("42P0") ||
                             refusal.state() == "42710" || refusal.state().starts_with("40") ||
                             refusal.state() == "XX000";
      if (!overtaken || attempt == kCreateAttempts) throw;
    }
  }
  check_format(connection, deadline);
}

void PostgresSchema::create_missing(PostgresConnection& connection, MonotonicTime deadline) const {
  // Asked first: who may not create may still use what an administrator made.
  const PostgresStatement find_schema{
      "", "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = '" + name_ + "'"};
  if (connection.run(find_schema, {}, deadline).rows() == 0) {
    const PostgresStatement create_schema{"", "CREATE SCHEMA IF NOT EXISTS \"" + name_ + "\""};
    connection.run(create_schema, {}, deadline);
  }
  const std::vector<std::string> present = tables_in(connection, deadline);
  for (const Table& table : tables()) {
    if (std::ranges::find(present, table.name) != present.end()) continue;
    connection.run(
        {"", "CREATE TABLE IF NOT EXISTS \"" + name_ + "\".\"" + table.name + "\" (" + table.columns + ")"},
        {}, deadline);
  }
}

std::vector<PostgresSchema::Table> PostgresSchema::tables() const {
  std::vector<Table> out;
  out.push_back({"db4_sessions",
                 "id bytea PRIMARY KEY, commits int8 NOT NULL DEFAULT 0, fence int8 NOT NULL DEFAULT 0, "
                 "seen timestamptz NOT NULL DEFAULT now()"});
  for (const SpaceSpec& space : spaces_.all()) {
    const std::string type = space.kind == SpaceKind::counters ? "int8" : "bytea";
    out.push_back({space.name, "key bytea PRIMARY KEY, value " + type + " NOT NULL"});
  }
  out.push_back({"db4_format", "format int8 PRIMARY KEY"});
  return out;
}

std::vector<std::string> PostgresSchema::tables_in(PostgresConnection& connection,
                                                   MonotonicTime deadline) const {
  const PostgresStatement list{"",
                               "SELECT c.relname::text FROM pg_catalog.pg_class AS c JOIN "
                               "pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = '" +
                                   name_ + "' AND c.relkind IN ('r', 'p')"};
  const PostgresResult found = connection.run(list, {}, deadline);
  const std::vector<Table> ours = tables();
  std::vector<std::string> out;
  for (int row = 0; row < found.rows(); ++row) {
    if (std::ranges::find(ours, found.value(row, 0), &Table::name) != ours.end())
      out.emplace_back(found.value(row, 0));
  }
  return out;
}

void PostgresSchema::check_format(PostgresConnection& connection, MonotonicTime deadline) const {
  const std::string table = "\"" + name_ + "\".db4_format";
  const PostgresStatement set{"", "INSERT INTO " + table + " (format) SELECT " + std::to_string(kFormat) +
                                      " WHERE NOT EXISTS (SELECT 1 FROM " + table +
                                      ") ON CONFLICT (format) DO NOTHING"};
  const PostgresStatement get{"", "SELECT max(format) FROM " + table};
  connection.run(set, {}, deadline);
  const std::int64_t format = connection.run(get, {}, deadline).number(0, 0);
  if (format == kFormat) return;
  throw Error(ErrorCode::unsupported,
              "the tables in the schema " + name_ + " have format " + std::to_string(format) +
                  ", this db4 knows " + std::to_string(kFormat),
              "open them with the newer db4 that made them, or name another schema in hot.schema");
}

}  // namespace db4::kv
