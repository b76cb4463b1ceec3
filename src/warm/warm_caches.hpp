#pragma once
// warm: a cache with TTL and stale-while-revalidate over backends memory, disk and Redis. Includes base, kv,
// net, crypto and sealing.

#include "base/circuit_breaker.hpp"
#include "net/redis_client.hpp"

#include <db4/config.hpp>
#include <db4/warm_cache.hpp>

#include <filesystem>
#include <memory>

namespace db4::warm {

/// Entries in memory, sharded, bounded by bytes (keys, records and overhead), evicted by S3-FIFO.
std::shared_ptr<WarmCache> make_memory_warm_cache(std::uint64_t max_bytes);

/// Entries in an engine of their own in a folder below `path`, not synced, evicted by S3-FIFO whose queues
/// live in the engine too, so that opening costs nothing and an entry costs no memory (the use counters and
/// the ghost queue are tables of fixed size, 12 MiB at most). The bound is on live bytes; the engine's files
/// may be larger until it compacts, which it is told to do after each turnover. What cannot be opened or read
/// is wiped and started anew (WarmCacheStats::wiped): it is a cache. Throws locked where another process has
/// it open, permission_denied, read_only, resource_exhausted.
std::shared_ptr<WarmCache> make_disk_warm_cache(const std::filesystem::path& path, std::uint64_t max_bytes);
/// The same for seal_warm_cache alone: what is below `path` was sealed, or is wiped. Nothing of a plain cache
/// stays in its files, nor of a sealed one in those of a plain one.
std::shared_ptr<WarmCache> make_disk_warm_cache_to_seal(const std::filesystem::path& path,
                                                        std::uint64_t max_bytes);

/// Larger records are not cached in Redis: while one of them is sent, the server answers nobody.
inline constexpr std::size_t kMaxRedisRecordBytes = std::size_t{16} << 20;

/// `client.max_reply_bytes` is set by the cache.
struct RedisWarmCacheOptions {
  net::RedisClientOptions client = {};
  std::string prefix = "db4:";  ///< in front of all names, for other users of the server
  std::string store_id = {};    ///< then this: stores do not see each other's entries
  /// An entry of more than a tenth of this is not admitted. How much is held is the server's to bound
  /// (maxmemory, maxmemory-policy).
  std::uint64_t max_bytes = 256_MiB;
  CircuitBreaker::Options breaker = {};
  std::shared_ptr<Clock> clock = {};  ///< of times to live and the breaker's pauses; null: the system's
  std::shared_ptr<RandomSource> random = {};  ///< of generations and the breaker's jitter; null: the system's
};

/// Entries in a Redis server, which many processes share: docs/redis.md has what stands there. Connects when
/// it is first asked. A server that fails CircuitBreaker::Options::max_failures times in a row is left alone
/// for a growing pause, during which every call throws `unavailable` at once. What the server holds and this
/// cannot read is absent, and removed.
///
/// stats(): entries and bytes are counted in the server, for all processes, and forget what has expired but
/// not what the server evicted; evictions are the whole server's since the first stats().
///
/// Throws invalid_argument for options that make no sense.
std::shared_ptr<WarmCache> make_redis_warm_cache(RedisWarmCacheOptions options);

/// What WarmType::redis makes of the configuration. Throws invalid_argument, naming the setting.
RedisWarmCacheOptions redis_options(const WarmConfig& config);

}  // namespace db4::warm
