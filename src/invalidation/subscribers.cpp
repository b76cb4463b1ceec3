#include "invalidation/subscribers.hpp"

#include <db4/error.hpp>

namespace db4::invalidation {

Subscription Subscribers::subscribe(Callback callback) {
  if (!callback) {
    throw Error(ErrorCode::invalid_argument, "an empty callback was to be subscribed",
                "give one that can be called");
  }
  const std::lock_guard lock(mutex_);
  if (stopped_) {
    throw Error(ErrorCode::unavailable, "the cache invalidation manager is closed", "open another one");
  }
  if (inboxes_.size() >= max_subscribers_) {
    throw Error(ErrorCode::resource_exhausted,
                "there are " + std::to_string(inboxes_.size()) + " subscribers already",
                "end some, or raise max_subscribers");
  }
  auto inbox = std::make_shared<Inbox>(max_queued_, std::move(callback), [](const InvalidationEvent& latest) {
    return InvalidationEvent{.type = InvalidationType::flush,
                             .collection = {},
                             .id = {},
                             .version = 0,
                             .tier = {},
                             .node_id = latest.node_id,
                             .epoch = latest.epoch,
                             .sequence = latest.sequence};
  });
  inboxes_.push_back(inbox);
  return Subscription([self = weak_from_this(), inbox] {
    if (const auto subscribers = self.lock()) {
      subscribers->end(inbox);
    } else {
      inbox->stop();
    }
  });
}

void Subscribers::post(const InvalidationEvent& event) {
  const std::lock_guard lock(mutex_);
  for (const auto& inbox : inboxes_) inbox->post(event);
}

bool Subscribers::wait_idle(Clock& clock, MonotonicTime deadline) {
  std::vector<std::shared_ptr<Inbox>> inboxes;
  {
    const std::lock_guard lock(mutex_);
    inboxes = inboxes_;
  }
  bool idle = true;
  for (const auto& inbox : inboxes) idle = inbox->wait_idle(clock, deadline) && idle;
  return idle;
}

Subscribers::Totals Subscribers::totals() const {
  const std::lock_guard lock(mutex_);
  Totals totals = ended_;
  totals.subscribers = inboxes_.size();
  for (const auto& inbox : inboxes_) {
    totals.queued += inbox->queued();
    totals.errors += inbox->failed();
    totals.collapsed += inbox->collapsed();
  }
  return totals;
}

void Subscribers::stop() {
  std::vector<std::shared_ptr<Inbox>> inboxes;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    inboxes = inboxes_;
  }
  for (const auto& inbox : inboxes) end(inbox);
}

/// No lock is held while a callback that runs is waited for.
void Subscribers::end(const std::shared_ptr<Inbox>& inbox) {
  inbox->stop();
  const std::lock_guard lock(mutex_);
  if (std::erase(inboxes_, inbox) == 0) return;
  ended_.errors += inbox->failed();
  ended_.collapsed += inbox->collapsed();
}

}  // namespace db4::invalidation
