#include "harness/page.hpp"

#include "harness/page_text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace db4::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5b6675; --paper: #fff;
        --rule: #dfe4ea; --good: #0a7f55; --bad: #b3402a; --track: #eef1f4 }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8ee; --dim: #98a4b3; --paper: #12171d;
        --rule: #2a323c; --good: #4cc38a; --bad: #f08a6f; --track: #1f262e } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
       font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2.5rem 0 .25rem }
p { margin: .25rem 0 } .dim { color: var(--dim); font-size: .875rem }
table { width: 100%; border-collapse: collapse; margin: .75rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .5rem; text-align: right; border-bottom: 1px solid var(--rule); vertical-align: top }
th { color: var(--dim); font-weight: 500; font-size: .875rem } .t { text-align: left }
.good { color: var(--good) } .bad { color: var(--bad) } b { font-weight: 650 }
.bar { display: block; height: .3rem; margin-top: .25rem; background: var(--track); position: relative }
.bar i { position: absolute; top: 0; bottom: 0; background: currentColor }
@media (max-width: 40rem) {
  thead { display: none } tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--rule) }
  td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; text-align: right }
  td::before { content: attr(data-label); color: var(--dim); text-align: left }
  td:first-child { font-weight: 600 } td:empty { display: none } .bar { width: 40% ; align-self: center }
}
)";

std::string escape(const std::string& text) {
  std::string out;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += letter;
    }
  }
  return out;
}

/// From the middle, which stands for 1, to the right where db4 is better; a tenfold fills the half.
std::string bar(double ratio) {
  const double half = std::clamp(std::log10(ratio), -1.0, 1.0) * 50;
  char text[160];
  std::snprintf(text, sizeof text, R"(<span class="bar"><i style="left:%.1f%%;width:%.1f%%"></i></span>)",
                half < 0 ? 50 + half : 50.0, std::abs(half));
  return text;
}

std::string cell(const char* label, const std::string& html, const char* style = "") {
  return std::string("<td data-label=\"") + label + "\"" +
         (*style == '\0' ? "" : std::string(" class=\"") + style + "\"") + ">" + html + "</td>";
}

std::string head(std::initializer_list<const char*> names, std::size_t texts) {
  std::string out = "<table><thead><tr>";
  std::size_t at = 0;
  for (const char* name : names)
    out += std::string(at++ < texts ? "<th class=\"t\">" : "<th>") + name + "</th>";
  return out + "</tr></thead><tbody>\n";
}

std::string section_html(const Json& section) {
  std::string out = "<h2>" + escape(section.at("title")) +
                    "</h2>\n<p class=\"dim\">Equal: " + escape(section.at("equal")) + ".</p>\n";
  if (const std::string unequal = section.at("unequal"); !unequal.empty()) {
    out += "<p class=\"dim\">Not equal: " + escape(unequal) + ".</p>\n";
  }
  out += head({"", "against", "unit", "db4", "peer", "ratio", "by CPU", "spread"}, 3);
  for (const Json& row : section.at("rows")) {
    const RowText text = describe_row(row);
    std::string ratio;
    if (!text.ratio.empty()) ratio = "<b>" + text.ratio + "</b>" + bar(text.ratio_value);
    out += "<tr>" + cell("", escape(text.what), "t") + cell("against", escape(text.peer), "t") +
           cell("unit", escape(text.unit), "t") + cell("db4", text.ours) + cell("peer", text.peers) +
           cell("ratio", ratio, text.ratio_value >= 1 ? "good" : "bad") + cell("by CPU", text.cpu_ratio) +
           cell("spread", text.spread) + "</tr>\n";
  }
  return out + "</tbody></table>\n";
}

std::string aims_html(const Json& results) {
  std::string out = "<h2>Aims</h2>\n" + head({"aim", "", "against", "found", "by CPU", "spread", ""}, 3);
  for (const RowText& row : rows_with_aims(results)) {
    out += "<tr>" + cell("aim", escape(row.aim), "t") + cell("measured", escape(row.what), "t") +
           cell("against", escape(row.peer), "t") +
           cell("found", row.ratio.empty() ? row.ours + " " + escape(row.unit) : row.ratio) +
           cell("by CPU", row.cpu_ratio) + cell("spread", row.spread) +
           cell("", row.met ? "met" : "missed", row.met ? "good" : "bad") + "</tr>\n";
  }
  return out + "</tbody></table>\n";
}

}  // namespace

std::string to_html(const Json& results) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<title>db4 benchmarks</title><style>";
  out += kStyle;
  out += "</style></head><body>\n<h1>db4 benchmarks</h1>\n";
  out +=
      "<p>Ratios of db4 to peers used directly in the same run, taking turns; above 1 db4 is the better one. "
      "Each "
      "figure is the median of its rounds; the spread is from the worst round to the best. By CPU: the same "
      "ratio by processor time for an "
      "operation, which tells more where the machine was shared.</p>\n";
  out += "<p class=\"dim\">" + escape(describe_machine(results)) + ". Size: " + escape(results.at("size")) +
         ".</p>\n";
  out += aims_html(results);
  for (const Json& program : results.at("programs")) {
    for (const Json& section : program.at("sections")) out += section_html(section);
  }
  for_each_skipped(results, [&](const std::string& peer, const std::string& reason) {
    out += "<p class=\"dim\">Left out: " + escape(peer) + ": " + escape(reason) + ".</p>\n";
  });
  return out + "</body></html>\n";
}

}  // namespace db4::bench
