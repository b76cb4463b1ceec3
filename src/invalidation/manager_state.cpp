#include "invalidation/manager_state.hpp"

#include "invalidation/message.hpp"

#include <db4/error.hpp>

namespace db4 {

using invalidation::in_nanoseconds;
using invalidation::later;
using invalidation::NodeTracker;
using invalidation::Publisher;
using invalidation::VersionedCache;

VersionedCache::Times CacheInvalidationManager::State::times_of(std::chrono::milliseconds ttl) {
  MonotonicTime fresh = in_nanoseconds(ttl);
  if (config.ttl_jitter > 0.0) {
    constexpr double kTwoTo64 = 18446744073709551616.0;
    const double share = static_cast<double>(random->next_u64()) / kTwoTo64;
    const auto shorter = static_cast<double>(fresh.count()) * config.ttl_jitter * share;
    fresh -= MonotonicTime{static_cast<MonotonicTime::rep>(shorter)};
  }
  const MonotonicTime now = clock->monotonic();
  const MonotonicTime fresh_until = later(now, fresh);
  return {.set_at = now,
          .fresh_until = fresh_until,
          .stale_until = later(fresh_until, in_nanoseconds(config.stale_while_revalidate))};
}

std::uint64_t CacheInvalidationManager::State::drop(const InvalidationEvent& event) {
  if (event.tier && *event.tier != StorageTier::hot) return 0;
  switch (event.type) {
    case InvalidationType::document: {
      const VersionedCache::Drop dropped = cache.drop(event.collection, event.id, event.version);
      if (dropped.old) ++counters.ignored_old;
      return dropped.dropped ? 1 : 0;
    }
    case InvalidationType::collection:
      return cache.drop_collection(event.collection);
    case InvalidationType::flush:
      return cache.clear();
  }
  return 0;
}

/// Dropped here first, so that whoever hears of the event finds nothing old here.
std::uint64_t CacheInvalidationManager::State::announce(InvalidationEvent event) {
  event.node_id = config.node_id;
  event.epoch = config.epoch;
  InvalidationMessage numbered{.kind = InvalidationMessageKind::event, .event = event};
  if (numbered.event.sequence == 0) numbered.event.sequence = 1;
  invalidation::require_sendable(numbered);
  const std::uint64_t dropped = drop(event);
  tell(std::move(event));
  return dropped;
}

void CacheInvalidationManager::State::tell(InvalidationEvent event) {
  event.node_id = config.node_id;
  event.epoch = config.epoch;
  const std::lock_guard lock(sequence_mutex);
  if (event.sequence == 0) event.sequence = sequence + 1;
  if (event.sequence <= sequence) {
    throw Error(
        ErrorCode::invalid_argument,
        "event " + std::to_string(event.sequence) + " was announced after event " + std::to_string(sequence),
        "announce events in the order of their numbers");
  }
  sequence = event.sequence;
  if (publisher) publisher->enqueue(event);
  subscribers->post(event);
}

void CacheInvalidationManager::State::flush_here(const std::string& node, std::uint64_t epoch) {
  ++counters.flushes;
  cache.clear();
  subscribers->post({.type = InvalidationType::flush,
                     .collection = {},
                     .id = {},
                     .version = 0,
                     .tier = {},
                     .node_id = node,
                     .epoch = epoch,
                     .sequence = 0});
}

void CacheInvalidationManager::State::receive(std::string_view bytes) {
  InvalidationMessage message;
  try {
    message = decode_invalidation(bytes);
  } catch (const Error&) {
    // Its sender may say nothing else that can be read, so it is taken as lost at once.
    ++counters.undecodable;
    report({{.node_id = {}, .epoch = 0, .from = 0, .to = 0, .reason = MissedReason::undecodable}});
    return;
  }
  const InvalidationEvent& event = message.event;
  // Another epoch under our name is an earlier life, or another node by mistake: heard as any other.
  if (event.node_id == config.node_id && event.epoch == config.epoch) {
    ++counters.ignored_own;
    return;
  }
  NodeTracker::Heard heard;
  {
    const std::lock_guard lock(tracker_mutex);
    heard = tracker.hear(message, clock->monotonic());
  }
  if (message.kind == InvalidationMessageKind::event) {
    ++counters.received;
    if (heard.repeated) {
      ++counters.ignored_repeated;
    } else {
      drop(event);
      subscribers->post(event);
    }
  }
  report(heard.missed);
}

void CacheInvalidationManager::State::report(const std::vector<MissedEvents>& missed) {
  if (missed.empty()) return;
  counters.missed += missed.size();
  {
    const std::lock_guard lock(handler_mutex);
    if (missed_queue) {
      for (const MissedEvents& range : missed) missed_queue->post(range);
      return;
    }
  }
  flush_here(missed.back().node_id, missed.back().epoch);
}

void CacheInvalidationManager::State::recover(const MissedEvents& missed, const MissedHandler& handler) {
  bool recovered = false;
  try {
    recovered = handler(missed);
  } catch (...) {  // whatever it throws, it has not dealt with them
    recovered = false;
  }
  if (recovered) {
    ++counters.recovered;
  } else {
    flush_here(missed.node_id, missed.epoch);
  }
}

void CacheInvalidationManager::State::look_for_silence() {
  std::vector<MissedEvents> missed;
  {
    const std::lock_guard lock(tracker_mutex);
    missed = tracker.silent(clock->monotonic());
  }
  report(missed);
}

void CacheInvalidationManager::State::set_channel(std::shared_ptr<BroadcastChannel> channel) {
  const std::lock_guard lock(channel_mutex);
  if (closed) {
    throw Error(ErrorCode::unavailable, "the cache invalidation manager is closed", "open another one");
  }
  detach();
  if (channel == nullptr || !config.broadcast_enabled) return;
  const auto self = weak_from_this();
  listening = channel->subscribe(
      {.on_message =
           [self](std::string_view message) {
             if (const auto state = self.lock()) state->receive(message);
           },
       .on_lost =
           [self] {
             const auto state = self.lock();
             if (!state) return;
             state->report(
                 {{.node_id = {}, .epoch = 0, .from = 0, .to = 0, .reason = MissedReason::channel_loss}});
           }});
  {
    const std::lock_guard sequence_lock(sequence_mutex);
    try {
      publisher =
          std::make_shared<Publisher>(std::move(channel), clock, random,
                                      Publisher::Options{.node_id = config.node_id,
                                                         .epoch = config.epoch,
                                                         .max_queued = config.max_outgoing_events,
                                                         .heartbeat_interval = config.heartbeat_interval,
                                                         .retry_base_delay = config.retry_base_delay,
                                                         .retry_max_delay = config.retry_max_delay},
                                      sequence, [this] { look_for_silence(); });
    } catch (...) {
      listening.cancel();
      throw;
    }
  }
  // From here on changes are heard of; what was copied before may have missed some.
  flush_here(config.node_id, config.epoch);
}

/// Under channel_mutex. Threads are ended with no other lock held.
void CacheInvalidationManager::State::detach() {
  std::shared_ptr<Publisher> ending;
  {
    const std::lock_guard lock(sequence_mutex);
    ending = std::exchange(publisher, nullptr);
  }
  if (ending) {
    ending->stop();
    const Publisher::Stats stats = ending->stats();
    const std::lock_guard lock(sequence_mutex);
    sent_before.sent += stats.sent;
    sent_before.heartbeats += stats.heartbeats;
    sent_before.failures += stats.failures;
    sent_before.collapsed += stats.collapsed;
  }
  listening.cancel();
  const std::lock_guard lock(tracker_mutex);
  tracker.clear();
}

void CacheInvalidationManager::State::close() {
  {
    const std::lock_guard lock(channel_mutex);
    closed = true;
    detach();
  }
  std::shared_ptr<MissedQueue> ending;
  {
    const std::lock_guard lock(handler_mutex);
    ending = std::exchange(missed_queue, nullptr);
  }
  if (ending) ending->stop();
  subscribers->stop();
}

}  // namespace db4
