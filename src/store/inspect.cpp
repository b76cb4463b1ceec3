// Looking without touching: none of this counts as an access or moves anything.
#include "catalog/keys.hpp"
#include "store/impl.hpp"

#include <unistd.h>

#include <algorithm>

namespace db4 {
namespace {

/// Rows that one page of a scan looks at, at most: a filter that matches little ends a page early, with a
/// cursor.
constexpr std::size_t kMaxScannedRows = 100'000;
constexpr std::size_t kScanChunk = 1000;
constexpr double kGigabyte = 1e9;

std::string describe_place(const catalog::ColdPlace& place) {
  std::string out = "cold: " + place.object;
  if (place.in_segment) {
    out += " (bytes " + std::to_string(place.offset) + " to " + std::to_string(place.offset + place.length) +
           " of the segment)";
  }
  return out;
}

std::string outlook_of_pinned(const Pin& pin, StorageTier tier) {
  const std::string held =
      tiering::describe_pin(pin.tier) +
      (pin.scope == PinScope::document ? "" : " by its " + std::string(to_string(pin.scope)));
  if (tier == pin.tier) return held + ": it stays until it is unpinned";
  if (pin.tier == StorageTier::warm && tier == StorageTier::cold) return held + ": its next read warms it";
  return held + ": the next run moves it" + (pin.tier == StorageTier::hot ? ", if there is room" : "");
}

}  // namespace

ScanPage TieredStore::Impl::scan(std::string_view collection, const ScanOptions& options) {
  if (options.limit == 0 || options.limit > kMaxScanLimit) {
    throw Error(ErrorCode::invalid_argument, "the scan's limit is " + std::to_string(options.limit),
                "use 1 to " + std::to_string(kMaxScanLimit) + ", and the cursor for more");
  }
  const std::string first = catalog::document_key(collection, options.prefix);
  const std::string end = catalog::prefix_end(first);
  std::string begin = first;
  if (!options.cursor.empty())
    begin = std::max(begin, catalog::document_key(collection, options.cursor) + '\0');
  ScanPage page;
  const TimePoint now = clock_->now();
  for (std::size_t seen = 0; seen < kMaxScannedRows;) {
    const std::size_t wanted = std::min(kScanChunk, options.limit - page.items.size());
    const auto rows = catalog_->scan_rows(begin, end, wanted);
    for (const catalog::ScannedRow& scanned : rows) {
      if (!scanned.row.live()) continue;
      const StorageTier tier = tier_of(scanned.key, scanned.row);
      if (options.tier && *options.tier != tier) continue;
      page.items.push_back(
          {.id = std::string(catalog::id_of(scanned.key)),
           .meta = tiering::make_meta(scanned.row, figures_of(scanned.key), tier, config_.tiering, now)});
    }
    if (rows.empty()) {
      page.cursor.clear();
      return page;
    }
    seen += rows.size();
    page.cursor = catalog::id_of(rows.back().key);
    if (page.items.size() == options.limit) return page;
    begin = rows.back().key + '\0';
  }
  return page;
}

std::vector<CollectionInfo> TieredStore::Impl::collections() {
  std::vector<CollectionInfo> out;
  for (const catalog::CollectionTotals& entry : catalog_->collection_totals()) {
    using catalog::Metric;
    const catalog::Totals& totals = entry.totals;
    out.push_back({.name = entry.collection,
                   .documents = totals[Metric::hot_documents] + totals[Metric::cold_documents],
                   .bytes = totals[Metric::hot_bytes] + totals[Metric::cold_bytes],
                   .hot_documents = totals[Metric::hot_documents],
                   .hot_bytes = totals[Metric::hot_bytes],
                   .cold_documents = totals[Metric::cold_documents],
                   .cold_bytes = totals[Metric::cold_bytes]});
  }
  return out;
}

std::optional<Explanation> TieredStore::Impl::explain(std::string_view collection, std::string_view id) {
  const std::string key = catalog::document_key(collection, id);
  const auto row = catalog_->find(key);
  if (!row || !row->live()) return std::nullopt;
  const AccessFigures figures = figures_of(key);
  const TimePoint now = clock_->now();
  const StorageTier tier = tier_of(key, *row);
  Explanation out{.collection = std::string(collection),
                  .id = std::string(id),
                  .meta = tiering::make_meta(*row, figures, tier, config_.tiering, now),
                  .home = row->home,
                  .placed_by = tiering::describe_placement(row->placed_by),
                  .placed_at = TimePoint{std::chrono::microseconds{row->placed_at_us}}};
  if (hot_.in_memory(collection, id)) out.copies.emplace_back("memory");
  if (row->hot()) {
    out.copies.push_back(
        "hot engine: " + std::string(to_string(config_.hot.type)) +
        (row->body_place == catalog::BodyPlace::in_row ? ", inside its row" : ", beside its row"));
  }
  if (warm_.contains(key, row->version)) out.copies.emplace_back("warm cache");
  if (row->cold) out.copies.push_back(describe_place(*row->cold));

  out.classified = classify_tier(out.meta, config_.tiering, now);
  out.rule = tiering::describe_rule(out.meta, config_.tiering, now);
  if (row->due_us != 0) out.due_at = TimePoint{std::chrono::microseconds{row->due_us}};
  for (const catalog::HistoryEntry& move : catalog_->history(key)) {
    out.moves.push_back({.at = TimePoint{std::chrono::microseconds{move.at_us}},
                         .from = move.note.from,
                         .to = move.note.to,
                         .reason = tiering::describe_past_move(move)});
  }
  const auto pins = catalog_->pins();
  if (const Pin* pin = pins->find(key)) out.pin = *pin;
  out.key_id = sealing::to_text(row->hot() ? row->body_key : row->cold->key);
  out.outlook = outlook(key, *row, figures, out.pin, now);
  return out;
}

std::string TieredStore::Impl::outlook(std::string_view key, const catalog::Row& row,
                                       const AccessFigures& figures, const std::optional<Pin>& pin,
                                       TimePoint now) {
  if (pin) return outlook_of_pinned(*pin, tier_of(key, row));
  if (tiering::held_by_hand(row, figures)) return "moved by hand: it stays until it is next used";
  if (row.hot()) {
    const tiering::Decision decision = tiering::decide_due(row, figures, config_.tiering, now);
    return decision.verdict == tiering::Verdict::demote
               ? "the next run demotes it to " + std::string(to_string(decision.to)) +
                     "; a use before keeps it"
               : "unless it is used, tiering demotes it " +
                     tiering::describe_duration(config_.tiering.hot_threshold) + " after its last use";
  }
  if (const auto reason = tiering::promotion_reason(row, figures, config_.tiering, now)) {
    return "the next run may promote it to hot: " + *reason;
  }
  return "it stays until it is written, or read often enough (promote_on_read, access_count_threshold)";
}

CostStats TieredStore::Impl::bill(const StoreStats& stats) const {
  const CostConfig& prices = config_.cost;
  CostStats cost;
  cost.hot_storage = static_cast<double>(stats.hot.bytes) / kGigabyte * prices.hot_per_gb_month;
  cost.cold_storage =
      static_cast<double>(stats.cold_storage.object_bytes) / kGigabyte * prices.cold_per_gb_month;
  cost.requests = (static_cast<double>(stats.cold_storage.put_requests) * prices.per_million_object_writes +
                   static_cast<double>(stats.cold_storage.get_requests) * prices.per_million_object_reads) /
                  1e6;
  cost.total = cost.hot_storage + cost.cold_storage + cost.requests;
  cost.all_hot =
      static_cast<double>(stats.hot.bytes + stats.cold.bytes) / kGigabyte * prices.hot_per_gb_month;
  return cost;
}

StoreInfo TieredStore::Impl::info() const {
  return {.id = catalog_->store_id(),
          .format = catalog::kCatalogFormat,
          .hot_type = config_.hot.type,
          .warm_type = config_.warm.type,
          .warm_enabled = config_.warm.max_size > 0,
          .cold_type = config_.cold.type,
          .durability = config_.hot.durability,
          .compression = config_.cold.compression,
          .pid = ::getpid(),
          .now = clock_->now(),
          .uptime = std::chrono::duration_cast<std::chrono::milliseconds>(clock_->monotonic() - opened_at_)};
}

std::vector<BusyDocument> TieredStore::Impl::busiest(std::size_t limit) {
  drain_accesses();
  std::vector<BusyDocument> out;
  const TimePoint now = clock_->now();
  for (KeyAccess& access : tracker_.busiest(1, limit)) {
    out.push_back(
        {.collection = std::move(access.collection),
         .id = std::move(access.id),
         .recent_access_count = recent_accesses(access.figures.buckets, config_.tiering.access_window, now)});
  }
  return out;
}

void TieredStore::Impl::take_sample(bool closing) {
  sampler_.take(closing, [this] {
    return store::Figures{.stats = stats(),
                          .collections = [this] { return collections(); },
                          .hot = metrics_.hot.latency.snapshot(),
                          .warm = metrics_.warm.latency.snapshot(),
                          .cold = metrics_.cold.latency.snapshot()};
  });
}

StoreStats TieredStore::Impl::stats() {
  StoreStats out;
  out.hot_storage = hot_.stats();
  out.warm_storage = warm_.stats();
  out.cold_storage = cold_.stats();
  out.cold_storage.shared_reads += fills_.joined();
  // Of one moment: a document that moves meanwhile is counted once.
  const catalog::Totals totals = catalog_->totals();
  using catalog::Metric;
  out.hot = {.documents = totals[Metric::hot_documents],
             .bytes = totals[Metric::hot_bytes],
             .hits = metrics_.hot.hits.value() + out.hot_storage.cache_hits,
             .misses = metrics_.hot.misses.value(),
             .latency = summarize(metrics_.hot.latency)};
  out.warm = {.documents = out.warm_storage.entries,
              .bytes = out.warm_storage.bytes,
              .hits = metrics_.warm.hits.value(),
              .misses = metrics_.warm.misses.value(),
              .latency = summarize(metrics_.warm.latency)};
  out.cold = {.documents = totals[Metric::cold_documents],
              .bytes = totals[Metric::cold_bytes],
              .hits = metrics_.cold.hits.value(),
              .misses = metrics_.cold.misses.value(),
              .latency = summarize(metrics_.cold.latency)};
  const tiering::RunnerCounts runs = runner_.counts();
  out.moves = {.promoted = metrics_.promoted.value() + runs.promoted,
               .demoted = metrics_.demoted.value() + runs.demoted,
               .failed = metrics_.failed_moves.value() + runs.failed,
               .bytes = metrics_.moved_bytes.value() + runs.bytes,
               .runs = runs.runs,
               .stopped_runs = runs.stopped_runs,
               .claims = runs.claims,
               .lost_claims = runs.lost_claims,
               .promotions_skipped = metrics_.promotions_skipped.value()};
  out.invalidation = news_->stats();
  out.read_misses = metrics_.read_misses.value();
  out.reads = out.hot.hits + out.warm.hits + out.cold.hits + out.read_misses;
  out.writes = metrics_.writes.value();
  out.removes = metrics_.removes.value();
  out.conflicts = metrics_.conflicts.value();
  out.damaged_copies = metrics_.damaged_copies.value();
  const kv::EngineStats engine = catalog_->engine_stats();
  out.commits = engine.commits;
  out.syncs = engine.syncs;
  out.tombstones = totals[Metric::tombstones];
  out.lost_access_figures = tracker_.lost_figures() + hot_.state().cache().stats().dropped_accesses;
  out.write_latency = summarize(metrics_.writing);
  out.last_background_error = background_->last_error();
  if (out.last_background_error.empty()) out.last_background_error = listen_error_;
  out.cost = bill(out);
  return out;
}

}  // namespace db4
