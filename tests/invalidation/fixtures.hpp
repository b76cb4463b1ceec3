#pragma once
// What the tests of this folder share: documents, a channel without threads, a receiver that remembers.

#include "base/document_block.hpp"
#include "base/hash.hpp"

#include <db4/broadcast_channel.hpp>
#include <db4/clock.hpp>
#include <db4/document.hpp>
#include <db4/error.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

namespace db4::testing {

inline Document make_document(std::string_view collection, std::string_view id, Version version,
                              std::string_view body = "{}") {
  detail::BlockRef block = detail::DocumentBlock::create(collection, id, "application/json", body.size());
  std::memcpy(block->mutable_body(), body.data(), body.size());
  block->hash = hash_key(block->key());
  block->version = version;
  return Document(std::move(block), StorageTier::hot, StorageTier::hot, TimePoint{}, 0, 0, {});
}

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Where channels meet that call their receivers in the thread that publishes: what was published has
/// arrived.
class DirectHub {
 public:
  struct Receiver {
    explicit Receiver(BroadcastReceiver its_receiver) : receiver(std::move(its_receiver)) {}
    std::recursive_mutex mutex;  ///< a receiver may publish, or end itself
    bool ended = false;
    std::uint64_t errors = 0;
    BroadcastReceiver receiver;
  };

  void publish(std::string_view message) {
    std::vector<std::shared_ptr<Receiver>> receivers;
    {
      const std::lock_guard lock(mutex_);
      receivers = receivers_;
    }
    for (const auto& receiver : receivers) {
      const std::lock_guard lock(receiver->mutex);
      if (receiver->ended) continue;
      try {
        receiver->receiver.on_message(message);
      } catch (...) {
        ++receiver->errors;
      }
    }
  }
  void add(std::shared_ptr<Receiver> receiver) {
    const std::lock_guard lock(mutex_);
    receivers_.push_back(std::move(receiver));
  }
  void end(const std::shared_ptr<Receiver>& receiver) {
    {
      const std::lock_guard lock(mutex_);
      std::erase(receivers_, receiver);
    }
    const std::lock_guard lock(receiver->mutex);
    receiver->ended = true;
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Receiver>> receivers_;
};

class DirectChannel final : public BroadcastChannel {
 public:
  explicit DirectChannel(std::shared_ptr<DirectHub> hub) : hub_(std::move(hub)) {}
  std::size_t publish(std::span<const std::string> messages) override {
    for (const std::string& message : messages) {
      if (message.empty()) throw Error(ErrorCode::invalid_argument, "an empty message", "publish others");
      if (message.size() > kMaxBroadcastMessageBytes)
        throw Error(ErrorCode::too_large, "too long", "shorten it");
    }
    if (closed_) throw Error(ErrorCode::unavailable, "the channel is closed", "open another");
    for (const std::string& message : messages) hub_->publish(message);
    published_ += messages.size();
    return messages.size();
  }
  Subscription subscribe(BroadcastReceiver receiver) override {
    if (closed_) throw Error(ErrorCode::unavailable, "the channel is closed", "open another");
    auto added = std::make_shared<DirectHub::Receiver>(std::move(receiver));
    hub_->add(added);
    const std::lock_guard lock(mutex_);
    own_.push_back(added);
    return Subscription([hub = hub_, added] { hub->end(added); });
  }
  std::string name() const override { return "direct"; }
  BroadcastStats stats() const override {
    BroadcastStats stats{.published = published_};
    const std::lock_guard lock(mutex_);
    for (const auto& receiver : own_) stats.receiver_errors += receiver->errors;
    return stats;
  }
  void close() override {
    closed_ = true;
    std::vector<std::shared_ptr<DirectHub::Receiver>> own;
    {
      const std::lock_guard lock(mutex_);
      own = own_;
    }
    for (const auto& receiver : own) hub_->end(receiver);
  }

 private:
  const std::shared_ptr<DirectHub> hub_;
  std::atomic<bool> closed_ = false;
  std::atomic<std::uint64_t> published_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<DirectHub::Receiver>> own_;
};

/// Collects what is given to add(), and lets a test wait for it: for a minute, lest a fault hang the test.
template <typename Item>
class Collected {
 public:
  void add(Item item) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    changed_.notify_all();
  }
  /// Waits until `enough` holds of the items.
  template <typename Enough>
  bool wait(const Enough& enough) {
    std::unique_lock lock(mutex_);
    const auto clock = system_clock();
    return clock->wait_until(lock, changed_, clock->monotonic() + std::chrono::minutes{1},
                             [&] { return enough(items_); });
  }
  bool wait_for(std::size_t count) {
    return wait([count](const std::vector<Item>& items) { return items.size() >= count; });
  }
  [[nodiscard]] std::vector<Item> items() const {
    const std::lock_guard lock(mutex_);
    return items_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Item> items_;
};

}  // namespace db4::testing
