// What WarmType::redis makes of the configuration.
#include "warm/warm_caches.hpp"

#include <db4/error.hpp>

#include <algorithm>

namespace db4::warm {
namespace {

constexpr std::size_t kMaxPrefixBytes = 256;

[[noreturn]] void refuse(std::string problem, std::string advice) {
  throw Error(ErrorCode::invalid_argument, std::move(problem), std::move(advice));
}

void check_limits(const WarmConfig& config) {
  if (config.timeout <= 0ms || config.connect_timeout <= 0ms ||
      std::max(config.timeout, config.connect_timeout) > 1h) {
    refuse("warm.timeout or warm.connect_timeout is not above 0, or over an hour",
           "set them in range; a read may wait that long for a server that hangs");
  }
  if (config.max_connections == 0 || config.max_connections > net::kMaxRedisConnections) {
    refuse("warm.max_connections is not from 1 to 10,000", "set it in range");
  }
  if (config.prefix.size() > kMaxPrefixBytes) {
    refuse("warm.prefix is over " + std::to_string(kMaxPrefixBytes) + " bytes", "choose a shorter one");
  }
}

}  // namespace

RedisWarmCacheOptions redis_options(const WarmConfig& config) {
  RedisWarmCacheOptions options;
  options.client.endpoint = net::read_redis_endpoint({.endpoint = config.endpoint,
                                                      .username = config.username,
                                                      .password = config.password,
                                                      .ca_file = config.ca_file.string(),
                                                      .names = "warm."});
  check_limits(config);
  options.client.ca_file = config.ca_file.string();
  options.client.connect_timeout = config.connect_timeout;
  options.client.timeout = config.timeout;
  options.client.max_connections = config.max_connections;
  options.client.settings = "warm.";
  options.prefix = config.prefix;
  options.max_bytes = config.max_size;
  return options;
}

}  // namespace db4::warm
