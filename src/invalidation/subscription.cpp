#include <db4/subscription.hpp>

#include <utility>

namespace db4 {

Subscription::Subscription(std::function<void()> cancel) noexcept : cancel_(std::move(cancel)) {}

Subscription::Subscription(Subscription&& other) noexcept : cancel_(std::exchange(other.cancel_, nullptr)) {}

Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this == &other) return *this;
  cancel();
  cancel_ = std::exchange(other.cancel_, nullptr);
  return *this;
}

Subscription::~Subscription() { cancel(); }

void Subscription::cancel() noexcept {
  // Empty before it is called: a callback may reach this subscription once more.
  if (const auto held = std::exchange(cancel_, nullptr)) held();
}

}  // namespace db4
