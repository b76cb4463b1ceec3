#pragma once
// Subscription: as long as it lives, a callback is called.

#include <db4/types.hpp>

#include <functional>

namespace db4 {

/// Owns a callback's registration; move-only. Its destruction ends the registration and waits for a call of
/// the callback that runs, unless it happens inside that very call; after it the callback is not called
/// again. So what the callback uses may go once the subscription is gone. It may outlive whatever it came
/// from.
///
/// Thread rule: one thread at a time, as any value; the callback may run in another meanwhile.
class DB4_API Subscription {
 public:
  /// Holds nothing.
  Subscription() noexcept = default;
  /// For whoever offers subscriptions: `cancel` does what the destruction promises, once, and does not throw.
  explicit Subscription(std::function<void()> cancel) noexcept;
  Subscription(Subscription&& other) noexcept;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription();

  /// What the destruction does, now. Nothing where nothing is held.
  void cancel() noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(cancel_); }

 private:
  std::function<void()> cancel_;
};

}  // namespace db4
