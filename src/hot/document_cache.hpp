#pragma once
// hot: documents in memory over the bodies in the engine. Includes base, kv, codec, catalog.
//
// DocumentCache: a sharded cache of DocumentBlocks, bounded by bytes, with S3-FIFO eviction (Yang, Zhang,
// Qiu, Yue and Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023).

#include "base/document_block.hpp"

#include <functional>
#include <memory>

namespace db4::hot {

struct DocumentCacheStats {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  ///< blocks, index and queues: all that max_bytes bounds
  std::uint64_t evictions = 0;
  std::uint64_t refused_fills = 0;     ///< a change came between reading and filling
  std::uint64_t dropped_accesses = 0;  ///< not reported: over kMaxEvictedPending, or the sink threw
};

/// Evicted blocks whose accesses wait for the next drain, over all shards. They are kept without the bodies,
/// inside max_bytes and in at most an eighth of it.
inline constexpr std::size_t kMaxEvictedPending = 16'384;

/// Thread-safe. A hit takes one short lock of one shard, copies no body and moves nothing in a queue.
///
/// Coherence. The cache answers for the catalogue, so it must never hold a version older than the newest
/// acknowledged one. Whoever changes a document announces it (begin_change) before the commit, applies it
/// (put or erase) when the commit is durable, in commit order, and ends it (end_change), also where the
/// commit failed. Whoever fills takes a ticket *before* reading the engine; the fill is refused where a
/// change of that stripe was announced, or ended, since.
class DocumentCache {
 public:
  struct Options {
    std::uint64_t max_bytes = 64ULL << 20;  ///< 0: holds nothing
    std::size_t shards = 256;               ///< a power of two; fewer where max_bytes is small
  };
  struct Ticket {
    std::uint64_t stripe = 0;
    std::uint64_t value = 0;
  };
  /// The accesses of a block since it was last drained.
  using AccessSink =
      std::function<void(detail::DocumentBlock& block, std::uint32_t hits, std::int64_t last_access_us)>;

  explicit DocumentCache(Options options);
  ~DocumentCache();
  DocumentCache(const DocumentCache&) = delete;
  DocumentCache& operator=(const DocumentCache&) = delete;

  /// A hit counts as a use at `now_us` (for eviction, and as an access that drain_accesses reports).
  [[nodiscard]] detail::BlockRef find(std::uint64_t hash, std::string_view key, std::int64_t now_us) noexcept;
  /// Without counting.
  [[nodiscard]] detail::BlockRef peek(std::uint64_t hash, std::string_view key) const noexcept;

  [[nodiscard]] Ticket begin_fill(std::uint64_t hash) const noexcept;
  /// Inserts a block unless the ticket is outdated, the document is there already (as new, then) or too large
  /// for its shard; whether it did.
  bool fill(const Ticket& ticket, const detail::BlockRef& block);

  void begin_change(std::uint64_t hash) noexcept;
  void end_change(std::uint64_t hash) noexcept;
  /// Inserts or replaces; the accesses of a replaced block are kept. A document too large for its shard
  /// (three quarters of it; a shard has 2 MiB or more) only loses its old version here.
  void put(const detail::BlockRef& block);
  void erase(std::uint64_t hash, std::string_view key) noexcept;
  /// The same for a document that is removed: its accesses go too, or they would count for its successor.
  void forget(std::uint64_t hash, std::string_view key) noexcept;

  /// Reports accesses of blocks that were used since the last drain, also of those evicted meanwhile (up to a
  /// bound of kMaxEvictedPending, then they are dropped and counted). The sink runs without locks held.
  void drain_accesses(const AccessSink& sink);

  [[nodiscard]] DocumentCacheStats stats() const;
  void clear();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace db4::hot
