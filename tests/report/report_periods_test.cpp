// Samples drawn together into periods.
#include "cli/report_periods.hpp"

#include "report/report_fixtures.hpp"

#include <gtest/gtest.h>

namespace db4::cli {
namespace {

using namespace std::chrono_literals;

StatsSample sample(std::chrono::microseconds at, std::chrono::milliseconds interval, std::uint64_t writes) {
  return {.at = TimePoint{at}, .interval = interval, .writes = writes};
}

TEST(ReportPeriods, NoSamplesNoPeriods) { EXPECT_TRUE(make_timeline({}).periods.empty()); }

TEST(ReportPeriods, OneSampleIsOnePeriodEvenOfNoLength) {
  const Timeline timeline = make_timeline({sample(1000h, 0ms, 3)});
  ASSERT_EQ(timeline.periods.size(), 1U);
  EXPECT_GT(timeline.step.count(), 0);
  EXPECT_EQ(timeline.periods[0].figures.writes, 3U);
}

TEST(ReportPeriods, CountsAreSummedAndNoneIsLost) {
  ReportData data = testing::some_store();
  testing::add_samples(data, 2000);
  const Timeline timeline = make_timeline(data.samples);
  EXPECT_LE(timeline.periods.size(), kMaxPeriods);
  EXPECT_GT(timeline.periods.size(), kMaxPeriods / 3);
  std::uint64_t writes = 0;
  for (std::size_t i = 0; i < timeline.periods.size(); ++i) {
    writes += timeline.periods[i].figures.writes;
    EXPECT_EQ(timeline.periods[i].from, timeline.from() + timeline.step * static_cast<std::int64_t>(i));
  }
  EXPECT_EQ(writes, 4000U);
  EXPECT_EQ(timeline.periods.back().figures.cold.documents, 1999U);
  EXPECT_LE(timeline.from(), data.samples.front().at - 1h);
  EXPECT_GE(timeline.to(), data.samples.back().at);
}

TEST(ReportPeriods, ASampleAtAPeriodsEndIsOfThatPeriod) {
  const Timeline timeline = make_timeline({sample(94h, 1h, 1), sample(188h, 1h, 2)});
  ASSERT_EQ(timeline.step, 2h);
  EXPECT_EQ(timeline.from(), TimePoint{92h});
  EXPECT_EQ(timeline.periods[0].figures.writes, 1U);
  EXPECT_EQ(timeline.periods.back().figures.writes, 2U);
  EXPECT_EQ(timeline.to(), TimePoint{188h});
}

TEST(ReportPeriods, WhatStoodIsCarriedOnWhereNothingWasSampled) {
  StatsSample first = sample(24h, 1h, 5);
  first.hot = {.documents = 7, .bytes = 70, .hits = 3, .p50 = 5us};
  const Timeline timeline = make_timeline({first, sample(2400h, 1h, 1)});
  const Period& between = timeline.periods[timeline.periods.size() / 2];
  EXPECT_FALSE(between.sampled);
  EXPECT_EQ(between.figures.hot.documents, 7U);
  EXPECT_EQ(between.figures.hot.hits, 0U);
  EXPECT_EQ(between.figures.hot.p50, 0us);
  EXPECT_EQ(between.figures.writes, 0U);
}

TEST(ReportPeriods, LatenciesAreTheMeanByHitsAndTheWorst) {
  StatsSample a = sample(10h, 1s, 0);
  a.cold = {.hits = 1, .p50 = 100us, .p99 = 200us};
  StatsSample b = sample(10h, 1s, 0);
  b.cold = {.hits = 3, .p50 = 500us, .p99 = 600us};
  const Timeline timeline = make_timeline({a, b});
  EXPECT_EQ(timeline.periods.back().figures.cold.p50, 400us);
  EXPECT_EQ(timeline.periods.back().figures.cold.p99, 600us);
}

TEST(ReportPeriods, AClockGoneWildIsStillBounded) {
  const Timeline timeline = make_timeline({sample(1s, 1s, 1), sample(24h * 2'900'000, 1s, 1)});
  EXPECT_LE(timeline.periods.size(), kMaxPeriods);
}

}  // namespace
}  // namespace db4::cli
