#include "warm/disk_warm_cache.hpp"

#include "base/hash.hpp"
#include "warm/s3_fifo.hpp"
#include "warm/warm_caches.hpp"
#include "warm/warm_disk_format.hpp"
#include "warm/warm_entry.hpp"

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <type_traits>

namespace db4::warm {
namespace {

constexpr const char* kFolder = "entries-1";  // the number is the format's
constexpr const char* kWipedFolder = "wiped";
/// A file that is there as long as nothing plain is.
constexpr const char* kSealedMark = "SEALED";
/// Of an entry besides three times its key (record, place, queue) and its record.
constexpr std::uint64_t kEntryOverheadBytes = 128;
constexpr std::uint64_t kEngineMemoryBytes = 16ULL << 20;
constexpr std::size_t kEvictionBatch = 64;
/// Entries that one put lets stay because they were used; then it evicts whatever is at the front, so that no
/// put walks through all there is.
constexpr std::size_t kSecondChances = 256;

Error damaged(const std::string& what) {
  return {ErrorCode::corrupt, "the warm cache on disk is damaged: " + what, "it is wiped by itself"};
}

/// Whether a cache may be wiped for that: not where somebody else holds it or the system refuses access.
bool heals_by_wiping(ErrorCode code) {
  switch (code) {
    case ErrorCode::locked:
    case ErrorCode::permission_denied:
    case ErrorCode::read_only:
    case ErrorCode::resource_exhausted:
    case ErrorCode::invalid_argument:
      return false;
    default:
      return true;
  }
}

void check_removed(const std::error_code& error, const std::filesystem::path& path) {
  if (!error) return;
  const bool refused = error == std::errc::permission_denied || error == std::errc::operation_not_permitted;
  throw Error(refused ? ErrorCode::permission_denied : ErrorCode::unavailable,
              "cannot wipe the warm cache in " + path.string() + ": " + error.message(),
              "close the store and delete that folder: it holds copies only");
}

/// S3-FIFO over an engine. A get is one engine read; use counters and ghosts are fixed tables in memory,
/// lost when it is closed; the queues are on disk. Writes come one at a time and are not synced: what a crash
/// takes away was a copy.
///
/// The bound is on live bytes. The engine's files lag behind until it compacts; after each turnover of
/// max_bytes it is told to, by a thread that does nothing else.
class DiskWarmCache final : public WarmCache {
 public:
  DiskWarmCache(std::filesystem::path path, std::uint64_t max_bytes, EngineOpener open, WarmContent content)
      : path_(std::move(path)),
        max_bytes_(max_bytes),
        open_(std::move(open)),
        uses_(std::bit_ceil(std::clamp<std::uint64_t>(max_bytes / 128, 1024, 1U << 22))),
        ghosts_(ghost_capacity(max_bytes)) {
    std::error_code error;
    const bool holds = std::filesystem::exists(path_ / kFolder, error) ||
                       std::filesystem::exists(path_ / kWipedFolder, error);  // left half deleted
    open_or_wipe();
    expect_content(content, holds);
    compactor_ = std::jthread([this](const std::stop_token& stop) { compact_when_due(stop); });
  }
  ~DiskWarmCache() override {
    try {
      close();
    } catch (const std::exception&) {
      // It holds copies only; call close() to hear of it.
    }
  }

  std::optional<WarmEntry> get(std::string_view key) override;
  void put(std::string_view key, const WarmEntry& entry) override;
  void remove(std::string_view key) override;
  void clear() override;
  WarmCacheStats stats() const override;
  bool contains(std::string_view key, Version version, TimePoint now) override;
  void close() override;

 private:
  /// A batch and what it does to the totals.
  struct Change {
    kv::Batch batch;
    Totals delta;
  };

  template <typename Call>
  std::invoke_result_t<Call, kv::Engine&> with_engine(const Call& call);
  void open_or_wipe();
  void expect_content(WarmContent content, bool holds);
  void wipe_files() const;
  /// `wanted`: by clear(), so not worth a note in the stats.
  void start_anew(std::uint64_t generation, bool wanted);
  void load_totals();
  void compact_when_due(const std::stop_token& stop);

  void put_into(kv::Engine& engine, std::string_view key, const WarmEntry& entry);
  void make_room(kv::Engine& engine, std::uint64_t needed);
  void evict_batch(kv::Engine& engine, std::uint64_t needed, std::size_t& second_chances);
  static std::optional<Place> find_place(const kv::Engine& engine, std::string_view key);
  void enqueue(Change& change, std::string_view key, Place place) const;
  static void replace(Change& change, std::string_view key, const Place& held, Place place);
  static void dequeue(Change& change, const Place& place);
  static void erase(Change& change, std::string_view key, const Place& place);
  void commit(kv::Engine& engine, Change& change);

  [[nodiscard]] Totals totals_after(const Change& change) const;
  std::atomic<std::uint8_t>& uses_of(std::string_view key) {
    return uses_[hash_key(key) & (uses_.size() - 1)];
  }

  const std::filesystem::path path_;
  const std::uint64_t max_bytes_;
  const EngineOpener open_;

  /// Held shared while the engine is used, alone while it is replaced.
  mutable std::shared_mutex engine_mutex_;
  std::unique_ptr<kv::Engine> engine_;
  std::uint64_t generation_ = 0;

  /// One writer at a time, who also holds engine_mutex_ shared; whoever holds that alone may write too.
  mutable std::mutex write_mutex_;
  Totals totals_;
  std::uint64_t small_front_ = 0;  ///< where the queues begin: scans need not pass what was erased
  std::uint64_t main_front_ = 0;
  std::uint64_t evictions_ = 0;
  std::uint64_t wiped_ = 0;

  std::vector<std::atomic<std::uint8_t>> uses_;  ///< by hash; keys that meet share a count
  GhostTable ghosts_;

  std::mutex compact_mutex_;
  std::condition_variable_any compact_due_;
  std::uint64_t evicted_bytes_ = 0;  ///< since the last compaction
  std::jthread compactor_;
};

/// Runs a call on the engine. Where what is stored cannot be read, or the engine takes no more writes, the
/// cache starts anew and the answer is an empty one; other errors go to the caller.
template <typename Call>
std::invoke_result_t<Call, kv::Engine&> DiskWarmCache::with_engine(const Call& call) {
  std::uint64_t generation = 0;
  try {
    const std::shared_lock lock(engine_mutex_);
    if (engine_ == nullptr) {
      throw Error(ErrorCode::unavailable, "the warm cache in " + path_.string() + " is closed",
                  "reopen the store");
    }
    generation = generation_;
    return call(*engine_);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::read_only) throw;
  }
  start_anew(generation, false);
  return {};
}

void DiskWarmCache::open_or_wipe() {
  const kv::EngineOptions options{.path = path_ / kFolder,
                                  .spaces = warm_spaces(),
                                  .durability = Durability::none,
                                  .cache_bytes = kEngineMemoryBytes,
                                  .write_buffer_bytes = kEngineMemoryBytes};
  try {
    engine_ = open_(options);
    load_totals();
  } catch (const Error& error) {
    if (!heals_by_wiping(error.code())) throw;
    engine_.reset();
    wipe_files();
    engine_ = open_(options);
    load_totals();
    ++wiped_;
  }
}

/// Starts anew where something else was put into it before: where it `holds` anything. The engine is open, so
/// no other process has it.
void DiskWarmCache::expect_content(WarmContent content, bool holds) {
  const std::filesystem::path mark = path_ / kSealedMark;
  std::error_code error;
  const bool was_sealed = std::filesystem::exists(mark, error);
  if (was_sealed == (content == WarmContent::sealed)) return;
  // The mark last: whoever is killed before it starts anew again.
  if (holds) start_anew(generation_, /*wanted=*/true);
  if (content == WarmContent::plain) {
    std::filesystem::remove(mark, error);
    return check_removed(error, path_);
  }
  if (std::ofstream(mark).is_open()) return;
  throw Error(ErrorCode::permission_denied, "cannot make the file " + mark.string(),
              "give the process the right to write there");
}

/// Out of the way first: nobody opens a folder that is half deleted.
void DiskWarmCache::wipe_files() const {
  std::error_code error;
  std::filesystem::remove_all(path_ / kWipedFolder, error);
  check_removed(error, path_);
  std::filesystem::rename(path_ / kFolder, path_ / kWipedFolder, error);
  if (error == std::errc::no_such_file_or_directory) return;
  check_removed(error, path_);
  std::filesystem::remove_all(path_ / kWipedFolder, error);
  check_removed(error, path_);
}

/// Does nothing where another thread did it since `generation`.
void DiskWarmCache::start_anew(std::uint64_t generation, bool wanted) {
  const std::unique_lock lock(engine_mutex_);
  if (engine_ == nullptr || generation_ != generation) return;
  ++generation_;
  try {
    engine_->close();
  } catch (const Error&) {
    // What it could not flush is about to be deleted.
  }
  engine_.reset();
  small_front_ = 0;
  main_front_ = 0;
  for (auto& uses : uses_) uses = 0;
  ghosts_.clear();
  wipe_files();
  open_or_wipe();
  if (!wanted) ++wiped_;
}

void DiskWarmCache::load_totals() {
  Totals::for_each(totals_, [&](const char* name, std::int64_t& total) {
    const auto stored = engine_->get(kTotals, name);
    if (stored && stored->size() != sizeof total) throw damaged("a counter has no eight bytes");
    total = stored ? load_fixed<std::int64_t>(stored->data()) : 0;
    if (total < 0) throw damaged("a counter is negative");
  });
}

void DiskWarmCache::compact_when_due(const std::stop_token& stop) {
  std::unique_lock lock(compact_mutex_);
  while (compact_due_.wait(lock, stop, [this] { return evicted_bytes_ >= max_bytes_; })) {
    evicted_bytes_ = 0;
    lock.unlock();
    try {
      with_engine([](kv::Engine& engine) {
        engine.compact();
        return true;
      });
    } catch (const Error&) {
      // The next put meets the same engine and reports it.
    }
    lock.lock();
  }
}

std::optional<WarmEntry> DiskWarmCache::get(std::string_view key) {
  require_key(key);
  bool bad = false;
  auto entry = with_engine([&](const kv::Engine& engine) {
    auto stored = engine.get(kRecords, key);
    if (!stored) return std::optional<WarmEntry>();
    auto decoded = decode_entry(key, std::move(*stored));
    bad = !decoded;
    return decoded;
  });
  if (bad) remove(key);
  if (!entry) return std::nullopt;
  auto& uses = uses_of(key);
  // Two hits at once may count as one: it is an estimate.
  const std::uint8_t count = uses.load(std::memory_order_relaxed);
  if (count < kMaxUses) uses.store(static_cast<std::uint8_t>(count + 1), std::memory_order_relaxed);
  return entry;
}

void DiskWarmCache::put(std::string_view key, const WarmEntry& entry) {
  require_key(key);
  require_record(entry);
  const std::lock_guard lock(write_mutex_);
  with_engine([&](kv::Engine& engine) {
    put_into(engine, key, entry);
    return true;
  });
}

void DiskWarmCache::put_into(kv::Engine& engine, std::string_view key, const WarmEntry& entry) {
  auto held = find_place(engine, key);
  if (held && held->version > entry.version) return;
  const std::uint64_t cost = 3 * key.size() + entry.record->size() + kEntryOverheadBytes;
  const bool admitted = cost <= max_entry_bytes(max_bytes_);
  if (admitted) {
    make_room(engine, cost);
    held = find_place(engine, key);  // it may have been evicted or moved
  } else if (!held) {
    return;
  }
  Change change;
  if (!admitted) {
    erase(change, key, *held);  // what is refused still ends the version before it
    commit(engine, change);
    return;
  }
  Place place{.bytes = cost, .version = entry.version, .stale_until = entry.stale_until};
  if (held) {
    replace(change, key, *held, place);
  } else {
    const bool remembered = ghosts_.take(hash_key(key), static_cast<std::uint64_t>(totals_.main_entries));
    place.queue = remembered ? kMainQueue : kSmallQueue;
    uses_of(key) = 0;
    enqueue(change, key, place);
  }
  change.batch.put(kRecords, std::string(key), encode_entry(key, entry));
  commit(engine, change);
}

void DiskWarmCache::make_room(kv::Engine& engine, std::uint64_t needed) {
  std::size_t second_chances = kSecondChances;
  while (totals_.bytes() + needed > max_bytes_) evict_batch(engine, needed, second_chances);
}

/// Goes through the front of one queue, at most kEvictionBatch entries, until there is room or it is the
/// other queue's turn.
void DiskWarmCache::evict_batch(kv::Engine& engine, std::uint64_t needed, std::size_t& second_chances) {
  const auto small_is_next = [](const Totals& totals) {
    return evict_from_small(static_cast<std::uint64_t>(totals.small_bytes),
                            static_cast<std::uint64_t>(totals.main_bytes));
  };
  const bool from_small = small_is_next(totals_);
  std::uint64_t& front = from_small ? small_front_ : main_front_;
  const auto items = engine.scan({.space = from_small ? kSmallQueue : kMainQueue,
                                  .begin = sequence_key(front),
                                  .end = {},
                                  .limit = kEvictionBatch});
  if (items.empty()) throw damaged("a queue holds less than it should");
  Change change;
  std::uint64_t next_front = front;
  std::uint64_t evicted = 0;
  std::uint64_t evicted_bytes = 0;
  for (const kv::Entry& item : items) {
    const Totals now = totals_after(change);
    if (now.bytes() + needed <= max_bytes_ || small_is_next(now) != from_small) break;
    auto place = find_place(engine, item.value);
    if (!place || sequence_key(place->sequence) != item.key) throw damaged("a queue and its places differ");
    next_front = place->sequence + 1;
    auto& uses = uses_of(item.value);
    const std::uint8_t count = uses;
    if (count >= (from_small ? kUsesToStay : 1) && second_chances > 0) {
      --second_chances;
      uses = from_small ? std::uint8_t{0} : static_cast<std::uint8_t>(count - 1);
      dequeue(change, *place);
      place->queue = kMainQueue;
      enqueue(change, item.value, *place);
      continue;
    }
    if (from_small) ghosts_.insert(hash_key(item.value));
    erase(change, item.value, *place);
    ++evicted;
    evicted_bytes += place->bytes;
  }
  commit(engine, change);
  front = next_front;
  evictions_ += evicted;
  const std::lock_guard lock(compact_mutex_);
  evicted_bytes_ += evicted_bytes;
  if (evicted_bytes_ >= max_bytes_) compact_due_.notify_one();
}

std::optional<Place> DiskWarmCache::find_place(const kv::Engine& engine, std::string_view key) {
  const auto stored = engine.get(kPlaces, key);
  if (!stored) return std::nullopt;
  auto place = decode_place(*stored);
  if (!place) throw damaged("a place is unreadable");
  return place;
}

/// At the end of the place's queue, under the next sequence number.
void DiskWarmCache::enqueue(Change& change, std::string_view key, Place place) const {
  ++change.delta.sequence;
  place.sequence = static_cast<std::uint64_t>(totals_.sequence + change.delta.sequence);
  const bool small = place.queue == kSmallQueue;
  (small ? change.delta.small_bytes : change.delta.main_bytes) += static_cast<std::int64_t>(place.bytes);
  ++(small ? change.delta.small_entries : change.delta.main_entries);
  change.batch.put(place.queue, sequence_key(place.sequence), std::string(key));
  change.batch.put(kPlaces, std::string(key), encode_place(place));
}

/// Keeps the place in its queue.
void DiskWarmCache::replace(Change& change, std::string_view key, const Place& held, Place place) {
  place.queue = held.queue;
  place.sequence = held.sequence;
  const std::int64_t growth = static_cast<std::int64_t>(place.bytes) - static_cast<std::int64_t>(held.bytes);
  (place.queue == kSmallQueue ? change.delta.small_bytes : change.delta.main_bytes) += growth;
  change.batch.put(kPlaces, std::string(key), encode_place(place));
}

void DiskWarmCache::dequeue(Change& change, const Place& place) {
  const bool small = place.queue == kSmallQueue;
  (small ? change.delta.small_bytes : change.delta.main_bytes) -= static_cast<std::int64_t>(place.bytes);
  --(small ? change.delta.small_entries : change.delta.main_entries);
  change.batch.erase(place.queue, sequence_key(place.sequence));
}

void DiskWarmCache::erase(Change& change, std::string_view key, const Place& place) {
  dequeue(change, place);
  change.batch.erase(kRecords, std::string(key));
  change.batch.erase(kPlaces, std::string(key));
}

Totals DiskWarmCache::totals_after(const Change& change) const {
  return {.small_bytes = totals_.small_bytes + change.delta.small_bytes,
          .small_entries = totals_.small_entries + change.delta.small_entries,
          .main_bytes = totals_.main_bytes + change.delta.main_bytes,
          .main_entries = totals_.main_entries + change.delta.main_entries,
          .sequence = totals_.sequence + change.delta.sequence};
}

void DiskWarmCache::commit(kv::Engine& engine, Change& change) {
  Totals::for_each(change.delta, [&](const char* name, std::int64_t delta) {
    if (delta != 0) change.batch.add(kTotals, name, delta);
  });
  const kv::Batch* const group[] = {&change.batch};
  engine.commit(group, Durability::none);
  totals_ = totals_after(change);
}

void DiskWarmCache::remove(std::string_view key) {
  require_key(key);
  const std::lock_guard lock(write_mutex_);
  with_engine([&](kv::Engine& engine) {
    const auto place = find_place(engine, key);
    if (!place) return false;
    Change change;
    erase(change, key, *place);
    commit(engine, change);
    return true;
  });
}

void DiskWarmCache::clear() {
  const std::lock_guard lock(write_mutex_);
  const std::uint64_t generation = with_engine([&](kv::Engine&) { return generation_; });
  start_anew(generation, true);
}

WarmCacheStats DiskWarmCache::stats() const {
  const std::lock_guard lock(write_mutex_);
  const std::shared_lock engine_lock(engine_mutex_);  // who starts anew may be a reader
  return {.entries = totals_.entries(), .bytes = totals_.bytes(), .evictions = evictions_, .wiped = wiped_};
}

bool DiskWarmCache::contains(std::string_view key, Version version, TimePoint now) {
  require_key(key);
  return with_engine([&](const kv::Engine& engine) {
    const auto place = find_place(engine, key);
    return place && place->version == version && now < place->stale_until;
  });
}

void DiskWarmCache::close() {
  const std::lock_guard write_lock(write_mutex_);
  compactor_.request_stop();
  if (compactor_.joinable()) compactor_.join();
  const std::unique_lock lock(engine_mutex_);
  if (engine_ == nullptr) return;
  const auto engine = std::move(engine_);
  engine->close();
}

}  // namespace

std::shared_ptr<WarmCache> make_engine_warm_cache(const std::filesystem::path& path, std::uint64_t max_bytes,
                                                  EngineOpener open, WarmContent content) {
  return std::make_shared<DiskWarmCache>(path, max_bytes, std::move(open), content);
}

std::shared_ptr<WarmCache> make_disk_warm_cache(const std::filesystem::path& path, std::uint64_t max_bytes) {
  return make_engine_warm_cache(path, max_bytes, &kv::open_rocksdb_engine);
}

std::shared_ptr<WarmCache> make_disk_warm_cache_to_seal(const std::filesystem::path& path,
                                                        std::uint64_t max_bytes) {
  return make_engine_warm_cache(path, max_bytes, &kv::open_rocksdb_engine, WarmContent::sealed);
}

}  // namespace db4::warm
