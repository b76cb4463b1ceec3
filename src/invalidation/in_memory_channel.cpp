#include "invalidation/fan_out.hpp"

#include <db4/broadcast_channel.hpp>
#include <db4/error.hpp>

#include <unordered_map>

namespace db4 {
namespace {

/// Where the channels of one name meet.
struct Hub {
  std::mutex mutex;
  std::vector<std::shared_ptr<invalidation::FanOut>> fans;
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

}  // namespace

struct InMemoryBroadcastChannel::State {
  State(std::string its_name, std::size_t max_queued)
      : name(std::move(its_name)),
        fan(std::make_shared<invalidation::FanOut>(name, max_queued)),
        hub(hub_of(name)) {}

  const std::string name;
  const std::shared_ptr<invalidation::FanOut> fan;
  const std::shared_ptr<Hub> hub;
  std::atomic<bool> closed = false;
  std::atomic<std::uint64_t> published = 0;
  std::atomic<std::uint64_t> refused = 0;
};

InMemoryBroadcastChannel::InMemoryBroadcastChannel(std::string name, std::size_t max_queued)
    : state_(std::make_shared<State>(std::move(name), max_queued)) {
  const std::lock_guard lock(state_->hub->mutex);
  state_->hub->fans.push_back(state_->fan);
}

InMemoryBroadcastChannel::~InMemoryBroadcastChannel() { close(); }

std::size_t InMemoryBroadcastChannel::publish(std::span<const std::string> messages) {
  try {
    invalidation::require_messages(messages);
    if (state_->closed) invalidation::fail_closed(state_->name);
  } catch (const Error&) {
    ++state_->refused;
    throw;
  }
  // Under the hub's lock, so that all receivers see one order; posting waits for nobody.
  const std::lock_guard lock(state_->hub->mutex);
  for (const std::string& message : messages) {
    for (const auto& fan : state_->hub->fans) fan->post(message);
  }
  state_->published += messages.size();
  return messages.size();
}

Subscription InMemoryBroadcastChannel::subscribe(BroadcastReceiver receiver) {
  return invalidation::FanOut::subscribe(state_->fan, std::move(receiver));
}

std::string InMemoryBroadcastChannel::name() const { return state_->name; }

BroadcastStats InMemoryBroadcastChannel::stats() const {
  BroadcastStats stats{.published = state_->published, .refused = state_->refused};
  state_->fan->count(stats);
  return stats;
}

void InMemoryBroadcastChannel::close() {
  state_->closed = true;
  {
    const std::lock_guard lock(state_->hub->mutex);
    std::erase(state_->hub->fans, state_->fan);
  }
  state_->fan->close();
}

}  // namespace db4
