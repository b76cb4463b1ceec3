#include "kv/sqlite_connection.hpp"

#include "kv/engine_folder.hpp"

namespace db4::kv {

namespace {

constexpr int kBusyTimeoutMs = 10'000;

std::string make_sql(SqliteConnection::Query query, const std::string& table) {
  using Query = SqliteConnection::Query;
  switch (query) {
    case Query::get:
      return "SELECT value, checksum FROM " + table + " WHERE key = ?1";
    case Query::put:
      return "INSERT INTO " + table +
             "(key, value, checksum) VALUES (?1, ?2, ?3) ON CONFLICT(key) DO UPDATE SET value = "
             "excluded.value, checksum = excluded.checksum";
    case Query::erase:
      return "DELETE FROM " + table + " WHERE key = ?1";
    case Query::erase_range:
      return "DELETE FROM " + table + " WHERE key >= ?1 AND key < ?2";
    case Query::erase_from:
      return "DELETE FROM " + table + " WHERE key >= ?1";
    case Query::scan_range:
      return "SELECT key, value, checksum FROM " + table +
             " WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3";
    case Query::scan_from:
      return "SELECT key, value, checksum FROM " + table + " WHERE key >= ?1 ORDER BY key LIMIT ?3";
    case Query::scan_keys_range:
      return "SELECT key FROM " + table + " WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3";
    case Query::scan_keys_from:
      return "SELECT key FROM " + table + " WHERE key >= ?1 ORDER BY key LIMIT ?3";
  }
  return {};
}

}  // namespace

Error to_sqlite_error(sqlite3* db, int code, const std::string& operation,
                      const std::filesystem::path& path) {
  const std::string problem = "SQLite cannot " + operation + " (" + path.string() +
                              "): " + (db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code)) +
                              ", code " + std::to_string(code);
  if (code == SQLITE_IOERR_SHORT_READ) {
    return {ErrorCode::corrupt, problem, "the file is cut short: restore the folder from a backup"};
  }
  switch (code & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {ErrorCode::corrupt, problem, "restore the folder from a backup, or rebuild from the cold tier"};
    case SQLITE_FULL:
      return {ErrorCode::resource_exhausted, problem, "free space on that disk, then repeat"};
    case SQLITE_NOMEM:
      return {ErrorCode::resource_exhausted, problem, "free memory, then repeat"};
    case SQLITE_READONLY:
      return {ErrorCode::read_only, problem, "make the folder and its files writable, then reopen the store"};
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {ErrorCode::permission_denied, problem,
              "give the user of this process read and write access to the folder"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorCode::locked, problem, "close the other program that has the database open, then repeat"};
    case SQLITE_TOOBIG:
      return {ErrorCode::too_large, problem, "make the value smaller"};
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR: {
      const int error = db != nullptr ? sqlite3_system_errno(db) : 0;
      if (error != 0) return to_system_error(error, operation, path);
      return {ErrorCode::unavailable, problem, "check the disk and the folder, then reopen the store"};
    }
    default:
      return {ErrorCode::internal, problem, "please report it"};
  }
}

SqliteStatement::~SqliteStatement() {
  // The codes repeat those of the last step, which were checked there.
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

SqliteStatement& SqliteStatement::bind(int index, std::string_view blob) {
  // A null pointer would bind NULL instead of an empty blob.
  check(sqlite3_bind_blob64(statement_, index, blob.empty() ? "" : blob.data(), blob.size(), SQLITE_STATIC));
  return *this;
}

SqliteStatement& SqliteStatement::bind(int index, std::int64_t number) {
  check(sqlite3_bind_int64(statement_, index, number));
  return *this;
}

bool SqliteStatement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  throw to_sqlite_error(db_, code, sqlite3_stmt_readonly(statement_) != 0 ? "read" : "write", path_);
}

std::string_view SqliteStatement::blob(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

std::int64_t SqliteStatement::number(int column) const { return sqlite3_column_int64(statement_, column); }

void SqliteStatement::check(int code) const {
  if (code != SQLITE_OK) throw to_sqlite_error(db_, code, "bind a value", path_);
}

SqliteConnection::SqliteConnection(std::filesystem::path path, const SpaceTable& spaces,
                                   const Options& options)
    : path_(std::move(path)), spaces_(spaces), statements_(spaces.all().size()) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (options.create ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path_.c_str(), &db_, flags, nullptr);
  try {
    if (code != SQLITE_OK) throw to_sqlite_error(db_, code, "open", path_);
    configure(options);
  } catch (...) {
    close();
    throw;
  }
}

SqliteConnection::~SqliteConnection() { close(); }

void SqliteConnection::configure(const Options& options) {
  sqlite3_busy_timeout(db_, kBusyTimeoutMs);
  // Only the engine checkpoints, on its writer, so that no two connections ever do it at the same time: this
  // release of SQLite has a race there (see docs/decisions/0001).
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  run("PRAGMA journal_mode = WAL");
  run("PRAGMA wal_autocheckpoint = 0");
  run("PRAGMA temp_store = MEMORY");
  run("PRAGMA cell_size_check = ON");
  run("PRAGMA secure_delete = OFF");  // Debian's build overwrites what is deleted, which costs a write more
  run("PRAGMA cache_size = -" + std::to_string(std::max<std::uint64_t>(options.cache_bytes >> 10, 64)));
  if (options.reader) run("PRAGMA query_only = ON");
}

void SqliteConnection::close() noexcept {
  for (auto& of_space : statements_) {
    for (sqlite3_stmt* statement : of_space) sqlite3_finalize(statement);
  }
  statements_.clear();
  sqlite3_close(db_);
  db_ = nullptr;
}

void SqliteConnection::run(const std::string& sql) {
  const int code = try_run(sql);
  if (code != SQLITE_OK) throw to_sqlite_error(db_, code, "run " + sql, path_);
}

int SqliteConnection::try_run(const std::string& sql) noexcept {
  return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
}

SqliteStatement SqliteConnection::query(Query query, std::uint8_t space) {
  sqlite3_stmt*& statement = statements_[spaces_.index(space)][static_cast<std::size_t>(query)];
  if (statement == nullptr) {
    const std::string sql = make_sql(query, table(space));
    const int code = sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) throw to_sqlite_error(db_, code, "prepare " + sql, path_);
  }
  return {db_, statement, path_};
}

std::string SqliteConnection::table(std::uint8_t space) { return "space_" + std::to_string(space); }

}  // namespace db4::kv
