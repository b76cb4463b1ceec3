#include "hot/cache_shard.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <mutex>
#include <utility>

namespace db4::hot {

namespace {

using detail::BlockRef;
using detail::DocumentBlock;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::uint8_t kMaxUses = 3;
constexpr std::uint8_t kUsesForMain = 2;
/// How many blocks one eviction may pass over: it happens under the lock that hits wait for.
constexpr int kMaxSecondChances = 64;
constexpr std::size_t kSlotsPerDrain = 512;

// The figures of a block change under its shard's lock alone; they are atomic because others may look.

void add_hits(DocumentBlock& block, std::uint32_t hits, std::int64_t last_access_us) noexcept {
  const std::uint32_t before = block.pending_hits.load(kRelaxed);
  const std::uint32_t room = std::numeric_limits<std::uint32_t>::max() - before;
  block.pending_hits.store(before + std::min(hits, room), kRelaxed);
  if (last_access_us > block.last_access_us.load(kRelaxed)) {
    block.last_access_us.store(last_access_us, kRelaxed);
  }
}

/// A new version takes over the document's figures, except where its maker knew them.
void inherit_figures(DocumentBlock& block, DocumentBlock& old) noexcept {
  add_hits(block, old.pending_hits.exchange(0, kRelaxed), old.last_access_us.load(kRelaxed));
  if (block.base_access_count.load(kRelaxed) == 0) {
    block.base_access_count.store(old.base_access_count.load(kRelaxed), kRelaxed);
  }
  if (block.recent.load(kRelaxed) == 0) block.recent.store(old.recent.load(kRelaxed), kRelaxed);
}

/// A block that carries accesses and nothing else worth mentioning.
BlockRef without_body(const DocumentBlock& block) {
  BlockRef out = DocumentBlock::create(block.collection(), block.id(), {}, 0);
  out->hash = block.hash;
  out->version = block.version;
  out->created_at_us = block.created_at_us;
  out->updated_at_us = block.updated_at_us;
  out->base_access_count.store(block.base_access_count.load(kRelaxed), kRelaxed);
  out->recent.store(block.recent.load(kRelaxed), kRelaxed);
  add_hits(*out, block.pending_hits.load(kRelaxed), block.last_access_us.load(kRelaxed));
  return out;
}

}  // namespace

/// Blocks that left the cache. Declared before the lock is taken, so that memory is freed after it is let go;
/// a few at a time only, as room for more would have to be allocated.
class CacheShard::Discarded {
 public:
  Discarded() = default;
  Discarded(const Discarded&) = delete;
  Discarded& operator=(const Discarded&) = delete;
  ~Discarded() { release_all(); }
  void add(DocumentBlock* block) noexcept {
    if (count_ == blocks_.size()) release_all();
    blocks_[count_++] = block;
  }

 private:
  void release_all() noexcept {
    for (std::size_t i = 0; i < count_; ++i) detail::release(blocks_[i]);
    count_ = 0;
  }
  std::array<DocumentBlock*, 16> blocks_;
  std::size_t count_ = 0;
};

CacheShard::~CacheShard() {
  for (const Slot slot : index_) {
    if (slot != 0) detail::release(BlockIndex::block(slot));
  }
}

BlockRef CacheShard::find(std::uint64_t hash, std::string_view key, std::int64_t now_us) noexcept {
  const std::lock_guard guard(lock_);
  Slot* slot = index_.find(hash, key);
  if (slot == nullptr) return {};
  if ((*slot & BlockIndex::kUsed) == 0) *slot |= BlockIndex::kUsed;
  DocumentBlock* block = BlockIndex::block(*slot);
  block->references.fetch_add(1, kRelaxed);
  add_hits(*block, 1, now_us);
  const std::uint8_t uses = block->use_count.load(kRelaxed);
  if (uses < kMaxUses) block->use_count.store(static_cast<std::uint8_t>(uses + 1), kRelaxed);
  return BlockRef::adopt(block);
}

BlockRef CacheShard::peek(std::uint64_t hash, std::string_view key) const noexcept {
  const std::lock_guard guard(lock_);
  const Slot* slot = index_.find(hash, key);
  return slot == nullptr ? BlockRef() : BlockRef::share(BlockIndex::block(*slot));
}

CacheShard::Fill CacheShard::fill(const ChangeCounter& changes, std::uint64_t ticket,
                                  const BlockRef& block) noexcept {
  Discarded discarded;
  const std::lock_guard guard(lock_);
  // Whoever begins a change after this check applies it under this lock, hence after the insertion.
  if (!changes.quiet_since(ticket)) return Fill::refused;
  // What is there is as new: no change has come in since the block was read.
  if (index_.find(block->hash, block->key()) != nullptr) return Fill::not_inserted;
  if (!insert(block.get())) return Fill::not_inserted;
  make_room(discarded);
  return Fill::inserted;
}

void CacheShard::put(const BlockRef& block) noexcept {
  Discarded discarded;
  const std::lock_guard guard(lock_);
  if (Slot* slot = index_.find(block->hash, block->key()); slot == nullptr) {
    insert(block.get());  // where it cannot, the document is not cached, and that is no failure
  } else if (!cacheable(*block)) {
    remove(slot, discarded);  // the old version must go in any case
  } else if (BlockIndex::block(*slot) != block.get()) {
    replace(slot, block.get(), discarded);
  }
  make_room(discarded);
}

void CacheShard::erase(std::uint64_t hash, std::string_view key) noexcept {
  Discarded discarded;
  const std::lock_guard guard(lock_);
  if (Slot* slot = index_.find(hash, key)) remove(slot, discarded);
}

void CacheShard::forget(std::uint64_t hash, std::string_view key) noexcept {
  Discarded discarded;
  const std::lock_guard guard(lock_);
  if (Slot* slot = index_.find(hash, key)) {
    *slot &= ~BlockIndex::kUsed;
    remove(slot, discarded);
  }
  // There are few: kMaxEvictedPending over all shards.
  for (const BlockRef& block : evicted_) {
    if (block->hash == hash && block->key() == key) block->pending_hits.store(0, kRelaxed);
  }
}

void CacheShard::clear() noexcept {
  BlockIndex gone;
  {
    const std::lock_guard guard(lock_);
    for (const Slot slot : index_) {
      if ((slot & BlockIndex::kUsed) != 0) keep_accesses(*BlockIndex::block(slot));
    }
    gone = std::exchange(index_, BlockIndex());
    small_ = Part();
    main_ = Part();
    ghosts_ = GhostTable();
  }
  for (const Slot slot : gone) {
    if (slot != 0) detail::release(BlockIndex::block(slot));
  }
}

void CacheShard::take_evicted(std::vector<DrainedAccesses>& out) {
  out.reserve(out.size() + limits_.evicted_pending);
  std::vector<BlockRef> taken;
  {
    const std::lock_guard guard(lock_);
    evicted_bytes_ = 0;
    taken = std::exchange(evicted_, {});
  }
  for (BlockRef& block : taken) {
    const std::uint32_t hits = block->pending_hits.exchange(0, kRelaxed);
    const std::int64_t last_access_us = block->last_access_us.load(kRelaxed);
    out.push_back({std::move(block), hits, last_access_us});
  }
}

bool CacheShard::drain(std::size_t& cursor, std::vector<DrainedAccesses>& out) noexcept {
  const std::lock_guard guard(lock_);
  // A removal between two calls may shift a slot from behind the cursor to before it: its accesses stay
  // marked and come with the next drain.
  const std::size_t end = std::min(index_.capacity(), cursor + kSlotsPerDrain);
  for (; cursor < end && out.size() < out.capacity(); ++cursor) {
    Slot& slot = index_.begin()[cursor];
    if ((slot & BlockIndex::kUsed) == 0) continue;
    slot &= ~BlockIndex::kUsed;
    DocumentBlock* block = BlockIndex::block(slot);
    out.push_back({BlockRef::share(block), block->pending_hits.exchange(0, kRelaxed),
                   block->last_access_us.load(kRelaxed)});
  }
  return cursor < index_.capacity();
}

void CacheShard::add_to(DocumentCacheStats& stats) const noexcept {
  const std::lock_guard guard(lock_);
  stats.entries += index_.size();
  stats.bytes += bytes() + sizeof *this;
  stats.evictions += evictions_;
  stats.dropped_accesses += dropped_accesses_;
}

/// A quarter of the shard is left to the index and to others; one document must not sweep out all.
bool CacheShard::cacheable(const DocumentBlock& block) const noexcept {
  return block.memory_bytes() <= limits_.bytes - limits_.bytes / 4 && BlockIndex::fits(&block);
}

std::uint64_t CacheShard::bytes() const noexcept {
  return small_.bytes + main_.bytes + evicted_bytes_ + index_.memory_bytes() + small_.queue.memory_bytes() +
         main_.queue.memory_bytes() + ghosts_.memory_bytes() + evicted_.capacity() * sizeof(BlockRef);
}

bool CacheShard::insert(DocumentBlock* block) noexcept {
  if (!cacheable(*block) || !index_.reserve_one(block->hash)) return false;
  if (ghosts_.capacity() != index_.capacity() / 2) ghosts_.resize(index_.capacity() / 2);
  const std::uint32_t print = BlockIndex::fingerprint(block->hash);
  Slot flags = ghosts_.take(print) ? BlockIndex::kMain : 0;
  Part& part = part_of(flags);
  if (!enqueue(part, print)) return false;
  block->references.fetch_add(1, kRelaxed);
  block->use_count.store(0, kRelaxed);
  if (block->pending_hits.load(kRelaxed) != 0) flags |= BlockIndex::kUsed;
  index_.insert(block, flags);
  ++part.count;
  part.bytes += block->memory_bytes();
  return true;
}

void CacheShard::replace(Slot* slot, DocumentBlock* block, Discarded& discarded) noexcept {
  DocumentBlock* old = BlockIndex::block(*slot);
  inherit_figures(*block, *old);
  if (block->pending_hits.load(kRelaxed) != 0) *slot |= BlockIndex::kUsed;
  block->use_count.store(old->use_count.load(kRelaxed), kRelaxed);
  Part& part = part_of(*slot);
  part.bytes += block->memory_bytes();
  part.bytes -= old->memory_bytes();
  block->references.fetch_add(1, kRelaxed);
  index_.replace(slot, block);
  discarded.add(old);
}

void CacheShard::remove(Slot* slot, Discarded& discarded) noexcept {
  DocumentBlock* block = BlockIndex::block(*slot);
  if ((*slot & BlockIndex::kUsed) != 0) keep_accesses(*block);
  Part& part = part_of(*slot);
  --part.count;
  part.bytes -= block->memory_bytes();
  index_.erase(slot);
  discarded.add(block);
}

void CacheShard::keep_accesses(const DocumentBlock& block) noexcept {
  const std::uint64_t cost = block.memory_bytes() - block.body_size - block.content_type_size;
  // At most an eighth of the bytes, or a small cache would be full of what it no longer holds.
  if (evicted_.size() < limits_.evicted_pending && evicted_bytes_ + cost <= limits_.bytes / 8) {
    try {
      evicted_.push_back(without_body(block));
      evicted_bytes_ += cost;
      return;
    } catch (const std::bad_alloc&) {  // counted below
    }
  }
  dropped_accesses_ += block.pending_hits.load(kRelaxed);
}

void CacheShard::make_room(Discarded& discarded) noexcept {
  while (index_.size() != 0 && bytes() > limits_.bytes) evict_one(discarded);
}

/// The index must not be empty.
void CacheShard::evict_one(Discarded& discarded) noexcept {
  for (int chances = kMaxSecondChances;;) {
    const bool from_small = small_.bytes > limits_.bytes / 10 || main_.count == 0;
    Part& part = from_small ? small_ : main_;
    const std::uint32_t print = part.queue.pop();
    Slot* slot = index_.find_queued(print, from_small ? 0 : BlockIndex::kMain);
    if (slot == nullptr) continue;  // it was erased meanwhile
    DocumentBlock* block = BlockIndex::block(*slot);
    const std::uint8_t uses = block->use_count.load(kRelaxed);
    if (chances-- > 0) {
      if (from_small && uses >= kUsesForMain && move_to_main(slot)) continue;
      if (!from_small && uses > 0 && enqueue(main_, print)) {
        block->use_count.store(static_cast<std::uint8_t>(uses - 1), kRelaxed);
        continue;
      }
    }
    if (from_small) ghosts_.add(print);
    remove(slot, discarded);
    ++evictions_;
    return;
  }
}

bool CacheShard::move_to_main(Slot* slot) noexcept {
  DocumentBlock* block = BlockIndex::block(*slot);
  if (!enqueue(main_, BlockIndex::fingerprint(block->hash))) return false;
  block->use_count.store(0, kRelaxed);
  *slot |= BlockIndex::kMain;
  const std::size_t size = block->memory_bytes();
  --small_.count;
  small_.bytes -= size;
  ++main_.count;
  main_.bytes += size;
  return true;
}

bool CacheShard::enqueue(Part& part, std::uint32_t print) noexcept {
  if (part.queue.full() && part.queue.size() > part.count + part.queue.size() / 4) drop_stale(part);
  if (part.queue.full() && !part.queue.grow()) return false;
  part.queue.push(print);
  return true;
}

/// Marks keep a block that came back from being queued twice. Cost: once through queue and index, paid for by
/// the quarter of the queue that goes.
void CacheShard::drop_stale(Part& part) noexcept {
  const Slot flags = &part == &main_ ? BlockIndex::kMain : 0;
  for (std::size_t left = part.queue.size(); left > 0; --left) {
    const std::uint32_t print = part.queue.pop();
    if (Slot* slot = index_.find_queued(print, flags)) {
      *slot |= BlockIndex::kMarked;
      part.queue.push(print);
    }
  }
  for (Slot& slot : index_) slot &= ~BlockIndex::kMarked;
}

}  // namespace db4::hot
