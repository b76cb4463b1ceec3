#include "base/latency_histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

namespace db4 {
namespace {

using std::chrono::nanoseconds;

nanoseconds exact_percentile(std::vector<std::int64_t> sorted, double percent) {
  const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
  return nanoseconds{sorted[std::max<std::size_t>(rank, 1) - 1]};
}

void expect_within_three_percent(nanoseconds measured, nanoseconds exact) {
  EXPECT_LE(std::abs(static_cast<double>(measured.count() - exact.count())),
            0.03 * static_cast<double>(exact.count()))
      << measured.count() << " against " << exact.count();
}

TEST(LatencyHistogram, EmptyAnswersZero) {
  const LatencySnapshot empty = LatencyHistogram().snapshot();
  EXPECT_EQ(empty.count(), 0U);
  EXPECT_EQ(empty.min(), nanoseconds{0});
  EXPECT_EQ(empty.max(), nanoseconds{0});
  EXPECT_EQ(empty.mean(), nanoseconds{0});
  EXPECT_EQ(empty.percentile(99), nanoseconds{0});
}

TEST(LatencyHistogram, PercentilesAreWithinThreePercentOfExactOnes) {
  LatencyHistogram histogram;
  std::mt19937_64 random(17);
  std::uniform_real_distribution<double> exponent(0, 12);  // 1 ns to 1,000 s
  std::vector<std::int64_t> all;
  for (int i = 0; i < 50'000; ++i) {
    all.push_back(static_cast<std::int64_t>(std::pow(10.0, exponent(random))));
    histogram.record(nanoseconds{all.back()});
  }
  std::sort(all.begin(), all.end());
  const LatencySnapshot snapshot = histogram.snapshot();
  EXPECT_EQ(snapshot.count(), all.size());
  EXPECT_EQ(snapshot.min(), nanoseconds{all.front()});
  EXPECT_EQ(snapshot.max(), nanoseconds{all.back()});
  for (const double percent : {0.0, 0.1, 1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    SCOPED_TRACE(percent);
    expect_within_three_percent(snapshot.percentile(percent), exact_percentile(all, percent));
  }
}

TEST(LatencyHistogram, EveryMagnitudeIsKeptWithinThreePercent) {
  for (std::int64_t ns = 1; ns < 1'000'000'000'000; ns += 1 + ns / 7) {
    LatencyHistogram histogram;
    histogram.record(nanoseconds{1});  // so that clamping to min and max does not hide the bucket
    histogram.record(nanoseconds{ns});
    histogram.record(nanoseconds{1'000'000'000'000});
    expect_within_three_percent(histogram.snapshot().percentile(50), nanoseconds{ns});
  }
}

TEST(LatencyHistogram, MeanIsExact) {
  LatencyHistogram histogram;
  for (const int ns : {1, 100, 1'000, 10'899}) histogram.record(nanoseconds{ns});
  EXPECT_EQ(histogram.snapshot().mean(), nanoseconds{3'000});
}

TEST(LatencyHistogram, NegativeAndOverlongLatenciesAreCounted) {
  LatencyHistogram histogram;
  histogram.record(nanoseconds{-5});
  histogram.record(std::chrono::hours{100});
  const LatencySnapshot snapshot = histogram.snapshot();
  EXPECT_EQ(snapshot.count(), 2U);
  EXPECT_EQ(snapshot.min(), nanoseconds{0});
  EXPECT_EQ(snapshot.percentile(100), std::chrono::hours{100});
}

TEST(LatencyHistogram, MergeAddsSnapshots) {
  LatencyHistogram fast;
  LatencyHistogram slow;
  for (int i = 0; i < 90; ++i) fast.record(nanoseconds{10});
  for (int i = 0; i < 10; ++i) slow.record(nanoseconds{1'000'000});
  LatencySnapshot merged;
  merged.merge(fast.snapshot());
  merged.merge(slow.snapshot());
  EXPECT_EQ(merged.count(), 100U);
  EXPECT_EQ(merged.min(), nanoseconds{10});
  EXPECT_EQ(merged.max(), nanoseconds{1'000'000});
  EXPECT_EQ(merged.percentile(90), nanoseconds{10});
  expect_within_three_percent(merged.percentile(91), nanoseconds{1'000'000});
  EXPECT_EQ(merged.mean(), nanoseconds{100'009});
}

TEST(LatencyHistogram, ThreadsLoseNothing) {
  LatencyHistogram histogram;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&histogram, t] {
      for (int i = 0; i < 20'000; ++i) histogram.record(nanoseconds{(t + 1) * 100 + i % 10});
    });
  }
  const LatencySnapshot during = histogram.snapshot();
  EXPECT_LE(during.count(), 120'000U);
  threads.clear();
  const LatencySnapshot after = histogram.snapshot();
  EXPECT_EQ(after.count(), 120'000U);
  EXPECT_EQ(after.min(), nanoseconds{100});
  EXPECT_EQ(after.max(), nanoseconds{609});
}

}  // namespace
}  // namespace db4
