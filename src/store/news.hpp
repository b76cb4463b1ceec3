#pragma once
// News: what nodes tell each other of a store's changes, and what becomes of it here.

#include "catalog/catalog.hpp"
#include "hot/hot_state.hpp"

#include <db4/invalidation.hpp>

#include <atomic>
#include <memory>
#include <mutex>

namespace db4::store {

/// Tells subscribers, and over a channel other nodes, of every row that changes, under the number that the
/// change has in the catalogue's changes space. What others tell makes memory drop its copy; what may have
/// been missed is read from that space, and where that is trimmed, no copy from before answers without a look
/// at its row. Thread-safe.
class News final : public catalog::ChangeListener {
 public:
  /// Without a channel nothing runs until somebody subscribes.
  News(catalog::Catalog& catalog, HotStorage::State& hot, std::shared_ptr<Clock> clock,
       std::shared_ptr<RandomSource> random, std::shared_ptr<BroadcastChannel> channel);
  ~News() override;
  News(const News&) = delete;
  News& operator=(const News&) = delete;

  /// Begins to send and to hear, where that has not been possible yet: a store opens without its channel's
  /// server too. Throws what no waiting mends: permission_denied, invalid_argument, unsupported.
  void connect();
  [[nodiscard]] Subscription subscribe(CacheInvalidationManager::Callback callback);
  /// Whether a copy in memory that was the newest at that moment may answer a reader who accepts its age.
  [[nodiscard]] bool trusts(MonotonicTime confirmed_at) const noexcept {
    return confirmed_at.count() > distrusted_until_ns_.load(std::memory_order_acquire);
  }
  [[nodiscard]] InvalidationStats stats() const;
  /// Says farewell to the other nodes.
  void close();

  void on_announced(std::uint64_t) noexcept override {}
  void on_applied(const catalog::RowChange& change) noexcept override;
  void on_ended(std::uint64_t) noexcept override {}

 private:
  CacheInvalidationManager& manager();
  void hear(const InvalidationEvent& event);
  bool recover(const MissedEvents& missed);

  catalog::Catalog& catalog_;
  HotStorage::State& hot_;
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;
  const std::string node_id_;
  const std::shared_ptr<BroadcastChannel> channel_;  ///< null: none
  std::atomic<std::int64_t> distrusted_until_ns_;
  std::atomic<std::uint64_t> dropped_copies_{0};
  std::atomic<std::uint64_t> distrusts_{0};
  std::mutex connect_mutex_;
  bool connected_ = false;
  mutable std::mutex mutex_;
  std::unique_ptr<CacheInvalidationManager> owned_;
  std::atomic<CacheInvalidationManager*> manager_{nullptr};  ///< owned_, once it is there
  Subscription own_;
};

}  // namespace db4::store
