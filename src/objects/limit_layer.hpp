#pragma once
// LimitLayer: bounds the requests in flight, and how many of a class begin in a second.

#include "objects/around_layer.hpp"

#include <db4/clock.hpp>

#include <array>
#include <condition_variable>
#include <mutex>

namespace db4::objects {

/// What a provider's rate limits tell apart.
enum class RequestClass : std::uint8_t { reads, writes, deletes, lists };
inline constexpr std::size_t kRequestClasses = 4;
RequestClass class_of(ObjectOperation operation) noexcept;

struct LimitOptions {
  std::size_t max_in_flight = 64;  ///< 0: no bound
  /// By RequestClass; 0: no bound.
  std::array<std::uint64_t, kRequestClasses> per_second = {};
};

/// Who finds no room waits, on the clock, until his deadline or until he is stopped. Thread-safe.
///
/// Rates by the generic cell rate algorithm (ITU-T I.371): requests of a class are due evenly apart, and one
/// may come a tenth of a second's worth early, so that a pause allows a small burst. A request that waits has
/// its place; those behind it wait longer.
class LimitLayer final : public AroundLayer<LimitLayer> {
 public:
  LimitLayer(std::shared_ptr<ObjectStore> under, std::shared_ptr<Clock> clock, const LimitOptions& options)
      : AroundLayer(std::move(under)), clock_(std::move(clock)), options_(options) {}

  template <typename Call>
  auto around(const ObjectCall& what, const CallOptions& bounds, const Call& call) {
    wait_for_rate(class_of(what.operation), bounds);
    const Slot slot(*this, bounds);
    return call(bounds);
  }

 private:
  class Slot {
   public:
    Slot(LimitLayer& layer, const CallOptions& bounds) : layer_(layer) { layer_.take_slot(bounds); }
    ~Slot() { layer_.give_slot(); }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

   private:
    LimitLayer& layer_;
  };

  void wait_for_rate(RequestClass of, const CallOptions& bounds);
  void take_slot(const CallOptions& bounds);
  void give_slot() noexcept;

  const std::shared_ptr<Clock> clock_;
  const LimitOptions options_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable freed_;
  std::size_t in_flight_ = 0;
  std::array<MonotonicTime, kRequestClasses> due_ = {};  ///< when the next of a class would be due
};

}  // namespace db4::objects
