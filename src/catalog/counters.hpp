#pragma once
// Counters of the catalogue: how much lives where, in all and by collection. Each is spread over
// kCounterShards keys, so that many nodes on a shared engine do not queue for one.

#include "catalog/keys.hpp"
#include "kv/engine.hpp"

#include <db4/types.hpp>

#include <string>
#include <vector>

namespace db4::catalog {

/// On disk: never renumber.
enum class Metric : std::uint8_t {
  hot_documents = 0,
  hot_bytes = 1,
  cold_documents = 2,
  cold_bytes = 3,  ///< of bodies
  cold_record_bytes =
      4,  ///< of records that rows name, also of documents that are hot and keep their cold copy
  objects = 5,
  object_bytes = 6,
  tombstones = 7,
};
inline constexpr std::size_t kMetrics = 8;
inline constexpr std::uint64_t kCounterShards = 4;

struct Totals {
  std::int64_t values[kMetrics] = {};
  [[nodiscard]] std::uint64_t operator[](Metric metric) const noexcept {
    const std::int64_t value = values[static_cast<std::size_t>(metric)];
    return value > 0 ? static_cast<std::uint64_t>(value) : 0;
  }
};

struct CollectionTotals {
  std::string collection;
  Totals totals;
};

std::string total_key(Metric metric, std::uint64_t hash);
std::string collection_key(std::string_view collection, Metric metric, std::uint64_t hash);
/// Live bytes of a segment; one key, since it is compared.
std::string segment_key(std::string_view object);

/// Copies of documents that a data key has sealed.
std::string sealed_key(std::uint64_t key, std::uint64_t hash);
/// The key's alone; 0 where there is none.
std::uint64_t count_sealed(const kv::Engine& engine, std::uint64_t key);
struct SealedCopies {
  std::uint64_t key = 0;
  std::uint64_t copies = 0;
};
/// Of all keys that anything was ever sealed with.
std::vector<SealedCopies> read_sealed(const kv::Engine& engine);

Totals read_totals(const kv::Engine& engine);
/// Collections that have documents, in order of their names.
std::vector<CollectionTotals> read_collection_totals(const kv::Engine& engine);

}  // namespace db4::catalog
