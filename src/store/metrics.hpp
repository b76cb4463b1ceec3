#pragma once
// What the store counts.

#include "base/latency_summary.hpp"
#include "base/striped_counter.hpp"

#include <db4/stats.hpp>

namespace db4::store {

struct TierCounters {
  StripedCounter hits;  ///< hot: those from the engine; the cache counts its own
  StripedCounter misses;
  LatencyHistogram latency;
};

struct Metrics {
  TierCounters hot;
  TierCounters warm;
  TierCounters cold;
  StripedCounter read_misses;
  StripedCounter writes;
  StripedCounter removes;
  StripedCounter conflicts;
  StripedCounter damaged_copies;
  StripedCounter promoted;
  StripedCounter demoted;
  StripedCounter promotions_skipped;
  StripedCounter moved_bytes;
  StripedCounter failed_moves;
  LatencyHistogram writing;
};

/// Hits in memory are timed one in so many.
inline constexpr unsigned kHitSampling = 16;

}  // namespace db4::store
