#include "tiering/access_entry.hpp"

#include <db4/access_tracker.hpp>
#include <db4/error.hpp>
#include <db4/limits.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <mutex>
#include <utility>

namespace db4 {

namespace {

using tiering::AccessEntry;
using tiering::AccessEntryPtr;
using tiering::AccessTable;
using tiering::AccessWindows;

constexpr std::size_t kMaxShards = 32;
constexpr std::size_t kMinKeysPerShard = 64;

void check(const AccessPatternTrackerConfig& config) {
  const auto require = [](bool holds, std::string_view field, std::string_view rule) {
    if (holds) return;
    throw Error(ErrorCode::invalid_argument, "tracker." + std::string(field) + " is " + std::string(rule),
                "set it to more than that, or leave it out for the default");
  };
  require(config.history_window > 0ms, "history_window", "zero or negative");
  require(config.cold_age_threshold > 0ms, "cold_age_threshold", "zero or negative");
  require(config.access_window > 0ms, "access_window", "zero or negative");
  require(config.max_keys > 0, "max_keys", "zero");
}

void check_key(std::string_view collection, std::string_view id) {
  if (collection.size() > kMaxCollectionBytes || id.size() > kMaxIdBytes) {
    throw Error(ErrorCode::invalid_argument, "the key is too long to be a document's",
                "keep collections to 255 bytes and ids to 1,024")
        .with_context("record_access", collection.substr(0, kMaxCollectionBytes), id.substr(0, kMaxIdBytes));
  }
}

std::pair<std::string_view, std::string_view> split(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) {
    throw Error(ErrorCode::invalid_argument, "the key \"" + std::string(key.substr(0, 64)) + "\" has no '/'",
                "write it as \"collection/id\"");
  }
  return {key.substr(0, slash), key.substr(slash + 1)};
}

/// The `limit` first by `Before`, from any number of them, in memory for `limit`.
template <typename Item, typename Before>
class Best {
 public:
  explicit Best(std::size_t limit) : limit_(limit) {}
  /// Whether an item that ranks at `rank` would be kept: asked first, as making one copies the key.
  [[nodiscard]] bool wants(auto rank) const {
    return items_.size() < limit_ || (limit_ > 0 && Before()(rank, items_.front()));
  }
  void add(Item item) {
    items_.push_back(std::move(item));
    std::push_heap(items_.begin(), items_.end(), Before());
    if (items_.size() <= limit_) return;
    std::pop_heap(items_.begin(), items_.end(), Before());
    items_.pop_back();
  }
  [[nodiscard]] std::vector<Item> take() {
    std::sort_heap(items_.begin(), items_.end(), Before());
    return std::move(items_);
  }

 private:
  std::size_t limit_;
  std::vector<Item> items_;
};

struct ColdKey {
  double score_log2;
  std::string key;
};
struct Colder {
  bool operator()(const ColdKey& a, const ColdKey& b) const { return a.score_log2 < b.score_log2; }
  bool operator()(double a, const ColdKey& b) const { return a < b.score_log2; }
};

struct BusyKey {
  std::uint32_t recent;
  KeyAccess access;
};
struct Busier {
  bool operator()(const BusyKey& a, const BusyKey& b) const { return a.recent > b.recent; }
  bool operator()(std::uint32_t a, const BusyKey& b) const { return a > b.recent; }
};

}  // namespace

struct alignas(64) AccessPatternTracker::Shard {
  mutable std::mutex mutex;
  AccessTable table;
};

struct AccessPatternTracker::State {
  State(AccessPatternTrackerConfig given, std::shared_ptr<Clock> its_clock)
      : config(given),
        windows(given),
        clock(std::move(its_clock)),
        shards(std::clamp<std::size_t>(std::bit_floor(given.max_keys / kMinKeysPerShard), 1, kMaxShards)) {}

  [[nodiscard]] std::size_t shard_number(std::uint64_t hash) const noexcept {
    return (hash >> 48) & (shards.size() - 1);
  }

  /// Time that may lag but never runs ahead of an access that was stamped with the same clock.
  [[nodiscard]] TimePoint now() const { return clock->coarse_now(); }

  /// Runs `use` on the key's entry under its shard's lock; whether there is one.
  template <typename Use>
  bool with_entry(std::string_view collection, std::string_view id, Use&& use) const {
    const std::uint64_t hash = AccessEntry::hash_of(collection, id);
    const Shard& shard = shards[shard_number(hash)];
    const std::lock_guard guard(shard.mutex);
    const AccessEntry* entry = shard.table.find(hash, collection, id);
    if (entry == nullptr) return false;
    use(*entry);
    return true;
  }

  /// Takes one of max_keys, which whoever makes an entry needs; false where all are taken.
  bool take_place() noexcept {
    std::size_t seen = keys.load(std::memory_order_relaxed);
    while (seen < config.max_keys) {
      if (keys.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  void give_place_back() noexcept { keys.fetch_sub(1, std::memory_order_relaxed); }

  /// Frees a place in the first shard from `first` on that has anything; the caller holds no lock.
  void evict_from_any(std::size_t first) {
    for (std::size_t i = 0; i < shards.size(); ++i) {
      Shard& shard = shards[(first + i) & (shards.size() - 1)];
      const std::lock_guard guard(shard.mutex);
      if (shard.table.size() == 0) continue;
      evict_one(shard);
      give_place_back();
      return;
    }
  }
  void evict_one(Shard& shard) {
    if (shard.table.evict_one()) lost_figures.fetch_add(1, std::memory_order_relaxed);
  }

  const AccessPatternTrackerConfig config;
  const AccessWindows windows;
  const std::shared_ptr<Clock> clock;
  std::vector<Shard> shards;
  std::atomic<std::size_t> keys{0};
  std::atomic<std::size_t> next_taken_shard{0};
  std::atomic<std::uint64_t> lost_figures{0};
};

AccessPatternTracker::AccessPatternTracker(AccessPatternTrackerConfig config, std::shared_ptr<Clock> clock) {
  check(config);
  state_ = std::make_unique<State>(config, std::move(clock));
}
AccessPatternTracker::~AccessPatternTracker() = default;

void AccessPatternTracker::record_access(std::string_view collection, std::string_view id) {
  record_accesses(collection, id, 1, state_->now());
}

void AccessPatternTracker::record_access(std::string_view key) {
  const auto [collection, id] = split(key);
  record_access(collection, id);
}

void AccessPatternTracker::record_accesses(std::string_view collection, std::string_view id,
                                           std::uint32_t hits, TimePoint when) {
  if (hits == 0) return;
  check_key(collection, id);
  const TimePoint now = std::max(state_->now(), TimePoint{});
  when = std::clamp(when, TimePoint{}, now);
  const std::uint64_t hash = AccessEntry::hash_of(collection, id);
  const std::size_t number = state_->shard_number(hash);
  Shard& shard = state_->shards[number];
  for (;;) {
    {
      const std::lock_guard guard(shard.mutex);
      AccessEntry* entry = shard.table.find(hash, collection, id);
      if (entry == nullptr) {
        AccessEntryPtr made = AccessEntry::make(collection, id, hash);
        shard.table.reserve_one();
        const bool place = state_->take_place();
        if (place || shard.table.size() > 0) {
          if (!place) state_->evict_one(shard);
          entry = shard.table.add(std::move(made));
        }
      }
      if (entry != nullptr) {
        state_->windows.record(*entry, hits, when, now);
        shard.table.mark_unflushed(*entry);
        return;
      }
    }
    // All places are taken, and none by this shard, so that one must come from another.
    state_->evict_from_any(number + 1);
  }
}

std::vector<std::string> AccessPatternTracker::predict_cold_documents(std::size_t limit) const {
  const TimePoint now = state_->now();
  const AccessPatternTrackerConfig& config = state_->config;
  Best<ColdKey, Colder> coldest(limit);
  for (const Shard& shard : state_->shards) {
    const std::lock_guard guard(shard.mutex);
    for (const AccessEntryPtr& entry : shard.table.entries()) {
      const bool cold = now - entry->last_access >= config.cold_age_threshold ||
                        state_->windows.history(*entry, now) < config.cold_prediction_threshold;
      if (!cold || !coldest.wants(entry->score_log2)) continue;
      coldest.add({entry->score_log2, std::string(entry->collection()) + '/' + std::string(entry->id())});
    }
  }
  std::vector<std::string> out;
  for (ColdKey& key : coldest.take()) out.push_back(std::move(key.key));
  return out;
}

double AccessPatternTracker::get_tiering_score(std::string_view key) const {
  const auto [collection, id] = split(key);
  return get_tiering_score(collection, id);
}

double AccessPatternTracker::get_tiering_score(std::string_view collection, std::string_view id) const {
  const TimePoint now = state_->now();
  double score = 0;
  state_->with_entry(collection, id,
                     [&](const AccessEntry& entry) { score = state_->windows.score(entry, now); });
  return score;
}

void AccessPatternTracker::forget(std::string_view key) {
  const auto [collection, id] = split(key);
  forget(collection, id);
}

void AccessPatternTracker::forget(std::string_view collection, std::string_view id) {
  const std::uint64_t hash = AccessEntry::hash_of(collection, id);
  Shard& shard = state_->shards[state_->shard_number(hash)];
  const std::lock_guard guard(shard.mutex);
  if (AccessEntry* entry = shard.table.find(hash, collection, id)) {
    shard.table.remove(*entry);
    state_->give_place_back();
  }
}

std::uint32_t AccessPatternTracker::recent_accesses(std::string_view collection, std::string_view id) const {
  const TimePoint now = state_->now();
  std::uint32_t recent = 0;
  state_->with_entry(collection, id, [&](const AccessEntry& entry) {
    recent = db4::recent_accesses(entry.seen_buckets(), state_->config.access_window, now);
  });
  return recent;
}

std::optional<AccessFigures> AccessPatternTracker::unflushed(std::string_view collection,
                                                             std::string_view id) const {
  std::optional<AccessFigures> figures;
  state_->with_entry(collection, id, [&](const AccessEntry& entry) {
    if (entry.unflushed_count != 0) figures = entry.unflushed();
  });
  return figures;
}

std::vector<KeyAccess> AccessPatternTracker::take_unflushed(std::size_t limit) {
  std::vector<KeyAccess> out;
  // Each call goes on after the last one's shards, or the first ones' keys would be written and no others.
  const std::size_t first = state_->next_taken_shard.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < state_->shards.size() && out.size() < limit; ++i) {
    const std::size_t number = (first + i) & (state_->shards.size() - 1);
    Shard& shard = state_->shards[number];
    const std::lock_guard guard(shard.mutex);
    while (out.size() < limit) {
      AccessEntry* entry = shard.table.next_unflushed();
      if (entry == nullptr) break;
      out.push_back({std::string(entry->collection()), std::string(entry->id()), entry->unflushed()});
      shard.table.mark_flushed(*entry);
    }
    state_->next_taken_shard.store(number + 1, std::memory_order_relaxed);
  }
  return out;
}

void AccessPatternTracker::give_back(std::span<const KeyAccess> figures) {
  for (const KeyAccess& access : figures) {
    const std::uint64_t hash = AccessEntry::hash_of(access.collection, access.id);
    Shard& shard = state_->shards[state_->shard_number(hash)];
    const std::lock_guard guard(shard.mutex);
    AccessEntry* entry = shard.table.find(hash, access.collection, access.id);
    if (entry == nullptr) {
      state_->lost_figures.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    entry->give_back(access.figures);
    shard.table.mark_unflushed(*entry);
  }
}

std::vector<KeyAccess> AccessPatternTracker::busiest(std::uint32_t min_recent, std::size_t limit) const {
  const TimePoint now = state_->now();
  Best<BusyKey, Busier> busiest(limit);
  for (const Shard& shard : state_->shards) {
    const std::lock_guard guard(shard.mutex);
    for (const AccessEntryPtr& entry : shard.table.entries()) {
      const std::uint32_t recent =
          db4::recent_accesses(entry->seen_buckets(), state_->config.access_window, now);
      if (recent < min_recent || !busiest.wants(recent)) continue;
      busiest.add({recent, {std::string(entry->collection()), std::string(entry->id()), entry->seen()}});
    }
  }
  std::vector<KeyAccess> out;
  for (BusyKey& key : busiest.take()) out.push_back(std::move(key.access));
  return out;
}

std::size_t AccessPatternTracker::tracked_keys() const {
  return state_->keys.load(std::memory_order_relaxed);
}

std::uint64_t AccessPatternTracker::lost_figures() const {
  return state_->lost_figures.load(std::memory_order_relaxed);
}

}  // namespace db4
