#pragma once
// The tables of a store in PostgreSQL, and the statements that touch them. Plain SQL, so that what speaks the
// protocol and the dialect (YugabyteDB, CockroachDB, Aurora, Citus) fits. docs/postgres.md shows the tables.

#include "kv/postgres_connection.hpp"
#include "kv/space_table.hpp"

namespace db4::kv {

/// The statements of one space. A check fails (kCheckFailed) where not all of its preconditions hold, and
/// locks the rows that it looked at until the transaction ends, in the order of their keys.
struct PostgresSpace {
  PostgresStatement get;                ///< key
  PostgresStatement scan;               ///< begin, end, limit[, bytes]; of bodies with the last one
  PostgresStatement scan_to_end;        ///< begin, limit[, bytes]
  PostgresStatement scan_keys;          ///< begin, end, limit
  PostgresStatement scan_keys_to_end;   ///< begin, limit
  PostgresStatement put;                ///< key, value
  PostgresStatement put_many;           ///< keys, values
  PostgresStatement replace;            ///< key, value, prefix, length or -1: checks the row, then changes it
  PostgresStatement replace_many;       ///< keys, values, prefixes, lengths, how many there are
  PostgresStatement insert;             ///< key, value; kInsertFailed where the key is there
  PostgresStatement insert_many;        ///< keys, values
  PostgresStatement erase;              ///< key
  PostgresStatement erase_many;         ///< keys
  PostgresStatement erase_range;        ///< begin, end
  PostgresStatement erase_to_end;       ///< begin
  PostgresStatement add;                ///< key, difference; counters alone
  PostgresStatement add_many;           ///< keys, differences; counters alone
  PostgresStatement check_shared;       ///< key, prefix, length or -1; others may check it too
  PostgresStatement check;              ///< the same, for a row that is about to change
  PostgresStatement check_many_shared;  ///< keys, prefixes, lengths, how many there are
  PostgresStatement check_many;         ///< the same, for rows that are about to change
  PostgresStatement hold_places;        ///< keys; gives those that were absent, now held with an empty value
  PostgresStatement read_locked;        ///< keys; gives keys and values, in order
};

/// A session is one opening of an engine. Its row says which of its commits was the last to take effect, and
/// how often a lost connection made it look.
struct PostgresSessions {
  PostgresStatement create;  ///< id
  /// id, last commit, this commit, fence; kCheckFailed where they are not as said; changes no row where there
  /// is none
  PostgresStatement mark;
  PostgresStatement fence;   ///< id, fence; gives the last commit. Waits for one that is under way
  PostgresStatement remove;  ///< id
  PostgresStatement remove_old;
};

/// Immutable, so thread-safe. Statements live as long as it does.
class PostgresSchema {
 public:
  /// SQLSTATE invalid_text_representation: how a check makes its transaction fail.
  static constexpr std::string_view kCheckFailed = "22P02";
  /// SQLSTATE unique_violation.
  static constexpr std::string_view kInsertFailed = "23505";

  /// Throws invalid_argument for a schema's name that is not 1 to 63 letters, digits and underscores.
  PostgresSchema(const SpaceTable& spaces, const std::string& name);
  PostgresSchema(const PostgresSchema&) = delete;
  PostgresSchema& operator=(const PostgresSchema&) = delete;

  [[nodiscard]] const PostgresSpace& space(std::uint8_t id) const { return statements_[spaces_.index(id)]; }
  [[nodiscard]] const PostgresSessions& sessions() const noexcept { return sessions_; }
  [[nodiscard]] const PostgresStatement& begin() const noexcept { return begin_; }
  [[nodiscard]] const PostgresStatement& commit() const noexcept { return commit_; }
  /// The transaction's commit need not reach the server's disk.
  [[nodiscard]] const PostgresStatement& relax() const noexcept { return relax_; }

  /// Gives the server's wall clock in microseconds since 1970-01-01 UTC.
  [[nodiscard]] const PostgresStatement& server_time() const noexcept { return server_time_; }

  /// Creates what is missing. Several processes may do so at once. Throws unsupported where a newer db4 made
  /// the tables.
  void create(PostgresConnection& connection, MonotonicTime deadline) const;
  /// Of the engine's tables, those that are there.
  [[nodiscard]] std::vector<std::string> tables_in(PostgresConnection& connection,
                                                   MonotonicTime deadline) const;

 private:
  struct Table {
    std::string name;
    std::string columns;
  };
  [[nodiscard]] std::vector<Table> tables() const;
  void create_missing(PostgresConnection& connection, MonotonicTime deadline) const;
  void check_format(PostgresConnection& connection, MonotonicTime deadline) const;

  const SpaceTable& spaces_;
  const std::string name_;
  std::vector<PostgresSpace> statements_;
  PostgresSessions sessions_;
  PostgresStatement begin_{"db4_begin", "BEGIN ISOLATION LEVEL READ COMMITTED"};
  PostgresStatement commit_{"db4_commit", "COMMIT"};
  PostgresStatement relax_{"db4_relax", "SET LOCAL synchronous_commit TO off"};
  PostgresStatement server_time_{"db4_server_time",
                                 "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8"};
};

}  // namespace db4::kv
