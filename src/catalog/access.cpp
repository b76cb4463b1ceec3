#include "catalog/access.hpp"

#include "base/encoding.hpp"
#include "catalog/catalog.hpp"
#include "catalog/keys.hpp"
#include "catalog/spaces.hpp"

#include <algorithm>
#include <iterator>

namespace db4::catalog {
namespace {

constexpr std::uint8_t kAccessFormat = 1;
constexpr std::size_t kAccessBatch = 1000;
/// Of several that add to one figure at a time one gets through in each round.
constexpr int kAccessRounds = 8;

}  // namespace

std::string encode_access(const AccessFigures& figures) {
  std::string out;
  out.push_back(static_cast<char>(kAccessFormat));
  put_varint(out, figures.count);
  put_fixed(out, static_cast<std::int64_t>(figures.last_access.time_since_epoch().count()));
  put_fixed(out, figures.buckets.index);
  put_varint(out, figures.buckets.current);
  put_varint(out, figures.buckets.previous);
  return out;
}

AccessFigures decode_access(std::string_view value) noexcept {
  Reader in(value);
  if (in.fixed<std::uint8_t>() != kAccessFormat) return {};
  AccessFigures figures;
  figures.count = in.varint();
  figures.last_access = TimePoint{std::chrono::microseconds{in.fixed<std::int64_t>()}};
  figures.buckets.index = in.fixed<std::int64_t>();
  figures.buckets.current = static_cast<std::uint32_t>(in.varint());
  figures.buckets.previous = static_cast<std::uint32_t>(in.varint());
  return in.done() ? figures : AccessFigures{};
}

AccessFigures merge_figures(const AccessFigures& a, const AccessFigures& b) noexcept {
  return {.count = a.count + b.count,
          .last_access = std::max(a.last_access, b.last_access),
          .buckets = merge_buckets(a.buckets, b.buckets)};
}

std::optional<AccessFigures> Catalog::find_access(std::string_view key) const {
  const auto value = engine_->get(kAccess, key);
  if (!value) return std::nullopt;
  return decode_access(*value);
}

std::vector<KeyAccess> Catalog::merge_access(std::span<const KeyAccess> figures) {
  // One at a time: what is read here is what is added to.
  const std::scoped_lock lock(access_mutex_);
  std::vector<KeyAccess> left;
  for (std::size_t from = 0; from < figures.size(); from += kAccessBatch) {
    const auto page = figures.subspan(from, std::min(kAccessBatch, figures.size() - from));
    // Other nodes add to figures at any moment: then each must be able to fail alone.
    if (!shared_ && add_access_together(page)) continue;
    std::ranges::move(add_access_each(page), std::back_inserter(left));
  }
  return left;
}

bool Catalog::add_access_together(std::span<const KeyAccess> figures) {
  kv::Batch batch;
  for (const KeyAccess& access : figures) stage_access(batch, access);
  if (batch.empty()) return true;
  return queue_.commit(batch, std::min(options_.durability, Durability::process)).committed();
}

std::vector<KeyAccess> Catalog::add_access_each(std::span<const KeyAccess> figures) {
  std::vector<KeyAccess> left(figures.begin(), figures.end());
  for (int round = 0; round < kAccessRounds && !left.empty(); ++round) {
    std::vector<kv::Batch> batches;
    std::vector<KeyAccess> tried;
    for (KeyAccess& access : left) {
      kv::Batch batch;
      stage_access(batch, access);
      if (batch.empty()) continue;
      batches.push_back(std::move(batch));
      tried.push_back(std::move(access));
    }
    left.clear();
    if (batches.empty()) break;
    const auto outcomes = queue_.commit_all(batches, std::min(options_.durability, Durability::process));
    for (std::size_t i = 0; i < tried.size(); ++i) {
      if (!outcomes[i].committed()) left.push_back(std::move(tried[i]));
    }
  }
  return left;
}

void Catalog::stage_access(kv::Batch& batch, const KeyAccess& access) const {
  std::string key = document_key(access.collection, access.id);
  // A figure of a document that is gone would greet its successor.
  const auto row = find(key);
  if (!row || !row->live()) return;
  batch.require_prefix(kRows, key, revision_prefix(row->revision));
  const auto stored = engine_->get(kAccess, key);
  if (shared_ && stored) batch.require_equals(kAccess, key, *stored);
  if (shared_ && !stored) batch.require_absent(kAccess, key);
  const AccessFigures before = stored ? decode_access(*stored) : AccessFigures{};
  batch.put(kAccess, std::move(key), encode_access(merge_figures(before, access.figures)));
}

}  // namespace db4::catalog
