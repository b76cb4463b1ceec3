#include "report_chart.hpp"

#include "report_scale.hpp"
#include "report_text.hpp"
#include "text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace db4::cli {
namespace {

/// A coordinate, to a tenth.
std::string at(double value) {
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.1f", value);
  const std::string text = buffer.data();
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

/// Rectangles in one path; neighbours of one height that touch are one.
class Columns {
 public:
  explicit Columns(double gap) : gap_(gap) {}
  void add(double left, double right, double top, double bottom) {
    if (bottom - top < 0.05) return;
    if (open_ && gap_ == 0 && std::abs(left - right_) < 0.01 && top == top_ && bottom == bottom_) {
      right_ = right;
      return;
    }
    close();
    open_ = true;
    left_ = left;
    right_ = right;
    top_ = top;
    bottom_ = bottom;
  }
  std::string path() {
    close();
    return path_;
  }

 private:
  void close() {
    if (!open_) return;
    path_ += "M" + at(left_) + " " + at(bottom_) + "V" + at(top_) + "H" + at(right_ - gap_) + "V" +
             at(bottom_) + "Z";
    open_ = false;
  }
  double gap_;
  bool open_ = false;
  double left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
  std::string path_;
};

class Drawing {
 public:
  Drawing(const Chart& chart, const Timeline& timeline)
      : chart_(chart),
        timeline_(timeline),
        scale_(chart, plot_),
        width_((plot_.right - plot_.left) / static_cast<double>(timeline.periods.size())) {}

  std::string svg() {
    out_ = "<svg role=\"img\" viewBox=\"0 0 " + at(plot_.width) + " " + at(plot_.height) +
           "\" aria-labelledby=\"" + chart_.id + "-t " + chart_.id + "-d\"><title id=\"" + chart_.id +
           "-t\">" + html(chart_.title) + "</title><desc id=\"" + chart_.id + "-d\">" + html(description()) +
           "</desc>";
    axes();
    areas();
    for (const Series& series : chart_.series) {
      if (series.mark == Mark::line || series.mark == Mark::dashed) line(series);
    }
    if (scale_.low() < 0) rule("zero", scale_.y(0));
    hovers();
    return out_ + "</svg>";
  }

 private:
  [[nodiscard]] double left(std::size_t period) const {
    return plot_.left + width_ * static_cast<double>(period);
  }
  [[nodiscard]] std::string description() const {
    std::string text = chart_.note + ". " + std::to_string(timeline_.periods.size()) + " periods of " +
                       span_text(timeline_.step) + " from " +
                       time_text(timeline_.from(), "%Y-%m-%d %H:%M UTC") + ".";
    for (const Series& series : chart_.series) text += " " + series.name + ": " + series.total + ".";
    return text;
  }
  void rule(const char* kind, double y) {
    out_ += std::string("<path class=\"") + kind + "\" d=\"M" + at(plot_.left) + " " + at(y) + "H" +
            at(plot_.right) + "\"/>";
  }
  void label(double x, double y, const char* anchor, const std::string& text, const char* kind = "") {
    out_ += std::string("<text") + kind + " x=\"" + at(x) + "\" y=\"" + at(y) + "\" text-anchor=\"" + anchor +
            "\">" + html(text) + "</text>";
  }

  void axes() {
    for (const auto& [value, text] : scale_.ticks()) {
      rule("grid", scale_.y(value));
      label(plot_.left - 5, scale_.y(value) + 3.5, "end", text);
    }
    const double span = static_cast<double>((timeline_.to() - timeline_.from()).count());
    for (const auto& [when, text] : time_ticks(timeline_)) {
      const double x = plot_.left + (plot_.right - plot_.left) *
                                        static_cast<double>((when - timeline_.from()).count()) / span;
      out_ += "<path class=\"tick\" d=\"M" + at(x) + " " + at(plot_.bottom) + "v4\"/>";
      const char* anchor = x > plot_.right - 16 ? "end" : "middle";
      label(x, plot_.bottom + 16, anchor, text);
    }
  }

  void areas() {
    // What stood is a surface; what happened are columns with air between them.
    const double gap = chart_.state || chart_.unit == Unit::share ? 0 : std::min(width_ * 0.2, 2.0);
    std::vector<double> floor(timeline_.periods.size(), 0);
    std::vector<double> depth(timeline_.periods.size(), 0);
    for (const Series& series : chart_.series) {
      if (series.mark != Mark::stacked && series.mark != Mark::below) continue;
      Columns columns(gap);
      for (std::size_t i = 0; i < series.values.size(); ++i) {
        const double value = series.values[i];
        if (!std::isfinite(value)) continue;
        if (series.mark == Mark::below) {
          columns.add(left(i), left(i + 1), scale_.y(0), scale_.y(-value));
          depth[i] -= value;
        } else {
          columns.add(left(i), left(i + 1), scale_.y(floor[i] + value), scale_.y(floor[i]));
          floor[i] += value;
        }
      }
      out_ += std::string("<path class=\"area ") + series.colour + "\" d=\"" + columns.path() + "\"/>";
    }
    if (chart_.logarithmic) return;
    say_cut(std::ranges::max_element(floor) - floor.begin(), std::ranges::max(floor), plot_.top + 8);
    say_cut(std::ranges::min_element(depth) - depth.begin(), std::ranges::min(depth), plot_.bottom - 4);
  }

  /// The value of the largest column beside it, where it does not fit.
  void say_cut(std::ptrdiff_t period, double value, double y) {
    if (value <= scale_.high() * 1.0001 && value >= scale_.low() * 1.0001) return;
    const double x = left(static_cast<std::size_t>(period));
    const bool late = x > plot_.width / 2;
    label(late ? x - 3 : x + width_ + 3, y, late ? "end" : "start",
          (value > 0 ? "↑ " : "↓ ") + value_text(chart_.unit, std::abs(value)), " class=\"cut\"");
  }

  /// Through the middles of the periods, or, for what stood, along them; alone, a value is a dash.
  void line(const Series& series) {
    std::string path;
    bool drawing = false;
    for (std::size_t i = 0; i < series.values.size(); ++i) {
      if (!std::isfinite(series.values[i])) {
        drawing = false;
        continue;
      }
      const double y = scale_.y(series.values[i]);
      const double x = chart_.state ? left(i) : left(i) + width_ / 2;
      path += (drawing ? "L" : "M") + at(x) + " " + at(y);
      if (chart_.state) path += "H" + at(left(i + 1));
      const bool more = i + 1 < series.values.size() && std::isfinite(series.values[i + 1]);
      if (!drawing && !more && !chart_.state) path += "m-2 0h4";
      drawing = true;
    }
    // Over an area a line needs an edge of its own.
    if (chart_.state) out_ += "<path class=\"line halo\" d=\"" + path + "\"/>";
    out_ += std::string("<path class=\"line ") + series.colour +
            (series.mark == Mark::dashed ? " dashed" : "") + "\" d=\"" + path + "\"/>";
  }

  void hovers() {
    out_ += "<g class=\"hover\">";
    for (std::size_t i = 0; i < timeline_.periods.size(); ++i) {
      if (!timeline_.periods[i].sampled) continue;
      std::string text = period_text(timeline_.periods[i].from, timeline_);
      for (const Series& series : chart_.series)
        text += "\n" + series.name + " " + value_text(chart_.unit, series.values[i]);
      // The lines of a tooltip are ours: only what is between them is escaped.
      std::string title;
      for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        title += (begin == 0 ? "" : "\n") + html(text.substr(begin, end - begin));
        begin = end + 1;
      }
      out_ += "<rect x=\"" + at(left(i)) + "\" y=\"" + at(plot_.top) + "\" width=\"" + at(width_) +
              "\" height=\"" + at(plot_.bottom - plot_.top) + "\"><title>" + title + "</title></rect>";
    }
    out_ += "</g>";
  }

  const Chart& chart_;
  const Timeline& timeline_;
  const Plot plot_;
  const Scale scale_;
  const double width_;
  std::string out_;
};

std::string key(const Chart& chart) {
  std::string out = "<p class=\"key\">";
  for (const Series& series : chart.series) {
    const char* kind = series.mark == Mark::line     ? " line"
                       : series.mark == Mark::dashed ? " line dashed"
                                                     : "";
    out += std::string("<span><i class=\"") + series.colour + kind + "\"></i>" + html(series.name) + " <b>" +
           html(series.total) + "</b></span> ";
  }
  return out + "</p>";
}

std::string numbers(const Chart& chart, const Timeline& timeline) {
  std::string out = std::string("<details><summary>The numbers") +
                    (chart.state ? ", at each period’s end" : "") +
                    "</summary><table><thead><tr><th scope=\"col\">Period from</th>";
  for (const Series& series : chart.series) out += "<th scope=\"col\">" + html(series.name) + "</th>";
  out += "</tr></thead><tbody>";
  for (std::size_t i = 0; i < timeline.periods.size(); ++i) {
    if (!timeline.periods[i].sampled) continue;
    out += "<tr><th scope=\"row\">" + period_text(timeline.periods[i].from, timeline) + "</th>";
    for (const Series& series : chart.series)
      out += "<td>" + value_text(chart.unit, series.values[i]) + "</td>";
    out += "</tr>";
  }
  return out + "</tbody></table></details>";
}

}  // namespace

std::string value_text(Unit unit, double value) {
  if (!std::isfinite(value)) return "–";
  const auto whole = static_cast<std::uint64_t>(std::clamp(value, 0.0, 1e18));
  switch (unit) {
    case Unit::bytes:
      return describe_bytes(whole);
    case Unit::count:
      return describe_count(whole);
    case Unit::dollars:
      return dollars_text(value);
    case Unit::latency:
      return latency_text(value);
    case Unit::share:
      break;
  }
  return share_text(value);
}

std::string chart_figure(const Chart& chart, const Timeline& timeline) {
  return "<figure><figcaption><h3>" + html(chart.title) + "</h3><p class=\"note\">" + html(chart.note) +
         "</p>" + key(chart) + "</figcaption>" + Drawing(chart, timeline).svg() + numbers(chart, timeline) +
         "</figure>";
}

std::string sparkline(const std::vector<double>& lower, const std::vector<double>& upper,
                      const std::string& title) {
  constexpr double kWidth = 96;
  constexpr double kHeight = 20;
  double most = 0;
  for (std::size_t i = 0; i < lower.size(); ++i) most = std::max(most, lower[i] + upper[i]);
  if (most <= 0) return "";
  Columns low(0);
  Columns high(0);
  const double width = kWidth / static_cast<double>(lower.size());
  for (std::size_t i = 0; i < lower.size(); ++i) {
    if (!std::isfinite(lower[i] + upper[i])) continue;
    const double left = width * static_cast<double>(i);
    const double middle = kHeight * (1 - lower[i] / most);
    low.add(left, left + width, middle, kHeight);
    high.add(left, left + width, kHeight * (1 - (lower[i] + upper[i]) / most), middle);
  }
  return "<svg role=\"img\" class=\"spark\" viewBox=\"0 0 96 20\" preserveAspectRatio=\"none\"><title>" +
         html(title) + "</title><path class=\"area cold\" d=\"" + low.path() +
         "\"/><path class=\"area hot\" d=\"" + high.path() + "\"/></svg>";
}

}  // namespace db4::cli
