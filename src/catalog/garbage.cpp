// What becomes of objects: intents before they are put, garbage after they are freed.
#include "catalog/garbage.hpp"

#include "base/encoding.hpp"
#include "catalog/spaces.hpp"

namespace db4::catalog {
namespace {

constexpr std::size_t kPage = 1000;

void check(const Reader& in, std::string_view what) {
  if (in.done()) return;
  throw Error(ErrorCode::corrupt, "an entry of the catalogue's " + std::string(what) + " is damaged",
              "check the disk, and restore the hot folder from a backup");
}

}  // namespace

std::string encode_garbage(GarbageKind kind, std::uint64_t bytes) {
  std::string out;
  out.push_back(static_cast<char>(kind));
  put_varint(out, bytes);
  return out;
}

GarbageEntry decode_garbage(std::string_view key, std::string_view value) {
  Reader in(value);
  GarbageEntry entry;
  entry.kind = static_cast<GarbageKind>(in.fixed<std::uint8_t>());
  entry.bytes = in.varint();
  check(in, "garbage");
  // An entry has no checksum: what is not known must not be taken for an order to delete.
  const bool known = entry.kind == GarbageKind::object || entry.kind == GarbageKind::segment;
  if (!known || key.size() < 8) check(Reader("x"), "garbage");
  entry.due_us = time_of(key);
  entry.object = key_of(key);
  return entry;
}

std::string encode_intent(std::int64_t deadline_us, std::uint64_t bytes) {
  std::string out;
  put_fixed(out, deadline_us);
  put_varint(out, bytes);
  return out;
}

Intent decode_intent(std::string_view value) {
  Reader in(value);
  Intent intent;
  intent.deadline_us = in.fixed<std::int64_t>();
  intent.bytes = in.varint();
  check(in, "intents");
  return intent;
}

std::string encode_segment_facts(std::uint64_t bytes, std::uint32_t records) {
  std::string out;
  put_varint(out, bytes);
  put_varint(out, records);
  return out;
}

SegmentFacts decode_segment_facts(std::string_view object, std::string_view value) {
  Reader in(value);
  SegmentFacts facts;
  facts.object = object;
  facts.bytes = in.varint();
  facts.records = static_cast<std::uint32_t>(in.varint());
  check(in, "segments");
  return facts;
}

bool Catalog::announced(const std::string& object) const {
  return engine_->get(kIntents, object).has_value();
}

void Catalog::announce_object(const std::string& object, std::uint64_t bytes,
                              std::chrono::microseconds deadline) {
  kv::Batch batch;
  batch.require_absent(kIntents, object);
  batch.put(kIntents, object, encode_intent(now_us() + deadline.count(), bytes));
  // Synced whatever the durability: the object that follows survives a power cut, so must its announcement.
  if (!queue_.commit(batch, Durability::disk).committed()) {
    throw Error(ErrorCode::internal, "the object name " + object + " was drawn twice",
                "check the random source, and report this");
  }
}

bool Catalog::abandon_object(const std::string& object, std::uint64_t bytes) {
  kv::Batch batch;
  batch.require_present(kIntents, object);
  batch.erase(kIntents, object);
  batch.put(kGarbage, timed_key(now_us(), object), encode_garbage(GarbageKind::object, bytes));
  return queue_.commit(batch, options_.durability).committed();
}

void Catalog::discard_object(const std::string& object, std::uint64_t bytes) {
  if (abandon_object(object, bytes)) return;
  kv::Batch batch;
  batch.require_absent(kSegments, object);  // a registered one is looked at by itself
  batch.put(kGarbage, timed_key(now_us(), object), encode_garbage(GarbageKind::object, bytes));
  queue_.commit(batch, options_.durability);
}

void Catalog::forget_object(const std::string& object, std::uint64_t bytes) {
  kv::Batch batch;
  batch.put(kGarbage, timed_key(now_us() + options_.garbage_grace.count(), object),
            encode_garbage(GarbageKind::object, bytes));
  queue_.commit(batch, options_.durability);
}

std::size_t Catalog::expire_intents(std::size_t limit) {
  const std::int64_t now = now_us();
  std::size_t expired = 0;
  std::string begin;
  // All intents are looked at: there are only those of puts in flight and of crashes.
  while (expired < limit) {
    const auto page = engine_->scan({.space = kIntents, .begin = begin, .end = {}, .limit = kPage});
    for (const kv::Entry& entry : page) {
      const Intent intent = decode_intent(entry.value);
      if (intent.deadline_us <= now && expired < limit && abandon_object(entry.key, intent.bytes)) ++expired;
    }
    if (page.size() < kPage) break;
    begin = page.back().key + '\0';
  }
  return expired;
}

std::vector<GarbageEntry> Catalog::due_garbage(std::size_t limit) const {
  std::string end;
  put_big_endian(end, static_cast<std::uint64_t>(now_us()) + 1);
  std::vector<GarbageEntry> out;
  for (const kv::Entry& entry : engine_->scan({.space = kGarbage, .begin = {}, .end = end, .limit = limit})) {
    out.push_back(decode_garbage(entry.key, entry.value));
  }
  return out;
}

void Catalog::settle_segment(const GarbageEntry& entry) {
  const auto facts = find_segment(entry.object);
  kv::Batch batch;
  batch.erase(kGarbage, timed_key(entry.due_us, entry.object));
  const std::string counter = segment_key(entry.object);
  const auto live = engine_->get(kCounters, counter);
  if (facts && (!live || *live == std::string(sizeof(std::int64_t), '\0'))) {
    // Compare-and-set with the very value that was judged: a row that names the segment requires its entry,
    // so either the row comes first and the counter differs, or this does and the row's commit fails. A
    // reader may still hold a place in it: hence the grace.
    if (live) {
      batch.require_equals(kCounters, counter, *live);
    } else {
      batch.require_absent(kCounters, counter);
    }
    batch.require_present(kSegments, entry.object);
    batch.erase(kSegments, entry.object);
    batch.erase(kCounters, counter);
    batch.erase(kSparse, entry.object);
    batch.put(kGarbage, timed_key(now_us() + options_.garbage_grace.count(), entry.object),
              encode_garbage(GarbageKind::object, facts->bytes));
    batch.add(kCounters, total_key(Metric::objects, 0), -1);
    batch.add(kCounters, total_key(Metric::object_bytes, 0), -static_cast<std::int64_t>(facts->bytes));
  } else if (facts && facts->sparse()) {
    batch.require_present(kSegments, entry.object);
    batch.put(kSparse, entry.object, {});
  }
  // Where a precondition failed somebody changed the segment just now: the entry stays and is looked at
  // again.
  queue_.commit(batch, options_.durability);
}

void Catalog::settle_garbage(std::span<const GarbageEntry> deleted, std::span<const GarbageEntry> failed) {
  kv::Batch batch;
  for (const GarbageEntry& entry : deleted) batch.erase(kGarbage, timed_key(entry.due_us, entry.object));
  // Put back behind the others: an object that cannot be deleted must not keep them from it.
  const std::int64_t again_us =
      now_us() + std::max<std::chrono::microseconds>(options_.garbage_grace, std::chrono::minutes{1}).count();
  for (const GarbageEntry& entry : failed) {
    batch.erase(kGarbage, timed_key(entry.due_us, entry.object));
    batch.put(kGarbage, timed_key(again_us, entry.object), encode_garbage(entry.kind, entry.bytes));
  }
  if (!batch.empty()) queue_.commit(batch, options_.durability);
}

std::optional<SegmentFacts> Catalog::find_segment(const std::string& object) const {
  const auto value = engine_->get(kSegments, object);
  if (!value) return std::nullopt;
  SegmentFacts facts = decode_segment_facts(object, *value);
  if (const auto live = engine_->get(kCounters, segment_key(object)); live && live->size() == 8) {
    facts.live_bytes = load_fixed<std::int64_t>(live->data());
  }
  return facts;
}

std::vector<std::string> Catalog::sparse_segments(const std::string& after, std::size_t limit) const {
  std::vector<std::string> out;
  const std::string begin = after.empty() ? after : after + '\0';
  for (kv::Entry& entry :
       engine_->scan({.space = kSparse, .begin = begin, .end = {}, .limit = limit, .keys_only = true})) {
    out.push_back(std::move(entry.key));
  }
  return out;
}

void Catalog::forget_sparse(const std::string& object) {
  kv::Batch batch;
  batch.erase(kSparse, object);
  // Advice: after a power cut it is looked at once more.
  queue_.commit(batch, std::min(options_.durability, Durability::process));
}

std::vector<std::string> Catalog::referenced_objects() const {
  std::vector<std::string> out;
  for (const std::uint8_t space : {kIntents, kSegments, kGarbage}) {
    std::string begin;
    while (true) {
      const auto page =
          engine_->scan({.space = space, .begin = begin, .end = {}, .limit = kPage, .keys_only = true});
      for (const kv::Entry& entry : page) {
        out.push_back(space == kGarbage ? std::string(key_of(entry.key)) : entry.key);
      }
      if (page.size() < kPage) break;
      begin = page.back().key + '\0';
    }
  }
  for (StoredDictionary& dictionary : dictionaries()) out.push_back(std::move(dictionary.object));
  return out;
}

}  // namespace db4::catalog
