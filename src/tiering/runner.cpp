#include "tiering/runner.hpp"

#include "tiering/run.hpp"

namespace db4::tiering {

void Runner::adopt_policy() {
  const std::string policy = encode_due_policy(config_);
  const std::string filed = catalog_.filed_policy();
  if (filed == policy) return;
  catalog_.file_under(policy, !catalog_.is_new() && may_fall_due_earlier(filed, config_));
}

TieringResult Runner::run(const TieringOptions& options) {
  const std::scoped_lock one_at_a_time(running_);
  Run run(*this, options);
  run.notice_clock_set_back();
  // Of nodes that share a catalogue one goes through all of it at a time.
  if (catalog_.take_lease("filing", config_.claim_lease)) {
    run.refile_after_policy_change();
    run.apply_pins();
  }
  run.promote_candidates();
  run.go_through_due();
  return remember(run.finish(), options.dry_run);
}

TieringResult Runner::relieve_pressure(const TieringOptions& options) {
  const std::scoped_lock one_at_a_time(running_);
  Run run(*this, options);
  run.demote_for_room();
  return remember(run.finish(), false);
}

void Runner::count_claims(std::uint64_t made, std::uint64_t lost) {
  const std::scoped_lock lock(mutex_);
  counts_.claims += made;
  counts_.lost_claims += lost;
}

TieringResult Runner::remember(TieringResult result, bool dry_run) {
  if (dry_run) return result;
  const std::scoped_lock lock(mutex_);
  counts_.promoted += result.promoted;
  counts_.demoted += result.demoted;
  counts_.failed += result.failed;
  counts_.bytes += result.bytes_moved;
  ++counts_.runs;
  if (!result.stopped_by.empty()) ++counts_.stopped_runs;
  return result;
}

void Runner::note_candidate(std::string_view key) {
  const std::scoped_lock lock(mutex_);
  if (candidates_.size() < kMaxCandidates) candidates_.emplace(key);
}

RunnerCounts Runner::counts() const {
  const std::scoped_lock lock(mutex_);
  return counts_;
}

}  // namespace db4::tiering
