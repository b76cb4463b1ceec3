#pragma once
// A counter that many threads bump without fighting over one cache line.

#include <array>
#include <atomic>
#include <cstdint>

namespace db4 {

/// A small number for the calling thread, handed out in turn; for picking a stripe.
inline unsigned thread_stripe() noexcept {
  static std::atomic<unsigned> next{0};
  thread_local const unsigned mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

/// Thread-safe. value() is exact once the writers are done, and never misses what happened before it.
class StripedCounter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    stripes_[thread_stripe() % kStripes].value.fetch_add(n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const noexcept {
    std::uint64_t sum = 0;
    for (const Stripe& stripe : stripes_) sum += stripe.value.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  static constexpr unsigned kStripes = 16;
  struct alignas(64) Stripe {
    std::atomic<std::uint64_t> value{0};
  };
  std::array<Stripe, kStripes> stripes_;
};

}  // namespace db4
