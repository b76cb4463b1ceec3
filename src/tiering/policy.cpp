#include "tiering/policy.hpp"

#include "base/encoding.hpp"

#include <algorithm>
#include <array>

namespace db4 {

StorageTier classify_tier(const DocumentMeta& meta, const TieringConfig& config, TimePoint now) noexcept {
  if (meta.recent_access_count >= config.access_count_threshold) return StorageTier::hot;
  const auto age = now - std::max(meta.updated_at, meta.accessed_at);
  if (age < config.hot_threshold) return StorageTier::hot;
  if (age < config.warm_threshold) return StorageTier::warm;
  return StorageTier::cold;
}

namespace tiering {
namespace {

using std::chrono::microseconds;

constexpr std::uint8_t kDuePolicyFormat = 1;

std::int64_t to_us(TimePoint when) noexcept { return when.time_since_epoch().count(); }

std::string count_of_reads(std::uint32_t count) {
  return std::to_string(count) + (count == 1 ? " read" : " reads");
}

}  // namespace

TimePoint last_used(const catalog::Row& row, const AccessFigures& figures) noexcept {
  return std::max(TimePoint{microseconds{row.updated_at_us}}, figures.last_access);
}

DocumentMeta make_meta(const catalog::Row& row, const AccessFigures& figures, StorageTier tier,
                       const TieringConfig& config, TimePoint now) {
  return {.version = row.version,
          .tier = tier,
          .size = row.size,
          .content_type = row.content_type,
          .created_at = TimePoint{microseconds{row.created_at_us}},
          .updated_at = TimePoint{microseconds{row.updated_at_us}},
          .accessed_at = last_used(row, figures),
          .access_count = figures.count,
          .recent_access_count = recent_accesses(figures.buckets, config.access_window, now)};
}

bool held_by_hand(const catalog::Row& row, const AccessFigures& figures) noexcept {
  return row.placed_by == catalog::PlacedBy::hand && to_us(last_used(row, figures)) <= row.placed_at_us;
}

std::int64_t hot_due_us(TimePoint used, const TieringConfig& config) noexcept {
  return to_us(used + config.hot_threshold);
}

std::int64_t warm_due_us(TimePoint used, const TieringConfig& config) noexcept {
  return to_us(used + config.warm_threshold);
}

std::int64_t earliest_due_us(const catalog::Row& row, const AccessFigures& figures,
                             const TieringConfig& config) noexcept {
  if (!row.live()) return row.updated_at_us + microseconds{config.tombstone_retention}.count();
  const TimePoint used = last_used(row, figures);
  return row.hot() ? hot_due_us(used, config) : warm_due_us(used, config);
}

std::string encode_due_policy(const TieringConfig& config) {
  std::string out(1, static_cast<char>(kDuePolicyFormat));
  for (const auto duration :
       {config.hot_threshold, config.warm_threshold, config.access_window, config.tombstone_retention}) {
    put_fixed(out, static_cast<std::int64_t>(duration.count()));
  }
  put_fixed(out, config.access_count_threshold);
  return out;
}

bool may_fall_due_earlier(std::string_view stored, const TieringConfig& config) noexcept {
  Reader in(stored);
  bool earlier = in.fixed<std::uint8_t>() != kDuePolicyFormat;
  for (const auto duration :
       {config.hot_threshold, config.warm_threshold, config.access_window, config.tombstone_retention}) {
    earlier |= duration.count() < in.fixed<std::int64_t>();
  }
  // More reads are asked for: who was kept hot by fewer is no longer.
  earlier |= config.access_count_threshold > in.fixed<std::uint32_t>();
  return earlier || !in.done();
}

namespace {

/// For a document that a pin holds, whatever the policy would say.
Decision decide_held(const catalog::Row& row, const TieringConfig& config, TimePoint now, StorageTier held) {
  Decision decision{.to = held, .reason = describe_pin(held), .placed_by = catalog::PlacedBy::pin};
  if (row.hot() && held != StorageTier::hot) {
    decision.verdict = Verdict::demote;
  } else if (row.hot()) {
    decision.verdict = Verdict::refile;
    decision.new_due_us = to_us(now + config.hot_threshold);
  } else if (held == StorageTier::cold) {
    decision.verdict = Verdict::drop_warm;
  } else {  // what is to be promoted is found by the pin, not by its entry
    decision.verdict = Verdict::refile;
    decision.new_due_us = to_us(now + config.warm_threshold);
  }
  return decision;
}

}  // namespace

Decision decide_due(const catalog::Row& row, const AccessFigures& figures, const TieringConfig& config,
                    TimePoint now, Held held) {
  if (!row.live()) {
    if (row.due_us <= to_us(now))
      return {.verdict = Verdict::purge, .reason = "removed longer ago than tombstone_retention"};
    return {.verdict = Verdict::stay};
  }
  if (held) return decide_held(row, config, now, *held);
  const TimePoint used = last_used(row, figures);
  if (!row.hot()) {
    if (now - used >= config.warm_threshold) {
      return {.verdict = Verdict::drop_warm,
              .to = StorageTier::cold,
              .reason = "not used for " + describe_duration(now - used) + " (warm_threshold " +
                        describe_duration(config.warm_threshold) + ")"};
    }
    return {.verdict = Verdict::refile, .new_due_us = warm_due_us(used, config)};
  }
  if (held_by_hand(row, figures)) {
    return {.verdict = Verdict::refile,
            .new_due_us = to_us(now + config.hot_threshold),
            .reason = "moved by hand and not used since"};
  }
  const DocumentMeta meta = make_meta(row, figures, StorageTier::hot, config, now);
  const StorageTier tier = classify_tier(meta, config, now);
  if (tier == StorageTier::hot) {
    // Used so often that its age does not count: look again when the counted reads begin to leave the window.
    const std::int64_t soon = to_us(now + config.access_window / 2);
    const std::int64_t aged = hot_due_us(used, config);
    return {.verdict = Verdict::refile,
            .new_due_us = aged > to_us(now) ? aged : soon,
            .reason = describe_rule(meta, config, now)};
  }
  return {.verdict = Verdict::demote, .to = tier, .reason = describe_rule(meta, config, now)};
}

bool admits_promotion(PromoteOnRead mode, std::uint32_t recent) noexcept {
  switch (mode.mode()) {
    case PromoteOnRead::always:
      return true;
    case PromoteOnRead::second_read:
      return recent >= 2;
    case PromoteOnRead::never:
      return false;
  }
  return false;
}

std::optional<std::string> promotion_reason(const catalog::Row& row, const AccessFigures& figures,
                                            const TieringConfig& config, TimePoint now, Held held) {
  if (!row.live() || row.hot()) return std::nullopt;
  if (held) return *held == StorageTier::hot ? std::optional(describe_pin(*held)) : std::nullopt;
  if (held_by_hand(row, figures)) return std::nullopt;
  const std::uint32_t recent = recent_accesses(figures.buckets, config.access_window, now);
  if (recent == 0) return std::nullopt;
  const std::string within = count_of_reads(recent) + " within " + describe_duration(config.access_window);
  if (recent >= config.access_count_threshold) {
    return within + " (access_count_threshold " + std::to_string(config.access_count_threshold) + ")";
  }
  const DocumentMeta meta = make_meta(row, figures, StorageTier::cold, config, now);
  if (classify_tier(meta, config, now) == StorageTier::hot &&
      admits_promotion(config.promote_on_read, recent)) {
    return within + ", the last " + describe_duration(now - figures.last_access) + " ago (promote_on_read)";
  }
  return std::nullopt;
}

std::string describe_rule(const DocumentMeta& meta, const TieringConfig& config, TimePoint now) {
  if (meta.recent_access_count >= config.access_count_threshold) {
    return count_of_reads(meta.recent_access_count) + " within " + describe_duration(config.access_window) +
           " (access_count_threshold " + std::to_string(config.access_count_threshold) + ")";
  }
  const auto age = now - std::max(meta.updated_at, meta.accessed_at);
  if (age < config.hot_threshold) {
    return "used " + describe_duration(age) + " ago (hot_threshold " +
           describe_duration(config.hot_threshold) + ")";
  }
  const bool warm = age < config.warm_threshold;
  return "not used for " + describe_duration(age) + (warm ? " (hot_threshold " : " (warm_threshold ") +
         describe_duration(warm ? config.hot_threshold : config.warm_threshold) + ")";
}

std::string describe_placement(catalog::PlacedBy placed_by) {
  switch (placed_by) {
    case catalog::PlacedBy::write:
      return "written: writes go to hot";
    case catalog::PlacedBy::write_to_tier:
      return "written there: the writer named the tier";
    case catalog::PlacedBy::write_too_large:
      return "written to cold: larger than hot.max_body_size or hot.max_size";
    case catalog::PlacedBy::policy:
      return "a tiering run, by the policy";
    case catalog::PlacedBy::pressure:
      return "a tiering run, to make room in hot";
    case catalog::PlacedBy::read:
      return "a read (promote_on_read)";
    case catalog::PlacedBy::hand:
      return "promote() or demote() by hand";
    case catalog::PlacedBy::remove_copy:
      return "the other copy was removed";
    case catalog::PlacedBy::pin:
      return "a tiering run, by a pin";
  }
  return "unknown";
}

std::string describe_pin(StorageTier tier) { return "pinned to " + std::string(to_string(tier)); }

std::string describe_past_move(const catalog::HistoryEntry& entry) {
  const bool promoted = is_hotter(entry.note.to, entry.note.from);
  const std::string unused =
      "not used for " + describe_duration(std::chrono::seconds{entry.note.unused_seconds});
  switch (entry.placed_by) {
    case catalog::PlacedBy::policy:
      return promoted ? count_of_reads(entry.note.recent_reads) + " within access_window" : unused;
    case catalog::PlacedBy::pressure:
      return "to make room in hot, " + unused;
    case catalog::PlacedBy::read:
      return "a read, with " + count_of_reads(entry.note.recent_reads) + " within access_window";
    case catalog::PlacedBy::pin:
      return describe_pin(entry.note.to);
    default:
      return describe_placement(entry.placed_by);
  }
}

std::string describe_duration(microseconds duration) {
  using Unit = std::pair<std::int64_t, const char*>;
  static constexpr std::array<Unit, 4> kUnits{{{86'400, " d"}, {3'600, " h"}, {60, " min"}, {1, " s"}}};
  std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (seconds <= 0) return duration.count() > 0 ? "less than 1 s" : "0 s";
  std::string out;
  int units = 0;
  for (const auto& [size, name] : kUnits) {
    // Two units are enough for a person, and only neighbours: "3 h 12 min", not "3 d 4 s".
    if (seconds < size) {
      if (units > 0) break;
      continue;
    }
    if (units > 0) out.push_back(' ');
    out += std::to_string(seconds / size) + name;
    seconds %= size;
    if (++units == 2) break;
  }
  return out;
}

}  // namespace tiering
}  // namespace db4
