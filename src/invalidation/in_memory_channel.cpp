#include "invalidation/receivers.hpp"

#include <db4/broadcast_channel.hpp>
#include <db4/error.hpp>

#include <algorithm>
#include <atomic>
#include <unordered_map>

namespace db4 {
namespace {

using invalidation::Inbox;

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

}  // namespace

struct InMemoryBroadcastChannel::State {
  State(std::string its_name, std::size_t max_queued, std::shared_ptr<Hub> its_hub)
      : name(std::move(its_name)), hub(std::move(its_hub)), own(max_queued) {}

  const std::string name;
  const std::shared_ptr<Hub> hub;
  invalidation::Receivers own;  ///< subscribed through this channel

  std::mutex mutex;
  bool closed = false;

  std::atomic<std::uint64_t> published = 0;
  std::atomic<std::uint64_t> refused = 0;

  /// Ends a subscription: no lock is held while a receiver that runs is waited for.
  void end(const std::shared_ptr<Inbox>& inbox) {
    hub->remove(inbox);
    own.end(inbox);
  }
};

InMemoryBroadcastChannel::InMemoryBroadcastChannel(std::string name, std::size_t max_queued) {
  invalidation::require_max_queued(max_queued);
  auto hub = hub_of(name);
  state_ = std::make_shared<State>(std::move(name), max_queued, std::move(hub));
}

InMemoryBroadcastChannel::~InMemoryBroadcastChannel() { close(); }

std::size_t InMemoryBroadcastChannel::publish(std::span<const std::string> messages) {
  try {
    for (const std::string& message : messages) invalidation::require_message(message);
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
  auto inbox = state_->own.make(std::move(receiver));
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->closed) fail_closed(state_->name);
    state_->own.add(inbox);
    const std::lock_guard hub_lock(state_->hub->mutex);
    state_->hub->inboxes.push_back(inbox);
  }
  return Subscription([state = state_, inbox] { state->end(inbox); });
}

std::string InMemoryBroadcastChannel::name() const { return state_->name; }

BroadcastStats InMemoryBroadcastChannel::stats() const {
  BroadcastStats stats{.published = state_->published, .refused = state_->refused};
  state_->own.count(stats);
  return stats;
}

void InMemoryBroadcastChannel::close() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
  }
  for (const auto& inbox : state_->own.all()) state_->end(inbox);
}

}  // namespace db4
