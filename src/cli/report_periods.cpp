#include "report_periods.hpp"

#include <algorithm>
#include <array>

namespace db4::cli {
namespace {

void add_tier(TierSample& sum, const TierSample& sample) {
  // A mean by hits, of those that were measured: reads in memory are measured now and then alone.
  if (sample.hits > 0 && sample.p50.count() > 0) {
    const double before = sum.p50.count() > 0 ? static_cast<double>(sum.hits) : 0;
    const auto hits = static_cast<double>(sample.hits);
    const double mean =
        (static_cast<double>(sum.p50.count()) * before + static_cast<double>(sample.p50.count()) * hits) /
        (before + hits);
    sum.p50 = std::chrono::nanoseconds{static_cast<std::int64_t>(std::min(mean, 9e18))};
  }
  sum.p99 = std::max(sum.p99, sample.p99);
  sum.hits += sample.hits;
  sum.documents = sample.documents;
  sum.bytes = sample.bytes;
}

void add_sample(Period& period, const StatsSample& sample) {
  StatsSample& sum = period.figures;
  add_tier(sum.hot, sample.hot);
  add_tier(sum.warm, sample.warm);
  add_tier(sum.cold, sample.cold);
  sum.read_misses += sample.read_misses;
  sum.writes += sample.writes;
  sum.promoted += sample.promoted;
  sum.demoted += sample.demoted;
  sum.failed_moves += sample.failed_moves;
  sum.puts += sample.puts;
  sum.gets += sample.gets;
  sum.requests += sample.requests;
  sum.interval += sample.interval;
  sum.at = sample.at;
  sum.hot_storage = sample.hot_storage;
  sum.cold_storage = sample.cold_storage;
  sum.all_hot = sample.all_hot;
  sum.collections = sample.collections;
  period.sampled = true;
}

/// What stays as it was while nothing was sampled.
StatsSample state_of(const StatsSample& before) {
  const auto tier = [](const TierSample& t) {
    return TierSample{.documents = t.documents, .bytes = t.bytes};
  };
  return {.at = before.at,
          .hot = tier(before.hot),
          .warm = tier(before.warm),
          .cold = tier(before.cold),
          .hot_storage = before.hot_storage,
          .cold_storage = before.cold_storage,
          .all_hot = before.all_hot,
          .collections = before.collections};
}

}  // namespace

std::chrono::microseconds round_step(std::chrono::microseconds span, std::size_t most) {
  constexpr std::array<std::int64_t, 25> kSeconds{
      1,     5,     10,    30,    60,    120,    300,    600,     900,     1800,    3600,     7200,    10800,
      14400, 21600, 28800, 43200, 86400, 172800, 604800, 1209600, 2592000, 7776000, 15552000, 31536000};
  const auto fits = [&](std::chrono::microseconds step) {
    return span <= step * static_cast<std::int64_t>(most);
  };
  for (const std::int64_t seconds : kSeconds) {
    if (fits(std::chrono::seconds{seconds})) return std::chrono::seconds{seconds};
  }
  std::chrono::microseconds step = std::chrono::seconds{kSeconds.back()};
  while (!fits(step)) step *= 2;
  return step;
}

Timeline make_timeline(const std::vector<StatsSample>& samples) {
  if (samples.empty()) return {};
  const TimePoint last = samples.back().at;
  const TimePoint first = std::max(samples.front().at - samples.front().interval, TimePoint{});
  // Periods start at whole multiples of their length, for which there must be room at both ends.
  Timeline out{.step = round_step(last - first, kMaxPeriods - 2)};
  const auto whole = [&](TimePoint when) -> std::int64_t { return when.time_since_epoch() / out.step; };
  const std::int64_t from = whole(first);
  // A sample at a period's very end is of that period.
  const auto period_of = [&](TimePoint when) {
    return std::max<std::int64_t>(whole(when - std::chrono::microseconds{1}) - from, 0);
  };
  out.periods.resize(static_cast<std::size_t>(period_of(last)) + 1);
  auto sample = samples.begin();
  for (std::size_t i = 0; i < out.periods.size(); ++i) {
    Period& period = out.periods[i];
    const auto index = static_cast<std::int64_t>(i);
    period.from = TimePoint{(from + index) * out.step};
    if (i > 0) period.figures = state_of(out.periods[i - 1].figures);
    for (; sample != samples.end() && period_of(sample->at) <= index; ++sample) add_sample(period, *sample);
  }
  return out;
}

}  // namespace db4::cli
