#include "hot/document_cache.hpp"

#include "hot/cache_shard.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <vector>

namespace db4::hot {

namespace {

using detail::BlockRef;

/// Small enough shards for many threads, large enough that a document of 1 MiB fits one.
constexpr std::uint64_t kMinShardBytes = 2ULL << 20;
/// Below this there is nothing but overhead.
constexpr std::uint64_t kMinCacheBytes = 16ULL << 10;
constexpr std::size_t kMaxStripes = 16'384;
constexpr std::size_t kMinStripes = 64;
/// One block reported by drain_accesses at a time would take the lock too often, all at once too long.
constexpr std::size_t kDrainBatch = 128;

std::size_t shard_count(const DocumentCache::Options& options) {
  if (!std::has_single_bit(options.shards)) {
    throw Error(ErrorCode::invalid_argument, "the document cache's shards are not a power of two",
                "use 256, or another power of two");
  }
  const std::uint64_t fit = std::max<std::uint64_t>(1, options.max_bytes / kMinShardBytes);
  return std::min<std::size_t>(options.shards, std::bit_floor(fit));
}

std::size_t stripe_count(std::uint64_t max_bytes) {
  return std::clamp<std::size_t>(std::bit_floor(max_bytes / 1024), kMinStripes, kMaxStripes);
}

std::uint64_t saturating_sub(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

}  // namespace

struct DocumentCache::State {
  explicit State(const Options& options)
      : shards(shard_count(options)),
        changes(stripe_count(options.max_bytes)),
        // With one shard the shift would be 64: two halves, and the mask makes it right again.
        shard_shift(64 - std::max(1, std::countr_zero(shards.size()))) {
    const std::uint64_t bytes = options.max_bytes < kMinCacheBytes ? 0 : options.max_bytes;
    for (CacheShard& shard : shards) {
      shard.set_limits({.bytes = saturating_sub(bytes, fixed_bytes()) / shards.size(),
                        .evicted_pending = kMaxEvictedPending / shards.size()});
    }
  }

  // The shard from the upper bits, the stripe from those in the middle; the index uses the lower half.
  [[nodiscard]] CacheShard& shard(std::uint64_t hash) noexcept {
    return shards[(hash >> shard_shift) & (shards.size() - 1)];
  }
  [[nodiscard]] std::size_t stripe(std::uint64_t hash) const noexcept {
    return (hash >> 32) & (changes.size() - 1);
  }
  [[nodiscard]] std::uint64_t fixed_bytes() const noexcept {
    return changes.size() * sizeof(ChangeCounter) + shards.size() * sizeof(CacheShard);
  }

  std::vector<CacheShard> shards;
  std::vector<ChangeCounter> changes;
  int shard_shift;
  std::atomic<std::uint64_t> refused_fills{0};
  std::atomic<std::uint64_t> unreported_accesses{0};
};

DocumentCache::DocumentCache(Options options) : state_(std::make_unique<State>(options)) {}
DocumentCache::~DocumentCache() = default;

BlockRef DocumentCache::find(std::uint64_t hash, std::string_view key, std::int64_t now_us) noexcept {
  return state_->shard(hash).find(hash, key, now_us);
}

BlockRef DocumentCache::peek(std::uint64_t hash, std::string_view key) const noexcept {
  return state_->shard(hash).peek(hash, key);
}

DocumentCache::Ticket DocumentCache::begin_fill(std::uint64_t hash) const noexcept {
  const std::size_t stripe = state_->stripe(hash);
  return {.stripe = stripe, .value = state_->changes[stripe].value()};
}

bool DocumentCache::fill(const Ticket& ticket, const BlockRef& block) {
  const auto outcome = state_->shard(block->hash).fill(state_->changes[ticket.stripe], ticket.value, block);
  if (outcome == CacheShard::Fill::refused) state_->refused_fills.fetch_add(1, std::memory_order_relaxed);
  return outcome == CacheShard::Fill::inserted;
}

void DocumentCache::begin_change(std::uint64_t hash) noexcept {
  state_->changes[state_->stripe(hash)].begin();
}

void DocumentCache::end_change(std::uint64_t hash) noexcept { state_->changes[state_->stripe(hash)].end(); }

void DocumentCache::put(const BlockRef& block) { state_->shard(block->hash).put(block); }

void DocumentCache::erase(std::uint64_t hash, std::string_view key) noexcept {
  state_->shard(hash).erase(hash, key);
}

void DocumentCache::forget(std::uint64_t hash, std::string_view key) noexcept {
  state_->shard(hash).forget(hash, key);
}

void DocumentCache::drain_accesses(const AccessSink& sink) {
  std::vector<DrainedAccesses> batch;
  batch.reserve(kDrainBatch);
  const auto report = [&] {
    std::size_t reported = 0;
    try {
      for (; reported < batch.size(); ++reported) {
        const DrainedAccesses& accesses = batch[reported];
        sink(*accesses.block, accesses.hits, accesses.last_access_us);
      }
    } catch (...) {
      for (; reported < batch.size(); ++reported) {
        state_->unreported_accesses.fetch_add(batch[reported].hits, std::memory_order_relaxed);
      }
      throw;
    }
    batch.clear();
  };
  for (CacheShard& shard : state_->shards) {
    bool more = true;
    for (std::size_t cursor = 0; more;) {
      more = shard.drain(cursor, batch);
      report();
    }
    shard.take_evicted(batch);
    report();
  }
}

DocumentCacheStats DocumentCache::stats() const {
  DocumentCacheStats stats;
  for (const CacheShard& shard : state_->shards) shard.add_to(stats);
  stats.bytes += state_->changes.size() * sizeof(ChangeCounter);
  stats.refused_fills = state_->refused_fills.load(std::memory_order_relaxed);
  stats.dropped_accesses += state_->unreported_accesses.load(std::memory_order_relaxed);
  return stats;
}

void DocumentCache::clear() {
  for (CacheShard& shard : state_->shards) shard.clear();
}

}  // namespace db4::hot
