#include "report_tables.hpp"

#include "report_text.hpp"
#include "text.hpp"

#include <algorithm>
#include <limits>

namespace db4::cli {
namespace {

using std::chrono::hours;

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? std::numeric_limits<double>::quiet_NaN()
                    : static_cast<double>(part) / static_cast<double>(whole);
}

/// Cells are HTML; the first of a row is its head.
class HtmlTable {
 public:
  explicit HtmlTable(std::initializer_list<const char*> head, const char* kind = "")
      : out_(*kind == '\0' ? "<table>" : std::string("<table class=\"") + kind + "\">") {
    out_ += "<thead><tr>";
    for (const char* cell : head) out_ += std::string("<th scope=\"col\">") + cell + "</th>";
    out_ += "</tr></thead><tbody>";
  }
  void add(std::initializer_list<std::string> cells, const char* kind = "") {
    out_ += *kind == '\0' ? "<tr>" : std::string("<tr class=\"") + kind + "\">";
    bool first = true;
    for (const std::string& cell : cells) {
      out_ += first ? "<th scope=\"row\">" + cell + "</th>" : "<td>" + cell + "</td>";
      first = false;
    }
    out_ += "</tr>";
  }
  [[nodiscard]] std::string html() const { return out_ + "</tbody></table>"; }

 private:
  std::string out_;
};

/// The middle one of the samples' p50, and the highest of their p99, of those with reads.
std::pair<double, double> latency_of(const std::vector<StatsSample>& samples, TierSample StatsSample::*tier) {
  std::vector<double> middle;
  double highest = 0;
  for (const StatsSample& sample : samples) {
    const TierSample& figures = sample.*tier;
    if (figures.p50.count() > 0) middle.push_back(static_cast<double>(figures.p50.count()));
    highest = std::max(highest, static_cast<double>(figures.p99.count()));
  }
  if (middle.empty()) return {0, highest};
  const auto half = middle.begin() + static_cast<std::ptrdiff_t>(middle.size() / 2);
  std::nth_element(middle.begin(), half, middle.end());
  return {*half, highest};
}

std::string more_row_note(std::size_t listed, std::size_t all, const char* what) {
  if (all <= listed) return "";
  return "<p class=\"note\">and " + describe_count(all - listed) + " smaller " + what + ".</p>";
}

std::string size_or(std::uint64_t bytes, const char* none) {
  return bytes == 0 ? none : describe_bytes(bytes);
}

const char* promotion_text(PromoteOnRead mode) {
  switch (mode.mode()) {
    case PromoteOnRead::never:
      return "never";
    case PromoteOnRead::always:
      return "on every read";
    case PromoteOnRead::second_read:
      break;
  }
  return "on the second read";
}

}  // namespace

Bill bill_of(const ReportData& data, const Totals& totals) {
  const CostStats& cost = data.stats.cost;
  Bill bill{.hot_storage = cost.hot_storage, .cold_storage = cost.cold_storage, .all_hot = cost.all_hot};
  // A minute of import says nothing of a month.
  if (totals.covered >= hours{24})
    bill.requests = totals.requests * (hours{24 * 30} / std::chrono::duration<double>(totals.covered));
  return bill;
}

std::string stored_table(const ReportData& data) {
  HtmlTable table({"Now", "documents", "bytes", "share"});
  const TierStats& hot = data.stats.hot;
  const TierStats& cold = data.stats.cold;
  const std::uint64_t bytes = hot.bytes + cold.bytes;
  const auto row = [&](const char* name, std::uint64_t documents, std::uint64_t of_bytes, const char* kind) {
    table.add({name, describe_count(documents), describe_bytes(of_bytes), share_text(share(of_bytes, bytes))},
              kind);
  };
  row("hot", hot.documents, hot.bytes, "");
  row("cold", cold.documents, cold.bytes, "");
  row("all", hot.documents + cold.documents, bytes, "sum");
  row("warm copies", data.stats.warm.documents, data.stats.warm.bytes, "");
  const ColdStats& objects = data.stats.cold_storage;
  return table.html() + "<p class=\"note\">Cold documents stand in " + describe_count(objects.objects) +
         (objects.objects == 1 ? " object of " : " objects of ") + describe_bytes(objects.object_bytes) +
         ", as stored.</p>";
}

std::string reads_table(const ReportData& data, const Totals& totals) {
  HtmlTable table({"Served by", "reads", "share", "p50", "worst p99"});
  const StoreStats& now = data.stats;
  const std::uint64_t hits_now = now.hot.hits + now.warm.hits + now.cold.hits;
  const auto row = [&](const char* name, std::uint64_t hits, const TierStats& tier,
                       TierSample StatsSample::*sampled) {
    if (data.samples.empty()) {
      table.add({name, describe_count(tier.hits), share_text(share(tier.hits, hits_now)),
                 latency_text(static_cast<double>(tier.latency.p50.count())),
                 latency_text(static_cast<double>(tier.latency.p99.count()))});
      return;
    }
    const auto [p50, p99] = latency_of(data.samples, sampled);
    table.add(
        {name, describe_count(hits), share_text(totals.share(hits)), latency_text(p50), latency_text(p99)});
  };
  row("hot", totals.hot_hits, now.hot, &StatsSample::hot);
  row("warm", totals.warm_hits, now.warm, &StatsSample::warm);
  row("cold", totals.cold_hits, now.cold, &StatsSample::cold);
  const bool sampled = !data.samples.empty();
  const std::uint64_t misses = sampled ? totals.read_misses : now.read_misses;
  return table.html() + "<p class=\"note\">" +
         (sampled ? "Over all samples; p50 is the middle one of the samples’."
                  : "Since the store was opened.") +
         (misses == 0 ? "" : " " + describe_count(misses) + " more reads found no such document.") + "</p>";
}

std::string moves_table(const Totals& totals) {
  HtmlTable table({"Over all samples", "number"});
  table.add({"promoted to hot", describe_count(totals.promoted)});
  table.add({"demoted to cold", describe_count(totals.demoted)});
  table.add({"moves that failed", describe_count(totals.failed_moves)});
  table.add({"objects fetched", describe_count(totals.gets)});
  table.add({"objects written", describe_count(totals.puts)});
  return table.html();
}

std::string bill_table(const ReportData& data, const Bill& bill) {
  HtmlTable table({"A month", "this store", "1 TB of such"});
  const std::uint64_t bytes = data.stats.hot.bytes + data.stats.cold.bytes;
  const double scale =
      bytes == 0 ? std::numeric_limits<double>::quiet_NaN() : 1e12 / static_cast<double>(bytes);
  const auto row = [&](const char* name, double here, double there, const char* kind = "") {
    table.add({name, dollars_text(here), dollars_text(there)}, kind);
  };
  const double storage = bill.hot_storage + bill.cold_storage;
  row("hot storage", bill.hot_storage, bill.hot_storage * scale);
  row("cold storage", bill.cold_storage, bill.cold_storage * scale);
  if (bill.requests) row("requests", *bill.requests, *bill.requests);
  row("in tiers", bill.total(), storage * scale + bill.requests.value_or(0), "sum");
  row("all hot", bill.all_hot, bill.all_hot * scale);
  return table.html() + "<p class=\"note\">" +
         (bill.requests ? "Requests at the rate of the samples, which is the traffic’s: more documents that "
                          "are not read make no more of them."
                        : "Requests are left out: the samples cover less than a day.") +
         "</p>";
}

std::string collections_table(const ReportData& data, const Timeline& timeline) {
  if (data.collections.empty()) return "<p>There are no documents yet.</p>";
  const bool drawn = !timeline.periods.empty();
  HtmlTable table({"Collection", "documents", "hot", "cold", "bytes cold"}, "many");
  for (std::size_t i = 0; i < std::min(data.collections.size(), kListedCollections); ++i) {
    const CollectionInfo& entry = data.collections[i];
    table.add({name_html(entry.name) + (drawn ? collection_sparkline(timeline, entry.name) : ""),
               describe_count(entry.documents), describe_bytes(entry.hot_bytes),
               describe_bytes(entry.cold_bytes), share_text(share(entry.cold_bytes, entry.bytes))});
  }
  return table.html() + more_row_note(kListedCollections, data.collections.size(), "collections") +
         (drawn ? "<p class=\"note\">Beside the largest: their bytes over time, cold below hot, each on a "
                  "scale of its own; samples "
                  "name these alone.</p>"
                : "");
}

std::string busiest_table(const ReportData& data) {
  HtmlTable table({"Document", "collection", "recent reads"});
  for (std::size_t i = 0; i < std::min(data.busiest.size(), kListedDocuments); ++i) {
    const BusyDocument& busy = data.busiest[i];
    table.add({name_html(busy.id), name_html(busy.collection, 24), describe_count(busy.recent_access_count)});
  }
  return table.html();
}

std::string encryption_table(const EncryptionStatus& encryption) {
  HtmlTable table({"Copies of documents", "how many"});
  for (const KeyUse& use : encryption.uses) {
    if (use.copies == 0) continue;
    table.add({"sealed with key " + html(use.key_id) +
                   (use.key_id == encryption.active_key_id ? ", which is active" : ""),
               describe_count(use.copies)});
  }
  table.add({"to be sealed anew, or made plain", describe_count(encryption.copies_on_old_keys)});
  table.add({"plain", !encryption.writes      ? "what is written now is"
                      : encryption.plain_left ? "there may be some"
                                              : "none"});
  return table.html();
}

std::string settings_table(const TieredStoreConfig& config) {
  HtmlTable table({"Setting", "value"});
  const TieringConfig& tiering = config.tiering;
  const std::string window = span_text(tiering.access_window);
  table.add({"Hot where used within", span_text(tiering.hot_threshold)});
  table.add({"or where read within " + window, describe_count(tiering.access_count_threshold) + " times"});
  table.add({"Warm where used within", span_text(tiering.warm_threshold)});
  table.add({"Promoted to hot", promotion_text(tiering.promote_on_read)});
  table.add({"Bytes that may live hot", size_or(config.hot.max_size, "no bound")});
  table.add({"Bodies straight to cold above", describe_bytes(config.hot.max_body_size)});
  table.add({"Warm copies, bytes at most", size_or(config.warm.max_size, "off")});
  table.add({"Warm copies are fresh for", span_text(config.warm.ttl)});
  table.add({"Packed into segments below", describe_bytes(config.cold.pack_below)});
  table.add({"A sample about every",
             config.stats.sample_interval.count() == 0 ? "off" : span_text(config.stats.sample_interval)});
  table.add({"Hot storage, a GB and month", dollars_text(config.cost.hot_per_gb_month)});
  table.add({"Cold storage, a GB and month", dollars_text(config.cost.cold_per_gb_month)});
  table.add({"A million objects written", dollars_text(config.cost.per_million_object_writes)});
  table.add({"A million objects fetched", dollars_text(config.cost.per_million_object_reads)});
  return table.html();
}

}  // namespace db4::cli
