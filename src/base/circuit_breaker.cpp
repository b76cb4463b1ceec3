#include "base/circuit_breaker.hpp"

#include <algorithm>

namespace db4 {

CircuitBreaker::CircuitBreaker(Options options, std::shared_ptr<Clock> clock,
                               std::shared_ptr<RandomSource> random)
    : options_(options), clock_(std::move(clock)), random_(std::move(random)) {}

std::optional<CircuitBreaker::Pass> CircuitBreaker::enter() {
  if (!open()) return Pass(this, era_.load(std::memory_order_acquire), /*probe=*/false);
  const std::lock_guard lock(mutex_);
  if (!open()) return Pass(this, era_, /*probe=*/false);
  if (probing_ || clock_->monotonic() < retry_at_) return std::nullopt;
  probing_ = true;
  return Pass(this, era_, /*probe=*/true);
}

void CircuitBreaker::succeed(std::uint64_t era, bool probe) {
  if (!probe) {
    if (failures_.load(std::memory_order_relaxed) != 0) failures_ = 0;
    return;
  }
  const std::lock_guard lock(mutex_);
  if (era != era_) return;
  probing_ = false;
  failures_ = 0;
  pause_bound_ = MonotonicTime{0};
  ++era_;
  open_.store(false, std::memory_order_release);
}

void CircuitBreaker::fail(std::uint64_t era, bool probe, std::string reason) {
  const std::lock_guard lock(mutex_);
  if (era != era_) return;
  reason_ = std::move(reason);
  if (probe) {
    probing_ = false;
    begin_pause();
  } else if (++failures_ >= options_.max_failures) {
    ++era_;
    begin_pause();
    open_.store(true, std::memory_order_release);
  }
}

void CircuitBreaker::abandon(std::uint64_t era) {
  const std::lock_guard lock(mutex_);
  if (era == era_) probing_ = false;
}

void CircuitBreaker::begin_pause() {
  pause_bound_ = std::clamp(pause_bound_ * 2, options_.first_pause, options_.max_pause);
  const auto half = static_cast<std::uint64_t>(pause_bound_.count()) / 2;
  const std::uint64_t drawn = half == 0 ? 0 : random_->next_u64() % (half + 1);
  retry_at_ = clock_->monotonic() + MonotonicTime{static_cast<std::int64_t>(half + drawn)};
}

std::string CircuitBreaker::reason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

}  // namespace db4
