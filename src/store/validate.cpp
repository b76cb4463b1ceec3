// What comes from outside is checked here, once.
#include "catalog/names.hpp"
#include "codec/json_check.hpp"
#include "codec/record.hpp"
#include "objects/object_name.hpp"
#include "objects/s3_settings.hpp"
#include "store/impl.hpp"
#include "warm/warm_caches.hpp"

namespace db4::store {
namespace {

[[noreturn]] void refuse(std::string problem, std::string advice) {
  throw Error(ErrorCode::invalid_argument, std::move(problem), std::move(advice));
}

void check_tiering(const TieringConfig& tiering) {
  if (tiering.access_count_threshold == 0) {
    refuse("tiering.access_count_threshold is 0, which would make every document hot", "set it to 1 or more");
  }
  if (tiering.hot_threshold <= 0ms || tiering.warm_threshold < tiering.hot_threshold) {
    refuse("tiering.hot_threshold and tiering.warm_threshold are out of order",
           "set 0 < hot_threshold <= warm_threshold");
  }
  if (tiering.access_window < 2ms) refuse("tiering.access_window is too short", "set it to at least 2 ms");
  if (tiering.interval < 0ms || tiering.tombstone_retention < 0ms) {
    refuse("a duration in tiering is negative", "set tiering.interval and tombstone_retention to 0 or more");
  }
  if (tiering.claim_lease < 1s) {
    refuse("tiering.claim_lease is under a second", "set it to more than a tiering run takes");
  }
}

/// It begins every object's name, so it must be one that every provider and proxy leaves as it is.
void check_prefix(std::string_view prefix) {
  if (prefix.empty()) return;
  constexpr const char* kAdvice = "choose another one, such as \"data/\"";
  if (prefix.size() > 512 || !objects::is_object_name(prefix)) {
    refuse("cold.prefix is no UTF-8 of at most 512 bytes without control characters", kAdvice);
  }
  if (prefix.front() == '/') refuse("cold.prefix begins with '/'", kAdvice);
  for (std::string_view rest = prefix; !rest.empty();) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, slash);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
    if (part.empty() || part == "." || part == "..") {
      refuse("cold.prefix has a part that is empty, \".\" or \"..\", which may be taken for a path", kAdvice);
    }
  }
}

void check_requests(const ColdConfig& cold) {
  if (cold.max_attempts == 0 || cold.max_attempts > 100) {
    refuse("cold.max_attempts is not from 1 to 100", "set it in range; 1 repeats nothing");
  }
  if (cold.request_timeout < 0ms || cold.retry_base_delay < 0ms || cold.retry_max_delay < 0ms ||
      cold.retry_base_delay > 1h) {
    refuse("cold.request_timeout, retry_base_delay or retry_max_delay is negative, or the base over an hour",
           "set them to 0 or more");
  }
  for (const std::uint64_t rate : {cold.max_reads_per_second, cold.max_writes_per_second,
                                   cold.max_deletes_per_second, cold.max_lists_per_second}) {
    if (rate > 1'000'000)
      refuse("a rate of the cold tier is over 1,000,000 a second", "set it to 0: no bound");
  }
}

}  // namespace

void check_pin_target(std::string_view collection, PinScope scope, std::string_view id) {
  catalog::check_collection(collection);
  switch (scope) {
    case PinScope::document:
      return catalog::check_text("id", id, kMaxIdBytes);
    case PinScope::prefix:
      return catalog::check_text("prefix", id, kMaxIdBytes);
    case PinScope::collection:
      if (!id.empty()) refuse("a pin of a collection names an id", "leave the id out, or name another scope");
      return;
  }
  refuse("the pin's scope is none", "use PinScope::document, prefix or collection");
}

void check_config(const TieredStoreConfig& config, const Components& components) {
  const bool in_folder = config.hot.type == HotType::sqlite || config.hot.type == HotType::rocksdb;
  if (in_folder && config.hot.path.empty()) refuse("hot.path is empty", "name a folder");
  if (config.hot.type == HotType::postgres && config.hot.url.empty())
    refuse("hot.url is empty", "write it as postgresql://user@host:5432/database");
  if (config.hot.max_connections == 0 || config.hot.max_connections > 1000)
    refuse("hot.max_connections is not from 1 to 1,000", "set it in range");
  if (config.hot.connect_timeout <= 0ms || config.hot.timeout <= 0ms)
    refuse("hot.connect_timeout or hot.timeout is not positive", "set them above 0");
  if (config.hot.max_body_size > kMaxBodyBytes) {
    refuse("hot.max_body_size is over " + std::to_string(kMaxBodyBytes), "lower it");
  }
  if (config.hot.full_timeout < 0ms) refuse("hot.full_timeout is negative", "set it to 0 or more");
  if (!components.warm_cache && config.warm.max_size > 0) {
    if (config.warm.type == WarmType::redis) (void)warm::redis_options(config.warm);
    if (config.warm.type == WarmType::disk && config.warm.path.empty())
      refuse("warm.path is empty", "name a folder");
  }
  if (config.warm.ttl <= 0ms || config.warm.stale_while_revalidate < 0ms) {
    refuse("warm.ttl or warm.stale_while_revalidate is not positive",
           "set ttl > 0 and stale_while_revalidate >= 0");
  }
  if (!components.object_store) {
    if (config.cold.type == ColdType::s3) objects::check_s3_config(s3_config(config.cold));
    if (config.cold.type == ColdType::filesystem && config.cold.path.empty()) {
      refuse("cold.path is empty", "name a folder");
    }
  }
  check_prefix(config.cold.prefix);
  if (config.cold.segment_size < 64_KiB || config.cold.segment_size > 1_GiB) {
    refuse("cold.segment_size is out of range", "set it between 64 KiB and 1 GiB");
  }
  if (config.cold.dictionary_samples < 100 || config.cold.dictionary_samples > 100'000) {
    refuse("cold.dictionary_samples is out of range", "set it between 100 and 100,000");
  }
  if (config.cold.upload_expiry < 1min) {
    refuse("cold.upload_expiry is under a minute", "set it to more than the longest upload may rest");
  }
  if (config.cold.garbage_grace < 0ms || config.cold.intent_deadline <= 0ms) {
    refuse("cold.garbage_grace or cold.intent_deadline is not positive", "set grace >= 0 and deadline > 0");
  }
  if (config.live.max_clients == 0 || config.live.max_clients > 1000) {
    refuse("live.max_clients is not from 1 to 1,000",
           "set it in range; live.enabled = false keeps everybody out");
  }
  if (config.stats.sample_interval < 0ms || config.stats.max_samples < 16 ||
      config.stats.max_samples > 100'000) {
    refuse("stats.sample_interval is negative, or stats.max_samples is not from 16 to 100,000",
           "set them in range; sample_interval 0 keeps no samples");
  }
  check_requests(config.cold);
  codec::check_compression_level(config.cold.compression, config.cold.compression_level);
  check_tiering(config.tiering);
}

}  // namespace db4::store
