#pragma once
// One SQLite connection as the engine uses it: its statements, its settings, its errors.

#include "kv/space_table.hpp"

#include <sqlite3.h>

#include <array>

namespace db4::kv {

/// A prepared statement, for one use: the bound values and the rows go when it does. Bound blobs are not
/// copied and must outlive it.
class SqliteStatement {
 public:
  SqliteStatement(sqlite3* db, sqlite3_stmt* statement, const std::filesystem::path& path) noexcept
      : db_(db), statement_(statement), path_(path) {}
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;
  ~SqliteStatement();

  SqliteStatement& bind(int index, std::string_view blob);
  SqliteStatement& bind(int index, std::int64_t number);
  /// Whether there is a row.
  bool step();
  /// Valid until the next step.
  [[nodiscard]] std::string_view blob(int column) const;
  [[nodiscard]] std::int64_t number(int column) const;

 private:
  void check(int code) const;

  sqlite3* db_;
  sqlite3_stmt* statement_;
  const std::filesystem::path& path_;
};

/// The Error for `code`, which `db` (may be null) returned.
Error to_sqlite_error(sqlite3* db, int code, const std::string& operation, const std::filesystem::path& path);

/// Not thread-safe; one thread at a time.
class SqliteConnection {
 public:
  enum class Query : std::uint8_t {
    get,
    put,
    erase,
    erase_range,
    erase_from,
    scan_range,
    scan_from,
    scan_keys_range,
    scan_keys_from
  };
  static constexpr std::size_t kQueries = 9;

  struct Options {
    std::uint64_t cache_bytes = 0;
    bool create = false;
    bool reader = false;
  };

  /// Opens `path` in WAL mode, with automatic checkpoints off. `spaces` must outlive the connection.
  SqliteConnection(std::filesystem::path path, const SpaceTable& spaces, const Options& options);
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;
  ~SqliteConnection();

  /// Runs SQL that gives no rows of interest.
  void run(const std::string& sql);
  /// As run, with the result code instead of an Error.
  int try_run(const std::string& sql) noexcept;
  /// The statement for a query on a space; prepared once.
  SqliteStatement query(Query query, std::uint8_t space);
  /// The name of a space's table.
  static std::string table(std::uint8_t space);

  [[nodiscard]] sqlite3* handle() const noexcept { return db_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  void configure(const Options& options);
  void close() noexcept;

  const std::filesystem::path path_;
  const SpaceTable& spaces_;
  sqlite3* db_ = nullptr;
  std::vector<std::array<sqlite3_stmt*, kQueries>> statements_;
};

}  // namespace db4::kv
