// A write: one commit of the catalogue, through the commit queue, then its listeners. A body that belongs in
// cold is an object first, announced by an intent, and named by the same commit.
#include "base/hash.hpp"
#include "catalog/access.hpp"
#include "catalog/keys.hpp"
#include "store/impl.hpp"

namespace db4 {
namespace {

std::int64_t to_us(TimePoint when) noexcept { return when.time_since_epoch().count(); }

Version current_version(const std::optional<catalog::Row>& row) noexcept {
  return row && row->live() ? row->version : 0;
}

}  // namespace

/// One try at a write: what the rows are, what they are to become, and what was put for it.
struct TieredStore::Impl::WriteAttempt {
  struct Planned {
    std::string key;
    std::optional<catalog::Row> before;
    catalog::Row after;
    detail::BlockRef block;
    StorageTier tier = StorageTier::hot;
  };
  std::vector<Planned> items;
  std::uint64_t more_hot_bytes = 0;
  TimePoint now;
  /// Objects put for this try: given up unless a commit names them.
  std::vector<std::pair<std::string, std::uint64_t>> objects;
  std::vector<catalog::ChangeSet> sets;
};

std::vector<WriteResult> TieredStore::Impl::write(std::string_view collection, std::span<const Item> items,
                                                  const WriteOptions& options) {
  const MonotonicTime started = clock_->monotonic();
  const MonotonicTime deadline = options.timeout ? started + *options.timeout : MonotonicTime::max();
  std::vector<WriteResult> results;
  while (!attempt_write(collection, items, options, deadline, results)) check_retry(deadline, options.stop);
  metrics_.writes.add(items.size());
  metrics_.writing.record(clock_->monotonic() - started);
  return results;
}

void TieredStore::Impl::check_retry(MonotonicTime deadline, const std::stop_token& stop) {
  if (stop.stop_requested())
    throw Error(ErrorCode::cancelled, "stopped while others changed the document", "repeat it");
  if (clock_->monotonic() < deadline) return;
  throw Error(ErrorCode::deadline_exceeded, "others kept changing the document for all of the time given",
              "repeat with a longer timeout");
}

void TieredStore::Impl::check_if_version(std::optional<Version> wanted, Version current) {
  if (!wanted || *wanted == current) return;
  metrics_.conflicts.add();
  const std::string stands =
      current == 0 ? "the document does not exist" : "it stands at " + std::to_string(current);
  throw Error(ErrorCode::conflict, "if_version is " + std::to_string(*wanted) + ", but " + stands,
              "read it again and decide")
      .with_current_version(current);
}

bool TieredStore::Impl::attempt_write(std::string_view collection, std::span<const Item> items,
                                      const WriteOptions& options, MonotonicTime deadline,
                                      std::vector<WriteResult>& results) {
  if (options.stop.stop_requested())
    throw Error(ErrorCode::cancelled, "stopped before the write", "repeat it");
  WriteAttempt attempt;
  attempt.now = clock_->now();
  attempt.items.reserve(items.size());
  for (const Item& item : items) plan_item(attempt, collection, item, options);

  std::optional<std::chrono::milliseconds> wait = options.timeout;
  if (wait)
    *wait =
        std::max(0ms, std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_->monotonic()));
  const HotStorage::State::Reservation room =
      hot_.state().reserve(attempt.more_hot_bytes, wait, options.stop);

  bool committed = false;
  try {
    put_cold_items(attempt, {.stop = options.stop});
    catalog::ChangeSet& rows = attempt.sets.emplace_back(*catalog_);
    for (WriteAttempt::Planned& item : attempt.items) {
      rows.change(item.key, item.before, item.after,
                  item.after.home == StorageTier::hot ? item.block : detail::BlockRef{});
    }
    committed = catalog_->commit_all(attempt.sets).back();
  } catch (const std::exception&) {
    // Giving up is conditional on the intent: where the commit did happen, nothing does.
    for (const auto& [object, bytes] : attempt.objects) cold_.state().abandon(object, bytes);
    throw;
  }
  if (!committed) {
    for (const auto& [object, bytes] : attempt.objects) cold_.state().discard(object, bytes);
    return false;
  }
  results.clear();
  for (const WriteAttempt::Planned& item : attempt.items) {
    if (item.before && item.before->live() && !item.before->hot()) warm_.remove(item.key);
    StorageTier tier = item.tier;
    if (tier == StorageTier::warm) {
      mover_.warm_up(item.key, item.block);
      // A cache may be off, failing, or too small for it.
      if (!warm_.contains(item.key, item.after.version)) tier = StorageTier::cold;
    }
    // Held in hot, and written elsewhere: the next run brings it up.
    if (tier != StorageTier::hot && catalog_->pinned_tier(item.key) == StorageTier::hot) {
      runner_.note_candidate(item.key);
    }
    results.push_back({.version = item.after.version, .tier = tier});
  }
  return true;
}

void TieredStore::Impl::plan_item(WriteAttempt& attempt, std::string_view collection, const Item& item,
                                  const WriteOptions& options) {
  WriteAttempt::Planned planned{
      .key = catalog::document_key(collection, item.id), .before = {}, .after = {}, .block = {}};
  planned.before = catalog_->find(planned.key);
  const std::optional<catalog::Row>& before = planned.before;
  check_if_version(item.if_version, current_version(before));

  const bool too_large = item.body.size() > config_.hot.max_body_size ||
                         (config_.hot.max_size != 0 && item.body.size() > config_.hot.max_size);
  planned.tier = options.tier.value_or(StorageTier::hot);
  catalog::PlacedBy placed_by = options.tier ? catalog::PlacedBy::write_to_tier : catalog::PlacedBy::write;
  if (planned.tier == StorageTier::hot && too_large) {
    planned.tier = StorageTier::cold;
    placed_by = catalog::PlacedBy::write_too_large;
  }

  catalog::Row& after = planned.after;
  after.version = before ? before->version + 1 : catalog_->version_floor() + 1;
  after.home = planned.tier == StorageTier::hot ? StorageTier::hot : StorageTier::cold;
  after.placed_by = placed_by;
  after.size = item.body.size();
  after.updated_at_us = to_us(attempt.now);
  after.created_at_us = before && before->live() ? before->created_at_us : after.updated_at_us;
  after.placed_at_us = after.updated_at_us;
  after.content_type = item.content_type;
  if (planned.tier == StorageTier::hot) {
    // Held in a colder tier: it lands here all the same, where a write is fast, and the next run packs it up.
    const tiering::Held held = catalog_->pinned_tier(planned.key);
    after.due_us = held && *held != StorageTier::hot ? to_us(attempt.now)
                                                     : tiering::hot_due_us(attempt.now, config_.tiering);
    // An earlier entry stays: it is a lower bound, and a write need not move it.
    if (before && before->hot() && before->due_us != 0) after.due_us = std::min(after.due_us, before->due_us);
  } else if (planned.tier == StorageTier::warm) {
    after.due_us = tiering::warm_due_us(attempt.now, config_.tiering);
  }
  if (after.home == StorageTier::hot) {
    const std::uint64_t replaced = before && before->hot() ? before->size : 0;
    attempt.more_hot_bytes += after.size > replaced ? after.size - replaced : 0;
  }

  planned.block = detail::DocumentBlock::create(collection, item.id, item.content_type, item.body.size());
  if (!item.body.empty()) std::memcpy(planned.block->mutable_body(), item.body.data(), item.body.size());
  planned.block->version = after.version;
  planned.block->created_at_us = after.created_at_us;
  planned.block->updated_at_us = after.updated_at_us;
  if (before && before->live()) prime_figures(planned.key, planned.block);
  attempt.items.push_back(std::move(planned));
}

void TieredStore::Impl::put_cold_items(WriteAttempt& attempt, const CallOptions& call) {
  ColdStorage::State& cold = cold_.state();
  codec::SegmentWriter writer;
  std::vector<catalog::Row*> packed;
  const auto put_segment = [&] {
    if (packed.empty()) return;
    const auto records = static_cast<std::uint32_t>(packed.size());
    const std::string segment = cold.finish(writer);
    const std::string object = cold.put_segment(segment, call);
    attempt.objects.emplace_back(object, segment.size());
    // In a set of its own, before the rows: they require the segment to be registered.
    attempt.sets.emplace_back(*catalog_).add_segment(object, segment.size(), records);
    for (catalog::Row* row : packed) row->cold->object = object;
    packed.clear();
  };
  const bool alone = attempt.items.size() == 1;
  for (WriteAttempt::Planned& item : attempt.items) {
    if (item.after.home == StorageTier::hot) continue;
    const ColdStorage::State::Record record = cold.encode(item.key, item.after, item.block->body());
    if (alone || !cold.packs(record.bytes.size())) {
      item.after.cold = cold.put_document(item.key, item.after.version, record, call);
      attempt.objects.emplace_back(item.after.cold->object, item.after.cold->length);
      continue;
    }
    const std::uint64_t offset =
        writer.add(item.block->collection(), item.block->id(), item.after.version, record.bytes);
    item.after.cold = catalog::ColdPlace{
        .object = {}, .offset = offset, .length = record.bytes.size(), .in_segment = true, .key = record.key};
    packed.push_back(&item.after);
    if (writer.record_bytes() >= cold.segment_size()) put_segment();
  }
  put_segment();
}

bool TieredStore::Impl::remove(std::string_view collection, std::string_view id,
                               const RemoveOptions& options) {
  const std::string key = catalog::document_key(collection, id);
  const bool removed = options.tier ? remove_copy(key, options) : remove_document(key, options);
  if (removed && !options.tier) {
    metrics_.removes.add();
    tracker_.forget(collection, id);
    warm_.remove(key);
  }
  return removed;
}

bool TieredStore::Impl::remove_document(const std::string& key, const RemoveOptions& options) {
  while (true) {
    const auto before = catalog_->find(key);
    check_if_version(options.if_version, current_version(before));
    if (!before || !before->live()) return false;
    const std::int64_t now_us = to_us(clock_->now());
    catalog::Row after;
    after.version = before->version + 1;
    after.state = catalog::RowState::tombstone;
    after.placed_by = before->placed_by;
    after.created_at_us = before->created_at_us;
    after.updated_at_us = now_us;
    after.placed_at_us = now_us;
    after.due_us = now_us + std::chrono::microseconds{config_.tiering.tombstone_retention}.count();
    catalog::ChangeSet set(*catalog_);
    set.change(key, before, std::move(after));
    if (catalog_->commit(set)) return true;
  }
}

bool TieredStore::Impl::remove_copy(const std::string& key, const RemoveOptions& options) {
  while (true) {
    const auto row = catalog_->find(key);
    check_if_version(options.if_version, current_version(row));
    if (!row || !row->live()) return false;
    if (*options.tier == StorageTier::warm) {
      const bool held = warm_.contains(key, row->version);
      warm_.remove(key);
      return held;
    }
    const bool from_hot = *options.tier == StorageTier::hot;
    if (from_hot != row->hot() && !(row->hot() && row->cold)) return false;
    if (!(row->hot() && row->cold)) {
      throw Error(
          ErrorCode::invalid_argument,
          "the copy in " + std::string(to_string(*options.tier)) + " is the document's last durable one",
          "remove the document without naming a tier, or move it first");
    }
    catalog::Row after = *row;
    after.placed_by = catalog::PlacedBy::remove_copy;
    after.placed_at_us = to_us(clock_->now());
    if (from_hot) {
      after.home = StorageTier::cold;
      after.due_us = 0;
    } else {
      after.cold.reset();
    }
    catalog::ChangeSet set(*catalog_);
    set.change(key, row, std::move(after));
    if (catalog_->commit(set)) return true;
  }
}

}  // namespace db4
