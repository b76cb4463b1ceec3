#pragma once
// A histogram as figures tell it.

#include "base/latency_histogram.hpp"

#include <db4/stats.hpp>

namespace db4 {

inline LatencySummary summarize(const LatencyHistogram& histogram) {
  const LatencySnapshot snapshot = histogram.snapshot();
  return {.count = snapshot.count(),
          .mean = snapshot.mean(),
          .p50 = snapshot.percentile(50),
          .p90 = snapshot.percentile(90),
          .p99 = snapshot.percentile(99),
          .max = snapshot.max()};
}

}  // namespace db4
