#include "base/hash.hpp"
#include "hot/hot_state.hpp"

#include <db4/hot_storage.hpp>

#include <algorithm>

namespace db4 {
namespace {
// Demotion for room starts at 90 % and goes down to 85 %, so that it does not start again with the next
// write.
constexpr std::uint64_t kPressureStartPercent = 90;
constexpr std::uint64_t kPressureGoalPercent = 85;

std::uint64_t percent_of(std::uint64_t whole, std::uint64_t percent) noexcept {
  return whole / 100 * percent;
}
}  // namespace

HotStorage::HotStorage(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
HotStorage::~HotStorage() = default;

bool HotStorage::in_memory(std::string_view collection, std::string_view id) const {
  const std::string key = catalog::document_key(collection, id);
  return static_cast<bool>(state_->cache().peek(hash_key(key), key));
}

HotStats HotStorage::stats() const { return state_->stats(); }

HotStorage::State::State(catalog::Catalog& catalog, std::shared_ptr<Clock> clock, Options options)
    : catalog_(catalog),
      clock_(std::move(clock)),
      options_(options),
      cache_({.max_bytes = options.cache_size}) {
  refresh_totals();
}

void HotStorage::State::refresh_totals() {
  const catalog::Totals totals = catalog_.totals();
  const std::scoped_lock lock(mutex_);
  documents_ = static_cast<std::int64_t>(totals[catalog::Metric::hot_documents]);
  bytes_ = static_cast<std::int64_t>(totals[catalog::Metric::hot_bytes]);
  room_.notify_all();
}

void HotStorage::State::on_applied(const catalog::RowChange& change) noexcept {
  const bool was_hot = change.before && change.before->hot();
  const bool is_hot = change.after && change.after->hot();
  if (!change.after || !change.after->live()) {
    cache_.forget(change.hash, change.key);
  } else if (is_hot && change.block) {
    cache_.put(change.block);
  } else if (!is_hot || !was_hot || change.before->version != change.after->version) {
    // No body at hand, or no longer hot: the next read fills it.
    cache_.erase(change.hash, change.key);
  }
  const std::int64_t bytes = (is_hot ? static_cast<std::int64_t>(change.after->size) : 0) -
                             (was_hot ? static_cast<std::int64_t>(change.before->size) : 0);
  const std::scoped_lock lock(mutex_);
  documents_ += static_cast<int>(is_hot) - static_cast<int>(was_hot);
  bytes_ += bytes;
  if (bytes < 0) room_.notify_all();
}

std::uint64_t HotStorage::State::used() const noexcept {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(bytes_, 0)) + reserved_;
}

bool HotStorage::State::fits(std::uint64_t bytes) const noexcept {
  return used() + bytes <= options_.max_size;
}

HotStorage::State::Reservation HotStorage::State::reserve(std::uint64_t bytes,
                                                          std::optional<std::chrono::milliseconds> timeout,
                                                          const std::stop_token& stop) {
  if (options_.max_size == 0 || bytes == 0) return {};
  if (bytes > options_.max_size) {
    throw Error(ErrorCode::too_large,
                "the documents need " + std::to_string(bytes) + " bytes of the hot tier, which holds " +
                    std::to_string(options_.max_size),
                "write them in smaller batches, to another tier, or raise hot.max_size");
  }
  std::unique_lock lock(mutex_);
  if (!fits(bytes)) return wait_for_room(std::move(lock), bytes, timeout, stop);
  reserved_ += bytes;
  const bool pressed = used() > percent_of(options_.max_size, kPressureStartPercent);
  lock.unlock();
  if (pressed && pressure_callback_) pressure_callback_();
  return {*this, bytes};
}

HotStorage::State::Reservation HotStorage::State::wait_for_room(
    std::unique_lock<std::mutex> lock, std::uint64_t bytes, std::optional<std::chrono::milliseconds> timeout,
    const std::stop_token& stop) {
  ++waits_;
  wanted_ += bytes;
  lock.unlock();
  if (pressure_callback_) pressure_callback_();
  bool got = false;
  bool stopped = false;
  {
    // Whoever asks to stop must wake us; taking the mutex keeps the wake-up from falling between test and
    // wait. The callback's destructor waits for it to finish, so it must not run while we hold the mutex.
    const std::stop_callback wake(stop, [this] {
      const std::scoped_lock guard(mutex_);
      room_.notify_all();
    });
    lock.lock();
    const MonotonicTime deadline = clock_->monotonic() + timeout.value_or(options_.full_timeout);
    clock_->wait_until(lock, room_, deadline,
                       [&] { return fits(bytes) || stopped_ || stop.stop_requested(); });
    wanted_ -= bytes;
    stopped = stopped_ || stop.stop_requested();
    got = fits(bytes) && !stopped;
    if (got) {
      reserved_ += bytes;
    } else if (!stopped) {
      ++refusals_;
    }
    lock.unlock();
  }
  if (got) return {*this, bytes};
  if (stopped) {
    throw Error(ErrorCode::cancelled, "stopped while waiting for room in the hot tier", "repeat the write");
  }
  throw Error(ErrorCode::resource_exhausted,
              "the hot tier is full (" + std::to_string(this->bytes()) + " of " +
                  std::to_string(options_.max_size) + " bytes)",
              "wait and repeat, raise hot.max_size, or find out with stats() why demotion does not keep up");
}

std::optional<HotStorage::State::Reservation> HotStorage::State::try_reserve(std::uint64_t bytes) {
  if (options_.max_size == 0) return Reservation{};
  const std::scoped_lock lock(mutex_);
  // Up to the pressure mark only: what a promotion brings in beyond it, the next demotion would take out
  // again.
  if (used() + bytes > percent_of(options_.max_size, kPressureStartPercent)) return std::nullopt;
  reserved_ += bytes;
  return Reservation{*this, bytes};
}

void HotStorage::State::stop_waiting() {
  const std::scoped_lock lock(mutex_);
  stopped_ = true;
  room_.notify_all();
}

void HotStorage::State::give_back(std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  reserved_ -= bytes;
  room_.notify_all();
}

std::uint64_t HotStorage::State::pressure_bytes() const {
  if (options_.max_size == 0) return 0;
  const std::scoped_lock lock(mutex_);
  std::uint64_t over = 0;
  if (used() > percent_of(options_.max_size, kPressureStartPercent)) {
    over = used() - percent_of(options_.max_size, kPressureGoalPercent);
  }
  // A large document may find no room though the share is below the mark.
  const std::uint64_t needed = used() + std::min(wanted_, options_.max_size);
  return std::max(over, needed > options_.max_size ? needed - options_.max_size : 0);
}

std::uint64_t HotStorage::State::bytes() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(bytes_, 0));
}

HotStats HotStorage::State::stats() const {
  const hot::DocumentCacheStats cache = cache_.stats();
  const std::scoped_lock lock(mutex_);
  return {.documents = static_cast<std::uint64_t>(std::max<std::int64_t>(documents_, 0)),
          .bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(bytes_, 0)),
          .max_size = options_.max_size,
          .cache_entries = cache.entries,
          .cache_bytes = cache.bytes,
          .cache_hits = cache_hits_.value(),
          .cache_evictions = cache.evictions,
          .waits = waits_,
          .refusals = refusals_};
}

}  // namespace db4
