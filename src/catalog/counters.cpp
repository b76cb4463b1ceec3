#include "catalog/counters.hpp"

#include "catalog/spaces.hpp"

#include <algorithm>
#include <map>

namespace db4::catalog {
namespace {

constexpr char kTotal = 'T';
constexpr char kCollection = 'C';
constexpr char kSegment = 'S';
constexpr char kSealed = 'K';
constexpr std::size_t kSealedKeyBytes = 1 + sizeof(std::uint64_t) + 1;

std::string sealed_prefix(std::uint64_t key) {
  std::string out(1, kSealed);
  put_fixed(out, key);
  return out;
}

void put_metric(std::string& key, Metric metric, std::uint64_t hash) {
  key.push_back(static_cast<char>(metric));
  key.push_back(static_cast<char>(hash % kCounterShards));
}

/// Calls visit(key, value) for every counter whose key starts with `prefix`.
template <typename Visit>
void for_each_counter(const kv::Engine& engine, std::string prefix, const Visit& visit) {
  const std::string end = prefix_end(prefix);
  std::string begin = std::move(prefix);
  while (true) {
    const auto page = engine.scan({.space = kCounters, .begin = begin, .end = end, .limit = 4096});
    for (const kv::Entry& entry : page) {
      visit(std::string_view(entry.key),
            entry.value.size() == sizeof(std::int64_t) ? load_fixed<std::int64_t>(entry.value.data()) : 0);
    }
    if (page.empty()) return;
    begin = page.back().key + '\0';
  }
}

void add_to(Totals& totals, char metric, std::int64_t value) {
  const auto index = static_cast<std::size_t>(static_cast<unsigned char>(metric));
  if (index < kMetrics) totals.values[index] += value;
}

}  // namespace

std::string total_key(Metric metric, std::uint64_t hash) {
  std::string key(1, kTotal);
  put_metric(key, metric, hash);
  return key;
}

std::string collection_key(std::string_view collection, Metric metric, std::uint64_t hash) {
  std::string key(1, kCollection);
  // A NUL ends the name, which has none: so the keys' order is the names' order.
  key.append(collection);
  key.push_back('\0');
  put_metric(key, metric, hash);
  return key;
}

std::string segment_key(std::string_view object) {
  std::string key(1, kSegment);
  key.append(object);
  return key;
}

std::string sealed_key(std::uint64_t key, std::uint64_t hash) {
  std::string out = sealed_prefix(key);
  out.push_back(static_cast<char>(hash % kCounterShards));
  return out;
}

std::uint64_t count_sealed(const kv::Engine& engine, std::uint64_t key) {
  std::int64_t sum = 0;
  for_each_counter(engine, sealed_prefix(key), [&](std::string_view, std::int64_t value) { sum += value; });
  return sum > 0 ? static_cast<std::uint64_t>(sum) : 0;
}

std::vector<SealedCopies> read_sealed(const kv::Engine& engine) {
  std::map<std::uint64_t, std::int64_t> sums;
  for_each_counter(engine, std::string(1, kSealed), [&](std::string_view key, std::int64_t value) {
    if (key.size() == kSealedKeyBytes) sums[load_fixed<std::uint64_t>(key.data() + 1)] += value;
  });
  std::vector<SealedCopies> out;
  out.reserve(sums.size());
  for (const auto& [key, sum] : sums) {
    out.push_back({.key = key, .copies = sum > 0 ? static_cast<std::uint64_t>(sum) : 0});
  }
  return out;
}

Totals read_totals(const kv::Engine& engine) {
  Totals totals;
  for_each_counter(engine, std::string(1, kTotal), [&](std::string_view key, std::int64_t value) {
    if (key.size() == 3) add_to(totals, key[1], value);
  });
  return totals;
}

std::vector<CollectionTotals> read_collection_totals(const kv::Engine& engine) {
  std::vector<CollectionTotals> out;
  for_each_counter(engine, std::string(1, kCollection), [&](std::string_view key, std::int64_t value) {
    if (key.size() < 5) return;
    const std::string_view name = key.substr(1, key.size() - 4);
    if (out.empty() || out.back().collection != name)
      out.push_back({.collection = std::string(name), .totals = {}});
    add_to(out.back().totals, key[key.size() - 2], value);
  });
  std::erase_if(out, [](const CollectionTotals& entry) {
    return entry.totals[Metric::hot_documents] + entry.totals[Metric::cold_documents] == 0;
  });
  return out;
}

}  // namespace db4::catalog
