#pragma once
// tiering: who moves where and why: access tracking, the policy, the planner's decisions, the mover. Includes
// floors 0 to 3. The functions here are pure: they decide, and say why in words.

#include "catalog/history.hpp"
#include "catalog/row.hpp"

#include <db4/access_tracker.hpp>
#include <db4/tiering.hpp>

#include <optional>
#include <string>

namespace db4::tiering {

/// The metadata of a row with its access figures, as people and the policy see it.
DocumentMeta make_meta(const catalog::Row& row, const AccessFigures& figures, StorageTier tier,
                       const TieringConfig& config, TimePoint now);

/// When the document was last written or read.
TimePoint last_used(const catalog::Row& row, const AccessFigures& figures) noexcept;

/// Moved by hand and not used since: the policy keeps off.
bool held_by_hand(const catalog::Row& row, const AccessFigures& figures) noexcept;

/// The due index's entry of a document that becomes (or stays) hot: the earliest moment at which the policy
/// could have it colder, if nobody uses it any more.
std::int64_t hot_due_us(TimePoint used, const TieringConfig& config) noexcept;
/// Of one that was demoted to warm: when its warm copy is to go.
std::int64_t warm_due_us(TimePoint used, const TieringConfig& config) noexcept;

/// The earliest moment at which a document with an entry in the due index may want to be looked at: no entry
/// may be later.
std::int64_t earliest_due_us(const catalog::Row& row, const AccessFigures& figures,
                             const TieringConfig& config) noexcept;

/// The tier in which a pin holds a document; nullopt: the policy decides.
using Held = std::optional<StorageTier>;

/// What of a policy decides when documents fall due, as bytes. They are stored (docs/formats/row.md), so that
/// a changed policy is noticed when the store is opened with it.
std::string encode_due_policy(const TieringConfig& config);
/// Whether documents that were filed under `stored` (such bytes, or what cannot be read as any) may fall due
/// earlier under `config` than their entries say.
bool may_fall_due_earlier(std::string_view stored, const TieringConfig& config) noexcept;

enum class Verdict : std::uint8_t {
  stay,       ///< nothing to do
  refile,     ///< not yet: look again at new_due_us
  demote,     ///< from hot to `to`
  drop_warm,  ///< its home is cold; the warm copy goes
  purge,      ///< a tombstone past its retention
};

struct Decision {
  Verdict verdict = Verdict::stay;
  StorageTier to = StorageTier::cold;
  std::int64_t new_due_us = 0;
  std::string reason = {};
  catalog::PlacedBy placed_by = catalog::PlacedBy::policy;
};

/// What is to be done with a document whose entry in the due index has come up.
Decision decide_due(const catalog::Row& row, const AccessFigures& figures, const TieringConfig& config,
                    TimePoint now, Held held = {});

/// Whether reads of a cold document earn it a hot home, and why; nullopt where they do not.
std::optional<std::string> promotion_reason(const catalog::Row& row, const AccessFigures& figures,
                                            const TieringConfig& config, TimePoint now, Held held = {});

/// Whether a read may promote, with this many recent accesses, itself included.
bool admits_promotion(PromoteOnRead mode, std::uint32_t recent_accesses) noexcept;

/// The rule that classify_tier applied, in words.
std::string describe_rule(const DocumentMeta& meta, const TieringConfig& config, TimePoint now);
std::string describe_placement(catalog::PlacedBy placed_by);
/// "pinned to hot".
std::string describe_pin(StorageTier tier);
/// Why a move of the past was made.
std::string describe_past_move(const catalog::HistoryEntry& entry);
/// "3 h 12 min", "45 s".
std::string describe_duration(std::chrono::microseconds duration);

}  // namespace db4::tiering
