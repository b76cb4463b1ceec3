#pragma once
// Charts of a timeline, drawn as SVG by the program: no script. Each figure has its key, a value on every
// period for those who point at it, and the same numbers in a table.

#include "report_periods.hpp"

#include <string>
#include <vector>

namespace db4::cli {

enum class Unit { bytes, count, dollars, latency, share };

/// How a series is drawn. Stacked ones stand on one another.
enum class Mark { stacked, below, line, dashed };

/// One value a period; NaN where there is none.
struct Series {
  std::string name = {};
  const char* colour = "hot";  ///< a class of the page's style
  Mark mark = Mark::stacked;
  std::vector<double> values = {};
  std::string total = {};  ///< said in the key: the present value, or the sum
};

struct Chart {
  const char* id = "";  ///< unique in the page
  std::string title = {};
  std::string note = {};  ///< what is drawn, for those who do not see it too
  Unit unit = Unit::count;
  bool state = false;        ///< what stood at the end of each period, not what happened in it
  bool logarithmic = false;  ///< lines only
  std::vector<Series> series = {};
};

/// A value with its unit, as the tables have it.
std::string value_text(Unit unit, double value);

/// <figure>: key, SVG, table. The timeline has periods, and every series a value for each.
std::string chart_figure(const Chart& chart, const Timeline& timeline);

/// A small one for a row of a table: two stacked series without axes. `title` is text.
std::string sparkline(const std::vector<double>& lower, const std::vector<double>& upper,
                      const std::string& title);

}  // namespace db4::cli
