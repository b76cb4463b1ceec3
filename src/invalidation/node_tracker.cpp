#include "invalidation/node_tracker.hpp"

#include <algorithm>

namespace db4::invalidation {
namespace {

/// A flush of all tiers stands for everything before it, so numbers that are missing before it are not
/// missed.
bool stands_for_all(const InvalidationMessage& message) {
  return message.kind == InvalidationMessageKind::event && message.event.type == InvalidationType::flush &&
         !message.event.tier;
}

/// The last number that must have come before this message.
std::uint64_t last_before(const InvalidationMessage& message) {
  const bool is_event = message.kind == InvalidationMessageKind::event;
  return is_event ? message.event.sequence - 1 : message.event.sequence;
}

}  // namespace

NodeTracker::Heard NodeTracker::hear(const InvalidationMessage& message, MonotonicTime now) {
  const InvalidationEvent& event = message.event;
  const bool is_event = message.kind == InvalidationMessageKind::event;
  Heard heard;
  auto found = lives_.find({event.node_id, event.epoch});
  if (found == lives_.end()) {
    const Life life = begin(message, heard.missed);
    make_room(heard.missed);
    found = lives_.emplace(Name{event.node_id, event.epoch}, life).first;
  }
  Life& life = found->second;
  life.heard_at = now;
  life.silence_reports = 0;
  // A late event of a life that is over does not revive it; a heartbeat or a new event does.
  life.over = message.kind == InvalidationMessageKind::farewell ||
              (life.over && is_event && event.sequence <= life.last);

  if (event.sequence > life.last) {
    const std::uint64_t before = last_before(message);
    if (before > life.last && !stands_for_all(message)) {
      heard.missed.push_back({.node_id = event.node_id,
                              .epoch = event.epoch,
                              .from = life.last + 1,
                              .to = before,
                              .reason = MissedReason::gap});
    }
    const std::uint64_t step = event.sequence - life.last;
    life.window = (step < kWindow ? life.window << step : 0) | (is_event ? 1U : 0U);
    life.last = event.sequence;
  } else if (is_event) {
    const std::uint64_t back = life.last - event.sequence;
    if (back < kWindow) {
      const std::uint64_t bit = std::uint64_t{1} << back;
      heard.repeated = (life.window & bit) != 0;
      life.window |= bit;
    }
  }
  return heard;
}

/// A life that was not known: what came before its first message, and the end of the life before, may be
/// missed.
NodeTracker::Life NodeTracker::begin(const InvalidationMessage& message, std::vector<MissedEvents>& missed) {
  const InvalidationEvent& event = message.event;
  for (auto other = lives_.lower_bound({event.node_id, 0});
       other != lives_.end() && other->first.first == event.node_id; ++other) {
    if (std::exchange(other->second.over, true)) continue;
    missed.push_back({.node_id = event.node_id,
                      .epoch = other->first.second,
                      .from = other->second.last + 1,
                      .to = 0,
                      .reason = MissedReason::new_epoch});
  }
  const std::uint64_t before = last_before(message);
  if (before > 0 && !stands_for_all(message)) {
    missed.push_back({.node_id = event.node_id,
                      .epoch = event.epoch,
                      .from = 1,
                      .to = before,
                      .reason = MissedReason::first_sight});
  }
  return {.last = before, .window = 0, .heard_at = {}, .silence_reports = 0, .over = false};
}

/// The longest unheard goes, those that are over first.
void NodeTracker::make_room(std::vector<MissedEvents>& missed) {
  if (lives_.size() < options_.max_nodes) return;
  const auto victim = std::min_element(lives_.begin(), lives_.end(), [](const auto& a, const auto& b) {
    if (a.second.over != b.second.over) return a.second.over;
    return a.second.heard_at < b.second.heard_at;
  });
  if (!victim->second.over) {
    missed.push_back({.node_id = victim->first.first,
                      .epoch = victim->first.second,
                      .from = victim->second.last + 1,
                      .to = 0,
                      .reason = MissedReason::silence});
  }
  lives_.erase(victim);
}

std::vector<MissedEvents> NodeTracker::silent(MonotonicTime now) {
  std::vector<MissedEvents> missed;
  if (options_.silence_after <= MonotonicTime{0}) return missed;
  for (auto entry = lives_.begin(); entry != lives_.end();) {
    Life& life = entry->second;
    const auto periods = static_cast<std::uint64_t>((now - life.heard_at) / options_.silence_after);
    if (life.over || periods <= life.silence_reports) {
      ++entry;
      continue;
    }
    life.silence_reports = periods;
    missed.push_back({.node_id = entry->first.first,
                      .epoch = entry->first.second,
                      .from = life.last + 1,
                      .to = 0,
                      .reason = MissedReason::silence});
    entry = periods < kMaxSilenceReports ? std::next(entry) : lives_.erase(entry);
  }
  return missed;
}

bool NodeTracker::any_silent() const noexcept {
  return std::any_of(lives_.begin(), lives_.end(), [](const auto& entry) {
    return !entry.second.over && entry.second.silence_reports > 0;
  });
}

}  // namespace db4::invalidation
