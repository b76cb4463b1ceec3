#pragma once
// FaultyBroadcastChannel: any channel, with what networks do to messages, by seed.

#include <db4/broadcast_channel.hpp>
#include <db4/clock.hpp>
#include <db4/error.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

namespace db4::testing {

/// What befalls a message that is published here: one of these by chance, or nothing.
struct ChannelFaults {
  double drop = 0;
  double duplicate = 0;
  double delay = 0;    ///< until a time drawn between 0 and max_delay from now
  double reorder = 0;  ///< until the next message has passed
  std::chrono::milliseconds max_delay{100};
};

/// One for each node, over channels that reach each other. Thread-safe. Replays from its seed where one
/// thread publishes and the clock is a simulated one: the fate of a message depends on how many were
/// published before. There is no thread in it: what was delayed goes on with the next message that is
/// published after its time, or by deliver_due().
class FaultyBroadcastChannel final : public BroadcastChannel {
 public:
  FaultyBroadcastChannel(std::shared_ptr<BroadcastChannel> under, ChannelFaults faults, std::uint64_t seed,
                         std::shared_ptr<Clock> clock)
      : under_(std::move(under)), clock_(std::move(clock)), faults_(faults), random_(seed) {}

  void set_faults(ChannelFaults faults) {
    const std::lock_guard lock(mutex_);
    faults_ = faults;
  }
  /// Nothing gets out (publish takes it and loses it), nothing gets in.
  void partition(bool outgoing = true, bool incoming = true) {
    cut_outgoing_ = outgoing;
    *cut_incoming_ = incoming;
  }
  void heal() { partition(false, false); }
  /// publish throws unavailable, so often.
  void refuse(std::uint64_t calls) { refusals_ = calls; }
  /// Hands on what was delayed until now.
  void deliver_due() {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    take_due(out);
    forward(out);
  }
  /// Hands on all that is held back, in an order drawn at random.
  void deliver_all() {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (auto& held : delayed_) out.push_back(std::move(held.message));
    delayed_.clear();
    std::move(held_back_.begin(), held_back_.end(), std::back_inserter(out));
    held_back_.clear();
    std::shuffle(out.begin(), out.end(), random_);
    forward(out);
  }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  std::size_t publish(std::span<const std::string> messages) override {
    const std::lock_guard lock(mutex_);
    if (refusals_ > 0) {
      --refusals_;
      throw Error(ErrorCode::unavailable, "an injected fault of the channel", "it was ordered by the test");
    }
    std::vector<std::string> out;
    take_due(out);
    for (const std::string& message : messages) suffer(message, out);
    forward(out);
    return messages.size();
  }
  [[nodiscard]] Subscription subscribe(BroadcastReceiver receiver) override {
    auto on_message = std::move(receiver.on_message);
    receiver.on_message = [cut = cut_incoming_, on_message](std::string_view message) {
      if (!*cut) on_message(message);
    };
    return under_->subscribe(std::move(receiver));
  }
  [[nodiscard]] std::string name() const override { return under_->name(); }
  [[nodiscard]] BroadcastStats stats() const override { return under_->stats(); }
  void close() override { under_->close(); }

 private:
  struct Delayed {
    MonotonicTime due{};
    std::string message;
  };

  void suffer(const std::string& message, std::vector<std::string>& out) {
    const double fate = std::uniform_real_distribution<double>(0, 1)(random_);
    const std::vector<std::string> waited = std::exchange(held_back_, {});
    double bound = faults_.drop;
    if (cut_outgoing_ || fate < bound) {
      ++dropped_;
    } else if (fate < (bound += faults_.duplicate)) {
      out.insert(out.end(), 2, message);
    } else if (fate < (bound += faults_.delay)) {
      const auto longest = std::chrono::nanoseconds(faults_.max_delay).count();
      const std::chrono::nanoseconds wait{std::uniform_int_distribution<std::int64_t>(0, longest)(random_)};
      delayed_.push_back({clock_->monotonic() + wait, message});
    } else if (fate < (bound += faults_.reorder)) {
      held_back_.push_back(message);
    } else {
      out.push_back(message);
    }
    out.insert(out.end(), waited.begin(), waited.end());
  }
  void take_due(std::vector<std::string>& out) {
    const MonotonicTime now = clock_->monotonic();
    std::stable_sort(delayed_.begin(), delayed_.end(),
                     [](const Delayed& a, const Delayed& b) { return a.due < b.due; });
    auto end = delayed_.begin();
    for (; end != delayed_.end() && end->due <= now; ++end) out.push_back(std::move(end->message));
    delayed_.erase(delayed_.begin(), end);
  }
  void forward(const std::vector<std::string>& out) {
    if (out.empty()) return;
    if (cut_outgoing_) {
      dropped_ += out.size();
      return;
    }
    std::span<const std::string> rest(out);
    while (!rest.empty()) rest = rest.subspan(under_->publish(rest));
  }

  const std::shared_ptr<BroadcastChannel> under_;
  const std::shared_ptr<Clock> clock_;
  std::mutex mutex_;
  ChannelFaults faults_;
  std::mt19937_64 random_;
  std::vector<Delayed> delayed_;
  std::vector<std::string> held_back_;
  std::atomic<std::uint64_t> refusals_ = 0;
  std::atomic<std::uint64_t> dropped_ = 0;
  std::atomic<bool> cut_outgoing_ = false;
  /// Shared with the receivers, which may outlive this.
  const std::shared_ptr<std::atomic<bool>> cut_incoming_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace db4::testing
