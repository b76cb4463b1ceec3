#include "objects/layer_stack.hpp"

#include "objects/limit_layer.hpp"
#include "objects/retry_layer.hpp"
#include "objects/timeout_layer.hpp"

namespace db4::objects {

LayeredStore add_metrics(std::shared_ptr<ObjectStore> store, const std::shared_ptr<Clock>& clock) {
  auto metrics = std::make_shared<ObjectMetrics>();
  return {.store = std::make_shared<MetricsLayer>(std::move(store), clock, metrics), .metrics = metrics};
}

LayeredStore add_layers(std::shared_ptr<ObjectStore> store, const ColdConfig& config,
                        const std::shared_ptr<Clock>& clock, const std::shared_ptr<RandomSource>& random) {
  LayeredStore stack = add_metrics(std::move(store), clock);
  stack.store = std::make_shared<LimitLayer>(
      std::move(stack.store), clock,
      LimitOptions{.max_in_flight = config.max_requests_in_flight,
                   .per_second = {config.max_reads_per_second, config.max_writes_per_second,
                                  config.max_deletes_per_second, config.max_lists_per_second}});
  stack.store = std::make_shared<RetryLayer>(std::move(stack.store), clock, random,
                                             RetryOptions{.max_attempts = config.max_attempts,
                                                          .base_delay = config.retry_base_delay,
                                                          .max_delay = config.retry_max_delay},
                                             stack.metrics);
  stack.store = std::make_shared<TimeoutLayer>(std::move(stack.store), clock, config.request_timeout,
                                               "cold.request_timeout");
  return stack;
}

}  // namespace db4::objects
