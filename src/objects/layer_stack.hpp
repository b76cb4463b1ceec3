#pragma once
// The one place where layers are put over an object store.

#include "objects/metrics_layer.hpp"

#include <db4/config.hpp>
#include <db4/random.hpp>

namespace db4::objects {

struct LayeredStore {
  std::shared_ptr<ObjectStore> store;
  std::shared_ptr<ObjectMetrics> metrics;
};

/// From outside in:
///  * a timeout for all attempts of a call together (cold.request_timeout),
///  * retries,
///  * bounds of what is in flight and of rates: each attempt takes its turn anew,
///  * metrics: each attempt counts, and waiting for a turn is not the provider's latency,
///  * the store.
LayeredStore add_layers(std::shared_ptr<ObjectStore> store, const ColdConfig& config,
                        const std::shared_ptr<Clock>& clock, const std::shared_ptr<RandomSource>& random);

/// Metrics alone, for a store that looks after itself.
LayeredStore add_metrics(std::shared_ptr<ObjectStore> store, const std::shared_ptr<Clock>& clock);

}  // namespace db4::objects
