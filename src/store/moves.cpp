// Moves: by hand, by a tiering run, in the background.
#include "catalog/keys.hpp"
#include "store/impl.hpp"

#include <algorithm>
#include <iterator>
#include <limits>

namespace db4 {
namespace {

constexpr std::size_t kFlushPage = 1000;
/// Objects that one tiering run deletes at most; the rest waits for the next.
constexpr std::size_t kGarbagePerRun = 2000;
/// What a run spends on deleting at least, whatever its moves left of its time.
constexpr std::chrono::milliseconds kMinCleaning{1000};
/// Of nodes that share a catalogue one cleans at a time.
constexpr std::chrono::minutes kCleaningLease{5};
/// A move by hand against somebody who keeps writing gives up after this many tries.
constexpr int kHandMoveAttempts = 16;

[[noreturn]] void wrong_direction(StorageTier from, StorageTier to, std::string_view other) {
  throw Error(ErrorCode::invalid_argument,
              "the document is in " + std::string(to_string(from)) + ", and " + std::string(to_string(to)) +
                  " is the other direction",
              "call " + std::string(other));
}

/// A pin outlasts a move by hand: the next run would undo what contradicts it.
void check_pin(tiering::Held held, StorageTier to) {
  if (!held || *held == to) return;
  throw Error(ErrorCode::invalid_argument, "the document is " + tiering::describe_pin(*held),
              "unpin it, or pin it to " + std::string(to_string(to)));
}

}  // namespace

catalog::Row TieredStore::Impl::require_row(std::string_view key) const {
  auto row = catalog_->find(key);
  if (row && row->live()) return std::move(*row);
  throw Error(ErrorCode::invalid_argument, "there is no such document", "check collection and id");
}

StorageTier TieredStore::Impl::tier_of(std::string_view key, const catalog::Row& row) {
  if (row.hot()) return StorageTier::hot;
  return warm_.contains(key, row.version) ? StorageTier::warm : StorageTier::cold;
}

std::optional<StorageTier> TieredStore::Impl::get_tier(std::string_view collection, std::string_view id) {
  const std::string key = catalog::document_key(collection, id);
  const auto row = catalog_->find(key);
  if (!row || !row->live()) return std::nullopt;
  return tier_of(key, *row);
}

bool TieredStore::Impl::promote(std::string_view collection, std::string_view id, StorageTier to,
                                const MoveOptions& options) {
  const std::string key = catalog::document_key(collection, id);
  check_pin(catalog_->pinned_tier(key), to);
  for (int attempt = 0; attempt < kHandMoveAttempts; ++attempt) {
    catalog::Row row = require_row(key);
    const StorageTier from = tier_of(key, row);
    if (from == to) return false;
    if (is_colder(to, from)) wrong_direction(from, to, "demote");
    if (to == StorageTier::warm) {
      const detail::BlockRef block = load_unless_changed(key, row);
      if (!block) continue;
      mover_.warm_up(key, block);
      const bool held = warm_.contains(key, row.version);
      if (held) metrics_.promoted.add();
      return held;
    }
    tiering::MoveOrder order{.key = key,
                             .row = std::move(row),
                             .from = from,
                             .to = to,
                             .placed_by = catalog::PlacedBy::hand,
                             .due_us = tiering::hot_due_us(clock_->now(), config_.tiering),
                             .figures = figures_of(key)};
    mover_.promote(order);
    finish_hand_move(order, from);
    if (order.outcome == tiering::MoveOutcome::moved) {
      if (!options.keep_in_source) warm_.remove(key);
      return true;
    }
  }
  throw Error(ErrorCode::unavailable, "others keep changing the document", "repeat the move");
}

detail::BlockRef TieredStore::Impl::load_unless_changed(const std::string& key, const catalog::Row& row) {
  try {
    return mover_.load(key, row);
  } catch (const Error& error) {
    // Bytes that changed under us look like damage: the row tells.
    if (error.code() != ErrorCode::corrupt || !changed_since(key, row)) throw;
    return {};
  }
}

bool TieredStore::Impl::demote(std::string_view collection, std::string_view id, StorageTier to,
                               const MoveOptions& options) {
  const std::string key = catalog::document_key(collection, id);
  check_pin(catalog_->pinned_tier(key), to);
  for (int attempt = 0; attempt < kHandMoveAttempts; ++attempt) {
    catalog::Row row = require_row(key);
    const StorageTier from = tier_of(key, row);
    if (is_hotter(to, from)) wrong_direction(from, to, "promote");
    if (from == to) return false;
    if (from == StorageTier::warm) {
      if (options.keep_in_source) return false;  // its home is cold already
      warm_.remove(key);
      metrics_.demoted.add();
      return true;
    }
    if (options.keep_in_source) {
      if (to == StorageTier::cold ? row.cold.has_value() : warm_.contains(key, row.version)) return false;
      const detail::BlockRef block = load_unless_changed(key, row);
      if (!block) continue;
      if (to == StorageTier::warm) {
        mover_.warm_up(key, block);
        return warm_.contains(key, row.version);
      }
      if (add_cold_copy(key, row, block)) return true;
      continue;
    }
    tiering::MoveOrder order{
        .key = key,
        .row = std::move(row),
        .to = to,
        .placed_by = catalog::PlacedBy::hand,
        .due_us = to == StorageTier::warm ? tiering::warm_due_us(clock_->now(), config_.tiering) : 0};
    mover_.demote({&order, 1});
    finish_hand_move(order, from);
    if (order.outcome == tiering::MoveOutcome::moved) {
      if (to == StorageTier::cold) warm_.remove(key);
      return true;
    }
  }
  throw Error(ErrorCode::unavailable, "others keep changing the document", "repeat the move");
}

bool TieredStore::Impl::add_cold_copy(const std::string& key, const catalog::Row& row,
                                      const detail::BlockRef& block) {
  catalog::Row after = row;
  after.cold = cold_.state().put_document(key, row.version, cold_.state().encode(key, row, block->body()));
  const catalog::ColdPlace place = *after.cold;
  catalog::ChangeSet set(*catalog_);
  set.change(key, row, std::move(after));
  if (catalog_->commit(set)) return true;
  cold_.state().discard(place.object, place.length);
  return false;
}

void TieredStore::Impl::finish_hand_move(const tiering::MoveOrder& order, StorageTier from) {
  switch (order.outcome) {
    case tiering::MoveOutcome::moved:
      (is_hotter(order.to, from) ? metrics_.promoted : metrics_.demoted).add();
      metrics_.moved_bytes.add(order.row.size);
      return;
    case tiering::MoveOutcome::failed:
      metrics_.failed_moves.add();
      std::rethrow_exception(order.failure);
    case tiering::MoveOutcome::no_room:
      throw Error(ErrorCode::resource_exhausted, "the hot tier has no room for it below 90 % of hot.max_size",
                  "demote something, or raise hot.max_size");
    case tiering::MoveOutcome::changed:
      return;
  }
}

void TieredStore::Impl::pin(const Pin& pin) { catalog_->put_pin(pin); }

bool TieredStore::Impl::unpin(std::string_view collection, PinScope scope, std::string_view id) {
  return catalog_->remove_pin(collection, scope, id);
}

std::vector<Pin> TieredStore::Impl::pins() const {
  std::vector<Pin> out;
  for (const catalog::StoredPin& stored : catalog_->pins()->all()) out.push_back(stored.pin);
  return out;
}

TieringResult TieredStore::Impl::run_tiering(const TieringOptions& options) {
  look_around();
  drain_accesses();
  if (!options.dry_run) flush_access_figures();
  TieringResult result = runner_.run(options);
  if (!options.dry_run) {
    relieve_within(options, result);
    // A cold tier that is away is left alone until the next run.
    const bool mine = catalog_->take_lease("cleaning", kCleaningLease);
    if (mine && result.stopped_by.empty()) clean_cold(options, result);
    maintain_keys(options, result);
    catalog_->trim_changes();
    try {
      take_sample(/*closing=*/false);
    } catch (const Error& error) {
      result.errors.push_back(std::string("the sample of figures: ") + error.what());
    }
  }
  return result;
}

void TieredStore::Impl::clean_cold(const TieringOptions& options, TieringResult& result) {
  const MonotonicTime deadline =
      clock_->monotonic() +
      std::max<std::chrono::milliseconds>(kMinCleaning, options.max_duration - result.duration);
  const GarbageResult garbage =
      cold_.state().collect_garbage({.max_objects = kGarbagePerRun, .stop = options.stop}, deadline);
  if (garbage.failed_objects > 0) {
    result.errors.push_back("garbage: " + garbage.first_error);
    return;
  }
  train_dictionaries({.deadline = deadline, .stop = options.stop}, result);
  const UploadCleanup uploads = cold_.state().expire_uploads();
  if (uploads.failed > 0) result.errors.push_back("uploads: " + uploads.first_error);
  // What the run's bounds leave: a record that is copied counts as a move.
  const std::size_t moves = result.promoted + result.demoted;
  if (moves >= options.max_operations || result.bytes_moved >= options.max_bytes ||
      clock_->monotonic() >= deadline) {
    return;
  }
  const CompactResult compaction = cold_.state().compact(
      {.max_records = options.max_operations - moves,
       .max_bytes = options.max_bytes - result.bytes_moved,
       .max_duration = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_->monotonic()),
       .stop = options.stop});
  result.compacted_segments = compaction.segments;
  result.compacted_bytes = compaction.bytes;
  if (!compaction.first_error.empty()) result.errors.push_back("compaction: " + compaction.first_error);
}

void TieredStore::Impl::train_dictionaries(const CallOptions& call, TieringResult& result) {
  try {
    result.trained_dictionaries = cold_.state().train_dictionaries(call);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::cancelled)
      result.errors.push_back(std::string("dictionaries: ") + error.what());
  }
}

/// What the bounds of a run leave goes to making room, where room is short.
void TieredStore::Impl::relieve_within(const TieringOptions& options, TieringResult& result) {
  if (hot_.state().pressure_bytes() == 0 || !result.stopped_by.empty()) return;
  TieringOptions left = options;
  left.max_operations -= std::min(left.max_operations, result.promoted + result.demoted);
  left.max_bytes -= std::min(left.max_bytes, result.bytes_moved);
  left.max_duration -= std::min(left.max_duration, result.duration);
  const TieringResult relief = runner_.relieve_pressure(left);
  result.demoted += relief.demoted;
  result.failed += relief.failed;
  result.bytes_moved += relief.bytes_moved;
  result.moves.insert(result.moves.end(), relief.moves.begin(), relief.moves.end());
  result.errors.insert(result.errors.end(), relief.errors.begin(), relief.errors.end());
  result.more = result.more || relief.more;
  result.stopped_by = relief.stopped_by;
}

void TieredStore::Impl::scheduled_run(const std::stop_token& stop) {
  const TieringResult result = run_tiering({.max_operations = config_.tiering.max_operations_per_run,
                                            .max_bytes = config_.tiering.max_bytes_per_run,
                                            .max_duration = config_.tiering.max_duration_per_run,
                                            .stop = stop});
  if (!result.stopped_by.empty()) {
    throw Error(ErrorCode::unavailable, "tiering waits for the cold tier: " + result.stopped_by,
                "documents stay where they were, hot and warm go on serving, and the next run tries again");
  }
  if (!result.errors.empty()) {
    throw Error(ErrorCode::unavailable,
                std::to_string(result.failed) + " moves failed; the first error: " + result.errors[0],
                "documents and objects stay where they were and are tried again");
  }
}

void TieredStore::Impl::relieve_pressure(const std::stop_token& stop) {
  drain_accesses();
  const TieringResult result =
      runner_.relieve_pressure({.max_operations = config_.tiering.max_operations_per_run,
                                .max_bytes = config_.tiering.max_bytes_per_run,
                                .max_duration = config_.tiering.max_duration_per_run,
                                .stop = stop});
  // The next run makes the room that is still short, and others get their turn between them. One that moved
  // nothing would move nothing again.
  if (result.demoted > 0 && hot_.state().pressure_bytes() > 0) background_->hurry();
  if (result.errors.empty()) return;
  throw Error(ErrorCode::unavailable,
              std::to_string(result.failed) + " moves to make room failed; the first: " + result.errors[0],
              "the documents stay where they were; writers wait for room");
}

void TieredStore::Impl::drain_accesses() {
  hot_.state().cache().drain_accesses(
      [this](detail::DocumentBlock& block, std::uint32_t hits, std::int64_t last_us) {
        block.base_access_count.fetch_add(hits, std::memory_order_relaxed);
        tracker_.record_accesses(block.collection(), block.id(), hits,
                                 TimePoint{std::chrono::microseconds{last_us}});
      });
}

void TieredStore::Impl::flush_access_figures() {
  drain_accesses();
  std::vector<KeyAccess> left;  // for the next flush
  try {
    for (std::size_t taken = kFlushPage; taken == kFlushPage;) {
      const std::vector<KeyAccess> figures = tracker_.take_unflushed(kFlushPage);
      taken = figures.size();
      std::ranges::move(catalog_->merge_access(figures), std::back_inserter(left));
    }
  } catch (...) {
    tracker_.give_back(left);
    throw;
  }
  tracker_.give_back(left);
}

}  // namespace db4
