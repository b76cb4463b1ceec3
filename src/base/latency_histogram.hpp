#pragma once
// Latencies counted without locks, for percentiles.
//
// Log-linear buckets, as in HdrHistogram (Tene): exact below 64 ns, then 32 buckets for each doubling, so a
// bucket is at most 1/32 of its value wide and its middle is at most 1.6 % off. Recording is three relaxed
// atomic operations on one of four stripes, chosen by thread, so that threads rarely share a cache line.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace db4 {

namespace detail {
inline constexpr unsigned kLatencySubBits = 5;
/// 2^40 ns is 1,100 s; what is longer counts as the last bucket (min, max and mean stay exact).
inline constexpr unsigned kLatencyMaxBits = 40;
inline constexpr std::size_t kLatencyBuckets =
    ((kLatencyMaxBits - kLatencySubBits) << kLatencySubBits) + (1U << kLatencySubBits);
}  // namespace detail

/// What a histogram held at one moment. A value: copy it, merge it, ask it.
class LatencySnapshot {
 public:
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// All zero where nothing was recorded.
  [[nodiscard]] std::chrono::nanoseconds min() const noexcept;
  [[nodiscard]] std::chrono::nanoseconds max() const noexcept;
  [[nodiscard]] std::chrono::nanoseconds mean() const noexcept;
  /// The latency that `percent` (0 to 100, clamped) of the recorded ones do not exceed, within 3 %; always
  /// between min and max.
  [[nodiscard]] std::chrono::nanoseconds percentile(double percent) const noexcept;
  /// Adds what another snapshot holds.
  void merge(const LatencySnapshot& other);
  /// What was recorded after `earlier`, a snapshot of the same histogram; min and max stay those of all.
  [[nodiscard]] LatencySnapshot since(const LatencySnapshot& earlier) const;

 private:
  friend class LatencyHistogram;
  std::uint64_t count_ = 0;
  std::uint64_t sum_ns_ = 0;
  std::uint64_t min_ns_ = UINT64_MAX;
  std::uint64_t max_ns_ = 0;
  std::vector<std::uint64_t> buckets_;  ///< empty or kLatencyBuckets
};

/// Thread-safe; 37 KiB.
class LatencyHistogram {
 public:
  LatencyHistogram();
  ~LatencyHistogram();
  LatencyHistogram(const LatencyHistogram&) = delete;
  LatencyHistogram& operator=(const LatencyHistogram&) = delete;

  /// A negative latency (a clock that misbehaves) counts as 0.
  void record(std::chrono::nanoseconds latency) noexcept;
  /// Taken while others record, it holds everything recorded before the call and some of what came during it.
  [[nodiscard]] LatencySnapshot snapshot() const;

 private:
  struct Stripe;
  static constexpr std::size_t kStripes = 4;
  std::unique_ptr<std::array<Stripe, kStripes>> stripes_;
};

}  // namespace db4
