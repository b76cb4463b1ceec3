// Objects that nothing names, found by listing: for what the catalogue does not know of, and so cannot
// collect.
#include "base/hash.hpp"
#include "cold/cold_state.hpp"
#include "cold/key_ring_copies.hpp"
#include "cold/object_names.hpp"

#include <algorithm>

// Safe are the order and what is not believed:
//
// * Objects are listed first; then what names objects is read: what announces them, the rows, and once more
//   what announces them and what waits to be deleted. A name is never used twice and moves only forward, from
//   its announcement to a row or a segment and on to the garbage, so whatever named an object when it was
//   listed, or names it at the end, is met on the way.
// * A name is compared by a hash: two that hash the same keep an object, never lose one.
// * Only names of the very form that this store gives are its own. Age counts by the larger of two clocks'
//   doubts: min_age is at least a day.

namespace db4 {
namespace {

constexpr std::size_t kListPage = 1000;
constexpr std::size_t kRowsAtOnce = 1000;
constexpr std::size_t kSessionsAtOnce = 100;
constexpr std::size_t kDeletedAtOnce = 500;

/// "ab/abcd...(64).version(16).random(16)[.readable]", "ab/segment.ab...(32)" or a dictionary's name, as
/// object_names.cpp has them.
bool is_own_form(std::string_view rest) {
  using cold::is_hex;
  if (cold::parse_dictionary_name(rest)) return true;
  if (rest.size() < 4 || rest[2] != '/') return false;
  const std::string_view folder = rest.substr(0, 2);
  std::string_view name = rest.substr(3);
  constexpr std::string_view kSegment = "segment.";
  if (name.starts_with(kSegment)) {
    name.remove_prefix(kSegment.size());
    return name.starts_with(folder) && is_hex(name, 32);
  }
  constexpr std::size_t kKey = 64;
  constexpr std::size_t kNumber = 16;
  constexpr std::size_t kWhole = kKey + 1 + kNumber + 1 + kNumber;
  if (name.size() < kWhole || (name.size() > kWhole && name[kWhole] != '.')) return false;
  return name.starts_with(folder) && is_hex(name.substr(0, kKey), kKey) && name[kKey] == '.' &&
         is_hex(name.substr(kKey + 1, kNumber), kNumber) && name[kKey + 1 + kNumber] == '.' &&
         is_hex(name.substr(kKey + 2 + kNumber, kNumber), kNumber);
}

/// Names, as hashes.
class NameSet {
 public:
  void add(std::string_view name) { hashes_.push_back(hash_key(name)); }
  void sort() { std::ranges::sort(hashes_); }
  [[nodiscard]] bool has(std::string_view name) const {
    return std::ranges::binary_search(hashes_, hash_key(name));
  }

 private:
  std::vector<std::uint64_t> hashes_;
};

void check(const ListingGarbageOptions& options) {
  if (options.min_age < 24h) {
    throw Error(ErrorCode::invalid_argument, "min_age is less than a day",
                "raise it: an object may be older than its document, and clocks differ");
  }
  if (!(options.max_share >= 0 && options.max_share <= 1)) {
    throw Error(ErrorCode::invalid_argument, "max_share is not from 0 to 1", "name a share such as 0.05");
  }
}

void check_stop(const std::stop_token& stop) {
  if (!stop.stop_requested()) return;
  throw Error(ErrorCode::cancelled, "the search for unnamed objects was stopped", "run it again");
}

}  // namespace

ListingGarbageResult ColdStorage::collect_by_listing(const ListingGarbageOptions& options) {
  const auto open = state_->hold_open();
  return state_->collect_by_listing(options);
}

std::vector<ObjectInfo> ColdStorage::State::list_own_objects(const ListingGarbageOptions& options,
                                                             ListingGarbageResult& result) {
  const std::string prefix = store_folder();
  std::vector<ObjectInfo> found;
  for (std::string after;;) {
    check_stop(options.stop);
    ObjectPage page = objects_->list(prefix, after, kListPage, {.stop = options.stop});
    if (page.objects.empty()) return found;
    after = page.objects.back().name;
    for (ObjectInfo& info : page.objects) {
      const std::string_view rest = std::string_view(info.name).substr(prefix.size());
      if (cold::is_key_ring_name(rest)) continue;  // kept and deleted by whoever keeps the key ring
      if (!is_own_form(rest)) {
        ++result.foreign;
        continue;
      }
      ++result.objects;
      result.bytes += info.size;
      found.push_back(std::move(info));
    }
    if (!page.more) return found;
  }
}

void ColdStorage::State::keep_unnamed(std::vector<ObjectInfo>& objects, const std::stop_token& stop) {
  const auto drop_named = [&](NameSet& named) {
    named.sort();
    std::erase_if(objects, [&](const ObjectInfo& info) { return named.has(info.name); });
  };
  const auto drop_announced = [&] {
    NameSet named;
    for (const std::string& name : catalog_.referenced_objects()) named.add(name);
    for (std::string after;;) {
      const std::vector<UploadSession> page = sessions_->list(after, kSessionsAtOnce);
      for (const UploadSession& session : page) named.add(session.object);
      if (page.size() < kSessionsAtOnce) break;
      after = page.back().upload_id;
    }
    drop_named(named);
  };
  drop_announced();
  NameSet in_rows;
  for (std::string begin;;) {
    check_stop(stop);
    const auto page = catalog_.scan_rows(begin, {}, kRowsAtOnce);
    for (const catalog::ScannedRow& scanned : page) {
      if (scanned.row.cold) in_rows.add(scanned.row.cold->object);
    }
    if (page.size() < kRowsAtOnce) break;
    begin = page.back().key + '\0';
  }
  drop_named(in_rows);
  drop_announced();
}

ListingGarbageResult ColdStorage::State::collect_by_listing(const ListingGarbageOptions& options) {
  check(options);
  ListingGarbageResult result;
  std::vector<ObjectInfo> objects = list_own_objects(options, result);
  keep_unnamed(objects, options.stop);
  const TimePoint oldest = clock_->now() - options.min_age;
  std::erase_if(objects, [&](const ObjectInfo& info) {
    const bool young = info.modified > oldest;
    if (young) ++result.young;
    return young;
  });
  for (const ObjectInfo& info : objects) {
    ++result.unnamed_objects;
    result.unnamed_bytes += info.size;
    if (result.unnamed.size() < kMaxUnnamedListed) result.unnamed.push_back(info);
  }
  const auto too_much = [&](std::uint64_t part, std::uint64_t whole) {
    return static_cast<double>(part) > options.max_share * static_cast<double>(whole);
  };
  if (!options.remove) return result;
  result.refused =
      too_much(result.unnamed_objects, result.objects) || too_much(result.unnamed_bytes, result.bytes);
  if (!result.refused) delete_unnamed(objects, options.stop, result);
  return result;
}

void ColdStorage::State::delete_unnamed(std::span<const ObjectInfo> objects, const std::stop_token& stop,
                                        ListingGarbageResult& result) {
  while (!objects.empty()) {
    check_stop(stop);
    const auto some = objects.first(std::min(kDeletedAtOnce, objects.size()));
    objects = objects.subspan(some.size());
    std::vector<std::string> names;
    for (const ObjectInfo& info : some) names.push_back(info.name);
    const std::vector<RemoveFailure> failures = objects_->remove_many(names, {.stop = stop});
    if (!failures.empty() && result.failed_objects == 0) result.first_error = failures.front().message;
    result.failed_objects += failures.size();
    for (const ObjectInfo& info : some) {
      if (std::ranges::find(failures, info.name, &RemoveFailure::name) != failures.end()) continue;
      ++result.deleted_objects;
      result.deleted_bytes += info.size;
    }
  }
}

}  // namespace db4
