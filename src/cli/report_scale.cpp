#include "report_scale.hpp"

#include "report_text.hpp"
#include "text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

namespace db4::cli {
namespace {

using std::chrono::hours;

constexpr double kTicks = 3;

/// What the periods reach, up and down from zero; where they are lines on a logarithmic scale, the least
/// value.
struct Extent {
  std::vector<double> above = {};
  std::vector<double> below = {};
  double least = std::numeric_limits<double>::max();
};

Extent extent_of(const Chart& chart) {
  Extent out;
  const std::size_t periods = chart.series.empty() ? 0 : chart.series.front().values.size();
  for (std::size_t i = 0; i < periods; ++i) {
    double stacked = 0;
    double lines = 0;
    double below = 0;
    for (const Series& series : chart.series) {
      const double value = series.values[i];
      if (!std::isfinite(value)) continue;
      if (series.mark == Mark::stacked) {
        stacked += value;
      } else if (series.mark == Mark::below) {
        below += value;
      } else {
        lines = std::max(lines, value);
        if (value > 0) out.least = std::min(out.least, value);
      }
    }
    out.above.push_back(std::max(stacked, lines));
    out.below.push_back(below);
  }
  return out;
}

/// The largest of them; where `cut`, and a twentieth of them is more than four times all others, those
/// others'.
double reach(std::vector<double> values, bool cut) {
  std::erase(values, 0.0);
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double usual = values[(values.size() - 1) * 19 / 20];
  return cut && values.back() > 4 * usual ? 1.25 * usual : values.back();
}

/// 1, 2 or 5 times a power of ten, not less than `value`.
double round_up(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= value * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

/// The unit that `value` is said in: how much it is, and its name.
std::pair<double, const char*> unit_of(Unit unit, double value) {
  static constexpr std::array<std::pair<double, const char*>, 5> kBytes{
      {{0x1p40, " TiB"}, {0x1p30, " GiB"}, {0x1p20, " MiB"}, {0x1p10, " KiB"}, {1, " B"}}};
  static constexpr std::array<std::pair<double, const char*>, 4> kCounts{
      {{1e9, " G"}, {1e6, " M"}, {1e3, " k"}, {1, ""}}};
  if (unit == Unit::bytes) {
    const auto* found = std::ranges::find_if(kBytes, [&](const auto& u) { return value >= u.first; });
    return found == kBytes.end() ? kBytes.back() : *found;
  }
  const auto* found = std::ranges::find_if(kCounts, [&](const auto& u) { return value >= u.first; });
  return unit != Unit::count || found == kCounts.end() ? std::pair{1.0, ""} : *found;
}

std::string tick_text(Unit unit, double value, double largest) {
  if (unit == Unit::latency) {
    std::string text = latency_text(value);
    if (const std::size_t zero = text.find(".0"); zero != std::string::npos)
      text.erase(zero, text.find(' ') - zero);
    return text;
  }
  const auto [size, name] = unit == Unit::share ? std::pair{0.01, " %"} : unit_of(unit, std::abs(largest));
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%s%.6g%s", unit == Unit::dollars ? "$" : "",
                std::abs(value) / size, value == 0 ? "" : name);
  return buffer.data();
}

}  // namespace

Scale::Scale(const Chart& chart, const Plot& plot)
    : unit_(chart.unit), logarithmic_(chart.logarithmic), plot_(plot) {
  const Extent extent = extent_of(chart);
  const bool cut = !chart.state && unit_ != Unit::share && !logarithmic_;
  high_ = reach(extent.above, cut);
  low_ = -reach(extent.below, cut);
  if (logarithmic_) {
    // Whole powers of ten, two at least, so that a steady line is not all of it.
    const bool any = high_ > 0;
    low_ = any ? std::pow(10, std::floor(std::log10(extent.least))) : 1e3;
    high_ = any ? std::pow(10, std::ceil(std::log10(high_))) : 1e5;
    high_ = std::max(high_, 100 * low_);
    return;
  }
  if (unit_ == Unit::share) high_ = 1;
  if (high_ <= low_) high_ = low_ + 1;
}

double Scale::of(double value) const { return logarithmic_ ? std::log10(value) : value; }

double Scale::y(double value) const {
  value = std::clamp(value, low_, high_);
  return plot_.bottom - (of(value) - of(low_)) / (of(high_) - of(low_)) * (plot_.bottom - plot_.top);
}

std::vector<std::pair<double, std::string>> Scale::ticks() const {
  std::vector<std::pair<double, std::string>> out;
  if (logarithmic_) {
    const double decades = std::log10(high_ / low_);
    const double apart = std::pow(10, std::ceil(decades / 6 - 1e-9));
    for (double value = low_; value <= high_ * 1.0001; value *= apart)
      out.emplace_back(value, tick_text(unit_, value, value));
    return out;
  }
  const double largest = std::max(high_, -low_);
  const double size = unit_of(unit_, largest).first;
  double step = unit_ == Unit::share ? 0.5 : size * round_up((high_ - low_) / size / kTicks);
  if (unit_ == Unit::bytes || unit_ == Unit::count) step = std::max(step, 1.0);
  for (double i = std::ceil(low_ / step - 1e-9) + 0.0; i * step <= high_ * (1 + 1e-9); ++i)
    out.emplace_back(i * step, tick_text(unit_, i * step, largest));
  return out;
}

std::vector<std::pair<TimePoint, std::string>> time_ticks(const Timeline& timeline) {
  const std::chrono::microseconds step = round_step(timeline.to() - timeline.from(), 6);
  const std::int64_t first =
      (timeline.from().time_since_epoch() + step - std::chrono::microseconds{1}) / step;
  std::vector<std::pair<TimePoint, std::string>> out;
  for (TimePoint at{first * step}; at <= timeline.to(); at += step) {
    const bool midnight = at.time_since_epoch() % hours{24} == hours{0};
    const char* pattern = step >= hours{24 * 90} ? "%b %Y" : midnight ? "%-d %b" : "%H:%M";
    if (step < std::chrono::minutes{1} && !midnight) pattern = "%H:%M:%S";
    out.emplace_back(at, time_text(at, pattern));
  }
  return out;
}

std::string period_text(TimePoint from, const Timeline& timeline) {
  const bool years = timeline.to() - timeline.from() > hours{24 * 300};
  if (timeline.step >= hours{24}) return time_text(from, years ? "%-d %b %Y" : "%-d %b");
  return time_text(from, timeline.step < std::chrono::minutes{1} ? "%-d %b %H:%M:%S" : "%-d %b %H:%M");
}

}  // namespace db4::cli
