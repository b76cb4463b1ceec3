#include "report_page.hpp"

#include "report_charts.hpp"
#include "report_style.hpp"
#include "report_tables.hpp"
#include "report_text.hpp"
#include "text.hpp"

#include <limits>

namespace db4::cli {
namespace {

std::string headline(const std::string& figure, const std::string& what, const std::string& more) {
  return "<p><strong>" + figure + "</strong>" + what + "<span>" + more + "</span></p>";
}

std::string span_of(const ReportData& data, const Totals& totals) {
  if (data.samples.empty()) return "No samples yet.";
  const std::string count = describe_count(data.samples.size(), "sample");
  return count + " from " +
         time_text(data.samples.front().at - data.samples.front().interval, "%-d %B %Y %H:%M") + " to " +
         time_text(data.samples.back().at, "%-d %B %Y %H:%M UTC") + ", which cover " +
         span_text(totals.covered) + ".";
}

std::string head(const ReportData& data, const Totals& totals) {
  return "<header><h1><bdi>" + name_html(data.name, 80) + "</bdi></h1><p class=\"lead\">A db4 store on " +
         time_text(data.at, "%-d %B %Y, %H:%M UTC") + ". " + span_of(data, totals) + "</p></header>";
}

/// Of next to nothing, that it is.
std::string headline_dollars(double dollars) {
  return dollars > 0 && dollars < 0.0001 ? "&lt; $0.0001" : dollars_text(dollars);
}

std::string headlines(const ReportData& data, const Totals& totals, const Bill& bill) {
  const StoreStats& stats = data.stats;
  const std::uint64_t bytes = stats.hot.bytes + stats.cold.bytes;
  const auto share = [](std::uint64_t part, std::uint64_t whole) {
    return share_text(whole == 0 ? std::numeric_limits<double>::quiet_NaN()
                                 : static_cast<double>(part) / static_cast<double>(whole));
  };
  const bool sampled = totals.hits() > 0;
  const std::uint64_t hits = sampled ? totals.hits() : stats.hot.hits + stats.warm.hits + stats.cold.hits;
  return "<div class=\"heads\">" +
         headline(share(stats.cold.bytes, bytes), "of the bytes are cold",
                  describe_bytes(stats.cold.bytes) + " of " + describe_bytes(bytes)) +
         headline(
             headline_dollars(bill.total()),
             bill.requests ? "a month, in tiers" : "a month of storage, in tiers",
             headline_dollars(bill.all_hot) + " if all were hot" +
                 (bill.requests ? "; requests make " + headline_dollars(*bill.requests) + " of it" : "")) +
         headline(share(sampled ? totals.hot_hits : stats.hot.hits, hits), "of reads are served hot",
                  "of " + describe_count(hits) + (sampled ? " in the samples" : " since it was opened")) +
         "</div>";
}

class Page {
 public:
  explicit Page(const ReportData& data)
      : data_(data),
        totals_(totals_of(data.samples)),
        bill_(bill_of(data, totals_)),
        timeline_(make_timeline(data.samples)) {}

  std::string text() {
    out_ =
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"" +
        std::string(report_policy()) +
        "\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        "<meta name=\"referrer\" content=\"no-referrer\"><title>" +
        html(data_.name) + " – db4 report</title><style>" + std::string(report_style()) +
        "</style></head>\n<body>" + head(data_, totals_) + "<main>" + headlines(data_, totals_, bill_);
    if (timeline_.periods.empty()) out_ += no_samples();
    stored();
    reads();
    moves();
    bill();
    section("Collections", "", collections_table(data_, timeline_));
    if (!data_.busiest.empty()) section("Read most of late", "", busiest_table(data_));
    if (data_.encryption.encrypted) section("Encryption", "", encryption_table(data_.encryption));
    section("Settings", "", settings_table(data_.config));
    return out_ + "</main>" + foot() + "</body></html>\n";
  }

 private:
  [[nodiscard]] bool drawn() const { return !timeline_.periods.empty(); }
  [[nodiscard]] std::string figure(const Chart& chart) const { return chart_figure(chart, timeline_); }

  /// Charts side by side where there is room, and what goes with them below.
  void section(const char* title, const std::string& charts, const std::string& table) {
    out_ += std::string("\n<section><h2>") + title + "</h2>";
    if (!charts.empty()) out_ += "<div class=\"pair\">" + charts + "</div>";
    out_ += table + "</section>";
  }

  [[nodiscard]] std::string no_samples() const {
    const auto interval = data_.config.stats.sample_interval;
    if (interval.count() == 0)
      return "<p>Samples are switched off, so that nothing can be drawn over time.</p>";
    return "<p>There is nothing to draw yet: a sample is kept about every " + span_text(interval) +
           ", at the end of tiering runs and when the store closes. The tables below say what stands "
           "now.</p>";
  }

  void stored() {
    section("What is kept, and where",
            drawn() ? figure(bytes_chart(timeline_)) + figure(documents_chart(timeline_)) : "",
            stored_table(data_));
  }
  void reads() {
    std::string charts;
    if (drawn()) {
      charts = figure(hit_share_chart(timeline_, totals_)) + figure(reads_chart(timeline_, totals_)) +
               figure(p50_chart(timeline_)) + figure(p99_chart(timeline_));
    }
    section("Reads", charts, reads_table(data_, totals_));
  }
  void moves() {
    if (!drawn()) return;
    section("Moves between the tiers",
            figure(moves_chart(timeline_, totals_)) + figure(requests_chart(timeline_, totals_)),
            moves_table(totals_));
  }
  void bill() {
    section("The bill",
            drawn() ? figure(storage_bill_chart(timeline_)) + figure(requests_bill_chart(timeline_, totals_))
                    : "",
            bill_table(data_, bill_));
  }

  [[nodiscard]] std::string foot() const {
    std::string text = "<footer>Store " + html(data_.store_id) + " on " + html(data_.backends) +
                       ". Times are UTC. Bytes are those of documents’ bodies, in units of 1,024.";
    if (drawn()) {
      text += " Charts draw periods of " + span_text(timeline_.step) +
              "; point at one for its values. Where nothing was sampled, what stood before is drawn on.";
    }
    return text + "</footer>";
  }

  const ReportData& data_;
  const Totals totals_;
  const Bill bill_;
  const Timeline timeline_;
  std::string out_;
};

}  // namespace

std::string report_html(const ReportData& data) { return Page(data).text(); }

}  // namespace db4::cli
