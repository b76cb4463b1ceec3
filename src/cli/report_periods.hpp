#pragma once
// A store's samples drawn together into periods of equal length: a picture has some hundred pixels, a store
// up to thousands of samples, and the older ones are coarser than the newer.

#include <db4/stats.hpp>

#include <vector>

namespace db4::cli {

struct Period {
  TimePoint from{};
  bool sampled = false;  ///< a sample's interval ended in it
  /// Counts are sums; documents, bytes, storage dollars and collections are those at its end, of an earlier
  /// period where none was sampled. p50 is the mean of the samples' by their hits, p99 the highest.
  StatsSample figures = {};
};

struct Timeline {
  std::chrono::microseconds step{0};  ///< the length of each
  std::vector<Period> periods = {};   ///< without a gap, oldest first
  [[nodiscard]] TimePoint from() const { return periods.front().from; }
  [[nodiscard]] TimePoint to() const { return periods.back().from + step; }
};

inline constexpr std::size_t kMaxPeriods = 96;

/// `samples` are in the order of time. No samples, no periods; else 1 to kMaxPeriods, of a length such as 5
/// minutes, 8 hours or 7 days.
Timeline make_timeline(const std::vector<StatsSample>& samples);

/// The least length of a clock or a calendar, from a second on, of which `most` cover `span`.
std::chrono::microseconds round_step(std::chrono::microseconds span, std::size_t most);

}  // namespace db4::cli
