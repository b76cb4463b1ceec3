#include "catalog/change_set.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "catalog/catalog.hpp"
#include "catalog/garbage.hpp"
#include "catalog/keys.hpp"
#include "catalog/meta.hpp"
#include "catalog/spaces.hpp"
#include "codec/record.hpp"

#include <algorithm>
#include <map>

namespace db4::catalog {
namespace {
constexpr std::int64_t kSecondUs = 1'000'000;
}  // namespace

void ChangeSet::change(std::string key, const std::optional<Row>& before, Row after,
                       const detail::BlockRef& block, const std::optional<MoveNote>& note) {
  const std::uint64_t hash = hash_key(key);
  if (before) {
    batch_.require_prefix(kRows, key, revision_prefix(before->revision));
    after.revision = std::max(before->revision + 1, after.version);
  } else {
    // The caller took the version from a floor that a purge may have raised since: then the commit fails, and
    // the caller tries again.
    require_floor(after.version - 1);
    batch_.require_absent(kRows, key);
    after.revision = after.version;
  }
  stage_change(std::move(key), hash, before, std::move(after), block, note);
}

void ChangeSet::restage(std::string key, const Row& before, Row after, const detail::BlockRef& block) {
  change(std::move(key), before, std::move(after), block);
  changes_.back().block = {};
}

void ChangeSet::restore(std::string key, Row row) {
  const std::uint64_t hash = hash_key(key);
  batch_.require_absent(kRows, key);
  row.revision = row.version;
  stage_change(std::move(key), hash, std::nullopt, std::move(row), {}, {});
}

void ChangeSet::stage_change(std::string key, std::uint64_t hash, const std::optional<Row>& before, Row after,
                             const detail::BlockRef& block, const std::optional<MoveNote>& note) {
  if (after.due_us != 0 && (!before || before->due_us != after.due_us)) {
    // Never filed in the past: a run may have gone by there already.
    after.due_us = std::max({after.due_us, catalog_->now_us(), catalog_->watermark_us()});
  }
  stage_body(key, before, after, block);
  stage_cold(before, after);
  stage_due(key, before ? before->due_us : 0, after.due_us);
  // Figures belong to a document's life: one that is removed or made anew starts without.
  if (!after.live() || (before && !before->live())) {
    batch_.erase(kAccess, key);
    batch_.erase(kHistory, key);
  } else if (before) {
    stage_history(key, *before, after, note);
  }
  stage_counters(key, hash, before, after);
  stage_sealed(hash, before, after);
  stage_change_entry(key, after, false);
  batch_.put(kRows, key, encode_row(key, after));
  changes_.push_back(
      {.key = std::move(key), .hash = hash, .before = before, .after = std::move(after), .block = block});
}

void ChangeSet::purge(std::string key, const Row& tombstone) {
  const std::uint64_t hash = hash_key(key);
  batch_.require_prefix(kRows, key, revision_prefix(tombstone.revision));
  const std::uint64_t floor = catalog_->version_floor();
  require_floor(floor);
  raised_floor_ = std::max({raised_floor_, floor, tombstone.revision});
  stage_due(key, tombstone.due_us, 0);
  stage_counters(key, hash, tombstone, std::nullopt);
  stage_sealed(hash, tombstone, std::nullopt);
  stage_change_entry(key, tombstone, true);
  batch_.erase(kAccess, key);
  batch_.erase(kHistory, key);
  batch_.erase(kRows, key);
  changes_.push_back(
      {.key = std::move(key), .hash = hash, .before = tombstone, .after = std::nullopt, .block = {}});
}

void ChangeSet::add_segment(const std::string& object, std::uint64_t bytes, std::uint32_t records) {
  batch_.require_present(kIntents, object);
  batch_.erase(kIntents, object);
  batch_.put(kSegments, object, encode_segment_facts(bytes, records));
  // Until its rows are committed nothing in it lives: whoever dies before that leaves a segment that is
  // looked at.
  const std::int64_t check_us = catalog_->now_us() + catalog_->options_.intent_deadline.count();
  batch_.put(kGarbage, timed_key(check_us, object), encode_garbage(GarbageKind::segment, bytes));
  batch_.add(kCounters, total_key(Metric::objects, 0), 1);
  batch_.add(kCounters, total_key(Metric::object_bytes, 0), static_cast<std::int64_t>(bytes));
}

void ChangeSet::end_upload(const std::string& id, std::string begins, std::string value) {
  batch_.require_prefix(kUploads, id, std::move(begins));
  batch_.put(kUploads, id, std::move(value));
  batch_.erase_range(kUploadParts, upload_parts_begin(id), upload_parts_end(id));
}

void ChangeSet::note_plain() { batch_.put(kMeta, std::string(kPlainArrivedKey), encoded<std::uint8_t>(1)); }

void ChangeSet::require_floor(std::uint64_t floor) {
  if (required_floor_ == floor) return;
  required_floor_ = floor;
  std::string value;
  put_fixed(value, floor);
  batch_.require_equals(kMeta, std::string(kVersionFloorKey), std::move(value));
}

void ChangeSet::stage_body(const std::string& key, const std::optional<Row>& before, Row& after,
                           const detail::BlockRef& block) {
  const bool had_body = before && before->body_place == BodyPlace::in_bodies;
  if (!after.hot()) {
    after.body_place = BodyPlace::none;
    after.inline_body.clear();
    after.body_key = 0;
  } else if (block) {
    const bool in_row = block->body_size <= catalog_->options_.inline_body_size;
    after.body_place = in_row ? BodyPlace::in_row : BodyPlace::in_bodies;
    after.inline_body.clear();
    after.body_key = 0;
    if (catalog_->sealer_->seals()) {
      sealing::Sealer::Sealed sealed = catalog_->sealer_->seal(
          sealing::Kind::body,
          {.collection = block->collection(), .id = block->id(), .version = after.version},
          as_bytes(block->body()), catalog_->sealer_->padding());
      after.body_key = sealed.key;
      if (in_row) {
        after.inline_body = std::move(sealed.bytes);
      } else {
        batch_.put(kBodies, key, std::move(sealed.bytes));
      }
    } else if (in_row) {
      after.inline_body = block->body();
    } else {
      batch_.put(
          kBodies, key,
          codec::encode_record({.collection = block->collection(),
                                .id = block->id(),
                                .version = after.version,
                                .content_type = block->content_type(),
                                .created_at = TimePoint{std::chrono::microseconds{after.created_at_us}},
                                .updated_at = TimePoint{std::chrono::microseconds{after.updated_at_us}}},
                               block->body(), {.compression = Compression::none}));
    }
  }
  if (had_body && after.body_place != BodyPlace::in_bodies) batch_.erase(kBodies, key);
}

void ChangeSet::stage_cold(const std::optional<Row>& before, const Row& after) {
  if (before && before->cold == after.cold) return;
  if (before && before->cold) free_cold(*before->cold);
  if (!after.cold) return;
  const ColdPlace& place = *after.cold;
  if (place.in_segment) {
    batch_.require_present(kSegments, place.object);
    batch_.add(kCounters, segment_key(place.object), static_cast<std::int64_t>(place.length));
  } else {
    batch_.require_present(kIntents, place.object);
    batch_.erase(kIntents, place.object);
    batch_.add(kCounters, total_key(Metric::objects, 0), 1);
    batch_.add(kCounters, total_key(Metric::object_bytes, 0), static_cast<std::int64_t>(place.length));
  }
}

void ChangeSet::free_cold(const ColdPlace& place) {
  const std::int64_t due_us = catalog_->now_us() + catalog_->options_.garbage_grace.count();
  const auto length = static_cast<std::int64_t>(place.length);
  if (place.in_segment) {
    batch_.add(kCounters, segment_key(place.object), -length);
    // By whole seconds: thousands of records that go together are one look at their segment.
    const std::int64_t look_us = (due_us / kSecondUs + 1) * kSecondUs;
    batch_.put(kGarbage, timed_key(look_us, place.object), encode_garbage(GarbageKind::segment, 0));
  } else {
    batch_.put(kGarbage, timed_key(due_us, place.object), encode_garbage(GarbageKind::object, place.length));
    batch_.add(kCounters, total_key(Metric::objects, 0), -1);
    batch_.add(kCounters, total_key(Metric::object_bytes, 0), -length);
  }
}

void ChangeSet::stage_counters(std::string_view key, std::uint64_t hash, const std::optional<Row>& before,
                               const std::optional<Row>& after) {
  Totals delta;
  const auto count = [&delta](const Row& row, std::int64_t sign) {
    const auto add = [&](Metric metric, std::uint64_t value) {
      delta.values[static_cast<std::size_t>(metric)] += sign * static_cast<std::int64_t>(value);
    };
    if (!row.live()) {
      add(Metric::tombstones, 1);
      return;
    }
    add(row.hot() ? Metric::hot_documents : Metric::cold_documents, 1);
    add(row.hot() ? Metric::hot_bytes : Metric::cold_bytes, row.size);
    if (row.cold) add(Metric::cold_record_bytes, row.cold->length);
  };
  if (before) count(*before, -1);
  if (after) count(*after, 1);
  for (std::size_t index = 0; index < kMetrics; ++index) {
    if (delta.values[index] == 0) continue;
    const auto metric = static_cast<Metric>(index);
    batch_.add(kCounters, total_key(metric, hash), delta.values[index]);
    batch_.add(kCounters, collection_key(collection_of(key), metric, hash), delta.values[index]);
  }
}

void ChangeSet::stage_sealed(std::uint64_t hash, const std::optional<Row>& before,
                             const std::optional<Row>& after) {
  std::map<std::uint64_t, std::int64_t> delta;
  const auto count = [&delta](const std::optional<Row>& row, std::int64_t sign) {
    if (!row) return;
    if (row->body_key != 0) delta[row->body_key] += sign;
    if (row->cold && row->cold->key != 0) delta[row->cold->key] += sign;
  };
  count(before, -1);
  count(after, 1);
  for (const auto& [key, change] : delta) {
    if (change != 0) batch_.add(kCounters, sealed_key(key, hash), change);
  }
}

void ChangeSet::stage_due(const std::string& key, std::int64_t before_us, std::int64_t after_us) {
  if (before_us == after_us) return;
  if (before_us != 0) batch_.erase(kDue, timed_key(before_us, key));
  if (after_us != 0) batch_.put(kDue, timed_key(after_us, key), {});
}

/// Read, added to and written back under the row's compare-and-set, so that no move gets lost.
void ChangeSet::stage_history(const std::string& key, const Row& before, const Row& after,
                              const std::optional<MoveNote>& note) {
  if (!note && before.home == after.home) return;
  const HistoryEntry entry{.at_us = catalog_->now_us(),
                           .placed_by = after.placed_by,
                           .note = note.value_or(MoveNote{.from = before.home, .to = after.home})};
  batch_.put(kHistory, key, add_to_history(catalog_->engine_->get(kHistory, key).value_or(""), entry));
}

void ChangeSet::stage_change_entry(std::string_view key, const Row& row, bool purged) {
  std::string value;
  put_sized(value, key);
  put_varint(value, row.version);
  put_varint(value, row.revision);
  value.push_back(static_cast<char>(purged ? 0 : static_cast<int>(row.state)));
  batch_.append(kChanges, catalog_->change_prefix_, std::move(value));
}

}  // namespace db4::catalog
