#include "tiering/runner.hpp"

#include "catalog/keys.hpp"

#include <algorithm>

namespace db4::tiering {
namespace {

constexpr std::size_t kPage = 1000;
/// Entries that turn out not to be due cost a look each; a run looks at this many for each move it may make.
constexpr std::size_t kLooksPerMove = 10;
constexpr std::size_t kMinLooks = 1000;
constexpr std::size_t kMaxErrors = 5;
/// The watermark stays this far behind the run's start: whoever files an entry now may have read an older
/// one.
constexpr std::int64_t kWatermarkMarginUs = 600'000'000;

std::string message_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

/// The state of one run: its bounds, what it has planned and what came of it.
class Runner::Run {
 public:
  Run(Runner& runner, const TieringOptions& options)
      : runner_(runner), options_(options), now_(runner.clock_->now()), started_(runner.clock_->monotonic()) {
    const std::size_t moves =
        std::min(options.max_operations, std::numeric_limits<std::size_t>::max() / kLooksPerMove);
    looks_left_ = std::max(kMinLooks, moves * kLooksPerMove);
  }

  void promote_candidates();
  void go_through_due();
  void demote_for_room();

  TieringResult finish() {
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
  [[nodiscard]] bool in_time() const {
    return !options_.stop.stop_requested() && runner_.clock_->monotonic() - started_ < options_.max_duration;
  }
  /// Whether a move of so many bytes stays within the bounds; counts it if so. The first always does.
  bool take(std::uint64_t bytes);
  bool look();
  /// The row; one that is damaged is counted as failed and taken as absent.
  std::optional<catalog::Row> find(const std::string& key);
  /// Decides about one entry and plans what follows; false where a bound ends the run before it.
  bool consider(const catalog::DueEntry& entry);
  /// The bytes that its demotion would free.
  std::uint64_t consider_for_room(const catalog::DueEntry& entry, bool even_if_used);
  /// An entry that stays where it is: the watermark must not pass it.
  void leave(std::int64_t due_us) { oldest_left_us_ = std::min(oldest_left_us_, due_us); }
  void plan_demotion(std::string key, catalog::Row row, StorageTier to, catalog::PlacedBy by,
                     std::string reason, TimePoint used);
  bool drop_warm_copy(const std::string& key, const catalog::Row& row, const std::string& reason);
  void refile(const std::string& key, const catalog::Row& row, std::int64_t due_us);
  void make_moves();
  void purge();
  void report(const Planned& planned, StorageTier from);
  void count(const Planned& planned, StorageTier from);

  Runner& runner_;
  const TieringOptions& options_;
  const TimePoint now_;
  const MonotonicTime started_;
  TieringResult result_;
  std::vector<Planned> planned_;
  std::vector<catalog::ChangeSet> refiles_;
  std::vector<std::pair<std::string, catalog::Row>> tombstones_;
  std::int64_t oldest_left_us_ = std::numeric_limits<std::int64_t>::max();
  std::size_t taken_ = 0;
  std::uint64_t taken_bytes_ = 0;
  std::size_t looks_left_ = 0;
  bool full_ = false;
};

bool Runner::Run::take(std::uint64_t bytes) {
  if (taken_ >= options_.max_operations ||
      (taken_ > 0 && bytes > options_.max_bytes - std::min(taken_bytes_, options_.max_bytes))) {
    full_ = true;
    return false;
  }
  ++taken_;
  taken_bytes_ += bytes;
  return true;
}

bool Runner::Run::look() {
  if (looks_left_ == 0 || full_ || !in_time()) return false;
  --looks_left_;
  return true;
}

void Runner::Run::report(const Planned& planned, StorageTier from) {
  if (result_.moves.size() >= kMaxReportedMoves) return;
  result_.moves.push_back({.collection = std::string(catalog::collection_of(planned.order.key)),
                           .id = std::string(catalog::id_of(planned.order.key)),
                           .from = from,
                           .to = planned.order.to,
                           .bytes = planned.order.row.size,
                           .reason = planned.reason});
}

void Runner::Run::count(const Planned& planned, StorageTier from) {
  const MoveOrder& order = planned.order;
  if (order.outcome == MoveOutcome::moved) {
    ++(is_hotter(order.to, from) ? result_.promoted : result_.demoted);
    result_.bytes_moved += order.row.size;
    report(planned, from);
  } else if (order.outcome == MoveOutcome::failed) {
    ++result_.failed;
    if (result_.errors.size() < kMaxErrors) result_.errors.push_back(message_of(order.failure));
  } else {
    ++result_.skipped;
  }
}

void Runner::Run::promote_candidates() {
  std::unordered_set<std::string> candidates;
  {
    const std::scoped_lock lock(runner_.mutex_);
    candidates = options_.dry_run ? runner_.candidates_ : std::exchange(runner_.candidates_, {});
  }
  // In key order, so that a dry run and the run after it agree.
  std::vector<std::string> ordered(candidates.begin(), candidates.end());
  std::sort(ordered.begin(), ordered.end());
  std::size_t index = 0;
  for (; index < ordered.size() && look(); ++index) {
    const std::string& key = ordered[index];
    const auto row = find(key);
    if (!row) continue;
    const AccessFigures figures = runner_.figures_(key);
    const auto reason = promotion_reason(*row, figures, runner_.config_, now_);
    if (!reason) continue;
    if (!take(row->size)) break;
    const StorageTier from =
        runner_.warm_.contains(key, row->version) ? StorageTier::warm : StorageTier::cold;
    Planned planned{.order = {.key = key,
                              .row = *row,
                              .to = StorageTier::hot,
                              .placed_by = catalog::PlacedBy::policy,
                              .due_us = hot_due_us(last_used(*row, figures), runner_.config_),
                              .figures = figures},
                    .reason = *reason};
    if (options_.dry_run) {
      planned.order.outcome = MoveOutcome::moved;
    } else {
      runner_.mover_.promote(planned.order);
    }
    count(planned, from);
  }
  if (index < ordered.size()) result_.more = true;
  if (options_.dry_run) return;
  // What was not looked at stays a candidate.
  const std::scoped_lock lock(runner_.mutex_);
  runner_.candidates_.insert(ordered.begin() + static_cast<std::ptrdiff_t>(index), ordered.end());
}

void Runner::Run::go_through_due() {
  if (runner_.catalog_.watermark_us() > now_us() && !options_.dry_run) runner_.catalog_.forget_watermark();
  std::int64_t from_us = std::min(runner_.catalog_.watermark_us(), now_us());
  std::string after_key;
  bool finished = false;
  while (!finished && !full_ && in_time() && looks_left_ > 0) {
    const auto page = runner_.catalog_.due(from_us, now_us(), kPage, after_key);
    finished = page.size() < kPage;
    for (const catalog::DueEntry& entry : page) {
      if (!look() || !consider(entry)) {
        leave(entry.due_us);
        finished = false;
        break;
      }
    }
    make_moves();
    purge();
    if (!page.empty()) {
      from_us = page.back().due_us;
      after_key = page.back().key;
    }
  }
  if (!finished) {
    result_.more = true;
    leave(from_us);
  }
  if (!options_.dry_run) {
    runner_.catalog_.raise_watermark(std::min(oldest_left_us_, now_us() - kWatermarkMarginUs));
  }
}

std::optional<catalog::Row> Runner::Run::find(const std::string& key) {
  try {
    return runner_.catalog_.find(key);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    // One damaged row must not keep the others from being moved.
    ++result_.failed;
    if (result_.errors.size() < kMaxErrors) result_.errors.emplace_back(error.what());
    return std::nullopt;
  }
}

bool Runner::Run::consider(const catalog::DueEntry& entry) {
  const std::size_t failed = result_.failed;
  const auto row = find(entry.key);
  if (result_.failed != failed) leave(entry.due_us);
  // Row and entry change together: one that differs was changed just now, and its entry with it.
  if (!row || row->due_us != entry.due_us) return true;
  const AccessFigures figures = row->live() ? runner_.figures_(entry.key) : AccessFigures{};
  const Decision decision = decide_due(*row, figures, runner_.config_, now_);
  switch (decision.verdict) {
    case Verdict::stay:
      leave(entry.due_us);
      return true;
    case Verdict::refile:
      ++result_.skipped;
      refile(entry.key, *row, decision.new_due_us);
      return true;
    case Verdict::demote:
      if (!take(row->size)) return false;
      plan_demotion(entry.key, *row, decision.to, catalog::PlacedBy::policy, decision.reason,
                    last_used(*row, figures));
      return true;
    case Verdict::drop_warm:
      return drop_warm_copy(entry.key, *row, decision.reason);
    case Verdict::purge:
      tombstones_.emplace_back(entry.key, *row);
      return true;
  }
  return true;
}

void Runner::Run::plan_demotion(std::string key, catalog::Row row, StorageTier to, catalog::PlacedBy by,
                                std::string reason, TimePoint used) {
  if (to == StorageTier::warm && !runner_.warm_enabled_) to = StorageTier::cold;
  const std::int64_t due_us = to == StorageTier::warm ? warm_due_us(used, runner_.config_) : 0;
  planned_.push_back(
      {.order = {.key = std::move(key), .row = std::move(row), .to = to, .placed_by = by, .due_us = due_us},
       .reason = std::move(reason)});
}

bool Runner::Run::drop_warm_copy(const std::string& key, const catalog::Row& row, const std::string& reason) {
  if (!runner_.warm_.contains(key, row.version)) {
    refile(key, row, 0);  // expired by itself
    return true;
  }
  if (!take(row.size)) return false;
  Planned planned{.order = {.key = key, .row = row, .to = StorageTier::cold, .outcome = MoveOutcome::moved},
                  .reason = reason};
  if (!options_.dry_run) {
    runner_.warm_.remove(key);
    refile(key, row, 0);
  }
  count(planned, StorageTier::warm);
  return true;
}

void Runner::Run::refile(const std::string& key, const catalog::Row& row, std::int64_t due_us) {
  if (options_.dry_run) return;
  catalog::Row after = row;
  after.due_us = due_us;
  refiles_.emplace_back(runner_.catalog_).change(key, row, std::move(after));
}

void Runner::Run::make_moves() {
  if (!refiles_.empty()) {
    // Advice, not data: what is lost here is found due again. One that somebody overtook needs no second try
    // now; but a write keeps an entry that is early enough, so it may still stand.
    const std::vector<bool> filed = runner_.catalog_.commit_all(refiles_, Durability::process);
    for (std::size_t i = 0; i < filed.size(); ++i) {
      if (!filed[i]) leave(refiles_[i].changes().front().before->due_us);
    }
    refiles_.clear();
  }
  std::vector<MoveOrder> orders;
  orders.reserve(planned_.size());
  for (Planned& planned : planned_) orders.push_back(std::move(planned.order));
  if (options_.dry_run) {
    for (MoveOrder& order : orders) order.outcome = MoveOutcome::moved;
  } else {
    runner_.mover_.demote(orders, [this] { return in_time(); });
  }
  for (std::size_t i = 0; i < orders.size(); ++i) {
    planned_[i].order = std::move(orders[i]);
    if (planned_[i].order.outcome != MoveOutcome::moved) leave(planned_[i].order.row.due_us);
    count(planned_[i], StorageTier::hot);
  }
  planned_.clear();
}

void Runner::Run::purge() {
  if (tombstones_.empty() || options_.dry_run) {
    tombstones_.clear();
    return;
  }
  catalog::ChangeSet set(runner_.catalog_);
  for (const auto& [key, row] : tombstones_) set.purge(key, row);
  if (!runner_.catalog_.commit(set)) {
    // One of them was written again: the others one by one.
    for (const auto& [key, row] : tombstones_) {
      catalog::ChangeSet single(runner_.catalog_);
      single.purge(key, row);
      if (!runner_.catalog_.commit(single)) leave(row.due_us);
    }
  }
  tombstones_.clear();
}

void Runner::Run::demote_for_room() {
  // What is due first goes first. An entry is a lower bound: in the first pass who was used since is filed
  // anew, as a CLOCK gives a second chance; if that does not make room, the second pass takes the order as it
  // is.
  for (const bool even_if_used : {false, true}) {
    std::int64_t from_us = runner_.catalog_.watermark_us();
    std::string after_key;
    bool finished = false;
    while (!finished) {
      std::uint64_t goal = runner_.hot_.pressure_bytes();
      if (goal == 0) return;
      if (full_ || !in_time()) {
        result_.more = true;
        return;
      }
      const auto page =
          runner_.catalog_.due(from_us, std::numeric_limits<std::int64_t>::max() - 1, kPage, after_key);
      finished = page.size() < kPage;
      for (const catalog::DueEntry& entry : page) {
        // Past it in any case: one that cannot be moved must not hold up the others, or this loop.
        from_us = entry.due_us;
        after_key = entry.key;
        const std::uint64_t bytes = consider_for_room(entry, even_if_used);
        goal -= std::min(goal, bytes);
        if (goal == 0 || full_) {
          finished = false;
          break;
        }
      }
      make_moves();
    }
  }
}

std::uint64_t Runner::Run::consider_for_room(const catalog::DueEntry& entry, bool even_if_used) {
  const auto row = find(entry.key);
  if (!row || row->due_us != entry.due_us || !row->hot()) return 0;
  const AccessFigures figures = runner_.figures_(entry.key);
  const TimePoint used = last_used(*row, figures);
  const DocumentMeta meta = make_meta(*row, figures, StorageTier::hot, runner_.config_, now_);
  if (!even_if_used) {
    if (held_by_hand(*row, figures)) return 0;
    if (hot_due_us(used, runner_.config_) > entry.due_us) {
      ++result_.skipped;
      refile(entry.key, *row, hot_due_us(used, runner_.config_));
      return 0;
    }
  }
  if (!take(row->size)) return 0;
  const StorageTier tier = classify_tier(meta, runner_.config_, now_);
  plan_demotion(
      entry.key, *row, tier == StorageTier::cold ? tier : StorageTier::warm, catalog::PlacedBy::pressure,
      "to make room in hot: of those there the longest unused (" + describe_duration(now_ - used) + ")",
      used);
  return row->size;
}

TieringResult Runner::run(const TieringOptions& options) {
  const std::scoped_lock one_at_a_time(running_);
  Run run(*this, options);
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

TieringResult Runner::remember(TieringResult result, bool dry_run) {
  if (dry_run) return result;
  const std::scoped_lock lock(mutex_);
  counts_.promoted += result.promoted;
  counts_.demoted += result.demoted;
  counts_.failed += result.failed;
  counts_.bytes += result.bytes_moved;
  ++counts_.runs;
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
