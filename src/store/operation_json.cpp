#include "store/operation_json.hpp"

#include "store/key_operations.hpp"
#include "store/sampler.hpp"

#include <db4/operations.hpp>

#include <algorithm>

namespace db4::store {
namespace {

std::int64_t to_us(TimePoint when) noexcept { return when.time_since_epoch().count(); }

Json latency_json(const LatencySummary& latency) {
  return {{"count", latency.count},        {"mean_ns", latency.mean.count()},
          {"p50_ns", latency.p50.count()}, {"p90_ns", latency.p90.count()},
          {"p99_ns", latency.p99.count()}, {"max_ns", latency.max.count()}};
}

Json tier_json(const TierStats& tier) {
  return {{"documents", tier.documents},
          {"bytes", tier.bytes},
          {"hits", tier.hits},
          {"misses", tier.misses},
          {"latency", latency_json(tier.latency)}};
}

Json hot_json(const HotStats& hot) {
  return {{"max_size", hot.max_size},
          {"cache_entries", hot.cache_entries},
          {"cache_bytes", hot.cache_bytes},
          {"cache_hits", hot.cache_hits},
          {"cache_evictions", hot.cache_evictions},
          {"waits", hot.waits},
          {"refusals", hot.refusals}};
}

Json warm_json(const WarmStats& warm) {
  return {{"entries", warm.entries},
          {"bytes", warm.bytes},
          {"hits", warm.hits},
          {"stale_hits", warm.stale_hits},
          {"misses", warm.misses},
          {"expired", warm.expired},
          {"refreshes", warm.refreshes},
          {"failed_refreshes", warm.failed_refreshes},
          {"refused_refreshes", warm.refused_refreshes},
          {"waits", warm.waits},
          {"shared_fills", warm.shared_fills},
          {"lost_leases", warm.lost_leases},
          {"cache_errors", warm.cache_errors},
          {"evictions", warm.evictions},
          {"last_error", warm.last_error}};
}

/// Of the kinds that were asked for at all.
Json requests_json(const ColdStats& cold) {
  Json out = Json::array();
  for (std::size_t index = 0; index < kObjectOperations; ++index) {
    const RequestStats& request = cold.requests[index];
    if (request.requests == 0) continue;
    out.push_back({{"operation", to_string(static_cast<ObjectOperation>(index))},
                   {"requests", request.requests},
                   {"failures", request.failures},
                   {"retries", request.retries},
                   {"bytes", request.bytes},
                   {"latency", latency_json(request.latency)}});
  }
  return out;
}

Json cold_json(const ColdStats& cold) {
  return {{"documents", cold.documents},       {"bytes", cold.bytes},
          {"record_bytes", cold.record_bytes}, {"objects", cold.objects},
          {"object_bytes", cold.object_bytes}, {"put_requests", cold.put_requests},
          {"get_requests", cold.get_requests}, {"delete_requests", cold.delete_requests},
          {"shared_reads", cold.shared_reads}, {"requests", requests_json(cold)}};
}

Json store_json(const StoreInfo& info) {
  return {{"id", info.id},
          {"format", info.format},
          {"hot_type", to_string(info.hot_type)},
          {"warm_type", info.warm_enabled ? Json(to_string(info.warm_type)) : Json("off")},
          {"cold_type", to_string(info.cold_type)},
          {"durability", to_string(info.durability)},
          {"compression", to_string(info.compression)},
          {"pid", info.pid}};
}

}  // namespace

void bad_request(const std::string& problem, const std::string& advice) {
  throw Error(ErrorCode::invalid_argument, "the request cannot be understood: " + problem, advice);
}

Arguments::Arguments(std::string_view request_json) {
  constexpr const char* kAdvice = "send a flat JSON object such as {\"op\": \"stats\"}";
  if (request_json.size() > kMaxOperationRequestBytes) {
    bad_request("it has " + std::to_string(request_json.size()) + " bytes", kAdvice);
  }
  // Nothing in a request is nested: what is, is passed over before it can be deep.
  const Json::parser_callback_t flat = [](int depth, Json::parse_event_t event, const Json&) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth > 0) bad_request("it is nested", kAdvice);
    return true;
  };
  json_ = Json::parse(request_json, flat, /*allow_exceptions=*/false);
  if (!json_.is_object()) bad_request("it is no JSON object", kAdvice);
}

void Arguments::check_names(std::string_view known) const {
  const std::string padded = " " + std::string(known) + " op ";
  for (const auto& member : json_.items()) {
    const std::string& name = member.key();
    if (!name.empty() && name.find(' ') == std::string::npos &&
        padded.find(" " + name + " ") != std::string::npos) {
      continue;
    }
    bad_request("'" + member.key() + "' is no argument of it",
                known.empty() ? "leave it out" : "use of these: " + std::string(known));
  }
}

std::string Arguments::text(const char* name) const {
  const auto found = json_.find(name);
  if (found == json_.end() || !found->is_string()) {
    bad_request("'" + std::string(name) + "' is missing, or no text", "name it as a JSON string");
  }
  return found->get<std::string>();
}

std::string Arguments::text_or(const char* name, std::string otherwise) const {
  return has(name) ? text(name) : std::move(otherwise);
}

std::optional<std::uint64_t> Arguments::number(const char* name) const {
  const auto found = json_.find(name);
  if (found == json_.end()) return std::nullopt;
  if (!found->is_number_unsigned()) {
    bad_request("'" + std::string(name) + "' is no whole number from 0 on",
                "write it without quotes or fraction");
  }
  return found->get<std::uint64_t>();
}

bool Arguments::flag(const char* name) const {
  const auto found = json_.find(name);
  if (found == json_.end()) return false;
  if (!found->is_boolean())
    bad_request("'" + std::string(name) + "' is neither true nor false", "write one of them");
  return found->get<bool>();
}

std::optional<StorageTier> Arguments::tier(const char* name) const {
  if (!has(name)) return std::nullopt;
  const std::string word = text(name);
  const auto tier = tier_from_string(word);
  if (!tier) bad_request("'" + word + "' is no tier", "use hot, warm or cold");
  return tier;
}

PinScope Arguments::scope(const char* name) const {
  const std::string word = text(name);
  const auto scope = pin_scope_from_string(word);
  if (!scope) bad_request("'" + word + "' is no scope", "use document, prefix or collection");
  return *scope;
}

Json meta_json(const DocumentMeta& meta) {
  return {{"version", meta.version},
          {"tier", to_string(meta.tier)},
          {"size", meta.size},
          {"content_type", meta.content_type},
          {"created_at", to_us(meta.created_at)},
          {"updated_at", to_us(meta.updated_at)},
          {"accessed_at", to_us(meta.accessed_at)},
          {"access_count", meta.access_count},
          {"recent_access_count", meta.recent_access_count}};
}

Json collection_json(const CollectionInfo& info) {
  return {{"name", info.name},
          {"documents", info.documents},
          {"bytes", info.bytes},
          {"hot_documents", info.hot_documents},
          {"hot_bytes", info.hot_bytes},
          {"cold_documents", info.cold_documents},
          {"cold_bytes", info.cold_bytes}};
}

Json pin_json(const Pin& pin) {
  return {{"collection", pin.collection},
          {"scope", to_string(pin.scope)},
          {"id", pin.id},
          {"tier", to_string(pin.tier)},
          {"since", to_us(pin.since)}};
}

Json explanation_json(const Explanation& explanation) {
  Json out{{"meta", meta_json(explanation.meta)},
           {"home", to_string(explanation.home)},
           {"copies", explanation.copies},
           {"placed_by", explanation.placed_by},
           {"placed_at", to_us(explanation.placed_at)},
           {"classified", to_string(explanation.classified)},
           {"rule", explanation.rule},
           {"outlook", explanation.outlook},
           {"key_id", explanation.key_id},
           {"moves", Json::array()}};
  if (explanation.due_at) out["due_at"] = to_us(*explanation.due_at);
  if (explanation.pin) out["pin"] = pin_json(*explanation.pin);
  for (const PastMove& move : explanation.moves) {
    out["moves"].push_back({{"at", to_us(move.at)},
                            {"from", to_string(move.from)},
                            {"to", to_string(move.to)},
                            {"reason", move.reason}});
  }
  return out;
}

Json tiering_json(const TieringResult& result, bool dry_run) {
  Json moves = Json::array();
  for (std::size_t i = 0; i < std::min(result.moves.size(), kMaxOperationListed); ++i) {
    const Move& move = result.moves[i];
    moves.push_back({{"collection", move.collection},
                     {"id", move.id},
                     {"from", to_string(move.from)},
                     {"to", to_string(move.to)},
                     {"bytes", move.bytes},
                     {"reason", move.reason}});
  }
  return {{"promoted", result.promoted},
          {"demoted", result.demoted},
          {"skipped", result.skipped},
          {"failed", result.failed},
          {"bytes_moved", result.bytes_moved},
          {"compacted_segments", result.compacted_segments},
          {"compacted_bytes", result.compacted_bytes},
          {"reencrypted", result.reencrypted},
          {"reencrypted_bytes", result.reencrypted_bytes},
          {"trained_dictionaries", result.trained_dictionaries},
          {"duration_ms", result.duration.count()},
          {"more", result.more},
          {"dry_run", dry_run},
          {"moves", std::move(moves)},
          {"errors", result.errors},
          {"stopped_by", result.stopped_by}};
}

Json stats_json(TieredStore& store) {
  const StoreStats stats = store.stats();
  const StoreInfo info = store.info();
  return {{"at", to_us(info.now)},
          {"uptime_ms", info.uptime.count()},
          {"store", store_json(info)},
          {"tiers",
           {{"hot", tier_json(stats.hot)}, {"warm", tier_json(stats.warm)}, {"cold", tier_json(stats.cold)}}},
          {"hot", hot_json(stats.hot_storage)},
          {"warm", warm_json(stats.warm_storage)},
          {"cold", cold_json(stats.cold_storage)},
          {"invalidation",
           {{"channel", stats.invalidation.channel},
            {"polls", stats.invalidation.polls},
            {"sent", stats.invalidation.sent},
            {"received", stats.invalidation.received},
            {"missed", stats.invalidation.missed},
            {"recovered", stats.invalidation.recovered},
            {"distrusts", stats.invalidation.distrusts},
            {"dropped_copies", stats.invalidation.dropped_copies},
            {"failed_sends", stats.invalidation.failed_sends},
            {"waiting", stats.invalidation.waiting},
            {"nodes", stats.invalidation.nodes}}},
          {"moves",
           {{"promoted", stats.moves.promoted},
            {"demoted", stats.moves.demoted},
            {"failed", stats.moves.failed},
            {"bytes", stats.moves.bytes},
            {"runs", stats.moves.runs},
            {"stopped_runs", stats.moves.stopped_runs},
            {"claims", stats.moves.claims},
            {"lost_claims", stats.moves.lost_claims},
            {"promotions_skipped", stats.moves.promotions_skipped}}},
          {"cost",
           {{"hot_storage", stats.cost.hot_storage},
            {"cold_storage", stats.cost.cold_storage},
            {"requests", stats.cost.requests},
            {"total", stats.cost.total},
            {"all_hot", stats.cost.all_hot}}},
          {"encryption", encryption_json(store.encryption_status())},
          {"reads", stats.reads},
          {"read_misses", stats.read_misses},
          {"writes", stats.writes},
          {"removes", stats.removes},
          {"conflicts", stats.conflicts},
          {"damaged_copies", stats.damaged_copies},
          {"commits", stats.commits},
          {"syncs", stats.syncs},
          {"tombstones", stats.tombstones},
          {"lost_access_figures", stats.lost_access_figures},
          {"write_latency", latency_json(stats.write_latency)},
          {"last_background_error", stats.last_background_error}};
}

std::string samples_json(const std::vector<StatsSample>& samples) {
  // As they are stored, so that there is one description of them.
  std::string out = "{\"samples\":[";
  for (const StatsSample& sample : samples) {
    if (out.back() == '}') out.push_back(',');
    out += encode_sample(sample);
  }
  return out + "]}";
}

}  // namespace db4::store
