#include "catalog/catalog.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "catalog/garbage.hpp"
#include "catalog/meta.hpp"
#include "catalog/spaces.hpp"
#include "codec/record.hpp"

#include <algorithm>

namespace db4::catalog {
namespace {

constexpr std::size_t kChangesPage = 1000;
/// Far over stats.max_samples' own limit.
constexpr std::size_t kMaxSamples = 1'000'000;

std::string drawn_id(RandomSource& random) {
  std::string bytes;
  put_fixed(bytes, random.next_u64());
  return bytes;
}

/// Of lower-case digits, an even number of them.
std::string from_hex(std::string_view digits) {
  const auto value = [](char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<char>(value(digits[i]) * 16 + value(digits[i + 1])));
  }
  return bytes;
}

[[noreturn]] void throw_missing_body() {
  throw Error(ErrorCode::corrupt, "the document's body is missing in the hot engine",
              "check the disk, and restore the hot folder from a backup");
}

void lower_to(std::atomic<std::int64_t>& value, std::int64_t to) noexcept {
  std::int64_t current = value.load();
  while (current > to && !value.compare_exchange_weak(current, to)) {
  }
}

}  // namespace

/// Announces the changes of a set and ends them whatever happens in between.
class Catalog::Announcement {
 public:
  Announcement(const std::vector<ChangeListener*>& listeners, std::span<ChangeSet> sets)
      : listeners_(listeners), sets_(sets) {
    for_each([](ChangeListener& listener, std::uint64_t hash) { listener.on_announced(hash); });
  }
  ~Announcement() {
    for_each([](ChangeListener& listener, std::uint64_t hash) { listener.on_ended(hash); });
  }
  Announcement(const Announcement&) = delete;
  Announcement& operator=(const Announcement&) = delete;

 private:
  template <typename Call>
  void for_each(const Call& call) {
    for (ChangeListener* listener : listeners_) {
      for (ChangeSet& set : sets_) {
        for (const RowChange& change : set.changes()) call(*listener, change.hash);
      }
    }
  }
  const std::vector<ChangeListener*>& listeners_;
  std::span<ChangeSet> sets_;
};

Catalog::Catalog(std::unique_ptr<kv::Engine> engine, std::shared_ptr<Clock> clock, RandomSource& random,
                 CatalogOptions options)
    : engine_(std::move(engine)),
      queue_(*engine_),
      clock_(std::move(clock)),
      options_(std::move(options)),
      sealer_(options_.sealer ? options_.sealer : std::make_shared<sealing::Sealer>()),
      shared_(engine_->shared()) {
  open_meta(random);
  load_pins();
}

Catalog::~Catalog() = default;

void Catalog::raise_version_floor(std::uint64_t to) {
  kv::Batch batch;
  batch.put(kMeta, std::string(kVersionFloorKey), encoded(to));
  queue_.commit(batch, Durability::disk);
  floor_ = to;
}

void Catalog::open_meta(RandomSource& random) {
  // Another node may make the store at the same moment: then it is there when we look again.
  while (!try_open_meta(random)) {
  }
  if (shared_) register_node();
}

bool Catalog::try_open_meta(RandomSource& random) {
  kv::Batch batch;
  is_new_ = false;
  if (const auto format = read_meta<std::uint32_t>(*engine_, kFormatKey); !format) {
    is_new_ = true;
    store_id_ = options_.new_store_id.empty() ? drawn_id(random) : from_hex(options_.new_store_id);
    batch.require_absent(kMeta, std::string(kFormatKey));
    batch.put(kMeta, std::string(kFormatKey), encoded(kCatalogFormat));
    batch.put(kMeta, std::string(kStoreIdKey), store_id_);
    batch.put(kMeta, std::string(kVersionFloorKey), encoded(std::uint64_t{0}));
  } else if (*format != kCatalogFormat) {
    throw Error(ErrorCode::unsupported,
                "the store's catalogue has format " + std::to_string(*format) + ", this db4 knows " +
                    std::to_string(kCatalogFormat),
                "open it with the newer db4 that wrote it");
  } else {
    store_id_ = engine_->get(kMeta, kStoreIdKey).value_or("");
    floor_ = read_meta<std::uint64_t>(*engine_, kVersionFloorKey).value_or(0);
    if (!shared_) watermark_us_ = read_meta<std::int64_t>(*engine_, kWatermarkKey).value_or(0);
  }
  store_id_ = to_hex(as_bytes(store_id_));
  sealer_->set_store_id(store_id_);
  // A new epoch at every open, or a new node: change entries of different lives never mix, though the
  // sequence starts anew.
  if (shared_) {
    while (node_ == 0) node_ = random.next_u64();
  } else {
    epoch_ = read_meta<std::uint64_t>(*engine_, kEpochKey).value_or(0) + 1;
    batch.put(kMeta, std::string(kEpochKey), encoded(epoch_));
  }
  change_prefix_ = change_key_prefix(node_, epoch_);
  return batch.empty() || queue_.commit(batch, options_.durability).committed();
}

void Catalog::refresh_floor() {
  if (!shared_) return;
  const std::uint64_t floor = read_meta<std::uint64_t>(*engine_, kVersionFloorKey).value_or(0);
  // It only rises, and our own commits may have raised it since.
  std::uint64_t known = floor_.load();
  while (known < floor && !floor_.compare_exchange_weak(known, floor)) {
  }
}

std::optional<Row> Catalog::find(std::string_view key) const {
  const auto bytes = engine_->get(kRows, key);
  if (!bytes) return std::nullopt;
  return decode_row(key, *bytes);
}

detail::BlockRef Catalog::load_body(std::string_view key, const Row& row) const {
  const std::string_view collection = collection_of(key);
  const std::string_view id = id_of(key);
  detail::BlockRef block;
  if (row.body_key != 0) return load_sealed_body(key, row);
  if (row.body_place == BodyPlace::in_row) {
    block = detail::DocumentBlock::create(collection, id, row.content_type, row.inline_body.size());
    if (!row.inline_body.empty())
      std::memcpy(block->mutable_body(), row.inline_body.data(), row.inline_body.size());
    block->version = row.version;
    block->created_at_us = row.created_at_us;
    block->updated_at_us = row.updated_at_us;
  } else {
    const auto record = engine_->get(kBodies, key);
    if (!record) throw_missing_body();
    block = codec::decode_record(*record, {.collection = collection, .id = id, .version = row.version});
  }
  return block;
}

detail::BlockRef Catalog::load_sealed_body(std::string_view key, const Row& row) const {
  std::optional<std::string> beside;
  if (row.body_place == BodyPlace::in_bodies) {
    beside = engine_->get(kBodies, key);
    if (!beside) throw_missing_body();
  }
  const std::string_view collection = collection_of(key);
  const std::string_view id = id_of(key);
  const auto size = static_cast<std::size_t>(row.size);
  detail::BlockRef block = detail::DocumentBlock::create(collection, id, row.content_type, size);
  sealer_->open_into(sealing::Kind::body, {.collection = collection, .id = id, .version = row.version},
                     beside ? *beside : row.inline_body,
                     {reinterpret_cast<std::byte*>(block->mutable_body()), size});
  block->version = row.version;
  block->created_at_us = row.created_at_us;
  block->updated_at_us = row.updated_at_us;
  return block;
}

std::vector<ScannedRow> Catalog::scan_rows(std::string begin, std::string end, std::size_t limit) const {
  std::vector<ScannedRow> out;
  for (kv::Entry& entry :
       engine_->scan({.space = kRows, .begin = std::move(begin), .end = std::move(end), .limit = limit})) {
    Row row = decode_row(entry.key, entry.value);
    out.push_back({.key = std::move(entry.key), .row = std::move(row)});
  }
  return out;
}

std::vector<std::string> Catalog::scan_keys(std::string begin, std::string end, std::size_t limit) const {
  std::vector<std::string> out;
  for (kv::Entry& entry : engine_->scan({.space = kRows,
                          .begin = std::move(begin),
                          .end = std::move(end),
                          .limit = limit,
                          .keys_only = true})) {
    out.push_back(std::move(entry.key));
  }
  return out;
}

void Catalog::prepare(ChangeSet& set) {
  if (shared_) {
    // As of now, not of when it is committed: another node may follow before we hear of it.
    const std::int64_t now_ns = clock_->monotonic().count();
    for (const RowChange& change : set.changes_) {
      if (change.block) change.block->current_at_ns = now_ns;
    }
  }
  if (set.raised_floor_ != 0) {
    set.batch_.put(kMeta, std::string(kVersionFloorKey), encoded(set.raised_floor_));
  }
  set.batch_.on_committed = [this, &set](const kv::Outcome& outcome) {
    // On the committing thread, in commit order.
    if (set.raised_floor_ != 0) floor_.store(set.raised_floor_, std::memory_order_release);
    // Numbered by the engine, in the order in which they were staged.
    std::uint64_t sequence = outcome.first_sequence;
    for (RowChange& change : set.changes_) change.sequence = sequence++;
    if (!set.changes_.empty()) appended_changes_.store(sequence - 1, std::memory_order_relaxed);
    note_filed(set);
    for (ChangeListener* listener : listeners_) {
      for (const RowChange& change : set.changes_) listener->on_applied(change);
    }
  };
}

/// An entry is clamped to the watermark when it is staged. Should the watermark have passed it before it was
/// committed (the machine slept in between), it would never come up: so either we see that and take the
/// watermark back, or raise_watermark sees what we filed.
void Catalog::note_filed(const ChangeSet& set) noexcept {
  std::int64_t earliest = kNothingFiled;
  for (const RowChange& change : set.changes_) {
    const bool filed = change.after && change.after->due_us != 0 &&
                       (!change.before || change.before->due_us != change.after->due_us);
    if (filed) earliest = std::min(earliest, change.after->due_us);
  }
  lower_to(earliest_filed_us_, earliest);
  lower_to(watermark_us_, earliest);
}

bool Catalog::commit(ChangeSet& set, std::optional<Durability> durability) {
  prepare(set);
  const Announcement announcement(listeners_, {&set, 1});
  const bool committed = queue_.commit(set.batch_, durability.value_or(options_.durability)).committed();
  if (!committed) refresh_floor();
  return committed;
}

std::vector<bool> Catalog::commit_all(std::span<ChangeSet> sets, std::optional<Durability> durability) {
  std::vector<kv::Batch> batches;
  batches.reserve(sets.size());
  for (ChangeSet& set : sets) {
    prepare(set);
    batches.push_back(std::move(set.batch_));
  }
  const Announcement announcement(listeners_, sets);
  std::vector<bool> out;
  for (const kv::Outcome& outcome : queue_.commit_all(batches, durability.value_or(options_.durability))) {
    out.push_back(outcome.committed());
  }
  if (std::find(out.begin(), out.end(), false) != out.end()) refresh_floor();
  return out;
}

std::vector<DueEntry> Catalog::due(std::int64_t from_us, std::int64_t until_us, std::size_t limit,
                                   std::string_view after_key) const {
  std::string begin = timed_key(from_us, after_key);
  if (!after_key.empty()) begin.push_back('\0');
  std::string end;
  put_big_endian(end, static_cast<std::uint64_t>(until_us) + 1);
  std::vector<DueEntry> out;
  for (const kv::Entry& entry : engine_->scan({.space = kDue,
                                .begin = std::move(begin),
                                .end = std::move(end),
                                .limit = limit,
                                .keys_only = true})) {
    if (entry.key.size() > 8)
      out.push_back({.due_us = time_of(entry.key), .key = std::string(key_of(entry.key))});
  }
  return out;
}

void Catalog::raise_watermark(std::int64_t to_us) {
  if (shared_) return;
  to_us = std::min(to_us, earliest_filed_us_.exchange(kNothingFiled));
  if (watermark_us_.load() >= to_us) return;
  watermark_us_.store(to_us);
  to_us = std::min(to_us, earliest_filed_us_.load());
  lower_to(watermark_us_, to_us);
  kv::Batch batch;
  batch.put(kMeta, std::string(kWatermarkKey), encoded(to_us));
  queue_.commit(batch, std::min(options_.durability, Durability::process));
}

void Catalog::forget_watermark() {
  watermark_us_.store(0, std::memory_order_release);
  kv::Batch batch;
  batch.erase(kMeta, std::string(kWatermarkKey));
  queue_.commit(batch, std::min(options_.durability, Durability::process));
}

std::string Catalog::filed_policy() const { return engine_->get(kMeta, kPolicyKey).value_or(""); }

void Catalog::file_under(const std::string& policy, bool refile) {
  kv::Batch batch;
  batch.put(kMeta, std::string(kPolicyKey), policy);
  if (refile) batch.put(kMeta, std::string(kRefilingKey), timed_key(0, {}));
  queue_.commit(batch, options_.durability);
}

std::optional<DueEntry> Catalog::refiling() const {
  const auto last = engine_->get(kMeta, kRefilingKey);
  if (!last) return std::nullopt;
  // One that cannot be read starts over: that costs looks, and misses nothing.
  if (last->size() < 8) return DueEntry{};
  return DueEntry{.due_us = time_of(*last), .key = std::string(key_of(*last))};
}

void Catalog::set_refiling(const std::optional<DueEntry>& last) {
  kv::Batch batch;
  if (last) {
    batch.put(kMeta, std::string(kRefilingKey), timed_key(last->due_us, last->key));
  } else {
    batch.erase(kMeta, std::string(kRefilingKey));
  }
  // In the log behind what was filed anew, so that neither outlives the other.
  queue_.commit(batch, std::min(options_.durability, Durability::process));
}

std::vector<HistoryEntry> Catalog::history(std::string_view key) const {
  return decode_history(engine_->get(kHistory, key).value_or(""));
}

std::vector<Catalog::Sample> Catalog::samples(std::int64_t from_us, std::size_t limit) const {
  std::vector<Sample> out;
  std::string begin = timed_key(std::max<std::int64_t>(from_us, 0), {});
  while (out.size() < limit) {
    auto page = engine_->scan(
        {.space = kSamples, .begin = begin, .end = {}, .limit = std::min(limit - out.size(), kChangesPage)});
    if (page.empty()) break;
    begin = page.back().key + '\0';
    for (kv::Entry& entry : page) {
      if (entry.key.size() == 8)
        out.push_back({.at_us = time_of(entry.key), .value = std::move(entry.value)});
    }
  }
  return out;
}

std::size_t Catalog::count_samples() const {
  return engine_->scan({.space = kSamples, .begin = {}, .end = {}, .limit = kMaxSamples, .keys_only = true})
      .size();
}

void Catalog::replace_samples(std::span<const std::int64_t> gone, std::span<const Sample> made) {
  kv::Batch batch;
  for (const std::int64_t at_us : gone) batch.erase(kSamples, timed_key(at_us, {}));
  for (const Sample& sample : made) batch.put(kSamples, timed_key(sample.at_us, {}), sample.value);
  queue_.commit(batch, std::min(options_.durability, Durability::process));
}

Totals Catalog::totals() const { return read_totals(*engine_); }

std::vector<CollectionTotals> Catalog::collection_totals() const { return read_collection_totals(*engine_); }

void Catalog::trim_changes() {
  const std::unique_lock lock(trim_mutex_, std::try_to_lock);
  if (!lock) return;
  const std::uint64_t appended = appended_changes_.load(std::memory_order_relaxed);
  // Entries of earlier lives count too, so the first call of each life looks, and then one in a while.
  if (trimmed_at_ && appended - *trimmed_at_ <= options_.kept_changes / 8) return;
  kv::Batch batch;
  const std::size_t kept_of_earlier =
      options_.kept_changes - std::min<std::uint64_t>(options_.kept_changes, appended);
  // Those of other nodes are theirs to trim, and those of dead ones go with these.
  const bool done =
      (shared_ || trim_earlier_lives(kept_of_earlier, batch)) && trim_this_life(appended, batch);
  if (!batch.operations.empty()) queue_.commit(batch, std::min(options_.durability, Durability::process));
  if (done) trimmed_at_ = appended;
}

/// Their numbers say nothing of how many there are, so they are counted, from the oldest on.
bool Catalog::trim_earlier_lives(std::size_t kept, kv::Batch& batch) const {
  std::vector<std::string> page_ends;
  std::size_t entries = 0;
  bool all_seen = false;
  for (std::string begin; entries < kept + options_.trimmed_at_once;) {
    const auto page = engine_->scan(
        {.space = kChanges, .begin = begin, .end = change_prefix_, .limit = kChangesPage, .keys_only = true});
    entries += page.size();
    all_seen = page.size() < kChangesPage;
    if (!page.empty()) page_ends.push_back(page.back().key);
    if (all_seen) break;
    begin = page.back().key + '\0';
  }
  // Whole pages: that the last few are kept too long is no harm.
  std::size_t pages = entries > kept ? (entries - kept) / kChangesPage : 0;
  if (kept == 0) pages = page_ends.size();
  if (pages > 0) batch.erase_range(kChanges, {}, page_ends[pages - 1] + '\0');
  return all_seen;
}

/// Their numbers count them: nothing is looked at.
bool Catalog::trim_this_life(std::uint64_t appended, kv::Batch& batch) {
  if (appended <= options_.kept_changes) return true;
  const std::uint64_t target = appended - options_.kept_changes;
  const std::uint64_t to = std::min<std::uint64_t>(target, trimmed_to_ + options_.trimmed_at_once);
  const auto key_behind = [&](std::uint64_t sequence) {
    std::string key = change_prefix_;
    put_big_endian(key, sequence + 1);
    return key;
  };
  if (to > trimmed_to_) batch.erase_range(kChanges, key_behind(trimmed_to_), key_behind(to));
  trimmed_to_ = to;
  return to == target;
}

}  // namespace db4::catalog
