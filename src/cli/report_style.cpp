#include "report_style.hpp"

namespace db4::cli {
namespace {

// Hot, warm and cold after Okabe and Ito ("Color Universal Design", 2008): told apart by people who are
// colour-blind, in print by their lightness, and as lines by their dashes too.
constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --paper: #fffefb; --ink: #1d1c1a; --soft: #6a665f; --rule: #dedad2;
  --hot: #c2470a; --warm: #d0900a; --cold: #3a86bd; }
@media (prefers-color-scheme: dark) { :root { --paper: #15161a; --ink: #e7e4dd; --soft: #9d9990;
  --rule: #33343a;
  --hot: #e8743b; --warm: #f4d06f; --cold: #5aa9de; } }
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.25rem 4rem; overflow-wrap: anywhere;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums lining-nums; }
h1, h2, h3 { font-weight: 600; line-height: 1.2; margin: 0; }
h1 { font-size: 1.75rem; letter-spacing: -.015em; }
h2 { font-size: 1.2rem; margin: 3.25rem 0 1rem; padding-top: .9rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; }
p { margin: .4rem 0; }
.lead, .note, footer { color: var(--soft); }
.note, footer { font-size: .85rem; }
.note { margin: .15rem 0 .3rem; }
.heads { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1.5rem 2rem;
  margin: 2rem 0; }
.heads p { margin: 0; }
.heads strong { display: block; font-size: 2.5rem; font-weight: 300; line-height: 1.15;
  letter-spacing: -.03em; }
.heads span { display: block; color: var(--soft); font-size: .85rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 2rem 2.5rem; }
.pair > * { min-width: 0; }
figure { margin: 0; break-inside: avoid; }
.pair figure { display: grid; grid-template-columns: minmax(0, 1fr); grid-template-rows: subgrid;
  grid-row: span 3; row-gap: 0; }
figure svg { display: block; width: 100%; max-width: 36rem; height: auto; }
.key { font-size: .85rem; color: var(--soft); margin: .2rem 0 .3rem; }
.key span { display: inline-block; margin-right: 1rem; }
.key b { color: var(--ink); font-weight: 600; }
.key i { display: inline-block; width: .7em; height: 0; margin-right: .35em; border-top: .7em solid; }
.key i.line { width: 1.3em; border-top-width: 2px; vertical-align: .25em; }
.key i.dashed { border-top-style: dashed; }
i.hot { color: var(--hot); } i.warm { color: var(--warm); } i.cold { color: var(--cold); } i.ink {
  color: var(--ink); }
svg text { font-size: 10.5px; fill: var(--soft); }
svg .cut { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
.grid { stroke: var(--rule); stroke-width: .7; } .tick { stroke: var(--soft); stroke-width: .7; }
.zero { stroke: var(--ink); stroke-width: .7; }
.area { shape-rendering: crispEdges; }
.area.hot { fill: var(--hot); } .area.warm { fill: var(--warm); } .area.cold { fill: var(--cold); }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round; }
.line.hot { stroke: var(--hot); } .line.warm { stroke: var(--warm); } .line.cold { stroke: var(--cold); }
.line.ink { stroke: var(--ink); } .line.halo { stroke: var(--paper); stroke-width: 3.2; }
.dashed { stroke-dasharray: 4 3; }
.hover rect { fill: transparent; } .hover rect:hover { fill: var(--ink); fill-opacity: .09; }
table { border-collapse: collapse; width: auto; min-width: min(100%, 34rem); font-size: .9rem;
  margin: .75rem 0 1.5rem; }
th, td { padding: .28rem 0 .28rem .8rem; text-align: right; vertical-align: baseline; font-weight: 400; }
th:first-child, td:first-child { padding-left: 0; text-align: left; }
thead th { color: var(--soft); font-size: .8rem; border-bottom: 1px solid var(--ink);
  vertical-align: bottom; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
tr.sum > * { font-weight: 600; }
thead th, td { overflow-wrap: normal; } td { white-space: nowrap; }
bdi { overflow-wrap: anywhere; }
.spark { float: right; width: 6rem; height: 1.25rem; margin-left: 1rem; }
details table { min-width: 100%; } details { font-size: .85rem; } summary { color: var(--soft);
  cursor: pointer; }
details table { font-size: .8rem; }
footer { margin-top: 3.5rem; padding-top: .9rem; border-top: 1px solid var(--rule); }
@media (max-width: 32rem) {
  body { padding: 1.5rem 1rem 3rem; } h1 { font-size: 1.4rem; } .heads strong { font-size: 2.1rem; }
  table { font-size: .8rem; } th, td { padding-left: .5rem; } .spark { float: none; display: block;
  margin: .2rem 0; width: 4.5rem; height: 1rem; } details table { font-size: .72rem; }
  td { white-space: normal; } .many td:last-child, .many thead th:last-child { display: none; }
  .many th:first-child { min-width: 6rem; }
}
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #444; --rule: #bbb; --hot: #c2470a; --warm: #d0900a;
  --cold: #3a86bd; }
  body { max-width: none; padding: 0; font-size: 10pt; } .pair { grid-template-columns: 1fr 1fr; }
  details { display: none; }
  h2 { break-after: avoid; margin-top: 1.5rem; } tr { break-inside: avoid; }
  svg, i { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
)";

constexpr std::string_view kPolicy =
    "default-src 'none'; style-src 'sha256-lJv5GcVUNB6U8AXIwRK688U4fH0CoUmbyBGRyq+609g='; base-uri 'none'; "
    "form-action 'none'";

}  // namespace

std::string_view report_style() noexcept { return kStyle; }
std::string_view report_policy() noexcept { return kPolicy; }

}  // namespace db4::cli
