#pragma once
// What a store says about itself. Counts are since it was opened unless they say otherwise.

#include <db4/object_operation.hpp>
#include <db4/tier.hpp>
#include <db4/types.hpp>
#include <db4/warm_storage.hpp>

#include <array>
#include <string>
#include <vector>

namespace db4 {

/// How long something took.
struct LatencySummary {
  std::uint64_t count = 0;  ///< measured ones; hits in memory are sampled, one in 16
  std::chrono::nanoseconds mean{0};
  std::chrono::nanoseconds p50{0};
  std::chrono::nanoseconds p90{0};
  std::chrono::nanoseconds p99{0};
  std::chrono::nanoseconds max{0};
};

/// What one tier holds and has served.
struct TierStats {
  std::uint64_t documents = 0;  ///< that live here (warm: copies)
  std::uint64_t bytes = 0;      ///< of their bodies (warm: of the copies)
  std::uint64_t hits = 0;       ///< reads served from here
  std::uint64_t misses = 0;     ///< reads that looked here and went on
  LatencySummary latency;       ///< of the reads served from here, whole read
};

/// The hot tier's bound and its cache.
struct HotStats {
  std::uint64_t documents = 0;
  std::uint64_t bytes = 0;
  std::uint64_t max_size = 0;  ///< 0: no bound
  std::uint64_t cache_entries = 0;
  std::uint64_t cache_bytes = 0;
  std::uint64_t cache_hits = 0;
  std::uint64_t cache_evictions = 0;
  std::uint64_t waits = 0;     ///< writes that waited for room
  std::uint64_t refusals = 0;  ///< writes that got resource_exhausted
};

/// Requests of one kind to the object store: attempts, as a provider bills them.
struct RequestStats {
  std::uint64_t requests = 0;
  std::uint64_t failures = 0;
  std::uint64_t retries = 0;  ///< of the requests: those that repeated one that failed
  std::uint64_t bytes = 0;    ///< of bodies, sent and received
  LatencySummary latency;     ///< of each attempt, without waiting for its turn
};

/// What the object store holds and was asked.
struct ColdStats {
  std::uint64_t documents = 0;
  std::uint64_t bytes = 0;         ///< of the documents' bodies
  std::uint64_t record_bytes = 0;  ///< of their records, as stored
  std::uint64_t objects = 0;       ///< named by rows or segments
  std::uint64_t object_bytes = 0;
  std::uint64_t put_requests = 0;  ///< puts, uploads in parts, and lists: what is priced as writing
  std::uint64_t get_requests = 0;  ///< gets and heads
  std::uint64_t delete_requests = 0;
  std::uint64_t shared_reads = 0;                             ///< reads that joined one already running
  std::array<RequestStats, kObjectOperations> requests = {};  ///< by ObjectOperation
};

/// Moves of all kinds: by runs, by reads and by hand.
struct MoveStats {
  std::uint64_t promoted = 0;
  std::uint64_t demoted = 0;
  std::uint64_t failed = 0;
  std::uint64_t bytes = 0;
  std::uint64_t runs = 0;
  std::uint64_t stopped_runs = 0;  ///< of these: given up because the cold tier was away
  std::uint64_t claims = 0;       ///< demotions that this node kept other nodes from, over a shared catalogue
  std::uint64_t lost_claims = 0;  ///< that another node had first
  std::uint64_t promotions_skipped = 0;  ///< on read, for want of room in hot
};

/// What this node told others of its changes, and heard of theirs (docs/consistency.md).
struct InvalidationStats {
  std::string channel = {};          ///< empty: none, and nothing is told
  bool polls = false;                ///< the channel asks at an interval: its server does not tell by itself
  std::uint64_t sent = 0;            ///< events that the channel took
  std::uint64_t received = 0;        ///< of other nodes
  std::uint64_t missed = 0;          ///< ranges of events that may not have arrived
  std::uint64_t recovered = 0;       ///< of these: read from the catalogue
  std::uint64_t distrusts = 0;       ///< of the others: all copies in memory must be confirmed by their rows
  std::uint64_t dropped_copies = 0;  ///< in memory, because another node changed the document
  std::uint64_t failed_sends = 0;    ///< calls of the channel that failed, and are tried again
  std::uint64_t waiting = 0;         ///< events to be sent, now
  std::uint64_t nodes = 0;           ///< others that were heard of
};

/// A month at the present state, by CostConfig.
struct CostStats {
  double hot_storage = 0;
  double cold_storage = 0;
  double requests = 0;  ///< of this process so far, not of a month
  double total = 0;
  double all_hot = 0;  ///< what the same documents would cost all hot
};

/// A tier in a sample.
struct TierSample {
  std::uint64_t documents = 0;  ///< at the sample's time, as in TierStats
  std::uint64_t bytes = 0;
  std::uint64_t hits = 0;  ///< in its interval
  std::chrono::nanoseconds p50{0};
  std::chrono::nanoseconds p99{0};
};

/// A collection in a sample.
struct CollectionSample {
  std::string name = {};  ///< empty: all others together
  std::uint64_t hot_documents = 0;
  std::uint64_t hot_bytes = 0;
  std::uint64_t cold_documents = 0;
  std::uint64_t cold_bytes = 0;
};

/// What the store's figures were at one time, and what happened in the interval before it. Kept in the store,
/// so that they outlive the process (StatsConfig).
struct StatsSample {
  TimePoint at{};
  std::chrono::milliseconds interval{0};
  TierSample hot = {};
  TierSample warm = {};
  TierSample cold = {};
  std::uint64_t read_misses = 0;
  std::uint64_t writes = 0;
  std::uint64_t promoted = 0;
  std::uint64_t demoted = 0;
  std::uint64_t failed_moves = 0;
  std::uint64_t puts = 0;  ///< requests to the object store
  std::uint64_t gets = 0;
  double hot_storage = 0;                          ///< dollars a month, as in CostStats
  double cold_storage = 0;                         ///< dollars a month
  double requests = 0;                             ///< dollars, of the interval
  double all_hot = 0;                              ///< dollars a month
  std::vector<CollectionSample> collections = {};  ///< the largest kMaxSampledCollections
};
inline constexpr std::size_t kMaxSampledCollections = 12;

/// Everything a store counts.
struct StoreStats {
  TierStats hot;
  TierStats warm;
  TierStats cold;
  MoveStats moves;
  InvalidationStats invalidation;
  CostStats cost;
  HotStats hot_storage;
  WarmStats warm_storage;
  ColdStats cold_storage;
  std::uint64_t reads = 0;
  std::uint64_t read_misses = 0;  ///< no such document
  std::uint64_t writes = 0;
  std::uint64_t removes = 0;
  std::uint64_t conflicts = 0;
  std::uint64_t damaged_copies = 0;  ///< noticed and not served; another copy answered where there was one
  std::uint64_t commits = 0;         ///< groups the engine wrote
  std::uint64_t syncs = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t lost_access_figures = 0;
  LatencySummary write_latency;
  std::string last_background_error = {};  ///< empty: none
};

}  // namespace db4
