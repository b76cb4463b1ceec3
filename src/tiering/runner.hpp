#pragma once
// Runner: one tiering run, bounded and stoppable. It costs in proportion to what is due, not to how much is
// stored.

#include "tiering/mover.hpp"
#include "tiering/policy.hpp"

#include <db4/tiering.hpp>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_set>

namespace db4::tiering {

struct RunnerCounts {
  std::uint64_t promoted = 0;
  std::uint64_t demoted = 0;
  std::uint64_t failed = 0;
  std::uint64_t bytes = 0;
  std::uint64_t runs = 0;
  std::uint64_t stopped_runs = 0;
  std::uint64_t claims = 0;       ///< of moves, made before others of a shared catalogue could
  std::uint64_t lost_claims = 0;  ///< others were first
};

/// Documents read from warm or cold since the last run that are remembered as candidates; more are not, until
/// a run.
inline constexpr std::size_t kMaxCandidates = 100'000;

/// Entries of the due index that one run looks at after the policy changed; the next goes on.
inline constexpr std::size_t kRefilesPerRun = 100'000;

/// Thread-safe; one run at a time.
class Runner {
 public:
  /// The access figures of a document: stored, tracked and still in the cache.
  using Figures = std::function<AccessFigures(std::string_view key)>;

  /// `max_body_size`: larger ones are not promoted for a pin.
  Runner(catalog::Catalog& catalog, HotStorage::State& hot, WarmStorage& warm, Mover& mover,
         std::shared_ptr<Clock> clock, TieringConfig config, bool warm_enabled, std::uint64_t max_body_size,
         Figures figures)
      : catalog_(catalog),
        hot_(hot),
        warm_(warm),
        mover_(mover),
        clock_(std::move(clock)),
        config_(config),
        warm_enabled_(warm_enabled),
        max_body_size_(max_body_size),
        figures_(std::move(figures)) {}

  /// Before the first run: notices a policy that changed since the last opening. Where entries of the due
  /// index are now too late, the runs that follow file them anew, kRefilesPerRun at a time.
  void adopt_policy();

  /// Promotes candidates, then goes through what is due.
  TieringResult run(const TieringOptions& options);
  /// Demotes what is due first until hot.max_size has room again, within the bounds.
  TieringResult relieve_pressure(const TieringOptions& options);

  /// A document was served from below hot.
  void note_candidate(std::string_view key);
  [[nodiscard]] RunnerCounts counts() const;

 private:
  class Run;
  void count_claims(std::uint64_t made, std::uint64_t lost);
  TieringResult remember(TieringResult result, bool dry_run);

  catalog::Catalog& catalog_;
  HotStorage::State& hot_;
  WarmStorage& warm_;
  Mover& mover_;
  const std::shared_ptr<Clock> clock_;
  const TieringConfig config_;
  const bool warm_enabled_;
  const std::uint64_t max_body_size_;
  const Figures figures_;
  std::mutex running_;
  mutable std::mutex mutex_;
  std::unordered_set<std::string> candidates_;
  RunnerCounts counts_;
};

}  // namespace db4::tiering
