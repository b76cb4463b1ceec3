#pragma once
// CircuitBreaker: keeps callers from waiting, one after the other, for a service that is away.

#include <db4/clock.hpp>
#include <db4/random.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace db4 {

/// Closed, it lets every call through. After `max_failures` in a row it opens: calls are turned away at once,
/// for a pause that is drawn between the half and the whole of a bound, which doubles from `first_pause` to
/// `max_pause` with every probe that fails (the jitter keeps many processes from asking at the same moment).
/// After the pause one call at a time is let through as a probe; where it succeeds, all are let through.
///
/// A verdict counts only in the state in which its call began: calls that were on their way when the breaker
/// opened do not make the pause longer, and none of them closes it.
///
/// (tiering::ColdBreaker is another thing: it ends one run of one thread, and knows no time.)
///
/// Thread-safe. Closed, a call costs two reads of memory that nobody writes. The breaker outlives its passes.
class CircuitBreaker {
 public:
  struct Options {
    int max_failures = 3;
    MonotonicTime first_pause = std::chrono::milliseconds{100};
    MonotonicTime max_pause = std::chrono::seconds{30};
  };

  /// Leave to make one call. Say how it went; a probe about which nothing is said is as if it had not been.
  class Pass {
   public:
    Pass(Pass&& other) noexcept
        : breaker_(std::exchange(other.breaker_, nullptr)), era_(other.era_), probe_(other.probe_) {}
    Pass& operator=(Pass&&) = delete;
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass() {
      if (breaker_ != nullptr && probe_) breaker_->abandon(era_);
    }
    void succeeded() {
      if (CircuitBreaker* const breaker = std::exchange(breaker_, nullptr)) breaker->succeed(era_, probe_);
    }
    void failed(std::string reason) {
      if (CircuitBreaker* const breaker = std::exchange(breaker_, nullptr)) {
        breaker->fail(era_, probe_, std::move(reason));
      }
    }

   private:
    friend class CircuitBreaker;
    Pass(CircuitBreaker* breaker, std::uint64_t era, bool probe) noexcept
        : breaker_(breaker), era_(era), probe_(probe) {}
    CircuitBreaker* breaker_;
    std::uint64_t era_;
    bool probe_;
  };

  CircuitBreaker(Options options, std::shared_ptr<Clock> clock, std::shared_ptr<RandomSource> random);

  /// nullopt: turned away.
  [[nodiscard]] std::optional<Pass> enter();
  [[nodiscard]] bool open() const noexcept { return open_.load(std::memory_order_acquire); }
  /// Of the failure that was counted last; empty where none was.
  [[nodiscard]] std::string reason() const;

 private:
  void succeed(std::uint64_t era, bool probe);
  void fail(std::uint64_t era, bool probe, std::string reason);
  void abandon(std::uint64_t era);
  void begin_pause();

  const Options options_;
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;

  std::atomic<bool> open_ = false;
  std::atomic<std::uint64_t> era_ = 0;  ///< rises when it opens and when it closes
  std::atomic<int> failures_ = 0;       ///< in a row, while closed

  mutable std::mutex mutex_;
  bool probing_ = false;
  MonotonicTime pause_bound_{0};
  MonotonicTime retry_at_{0};
  std::string reason_;
};

}  // namespace db4
