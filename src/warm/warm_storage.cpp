#include "base/hash.hpp"

#include <db4/error.hpp>
#include <db4/warm_storage.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace db4 {
namespace {

/// Keys share stripes; sharing costs a refused fill now and then, never a wrong one.
constexpr std::size_t kStripes = 1024;
/// Refreshes that may run or wait at once; past it stale copies are served without one.
constexpr std::size_t kMaxRefreshes = 4096;
/// Between two looks for the copy that another process fetches: twice as long each time, from and to.
constexpr MonotonicTime kFirstLook = 5ms;
constexpr MonotonicTime kLongestLook = 100ms;

void require_options(const WarmStorage::Options& options) {
  const bool legal = options.ttl > 0ms && options.stale_while_revalidate >= 0ms && options.lease > 0ms &&
                     options.fill_lease > 0ms && options.jitter >= 0.0 && options.jitter < 1.0;
  if (legal) return;
  throw Error(ErrorCode::invalid_argument, "the warm tier's times make no sense",
              "set ttl, lease and fill_lease above 0, stale_while_revalidate to 0 or more, jitter to at "
              "least 0 and below 1");
}

}  // namespace

/// Shared with the refreshes that run, which may outlive the storage by a moment.
struct WarmStorage::State : std::enable_shared_from_this<State> {
  /// A stripe's lock is held while the cache changes, so that "unchanged since" and the put are one step.
  struct Stripe {
    std::mutex mutex;
    std::atomic<std::uint64_t> changes{0};
  };
  /// Of a refresh, in this process.
  struct OwnLease {
    std::uint64_t turn = 0;
    MonotonicTime until{};
  };
  class OwnTurn;
  /// Of a lease over all processes.
  struct Taken {
    bool answered = false;  ///< by the cache
    FillLease lease = {};
  };

  State(std::shared_ptr<WarmCache> its_cache, std::shared_ptr<Clock> its_clock, Options its_options,
        Executor its_executor)
      : cache(std::move(its_cache)),
        clock(std::move(its_clock)),
        options(its_options),
        executor(std::move(its_executor)),
        leases(options.shared ? cache->leases() : nullptr) {}

  Stripe& stripe_of(std::string_view key) { return stripes[hash_key(key) % kStripes]; }

  /// Runs a call into the cache; an empty answer where the cache fails.
  template <typename Call>
  std::invoke_result_t<Call> guarded(const Call& call) {
    try {
      return call();
    } catch (const std::exception& error) {
      ++cache_errors;
      remember(error);
      return {};
    }
  }
  void remember(const std::exception& error) noexcept {
    const std::lock_guard lock(error_mutex);
    try {
      last_error = error.what();
    } catch (const std::exception&) {
      last_error.clear();  // no memory for it
    }
  }

  [[nodiscard]] WarmEntry entry_from_now(std::string_view key, Version version,
                                         std::shared_ptr<const std::string> record) const {
    // By key and version: spread like random numbers, and the same again in a test.
    constexpr double kTwoTo64 = 18446744073709551616.0;
    const double share = static_cast<double>(hash_key(key) * (2 * version + 1)) / kTwoTo64;
    const auto ttl_us = static_cast<double>(std::chrono::microseconds{options.ttl}.count());
    const std::chrono::microseconds ttl{std::llround(ttl_us * (1.0 - options.jitter * share))};
    const TimePoint fresh_until = clock->now() + ttl;
    return {.version = version,
            .fresh_until = fresh_until,
            .stale_until = fresh_until + options.stale_while_revalidate,
            .record = std::move(record)};
  }

  /// A copy that would be fresh for longer than any can be was stored before the wall clock was set back (or
  /// the TTL made shorter): its age is unknown.
  [[nodiscard]] bool from_the_future(const WarmEntry& entry, TimePoint now) const {
    return entry.fresh_until > now + options.ttl;
  }

  /// How a copy may be served to who wants that version; nullopt: not at all.
  [[nodiscard]] std::optional<Freshness> judge(const WarmEntry& entry, Version version, TimePoint now) const {
    if (entry.version != version || now >= entry.stale_until || from_the_future(entry, now)) return {};
    return now < entry.fresh_until ? Freshness::fresh : Freshness::stale;
  }
  [[nodiscard]] std::optional<WarmHit> held_copy(std::string_view key, Version version);
  [[nodiscard]] Taken take(std::string_view key, std::chrono::milliseconds duration);
  /// The cache's own put, or that under a lease. Under the stripe's lock.
  bool store(FillLease& lease, std::string_view key, const WarmEntry& entry);

  void start_refresh(std::string_view key, Version version, const Loader& loader);
  void run_refresh(const OwnTurn& turn, const Loader& loader);
  void close();

  const std::shared_ptr<WarmCache> cache;
  const std::shared_ptr<Clock> clock;
  const Options options;
  const Executor executor;
  WarmLeases* const leases;  ///< the cache's; null: no other process fills it

  std::array<Stripe, kStripes> stripes;

  std::mutex refresh_mutex;
  std::condition_variable refresh_ended;
  std::unordered_map<std::string, OwnLease> own_leases;
  std::uint64_t turns = 0;
  std::size_t turns_taken = 0;  ///< OwnTurn objects that live
  std::atomic<bool> closed = false;
  bool cache_closed = false;

  std::atomic<std::uint64_t> hits = 0;
  std::atomic<std::uint64_t> stale_hits = 0;
  std::atomic<std::uint64_t> misses = 0;
  std::atomic<std::uint64_t> expired = 0;
  std::atomic<std::uint64_t> refreshes = 0;
  std::atomic<std::uint64_t> failed_refreshes = 0;
  std::atomic<std::uint64_t> refused_refreshes = 0;
  std::atomic<std::uint64_t> waits = 0;
  std::atomic<std::uint64_t> shared_fills = 0;
  std::atomic<std::uint64_t> lost_leases = 0;
  std::atomic<std::uint64_t> cache_errors = 0;
  std::mutex error_mutex;
  std::string last_error;
};

struct WarmStorage::FillLease::Held {
  Held(std::shared_ptr<State> its_state, std::string_view its_key, std::string its_token)
      : state(std::move(its_state)), key(its_key), token(std::move(its_token)) {}
  ~Held() {
    if (token.empty()) return;
    state->guarded([this] {
      state->leases->release(key, token);
      return true;
    });
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  const std::shared_ptr<State> state;
  const std::string key;
  std::string token;  ///< empty: ended
};

WarmStorage::FillLease::FillLease() noexcept = default;
WarmStorage::FillLease::FillLease(FillLease&& other) noexcept = default;
WarmStorage::FillLease& WarmStorage::FillLease::operator=(FillLease&& other) noexcept = default;
WarmStorage::FillLease::~FillLease() = default;

std::optional<WarmHit> WarmStorage::State::held_copy(std::string_view key, Version version) {
  std::optional<WarmEntry> entry = guarded([&] { return cache->get(key); });
  if (!entry) return std::nullopt;
  const auto freshness = judge(*entry, version, clock->now());
  if (!freshness) return std::nullopt;
  return WarmHit{entry->version, *freshness, std::move(entry->record)};
}

WarmStorage::State::Taken WarmStorage::State::take(std::string_view key, std::chrono::milliseconds duration) {
  return guarded([&] {
    Taken out{.answered = true};
    if (auto token = leases->take(key, duration)) {
      out.lease.held_ = std::make_unique<FillLease::Held>(shared_from_this(), key, std::move(*token));
    }
    return out;
  });
}

bool WarmStorage::State::store(FillLease& lease, std::string_view key, const WarmEntry& entry) {
  return guarded([&] {
    if (!lease.held()) {
      cache->put(key, entry);
      return true;
    }
    const bool stored = leases->put_leased(key, entry, lease.held_->token);
    lease.held_->token.clear();
    if (!stored) ++lost_leases;
    return stored;
  });
}

/// One refresh's turn. Ends with the last copy of its task, also where the executor drops that unrun.
class WarmStorage::State::OwnTurn {
 public:
  OwnTurn(std::shared_ptr<State> state, std::string key, Version version, std::uint64_t turn)
      : state_(std::move(state)),
        key_(std::move(key)),
        version_(version),
        turn_(turn),
        mark_(state_->stripe_of(key_).changes) {}
  ~OwnTurn() {
    const std::lock_guard lock(state_->refresh_mutex);
    const auto lease = state_->own_leases.find(key_);
    if (lease != state_->own_leases.end() && lease->second.turn == turn_) state_->own_leases.erase(lease);
    --state_->turns_taken;
    state_->refresh_ended.notify_all();
  }
  OwnTurn(const OwnTurn&) = delete;
  OwnTurn& operator=(const OwnTurn&) = delete;

  /// Whether no other refresh took over since.
  [[nodiscard]] bool holds_lease() const {
    const std::lock_guard lock(state_->refresh_mutex);
    const auto lease = state_->own_leases.find(key_);
    return lease != state_->own_leases.end() && lease->second.turn == turn_;
  }
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  [[nodiscard]] Version version() const noexcept { return version_; }
  [[nodiscard]] std::uint64_t mark() const noexcept { return mark_; }

 private:
  const std::shared_ptr<State> state_;
  const std::string key_;
  const Version version_;
  const std::uint64_t turn_;
  const std::uint64_t mark_;
};

void WarmStorage::State::start_refresh(std::string_view key, Version version, const Loader& loader) {
  std::shared_ptr<OwnTurn> turn;
  {
    const std::lock_guard lock(refresh_mutex);
    if (closed || turns_taken >= kMaxRefreshes) return;
    const MonotonicTime now = clock->monotonic();
    std::string own_key(key);
    OwnLease& lease = own_leases[own_key];
    if (lease.turn != 0 && now < lease.until) return;
    lease = {.turn = ++turns, .until = now + options.lease};
    turn = std::make_shared<OwnTurn>(shared_from_this(), std::move(own_key), version, lease.turn);
    ++turns_taken;
  }
  guarded([&] {
    return executor([state = shared_from_this(), turn, loader] { state->run_refresh(*turn, loader); });
  });
}

void WarmStorage::State::run_refresh(const OwnTurn& turn, const Loader& loader) {
  if (closed || !turn.holds_lease()) return;
  Taken taken;
  if (leases != nullptr) {
    taken = take(turn.key(), options.lease);
    if (!taken.lease.held()) {
      if (taken.answered) ++refused_refreshes;
      return;
    }
    // Another process may have refreshed it before the lease was ours. Fresh is: not stale for that long.
    const TimePoint stale_then = clock->now() + options.stale_while_revalidate;
    if (guarded([&] { return cache->contains(turn.key(), turn.version(), stale_then); })) return;
  }
  ++refreshes;
  try {
    const std::optional<WarmEntry> fresh = loader();
    if (fresh && (fresh->version < turn.version() || fresh->record == nullptr)) {
      ++failed_refreshes;
      return;
    }
    if (!turn.holds_lease()) return;  // it took too long; the answer may be old
    Stripe& stripe = stripe_of(turn.key());
    const std::lock_guard lock(stripe.mutex);
    if (stripe.changes != turn.mark()) return;
    if (fresh) {
      store(taken.lease, turn.key(), entry_from_now(turn.key(), fresh->version, fresh->record));
      return;
    }
    guarded([&] {
      cache->remove(turn.key());
      return true;
    });
  } catch (const std::exception&) {
    ++failed_refreshes;
  }
}

void WarmStorage::State::close() {
  std::unique_lock lock(refresh_mutex);
  closed = true;
  refresh_ended.wait(lock, [this] { return turns_taken == 0; });
  if (std::exchange(cache_closed, true)) return;
  guarded([&] {
    cache->close();
    return true;
  });
}

WarmStorage::WarmStorage(std::shared_ptr<WarmCache> cache, std::shared_ptr<Clock> clock, Options options,
                         Executor executor) {
  require_options(options);
  if (cache == nullptr || clock == nullptr) {
    throw Error(ErrorCode::invalid_argument, "the warm tier was given no cache or no clock", "give it both");
  }
  state_ = std::make_shared<State>(std::move(cache), std::move(clock), options, std::move(executor));
}

WarmStorage::~WarmStorage() { close(); }

std::optional<WarmHit> WarmStorage::get(std::string_view key, Version version, const Loader& refresh) {
  State& state = *state_;
  std::optional<WarmEntry> entry;
  if (!state.closed) {
    entry = state.guarded([&] { return state.cache->get(key); });
  }
  const TimePoint now = state.clock->now();
  const auto freshness = entry ? state.judge(*entry, version, now) : std::nullopt;
  if (!freshness) {
    ++state.misses;
    if (entry && entry->version == version && now >= entry->stale_until) ++state.expired;
    return std::nullopt;
  }
  ++(*freshness == Freshness::fresh ? state.hits : state.stale_hits);
  if (*freshness == Freshness::stale && refresh && state.executor) state.start_refresh(key, version, refresh);
  return WarmHit{entry->version, *freshness, std::move(entry->record)};
}

std::uint64_t WarmStorage::begin_fill(std::string_view key) const { return state_->stripe_of(key).changes; }

bool WarmStorage::put_if_unchanged(std::string_view key, std::uint64_t mark, Version version,
                                   std::shared_ptr<const std::string> record) {
  return put_leased({}, key, mark, version, std::move(record));
}

bool WarmStorage::shares_fills(std::uint64_t record_bytes) const noexcept {
  return state_->leases != nullptr && record_bytes <= state_->leases->max_record_bytes();
}

bool WarmStorage::may_wait(MonotonicTime deadline) const noexcept {
  return deadline - state_->clock->monotonic() > state_->options.fill_lease;
}

WarmStorage::Turn WarmStorage::await_turn(std::string_view key, Version version, MonotonicTime deadline,
                                          const std::stop_token& stop) {
  State& state = *state_;
  if (state.leases == nullptr || state.closed) return {};
  const MonotonicTime give_up = state.clock->monotonic() + state.options.fill_lease;
  const bool patient = may_wait(deadline);
  MonotonicTime pause = kFirstLook;
  for (bool waited = false;; waited = true) {
    State::Taken taken = state.take(key, state.options.fill_lease);
    // Who had the lease before may have stored the copy since it was missed; who has it may have by now.
    if (taken.lease.held() || waited) {
      if (auto hit = state.held_copy(key, version)) {
        ++state.shared_fills;
        return {.hit = std::move(hit)};
      }
    }
    const bool go_on = taken.answered && patient && state.clock->monotonic() < give_up;
    if (taken.lease.held() || !go_on) return {.lease = std::move(taken.lease)};
    if (!waited) ++state.waits;
    if (!state.clock->sleep_for(pause, stop)) return {};
    pause = std::min(2 * pause, kLongestLook);
  }
}

WarmStorage::FillLease WarmStorage::try_lease(std::string_view key) {
  if (state_->leases == nullptr || state_->closed) return {};
  return state_->take(key, state_->options.fill_lease).lease;
}

bool WarmStorage::put_leased(FillLease lease, std::string_view key, std::uint64_t mark, Version version,
                             std::shared_ptr<const std::string> record) {
  const WarmEntry entry = state_->entry_from_now(key, version, std::move(record));
  State::Stripe& stripe = state_->stripe_of(key);
  const std::lock_guard lock(stripe.mutex);
  if (stripe.changes != mark || state_->closed) return false;
  return state_->store(lease, key, entry);
}

void WarmStorage::put(std::string_view key, Version version, std::shared_ptr<const std::string> record) {
  const WarmEntry entry = state_->entry_from_now(key, version, std::move(record));
  State::Stripe& stripe = state_->stripe_of(key);
  const std::lock_guard lock(stripe.mutex);
  ++stripe.changes;
  if (state_->closed) return;
  state_->guarded([&] {
    state_->cache->put(key, entry);
    return true;
  });
}

void WarmStorage::remove(std::string_view key) {
  State::Stripe& stripe = state_->stripe_of(key);
  const std::lock_guard lock(stripe.mutex);
  ++stripe.changes;
  if (state_->closed) return;
  state_->guarded([&] {
    state_->cache->remove(key);
    return true;
  });
}

void WarmStorage::clear() {
  for (State::Stripe& stripe : state_->stripes) {
    const std::lock_guard lock(stripe.mutex);
    ++stripe.changes;
  }
  if (state_->closed) return;
  state_->guarded([&] {
    state_->cache->clear();
    return true;
  });
}

bool WarmStorage::contains(std::string_view key, Version version) const {
  if (state_->closed) return false;
  return state_->guarded([&] { return state_->cache->contains(key, version, state_->clock->now()); });
}

WarmStats WarmStorage::stats() const {
  WarmStats stats{.hits = state_->hits,
                  .stale_hits = state_->stale_hits,
                  .misses = state_->misses,
                  .expired = state_->expired,
                  .refreshes = state_->refreshes,
                  .failed_refreshes = state_->failed_refreshes,
                  .refused_refreshes = state_->refused_refreshes,
                  .waits = state_->waits,
                  .shared_fills = state_->shared_fills,
                  .lost_leases = state_->lost_leases,
                  .cache_errors = 0,
                  .entries = 0,
                  .bytes = 0,
                  .evictions = 0,
                  .unreadable = 0,
                  .last_error = {}};
  if (!state_->closed) {
    const auto held = state_->guarded([&] { return state_->cache->stats(); });
    stats.entries = held.entries;
    stats.bytes = held.bytes;
    stats.evictions = held.evictions;
    stats.unreadable = held.unreadable;
  }
  stats.cache_errors = state_->cache_errors;  // asking the cache may have been one more
  const std::lock_guard lock(state_->error_mutex);
  stats.last_error = state_->last_error;
  return stats;
}

void WarmStorage::close() { state_->close(); }

}  // namespace db4
