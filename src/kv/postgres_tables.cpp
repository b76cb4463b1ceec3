#include "kv/postgres_tables.hpp"

#include "kv/postgres_schema.hpp"

#include <db4/clock.hpp>

#include <deque>

namespace db4::kv {
namespace {

constexpr std::string_view kDuplicateTable = "42P07";
/// What a schema answers to being dropped that is not empty, and one that somebody else made.
constexpr std::string_view kStillNeeded = "2BP01";
constexpr std::string_view kNotAllowed = "42501";

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

/// A connection, and the statements of one transaction.
class Tables {
 public:
  explicit Tables(const EngineOptions& options)
      : spaces_(options.spaces),
        schema_(spaces_, options.postgres.schema),
        name_(options.postgres.schema),
        deadline_(system_clock()->monotonic() + options.postgres.timeout),
        connection_(options.postgres,
                    std::min(deadline_, system_clock()->monotonic() + options.postgres.connect_timeout)) {}

  [[nodiscard]] std::vector<std::string> present() { return schema_.tables_in(connection_, deadline_); }
  [[nodiscard]] std::string in_schema(const std::string& table) const {
    return quoted(name_) + "." + quoted(table);
  }

  void add(std::string sql) {
    statements_.push_back({"", std::move(sql)});
    connection_.add(statements_.back());
  }
  void commit() {
    if (statements_.empty()) return;
    connection_.run(deadline_);
    statements_.clear();
  }

  void drop_schema_if_empty() {
    try {
      add("DROP SCHEMA IF EXISTS " + quoted(name_));
      commit();
    } catch (const PostgresRefusal& refusal) {
      if (refusal.state() != kStillNeeded && refusal.state() != kNotAllowed) throw;
    }
  }

 private:
  const SpaceTable spaces_;
  const PostgresSchema schema_;
  const std::string name_;
  const MonotonicTime deadline_;
  std::deque<PostgresStatement> statements_;  ///< addresses that stay
  PostgresConnection connection_;
};

}  // namespace

bool postgres_tables_exist(const EngineOptions& options) { return !Tables(options).present().empty(); }

void move_postgres_tables(const EngineOptions& options, const std::string& to) {
  Tables tables(options);
  const std::vector<std::string> present = tables.present();
  try {
    tables.add("BEGIN");
    tables.add("CREATE SCHEMA IF NOT EXISTS " + quoted(to));
    for (const std::string& table : present) {
      tables.add("ALTER TABLE " + tables.in_schema(table) + " SET SCHEMA " + quoted(to));
    }
    tables.add("COMMIT");
    tables.commit();
  } catch (const PostgresRefusal& refusal) {
    if (refusal.state() != kDuplicateTable) throw;
    throw Error(ErrorCode::conflict, "the schema " + to + " holds tables of a store already",
                "look who made them meanwhile; name another schema in hot.schema");
  }
  tables.drop_schema_if_empty();
}

void drop_postgres_tables(const EngineOptions& options) {
  Tables tables(options);
  const std::vector<std::string> present = tables.present();
  tables.add("BEGIN");
  for (const std::string& table : present) tables.add("DROP TABLE " + tables.in_schema(table));
  tables.add("COMMIT");
  tables.commit();
  tables.drop_schema_if_empty();
}

}  // namespace db4::kv
