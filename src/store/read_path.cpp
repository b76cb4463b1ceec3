// A read: the cache, else the row; the body from the row, from warm, or from cold; then, if the policy admits
// it, upward.
#include "base/hash.hpp"
#include "catalog/access.hpp"
#include "catalog/keys.hpp"
#include "store/impl.hpp"

namespace db4 {
namespace {

/// A reader whose bytes are gone reads the row again, this often at most; only an unchanged row means damage.
constexpr int kReadAttempts = 64;

std::int64_t to_us(TimePoint when) noexcept { return when.time_since_epoch().count(); }

/// One hit in memory of so many is timed, by thread.
bool sample_this_hit() noexcept {
  thread_local unsigned hits = 0;
  return ++hits % store::kHitSampling == 0;
}

}  // namespace

/// What a batch of reads leaves for later: documents that only cold has, to be fetched together.
struct TieredStore::Impl::BatchRead {
  std::vector<ColdStorage::State::Wanted> wanted = {};
  std::vector<std::size_t> items = {};  ///< of the batch, for each that is wanted
};

/// What one read carries through the tiers.
struct TieredStore::Impl::ReadCall {
  std::string_view collection;
  std::string_view id;
  std::string_view key;
  std::uint64_t hash;
  const ReadOptions& options;
  TimePoint now;
  MonotonicTime started;
  MonotonicTime deadline;
  bool may_promote;
  hot::DocumentCache::Ticket ticket{};
  std::uint64_t warm_mark = 0;
  /// Of a batch's document: taken before its row was read, so that no change comes between unnoticed.
  WarmStorage::FillLease warm_lease = {};
  bool warm_stored = false;    ///< what was fetched is a warm copy already
  bool outdated = false;       ///< its row changed before anything was fetched ...
  bool was_outdated = false;   ///< ... which is reason to read it again once, and not for ever
  BatchRead* batch = nullptr;  ///< where what cold has is left for later ...
  bool left = false;           ///< ... and was
  /// What a batch fetched for it, and from where; null: nothing.
  const ColdStorage::State::Wanted* wanted = nullptr;
  detail::BlockRef fetched = {};

  [[nodiscard]] bool was_fetched(const catalog::Row& row) const {
    return fetched && wanted->version == row.version && wanted->place.object == row.cold->object &&
           wanted->place.offset == row.cold->offset;
  }
  [[nodiscard]] CallOptions bounds() const { return {.deadline = deadline, .stop = options.stop}; }
};

std::vector<std::optional<Document>> TieredStore::Impl::read_batch(std::string_view collection,
                                                                   std::span<const std::string> ids,
                                                                   const ReadOptions& options) {
  std::vector<std::optional<Document>> out;
  out.reserve(ids.size());
  const auto naming = [&](const std::string& id, const auto& call) {
    try {
      return call();
    } catch (const Error& error) {
      throw error.with_context("item", collection, id);
    }
  };
  BatchRead batch;
  for (const std::string& id : ids) {
    out.push_back(naming(id, [&] { return read(collection, id, options, &batch); }));
    if (batch.wanted.size() > batch.items.size()) batch.items.push_back(out.size() - 1);
  }
  if (batch.items.empty()) return out;
  CallOptions bounds{.stop = options.stop};
  if (options.timeout) bounds.deadline = clock_->monotonic() + *options.timeout;
  const std::vector<detail::BlockRef> fetched = cold_.state().read_many(batch.wanted, bounds);
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    const std::string& id = ids[batch.items[i]];
    out[batch.items[i]] =
        naming(id, [&] { return read_fetched(collection, id, options, batch.wanted[i], fetched[i]); });
  }
  return out;
}

std::optional<Document> TieredStore::Impl::read_fetched(std::string_view collection, std::string_view id,
                                                        const ReadOptions& options,
                                                        const ColdStorage::State::Wanted& wanted,
                                                        const detail::BlockRef& fetched) {
  const std::string key = catalog::document_key(collection, id);
  ReadCall call = begin_read(collection, id, key, options);
  call.wanted = &wanted;
  call.fetched = fetched;
  if (fetched && call.may_promote) call.warm_lease = warm_.try_lease(key);
  return read_through(call);
}

std::optional<Document> TieredStore::Impl::read(std::string_view collection, std::string_view id,
                                                const ReadOptions& options, BatchRead* batch) {
  if (collection.empty() || id.empty() || collection.size() > kMaxCollectionBytes ||
      id.size() > kMaxIdBytes) {
    catalog::check_key(collection, id);
  }
  const bool sampled = sample_this_hit();
  const MonotonicTime started = sampled ? clock_->monotonic() : MonotonicTime{};
  const catalog::KeyBuffer key(collection, id);
  const std::uint64_t hash = hash_key(key.view());
  const TimePoint now = clock_->coarse_now();
  if (catalog_->shared()) {
    if (auto document = read_memory(hash, key.view(), now, options)) return document;
  } else if (detail::BlockRef block = options.count_access
                                          ? hot_.state().cache().find(hash, key.view(), to_us(now))
                                          : detail::BlockRef();
             block && block->version >= options.expected_version.value_or(0)) {
    // The cache is coherent with the catalogue, so a hit is the newest version. It counts hits by itself.
    const std::uint64_t count = block->base_access_count.load(std::memory_order_relaxed) +
                                block->pending_hits.load(std::memory_order_relaxed);
    const std::uint32_t recent = block->count_recent(to_us(now), half_window_us_, 1);
    hot_.state().count_cache_hit();
    if (sampled) metrics_.hot.latency.record(clock_->monotonic() - started);
    return Document(std::move(block), StorageTier::hot, StorageTier::hot, now, count, recent, 0ms);
  }
  catalog::check_key(collection, id);
  ReadCall call = begin_read(collection, id, key.view(), options);
  call.batch = batch;
  return read_through(call);
}

/// Other nodes may have changed the document since the cache got it: a copy answers only within the age that
/// the reader accepts, by the local monotonic clock.
std::optional<Document> TieredStore::Impl::read_memory(std::uint64_t hash, std::string_view key,
                                                       TimePoint now, const ReadOptions& options) {
  const auto max_stale = options.max_stale.value_or(config_.consistency.max_stale);
  if (max_stale <= 0ms || !options.count_access) return std::nullopt;
  const MonotonicTime started = clock_->monotonic();
  const auto usable = [&](const detail::BlockRef& block) {
    if (!block || block->version < options.expected_version.value_or(0)) return false;
    const MonotonicTime confirmed_at{block->current_at_ns.load(std::memory_order_relaxed)};
    return started - confirmed_at <= max_stale && news_->trusts(confirmed_at);
  };
  if (!usable(hot_.state().cache().peek(hash, key))) return std::nullopt;
  detail::BlockRef block = hot_.state().cache().find(hash, key, to_us(now));
  if (!usable(block)) return std::nullopt;
  const std::uint64_t count = block->base_access_count.load(std::memory_order_relaxed) +
                              block->pending_hits.load(std::memory_order_relaxed);
  const std::uint32_t recent = block->count_recent(to_us(now), half_window_us_, 1);
  hot_.state().count_cache_hit();
  metrics_.hot.latency.record(clock_->monotonic() - started);
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(
      started - MonotonicTime{block->current_at_ns.load(std::memory_order_relaxed)});
  return Document(std::move(block), StorageTier::hot, StorageTier::hot, now, count, recent,
                  std::max(age, 0ms));
}

/// Of the row's version and lifetime, where the cache has it; what is older goes, so that a fill takes its
/// place. For a catalogue that other nodes change.
detail::BlockRef TieredStore::Impl::confirmed_by(const catalog::Row& row, const ReadCall& call) {
  hot::DocumentCache& cache = hot_.state().cache();
  detail::BlockRef block = cache.peek(call.hash, call.key);
  if (!block) return {};
  if (block->version == row.version && block->updated_at_us == row.updated_at_us) {
    confirm(block, call.started);
    return call.options.count_access ? cache.find(call.hash, call.key, to_us(call.now)) : block;
  }
  if (block->version < row.version) cache.erase(call.hash, call.key);
  return {};
}

void TieredStore::Impl::confirm(const detail::BlockRef& block, MonotonicTime at) noexcept {
  std::int64_t known = block->current_at_ns.load(std::memory_order_relaxed);
  while (known < at.count() && !block->current_at_ns.compare_exchange_weak(known, at.count())) {
  }
}

TieredStore::Impl::ReadCall TieredStore::Impl::begin_read(std::string_view collection, std::string_view id,
                                                          std::string_view key, const ReadOptions& options) {
  ReadCall call{.collection = collection,
                .id = id,
                .key = key,
                .hash = hash_key(key),
                .options = options,
                .now = clock_->coarse_now(),
                .started = clock_->monotonic(),
                .deadline = MonotonicTime::max(),
                .may_promote = options.count_access && options.promote.value_or(true)};
  if (options.timeout) call.deadline = call.started + *options.timeout;
  return call;
}

std::optional<Document> TieredStore::Impl::read_through(ReadCall& call) {
  std::optional<std::uint64_t> seen_revision;
  for (int attempt = 0;; ++attempt) {
    // Both marks before the row: whatever changes after them makes the fill void.
    call.ticket = hot_.state().cache().begin_fill(call.hash);
    call.warm_mark = warm_.begin_fill(call.key);
    const auto row = catalog_->find(call.key);
    if (!row || !row->live()) {
      metrics_.read_misses.add();
      return std::nullopt;
    }
    if (row->version < call.options.expected_version.value_or(0)) {
      throw Error(ErrorCode::conflict,
                  "the newest version is " + std::to_string(row->version) + ", older than the expected " +
                      std::to_string(*call.options.expected_version),
                  "ask for a version that this store has acknowledged")
          .with_current_version(row->version);
    }
    // That it was found outdated says nothing about its object.
    const bool begun_anew = std::exchange(call.outdated, false);
    const bool last = !begun_anew && seen_revision == row->revision;
    seen_revision = row->revision;
    if (attempt == kReadAttempts) {
      throw Error(ErrorCode::unavailable, "others keep changing the document", "repeat the read");
    }
    try {
      if (auto document = row->hot() ? read_hot_home(call, *row) : read_cold_home(call, *row))
        return document;
      if (call.left) return std::nullopt;
      if (call.outdated) {
        call.was_outdated = true;
        continue;
      }
      if (last) return read_last_copy(call, *row);
    } catch (const Error& error) {
      // Bytes that changed under us look like damage: the row tells.
      if (error.code() != ErrorCode::corrupt || last) throw;
    }
  }
}

std::optional<Document> TieredStore::Impl::read_hot_home(ReadCall& call, const catalog::Row& row) {
  if (catalog_->shared()) {
    if (detail::BlockRef block = confirmed_by(row, call); block && block->version == row.version) {
      const std::uint64_t count = block->base_access_count.load(std::memory_order_relaxed) +
                                  block->pending_hits.load(std::memory_order_relaxed);
      const std::uint32_t recent =
          block->count_recent(to_us(call.now), half_window_us_, call.options.count_access ? 1 : 0);
      hot_.state().count_cache_hit();
      metrics_.hot.latency.record(clock_->monotonic() - call.started);
      return Document(std::move(block), StorageTier::hot, StorageTier::hot, call.now, count, recent, 0ms);
    }
  }
  metrics_.hot.misses.add();  // of the cache: its home is hot, and the engine has it
  detail::BlockRef block;
  StorageTier served_from = StorageTier::hot;
  try {
    block = catalog_->load_body(call.key, row);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt || changed_since(call.key, row)) throw;
    metrics_.damaged_copies.add();
    if (!row.cold) throw;
    block = cold_.state().read(*row.cold, call.key, row.version, call.bounds());
    if (!block) throw;
    served_from = StorageTier::cold;
  }
  const AccessFigures figures = count_read(call);
  if (call.options.count_access) {
    if (catalog_->shared()) confirm(block, call.started);
    prime_figures(call.key, block);
    hot_.state().cache().fill(call.ticket, block);
  }
  store::TierCounters& tier = served_from == StorageTier::hot ? metrics_.hot : metrics_.cold;
  tier.hits.add();
  tier.latency.record(clock_->monotonic() - call.started);
  return Document(std::move(block), StorageTier::hot, served_from, accessed_at(call, row, figures),
                  figures.count, recent_accesses(figures.buckets, config_.tiering.access_window, call.now),
                  0ms);
}

bool TieredStore::Impl::changed_since(std::string_view key, const catalog::Row& row) const {
  const auto now = catalog_->find(key);
  return !now || now->revision != row.revision;
}

std::optional<Document> TieredStore::Impl::read_cold_home(ReadCall& call, const catalog::Row& row) {
  detail::BlockRef block;
  StorageTier served_from = StorageTier::cold;
  const bool may_admit = call.may_promote && catalog_->pinned_tier(call.key) != StorageTier::cold;
  if (call.was_fetched(row)) {
    block = call.fetched;
  } else {
    call.warm_lease = {};  // nobody, this reader included, is to wait for it
    const auto hit =
        warm_.get(call.key, row.version, may_admit ? refresher(call, row) : WarmStorage::Loader{});
    if (!hit && call.batch != nullptr && !row.cold->framed) {
      call.batch->wanted.push_back({*row.cold, std::string(call.key), row.version});
      call.left = true;
      return std::nullopt;
    }
    if (hit) block = decode_warm(call, *hit, row);
    if (block) {
      metrics_.hot.misses.add();
      return admit(call, row, block, StorageTier::warm);
    }
  }
  metrics_.hot.misses.add();
  metrics_.warm.misses.add();
  try {
    if (!block) {
      const Fetched fetched = fetch(call, row, may_admit);
      call.outdated = fetched.outdated;
      block = fetched.block;
      served_from = fetched.from;
      call.warm_stored = fetched.stored;
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::corrupt) metrics_.damaged_copies.add();
    if (call.options.stale_if_error && error.code() != ErrorCode::cancelled) {
      if ((block = expired_warm_copy(call, row))) return admit(call, row, block, StorageTier::warm);
    }
    throw;
  }
  if (!block) return std::nullopt;
  return admit(call, row, block, served_from);
}

TieredStore::Impl::Fetched TieredStore::Impl::fetch(const ReadCall& call, const catalog::Row& row,
                                                    bool may_admit) {
  if (!may_admit || config_.warm.max_size == 0 || !warm_.shares_fills(row.size)) {
    return {.block = cold_.state().read(*row.cold, call.key, row.version, call.bounds())};
  }
  // Who has no time to wait for another node does not wait for who has, either.
  const std::string flight = (warm_.may_wait(call.deadline) ? "patient " : "") + row.cold->object + "@" +
                             std::to_string(row.cold->offset);
  return fills_.run(flight, call.deadline, call.options.stop, [&] { return fetch_for_all_nodes(call, row); });
}

TieredStore::Impl::Fetched TieredStore::Impl::fetch_for_all_nodes(const ReadCall& call,
                                                                  const catalog::Row& row) {
  auto [hit, lease] = warm_.await_turn(call.key, row.version, call.deadline, call.options.stop);
  if (hit) {
    if (const auto block = decode_warm(call, *hit, row)) return {.block = block, .from = StorageTier::warm};
  }
  // A change from now on ends the lease. Of one that came between reading the row and taking it only the row
  // tells: another node may have fetched the document and made it hot.
  if (lease.held() && changed_since(call.key, row)) {
    if (!call.was_outdated) return {.outdated = true};
    lease = {};
  }
  Fetched out{.block = cold_.state().read(*row.cold, call.key, row.version, call.bounds())};
  if (out.block && lease.held()) {
    out.stored = warm_.put_leased(std::move(lease), call.key, call.warm_mark, row.version,
                                  tiering::warm_record(*out.block));
  }
  return out;
}

/// What came from cold, unless whoever fetched it did.
bool TieredStore::Impl::store_warm(ReadCall& call, const catalog::Row& row, const detail::BlockRef& block) {
  if (config_.warm.max_size == 0) return false;
  if (call.warm_stored || (warm_.shares_fills(row.size) && !call.warm_lease.held())) return call.warm_stored;
  return warm_.put_leased(std::move(call.warm_lease), call.key, call.warm_mark, row.version,
                          tiering::warm_record(*block));
}

std::optional<Document> TieredStore::Impl::read_last_copy(ReadCall& call, const catalog::Row& row) {
  metrics_.damaged_copies.add();
  if (call.options.stale_if_error) {
    if (const auto block = expired_warm_copy(call, row)) return admit(call, row, block, StorageTier::warm);
  }
  throw Error(ErrorCode::corrupt,
              "the document's object " + row.cold->object + " is missing in the cold tier",
              "check the cold tier for deleted objects, and restore it from a backup");
}

detail::BlockRef TieredStore::Impl::decode_warm(const ReadCall& call, const WarmHit& hit,
                                                const catalog::Row& row) {
  try {
    if (detail::BlockRef block = tiering::decode_warm_record(*hit.record, call.key, row)) return block;
  } catch (const Error&) {
    metrics_.damaged_copies.add();
  }
  // A copy: the next tier has the bytes.
  warm_.remove(call.key);
  return {};
}

detail::BlockRef TieredStore::Impl::expired_warm_copy(const ReadCall& call, const catalog::Row& row) {
  try {
    const auto entry = warm_cache_->get(call.key);
    if (!entry || entry->version != row.version) return {};
    return tiering::decode_warm_record(*entry->record, call.key, row);
  } catch (const Error&) {
    return {};  // a last resort that failed: the reader gets the error of the tier that should have answered
  }
}

WarmStorage::Loader TieredStore::Impl::refresher(const ReadCall& call, const catalog::Row& row) {
  return [this, key = std::string(call.key), version = row.version]() -> std::optional<WarmEntry> {
    // The row of now: it may have changed before this refresh had its turn, and then no copy is wanted.
    const auto now = catalog_->find(key);
    if (!now || !now->live() || now->hot() || now->version != version) return std::nullopt;
    const CallOptions bounds{.deadline = clock_->monotonic() + store::kRefreshLease};
    const detail::BlockRef block = cold_.state().read(*now->cold, key, version, bounds);
    if (!block) return std::nullopt;
    return WarmEntry{.version = version, .record = tiering::warm_record(*block)};
  };
}

std::optional<Document> TieredStore::Impl::admit(ReadCall& call, const catalog::Row& row,
                                                 const detail::BlockRef& block, StorageTier served_from) {
  const AccessFigures figures = count_read(call);
  const std::uint32_t recent = recent_accesses(figures.buckets, config_.tiering.access_window, call.now);
  StorageTier tier = served_from;
  const tiering::Held held = catalog_->pinned_tier(call.key);
  if (call.may_promote && held != StorageTier::cold) {
    const bool promote = held ? *held == StorageTier::hot
                              : call.options.promote.has_value() ||
                                    tiering::admits_promotion(config_.tiering.promote_on_read, recent);
    if (promote && promote_by_read(call, row, block, served_from, recent)) {
      tier = StorageTier::hot;
    } else {
      if (served_from == StorageTier::cold && store_warm(call, row, block) &&
          warm_.contains(call.key, row.version)) {  // it may be too large for the cache
        tier = StorageTier::warm;
      }
      if (row.size <= config_.hot.max_body_size) runner_.note_candidate(call.key);
    }
  }
  store::TierCounters& counters = served_from == StorageTier::warm ? metrics_.warm : metrics_.cold;
  counters.hits.add();
  counters.latency.record(clock_->monotonic() - call.started);
  return Document(block, tier, served_from, accessed_at(call, row, figures), figures.count, recent, 0ms);
}

AccessFigures TieredStore::Impl::count_read(const ReadCall& call) {
  if (call.options.count_access) tracker_.record_accesses(call.collection, call.id, 1, call.now);
  return figures_of(call.key);
}

TimePoint TieredStore::Impl::accessed_at(const ReadCall& call, const catalog::Row& row,
                                         const AccessFigures& figures) {
  if (call.options.count_access) return call.now;
  return std::max(figures.last_access, TimePoint{std::chrono::microseconds{row.updated_at_us}});
}

bool TieredStore::Impl::promote_by_read(const ReadCall& call, const catalog::Row& row,
                                        const detail::BlockRef& block, StorageTier served_from,
                                        std::uint32_t recent_reads) {
  if (row.size > config_.hot.max_body_size) return false;
  prime_figures(call.key, block);
  tiering::MoveOrder order{.key = std::string(call.key),
                           .row = row,
                           .from = served_from,
                           .to = StorageTier::hot,
                           .recent_reads = recent_reads,
                           .placed_by = catalog::PlacedBy::read,
                           .due_us = tiering::hot_due_us(call.now, config_.tiering)};
  // Not synced: the cold copy stays, so a power cut only undoes the promotion.
  mover_.promote(order, block, std::min(config_.hot.durability, Durability::process));
  if (order.outcome == tiering::MoveOutcome::moved) {
    metrics_.promoted.add();
    metrics_.moved_bytes.add(row.size);
    warm_.remove(call.key);
    return true;
  }
  // A read never fails because its promotion did.
  metrics_.promotions_skipped.add();
  return false;
}

void TieredStore::Impl::prime_figures(std::string_view key, const detail::BlockRef& block) {
  const AccessFigures counted = counted_figures(key);
  // The cache hands pending hits on to the block that takes a place: here they would count twice.
  block->base_access_count.store(counted.count, std::memory_order_relaxed);
  const AccessBuckets recent = with_pending(key, counted).buckets;
  block->set_recent(recent.index, recent.current, recent.previous);
}

AccessFigures TieredStore::Impl::counted_figures(std::string_view key) {
  const AccessFigures figures = catalog_->find_access(key).value_or(AccessFigures{});
  const auto unflushed = tracker_.unflushed(catalog::collection_of(key), catalog::id_of(key));
  return unflushed ? catalog::merge_figures(figures, *unflushed) : figures;
}

AccessFigures TieredStore::Impl::with_pending(std::string_view key, const AccessFigures& counted) {
  const detail::BlockRef block = hot_.state().cache().peek(hash_key(key), key);
  const std::uint32_t hits = block ? block->pending_hits.load(std::memory_order_relaxed) : 0;
  if (hits == 0) return counted;
  const std::int64_t last_us = block->last_access_us.load(std::memory_order_relaxed);
  return catalog::merge_figures(
      counted, {.count = hits,
                .last_access = TimePoint{std::chrono::microseconds{last_us}},
                .buckets = {.index = last_us / half_window_us_, .current = hits, .previous = 0}});
}

}  // namespace db4
