#pragma once
// A four-byte lock for critical sections of some hundred nanoseconds.

#include <atomic>
#include <cstdint>

namespace db4::hot {

/// Satisfies Lockable. Spins for about as long as such a section lasts, then sleeps in the kernel: with more
/// threads than cores the holder may have been preempted, and spinning on would only keep it from running.
/// 0 free, 1 held, 2 held and somebody may sleep (Drepper: "Futexes are tricky", 2011, mutex 2).
class ShortLock {
 public:
  void lock() noexcept {
    int expected = 0;
    if (!state_.compare_exchange_strong(expected, 1, std::memory_order_acquire, std::memory_order_relaxed)) {
      lock_contended();
    }
  }
  bool try_lock() noexcept {
    int expected = 0;
    return state_.compare_exchange_strong(expected, 1, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() noexcept {
    if (state_.exchange(0, std::memory_order_release) == 2) state_.notify_one();
  }

 private:
  static void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  void lock_contended() noexcept {
    for (int spin = 0; spin < kSpins; ++spin) {
      pause();
      if (state_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
    }
    while (state_.exchange(2, std::memory_order_acquire) != 0) state_.wait(2, std::memory_order_relaxed);
  }

  static constexpr int kSpins = 64;
  std::atomic<int> state_{0};
};

}  // namespace db4::hot
