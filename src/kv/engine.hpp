#pragma once
// kv: ordered key-value engines behind one interface: named spaces, point reads, range scans, and atomic
// batches with preconditions at a stated durability. Includes base only. Engines: memory, SQLite, RocksDB
// on one machine, PostgreSQL for many. All pass the conformance suite in tests/kv/ unchanged.

#include <db4/config.hpp>
#include <db4/error.hpp>
#include <db4/secret.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace db4::kv {

/// What a space holds; an engine may lay it out accordingly.
enum class SpaceKind : std::uint8_t {
  keys,      ///< short keys, values up to some KiB
  bodies,    ///< values up to a MiB
  counters,  ///< values are one signed 64-bit little-endian integer each; written by Batch::add
};

/// A space's number, 0 to 254, is on disk: never renumber.
struct SpaceSpec {
  std::uint8_t id = 0;
  std::string name = {};  ///< lower-case letters and underscores
  SpaceKind kind = SpaceKind::keys;
};

struct Entry {
  std::string key;
  std::string value;
};

struct ScanRequest {
  std::uint8_t space = 0;
  std::string begin = {};    ///< first key, included
  std::string end = {};      ///< first key not included; empty: to the end of the space
  std::size_t limit = 1000;  ///< entries at most
  std::uint64_t max_bytes =
      8ULL << 20;  ///< keys and values at most; at least one entry comes whatever its size
  bool keys_only = false;
};

enum class OperationKind : std::uint8_t { put, erase, erase_range, add, append };

struct Operation {
  OperationKind kind;
  std::uint8_t space;
  std::string key;    ///< erase_range: begin; append: what stands before the sequence number
  std::string value;  ///< erase_range: end, not included; empty: to the end of the space
  std::int64_t delta = 0;
};

enum class PreconditionKind : std::uint8_t { absent, present, prefix, equals };

struct Precondition {
  PreconditionKind kind;
  std::uint8_t space;
  std::string key;
  std::string value;
};

struct Outcome {
  static constexpr std::size_t kCommitted = static_cast<std::size_t>(-1);
  /// Index of the first precondition that did not hold; then the batch changed nothing.
  std::size_t failed_precondition = kCommitted;
  /// The number that its first append got, or would have got.
  std::uint64_t first_sequence = 0;
  [[nodiscard]] bool committed() const noexcept { return failed_precondition == kCommitted; }
};

/// Changes that take effect together or not at all, and what must hold for them to. Preconditions see what
/// batches before this one in the same commit have done. Not thread-safe.
class Batch {
 public:
  void require_absent(std::uint8_t space, std::string key) {
    preconditions.push_back({PreconditionKind::absent, space, std::move(key), {}});
  }
  void require_present(std::uint8_t space, std::string key) {
    preconditions.push_back({PreconditionKind::present, space, std::move(key), {}});
  }
  /// The value must start with `prefix`; this is how a row's revision is compared without sending the row.
  void require_prefix(std::uint8_t space, std::string key, std::string prefix) {
    preconditions.push_back({PreconditionKind::prefix, space, std::move(key), std::move(prefix)});
  }
  void require_equals(std::uint8_t space, std::string key, std::string value) {
    preconditions.push_back({PreconditionKind::equals, space, std::move(key), std::move(value)});
  }
  void put(std::uint8_t space, std::string key, std::string value) {
    operations.push_back({OperationKind::put, space, std::move(key), std::move(value)});
  }
  void erase(std::uint8_t space, std::string key) {
    operations.push_back({OperationKind::erase, space, std::move(key), {}});
  }
  /// Erases [begin, end); an empty end: to the end of the space.
  void erase_range(std::uint8_t space, std::string begin, std::string end) {
    operations.push_back({OperationKind::erase_range, space, std::move(begin), std::move(end)});
  }
  /// Adds to a counter (a missing one is 0). Only in a space of kind counters.
  void add(std::uint8_t space, std::string key, std::int64_t delta) {
    operations.push_back({OperationKind::add, space, std::move(key), {}, delta});
  }
  /// Puts `value` at `prefix` followed by the engine's next sequence number (eight bytes, big-endian; it
  /// starts at 1 when the engine is opened and rises by one for every append that took effect, in commit
  /// order, without gaps).
  void append(std::uint8_t space, std::string prefix, std::string value) {
    operations.push_back({OperationKind::append, space, std::move(prefix), std::move(value)});
  }

  /// Roughly what the batch adds to the log.
  [[nodiscard]] std::size_t bytes() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return operations.empty() && preconditions.empty(); }

  std::vector<Precondition> preconditions;
  std::vector<Operation> operations;
  /// Runs once the batch is durable as asked, in commit order, on the committing thread and before any waiter
  /// of the commit returns; not where a precondition failed. Must not throw, block or commit.
  std::function<void(const Outcome& outcome)> on_committed;
};

struct EngineStats {
  std::uint64_t commits = 0;  ///< groups written
  std::uint64_t batches = 0;
  std::uint64_t syncs = 0;
};

/// An ordered key-value engine. Reads may run in any number of threads, beside a commit. Commits go through a
/// CommitQueue, which calls commit() from one thread at a time.
///
/// After a write or sync failed in a way that leaves the outcome unknown the engine takes no more writes
/// (every later commit throws read_only and says to reopen the store): an fsync is never repeated.
class Engine {
 public:
  virtual ~Engine() = default;

  [[nodiscard]] virtual std::optional<std::string> get(std::uint8_t space, std::string_view key) const = 0;
  /// Entries in key order, as of one moment.
  [[nodiscard]] virtual std::vector<Entry> scan(const ScanRequest& request) const = 0;
  /// Applies the batches in order, each atomically, all with one sync at most; one outcome for each.
  /// Durability as asked, even where the engine was opened with less. Throws db4::Error where the group could
  /// not be written.
  virtual std::vector<Outcome> commit(std::span<const Batch* const> group, Durability durability) = 0;
  /// Makes everything committed so far survive a power cut, whatever the durability it was committed with.
  virtual void sync() = 0;
  /// Flushes and lets go of the files; throws where that fails. Only close() and the destructor may follow.
  virtual void close() = 0;

  /// The most that commit() can promise: none for memory, disk for the others.
  [[nodiscard]] virtual Durability strongest() const noexcept = 0;
  [[nodiscard]] virtual EngineStats stats() const = 0;
  /// Whether other processes may change what is in it while this one has it open.
  [[nodiscard]] virtual bool shared() const noexcept { return false; }
  /// The clock of the server that all of them share; nullopt where there is none.
  [[nodiscard]] virtual std::optional<TimePoint> server_time() const { return std::nullopt; }
  /// Compacts free space away where the engine can: what was erased or replaced, and is in no snapshot, is in
  /// its files no more. May take long.
  virtual void compact() {}
};

/// How PostgreSQL is reached; docs/postgres.md.
struct PostgresOptions {
  std::string url = {};  ///< postgresql://user@host:5432/database?..., or libpq's "host=... dbname=..."
  Secret password = {};
  std::string schema = "db4";  ///< created where it is missing
  std::chrono::milliseconds connect_timeout = 5s;
  std::chrono::milliseconds timeout = 15s;  ///< for one call with all that it repeats
  std::size_t max_connections = 8;          ///< for reading; one more commits
};

struct EngineOptions {
  std::filesystem::path path = {};  ///< folder; created. Unused by memory and postgres.
  /// All of them, at every open; spaces may be added later, never removed.
  std::vector<SpaceSpec> spaces = {};
  /// The durability commits will mostly ask for; none may switch off the write-ahead log.
  Durability durability = Durability::disk;
  std::uint64_t cache_bytes = 32ULL << 20;         ///< the engine's own block or page cache
  std::uint64_t write_buffer_bytes = 32ULL << 20;  ///< RocksDB's memtable
  PostgresOptions postgres = {};
};

/// Opens (creates) an engine; takes the lock file first. Throws locked (with the holder's pid), corrupt,
/// unsupported (written by a newer db4), permission_denied, read_only, resource_exhausted.
std::unique_ptr<Engine> open_memory_engine(const EngineOptions& options);
std::unique_ptr<Engine> open_sqlite_engine(const EngineOptions& options);
std::unique_ptr<Engine> open_rocksdb_engine(const EngineOptions& options);
/// Throws also what a server refuses: unavailable, invalid_argument, deadline_exceeded.
std::unique_ptr<Engine> open_postgres_engine(const EngineOptions& options);
/// The one of that type; throws unsupported for a type that this build does not have.
std::unique_ptr<Engine> open_engine(HotType type, const EngineOptions& options);

}  // namespace db4::kv
