#pragma once
// One tiering run. run.cpp moves; run_filing.cpp files entries of the due index anew.

#include "tiering/runner.hpp"

#include <limits>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace db4::tiering {

/// The state of one run: its bounds, what it has planned and what came of it.
class Runner::Run {
 public:
  Run(Runner& runner, const TieringOptions& options);

  void notice_clock_set_back();
  void refile_after_policy_change();
  void apply_pins();
  void promote_candidates();
  void go_through_due();
  void demote_for_room();

  TieringResult finish() {
    result_.stopped_by = breaker_.reason();
    if (breaker_.open()) result_.more = true;
    result_.duration =
        std::chrono::duration_cast<std::chrono::milliseconds>(runner_.clock_->monotonic() - started_);
    return std::move(result_);
  }

 private:
  struct Planned {
    MoveOrder order;
    std::string reason;
  };

  [[nodiscard]] std::int64_t now_us() const { return now_.time_since_epoch().count(); }
  [[nodiscard]] std::uint64_t seconds_since(TimePoint used) const {
    return used < now_ ? static_cast<std::uint64_t>(
                             std::chrono::duration_cast<std::chrono::seconds>(now_ - used).count())
                       : 0;
  }
  [[nodiscard]] std::uint32_t recent_reads(const AccessFigures& figures) const {
    return recent_accesses(figures.buckets, runner_.config_.access_window, now_);
  }
  [[nodiscard]] bool in_time() const {
    return !options_.stop.stop_requested() && runner_.clock_->monotonic() - started_ < options_.max_duration;
  }
  [[nodiscard]] MoveBounds bounds() {
    using namespace std::chrono_literals;
    // No request may take all of a run's time, however large the store's own timeout is.
    return {.keep_going = [this] { return in_time(); },
            .stop = options_.stop,
            .max_call = std::max<std::chrono::milliseconds>(1s, options_.max_duration / 2),
            .breaker = &breaker_};
  }
  /// Whether a move of so many bytes stays within the bounds; counts it if so. The first always does.
  bool take(std::uint64_t bytes);
  void give_back(std::uint64_t bytes) noexcept {
    --taken_;
    taken_bytes_ -= bytes;
  }
  bool look();
  /// The row; one that is damaged is counted as failed and taken as absent.
  std::optional<catalog::Row> find(const std::string& key);
  /// Decides about one entry and plans what follows; false where a bound ends the run before it.
  bool consider(const catalog::DueEntry& entry);
  /// The bytes that its demotion would free.
  std::uint64_t consider_for_room(const catalog::DueEntry& entry, bool even_if_used);
  /// An entry that stays where it is: the watermark must not pass it.
  void leave(std::int64_t due_us) { oldest_left_us_ = std::min(oldest_left_us_, due_us); }
  [[nodiscard]] Held held(std::string_view key) const {
    const Pin* pin = pins_->find(key);
    return pin == nullptr ? Held{} : Held{pin->tier};
  }
  enum class PinStep : std::uint8_t {
    done,
    failed,  ///< an error kept the document where it is
    stop,    ///< a bound of the run, or a full hot tier
  };
  std::optional<std::string> apply_pin(const catalog::StoredPin& stored);
  PinStep bring_to_pin(const std::string& key, const catalog::Row& row, const Pin& pin);
  MoveOutcome promote(const std::string& key, const catalog::Row& row, catalog::PlacedBy by,
                      std::string reason);
  void plan_demotion(std::string key, catalog::Row row, StorageTier to, catalog::PlacedBy by,
                     std::string reason, const AccessFigures& figures);
  bool drop_warm_copy(const std::string& key, const catalog::Row& row, const AccessFigures& figures,
                      const Decision& decision);
  void file_at(const std::string& key, const catalog::Row& row, std::int64_t due_us);
  /// The same, but in a dry run.
  void refile(const std::string& key, const catalog::Row& row, std::int64_t due_us) {
    if (!options_.dry_run) file_at(key, row, due_us);
  }
  void refile_if_late(const std::string& key);
  /// Those that somebody overtook.
  std::vector<std::string> commit_refiles();
  void claim_planned();
  void make_moves();
  void purge();
  void report(const Planned& planned, StorageTier from);
  void count(const Planned& planned, StorageTier from);

  Runner& runner_;
  const TieringOptions& options_;
  const std::shared_ptr<const catalog::PinTable> pins_;
  const TimePoint now_;
  const MonotonicTime started_;
  TieringResult result_;
  std::vector<Planned> planned_;
  /// Keys that a dry run promotes: they stay cold, and would be found again, as candidates or as due.
  std::unordered_set<std::string> promoted_in_plan_;
  std::vector<catalog::ChangeSet> refiles_;
  std::vector<std::pair<std::string, catalog::Row>> tombstones_;
  std::int64_t oldest_left_us_ = std::numeric_limits<std::int64_t>::max();
  std::size_t taken_ = 0;
  std::uint64_t taken_bytes_ = 0;
  std::size_t looks_left_ = 0;
  std::uint64_t planned_bytes_ = 0;
  ColdBreaker breaker_;
  bool full_ = false;
};

}  // namespace db4::tiering
