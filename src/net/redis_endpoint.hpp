#pragma once
// Where a Redis server is, as text: redis://, rediss:// (TLS), unix:// or a path.

#include <db4/secret.hpp>

#include <string>
#include <string_view>

namespace db4::net {

inline constexpr std::string_view kDefaultRedisPort = "6379";

/// An endpoint's parts.
struct RedisEndpoint {
  bool tls = false;
  std::string host = {};         ///< a name or a numeric address, without brackets; empty for a unix socket
  std::string port = {};         ///< 1 to 65535
  std::string socket_path = {};  ///< of a unix socket; absolute
  std::string username = {};
  Secret password = {};
  unsigned database = 0;

  /// "redis://host:6379", "unix:///run/redis.sock": without name and password, for messages.
  [[nodiscard]] std::string shown() const;
};

/// Reads `redis://[user:password@]host[:port][/database]`, the same with `rediss://`,
/// `unix:///path[?db=database]` and a plain absolute path. Name and password may be percent-encoded. Throws
/// invalid_argument, with `setting` as the name of what holds the text; no message has a password in it.
RedisEndpoint parse_redis_endpoint(std::string_view text, std::string_view setting);

/// What tells of a server in several settings.
struct RedisServerSettings {
  std::string endpoint = {};  ///< as parse_redis_endpoint reads it
  std::string username = {};  ///< where the endpoint names none
  Secret password = {};
  std::string ca_file = {};
  std::string names = {};  ///< put before the settings' names in messages: "warm."
};

/// All of it in one. Throws invalid_argument for what contradicts itself, and where the ca_file cannot be
/// read or there is no TLS to use it.
RedisEndpoint read_redis_endpoint(const RedisServerSettings& settings);

}  // namespace db4::net
