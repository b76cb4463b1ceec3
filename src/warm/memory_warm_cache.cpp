#include "base/hash.hpp"
#include "warm/s3_fifo.hpp"
#include "warm/warm_caches.hpp"
#include "warm/warm_entry.hpp"

#include <atomic>
#include <list>
#include <mutex>
#include <unordered_map>

namespace db4::warm {
namespace {

/// Memory of an entry besides key and record: list node, index node and bucket, the shared string's header,
/// malloc's headers.
constexpr std::uint64_t kEntryOverheadBytes = 320;
constexpr std::uint64_t kMinShardBytes = 4ULL << 20;
constexpr std::uint64_t kMaxShards = 16;

/// Each shard has queues, index and ghosts of its own behind one short lock. The bytes are counted over all
/// shards together, so that the bound is one and an entry may be larger than a shard's share: a put makes
/// room in its own shard first, then in the others.
class MemoryWarmCache final : public WarmCache {
 public:
  explicit MemoryWarmCache(std::uint64_t max_bytes)
      : max_bytes_(max_bytes),
        shard_count_(std::bit_floor(std::clamp<std::uint64_t>(max_bytes / kMinShardBytes, 1, kMaxShards))) {
    for (std::uint64_t i = 0; i < shard_count_; ++i) {
      shards_.push_back(std::make_unique<Shard>(ghost_capacity(max_bytes) / shard_count_));
      bytes_ += shards_.back()->ghosts.memory_bytes();
    }
  }

  std::optional<WarmEntry> get(std::string_view key) override {
    require_key(key);
    const std::uint64_t hash = hash_key(key);
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(Key{hash, key});
    if (found == shard.index.end()) return std::nullopt;
    Node& node = *found->second;
    if (node.uses < kMaxUses) ++node.uses;
    return node.entry;
  }

  void put(std::string_view key, const WarmEntry& entry) override {
    require_key(key);
    require_record(entry);
    const std::uint64_t hash = hash_key(key);
    Shard& shard = shard_of(hash);
    const std::uint64_t cost = key.size() + entry.record->size() + kEntryOverheadBytes;
    const bool admitted = cost <= max_entry_bytes(max_bytes_);
    Reservation room(bytes_, admitted ? cost : 0);
    make_room(hash);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(Key{hash, key});
    const bool held = found != shard.index.end();
    if (held && found->second->entry.version > entry.version) return;
    if (!admitted) {
      if (held) erase(shard, found->second);  // what is refused still ends the version before it
      return;
    }
    if (held) {
      replace(shard, *found->second, entry, cost);
    } else {
      insert(shard, hash, key, entry, cost);
    }
    room.keep();
  }

  void remove(std::string_view key) override {
    require_key(key);
    const std::uint64_t hash = hash_key(key);
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(Key{hash, key});
    if (found != shard.index.end()) erase(shard, found->second);
  }

  void clear() override {
    for (const auto& shard : shards_) {
      const std::lock_guard lock(shard->mutex);
      bytes_ -= shard->small.bytes + shard->main.bytes;
      shard->index.clear();
      shard->small = {};
      shard->main = {};
      shard->ghosts.clear();
    }
  }

  WarmCacheStats stats() const override {
    WarmCacheStats stats;
    for (const auto& shard : shards_) {
      const std::lock_guard lock(shard->mutex);
      stats.entries += shard->index.size();
      stats.evictions += shard->evictions;
    }
    stats.bytes = bytes_;
    return stats;
  }

  bool contains(std::string_view key, Version version, TimePoint now) override {
    require_key(key);
    const std::uint64_t hash = hash_key(key);
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(Key{hash, key});
    if (found == shard.index.end()) return false;
    const WarmEntry& entry = found->second->entry;
    return entry.version == version && now < entry.stale_until;
  }

 private:
  struct Node {
    std::string key;
    WarmEntry entry;
    std::uint64_t hash = 0;
    std::uint64_t bytes = 0;
    std::uint8_t uses = 0;
    bool in_main = false;
  };
  using Nodes = std::list<Node>;
  struct Queue {
    Nodes nodes;
    std::uint64_t bytes = 0;
  };
  struct Key {
    std::uint64_t hash;
    std::string_view text;  ///< of the node
    friend bool operator==(const Key& a, const Key& b) noexcept { return a.text == b.text; }
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept { return key.hash; }
  };
  struct Shard {
    explicit Shard(std::size_t ghost_slots) : ghosts(ghost_slots) {}
    mutable std::mutex mutex;
    std::unordered_map<Key, Nodes::iterator, KeyHash> index;
    Queue small;
    Queue main;
    GhostTable ghosts;
    std::uint64_t evictions = 0;
  };

  /// Bytes counted before their entry is in, so that two puts at once stay within the bound.
  class Reservation {
   public:
    Reservation(std::atomic<std::uint64_t>& total, std::uint64_t bytes) : total_(total), bytes_(bytes) {
      total_ += bytes_;
    }
    ~Reservation() { total_ -= bytes_; }
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;
    void keep() noexcept { bytes_ = 0; }

   private:
    std::atomic<std::uint64_t>& total_;
    std::uint64_t bytes_;
  };

  static Queue& queue_of(Shard& shard, const Node& node) noexcept {
    return node.in_main ? shard.main : shard.small;
  }
  // The ghost table takes the low bits and the upper half; these are in between.
  std::uint64_t shard_index(std::uint64_t hash) const noexcept { return (hash >> 26) & (shard_count_ - 1); }
  Shard& shard_of(std::uint64_t hash) const noexcept { return *shards_[shard_index(hash)]; }

  void make_room(std::uint64_t hash) {
    for (std::uint64_t i = 0; i < shard_count_ && bytes_ > max_bytes_; ++i) {
      Shard& shard = *shards_[(shard_index(hash) + i) & (shard_count_ - 1)];
      const std::lock_guard lock(shard.mutex);
      while (bytes_ > max_bytes_ && !shard.index.empty()) evict_or_move(shard);
    }
  }

  /// One step at the front of a queue. Ends: a node stays at most once in small and kMaxUses times in main.
  void evict_or_move(Shard& shard) {
    const bool from_small = evict_from_small(shard.small.bytes, shard.main.bytes);
    const auto node = (from_small ? shard.small : shard.main).nodes.begin();
    const bool stays = node->uses >= (from_small ? kUsesToStay : 1);
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

  void insert(Shard& shard, std::uint64_t hash, std::string_view key, const WarmEntry& entry,
              std::uint64_t cost) {
    const bool in_main = shard.ghosts.take(hash, shard.main.nodes.size());
    Queue& queue = in_main ? shard.main : shard.small;
    Nodes fresh;  // whatever throws for want of memory comes before the first change
    fresh.push_back({std::string(key), entry, hash, cost, 0, in_main});
    shard.index.emplace(Key{hash, fresh.front().key}, fresh.begin());
    queue.nodes.splice(queue.nodes.end(), fresh);
    queue.bytes += cost;
  }

  /// Keeps the place and the uses.
  void replace(Shard& shard, Node& node, const WarmEntry& entry, std::uint64_t cost) {
    Queue& queue = queue_of(shard, node);
    queue.bytes = queue.bytes - node.bytes + cost;
    bytes_ -= node.bytes;
    node.bytes = cost;
    node.entry = entry;
  }

  void erase(Shard& shard, Nodes::iterator node) {
    Queue& queue = queue_of(shard, *node);
    queue.bytes -= node->bytes;
    bytes_ -= node->bytes;
    shard.index.erase(Key{node->hash, node->key});
    queue.nodes.erase(node);
  }

  const std::uint64_t max_bytes_;
  const std::uint64_t shard_count_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<std::uint64_t> bytes_ = 0;  ///< entries, reservations and ghost tables
};

}  // namespace

std::shared_ptr<WarmCache> make_memory_warm_cache(std::uint64_t max_bytes) {
  return std::make_shared<MemoryWarmCache>(max_bytes);
}

}  // namespace db4::warm
