#include "catalog/names.hpp"
#include "invalidation/manager_state.hpp"

#include <db4/error.hpp>

#include <array>
#include <cmath>

namespace db4 {
namespace {

using invalidation::in_nanoseconds;
using invalidation::later;
using invalidation::Publisher;
using invalidation::Subscribers;
using invalidation::VersionedCache;
using SetResult = VersionedCache::SetResult;

/// Ranges of missed events that wait for the handler; past it they become one that says: anything.
constexpr std::size_t kMaxQueuedMissed = 256;

[[noreturn]] void refuse(std::string problem, std::string advice) {
  throw Error(ErrorCode::invalid_argument, std::move(problem), std::move(advice));
}

void require_config(const CacheInvalidationConfig& config) {
  const auto zero = std::chrono::milliseconds{0};
  if (config.default_ttl <= zero || config.stale_while_revalidate < zero || config.ttl_jitter < 0.0 ||
      config.ttl_jitter >= 1.0 || std::isnan(config.ttl_jitter)) {
    refuse(
        "the times of cached copies make no sense",
        "set default_ttl above 0, stale_while_revalidate to 0 or more, ttl_jitter to at least 0 and below 1");
  }
  if (config.node_id.size() > kMaxNodeIdBytes) {
    refuse("node_id has " + std::to_string(config.node_id.size()) + " bytes", "keep it to kMaxNodeIdBytes");
  }
  if (config.max_entries == 0 || config.max_bytes == 0 || config.max_remembered_versions == 0 ||
      config.max_subscribers == 0 || config.max_queued_events == 0 || config.max_outgoing_events == 0 ||
      config.max_nodes == 0) {
    refuse("a limit of cache invalidation is 0", "set every max_ to 1 or more");
  }
  if (config.heartbeat_interval < zero ||
      (config.heartbeat_interval > zero && config.silence_after / 2 < config.heartbeat_interval)) {
    refuse("nodes would be taken for silent between two heartbeats",
           "set silence_after to twice heartbeat_interval or more, or heartbeat_interval to 0");
  }
  if (config.retry_base_delay <= zero || config.retry_max_delay < config.retry_base_delay) {
    refuse("the pauses between attempts to send make no sense",
           "set retry_base_delay above 0, and retry_max_delay to no less");
  }
}

std::string draw_node_id(RandomSource& random) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<std::byte, 16> bytes{};
  random.fill(bytes);
  std::string out;
  for (const std::byte byte : bytes) {
    out.push_back(kDigits[std::to_integer<std::size_t>(byte >> 4)]);
    out.push_back(kDigits[std::to_integer<std::size_t>(byte & std::byte{0x0F})]);
  }
  return out;
}

}  // namespace

std::string_view to_string(MissedReason reason) noexcept {
  switch (reason) {
    case MissedReason::gap:
      return "gap";
    case MissedReason::first_sight:
      return "first_sight";
    case MissedReason::new_epoch:
      return "new_epoch";
    case MissedReason::silence:
      return "silence";
    case MissedReason::channel_loss:
      return "channel_loss";
    case MissedReason::undecodable:
      return "undecodable";
  }
  return "unknown";
}

CacheInvalidationManager::CacheInvalidationManager(CacheInvalidationConfig config,
                                                   std::shared_ptr<Clock> clock,
                                                   std::shared_ptr<RandomSource> random) {
  require_config(config);
  if (clock == nullptr || random == nullptr) {
    refuse("the cache invalidation manager was given no clock or no source of randomness", "give it both");
  }
  if (config.node_id.empty()) config.node_id = draw_node_id(*random);
  while (config.epoch == 0) config.epoch = random->next_u64();
  state_ = std::make_shared<State>(std::move(config), std::move(clock), std::move(random));
}

CacheInvalidationManager::~CacheInvalidationManager() { close(); }

bool CacheInvalidationManager::set(std::string_view collection, std::string_view id, const Document& document,
                                   std::optional<std::chrono::milliseconds> ttl,
                                   std::optional<FillMark> mark) {
  catalog::check_key(collection, id);
  if (document.collection() != collection || document.id() != id) {
    throw Error(ErrorCode::invalid_argument, "another document was to be kept under this key",
                "keep a document under its own collection and id")
        .with_context("set", collection, id);
  }
  if (document.version() == 0) {
    throw Error(ErrorCode::invalid_argument, "a document without a version was to be kept",
                "keep what a store has read")
        .with_context("set", collection, id);
  }
  if (ttl && *ttl <= std::chrono::milliseconds{0}) {
    throw Error(ErrorCode::invalid_argument, "a copy was to be kept for no time", "set ttl above 0")
        .with_context("set", collection, id);
  }
  const auto times = state_->times_of(ttl.value_or(state_->config.default_ttl));
  const SetResult result = state_->cache.set(collection, id, document, times, mark);
  State::Counters& counters = state_->counters;
  switch (result) {
    case SetResult::stored:
      ++counters.sets;
      break;
    case SetResult::older:
      ++counters.refused_older;
      break;
    case SetResult::overtaken:
      ++counters.overtaken_fills;
      break;
    case SetResult::too_large:
      ++counters.refused_large;
      break;
  }
  // Told also where the version was known here already: another thread may have read it before its writer
  // came here. Not where a newer one is known: whoever wrote that tells of it.
  if (!mark && result != SetResult::older && state_->config.invalidate_on_write) {
    state_->tell({.type = InvalidationType::document,
                  .collection = std::string(collection),
                  .id = std::string(id),
                  .version = document.version(),
                  .tier = {},
                  .node_id = {},
                  .epoch = 0,
                  .sequence = 0});
  }
  return result == SetResult::stored;
}

FillMark CacheInvalidationManager::begin_fill(std::string_view collection, std::string_view id) const {
  catalog::check_key(collection, id);
  return state_->cache.mark(collection, id);
}

CacheLookup CacheInvalidationManager::get(std::string_view collection, std::string_view id,
                                          std::optional<Version> expected_version) {
  catalog::check_key(collection, id);
  CacheLookup lookup =
      state_->cache.find(collection, id, expected_version.value_or(0), state_->clock->monotonic());
  State::Counters& counters = state_->counters;
  if (lookup.version_mismatch) {
    ++counters.version_mismatches;
  } else if (!lookup.value) {
    ++counters.misses;
  } else {
    ++(lookup.stale ? counters.stale_hits : counters.hits);
  }
  return lookup;
}

bool CacheInvalidationManager::invalidate(std::string_view collection, std::string_view id,
                                          std::optional<StorageTier> tier) {
  catalog::check_key(collection, id);
  return state_->announce({.type = InvalidationType::document,
                           .collection = std::string(collection),
                           .id = std::string(id),
                           .version = 0,
                           .tier = tier,
                           .node_id = {},
                           .epoch = 0,
                           .sequence = 0}) > 0;
}

std::uint64_t CacheInvalidationManager::invalidate_collection(std::string_view collection) {
  catalog::check_collection(collection);
  return state_->announce({.type = InvalidationType::collection, .collection = std::string(collection)});
}

std::uint64_t CacheInvalidationManager::invalidate_all() {
  return state_->announce({.type = InvalidationType::flush});
}

void CacheInvalidationManager::announce(InvalidationEvent event) { state_->announce(std::move(event)); }

void CacheInvalidationManager::apply(const InvalidationEvent& event) {
  if (event.type == InvalidationType::document) catalog::check_key(event.collection, event.id);
  if (event.type == InvalidationType::collection) catalog::check_collection(event.collection);
  state_->drop(event);
  state_->subscribers->post(event);
}

Subscription CacheInvalidationManager::subscribe(Callback callback) {
  return state_->subscribers->subscribe(std::move(callback));
}

void CacheInvalidationManager::set_broadcast_channel(std::shared_ptr<BroadcastChannel> channel) {
  state_->set_channel(std::move(channel));
}

void CacheInvalidationManager::set_missed_handler(MissedHandler handler) {
  std::shared_ptr<State::MissedQueue> queue;
  if (handler) {
    queue = std::make_shared<State::MissedQueue>(
        kMaxQueuedMissed,
        [self = state_->weak_from_this(), handler = std::move(handler)](const MissedEvents& missed) {
          if (const auto state = self.lock()) state->recover(missed, handler);
        },
        [](const MissedEvents& latest) {
          return MissedEvents{.node_id = {}, .epoch = 0, .from = 0, .to = 0, .reason = latest.reason};
        });
  }
  {
    const std::lock_guard lock(state_->handler_mutex);
    std::swap(queue, state_->missed_queue);
  }
  if (queue) queue->stop();
}

bool CacheInvalidationManager::hears_all() const {
  {
    const std::lock_guard lock(state_->sequence_mutex);
    if (!state_->publisher) return false;
  }
  const std::lock_guard lock(state_->tracker_mutex);
  return !state_->tracker.any_silent();
}

bool CacheInvalidationManager::drain(std::chrono::milliseconds timeout) {
  const MonotonicTime deadline = later(state_->clock->monotonic(), in_nanoseconds(timeout));
  std::shared_ptr<Publisher> publisher;
  {
    const std::lock_guard lock(state_->sequence_mutex);
    publisher = state_->publisher;
  }
  std::shared_ptr<State::MissedQueue> missed;
  {
    const std::lock_guard lock(state_->handler_mutex);
    missed = state_->missed_queue;
  }
  const bool sent = !publisher || publisher->wait_sent(deadline);
  const bool recovered = !missed || missed->wait_idle(*state_->clock, deadline);
  return state_->subscribers->wait_idle(*state_->clock, deadline) && sent && recovered;
}

CacheInvalidationStats CacheInvalidationManager::stats() const {
  const State::Counters& counters = state_->counters;
  CacheInvalidationStats stats;
  stats.hits = counters.hits;
  stats.stale_hits = counters.stale_hits;
  stats.misses = counters.misses;
  stats.version_mismatches = counters.version_mismatches;
  stats.sets = counters.sets;
  stats.refused_older = counters.refused_older;
  stats.overtaken_fills = counters.overtaken_fills;
  stats.refused_large = counters.refused_large;
  stats.events_received = counters.received;
  stats.ignored_own = counters.ignored_own;
  stats.ignored_repeated = counters.ignored_repeated;
  stats.ignored_old = counters.ignored_old;
  stats.undecodable = counters.undecodable;
  stats.missed = counters.missed;
  stats.recovered = counters.recovered;
  stats.flushes = counters.flushes;

  const VersionedCache::Totals totals = state_->cache.totals();
  stats.entries = totals.entries;
  stats.bytes = totals.bytes;
  stats.evictions = totals.evictions;
  {
    const std::lock_guard lock(state_->sequence_mutex);
    Publisher::Stats sent = state_->publisher ? state_->publisher->stats() : Publisher::Stats{};
    stats.events_sent = sent.sent + state_->sent_before.sent;
    stats.heartbeats_sent = sent.heartbeats + state_->sent_before.heartbeats;
    stats.failed_sends = sent.failures + state_->sent_before.failures;
    stats.collapsed_outgoing = sent.collapsed + state_->sent_before.collapsed;
    stats.outgoing_queued = sent.queued;
  }
  {
    const std::lock_guard lock(state_->tracker_mutex);
    stats.nodes = state_->tracker.size();
  }
  const Subscribers::Totals told = state_->subscribers->totals();
  stats.subscribers = told.subscribers;
  stats.subscriber_queued = told.queued;
  stats.subscriber_errors = told.errors;
  stats.collapsed_events = told.collapsed;
  return stats;
}

const std::string& CacheInvalidationManager::node_id() const noexcept { return state_->config.node_id; }

std::uint64_t CacheInvalidationManager::epoch() const noexcept { return state_->config.epoch; }

void CacheInvalidationManager::close() { state_->close(); }

}  // namespace db4
