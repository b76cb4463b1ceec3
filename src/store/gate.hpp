#pragma once
// Gate: lets calls in until it is closed, and closes when the last one has left.

#include "base/striped_counter.hpp"

#include <db4/error.hpp>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace db4::store {

/// Thread-safe. Passing costs two atomic additions on a stripe that few threads share.
class Gate {
  struct alignas(64) Stripe {
    std::atomic<std::int64_t> inside{0};
  };

 public:
  /// Inside while it lives. Throws invalid_argument where the gate is closed.
  class Pass {
   public:
    explicit Pass(Gate& gate) : gate_(gate), stripe_(gate.stripes_[thread_stripe() % kStripes]) {
      // Both sequentially consistent: either close() sees us inside, or we see it closed.
      stripe_.inside.fetch_add(1);
      if (!gate_.closed_.load()) return;
      leave();
      throw Error(ErrorCode::invalid_argument, "the store is closed", "open it again with a new TieredStore");
    }
    ~Pass() { leave(); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    void leave() noexcept {
      stripe_.inside.fetch_sub(1);
      if (!gate_.closed_.load()) return;
      const std::scoped_lock lock(gate_.mutex_);
      gate_.empty_.notify_all();
    }
    Gate& gate_;
    Stripe& stripe_;
  };

  /// Lets nobody in any more; whether it was open.
  bool close() { return !closed_.exchange(true); }
  [[nodiscard]] bool closed() const noexcept { return closed_.load(); }
  /// After close(): waits until nobody is inside.
  void wait_until_empty() {
    std::unique_lock lock(mutex_);
    empty_.wait(lock, [this] {
      std::int64_t inside = 0;
      for (const Stripe& stripe : stripes_) inside += stripe.inside.load();
      return inside == 0;
    });
  }

 private:
  friend class Pass;
  static constexpr unsigned kStripes = 16;
  std::array<Stripe, kStripes> stripes_;
  std::atomic<bool> closed_{false};
  std::mutex mutex_;
  std::condition_variable empty_;
};

}  // namespace db4::store
