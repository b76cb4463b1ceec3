#pragma once
// Figures for reports, and names that would break a page.

#include "cli/report_data.hpp"

#include <string>
#include <vector>

namespace db4::testing {

inline const std::vector<std::string>& hostile_names() {
  static const std::vector<std::string> names{"<script>document.title='owned'</script>",
                                              "\"><img src=x onerror=\"document.title='owned'\">",
                                              "' onmouseover='alert(1)",
                                              "</style></title></svg><svg onload=alert(1)>",
                                              "<!-- ]]> &lt;b&gt; &#0; -->",
                                              "🦆 emoji 👩‍🚀",
                                              "right-to-left \xE2\x80\xAE override",
                                              "line\nbreak\ttab\x01\x7F\xC2\x9B",
                                              "no \xFF\xC3 UTF-8 \xED\xA0\x80",
                                              std::string(1024, 'x')};
  return names;
}

/// A store of one hot and three cold documents.
inline cli::ReportData some_store() {
  cli::ReportData data{.name = "shop", .at = TimePoint{std::chrono::hours{24 * 20'000}}};
  data.store_id = "0123456789abcdef";
  data.backends = "rocksdb, disk and filesystem";
  data.stats.hot = {.documents = 1, .bytes = 1000, .hits = 30, .latency = {}};
  data.stats.cold = {.documents = 3, .bytes = 3000, .hits = 10, .latency = {}};
  data.stats.cost = {.hot_storage = 1.25, .cold_storage = 0.75, .all_hot = 8};
  data.collections = {{.name = "orders",
                       .documents = 4,
                       .bytes = 4000,
                       .hot_documents = 1,
                       .hot_bytes = 1000,
                       .cold_documents = 3,
                       .cold_bytes = 3000}};
  return data;
}

/// `count` samples, an hour apart, of a store whose documents go cold one by one.
inline void add_samples(cli::ReportData& data, std::size_t count) {
  const TimePoint start = data.at - std::chrono::hours{1} * static_cast<std::int64_t>(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto cold = static_cast<std::uint64_t>(i);
    data.samples.push_back(
        {.at = start + std::chrono::hours{1} * static_cast<std::int64_t>(i + 1),
         .interval = std::chrono::hours{1},
         .hot =
             {.documents = count - cold, .bytes = 1000 * (count - cold), .hits = 90, .p50 = 2us, .p99 = 9us},
         .warm = {.documents = 1, .bytes = 500, .hits = 6, .p50 = 40us, .p99 = 90us},
         .cold = {.documents = cold, .bytes = 1000 * cold, .hits = 4, .p50 = 300us, .p99 = 4ms},
         .writes = 2,
         .promoted = 1,
         .demoted = 2,
         .puts = 1,
         .gets = 4,
         .hot_storage = 1.25,
         .cold_storage = 0.75,
         .requests = 0.001,
         .all_hot = 8,
         .collections = {{.name = "orders", .hot_bytes = 1000 * (count - cold), .cold_bytes = 1000 * cold}}});
  }
}

}  // namespace db4::testing
