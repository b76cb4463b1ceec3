#pragma once
// cold: documents as immutable objects. Includes base, kv, codec, catalog, objects.

#include "catalog/catalog.hpp"
#include "codec/segment.hpp"
#include "cold/single_flight.hpp"
#include "objects/layer_stack.hpp"
#include "objects/metrics_layer.hpp"

#include <db4/clock.hpp>
#include <db4/cold_storage.hpp>
#include <db4/config.hpp>
#include <db4/object_store.hpp>
#include <db4/random.hpp>

#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>

namespace db4 {

/// The cold tier's mechanism. Thread-safe.
///
/// The life of an object: its intent is committed, it is put and read back, and the batch that names it in a
/// row (or registers it as a segment) removes the intent. Freed, it enters the garbage, and is deleted after
/// the grace.
class ColdStorage::State {
 public:
  State(catalog::Catalog& catalog, objects::LayeredStore objects, std::shared_ptr<Clock> clock,
        std::shared_ptr<RandomSource> random, ColdConfig config);

  /// The document whose record lies at `place`; a null block where the object is gone. Concurrent readers of
  /// one place share one fetch. Throws corrupt, unavailable, deadline_exceeded, cancelled.
  [[nodiscard]] detail::BlockRef read(const catalog::ColdPlace& place, std::string_view key, Version version,
                                      const CallOptions& call);

  /// The record of a body, compressed as configured.
  [[nodiscard]] std::string encode(std::string_view key, const catalog::Row& row,
                                   std::string_view body) const;

  /// Stores a record as an object of its own, and reads it back where the store has not proved that it holds
  /// it. The caller names it in a row, or calls abandon().
  [[nodiscard]] catalog::ColdPlace put_document(std::string_view key, Version version,
                                                std::string_view record, const CallOptions& call = {});
  /// The same for a finished segment; the object's name. The caller registers it, or calls abandon().
  [[nodiscard]] std::string put_segment(std::string_view segment, const CallOptions& call = {});
  /// Gives up an object that was put and not named. Never throws: what it cannot do, the intent's deadline
  /// does.
  void abandon(const std::string& object, std::uint64_t bytes) noexcept;
  /// The same where no row can name it: the commit was refused, or never tried.
  void discard(const std::string& object, std::uint64_t bytes) noexcept;

  [[nodiscard]] bool packs(std::size_t record_bytes) const noexcept {
    return record_bytes < config_.pack_below;
  }
  [[nodiscard]] std::uint64_t segment_size() const noexcept { return config_.segment_size; }

  /// Keeps close() waiting while it is held; throws invalid_argument after it. For calls that come past the
  /// store's own gate.
  [[nodiscard]] std::shared_lock<std::shared_mutex> hold_open();
  void close();

  /// `deadline`: of the requests; what is not deleted by then waits for the next collection.
  GarbageResult collect_garbage(const GarbageOptions& options, MonotonicTime deadline = MonotonicTime::max());
  CompactResult compact(const CompactOptions& options);
  [[nodiscard]] ColdStats stats() const;
  [[nodiscard]] ObjectStore& objects() noexcept { return *objects_; }

 private:
  void put_and_verify(const std::string& object, std::string_view bytes, const CallOptions& call);
  [[nodiscard]] detail::BlockRef fetch(const catalog::ColdPlace& place, std::string_view key, Version version,
                                       const CallOptions& call);
  [[nodiscard]] std::string document_object(std::string_view key, Version version) const;
  [[nodiscard]] std::string segment_object() const;
  bool delete_garbage(std::span<const catalog::GarbageEntry> entries, const CallOptions& call,
                      GarbageResult& result);
  void settle_deleted(std::span<const catalog::GarbageEntry* const> entries,
                      std::span<const RemoveFailure> failures, GarbageResult& result);

  catalog::Catalog& catalog_;
  const std::shared_ptr<ObjectStore> objects_;  ///< with its layers
  const std::shared_ptr<objects::ObjectMetrics> metrics_;
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;
  const ColdConfig config_;
  cold::SingleFlight flights_;
  std::mutex compacting_;
  std::shared_mutex closing_;
  bool closed_ = false;
};

}  // namespace db4
