#pragma once
// The charts of a report, out of its samples.

#include "report_chart.hpp"
#include "report_data.hpp"

namespace db4::cli {

/// What happened in all the samples together.
struct Totals {
  std::chrono::milliseconds covered{0};  ///< by the samples' intervals
  std::uint64_t hot_hits = 0;
  std::uint64_t warm_hits = 0;
  std::uint64_t cold_hits = 0;
  std::uint64_t read_misses = 0;
  std::uint64_t writes = 0;
  std::uint64_t promoted = 0;
  std::uint64_t demoted = 0;
  std::uint64_t failed_moves = 0;
  std::uint64_t puts = 0;
  std::uint64_t gets = 0;
  double requests = 0;  ///< dollars
  [[nodiscard]] std::uint64_t hits() const { return hot_hits + warm_hits + cold_hits; }
  /// Of the hits; NaN where there were none.
  [[nodiscard]] double share(std::uint64_t of_them) const;
};

Totals totals_of(const std::vector<StatsSample>& samples);

Chart bytes_chart(const Timeline& timeline);
Chart documents_chart(const Timeline& timeline);
Chart hit_share_chart(const Timeline& timeline, const Totals& totals);
Chart reads_chart(const Timeline& timeline, const Totals& totals);
Chart p50_chart(const Timeline& timeline);
Chart p99_chart(const Timeline& timeline);
Chart moves_chart(const Timeline& timeline, const Totals& totals);
Chart requests_chart(const Timeline& timeline, const Totals& totals);
Chart storage_bill_chart(const Timeline& timeline);
Chart requests_bill_chart(const Timeline& timeline, const Totals& totals);

/// A collection's bytes over time; empty where no sample names it. The collection of no name: the rest.
std::string collection_sparkline(const Timeline& timeline, const std::string& name);

}  // namespace db4::cli
