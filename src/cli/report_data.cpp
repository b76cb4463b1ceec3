#include "report_data.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace db4::cli {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kLastYear = 253'402'300'799'000'000;  // the end of 9999, in microseconds

/// A time or a length of time, within bounds that can be reckoned with.
std::chrono::microseconds microseconds_of(const Json& json, std::int64_t scale = 1) {
  return std::chrono::microseconds{std::clamp<std::int64_t>(json.get<std::int64_t>(), 0, kLastYear / scale) *
                                   scale};
}

std::chrono::nanoseconds nanoseconds_of(const Json& json) {
  return std::chrono::nanoseconds{json.get<std::int64_t>()};
}

TierStats tier_stats_of(const Json& json) {
  const Json& latency = json.at("latency");
  return {.documents = json.at("documents"),
          .bytes = json.at("bytes"),
          .hits = json.at("hits"),
          .misses = json.at("misses"),
          .latency = {.count = latency.at("count"),
                      .p50 = nanoseconds_of(latency.at("p50_ns")),
                      .p99 = nanoseconds_of(latency.at("p99_ns"))}};
}

TierSample tier_sample_of(const Json& json) {
  return {.documents = json.at("documents"),
          .bytes = json.at("bytes"),
          .hits = json.at("hits"),
          .p50 = nanoseconds_of(json.at("p50_ns")),
          .p99 = nanoseconds_of(json.at("p99_ns"))};
}

CollectionSample collection_sample_of(const Json& json) {
  return {.name = json.at("name"),
          .hot_documents = json.at("hot_documents"),
          .hot_bytes = json.at("hot_bytes"),
          .cold_documents = json.at("cold_documents"),
          .cold_bytes = json.at("cold_bytes")};
}

constexpr std::array<std::pair<const char*, std::uint64_t StatsSample::*>, 7> kCounts{
    {{"read_misses", &StatsSample::read_misses},
     {"writes", &StatsSample::writes},
     {"promoted", &StatsSample::promoted},
     {"demoted", &StatsSample::demoted},
     {"failed_moves", &StatsSample::failed_moves},
     {"puts", &StatsSample::puts},
     {"gets", &StatsSample::gets}}};
constexpr std::array<std::pair<const char*, double StatsSample::*>, 4> kDollars{
    {{"hot_storage", &StatsSample::hot_storage},
     {"cold_storage", &StatsSample::cold_storage},
     {"requests", &StatsSample::requests},
     {"all_hot", &StatsSample::all_hot}}};

StatsSample sample_of(const Json& json) {
  const Json& tiers = json.at("tiers");
  StatsSample out{.at = TimePoint{microseconds_of(json.at("at"))},
                  .interval = std::chrono::duration_cast<std::chrono::milliseconds>(
                      microseconds_of(json.at("interval_ms"), 1000)),
                  .hot = tier_sample_of(tiers.at("hot")),
                  .warm = tier_sample_of(tiers.at("warm")),
                  .cold = tier_sample_of(tiers.at("cold"))};
  for (const auto& [name, member] : kCounts) out.*member = json.at(name);
  for (const auto& [name, member] : kDollars) out.*member = json.at("cost").at(name);
  for (const Json& collection : json.at("collections"))
    out.collections.push_back(collection_sample_of(collection));
  return out;
}

EncryptionStatus encryption_of(const Json& json) {
  EncryptionStatus out{.encrypted = json.at("encrypted"),
                       .writes = json.at("writes"),
                       .active_key_id = json.at("active_key_id"),
                       .copies_on_old_keys = json.at("copies_on_old_keys"),
                       .plain_left = json.at("plain_left")};
  for (const Json& use : json.at("keys"))
    out.uses.push_back({.key_id = use.at("key_id"), .copies = use.at("copies")});
  return out;
}

void read_stats(ReportData& data, const Json& json) {
  const Json& tiers = json.at("tiers");
  data.stats.hot = tier_stats_of(tiers.at("hot"));
  data.stats.warm = tier_stats_of(tiers.at("warm"));
  data.stats.cold = tier_stats_of(tiers.at("cold"));
  data.stats.cold_storage.objects = json.at("cold").at("objects");
  data.stats.cold_storage.object_bytes = json.at("cold").at("object_bytes");
  const Json& cost = json.at("cost");
  data.stats.cost = {.hot_storage = cost.at("hot_storage"),
                     .cold_storage = cost.at("cold_storage"),
                     .requests = cost.at("requests"),
                     .total = cost.at("total"),
                     .all_hot = cost.at("all_hot")};
  const Json& store = json.at("store");
  data.store_id = store.at("id");
  data.backends = store.at("hot_type").get<std::string>() + ", " + store.at("warm_type").get<std::string>() +
                  " and " + store.at("cold_type").get<std::string>();
  data.at = TimePoint{microseconds_of(json.at("at"))};
  data.encryption = encryption_of(json.at("encryption"));
}

void read_collections(ReportData& data, const Json& json) {
  for (const Json& entry : json.at("collections")) {
    data.collections.push_back({.name = entry.at("name"),
                                .documents = entry.at("documents"),
                                .bytes = entry.at("bytes"),
                                .hot_documents = entry.at("hot_documents"),
                                .hot_bytes = entry.at("hot_bytes"),
                                .cold_documents = entry.at("cold_documents"),
                                .cold_bytes = entry.at("cold_bytes")});
  }
  std::ranges::stable_sort(data.collections, std::greater{}, &CollectionInfo::bytes);
}

}  // namespace

ReportData gather_report(const Ask& ask) {
  const auto reply = [&](std::string_view request) { return Json::parse(ask(request).json); };
  try {
    ReportData data;
    const Json top = reply(R"({"op":"top","limit":10})");
    read_stats(data, top.at("stats"));
    for (const Json& busy : top.at("busiest")) {
      data.busiest.push_back({.collection = busy.at("collection"),
                              .id = busy.at("id"),
                              .recent_access_count = busy.at("recent_access_count")});
    }
    read_collections(data, reply(R"({"op":"ls"})"));
    // The reply is kept while it is walked: a range-for would outlive a temporary.
    const Json samples = reply(R"({"op":"samples"})");
    for (const Json& sample : samples.at("samples")) data.samples.push_back(sample_of(sample));
    std::ranges::stable_sort(data.samples, {}, &StatsSample::at);
    return data;
  } catch (const Json::exception& failure) {
    throw Error(ErrorCode::unsupported,
                std::string("the store's reply cannot be understood: ") + failure.what(),
                "use the db4 of the release that holds the store");
  }
}

}  // namespace db4::cli
