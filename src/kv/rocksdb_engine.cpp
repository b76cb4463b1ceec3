// The engine over RocksDB. One column family, a space being the first byte of the key, so that where the
// write-ahead log is off a flush is of one moment over all spaces.

#include "kv/engine_folder.hpp"
#include "kv/engine_state.hpp"
#include "kv/group_plan.hpp"
#include "kv/rocksdb_log_file.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <algorithm>

namespace db4::kv {

namespace {

constexpr int kFormat = 1;
constexpr int kMaxOpenFiles = 500;  // below the usual limit of 1,024 for a process
constexpr int kBackgroundJobs = 2;
constexpr std::size_t kMaxLogFileBytes = 1 << 20;
constexpr std::size_t kLogFiles = 2;
constexpr double kBloomBits = 10;  // one false positive in a hundred

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }

/// RocksDB names the system's error in its message only.
ErrorCode code_of_io_error(const std::string& message) {
  const auto says = [&](const char* text) { return message.find(text) != std::string::npos; };
  if (says("Permission denied") || says("Operation not permitted")) return ErrorCode::permission_denied;
  if (says("Read-only file system")) return ErrorCode::read_only;
  if (says("No space left") || says("quota exceeded") || says("Too many open files")) {
    return ErrorCode::resource_exhausted;
  }
  return ErrorCode::unavailable;
}

Error to_error(const rocksdb::Status& status, const std::string& operation,
               const std::filesystem::path& path) {
  const std::string problem =
      "RocksDB cannot " + operation + " (" + path.string() + "): " + status.ToString();
  if (status.IsCorruption()) {
    return {ErrorCode::corrupt, problem, "restore the folder from a backup, or rebuild from the cold tier"};
  }
  if (status.IsNoSpace() || status.IsMemoryLimit()) {
    return {ErrorCode::resource_exhausted, problem, "free space on that disk, then repeat"};
  }
  if (status.IsNotSupported()) {
    return {ErrorCode::unsupported, problem, "open it with the newer db4 that wrote it"};
  }
  if (!status.IsIOError()) {
    return {ErrorCode::internal, problem, "please report it, with the file LOG of that folder"};
  }
  switch (const ErrorCode code = code_of_io_error(problem)) {
    case ErrorCode::permission_denied:
      return {code, problem, "give the user of this process read and write access to the folder"};
    case ErrorCode::read_only:
      return {code, problem, "mount the file system for writing"};
    case ErrorCode::resource_exhausted:
      return {code, problem, "free space on that disk or raise the limit of open files, then repeat"};
    default:
      return {code, problem, "check the disk, then reopen the store"};
  }
}

rocksdb::Options make_options(const EngineOptions& options) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.cache_bytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBits));
  // Index and filters live in the cache too: otherwise they would take memory in proportion to what is
  // stored.
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.format_version = 5;

  rocksdb::Options out;
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  out.paranoid_checks = true;
  out.compression = rocksdb::kLZ4Compression;
  out.level_compaction_dynamic_level_bytes = true;
  out.write_buffer_size = options.write_buffer_bytes;
  out.max_write_buffer_number = 3;
  out.max_total_wal_size = 4 * options.write_buffer_bytes;
  out.max_background_jobs = kBackgroundJobs;
  out.max_open_files = kMaxOpenFiles;
  out.bytes_per_sync = 1 << 20;
  // One thread commits, so RocksDB's own grouping of writers has nothing to do.
  out.allow_concurrent_memtable_write = false;
  out.enable_write_thread_adaptive_yield = false;
  // A failed write or sync is never tried again behind our back.
  out.max_bgerror_resume_count = 0;
  // A torn end of the log is what a power cut leaves; damage further up is what SyncedMark finds.
  out.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  out.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  out.max_log_file_size = kMaxLogFileBytes;
  out.keep_log_file_num = kLogFiles;
  return out;
}

/// A space's byte and the key, without an allocation where they are short.
class StoredKey {
 public:
  StoredKey(std::uint8_t space, std::string_view key) : size_(key.size() + 1) {
    char* to = short_;
    if (size_ > sizeof short_) {
      long_.resize(size_);
      to = long_.data();
    }
    to[0] = static_cast<char>(space);
    std::copy(key.begin(), key.end(), to + 1);
  }
  [[nodiscard]] rocksdb::Slice slice() const {
    return {size_ > sizeof short_ ? long_.data() : short_, size_};
  }

 private:
  std::size_t size_;
  char short_[128];
  std::string long_;
};

/// The first key after [.., end), or after the space where end is empty.
StoredKey end_of_range(std::uint8_t space, std::string_view end) {
  return end.empty() ? StoredKey(static_cast<std::uint8_t>(space + 1), {}) : StoredKey(space, end);
}

class RocksDbEngine final : public Engine {
 public:
  explicit RocksDbEngine(const EngineOptions& options)
      : spaces_(options.spaces),
        folder_(options.path, "rocksdb", kFormat),
        path_(options.path / "rocksdb"),
        log_(options.durability != Durability::none),
        synced_(options.path) {
    rocksdb::Options rocksdb_options = make_options(options);
    rocksdb_options.create_if_missing = !folder_.has_engine();
    // Only where most commits are synced: the others would pay for the zeros and gain nothing.
    if (options.durability == Durability::disk) {
      log_env_ = rocksdb::NewCompositeEnv(make_log_extending_file_system());
      rocksdb_options.env = log_env_.get();
    }
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(rocksdb_options, path_.string(), &db);
    db_.reset(db);
    // The folder says that an engine was created here, and its files are gone.
    if (status.IsInvalidArgument() && folder_.has_engine()) {
      throw to_error(rocksdb::Status::Corruption(status.ToString()), "open", path_);
    }
    if (!status.ok()) throw to_error(status, "open", path_);
    check_recovered();
    folder_.write_engine_file();
  }

  ~RocksDbEngine() override {
    try {
      close();
    } catch (const std::exception&) {
      // What was promised is in the log or on disk; a destructor can tell nobody. Call close() to hear of it.
    }
  }

  std::optional<std::string> get(std::uint8_t space, std::string_view key) const override {
    state_.check_open();
    spaces_.check(space);
    std::string value;
    const rocksdb::Status status =
        db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), StoredKey(space, key).slice(), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) throw to_error(status, "read", path_);
    return value;
  }

  std::vector<Entry> scan(const ScanRequest& request) const override {
    state_.check_open();
    spaces_.check(request.space);
    const StoredKey begin(request.space, request.begin);
    const StoredKey end = end_of_range(request.space, request.end);
    const rocksdb::Slice upper_bound = end.slice();
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper_bound;
    std::vector<Entry> entries;
    if (upper_bound.compare(begin.slice()) <= 0) return entries;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options));
    std::uint64_t bytes = 0;
    for (at->Seek(begin.slice()); at->Valid() && entries.size() < request.limit; at->Next()) {
      const std::string_view key = at->key().ToStringView().substr(1);
      const std::string_view value = request.keys_only ? std::string_view() : at->value().ToStringView();
      bytes += key.size() + value.size();
      if (!entries.empty() && bytes > request.max_bytes) break;
      entries.push_back({std::string(key), std::string(value)});
    }
    if (!at->status().ok()) throw to_error(at->status(), "scan", path_);
    return entries;
  }

  std::vector<Outcome> commit(std::span<const Batch* const> group, Durability durability) override {
    state_.check_writable();
    const GroupPlan::Read read = [this](std::uint8_t space, std::string_view key) { return get(space, key); };
    const GroupPlan plan(spaces_, group, next_sequence_, read);
    if (!plan.operations().empty()) write(plan, durability);
    next_sequence_ = plan.next_sequence();
    state_.count_commit(group.size());
    run_on_committed(group, plan.outcomes());
    return plan.outcomes();
  }

  void sync() override {
    state_.check_writable();
    if (log_) {
      check_written(db_->SyncWAL(), "sync the log");
      state_.count_sync();
      synced_.store(db_->GetLatestSequenceNumber());
    } else {
      flush();
    }
  }

  void close() override {
    if (!state_.close()) return;
    rocksdb::Status status;
    if (!state_.poisoned()) {
      // With the log off the memtable is all there is; with it, the log must be on disk.
      status = log_ ? db_->SyncWAL() : db_->Flush(rocksdb::FlushOptions());
    }
    const rocksdb::Status closed = db_->Close();
    db_.reset();
    folder_.unlock();
    if (!status.ok()) throw to_error(status, "flush when closing", path_);
    if (!closed.ok()) throw to_error(closed, "close", path_);
  }

  Durability strongest() const noexcept override { return Durability::disk; }
  EngineStats stats() const override { return state_.stats(); }

  void compact() override {
    state_.check_writable();
    const rocksdb::Status status = db_->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr);
    if (!status.ok()) throw to_error(status, "compact", path_);
  }

 private:
  /// A failure leaves open whether the group reached the log, and so does one sync after it: no more writes.
  void check_written(const rocksdb::Status& status, const std::string& operation) {
    if (status.ok()) return;
    const Error error = to_error(status, operation, path_);
    state_.poison(error.problem());
    throw error;
  }

  void write(const GroupPlan& plan, Durability durability) {
    rocksdb::WriteBatch writes;
    for (const PlannedOperation& operation : plan.operations()) {
      const char space = static_cast<char>(operation.space);
      const rocksdb::Slice key[] = {{&space, 1}, slice(operation.key)};
      const rocksdb::Slice value = slice(operation.value);
      rocksdb::Status added;
      switch (operation.kind) {
        case OperationKind::put:
          added = writes.Put({key, 2}, {&value, 1});
          break;
        case OperationKind::erase:
          added = writes.Delete({key, 2});
          break;
        default:  // erase_range: a plan holds nothing else
          added = writes.DeleteRange(StoredKey(operation.space, operation.key).slice(),
                                     end_of_range(operation.space, operation.value).slice());
      }
      if (!added.ok()) throw to_error(added, "gather a group", path_);
    }
    rocksdb::WriteOptions options;
    options.disableWAL = !log_;
    options.sync = log_ && durability == Durability::disk;
    check_written(db_->Write(options, &writes), "write");
    if (options.sync) {
      state_.count_sync();
      synced_.store(db_->GetLatestSequenceNumber());
    } else if (!log_ && durability != Durability::none) {
      flush();
    }
  }

  void flush() {
    check_written(db_->Flush(rocksdb::FlushOptions()), "flush");
    state_.count_sync();
    synced_.store(db_->GetLatestSequenceNumber());
  }

  /// Recovery stops at a damaged record; what was synced must all have come back nevertheless.
  void check_recovered() {
    const std::uint64_t expected = synced_.load();
    const std::uint64_t found = db_->GetLatestSequenceNumber();
    if (found >= expected) return;
    throw Error(ErrorCode::corrupt,
                "the log in " + path_.string() + " is damaged: writes " + std::to_string(found + 1) + " to " +
                    std::to_string(expected) + " were synced and are gone",
                "restore the folder from a backup; to go on without those writes, delete the file SYNCED");
  }

  const SpaceTable spaces_;
  EngineFolder folder_;
  const std::filesystem::path path_;
  const bool log_;  ///< whether the write-ahead log is on
  SyncedMark synced_;
  EngineState state_;
  std::uint64_t next_sequence_ = 1;
  std::unique_ptr<rocksdb::Env> log_env_;  ///< outlives db_
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace

std::unique_ptr<Engine> open_rocksdb_engine(const EngineOptions& options) {
  return std::make_unique<RocksDbEngine>(options);
}

}  // namespace db4::kv
