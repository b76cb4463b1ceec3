// The engine over SQLite in WAL mode: a table for each space, one connection that writes and a few that read.
// Every value has a checksum over its key and itself, since SQLite's own format has none.

#include "base/hash.hpp"
#include "kv/engine_folder.hpp"
#include "kv/engine_state.hpp"
#include "kv/group_plan.hpp"
#include "kv/sqlite_connection.hpp"

#include <algorithm>
#include <condition_variable>
#include <thread>

namespace db4::kv {

namespace {

using Query = SqliteConnection::Query;

constexpr int kFormat = 1;
constexpr std::uint64_t kPageBytes = 4096;
/// Checkpoints far apart write a page that changed often once: twice the write buffer, as RocksDB's log.
constexpr std::uint64_t kCheckpointPerWriteBuffer = 2;
/// A log that readers kept from starting over waits for them at this multiple.
constexpr std::uint64_t kWaitForReadersFactor = 4;

std::int64_t checksum_of(std::string_view key, std::string_view value) {
  return crc32c(as_bytes(value), crc32c(as_bytes(key)));
}

/// Connections that read, lent to one thread at a time; whoever finds none waits. Thread-safe.
class ReaderPool {
 public:
  class Lease {
   public:
    explicit Lease(ReaderPool& pool) : pool_(pool), connection_(pool.take()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { pool_.give_back(connection_); }
    SqliteConnection* operator->() const noexcept { return connection_; }

   private:
    ReaderPool& pool_;
    SqliteConnection* connection_;
  };

  void add(std::unique_ptr<SqliteConnection> connection) {
    idle_.push_back(connection.get());
    connections_.push_back(std::move(connection));
  }
  void clear() {
    idle_.clear();
    connections_.clear();
  }

 private:
  SqliteConnection* take() {
    std::unique_lock lock(mutex_);
    returned_.wait(lock, [&] { return !idle_.empty(); });
    SqliteConnection* connection = idle_.back();  // the last one used: its cache is warm
    idle_.pop_back();
    return connection;
  }
  void give_back(SqliteConnection* connection) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(connection);
    returned_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<SqliteConnection*> idle_;
  std::vector<std::unique_ptr<SqliteConnection>> connections_;
};

class SqliteEngine final : public Engine {
 public:
  explicit SqliteEngine(const EngineOptions& options)
      : spaces_(options.spaces),
        folder_(options.path, "sqlite", kFormat),
        path_(options.path / "db4.sqlite"),
        checkpoint_frames_(
            std::max<std::uint64_t>(kCheckpointPerWriteBuffer * options.write_buffer_bytes / kPageBytes, 64)),
        synced_(options.path) {
    if (folder_.has_engine() && !std::filesystem::exists(path_)) {
      throw Error(ErrorCode::corrupt, path_.string() + " is gone", "restore the folder from a backup");
    }
    const std::uint64_t readers = std::clamp(std::thread::hardware_concurrency(), 2U, 8U);
    // Half for the writer, which every precondition reads through, the rest for the readers together.
    writer_ = std::make_unique<SqliteConnection>(
        path_, spaces_,
        SqliteConnection::Options{.cache_bytes = options.cache_bytes / 2, .create = !folder_.has_engine()});
    sqlite3_wal_hook(writer_->handle(), &SqliteEngine::on_wal_frames, this);
    writer_->run("PRAGMA journal_size_limit = " +
                 std::to_string(kWaitForReadersFactor * checkpoint_frames_ * kPageBytes));
    check_recovered();
    create_tables();
    for (std::uint64_t i = 0; i < readers; ++i) {
      readers_.add(std::make_unique<SqliteConnection>(
          path_, spaces_,
          SqliteConnection::Options{.cache_bytes = options.cache_bytes / 2 / readers, .reader = true}));
    }
    folder_.write_engine_file();
  }

  ~SqliteEngine() override {
    try {
      close();
    } catch (const std::exception&) {
      // What was promised is in the log; a destructor can tell nobody. Call close() to hear of it.
    }
  }

  std::optional<std::string> get(std::uint8_t space, std::string_view key) const override {
    state_.check_open();
    spaces_.check(space);
    const ReaderPool::Lease connection(readers_);
    return get(*connection.operator->(), space, key);
  }

  std::vector<Entry> scan(const ScanRequest& request) const override {
    state_.check_open();
    spaces_.check(request.space);
    const bool to_end = request.end.empty();
    const Query query = request.keys_only ? (to_end ? Query::scan_keys_from : Query::scan_keys_range)
                                          : (to_end ? Query::scan_from : Query::scan_range);
    const ReaderPool::Lease connection(readers_);
    SqliteStatement statement = connection->query(query, request.space);
    statement.bind(1, request.begin);
    if (!to_end) statement.bind(2, request.end);
    const auto most = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max());
    statement.bind(3, static_cast<std::int64_t>(std::min(request.limit, most)));
    std::vector<Entry> entries;
    std::uint64_t bytes = 0;
    while (statement.step()) {
      const std::string_view key = statement.blob(0);
      const std::string_view value = request.keys_only ? std::string_view() : statement.blob(1);
      bytes += key.size() + value.size();
      if (!entries.empty() && bytes > request.max_bytes) break;
      if (!request.keys_only) check_value(request.space, key, value, statement.number(2));
      entries.push_back({std::string(key), std::string(value)});
    }
    return entries;
  }

  std::vector<Outcome> commit(std::span<const Batch* const> group, Durability durability) override {
    const std::lock_guard lock(write_mutex_);
    state_.check_writable();
    set_synchronous(durability == Durability::disk);
    writer_->run("BEGIN IMMEDIATE");
    std::vector<Outcome> outcomes;
    try {
      outcomes = write(group);
    } catch (...) {
      roll_back();
      throw;
    }
    run_on_committed(group, outcomes);
    checkpoint_if_due();
    return outcomes;
  }

  void sync() override {
    const std::lock_guard lock(write_mutex_);
    state_.check_writable();
    if (!unsynced_) return;
    // A commit that syncs takes everything before it along; this one changes a number that nobody reads.
    set_synchronous(true);
    user_version_ = 3 - user_version_;
    const int code = writer_->try_run("PRAGMA user_version = " + std::to_string(user_version_));
    if (code != SQLITE_OK) fail_for_good(code, "sync");
    note_synced();
  }

  void close() override {
    const std::lock_guard lock(write_mutex_);
    if (!state_.close()) return;
    readers_.clear();
    std::string failure;
    if (!state_.poisoned()) {
      checkpoint(SQLITE_CHECKPOINT_PASSIVE);
      // The mark is cleared by now, so the log may go.
      if (!state_.poisoned() && log_is_copied_) checkpoint(SQLITE_CHECKPOINT_TRUNCATE);
      if (state_.poisoned()) failure = "the last checkpoint failed";
    }
    writer_.reset();
    folder_.unlock();
    if (!failure.empty()) {
      throw Error(ErrorCode::unavailable, "closing " + path_.string() + ": " + failure,
                  "check the disk; what was committed is in the log and comes back at the next opening");
    }
  }

  Durability strongest() const noexcept override { return Durability::disk; }
  EngineStats stats() const override { return state_.stats(); }

  void compact() override {
    const std::lock_guard lock(write_mutex_);
    state_.check_writable();
    set_synchronous(true);
    // It makes a copy of all there is: not in memory, as temporary tables are otherwise.
    writer_->run("PRAGMA temp_store = FILE");
    const int code = writer_->try_run("VACUUM");
    std::optional<Error> harmless;
    if (is_harmless(code)) {
      harmless = to_sqlite_error(writer_->handle(), code, "compact", path_);
    } else if (code != SQLITE_OK) {
      fail_for_good(code, "compact");
    }
    writer_->run("PRAGMA temp_store = MEMORY");
    if (harmless) throw *harmless;
    note_synced();
    // The new pages are in the log, and those of before in the database, until the log is copied there.
    // The first clears the mark of what was synced: a log that is cut short under it would be taken for
    // damaged.
    if (checkpoint(SQLITE_CHECKPOINT_RESTART) && checkpoint(SQLITE_CHECKPOINT_TRUNCATE)) return;
    state_.check_writable();
    throw Error(ErrorCode::unavailable,
                "compact " + path_.string() + ": the log cannot be copied into the database",
                "free disk space, end long reads, and repeat it");
  }

 private:
  /// No room, or nowhere to put the copy: nothing was committed, and the database is as it was.
  static bool is_harmless(int code) noexcept {
    const int primary = code & 0xFF;
    return primary == SQLITE_FULL || primary == SQLITE_NOMEM || primary == SQLITE_CANTOPEN ||
           code == SQLITE_IOERR_GETTEMPPATH;
  }

  static int on_wal_frames(void* self, sqlite3*, const char*, int frames) {
    static_cast<SqliteEngine*>(self)->log_frames_ = static_cast<std::uint64_t>(frames);
    return SQLITE_OK;
  }

  std::optional<std::string> get(SqliteConnection& connection, std::uint8_t space,
                                 std::string_view key) const {
    SqliteStatement statement = connection.query(Query::get, space);
    if (!statement.bind(1, key).step()) return std::nullopt;
    const std::string_view value = statement.blob(0);
    check_value(space, key, value, statement.number(1));
    return std::string(value);
  }

  void check_value(std::uint8_t space, std::string_view key, std::string_view value,
                   std::int64_t checksum) const {
    if (checksum == checksum_of(key, value)) return;
    throw Error(ErrorCode::corrupt,
                "a value in space '" + spaces_.at(space).name + "' of " + path_.string() +
                    " does not match its checksum",
                "restore the folder from a backup, or rebuild from the cold tier");
  }

  /// Plans the group, writes it and commits, inside the transaction that commit() began.
  std::vector<Outcome> write(std::span<const Batch* const> group) {
    const GroupPlan::Read read = [this](std::uint8_t space, std::string_view key) {
      return get(*writer_, space, key);
    };
    const GroupPlan plan(spaces_, group, next_sequence_, read);
    for (const PlannedOperation& operation : plan.operations()) apply(operation);
    if (plan.operations().empty()) {
      writer_->run("ROLLBACK");
    } else {
      commit_transaction();
    }
    next_sequence_ = plan.next_sequence();
    state_.count_commit(group.size());
    return plan.outcomes();
  }

  void apply(const PlannedOperation& operation) {
    switch (operation.kind) {
      case OperationKind::put:
        writer_->query(Query::put, operation.space)
            .bind(1, operation.key)
            .bind(2, operation.value)
            .bind(3, checksum_of(operation.key, operation.value))
            .step();
        break;
      case OperationKind::erase:
        writer_->query(Query::erase, operation.space).bind(1, operation.key).step();
        break;
      default: {  // erase_range: a plan holds nothing else
        const bool to_end = operation.value.empty();
        SqliteStatement statement =
            writer_->query(to_end ? Query::erase_from : Query::erase_range, operation.space);
        statement.bind(1, operation.key);
        if (!to_end) statement.bind(2, operation.value);
        statement.step();
      }
    }
  }

  void commit_transaction() {
    const int code = writer_->try_run("COMMIT");
    // A full disk stops it before the frame that commits; after any other failure it may come back at the
    // next opening or may not.
    if (code == SQLITE_FULL) throw to_sqlite_error(writer_->handle(), code, "commit", path_);
    if (code != SQLITE_OK) fail_for_good(code, "commit");
    log_is_copied_ = false;
    unsynced_ = true;
    if (synchronous_) note_synced();
  }

  void roll_back() noexcept {
    // Some failures have rolled back already.
    if (sqlite3_get_autocommit(writer_->handle()) != 0) return;
    const int code = writer_->try_run("ROLLBACK");
    if (code != SQLITE_OK) state_.poison(std::string("rolling back failed: ") + sqlite3_errstr(code));
  }

  [[noreturn]] void fail_for_good(int code, const std::string& operation) {
    const Error error = to_sqlite_error(writer_->handle(), code, operation, path_);
    state_.poison(error.problem());
    throw error;
  }

  void set_synchronous(bool full) {
    if (synchronous_ == full) return;
    writer_->run(full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    synchronous_ = full;
  }

  void note_synced() noexcept {
    unsynced_ = false;
    log_is_copied_ = false;
    state_.count_sync();
    synced_.store(log_frames_);
  }

  void checkpoint_if_due() {
    if (log_frames_ < copied_frames_) copied_frames_ = 0;  // the log started anew
    if (log_frames_ - copied_frames_ < checkpoint_frames_) return;
    const bool overdue = log_frames_ >= kWaitForReadersFactor * checkpoint_frames_;
    checkpoint(overdue ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE);
  }

  /// Copies the log into the database. What is in the log is committed, so a failure is not the caller's: a
  /// full disk or a reader in the way is met again at the next one, and anything else ends the writing.
  /// Whether all of it was copied, and what `mode` wants besides was done.
  bool checkpoint(int mode) noexcept {
    int frames = 0;
    int copied = 0;
    const int code = sqlite3_wal_checkpoint_v2(writer_->handle(), nullptr, mode, &frames, &copied);
    if (code == SQLITE_FULL) return false;
    if (code != SQLITE_OK && code != SQLITE_BUSY) {
      state_.poison(std::string("a checkpoint failed: ") + sqlite3_errmsg(writer_->handle()));
      return false;
    }
    copied_frames_ = static_cast<std::uint64_t>(std::max(copied, 0));
    log_is_copied_ = frames >= 0 && frames == copied;
    if (!log_is_copied_) return false;
    unsynced_ = false;
    // The next commit may start the log anew, with fewer frames than the mark says now.
    try {
      synced_.clear();
    } catch (const std::exception& error) {
      state_.poison(error.what());
      return false;
    }
    return code == SQLITE_OK;
  }

  /// Recovery stops at a damaged frame; what was synced must all have come back nevertheless.
  void check_recovered() {
    int frames = 0;
    int copied = 0;
    const int code =
        sqlite3_wal_checkpoint_v2(writer_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
    if (code != SQLITE_OK) throw to_sqlite_error(writer_->handle(), code, "recover", path_);
    const std::uint64_t expected = synced_.load();
    if (static_cast<std::uint64_t>(std::max(frames, 0)) < expected) {
      throw Error(ErrorCode::corrupt,
                  "the log of " + path_.string() + " is damaged: " + std::to_string(expected) +
                      " frames were synced and " + std::to_string(std::max(frames, 0)) + " are left",
                  "restore the folder from a backup; to go on without those writes, delete the file SYNCED");
    }
    copied_frames_ = log_frames_ = static_cast<std::uint64_t>(std::max(copied, 0));
    if (frames == copied) {
      synced_.clear();
    } else {
      unsynced_ = true;  // a process before this one may have committed without a sync
    }
  }

  void create_tables() {
    set_synchronous(true);
    writer_->run("BEGIN IMMEDIATE");
    for (const SpaceSpec& space : spaces_.all()) {
      // Bodies live in the order of arrival with an index beside, so that a large value is not moved about in
      // the tree of keys; everything else lies in that tree.
      const bool bodies = space.kind == SpaceKind::bodies;
      writer_->run("CREATE TABLE IF NOT EXISTS " + SqliteConnection::table(space.id) +
                   (bodies ? "(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL, "
                             "checksum INTEGER NOT NULL)"
                           : "(key BLOB PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL) WITHOUT "
                             "ROWID"));
    }
    writer_->run("COMMIT");
  }

  const SpaceTable spaces_;
  EngineFolder folder_;
  const std::filesystem::path path_;
  const std::uint64_t checkpoint_frames_;
  SyncedMark synced_;
  EngineState state_;
  mutable ReaderPool readers_;

  std::mutex write_mutex_;  ///< guards everything below
  std::unique_ptr<SqliteConnection> writer_;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t log_frames_ = 0;     ///< in the log
  std::uint64_t copied_frames_ = 0;  ///< of these in the database too
  bool log_is_copied_ = false;
  bool synchronous_ = false;
  bool unsynced_ = false;
  int user_version_ = 1;
};

}  // namespace

std::unique_ptr<Engine> open_sqlite_engine(const EngineOptions& options) {
  return std::make_unique<SqliteEngine>(options);
}

}  // namespace db4::kv
