// What files entries of the due index anew: what turned out not to be due, a policy that changed, and pins.
#include "catalog/keys.hpp"
#include "tiering/run.hpp"

#include <algorithm>

namespace db4::tiering {
namespace {

constexpr std::size_t kPage = 1000;
constexpr int kRefileAttempts = 3;

}  // namespace

void Runner::Run::file_at(const std::string& key, const catalog::Row& row, std::int64_t due_us) {
  catalog::Row after = row;
  after.due_us = due_us;
  refiles_.emplace_back(runner_.catalog_).change(key, row, std::move(after));
}

std::vector<std::string> Runner::Run::commit_refiles() {
  std::vector<std::string> overtaken;
  if (refiles_.empty()) return overtaken;
  const std::vector<bool> filed = runner_.catalog_.commit_all(refiles_, Durability::process);
  for (std::size_t i = 0; i < filed.size(); ++i) {
    if (filed[i]) continue;
    catalog::RowChange& change = refiles_[i].changes().front();
    leave(change.before->due_us);
    overtaken.push_back(std::move(change.key));
  }
  refiles_.clear();
  return overtaken;
}

void Runner::Run::refile_if_late(const std::string& key) {
  const auto row = find(key);
  if (!row || row->due_us == 0) return;
  const AccessFigures figures = row->live() ? runner_.figures_(key) : AccessFigures{};
  const std::int64_t present_us = runner_.clock_->now().time_since_epoch().count();
  const std::int64_t due_us = std::max(earliest_due_us(*row, figures, runner_.config_), present_us);
  if (due_us < row->due_us) file_at(key, *row, due_us);
}

/// Nothing is filed before the watermark: one that lies ahead would keep everything from being looked at
/// until then.
void Runner::Run::notice_clock_set_back() {
  if (runner_.catalog_.watermark_us() > now_us()) runner_.catalog_.forget_watermark();
}

/// A dry run does this too: it moves no document, and its plan would miss what the new policy wants moved.
void Runner::Run::refile_after_policy_change() {
  auto last = runner_.catalog_.refiling();
  if (!last) return;
  // What is due already is looked at anyway; what is filed anew goes behind this walk, never in front of it.
  if (last->due_us < now_us()) last = catalog::DueEntry{.due_us = now_us(), .key = {}};
  for (std::size_t looked = 0; looked < kRefilesPerRun && in_time();) {
    const auto page =
        runner_.catalog_.due(last->due_us, std::numeric_limits<std::int64_t>::max() - 1, kPage, last->key);
    for (const catalog::DueEntry& entry : page) refile_if_late(entry.key);
    // A row that somebody changed meanwhile may have kept its entry; one that changes all the time is in use.
    for (int again = 0; again < kRefileAttempts; ++again) {
      for (const std::string& key : commit_refiles()) refile_if_late(key);
    }
    refiles_.clear();
    looked += page.size();
    if (page.size() < kPage) return runner_.catalog_.set_refiling(std::nullopt);
    last = page.back();
  }
  runner_.catalog_.set_refiling(last);
  result_.more = true;
}

void Runner::Run::apply_pins() {
  std::vector<catalog::StoredPin> progress;
  for (const catalog::StoredPin& stored : pins_->all()) {
    if (!stored.applied_to) continue;
    if (full_ || !in_time() || breaker_.open()) {
      result_.more = true;
      break;
    }
    progress.push_back({.pin = stored.pin, .applied_to = apply_pin(stored)});
  }
  if (!options_.dry_run) runner_.catalog_.note_applied(progress);
}

/// Goes through the documents that the pin may hold, kRefilesPerRun at a time, until all were brought to its
/// tier or filed to be: how far it came, nullopt at the end. A dry run files too, and promotes nothing.
std::optional<std::string> Runner::Run::apply_pin(const catalog::StoredPin& stored) {
  const Pin& pin = stored.pin;
  const std::string first = catalog::document_key(pin.collection, pin.id);
  const std::string end = pin.scope == PinScope::document ? first + '\0' : catalog::prefix_end(first);
  std::string done = *stored.applied_to;
  PinStep step = PinStep::done;
  bool failed = false;
  for (std::size_t looked = 0; looked < kRefilesPerRun && step != PinStep::stop && in_time();) {
    const auto keys = runner_.catalog_.scan_keys(done.empty() ? first : done + '\0', end, kPage);
    for (const std::string& key : keys) {
      if (!in_time()) break;
      const auto row = pins_->find(key) == &pin ? find(key) : std::nullopt;
      if (row && row->live()) step = bring_to_pin(key, *row, pin);
      if (step == PinStep::stop) break;
      failed |= step == PinStep::failed;
      done = key;
    }
    commit_refiles();
    looked += keys.size();
    // Whom an error kept from it is tried again, with the others, from the start.
    if (keys.empty()) return failed ? std::optional(std::string()) : std::nullopt;
  }
  if (full_ || !in_time() || step != PinStep::stop) result_.more = true;
  return done;
}

Runner::Run::PinStep Runner::Run::bring_to_pin(const std::string& key, const catalog::Row& row,
                                               const Pin& pin) {
  if (pin.tier == StorageTier::hot) {
    if (row.hot() || row.size > runner_.max_body_size_) return PinStep::done;
    if (breaker_.open() || !take(row.size)) return PinStep::stop;
    switch (promote(key, row, catalog::PlacedBy::pin, describe_pin(pin.tier))) {
      case MoveOutcome::no_room:
        give_back(row.size);  // the next run tries again from here
        return PinStep::stop;
      case MoveOutcome::failed:
        return PinStep::failed;
      default:
        return PinStep::done;
    }
  }
  if (row.hot()) {
    // Found due by this very run.
    if (row.due_us > now_us()) file_at(key, row, now_us());
  } else if (pin.tier == StorageTier::cold && runner_.warm_.contains(key, row.version)) {
    const AccessFigures figures = runner_.figures_(key);
    const Decision decision = decide_due(row, figures, runner_.config_, now_, pin.tier);
    return drop_warm_copy(key, row, figures, decision) ? PinStep::done : PinStep::stop;
  }
  return PinStep::done;
}

}  // namespace db4::tiering
