#include "invalidation/mailbox.hpp"

#include <db4/broadcast_channel.hpp>
#include <db4/error.hpp>

#include <algorithm>
#include <atomic>
#include <unordered_map>

namespace db4 {
namespace {

/// What waits for a receiver; nullopt: messages were lost.
using Inbox = invalidation::Mailbox<std::optional<std::string>>;

/// Where the channels of one name meet.
struct Hub {
  std::mutex mutex;
  std::vector<std::shared_ptr<Inbox>> inboxes;

  void remove(const std::shared_ptr<Inbox>& inbox) {
    const std::lock_guard lock(mutex);
    std::erase(inboxes, inbox);
  }
};

/// The hub of that name. The house has no registries, and this is one: two stores in a process are configured
/// with a name, as they would be with a server's address, and have nothing else in common through which a hub
/// could be handed on. It owns nothing (a hub lives as long as a channel of its name does) and no test meets
/// another's by accident but by the name.
std::shared_ptr<Hub> hub_of(const std::string& name) {
  static std::mutex mutex;
  static std::unordered_map<std::string, std::weak_ptr<Hub>> hubs;
  const std::lock_guard lock(mutex);
  std::erase_if(hubs, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<Hub>& known = hubs[name];
  if (auto hub = known.lock()) return hub;
  auto hub = std::make_shared<Hub>();
  known = hub;
  return hub;
}

[[noreturn]] void fail_closed(const std::string& name) {
  throw Error(ErrorCode::unavailable, "the channel " + name + " is closed", "open another one");
}

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

}  // namespace

struct InMemoryBroadcastChannel::State {
  const std::string name;
  const std::size_t max_queued;
  const std::shared_ptr<Hub> hub;

  std::mutex mutex;
  bool closed = false;
  std::vector<std::shared_ptr<Inbox>> own;  ///< subscribed through this channel
  std::uint64_t lost_by_ended = 0;          ///< by inboxes that are gone
  std::uint64_t errors_of_ended = 0;

  std::atomic<std::uint64_t> published = 0;
  std::atomic<std::uint64_t> refused = 0;
  std::shared_ptr<std::atomic<std::uint64_t>> delivered = std::make_shared<std::atomic<std::uint64_t>>(0);

  /// Ends a subscription: no lock is held while a receiver that runs is waited for.
  void end(const std::shared_ptr<Inbox>& inbox) {
    hub->remove(inbox);
    {
      const std::lock_guard lock(mutex);
      if (std::erase(own, inbox) != 0) {
        lost_by_ended += inbox->collapsed();
        errors_of_ended += inbox->failed();
      }
    }
    inbox->stop();
  }
};

InMemoryBroadcastChannel::InMemoryBroadcastChannel(std::string name, std::size_t max_queued) {
  if (max_queued == 0) {
    throw Error(ErrorCode::invalid_argument, "a channel that may queue nothing loses everything",
                "set max_queued to 1 or more");
  }
  auto hub = hub_of(name);
  state_ = std::shared_ptr<State>(new State{
      .name = std::move(name), .max_queued = max_queued, .hub = std::move(hub), .mutex = {}, .own = {}});
}

InMemoryBroadcastChannel::~InMemoryBroadcastChannel() { close(); }

std::size_t InMemoryBroadcastChannel::publish(std::span<const std::string> messages) {
  try {
    for (const std::string& message : messages) require_message(message);
    {
      const std::lock_guard lock(state_->mutex);
      if (state_->closed) fail_closed(state_->name);
    }
  } catch (const Error&) {
    ++state_->refused;
    throw;
  }
  // Under the hub's lock, so that all receivers see one order; posting waits for nobody.
  const std::lock_guard lock(state_->hub->mutex);
  for (const std::string& message : messages) {
    for (const auto& inbox : state_->hub->inboxes) inbox->post(message);
  }
  state_->published += messages.size();
  return messages.size();
}

Subscription InMemoryBroadcastChannel::subscribe(BroadcastReceiver receiver) {
  if (!receiver.on_message) {
    throw Error(ErrorCode::invalid_argument, "a receiver without on_message was to be subscribed",
                "give it one");
  }
  auto inbox = std::make_shared<Inbox>(
      state_->max_queued,
      [receiver = std::move(receiver),
       delivered = state_->delivered](const std::optional<std::string>& message) {
        if (message) {
          ++*delivered;
          receiver.on_message(*message);
        } else if (receiver.on_lost) {
          receiver.on_lost();
        }
      },
      [](const std::optional<std::string>&) { return std::nullopt; });
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->closed) fail_closed(state_->name);
    state_->own.push_back(inbox);
    const std::lock_guard hub_lock(state_->hub->mutex);
    state_->hub->inboxes.push_back(inbox);
  }
  return Subscription([state = state_, inbox] { state->end(inbox); });
}

std::string InMemoryBroadcastChannel::name() const { return state_->name; }

BroadcastStats InMemoryBroadcastChannel::stats() const {
  const std::lock_guard lock(state_->mutex);
  BroadcastStats stats{.published = state_->published,
                       .refused = state_->refused,
                       .delivered = *state_->delivered,
                       .lost = state_->lost_by_ended,
                       .receiver_errors = state_->errors_of_ended,
                       .receivers = state_->own.size(),
                       .queued = 0};
  for (const auto& inbox : state_->own) {
    stats.lost += inbox->collapsed();
    stats.receiver_errors += inbox->failed();
    stats.queued += inbox->queued();
  }
  return stats;
}

void InMemoryBroadcastChannel::close() {
  std::vector<std::shared_ptr<Inbox>> ending;
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    ending = state_->own;
  }
  for (const auto& inbox : ending) state_->end(inbox);
}

}  // namespace db4
