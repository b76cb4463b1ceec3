#pragma once
// db4's own warm caches for the conformance suite.

#include "support/redis_server.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"
#include "warm/disk_warm_cache.hpp"
#include "warm/warm_cache_suite.hpp"
#include "warm/warm_caches.hpp"

#include <db4/clock.hpp>

#include <memory>
#include <utility>

namespace db4::testing {

inline WarmCacheFactory in_memory() { return {.name = "Memory", .make = &warm::make_memory_warm_cache}; }

inline WarmCacheFactory on_disk(
    std::string name, std::function<std::shared_ptr<WarmCache>(std::filesystem::path, std::uint64_t)> make) {
  auto folder = std::make_shared<std::unique_ptr<TemporaryFolder>>();
  return {.name = std::move(name),
          .make =
              [folder, make](std::uint64_t max_bytes) {
                *folder = std::make_unique<TemporaryFolder>();
                return make((*folder)->path() / "warm", max_bytes);
              },
          .cleanup = [folder] { folder->reset(); }};
}

inline WarmCacheFactory on_memory_engine() {
  return on_disk("MemoryEngine", [](const auto& path, std::uint64_t max_bytes) {
    return warm::make_engine_warm_cache(path, max_bytes, &kv::open_memory_engine);
  });
}

inline WarmCacheFactory on_rocksdb() {
  WarmCacheFactory factory = on_disk("Disk", &warm::make_disk_warm_cache);
  if (kThreadSanitizer) factory.skip_reason = kRocksDbUnderThreadSanitizer;
  return factory;
}

inline warm::RedisWarmCacheOptions redis_options_for(const std::string& endpoint, const std::string& store_id,
                                                     std::uint64_t max_bytes) {
  constexpr std::chrono::milliseconds kPatience{30'000};
  WarmConfig config{
      .type = WarmType::redis, .max_size = max_bytes, .endpoint = endpoint, .timeout = kPatience};
  config.connect_timeout = kPatience;
  warm::RedisWarmCacheOptions options = warm::redis_options(config);
  options.store_id = store_id;
  options.clock = std::make_shared<SimulatedClock>(at_second(0));
  return options;
}

/// One server for the suite's tests, a store of its own for each.
inline WarmCacheFactory in_redis(std::string name, bool tls, bool socket) {
  auto server = std::make_shared<std::unique_ptr<RedisServer>>();
  return {.name = std::move(name),
          .make =
              [=, stores = 0](std::uint64_t max_bytes) mutable {
                if (*server == nullptr)
                  *server = std::make_unique<RedisServer>(RedisServer::Options{.tls = tls});
                const std::string endpoint = socket ? (*server)->unix_endpoint() : (*server)->endpoint();
                auto options = redis_options_for(endpoint, "store " + std::to_string(++stores), max_bytes);
                if (tls) options.client.ca_file = (*server)->ca_file();
                return warm::make_redis_warm_cache(std::move(options));
              },
          .skip_reason = RedisServer::absence(),
          .bounds_itself = false};
}

}  // namespace db4::testing
