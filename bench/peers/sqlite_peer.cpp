// SQLite in WAL mode with a rowid table and a unique text key, which is its fastest layout for 512-byte
// bodies (docs of db4's own engine over SQLite). One connection writes behind a mutex, each reading thread
// has its own.
#include "harness/workload.hpp"
#include "peers/peer.hpp"
#include "peers/per_thread.hpp"

#include <sqlite3.h>

#include <mutex>
#include <stdexcept>

namespace db4::bench {
namespace {

void check(int code, sqlite3* db) {
  if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
    throw std::runtime_error(std::string("SQLite: ") + sqlite3_errmsg(db));
  }
}

constexpr int kUsualReaders = 8;

constexpr int kBusyTimeoutMs = 10'000;

class Connection {
 public:
  Connection(const PeerOptions& options, int connections) {
    check(sqlite3_open((options.path / "sqlite.db").c_str(), &db_), db_);
    // Connections that are opened at once, or close while another is opened, wait for each other.
    check(sqlite3_busy_timeout(db_, kBusyTimeoutMs), db_);
    // The cache is each connection's own; mapped pages are shared, so most of it is given as a map.
    const std::string cache_kib =
        std::to_string((options.cache_bytes >> 10) / 16 / static_cast<unsigned>(connections));
    run("PRAGMA mmap_size=" + std::to_string(options.cache_bytes));
    run("PRAGMA cache_size=-" + cache_kib);
    run(options.durability == Durability::none ? "PRAGMA journal_mode=MEMORY" : "PRAGMA journal_mode=WAL");
    run(options.durability == Durability::disk ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
    run("PRAGMA wal_autocheckpoint=10000");
    run("CREATE TABLE IF NOT EXISTS docs (id TEXT NOT NULL UNIQUE, body BLOB NOT NULL)");
    prepare("SELECT body FROM docs WHERE id = ?1", &select_);
    prepare("INSERT INTO docs (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            &upsert_);
  }
  ~Connection() {
    sqlite3_finalize(select_);
    sqlite3_finalize(upsert_);
    sqlite3_close(db_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void run(const std::string& sql) const {
    check(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr), db_);
  }
  std::uint64_t get(const std::string& id) const {
    bind(select_, 1, id);
    if (sqlite3_step(select_) != SQLITE_ROW) throw std::runtime_error("SQLite lacks " + id);
    const std::uint64_t sum = read_all({static_cast<const char*>(sqlite3_column_blob(select_, 0)),
                                        static_cast<std::size_t>(sqlite3_column_bytes(select_, 0))});
    sqlite3_reset(select_);
    return sum;
  }
  void put(std::string_view id, std::string_view body) const {
    bind(upsert_, 1, id);
    check(sqlite3_bind_blob64(upsert_, 2, body.data(), body.size(), SQLITE_STATIC), db_);
    check(sqlite3_step(upsert_), db_);
    sqlite3_reset(upsert_);
  }

 private:
  void prepare(const char* sql, sqlite3_stmt** statement) const {
    check(sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, nullptr), db_);
  }
  void bind(sqlite3_stmt* statement, int index, std::string_view text) const {
    check(sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8), db_);
  }
  sqlite3* db_ = nullptr;
  sqlite3_stmt* select_ = nullptr;
  sqlite3_stmt* upsert_ = nullptr;
};

class SqlitePeer final : public Peer {
 public:
  explicit SqlitePeer(const PeerOptions& options) : options_(options) {
    std::filesystem::create_directories(options_.path);
    writer_ = std::make_unique<Connection>(options_, 1);
  }
  std::uint64_t get(const std::string& id) override {
    return readers_.get([this] { return std::make_unique<Connection>(options_, kUsualReaders); }).get(id);
  }
  void put(const std::string& id, std::string_view body) override {
    const std::lock_guard lock(mutex_);
    writer_->put(id, body);
  }
  void put_batch(std::span<const BatchItem> items) override {
    const std::lock_guard lock(mutex_);
    writer_->run("BEGIN IMMEDIATE");
    for (const BatchItem& item : items) writer_->put(item.id, item.body);
    writer_->run("COMMIT");
  }

 private:
  const PeerOptions options_;
  std::mutex mutex_;
  std::unique_ptr<Connection> writer_;
  PerThread<Connection> readers_;
};

}  // namespace

PeerType sqlite_type() {
  return {"SQLite", [](Durability) { return true; }, open_as<SqlitePeer>, {}};
}

}  // namespace db4::bench
