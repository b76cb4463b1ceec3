#pragma once
// Subscribers: who is told of events, each in a thread and from a queue of its own.

#include "invalidation/mailbox.hpp"

#include <db4/invalidation.hpp>

#include <memory>
#include <mutex>
#include <vector>

namespace db4::invalidation {

/// Thread-safe; every call may be made inside a callback. Lives in a shared_ptr: subscriptions may outlive
/// it.
class Subscribers : public std::enable_shared_from_this<Subscribers> {
 public:
  using Callback = CacheInvalidationManager::Callback;
  struct Totals {
    std::uint64_t subscribers = 0;
    std::uint64_t queued = 0;
    std::uint64_t errors = 0;
    std::uint64_t collapsed = 0;
  };

  Subscribers(std::size_t max_subscribers, std::size_t max_queued)
      : max_subscribers_(max_subscribers), max_queued_(max_queued) {}

  [[nodiscard]] Subscription subscribe(Callback callback);
  void post(const InvalidationEvent& event);
  bool wait_idle(Clock& clock, MonotonicTime deadline);
  [[nodiscard]] Totals totals() const;
  /// Ends all subscriptions, as their destruction would, and takes no more.
  void stop();

 private:
  using Inbox = Mailbox<InvalidationEvent>;
  void end(const std::shared_ptr<Inbox>& inbox);

  const std::size_t max_subscribers_;
  const std::size_t max_queued_;
  mutable std::mutex mutex_;
  bool stopped_ = false;
  std::vector<std::shared_ptr<Inbox>> inboxes_;
  Totals ended_;  ///< errors and collapsed events of those that are gone
};

}  // namespace db4::invalidation
