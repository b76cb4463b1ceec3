#pragma once
// RetryLayer: the only place in db4 that repeats a request.

#include "objects/around_layer.hpp"
#include "objects/metrics_layer.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>
#include <db4/random.hpp>

#include <atomic>

namespace db4::objects {

struct RetryOptions {
  std::uint32_t max_attempts = 5;  ///< of one call; 1: nothing is repeated
  std::chrono::milliseconds base_delay{100};
  std::chrono::milliseconds max_delay{10'000};
};

/// How many repetitions a store may still get: a token bucket. A repetition costs a token, a request that
/// succeeds gives a tenth back. So a provider that is away gets kTokens repetitions and then each request
/// once, instead of all its traffic several times over; one that fails rarely is never short of them.
class RetryBudget {
 public:
  static constexpr std::int64_t kTokens = 100;

  [[nodiscard]] bool take() noexcept;
  void earn() noexcept;

 private:
  static constexpr std::int64_t kTenths = 10;
  std::atomic<std::int64_t> tenths_{kTokens * kTenths};
};

/// Repeats what throws `unavailable`, and nothing else. The pause before the n-th repetition is drawn evenly
/// from 0 to min(max_delay, base_delay * 2^(n-1)): full jitter, which spreads those that failed together and
/// asks least of the store (Brooker, "Exponential Backoff and Jitter", 2015). It ends early when the caller
/// stops, and is not begun where it would outlast the caller's deadline: then the failure is thrown at once.
///
/// An attempt that failed may have taken effect. What that means for a repetition:
///  * put: the object is looked at first. Where it is there, of this size and these bytes (by its etag where
///    that is a digest, else by reading it), the put is done: no second version in a bucket that keeps
///    versions, and no conflict with oneself.
///  * complete_multipart: where the store knows no such upload (any more), and an object of that name and the
///    parts' size is there, the call is done.
///  * begin_multipart may leave an upload behind that nobody knows: cold's uploads look for such by
///    list_multipart when they end.
///  * remove says that there was an object, since it cannot know.
/// Everything else can be done twice. Thread-safe.
class RetryLayer final : public AroundLayer<RetryLayer> {
 public:
  RetryLayer(std::shared_ptr<ObjectStore> under, std::shared_ptr<Clock> clock,
             std::shared_ptr<RandomSource> random, const RetryOptions& options,
             std::shared_ptr<ObjectMetrics> metrics)
      : AroundLayer(std::move(under)),
        clock_(std::move(clock)),
        random_(std::move(random)),
        options_(options),
        metrics_(std::move(metrics)) {}

  using AroundLayer::complete_multipart, AroundLayer::put, AroundLayer::remove, AroundLayer::remove_many;
  PutResult put(std::string_view name, ByteView body, const PutOptions& options) override;
  bool remove(std::string_view name, const CallOptions& call) override;
  std::vector<RemoveFailure> remove_many(std::span<const std::string> names,
                                         const CallOptions& call) override;
  PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                               std::span<const ObjectPart> parts, const CallOptions& call) override;

  template <typename Call>
  auto around(const ObjectCall& what, const CallOptions& bounds, const Call& call) {
    return persist(what.operation, bounds, [&](bool /*repeated*/) { return call(bounds); });
  }

 private:
  template <typename Attempt>
  auto persist(ObjectOperation operation, const CallOptions& bounds, const Attempt& attempt) {
    for (std::uint32_t number = 1;; ++number) {
      try {
        auto result = attempt(number > 1);
        budget_.earn();
        return result;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::unavailable) throw;
        prepare_another(number, operation, bounds, error);
      }
    }
  }
  /// Waits before the attempt after the one of that number; throws where there is to be none.
  void prepare_another(std::uint32_t number, ObjectOperation operation, const CallOptions& bounds,
                       const Error& failure);
  [[nodiscard]] MonotonicTime draw_pause(std::uint32_t number);
  /// The object, where it is what a put of `body` would make it.
  std::optional<PutResult> find_arrived(std::string_view name, ByteView body, const CallOptions& bounds);

  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;
  const RetryOptions options_;
  const std::shared_ptr<ObjectMetrics> metrics_;
  RetryBudget budget_;
};

}  // namespace db4::objects
