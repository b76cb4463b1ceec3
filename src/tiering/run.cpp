#include "tiering/run.hpp"

#include "catalog/keys.hpp"

#include <algorithm>

namespace db4::tiering {
namespace {

constexpr std::size_t kPage = 1000;
/// Entries that turn out not to be due cost a look each; a run looks at this many for each move it may make.
constexpr std::size_t kLooksPerMove = 10;
constexpr std::size_t kMinLooks = 1000;
/// Moves are planned by so many, or by two segments' worth of bodies, and then made: a segment that was begun
/// is to become full, and the rows that wait are bounded.
constexpr std::size_t kMaxPlanned = 20'000;
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

Runner::Run::Run(Runner& runner, const TieringOptions& options)
    : runner_(runner),
      options_(options),
      pins_(runner.catalog_.pins()),
      now_(runner.clock_->now()),
      started_(runner.clock_->monotonic()) {
  const std::size_t moves =
      std::min(options.max_operations, std::numeric_limits<std::size_t>::max() / kLooksPerMove);
  looks_left_ = std::max(kMinLooks, moves * kLooksPerMove);
}

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
  for (; index < ordered.size() && !breaker_.open() && look(); ++index) {
    const std::string& key = ordered[index];
    if (promoted_in_plan_.contains(key)) continue;
    const auto row = find(key);
    if (!row) continue;
    const Held pinned = held(key);
    auto reason = promotion_reason(*row, runner_.figures_(key), runner_.config_, now_, pinned);
    if (!reason) continue;
    if (!take(row->size)) break;
    promote(key, *row, pinned ? catalog::PlacedBy::pin : catalog::PlacedBy::policy, std::move(*reason));
  }
  if (index < ordered.size()) result_.more = true;
  if (options_.dry_run) return;
  // What was not looked at stays a candidate.
  const std::scoped_lock lock(runner_.mutex_);
  runner_.candidates_.insert(ordered.begin() + static_cast<std::ptrdiff_t>(index), ordered.end());
}

MoveOutcome Runner::Run::promote(const std::string& key, const catalog::Row& row, catalog::PlacedBy by,
                                 std::string reason) {
  const AccessFigures figures = runner_.figures_(key);
  const TimePoint used = last_used(row, figures);
  const StorageTier from = runner_.warm_.contains(key, row.version) ? StorageTier::warm : StorageTier::cold;
  Planned planned{.order = {.key = key,
                            .row = row,
                            .from = from,
                            .to = StorageTier::hot,
                            .unused_seconds = seconds_since(used),
                            .recent_reads = recent_reads(figures),
                            .placed_by = by,
                            .due_us = hot_due_us(used, runner_.config_),
                            .figures = figures},
                  .reason = std::move(reason)};
  if (options_.dry_run) {
    planned.order.outcome = MoveOutcome::moved;
    promoted_in_plan_.insert(key);
  } else {
    runner_.mover_.promote(planned.order, {}, std::nullopt, bounds());
  }
  count(planned, from);
  return planned.order.outcome;
}

void Runner::Run::go_through_due() {
  // As of now, not of the run's start: what this run itself has filed to be looked at is among it.
  const std::int64_t until_us = runner_.clock_->now().time_since_epoch().count();
  std::int64_t from_us = std::min(runner_.catalog_.watermark_us(), until_us);
  std::string after_key;
  bool finished = false;
  while (!finished && !full_ && in_time() && looks_left_ > 0) {
    const auto page = runner_.catalog_.due(from_us, until_us, kPage, after_key);
    finished = page.size() < kPage;
    for (const catalog::DueEntry& entry : page) {
      if (!look() || !consider(entry)) {
        leave(entry.due_us);
        finished = false;
        break;
      }
    }
    if (planned_.size() >= kMaxPlanned || planned_bytes_ >= 2 * runner_.mover_.segment_size()) make_moves();
    purge();
    if (!page.empty()) {
      from_us = page.back().due_us;
      after_key = page.back().key;
    }
  }
  make_moves();
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
  if (promoted_in_plan_.contains(entry.key)) return true;
  const std::size_t failed = result_.failed;
  const auto row = find(entry.key);
  if (result_.failed != failed) leave(entry.due_us);
  // Row and entry change together: one that differs was changed just now, and its entry with it.
  if (!row || row->due_us != entry.due_us) return true;
  const AccessFigures figures = row->live() ? runner_.figures_(entry.key) : AccessFigures{};
  const Decision decision = decide_due(*row, figures, runner_.config_, now_, held(entry.key));
  switch (decision.verdict) {
    case Verdict::stay:
      leave(entry.due_us);
      return true;
    case Verdict::refile:
      ++result_.skipped;
      refile(entry.key, *row, decision.new_due_us);
      return true;
    case Verdict::demote:
      if (breaker_.open()) {
        leave(entry.due_us);
        return true;
      }
      if (!take(row->size)) return false;
      plan_demotion(entry.key, *row, decision.to, decision.placed_by, decision.reason, figures);
      return true;
    case Verdict::drop_warm:
      return drop_warm_copy(entry.key, *row, figures, decision);
    case Verdict::purge:
      tombstones_.emplace_back(entry.key, *row);
      return true;
  }
  return true;
}

void Runner::Run::plan_demotion(std::string key, catalog::Row row, StorageTier to, catalog::PlacedBy by,
                                std::string reason, const AccessFigures& figures) {
  if (to == StorageTier::warm && !runner_.warm_enabled_) to = StorageTier::cold;
  const TimePoint used = last_used(row, figures);
  const std::int64_t due_us = to == StorageTier::warm ? warm_due_us(used, runner_.config_) : 0;
  planned_bytes_ += row.size;
  planned_.push_back({.order = {.key = std::move(key),
                                .row = std::move(row),
                                .to = to,
                                .unused_seconds = seconds_since(used),
                                .recent_reads = recent_reads(figures),
                                .placed_by = by,
                                .due_us = due_us},
                      .reason = std::move(reason)});
}

bool Runner::Run::drop_warm_copy(const std::string& key, const catalog::Row& row,
                                 const AccessFigures& figures, const Decision& decision) {
  if (!runner_.warm_.contains(key, row.version)) {
    refile(key, row, 0);  // expired by itself
    return true;
  }
  if (!take(row.size)) return false;
  Planned planned{.order = {.key = key,
                            .row = row,
                            .from = StorageTier::warm,
                            .to = StorageTier::cold,
                            .unused_seconds = seconds_since(last_used(row, figures)),
                            .recent_reads = recent_reads(figures),
                            .outcome = MoveOutcome::moved},
                  .reason = decision.reason};
  if (!options_.dry_run) {
    runner_.warm_.remove(key);
    catalog::Row after = row;
    after.due_us = 0;
    after.placed_by = decision.placed_by;
    after.placed_at_us = now_us();
    refiles_.emplace_back(runner_.catalog_).change(key, row, std::move(after), {}, planned.order.note());
  }
  count(planned, StorageTier::warm);
  return true;
}

/// Nodes that share a catalogue share its runs: an entry that is filed behind a lease is not found due by
/// others until that has run out, and should this node die, it is found due again.
void Runner::Run::claim_planned() {
  if (!runner_.catalog_.shared() || options_.dry_run || planned_.empty()) return;
  const std::int64_t until_us = runner_.clock_->now().time_since_epoch().count() +
                                std::chrono::microseconds{runner_.config_.claim_lease}.count();
  std::vector<catalog::ChangeSet> claims;
  claims.reserve(planned_.size());
  for (const Planned& planned : planned_) {
    catalog::Row after = planned.order.row;
    after.due_us = until_us;
    claims.emplace_back(runner_.catalog_).change(planned.order.key, planned.order.row, std::move(after));
  }
  const std::vector<bool> made = runner_.catalog_.commit_all(claims, Durability::process);
  std::vector<Planned> mine;
  mine.reserve(planned_.size());
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (!made[i]) continue;
    planned_[i].order.row = std::move(*claims[i].changes().front().after);
    mine.push_back(std::move(planned_[i]));
  }
  const std::size_t lost = planned_.size() - mine.size();
  result_.skipped += lost;
  runner_.count_claims(mine.size(), lost);
  planned_ = std::move(mine);
}

void Runner::Run::make_moves() {
  // Advice, not data: what is lost here is found due again. One that somebody overtook needs no second try
  // now; but a write keeps an entry that is early enough, so it may still stand.
  commit_refiles();
  claim_planned();
  std::vector<MoveOrder> orders;
  orders.reserve(planned_.size());
  for (Planned& planned : planned_) orders.push_back(std::move(planned.order));
  if (options_.dry_run) {
    for (MoveOrder& order : orders) order.outcome = MoveOutcome::moved;
  } else {
    runner_.mover_.demote(orders, bounds());
  }
  for (std::size_t i = 0; i < orders.size(); ++i) {
    planned_[i].order = std::move(orders[i]);
    if (planned_[i].order.outcome != MoveOutcome::moved) leave(planned_[i].order.row.due_us);
    count(planned_[i], StorageTier::hot);
  }
  planned_.clear();
  planned_bytes_ = 0;
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
      if (full_ || !in_time() || breaker_.open()) {
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
  const Held pinned = held(entry.key);
  if (pinned == StorageTier::hot) return 0;
  const auto row = find(entry.key);
  if (!row || row->due_us != entry.due_us || !row->hot()) return 0;
  const AccessFigures figures = runner_.figures_(entry.key);
  const TimePoint used = last_used(*row, figures);
  const DocumentMeta meta = make_meta(*row, figures, StorageTier::hot, runner_.config_, now_);
  if (!even_if_used && !pinned) {
    if (held_by_hand(*row, figures)) return 0;
    if (hot_due_us(used, runner_.config_) > entry.due_us) {
      ++result_.skipped;
      refile(entry.key, *row, hot_due_us(used, runner_.config_));
      return 0;
    }
  }
  if (!take(row->size)) return 0;
  const StorageTier tier = pinned.value_or(classify_tier(meta, runner_.config_, now_));
  plan_demotion(
      entry.key, *row, tier == StorageTier::cold ? tier : StorageTier::warm, catalog::PlacedBy::pressure,
      "to make room in hot: of those there the longest unused (" + describe_duration(now_ - used) + ")",
      figures);
  return row->size;
}

}  // namespace db4::tiering
