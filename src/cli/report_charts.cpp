#include "report_charts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace db4::cli {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// Nothing is known of the time before the first sample.
template <typename Value>
std::vector<double> values_of(const Timeline& timeline, const Value& value) {
  std::vector<double> out;
  out.reserve(timeline.periods.size());
  bool known = false;
  for (const Period& period : timeline.periods) {
    known = known || period.sampled;
    out.push_back(known ? static_cast<double>(value(period.figures)) : kNone);
  }
  return out;
}

/// What stands now: the last value, said in the key.
Series state(std::string name, const char* colour, Mark mark, Unit unit, std::vector<double> values) {
  std::string total = value_text(unit, values.back());
  return {.name = std::move(name),
          .colour = colour,
          .mark = mark,
          .values = std::move(values),
          .total = std::move(total)};
}

Series counted(std::string name, const char* colour, Mark mark, std::vector<double> values,
               std::uint64_t total) {
  return {.name = std::move(name),
          .colour = colour,
          .mark = mark,
          .values = std::move(values),
          .total = value_text(Unit::count, static_cast<double>(total))};
}

/// hot, cold and the warm copies of either, of one member of the tiers' samples.
std::vector<Series> tier_states(const Timeline& timeline, Unit unit, std::uint64_t TierSample::*member) {
  const auto values = [&](TierSample StatsSample::*tier) {
    return values_of(timeline, [&](const StatsSample& s) { return s.*tier.*member; });
  };
  return {state("cold", "cold", Mark::stacked, unit, values(&StatsSample::cold)),
          state("hot", "hot", Mark::stacked, unit, values(&StatsSample::hot)),
          state("warm copies", "warm", Mark::line, unit, values(&StatsSample::warm))};
}

std::uint64_t hits_of(const StatsSample& s) { return s.hot.hits + s.warm.hits + s.cold.hits; }

struct TierColumn {
  const char* name;
  TierSample StatsSample::*tier;
  std::uint64_t Totals::*total;
};
constexpr std::array<TierColumn, 3> kTiers{{{"hot", &StatsSample::hot, &Totals::hot_hits},
                                            {"warm", &StatsSample::warm, &Totals::warm_hits},
                                            {"cold", &StatsSample::cold, &Totals::cold_hits}}};

Chart latency_chart(const Timeline& timeline, const char* id, std::string title, std::string note,
                    std::chrono::nanoseconds TierSample::*member) {
  Chart chart{.id = id,
              .title = std::move(title),
              .note = std::move(note),
              .unit = Unit::latency,
              .logarithmic = true};
  for (const TierColumn& column : kTiers) {
    std::vector<double> values = values_of(timeline, [&](const StatsSample& s) {
      const auto latency = (s.*column.tier.*member).count();
      return latency > 0 ? static_cast<double>(latency) : kNone;
    });
    const auto last = std::find_if(values.rbegin(), values.rend(), [](double v) { return std::isfinite(v); });
    std::string total = last == values.rend() ? "–" : value_text(Unit::latency, *last);
    chart.series.push_back({.name = column.name,
                            .colour = column.name,
                            .mark = column.tier == &StatsSample::warm ? Mark::dashed : Mark::line,
                            .values = std::move(values),
                            .total = std::move(total)});
  }
  return chart;
}

}  // namespace

double Totals::share(std::uint64_t of_them) const {
  return hits() == 0 ? kNone : static_cast<double>(of_them) / static_cast<double>(hits());
}

Totals totals_of(const std::vector<StatsSample>& samples) {
  Totals out;
  for (const StatsSample& s : samples) {
    out.covered += s.interval;
    for (const TierColumn& column : kTiers) out.*column.total += (s.*column.tier).hits;
    out.read_misses += s.read_misses;
    out.writes += s.writes;
    out.promoted += s.promoted;
    out.demoted += s.demoted;
    out.failed_moves += s.failed_moves;
    out.puts += s.puts;
    out.gets += s.gets;
    out.requests += s.requests;
  }
  return out;
}

Chart bytes_chart(const Timeline& timeline) {
  return {.id = "bytes",
          .title = "Bytes by tier",
          .note = "Bodies whose home is cold or hot, one upon the other; copies in warm beside them",
          .unit = Unit::bytes,
          .state = true,
          .series = tier_states(timeline, Unit::bytes, &TierSample::bytes)};
}

Chart documents_chart(const Timeline& timeline) {
  return {.id = "documents",
          .title = "Documents by tier",
          .note = "The same, counted in documents",
          .unit = Unit::count,
          .state = true,
          .series = tier_states(timeline, Unit::count, &TierSample::documents)};
}

Chart hit_share_chart(const Timeline& timeline, const Totals& totals) {
  Chart chart{.id = "shares",
              .title = "Share of reads by tier",
              .note = "Which tier served the reads that found their document",
              .unit = Unit::share};
  for (const TierColumn& column : kTiers) {
    std::vector<double> values = values_of(timeline, [&](const StatsSample& s) {
      const std::uint64_t all = hits_of(s);
      return all == 0 ? kNone : static_cast<double>((s.*column.tier).hits) / static_cast<double>(all);
    });
    chart.series.push_back({.name = column.name,
                            .colour = column.name,
                            .values = std::move(values),
                            .total = value_text(Unit::share, totals.share(totals.*column.total))});
  }
  return chart;
}

Chart reads_chart(const Timeline& timeline, const Totals& totals) {
  return {
      .id = "reads",
      .title = "Reads and writes",
      .note = "Reads that found a document above the line, writes below it",
      .series = {counted("reads", "cold", Mark::stacked, values_of(timeline, hits_of), totals.hits()),
                 counted("writes", "hot", Mark::below,
                         values_of(timeline, [](const StatsSample& s) { return s.writes; }), totals.writes)}};
}

Chart p50_chart(const Timeline& timeline) {
  return latency_chart(timeline, "p50", "Latency of reads, p50",
                       "Half of the reads a tier served were faster; the scale is logarithmic",
                       &TierSample::p50);
}

Chart p99_chart(const Timeline& timeline) {
  return latency_chart(timeline, "p99", "Latency of reads, p99",
                       "One read in a hundred was slower; logarithmic too", &TierSample::p99);
}

Chart moves_chart(const Timeline& timeline, const Totals& totals) {
  Chart chart{
      .id = "moves",
      .title = "Moves",
      .note = "Documents promoted to hot above the line, demoted to cold below it",
      .series = {
          counted("promoted", "hot", Mark::stacked,
                  values_of(timeline, [](const StatsSample& s) { return s.promoted; }), totals.promoted),
          counted("demoted", "cold", Mark::below,
                  values_of(timeline, [](const StatsSample& s) { return s.demoted; }), totals.demoted)}};
  if (totals.failed_moves > 0) {
    chart.series.push_back(counted("failed", "ink", Mark::line,
                                   values_of(timeline, [](const StatsSample& s) { return s.failed_moves; }),
                                   totals.failed_moves));
  }
  return chart;
}

Chart requests_chart(const Timeline& timeline, const Totals& totals) {
  return {.id = "requests",
          .title = "Requests to cold storage",
          .note = "Objects fetched above the line, objects written below it",
          .series = {counted("gets", "cold", Mark::stacked,
                             values_of(timeline, [](const StatsSample& s) { return s.gets; }), totals.gets),
                     counted("puts", "hot", Mark::below,
                             values_of(timeline, [](const StatsSample& s) { return s.puts; }), totals.puts)}};
}

Chart storage_bill_chart(const Timeline& timeline) {
  const auto values = [&](double StatsSample::*member) {
    return values_of(timeline, [&](const StatsSample& s) { return s.*member; });
  };
  return {.id = "storage-bill",
          .title = "Storage, dollars a month",
          .note = "What is kept costs so much a month in its tiers; the line, if all of it were hot",
          .unit = Unit::dollars,
          .state = true,
          .series = {state("cold", "cold", Mark::stacked, Unit::dollars, values(&StatsSample::cold_storage)),
                     state("hot", "hot", Mark::stacked, Unit::dollars, values(&StatsSample::hot_storage)),
                     state("all hot", "ink", Mark::line, Unit::dollars, values(&StatsSample::all_hot))}};
}

Chart requests_bill_chart(const Timeline& timeline, const Totals& totals) {
  return {.id = "requests-bill",
          .title = "Requests, dollars spent",
          .note = "What the requests of each period to cold storage cost",
          .unit = Unit::dollars,
          .series = {{.name = "requests",
                      .colour = "cold",
                      .values = values_of(timeline, [](const StatsSample& s) { return s.requests; }),
                      .total = value_text(Unit::dollars, totals.requests)}}};
}

std::string collection_sparkline(const Timeline& timeline, const std::string& name) {
  bool found = false;
  const auto values = [&](std::uint64_t CollectionSample::*member) {
    return values_of(timeline, [&](const StatsSample& s) -> std::uint64_t {
      const auto entry = std::ranges::find(s.collections, name, &CollectionSample::name);
      if (entry == s.collections.end()) return 0;
      found = true;
      return (*entry).*member;
    });
  };
  const auto cold = values(&CollectionSample::cold_bytes);
  const auto hot = values(&CollectionSample::hot_bytes);
  if (!found) return "";
  return sparkline(cold, hot, "Bytes over time, cold below hot");
}

}  // namespace db4::cli
