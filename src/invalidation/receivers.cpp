#include "invalidation/receivers.hpp"

#include <db4/error.hpp>

#include <algorithm>

namespace db4::invalidation {

void require_message(const std::string& message) {
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

void require_max_queued(std::size_t max_queued) {
  if (max_queued != 0) return;
  throw Error(ErrorCode::invalid_argument, "a channel that may queue nothing loses everything",
              "set max_queued to 1 or more");
}

std::shared_ptr<Inbox> Receivers::make(BroadcastReceiver receiver) const {
  if (!receiver.on_message) {
    throw Error(ErrorCode::invalid_argument, "a receiver without on_message was to be subscribed",
                "give it one");
  }
  return std::make_shared<Inbox>(
      max_queued_,
      [receiver = std::move(receiver), delivered = delivered_](const std::optional<std::string>& message) {
        if (message) {
          ++*delivered;
          receiver.on_message(*message);
        } else if (receiver.on_lost) {
          receiver.on_lost();
        }
      },
      [](const std::optional<std::string>&) { return std::nullopt; });
}

void Receivers::add(std::shared_ptr<Inbox> inbox) {
  const std::lock_guard lock(mutex_);
  inboxes_.push_back(std::move(inbox));
}

void Receivers::end(const std::shared_ptr<Inbox>& inbox) {
  {
    const std::lock_guard lock(mutex_);
    if (std::erase(inboxes_, inbox) != 0) {
      lost_by_ended_ += inbox->collapsed();
      errors_of_ended_ += inbox->failed();
    }
  }
  inbox->stop();
}

std::vector<std::shared_ptr<Inbox>> Receivers::all() const {
  const std::lock_guard lock(mutex_);
  return inboxes_;
}

bool Receivers::empty() const {
  const std::lock_guard lock(mutex_);
  return inboxes_.empty();
}

void Receivers::post(std::span<const std::string> messages) {
  const std::lock_guard lock(mutex_);
  for (const std::string& message : messages) {
    for (const auto& inbox : inboxes_) inbox->post(message);
  }
}

void Receivers::post_lost() {
  const std::lock_guard lock(mutex_);
  for (const auto& inbox : inboxes_) inbox->post(std::nullopt);
  told_lost_ += inboxes_.size();
}

void Receivers::count(BroadcastStats& stats) const {
  const std::lock_guard lock(mutex_);
  stats.delivered += *delivered_;
  stats.lost += told_lost_ + lost_by_ended_;
  stats.receiver_errors += errors_of_ended_;
  stats.receivers += inboxes_.size();
  for (const auto& inbox : inboxes_) {
    stats.lost += inbox->collapsed();
    stats.receiver_errors += inbox->failed();
    stats.queued += inbox->queued();
  }
}

}  // namespace db4::invalidation
