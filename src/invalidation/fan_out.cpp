#include "invalidation/fan_out.hpp"

#include <db4/error.hpp>

namespace db4::invalidation {

FanOut::FanOut(std::string name, std::size_t max_queued) : name_(std::move(name)), max_queued_(max_queued) {
  if (max_queued == 0) {
    throw Error(ErrorCode::invalid_argument, "a channel that may queue nothing loses everything",
                "set max_queued to 1 or more");
  }
}

Subscription FanOut::subscribe(const std::shared_ptr<FanOut>& fan, BroadcastReceiver receiver) {
  if (!receiver.on_message) {
    throw Error(ErrorCode::invalid_argument, "a receiver without on_message was to be subscribed",
                "give it one");
  }
  auto inbox = std::make_shared<Inbox>(
      fan->max_queued_,
      [receiver = std::move(receiver),
       delivered = fan->delivered_](const std::optional<std::string>& message) {
        if (message) {
          ++*delivered;
          receiver.on_message(*message);
        } else if (receiver.on_lost) {
          receiver.on_lost();
        }
      },
      [](const std::optional<std::string>&) { return std::nullopt; });
  {
    const std::lock_guard lock(fan->mutex_);
    if (fan->closed_) fail_closed(fan->name_);
    fan->inboxes_.push_back(inbox);
  }
  return Subscription([fan, inbox] { fan->end(inbox); });
}

void FanOut::post(const std::string& message) {
  const std::lock_guard lock(mutex_);
  for (const auto& inbox : inboxes_) inbox->post(message);
}

void FanOut::post_lost() {
  const std::lock_guard lock(mutex_);
  for (const auto& inbox : inboxes_) inbox->post(std::nullopt);
  losses_said_ += inboxes_.size();
}

/// No lock is held while a receiver that runs is waited for.
void FanOut::end(const std::shared_ptr<Inbox>& inbox) {
  {
    const std::lock_guard lock(mutex_);
    if (std::erase(inboxes_, inbox) != 0) {
      lost_by_ended_ += inbox->collapsed();
      errors_of_ended_ += inbox->failed();
    }
  }
  inbox->stop();
}

void FanOut::close() {
  std::vector<std::shared_ptr<Inbox>> ending;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    ending = inboxes_;
  }
  for (const auto& inbox : ending) end(inbox);
}

bool FanOut::empty() const {
  const std::lock_guard lock(mutex_);
  return inboxes_.empty();
}

void FanOut::count(BroadcastStats& stats) const {
  const std::lock_guard lock(mutex_);
  stats.delivered = *delivered_;
  stats.lost = losses_said_ + lost_by_ended_;
  stats.receiver_errors = errors_of_ended_;
  stats.receivers = inboxes_.size();
  stats.queued = 0;
  for (const auto& inbox : inboxes_) {
    stats.lost += inbox->collapsed();
    stats.receiver_errors += inbox->failed();
    stats.queued += inbox->queued();
  }
}

void require_messages(std::span<const std::string> messages) {
  for (const std::string& message : messages) {
    if (message.empty()) {
      throw Error(ErrorCode::invalid_argument, "an empty message was to be published",
                  "publish what encode_invalidation gives");
    }
    if (message.size() > kMaxBroadcastMessageBytes) {
      throw Error(ErrorCode::too_large,
                  "a message of " + std::to_string(message.size()) + " bytes was to be published",
                  "keep it to kMaxBroadcastMessageBytes");
    }
  }
}

void fail_closed(const std::string& name) {
  throw Error(ErrorCode::unavailable, "the channel " + name + " is closed", "open another one");
}

}  // namespace db4::invalidation
