#include "invalidation/versioned_cache.hpp"

#include "base/hash.hpp"
#include "catalog/keys.hpp"

#include <algorithm>
#include <bit>

namespace db4::invalidation {
namespace {

/// Memory of a copy besides key and body: the document's block, list node, index node and bucket, malloc's
/// headers.
constexpr std::uint64_t kEntryOverheadBytes = 448;
constexpr std::uint64_t kMaxShards = 16;
constexpr std::uint64_t kMinShardBytes = 4ULL << 20;
constexpr std::uint64_t kMinShardEntries = 1024;
/// A copy that takes more than this part of its shard would push out too much of what is worth keeping.
constexpr std::uint64_t kShardPart = 4;

std::uint64_t shards_for(const VersionedCache::Options& options) {
  const std::uint64_t wanted =
      std::min(options.max_bytes / kMinShardBytes, options.max_entries / kMinShardEntries);
  return std::bit_floor(std::clamp<std::uint64_t>(wanted, 1, kMaxShards));
}

}  // namespace

VersionTable::VersionTable(std::size_t capacity)
    : slots_(std::bit_ceil(std::max(capacity, kBucketSlots))),
      bucket_mask_(slots_.size() / kBucketSlots - 1) {}

Version VersionTable::find(std::uint64_t hash) const noexcept {
  const std::size_t bucket = bucket_of(hash);
  for (std::size_t i = bucket; i < bucket + kBucketSlots; ++i) {
    if (slots_[i].hash == hash && slots_[i].version != 0) return slots_[i].version;
  }
  return 0;
}

void VersionTable::raise(std::uint64_t hash, Version version) noexcept {
  if (version == 0) return;
  const std::size_t bucket = bucket_of(hash);
  std::size_t target = bucket;
  for (std::size_t i = bucket; i < bucket + kBucketSlots; ++i) {
    if (slots_[i].hash == hash && slots_[i].version != 0) {
      slots_[i] = {hash, std::max(slots_[i].version, version), ++raised_};
      return;
    }
    if (slots_[i].stamp < slots_[target].stamp) target = i;
  }
  slots_[target] = {hash, version, ++raised_};
}

VersionedCache::Shard::Shard(std::size_t ghost_slots, std::size_t remembered)
    : ghosts(ghost_slots), versions(remembered) {
  document_marks.fill(1);  // so that a mark of 0 fits nowhere
  collection_marks.fill(1);
}

VersionedCache::VersionedCache(Options options) : compare_versions_(options.compare_versions) {
  const std::uint64_t count = shards_for(options);
  shard_entries_ = options.max_entries / count;
  shard_bytes_ = options.max_bytes / count;
  const std::size_t ghosts =
      std::min<std::size_t>(warm::ghost_capacity(options.max_bytes), shard_entries_ * count);
  for (std::uint64_t i = 0; i < count; ++i) {
    shards_.push_back(std::make_unique<Shard>(ghosts / count, options.max_remembered / count));
  }
}

std::size_t VersionedCache::collection_mark_of(std::string_view collection) noexcept {
  return hash_key(collection) % kCollectionMarks;
}

FillMark VersionedCache::mark(std::string_view collection, std::string_view id) const {
  const catalog::KeyBuffer key(collection, id);
  const std::uint64_t hash = hash_key(key.view());
  const Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  return {.document = shard.document_marks[document_mark_of(hash)],
          .collection = shard.collection_marks[collection_mark_of(collection)]};
}

VersionedCache::SetResult VersionedCache::set(std::string_view collection, std::string_view id,
                                              const Document& document, const Times& times,
                                              const std::optional<FillMark>& mark) {
  const catalog::KeyBuffer buffer(collection, id);
  const std::string_view key = buffer.view();
  const std::uint64_t hash = hash_key(key);
  const std::uint64_t bytes = 2 * key.size() + document.size() + kEntryOverheadBytes;
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  std::uint64_t& changes = shard.document_marks[document_mark_of(hash)];
  if (mark && (mark->document != changes ||
               mark->collection != shard.collection_marks[collection_mark_of(collection)])) {
    return SetResult::overtaken;
  }
  const auto found = shard.index.find(Key{hash, key});
  const bool held = found != shard.index.end();
  const Version known =
      std::max(held ? found->second->document.version() : Version{0}, shard.versions.find(hash));
  if (compare_versions_ && document.version() < known) return SetResult::older;
  if (!mark) ++changes;
  if (bytes > shard_bytes_ / kShardPart) {
    if (held) erase(shard, found->second);  // what is refused still ends the version before it
    if (compare_versions_) shard.versions.raise(hash, document.version());
    return SetResult::too_large;
  }
  if (held) {
    replace(shard, *found->second, document, times, bytes);
  } else {
    insert(shard, hash, key, document, times, bytes);
  }
  make_room(shard);
  return SetResult::stored;
}

CacheLookup VersionedCache::find(std::string_view collection, std::string_view id, Version expected,
                                 MonotonicTime now) {
  const catalog::KeyBuffer key(collection, id);
  const std::uint64_t hash = hash_key(key.view());
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.index.find(Key{hash, key.view()});
  if (found == shard.index.end()) return {};
  Node& node = *found->second;
  CacheLookup lookup;
  lookup.age = std::chrono::duration_cast<std::chrono::milliseconds>(now - node.times.set_at);
  lookup.stale = now >= node.times.fresh_until;
  lookup.version_mismatch = compare_versions_ && node.document.version() < expected;
  if (now >= node.times.stale_until) {
    erase(shard, found->second);
    return lookup;
  }
  if (lookup.version_mismatch) return lookup;
  if (node.uses < warm::kMaxUses) ++node.uses;
  lookup.value = node.document;
  return lookup;
}

VersionedCache::Drop VersionedCache::drop(std::string_view collection, std::string_view id, Version version) {
  const catalog::KeyBuffer key(collection, id);
  const std::uint64_t hash = hash_key(key.view());
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  ++shard.document_marks[document_mark_of(hash)];
  const auto found = shard.index.find(Key{hash, key.view()});
  const bool held = found != shard.index.end();
  const bool compared = compare_versions_ && version != 0;
  const Version known =
      std::max(held ? found->second->document.version() : Version{0}, shard.versions.find(hash));
  const bool old = compared && known >= version;
  // A copy that is held is never older than what is remembered, so an old event finds nothing to drop.
  if (held && !old) erase(shard, found->second);
  if (compared) shard.versions.raise(hash, version);
  return {.dropped = held && !old, .old = old};
}

std::uint64_t VersionedCache::drop_collection(std::string_view collection) {
  std::uint64_t dropped = 0;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    ++shard->collection_marks[collection_mark_of(collection)];
    for (Queue* queue : {&shard->small, &shard->main}) {
      for (auto node = queue->nodes.begin(); node != queue->nodes.end();) {
        const auto next = std::next(node);
        if (node->document.collection() == collection) {
          erase(*shard, node);
          ++dropped;
        }
        node = next;
      }
    }
  }
  return dropped;
}

std::uint64_t VersionedCache::clear() {
  std::uint64_t dropped = 0;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    for (std::uint64_t& mark : shard->document_marks) ++mark;
    dropped += shard->index.size();
    while (!shard->small.nodes.empty()) erase(*shard, shard->small.nodes.begin());
    while (!shard->main.nodes.empty()) erase(*shard, shard->main.nodes.begin());
    shard->ghosts.clear();
  }
  return dropped;
}

VersionedCache::Totals VersionedCache::totals() const {
  Totals totals;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    totals.entries += shard->index.size();
    totals.bytes += shard->small.bytes + shard->main.bytes;
    totals.evictions += shard->evictions;
  }
  return totals;
}

void VersionedCache::insert(Shard& shard, std::uint64_t hash, std::string_view key, const Document& document,
                            const Times& times, std::uint64_t bytes) {
  const bool in_main = shard.ghosts.take(hash, std::max<std::uint64_t>(shard.main.nodes.size(), 1));
  Queue& queue = in_main ? shard.main : shard.small;
  Nodes fresh;  // whatever throws for want of memory comes before the first change
  fresh.push_back({document, std::string(key), hash, bytes, times, 0, in_main});
  shard.index.emplace(Key{hash, fresh.front().key}, fresh.begin());
  queue.nodes.splice(queue.nodes.end(), fresh);
  queue.bytes += bytes;
}

/// Keeps the place and the uses.
void VersionedCache::replace(Shard& shard, Node& node, const Document& document, const Times& times,
                             std::uint64_t bytes) {
  Queue& queue = queue_of(shard, node);
  queue.bytes = queue.bytes - node.bytes + bytes;
  node.bytes = bytes;
  node.document = document;
  node.times = times;
}

void VersionedCache::make_room(Shard& shard) {
  while (shard.index.size() > shard_entries_ || shard.small.bytes + shard.main.bytes > shard_bytes_) {
    evict_or_move(shard);
  }
}

/// One step at the front of a queue. Ends: a node stays at most once in small and kMaxUses times in main.
void VersionedCache::evict_or_move(Shard& shard) {
  const bool from_small = warm::evict_from_small(shard.small.bytes, shard.main.bytes);
  const auto node = (from_small ? shard.small : shard.main).nodes.begin();
  const bool stays = node->uses >= (from_small ? warm::kUsesToStay : 1);
  if (!stays) {
    if (from_small) shard.ghosts.insert(node->hash);
    ++shard.evictions;
    erase(shard, node);
    return;
  }
  Queue& from = queue_of(shard, *node);
  from.bytes -= node->bytes;
  shard.main.bytes += node->bytes;
  shard.main.nodes.splice(shard.main.nodes.end(), from.nodes, node);
  node->uses = from_small ? std::uint8_t{0} : static_cast<std::uint8_t>(node->uses - 1);
  node->in_main = true;
}

void VersionedCache::erase(Shard& shard, Nodes::iterator node) {
  if (compare_versions_) shard.versions.raise(node->hash, node->document.version());
  Queue& queue = queue_of(shard, *node);
  queue.bytes -= node->bytes;
  shard.index.erase(Key{node->hash, node->key});
  queue.nodes.erase(node);
}

}  // namespace db4::invalidation
