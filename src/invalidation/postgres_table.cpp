#include "invalidation/postgres_table.hpp"

#include <algorithm>
#include <array>

namespace db4::invalidation {
namespace {

using kv::PostgresConnection;
using kv::PostgresRefusal;
using kv::PostgresResult;

/// SQLSTATE: https://www.postgresql.org/docs/15/errcodes-appendix.html
constexpr std::string_view kNoTable = "42P01";
/// Two who make one table at the same moment: one of them gets one of these, IF NOT EXISTS or not.
constexpr std::array<std::string_view, 3> kMadeMeanwhile = {"42P07", "23505", "42710"};

std::string quoted(const std::string& schema, const std::string& name) {
  return (schema.empty() ? "" : "\"" + schema + "\".") + "\"" + name + "\"";
}

std::string advance_of(const std::string& table) {
  return "UPDATE " + table + " SET head = head + $1::int8 WHERE number = 0";
}

/// One statement may change a table once, in some databases: so this is not one with advance_of.
std::string insert_of(const std::string& table) {
  return "INSERT INTO " + table + " (number, message) SELECT h.head - $2::int8 + m.at, m.message FROM " +
         table + " AS h, unnest($1::bytea[]) WITH ORDINALITY AS m(message, at) WHERE h.number = 0 " +
         "RETURNING 1";
}

std::string trim_of(const std::string& table) {
  return "DELETE FROM " + table + " WHERE number > 0 AND number <= (SELECT h.head - $1::int8 FROM " + table +
         " AS h WHERE h.number = 0)";
}

/// The head and what stands behind the position are of one snapshot.
std::string read_of(const std::string& table) {
  return "SELECT h.head, m.number, m.message FROM " + table +
         " AS h LEFT JOIN (SELECT number, message FROM " + table +
         " WHERE number > $1::int8 AND number > 0 ORDER BY number LIMIT $2::int8) AS m ON true " +
         "WHERE h.number = 0 ORDER BY m.number";
}

}  // namespace

PostgresMessageTable::PostgresMessageTable(const std::string& schema, const std::string& name,
                                           std::int64_t kept)
    : kept_(kept),
      create_{"", "CREATE TABLE IF NOT EXISTS " + quoted(schema, name) +
                      " (number int8 PRIMARY KEY, head int8 NOT NULL DEFAULT 0, message bytea NOT NULL)"},
      create_head_{"", "INSERT INTO " + quoted(schema, name) +
                           " (number, message) VALUES (0, ''::bytea) ON CONFLICT (number) DO NOTHING"},
      advance_{"", advance_of(quoted(schema, name))},
      insert_{"", insert_of(quoted(schema, name))},
      trim_{"", trim_of(quoted(schema, name))},
      newest_{"", "SELECT head FROM " + quoted(schema, name) + " WHERE number = 0"},
      read_{"", read_of(quoted(schema, name))} {}

void PostgresMessageTable::create(PostgresConnection& connection, MonotonicTime deadline) const {
  try {
    connection.run(create_, {}, deadline);
  } catch (const PostgresRefusal& refusal) {
    if (std::ranges::find(kMadeMeanwhile, refusal.state()) == kMadeMeanwhile.end()) throw;
  }
  connection.run(create_head_, {}, deadline);
}

void PostgresMessageTable::append(PostgresConnection& connection, std::span<const std::string> messages,
                                  MonotonicTime deadline) const {
  if (try_append(connection, messages, deadline)) return;
  create(connection, deadline);
  if (try_append(connection, messages, deadline)) return;
  throw Error(ErrorCode::unavailable, "the table of messages between nodes lost its row 0",
              "repeat; let nobody else change that table");
}

/// false: there is no table, or no row 0 in it, and nothing was appended.
bool PostgresMessageTable::try_append(PostgresConnection& connection, std::span<const std::string> messages,
                                      MonotonicTime deadline) const {
  const std::string count = kv::postgres_int8(static_cast<std::int64_t>(messages.size()));
  connection.add(begin_);
  connection.add(advance_, {count});
  connection.add(
      insert_,
      {kv::postgres_bytea_array(std::vector<std::string_view>(messages.begin(), messages.end())), count});
  connection.add(trim_, {kv::postgres_int8(kept_)});
  connection.add(commit_);
  try {
    constexpr std::size_t kInserted = 2;
    return connection.run(deadline).at(kInserted).rows() > 0;
  } catch (const PostgresRefusal& refusal) {
    if (refusal.state() != kNoTable) throw;
    return false;
  }
}

std::int64_t PostgresMessageTable::newest(PostgresConnection& connection, MonotonicTime deadline) const {
  try {
    const PostgresResult found = connection.run(newest_, {}, deadline);
    if (found.rows() > 0) return found.number(0, 0);
  } catch (const PostgresRefusal& refusal) {
    if (refusal.state() != kNoTable) throw;
  }
  create(connection, deadline);
  const PostgresResult made = connection.run(newest_, {}, deadline);
  return made.rows() > 0 ? made.number(0, 0) : 0;
}

PostgresMessageTable::Page PostgresMessageTable::read(PostgresConnection& connection, std::int64_t& position,
                                                      MonotonicTime deadline) const {
  const PostgresResult rows =
      connection.run(read_, {kv::postgres_int8(position), kv::postgres_int8(kPage)}, deadline);
  Page page;
  if (rows.rows() == 0 || rows.number(0, 0) < position) {
    // Another table, or an older state of it: by a server that was not up to date when it took over.
    position = rows.rows() == 0 ? 0 : rows.number(0, 0);
    page.lost = true;
    return page;
  }
  const std::int64_t head = rows.number(0, 0);
  for (int row = 0; row < rows.rows(); ++row) {
    const std::int64_t number = rows.number(row, 1);
    if (number == 0) break;  // NULL: there is none
    page.lost |= number != position + 1;
    position = number;
    page.messages.emplace_back(rows.value(row, 2));
  }
  page.more = page.messages.size() == kPage;
  if (page.messages.empty() && position < head) {
    page.lost = true;
    position = head;
  }
  return page;
}

}  // namespace db4::invalidation
