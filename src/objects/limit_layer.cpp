#include "objects/limit_layer.hpp"

#include <db4/error.hpp>

namespace db4::objects {
namespace {

[[noreturn]] void no_time() {
  throw Error(ErrorCode::deadline_exceeded, "no request to the object store was free in the time given",
              "give more time, or raise cold.max_requests_in_flight and the rates of the cold tier");
}
[[noreturn]] void stopped() {
  throw Error(ErrorCode::cancelled, "stopped while waiting for a free request to the object store",
              "repeat it");
}

}  // namespace

RequestClass class_of(ObjectOperation operation) noexcept {
  switch (operation) {
    case ObjectOperation::get:
    case ObjectOperation::get_range:
    case ObjectOperation::head:
      return RequestClass::reads;
    case ObjectOperation::put:
    case ObjectOperation::begin_multipart:
    case ObjectOperation::put_part:
    case ObjectOperation::complete_multipart:
      return RequestClass::writes;
    case ObjectOperation::remove:
    case ObjectOperation::remove_many:
    case ObjectOperation::abort_multipart:
      return RequestClass::deletes;
    case ObjectOperation::list:
    case ObjectOperation::list_parts:
    case ObjectOperation::list_multipart:
      break;
  }
  return RequestClass::lists;
}

void LimitLayer::wait_for_rate(RequestClass of, const CallOptions& bounds) {
  const std::uint64_t rate = options_.per_second[static_cast<std::size_t>(of)];
  if (rate == 0) return;
  const auto apart = MonotonicTime{std::chrono::seconds{1}} / rate;
  const auto early = MonotonicTime{std::chrono::seconds{1}} / 10;
  MonotonicTime wait{0};
  {
    const std::scoped_lock lock(mutex_);
    const MonotonicTime now = clock_->monotonic();
    MonotonicTime& due = due_[static_cast<std::size_t>(of)];
    const MonotonicTime mine = std::max(due, now);
    const MonotonicTime begins = std::max(now, mine - early);
    if (begins > now && begins >= bounds.deadline) no_time();
    due = mine + apart;
    wait = begins - now;
  }
  if (wait > MonotonicTime{0} && !clock_->sleep_for(wait, bounds.stop)) stopped();
}

void LimitLayer::take_slot(const CallOptions& bounds) {
  if (options_.max_in_flight == 0) return;
  // A callback may run while it is being made, and its destructor waits for one that runs: so it is made
  // before the lock is taken, and goes after the lock has gone.
  const std::stop_callback wake(bounds.stop, [this] {
    const std::scoped_lock lock(mutex_);
    freed_.notify_all();
  });
  std::unique_lock lock(mutex_);
  const auto free = [this] { return in_flight_ < options_.max_in_flight; };
  clock_->wait_until(lock, freed_, bounds.deadline, [&] { return free() || bounds.stop.stop_requested(); });
  if (!free()) {
    if (bounds.stop.stop_requested()) stopped();
    no_time();
  }
  ++in_flight_;
}

void LimitLayer::give_slot() noexcept {
  if (options_.max_in_flight == 0) return;
  {
    const std::scoped_lock lock(mutex_);
    --in_flight_;
  }
  // All: who is woken may have been stopped, or out of time, and would keep it to himself.
  freed_.notify_all();
}

}  // namespace db4::objects
