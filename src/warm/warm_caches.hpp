#pragma once
// warm: a cache with TTL and stale-while-revalidate over backends memory and disk. Includes base, kv, codec.

#include <db4/warm_cache.hpp>

#include <filesystem>
#include <memory>

namespace db4::warm {

/// Entries in memory, sharded, bounded by bytes (keys, records and overhead), evicted by S3-FIFO.
std::shared_ptr<WarmCache> make_memory_warm_cache(std::uint64_t max_bytes);

/// Entries in an engine of their own under `path`, not synced, bounded by bytes, evicted by S3-FIFO whose
/// queues live in the engine too, so that opening costs nothing and an entry costs no memory. What cannot be
/// opened or read is wiped and started anew: it is a cache.
std::shared_ptr<WarmCache> make_disk_warm_cache(const std::filesystem::path& path, std::uint64_t max_bytes);

}  // namespace db4::warm
