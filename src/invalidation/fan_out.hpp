#pragma once
// FanOut: who is subscribed through one channel. What the channels have in common.

#include "invalidation/mailbox.hpp"

#include <db4/broadcast_channel.hpp>

#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace db4::invalidation {

/// Each receiver has a thread and a queue of `max_queued` messages: one that is full is dropped as a whole,
/// and on_lost called instead. Posting waits for nobody. Thread-safe.
class FanOut {
 public:
  /// `name`: the channel's, for messages. Throws invalid_argument for a max_queued of 0.
  FanOut(std::string name, std::size_t max_queued);

  /// Calls `receiver` for everything that is posted from now on. Throws invalid_argument for one without
  /// on_message, unavailable once this is closed, resource_exhausted where no thread can be started.
  [[nodiscard]] static Subscription subscribe(const std::shared_ptr<FanOut>& fan, BroadcastReceiver receiver);
  void post(const std::string& message);
  /// Calls on_lost of every receiver, in its turn; each counts as one message lost.
  void post_lost();
  /// Ends all subscriptions, as their destruction would, and takes no more. May be called twice.
  void close();
  [[nodiscard]] bool empty() const;
  /// Fills in what receivers got, and did not get.
  void count(BroadcastStats& stats) const;

 private:
  /// nullopt: messages were lost.
  using Inbox = Mailbox<std::optional<std::string>>;
  void end(const std::shared_ptr<Inbox>& inbox);

  const std::string name_;
  const std::size_t max_queued_;
  const std::shared_ptr<std::atomic<std::uint64_t>> delivered_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
  mutable std::mutex mutex_;
  bool closed_ = false;
  std::vector<std::shared_ptr<Inbox>> inboxes_;
  std::uint64_t losses_said_ = 0;
  std::uint64_t lost_by_ended_ = 0;  ///< by inboxes that are gone
  std::uint64_t errors_of_ended_ = 0;
};

/// Throws invalid_argument or too_large where one of them has an illegal length.
void require_messages(std::span<const std::string> messages);
/// Throws the unavailable of a closed channel.
[[noreturn]] void fail_closed(const std::string& name);

}  // namespace db4::invalidation
