#pragma once
// What is inside a CacheInvalidationManager: the copies, the subscribers, what goes out, what came in.

#include "invalidation/node_tracker.hpp"
#include "invalidation/publisher.hpp"
#include "invalidation/subscribers.hpp"
#include "invalidation/versioned_cache.hpp"

#include <db4/invalidation.hpp>

#include <atomic>

namespace db4 {
namespace invalidation {

inline MonotonicTime later(MonotonicTime from, MonotonicTime by) {
  return by > MonotonicTime::max() - from ? MonotonicTime::max() : from + by;
}

/// A time in nanoseconds, or the longest there is: a TTL may be any number of milliseconds.
inline MonotonicTime in_nanoseconds(std::chrono::milliseconds time) {
  constexpr auto kLongest = std::chrono::duration_cast<std::chrono::milliseconds>(MonotonicTime::max());
  return std::min(time, kLongest);
}

}  // namespace invalidation

/// Threads that call in from outside (a channel's, the handler's) hold it weakly: they may outlive it by a
/// moment.
struct CacheInvalidationManager::State : std::enable_shared_from_this<State> {
  using MissedQueue = invalidation::Mailbox<MissedEvents>;

  State(CacheInvalidationConfig its_config, std::shared_ptr<Clock> its_clock,
        std::shared_ptr<RandomSource> its_random)
      : config(std::move(its_config)),
        clock(std::move(its_clock)),
        random(std::move(its_random)),
        cache({.max_entries = config.max_entries,
               .max_bytes = config.max_bytes,
               .max_remembered = config.max_remembered_versions,
               .compare_versions = config.version_based_invalidation}),
        subscribers(
            std::make_shared<invalidation::Subscribers>(config.max_subscribers, config.max_queued_events)),
        tracker({.max_nodes = config.max_nodes,
                 .silence_after = config.heartbeat_interval.count() == 0 ? std::chrono::milliseconds{0}
                                                                         : config.silence_after}) {}

  [[nodiscard]] invalidation::VersionedCache::Times times_of(std::chrono::milliseconds ttl);
  /// What an event means for the copies held here: those in memory, which count as hot.
  std::uint64_t drop(const InvalidationEvent& event);
  /// Drops copies here, and tells; how many were dropped.
  std::uint64_t announce(InvalidationEvent event);
  /// Tells subscribers and other nodes, as this node.
  void tell(InvalidationEvent event);
  void flush_here(const std::string& node, std::uint64_t epoch);
  void receive(std::string_view bytes);
  void report(const std::vector<MissedEvents>& missed);
  void recover(const MissedEvents& missed, const MissedHandler& handler);
  void look_for_silence();
  void set_channel(std::shared_ptr<BroadcastChannel> channel);
  void detach();
  void close();

  const CacheInvalidationConfig config;
  const std::shared_ptr<Clock> clock;
  const std::shared_ptr<RandomSource> random;
  invalidation::VersionedCache cache;
  const std::shared_ptr<invalidation::Subscribers> subscribers;

  std::mutex sequence_mutex;  ///< held while an event is numbered and queued, so that the queue is in order
  std::uint64_t sequence = 0;
  std::shared_ptr<invalidation::Publisher> publisher;  ///< nullptr: no channel

  mutable std::mutex tracker_mutex;
  invalidation::NodeTracker tracker;

  std::mutex channel_mutex;  ///< held while a channel is set; never by what a channel or a handler calls
  Subscription listening;
  bool closed = false;

  std::mutex handler_mutex;
  std::shared_ptr<MissedQueue> missed_queue;  ///< nullptr: no handler

  struct Counters {
    std::atomic<std::uint64_t> hits = 0, stale_hits = 0, misses = 0, version_mismatches = 0;
    std::atomic<std::uint64_t> sets = 0, refused_older = 0, overtaken_fills = 0, refused_large = 0;
    std::atomic<std::uint64_t> received = 0, ignored_own = 0, ignored_repeated = 0, ignored_old = 0;
    std::atomic<std::uint64_t> undecodable = 0, missed = 0, recovered = 0, flushes = 0;
  } counters;
  invalidation::Publisher::Stats sent_before;  ///< by publishers that are gone; under sequence_mutex
};

}  // namespace db4
