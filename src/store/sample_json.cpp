// Samples as JSON: docs/json-figures.md, SAMPLE.
#include "store/sampler.hpp"

#include <nlohmann/json.hpp>

namespace db4::store {
namespace {

using Json = nlohmann::json;

Json tier_json(const TierSample& tier) {
  return {{"documents", tier.documents},
          {"bytes", tier.bytes},
          {"hits", tier.hits},
          {"p50_ns", tier.p50.count()},
          {"p99_ns", tier.p99.count()}};
}

TierSample tier_of(const Json& json) {
  return {.documents = json.at("documents"),
          .bytes = json.at("bytes"),
          .hits = json.at("hits"),
          .p50 = std::chrono::nanoseconds{json.at("p50_ns").get<std::int64_t>()},
          .p99 = std::chrono::nanoseconds{json.at("p99_ns").get<std::int64_t>()}};
}

}  // namespace

std::string encode_sample(const StatsSample& sample) {
  Json collections = Json::array();
  for (const CollectionSample& collection : sample.collections) {
    collections.push_back({{"name", collection.name},
                           {"hot_documents", collection.hot_documents},
                           {"hot_bytes", collection.hot_bytes},
                           {"cold_documents", collection.cold_documents},
                           {"cold_bytes", collection.cold_bytes}});
  }
  return Json{
      {"at", sample.at.time_since_epoch().count()},
      {"interval_ms", sample.interval.count()},
      {"tiers",
       {{"hot", tier_json(sample.hot)}, {"warm", tier_json(sample.warm)}, {"cold", tier_json(sample.cold)}}},
      {"read_misses", sample.read_misses},
      {"writes", sample.writes},
      {"promoted", sample.promoted},
      {"demoted", sample.demoted},
      {"failed_moves", sample.failed_moves},
      {"puts", sample.puts},
      {"gets", sample.gets},
      {"cost",
       {{"hot_storage", sample.hot_storage},
        {"cold_storage", sample.cold_storage},
        {"requests", sample.requests},
        {"all_hot", sample.all_hot}}},
      {"collections", std::move(collections)}}
      .dump();
}

std::optional<StatsSample> decode_sample(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    const Json& cost = json.at("cost");
    StatsSample out{.at = TimePoint{std::chrono::microseconds{json.at("at").get<std::int64_t>()}},
                    .interval = std::chrono::milliseconds{json.at("interval_ms").get<std::int64_t>()},
                    .hot = tier_of(json.at("tiers").at("hot")),
                    .warm = tier_of(json.at("tiers").at("warm")),
                    .cold = tier_of(json.at("tiers").at("cold")),
                    .read_misses = json.at("read_misses"),
                    .writes = json.at("writes"),
                    .promoted = json.at("promoted"),
                    .demoted = json.at("demoted"),
                    .failed_moves = json.at("failed_moves"),
                    .puts = json.at("puts"),
                    .gets = json.at("gets"),
                    .hot_storage = cost.at("hot_storage"),
                    .cold_storage = cost.at("cold_storage"),
                    .requests = cost.at("requests"),
                    .all_hot = cost.at("all_hot")};
    for (const Json& collection : json.at("collections")) {
      out.collections.push_back({.name = collection.at("name"),
                                 .hot_documents = collection.at("hot_documents"),
                                 .hot_bytes = collection.at("hot_bytes"),
                                 .cold_documents = collection.at("cold_documents"),
                                 .cold_bytes = collection.at("cold_bytes")});
    }
    return out;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace db4::store
