#include "invalidation/publisher.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <system_error>

namespace db4::invalidation {
namespace {

/// Messages in one call of the channel.
constexpr std::size_t kMaxBatch = 128;
/// Doublings of the pause: past it retry_max_delay holds in any case.
constexpr std::uint64_t kMaxDoublings = 20;

}  // namespace

Publisher::Publisher(std::shared_ptr<BroadcastChannel> channel, std::shared_ptr<Clock> clock,
                     std::shared_ptr<RandomSource> random, Options options, std::uint64_t last_sequence,
                     std::function<void()> on_beat)
    : channel_(std::move(channel)),
      clock_(std::move(clock)),
      random_(std::move(random)),
      options_(std::move(options)),
      on_beat_(std::move(on_beat)),
      last_sent_(last_sequence),
      // The first heartbeat goes out at once: others know from then on where this node stands.
      next_beat_(options_.heartbeat_interval > std::chrono::milliseconds{0} ? clock_->monotonic()
                                                                            : MonotonicTime::max()) {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    throw Error(ErrorCode::resource_exhausted, "no thread could be started to send invalidations",
                "raise the limit of threads, then repeat");
  }
}

Publisher::~Publisher() { stop(); }

void Publisher::enqueue(const InvalidationEvent& event) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  if (one_for_all_ || queue_.size() >= options_.max_queued) {
    // What is with the channel now stays: it may have been taken.
    stats_.collapsed += one_for_all_ ? 1 : queue_.size() - in_flight_ + 1;
    queue_.resize(in_flight_);
    queue_.push_back({.type = InvalidationType::flush,
                      .collection = {},
                      .id = {},
                      .version = 0,
                      .tier = {},
                      .node_id = event.node_id,
                      .epoch = event.epoch,
                      .sequence = event.sequence});
    one_for_all_ = true;
  } else {
    queue_.push_back(event);
  }
  changed_.notify_all();
}

bool Publisher::wait_sent(MonotonicTime deadline) {
  Lock lock(mutex_);
  return clock_->wait_until(lock, changed_, deadline, [this] { return stopping_ || queue_.empty(); });
}

void Publisher::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  std::call_once(joined_, [this] { thread_.join(); });
}

Publisher::Stats Publisher::stats() const {
  const std::lock_guard lock(mutex_);
  Stats stats = stats_;
  stats.queued = queue_.size();
  return stats;
}

void Publisher::run() {
  Lock lock(mutex_);
  MonotonicTime retry_at{0};
  while (!stopping_) {
    const bool backing_off = failures_in_row_ > 0;
    const MonotonicTime until = backing_off ? std::min(retry_at, next_beat_) : next_beat_;
    clock_->wait_until(lock, changed_, until, [&] { return stopping_ || (!backing_off && !queue_.empty()); });
    if (stopping_) break;
    const MonotonicTime now = clock_->monotonic();
    if (now >= next_beat_) beat(lock);
    if (queue_.empty() || (failures_in_row_ > 0 && now < retry_at)) continue;
    if (!send_batch(lock)) retry_at = clock_->monotonic() + pause();
  }
  while (!queue_.empty() && send_batch(lock)) {
  }
  if (queue_.empty()) send_alone(lock, InvalidationMessageKind::farewell);
}

/// With events to send there is no need for a heartbeat; without success with them none would be true.
void Publisher::beat(Lock& lock) {
  next_beat_ = clock_->monotonic() + options_.heartbeat_interval;
  if (queue_.empty() && send_alone(lock, InvalidationMessageKind::heartbeat)) ++stats_.heartbeats;
  if (!on_beat_) return;
  lock.unlock();
  on_beat_();
  lock.lock();
}

bool Publisher::send_batch(Lock& lock) {
  std::vector<std::string> messages;
  in_flight_ = std::min(queue_.size(), kMaxBatch);
  // A flush that stands for others must not grow while the channel has it: what comes now is queued behind
  // it.
  if (in_flight_ == queue_.size()) one_for_all_ = false;
  messages.reserve(in_flight_);
  for (std::size_t i = 0; i < in_flight_; ++i) {
    messages.push_back(encode_invalidation({.kind = InvalidationMessageKind::event, .event = queue_[i]}));
  }
  lock.unlock();
  const std::size_t taken = taken_of(messages);
  lock.lock();
  in_flight_ = 0;
  if (taken == 0) {
    ++failures_in_row_;
    ++stats_.failures;
  } else {
    failures_in_row_ = 0;
    stats_.sent += taken;
    last_sent_ = queue_[taken - 1].sequence;
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  changed_.notify_all();
  return taken > 0;
}

bool Publisher::send_alone(Lock& lock, InvalidationMessageKind kind) {
  const InvalidationMessage message{
      .kind = kind, .event = {.node_id = options_.node_id, .epoch = options_.epoch, .sequence = last_sent_}};
  const std::vector<std::string> messages = {encode_invalidation(message)};
  lock.unlock();
  const bool taken = taken_of(messages) > 0;
  lock.lock();
  if (!taken) ++stats_.failures;
  return taken;
}

std::size_t Publisher::taken_of(const std::vector<std::string>& messages) noexcept {
  try {
    return std::min(channel_->publish(messages), messages.size());
  } catch (...) {  // whatever a channel throws, the events stay queued
    return 0;
  }
}

MonotonicTime Publisher::pause() noexcept {
  const std::uint64_t doublings = std::min(failures_in_row_ - 1, kMaxDoublings);
  const std::chrono::microseconds bound = std::min<std::chrono::microseconds>(
      options_.retry_max_delay,
      std::chrono::microseconds{options_.retry_base_delay} * (std::uint64_t{1} << doublings));
  try {
    return std::chrono::microseconds{random_->next_u64() % static_cast<std::uint64_t>(bound.count() + 1)};
  } catch (...) {  // no randomness to be had: then the longest pause
    return bound;
  }
}

}  // namespace db4::invalidation
