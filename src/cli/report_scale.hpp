#pragma once
// Values and times to places in a chart, and the round ones among them to label.

#include "report_chart.hpp"

#include <utility>
#include <vector>

namespace db4::cli {

/// A chart's own units: it is drawn so wide and high, and scaled with the page.
struct Plot {
  double left = 54, right = 396, top = 10, bottom = 150;
  double width = 400, height = 172;
};

class Scale {
 public:
  /// Holds every value that the chart draws, but for a few columns that would dwarf the others (the day of an
  /// import): those are cut.
  Scale(const Chart& chart, const Plot& plot);
  /// Of a value beyond the scale: its end.
  [[nodiscard]] double y(double value) const;
  [[nodiscard]] double low() const noexcept { return low_; }
  [[nodiscard]] double high() const noexcept { return high_; }
  /// Round values, and what they are called.
  [[nodiscard]] std::vector<std::pair<double, std::string>> ticks() const;

 private:
  [[nodiscard]] double of(double value) const;
  Unit unit_;
  bool logarithmic_;
  Plot plot_;
  double low_ = 0;
  double high_ = 0;
};

/// Round times within the timeline, at most six, and what they are called.
std::vector<std::pair<TimePoint, std::string>> time_ticks(const Timeline& timeline);
/// What a period of the timeline is called: its start.
std::string period_text(TimePoint from, const Timeline& timeline);

}  // namespace db4::cli
