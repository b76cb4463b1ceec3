#pragma once
// warm: a cache with TTL and stale-while-revalidate over backends memory and disk. Includes base and kv.

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

}  // namespace db4::warm
