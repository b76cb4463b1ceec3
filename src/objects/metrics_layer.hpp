#pragma once
// MetricsLayer: counts and times what the store below is asked. It stands right over the store, so that every
// attempt counts: that is what a provider bills.

#include "base/latency_histogram.hpp"
#include "base/striped_counter.hpp"
#include "objects/around_layer.hpp"

#include <db4/clock.hpp>

#include <array>

namespace db4::objects {

/// Shared by the layers of one store. Thread-safe.
struct ObjectMetrics {
  struct OfOperation {
    StripedCounter requests;  ///< attempts
    StripedCounter failures;  ///< attempts that threw
    StripedCounter retries;   ///< attempts that repeated another; counted by the retry layer
    StripedCounter bytes;     ///< of bodies, sent and received
    LatencyHistogram latency;
  };
  std::array<OfOperation, kObjectOperations> operations;

  [[nodiscard]] OfOperation& of(ObjectOperation operation) noexcept {
    return operations[static_cast<std::size_t>(operation)];
  }
};

class MetricsLayer final : public AroundLayer<MetricsLayer> {
 public:
  MetricsLayer(std::shared_ptr<ObjectStore> under, std::shared_ptr<Clock> clock,
               std::shared_ptr<ObjectMetrics> metrics)
      : AroundLayer(std::move(under)), clock_(std::move(clock)), metrics_(std::move(metrics)) {}

  template <typename Call>
  auto around(const ObjectCall& what, const CallOptions& bounds, const Call& call) {
    ObjectMetrics::OfOperation& counts = metrics_->of(what.operation);
    const MonotonicTime started = clock_->monotonic();
    counts.requests.add();
    counts.bytes.add(what.sent);
    try {
      auto result = call(bounds);
      counts.bytes.add(body_bytes(result));
      counts.latency.record(clock_->monotonic() - started);
      return result;
    } catch (...) {
      counts.failures.add();
      counts.latency.record(clock_->monotonic() - started);
      throw;
    }
  }

 private:
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<ObjectMetrics> metrics_;
};

}  // namespace db4::objects
