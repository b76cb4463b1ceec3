#pragma once
// HotStorage::State: the hot tier's mechanism. It hears of every row change: keeps the cache coherent, counts
// the bytes that live hot, and makes writers wait when they are too many.

#include "base/striped_counter.hpp"
#include "catalog/catalog.hpp"
#include "hot/document_cache.hpp"

#include <db4/clock.hpp>
#include <db4/hot_storage.hpp>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>

namespace db4 {

/// Thread-safe.
class HotStorage::State final : public catalog::ChangeListener {
 public:
  struct Options {
    std::uint64_t max_size = 0;
    std::uint64_t cache_size = 0;
    std::chrono::milliseconds full_timeout{10'000};
  };

  State(catalog::Catalog& catalog, std::shared_ptr<Clock> clock, Options options);

  [[nodiscard]] hot::DocumentCache& cache() noexcept { return cache_; }
  /// Takes over what the catalogue has counted: other nodes change it too.
  void refresh_totals();

  /// Room for `bytes` more until it is committed or given back. Waits where there is none: up to `timeout`,
  /// then throws resource_exhausted; cancelled when stopped.
  class Reservation {
   public:
    Reservation() = default;
    Reservation(State& state, std::uint64_t bytes) noexcept : state_(&state), bytes_(bytes) {}
    Reservation(Reservation&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)), bytes_(other.bytes_) {}
    Reservation& operator=(Reservation&& other) noexcept {
      std::swap(state_, other.state_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Reservation() {
      if (state_ != nullptr) state_->give_back(bytes_);
    }

   private:
    State* state_ = nullptr;
    std::uint64_t bytes_ = 0;
  };
  [[nodiscard]] Reservation reserve(std::uint64_t bytes, std::optional<std::chrono::milliseconds> timeout,
                                    const std::stop_token& stop);
  /// The same without waiting; nullopt where there is no room. For promotions, which may as well not happen.
  [[nodiscard]] std::optional<Reservation> try_reserve(std::uint64_t bytes);

  /// Bytes over the share of max_size from which documents are demoted to make room; 0 where there is no
  /// pressure.
  [[nodiscard]] std::uint64_t pressure_bytes() const;
  /// Called (with no lock held) when the pressure begins or a writer waits: whoever can make room is to
  /// hurry.
  void on_pressure(std::function<void()> callback) { pressure_callback_ = std::move(callback); }

  /// The store closes: whoever waits for room throws cancelled.
  void stop_waiting();

  [[nodiscard]] std::uint64_t bytes() const;
  [[nodiscard]] HotStats stats() const;
  void count_cache_hit() noexcept { cache_hits_.add(); }

  void on_announced(std::uint64_t hash) noexcept override { cache_.begin_change(hash); }
  void on_applied(const catalog::RowChange& change) noexcept override;
  void on_ended(std::uint64_t hash) noexcept override { cache_.end_change(hash); }

 private:
  friend class Reservation;
  void give_back(std::uint64_t bytes);
  [[nodiscard]] bool fits(std::uint64_t bytes) const noexcept;
  [[nodiscard]] std::uint64_t used() const noexcept;
  Reservation wait_for_room(std::unique_lock<std::mutex> lock, std::uint64_t bytes,
                            std::optional<std::chrono::milliseconds> timeout, const std::stop_token& stop);

  catalog::Catalog& catalog_;
  const std::shared_ptr<Clock> clock_;
  const Options options_;
  hot::DocumentCache cache_;
  std::function<void()> pressure_callback_;
  StripedCounter cache_hits_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::int64_t documents_ = 0;
  std::int64_t bytes_ = 0;
  std::uint64_t reserved_ = 0;
  std::uint64_t wanted_ = 0;  ///< by writers that wait
  bool stopped_ = false;
  std::uint64_t waits_ = 0;
  std::uint64_t refusals_ = 0;
};

}  // namespace db4
