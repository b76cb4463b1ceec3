#include "store/sampler.hpp"

#include <algorithm>
#include <iterator>

namespace db4::store {
namespace {

std::int64_t to_us(TimePoint when) noexcept { return when.time_since_epoch().count(); }

TierSample tier_sample(const TierStats& now, std::uint64_t hits_before, const LatencySnapshot& latency) {
  return {.documents = now.documents,
          .bytes = now.bytes,
          .hits = now.hits - std::min(now.hits, hits_before),
          .p50 = latency.percentile(50),
          .p99 = latency.percentile(99)};
}

/// The largest, and the rest under an empty name.
std::vector<CollectionSample> largest(std::vector<CollectionInfo> collections) {
  std::ranges::sort(collections, [](const CollectionInfo& a, const CollectionInfo& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.name < b.name;
  });
  std::vector<CollectionSample> out;
  for (const CollectionInfo& entry : collections) {
    if (out.size() <= kMaxSampledCollections) {
      const bool named = out.size() < kMaxSampledCollections;
      out.push_back({.name = named ? entry.name : ""});
    }
    CollectionSample& sample = out.back();
    sample.hot_documents += entry.hot_documents;
    sample.hot_bytes += entry.hot_bytes;
    sample.cold_documents += entry.cold_documents;
    sample.cold_bytes += entry.cold_bytes;
  }
  return out;
}

void add_earlier(TierSample& later, const TierSample& earlier) {
  later.hits += earlier.hits;
  later.p50 = std::max(later.p50, earlier.p50);
  later.p99 = std::max(later.p99, earlier.p99);
}

bool anything_happened(const StatsSample& sample) {
  return sample.hot.hits + sample.warm.hits + sample.cold.hits + sample.read_misses + sample.writes +
             sample.promoted + sample.demoted + sample.failed_moves + sample.puts + sample.gets >
         0;
}

}  // namespace

StatsSample merge_samples(const StatsSample& earlier, const StatsSample& later) {
  StatsSample out = later;
  // From the start of the first to the end of the second, what lies between them included.
  out.interval =
      std::chrono::duration_cast<std::chrono::milliseconds>(later.at - earlier.at) + earlier.interval;
  add_earlier(out.hot, earlier.hot);
  add_earlier(out.warm, earlier.warm);
  add_earlier(out.cold, earlier.cold);
  out.read_misses += earlier.read_misses;
  out.writes += earlier.writes;
  out.promoted += earlier.promoted;
  out.demoted += earlier.demoted;
  out.failed_moves += earlier.failed_moves;
  out.puts += earlier.puts;
  out.gets += earlier.gets;
  out.requests += earlier.requests;
  return out;
}

Sampler::Sampler(catalog::Catalog& catalog, std::shared_ptr<Clock> clock, StatsConfig config)
    : catalog_(catalog), clock_(std::move(clock)), config_(config), last_taken_(clock_->now()) {}

void Sampler::take(bool closing, const std::function<Figures()>& figures) {
  if (config_.sample_interval.count() == 0) return;
  const std::scoped_lock lock(mutex_);
  const TimePoint now = clock_->now();
  // A clock that was set back counts from where it stands.
  if (now < last_taken_) last_taken_ = now;
  if (!closing && now - last_taken_ < config_.sample_interval) return;
  Figures present = figures();
  StatsSample sample = make(present, now);
  if (closing && !anything_happened(sample)) return;
  keep(std::move(sample), present);
  before_ = std::move(present);
  last_taken_ = now;
}

StatsSample Sampler::make(const Figures& now, TimePoint at) const {
  static const Figures nothing;
  const Figures& before = before_ ? *before_ : nothing;
  const StoreStats& stats = now.stats;
  const StoreStats& old = before.stats;
  return {.at = at,
          .interval = std::chrono::duration_cast<std::chrono::milliseconds>(at - last_taken_),
          .hot = tier_sample(stats.hot, old.hot.hits, now.hot.since(before.hot)),
          .warm = tier_sample(stats.warm, old.warm.hits, now.warm.since(before.warm)),
          .cold = tier_sample(stats.cold, old.cold.hits, now.cold.since(before.cold)),
          .read_misses = stats.read_misses - old.read_misses,
          .writes = stats.writes - old.writes,
          .promoted = stats.moves.promoted - old.moves.promoted,
          .demoted = stats.moves.demoted - old.moves.demoted,
          .failed_moves = stats.moves.failed - old.moves.failed,
          .puts = stats.cold_storage.put_requests - old.cold_storage.put_requests,
          .gets = stats.cold_storage.get_requests - old.cold_storage.get_requests,
          .hot_storage = stats.cost.hot_storage,
          .cold_storage = stats.cost.cold_storage,
          .requests = stats.cost.requests - old.cost.requests,
          .all_hot = stats.cost.all_hot};
}

void Sampler::load_last(TimePoint now) {
  stored_ = catalog_.count_samples();
  // The newest by time; from the future there may be some, of a clock that was set back.
  const auto recent = catalog_.samples(to_us(now - 2 * config_.sample_interval), config_.max_samples);
  for (const auto& stored : recent) {
    auto decoded = decode_sample(stored.value);
    if (decoded && decoded->at <= now) last_ = std::move(decoded);
  }
}

void Sampler::keep(StatsSample sample, const Figures& figures) {
  if (!stored_) load_last(sample.at);
  std::vector<std::int64_t> gone;
  if (last_ && last_->at <= sample.at &&
      last_->interval + (sample.at - last_->at) <= config_.sample_interval) {
    gone.push_back(to_us(last_->at));
    sample = merge_samples(*last_, sample);
    sample.collections = last_->collections;
  } else {
    sample.collections = largest(figures.collections());
  }
  const catalog::Catalog::Sample made{.at_us = to_us(sample.at), .value = encode_sample(sample)};
  catalog_.replace_samples(gone, {&made, 1});
  *stored_ += 1 - gone.size();
  last_ = std::move(sample);
  if (*stored_ > config_.max_samples) thin_out();
}

void Sampler::thin_out() {
  const auto older = catalog_.samples(0, config_.max_samples / 2);
  std::vector<std::int64_t> gone;
  std::vector<catalog::Catalog::Sample> made;
  for (std::size_t i = 0; i + 1 < older.size(); i += 2) {
    gone.push_back(older[i].at_us);
    const auto earlier = decode_sample(older[i].value);
    const auto later = decode_sample(older[i + 1].value);
    if (!earlier || !later) continue;
    made.push_back({.at_us = older[i + 1].at_us, .value = encode_sample(merge_samples(*earlier, *later))});
  }
  catalog_.replace_samples(gone, made);
  *stored_ -= std::min(*stored_, gone.size());
}

std::vector<StatsSample> Sampler::samples(TimePoint since) const {
  std::vector<StatsSample> out;
  for (const auto& stored : catalog_.samples(to_us(since), 2 * config_.max_samples)) {
    if (auto decoded = decode_sample(stored.value)) out.push_back(std::move(*decoded));
  }
  return out;
}

}  // namespace db4::store
