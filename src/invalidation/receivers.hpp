#pragma once
// Receivers: those that are subscribed through one channel, each with a queue and a thread.

#include "invalidation/mailbox.hpp"

#include <db4/broadcast_channel.hpp>

#include <atomic>
#include <optional>
#include <span>
#include <vector>

namespace db4::invalidation {

/// What waits for a receiver; nullopt: messages were lost.
using Inbox = Mailbox<std::optional<std::string>>;

/// Throws invalid_argument for an empty message, too_large for one over kMaxBroadcastMessageBytes.
void require_message(const std::string& message);
/// Throws invalid_argument for 0: such a channel would lose everything.
void require_max_queued(std::size_t max_queued);

/// Thread-safe; no lock is held while a receiver is called or waited for.
class Receivers {
 public:
  explicit Receivers(std::size_t max_queued) : max_queued_(max_queued) {}

  /// An inbox whose thread calls `receiver`; nothing is posted to it until it is added. Throws
  /// invalid_argument where there is no on_message, resource_exhausted where there is no thread.
  [[nodiscard]] std::shared_ptr<Inbox> make(BroadcastReceiver receiver) const;
  void add(std::shared_ptr<Inbox> inbox);
  /// Waits for a call that runs, unless it is made inside it. May be called twice.
  void end(const std::shared_ptr<Inbox>& inbox);
  [[nodiscard]] std::vector<std::shared_ptr<Inbox>> all() const;
  [[nodiscard]] bool empty() const;

  /// To every inbox, as one step: all of them get one order.
  void post(std::span<const std::string> messages);
  void post_lost();
  /// Adds what receivers got and did not get.
  void count(BroadcastStats& stats) const;

 private:
  const std::size_t max_queued_;
  const std::shared_ptr<std::atomic<std::uint64_t>> delivered_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Inbox>> inboxes_;
  std::uint64_t told_lost_ = 0;
  std::uint64_t lost_by_ended_ = 0;  ///< by inboxes that are gone
  std::uint64_t errors_of_ended_ = 0;
};

}  // namespace db4::invalidation
