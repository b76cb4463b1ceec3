#pragma once
// BroadcastChannel: the plug point through which nodes tell each other what changed. Memory here, Redis
// in redis_channel.hpp; bring your own by deriving from it and passing the conformance suite in
// tests/invalidation/ (docs/invalidation.md).

#include <db4/invalidation_event.hpp>
#include <db4/subscription.hpp>
#include <db4/types.hpp>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace db4 {

/// The longest that publish() of any channel may wait. It runs in a thread of its own, so no write waits for
/// it; the end of a node may.
inline constexpr std::chrono::milliseconds kMaxPublishWait{1000};

/// What a channel has done, and what waits in it.
struct BroadcastStats {
  std::uint64_t published = 0;        ///< messages taken
  std::uint64_t refused = 0;          ///< calls of publish that threw
  std::uint64_t delivered = 0;        ///< calls of on_message
  std::uint64_t lost = 0;             ///< messages that a receiver did not get, and was told so
  std::uint64_t receiver_errors = 0;  ///< exceptions that came out of receivers
  std::uint64_t receivers = 0;        ///< subscribed through this channel now
  std::uint64_t queued = 0;           ///< waiting for them now
  bool polls = false;  ///< it asks its server at an interval, because that does not tell by itself
};

/// What a channel calls, one call at a time for each subscription, without a lock held. What throws is
/// counted, and harms no other receiver.
struct BroadcastReceiver {
  /// A message, as it was published; valid during the call. May be one's own.
  std::function<void(std::string_view message)> on_message;
  /// Some messages may have been lost before this moment: a queue was full, a connection was away for longer
  /// than the channel remembers.
  std::function<void()> on_lost = {};
};

/// Carries short messages from each node to all nodes. Messages are hints: a channel may deliver one twice or
/// late, in another order or, where it cannot be helped, not at all; their numbers tell (see
/// InvalidationMessage). What it may not do is change one, deliver what was never published, or block.
///
/// Thread rule: every call may run in many threads at once, and inside a receiver. Errors: publish and
/// subscribe throw db4::Error; unavailable where a repetition may help.
class DB4_API BroadcastChannel {
 public:
  virtual ~BroadcastChannel() = default;
  /// Publishes messages of 1 to kMaxBroadcastMessageBytes bytes, in this order, and returns how many of them,
  /// from the front, it has taken: at least one. What it has taken reaches every receiver that is subscribed
  /// and connected. Returns within kMaxPublishWait. Throws unavailable where it could take none now (one of
  /// which the answer was lost may arrive all the same), or for good once it is closed; invalid_argument and
  /// too_large for a message of illegal length, and then has taken none.
  virtual std::size_t publish(std::span<const std::string> messages) = 0;
  /// Calls `receiver` for every message that is published after this returned, by whomever, in the order of
  /// each publisher. Throws unavailable where there is no connection, or the channel is closed.
  [[nodiscard]] virtual Subscription subscribe(BroadcastReceiver receiver) = 0;
  /// What it connects to, for people: no password in it.
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual BroadcastStats stats() const = 0;
  /// Ends all its subscriptions, as their destruction would, and takes no more. May be called twice.
  virtual void close() = 0;
};

/// Reaches every InMemoryBroadcastChannel of the same name in this process: for tests, and for several stores
/// in one program. Each subscription has a thread and a queue of `max_queued` messages; one that is full is
/// dropped as a whole, and on_lost called instead. publish() copies the message to each queue and never
/// waits.
class DB4_API InMemoryBroadcastChannel final : public BroadcastChannel {
 public:
  static constexpr std::size_t kDefaultMaxQueued = 8192;

  /// Throws invalid_argument for a max_queued of 0.
  explicit InMemoryBroadcastChannel(std::string name, std::size_t max_queued = kDefaultMaxQueued);
  ~InMemoryBroadcastChannel() override;
  InMemoryBroadcastChannel(const InMemoryBroadcastChannel&) = delete;
  InMemoryBroadcastChannel& operator=(const InMemoryBroadcastChannel&) = delete;

  std::size_t publish(std::span<const std::string> messages) override;
  [[nodiscard]] Subscription subscribe(BroadcastReceiver receiver) override;
  [[nodiscard]] std::string name() const override;
  [[nodiscard]] BroadcastStats stats() const override;
  void close() override;

 private:
  struct DB4_INTERNAL State;
  std::shared_ptr<State> state_;
};

}  // namespace db4
