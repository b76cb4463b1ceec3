#pragma once
// Sampler: keeps what the store's figures were, so that somebody can see later how it came to this.

#include "base/latency_histogram.hpp"
#include "catalog/catalog.hpp"

#include <db4/clock.hpp>
#include <db4/config.hpp>
#include <db4/tiered_store.hpp>

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace db4::store {

/// Everything a sample is made of, at one moment.
struct Figures {
  StoreStats stats;
  std::function<std::vector<CollectionInfo>()> collections;  ///< costs in proportion to their number
  LatencySnapshot hot;
  LatencySnapshot warm;
  LatencySnapshot cold;
};

/// Samples as they are stored and as operations give them: docs/json.md, SAMPLE.
std::string encode_sample(const StatsSample& sample);
/// nullopt for what cannot be read: samples are for people.
std::optional<StatsSample> decode_sample(std::string_view text);

/// Two neighbours as one: figures as they stood at the later, counts together, latencies the worse ones.
StatsSample merge_samples(const StatsSample& earlier, const StatsSample& later);

/// Thread-safe. At most stats.max_samples are kept, at least sample_interval apart, also where many short
/// processes open the store one after another: what each adds is merged into the last sample until that is
/// old enough.
class Sampler {
 public:
  Sampler(catalog::Catalog& catalog, std::shared_ptr<Clock> clock, StatsConfig config);

  /// Takes one where the last is sample_interval old, or, when closing, where anything happened since.
  void take(bool closing, const std::function<Figures()>& figures);
  [[nodiscard]] std::vector<StatsSample> samples(TimePoint since) const;

 private:
  [[nodiscard]] StatsSample make(const Figures& now, TimePoint at) const;
  void load_last(TimePoint now);
  void keep(StatsSample sample, const Figures& figures);
  void thin_out();

  catalog::Catalog& catalog_;
  const std::shared_ptr<Clock> clock_;
  const StatsConfig config_;
  std::mutex mutex_;
  TimePoint last_taken_;  ///< or opened
  std::optional<Figures> before_;
  std::optional<StatsSample> last_;  ///< the newest that is stored
  std::optional<std::size_t> stored_;
};

}  // namespace db4::store
