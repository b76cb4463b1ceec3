// Documents that are asked for together, and lie together, in one request.
#include "codec/compress.hpp"
#include "cold/cold_state.hpp"
#include "cold/ranges.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <system_error>
#include <thread>

namespace db4 {
namespace {

/// One request: a part of an object, and whose records are in it.
struct Group {
  const std::string* object = nullptr;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::vector<std::size_t> members;
};

std::vector<Group> group(std::span<const ColdStorage::State::Wanted> wanted) {
  std::map<std::string_view, std::vector<std::size_t>> by_object;
  for (std::size_t i = 0; i < wanted.size(); ++i) by_object[wanted[i].place.object].push_back(i);
  std::vector<Group> groups;
  for (const auto& [object, members] : by_object) {
    std::vector<cold::ObjectRange> ranges;
    for (const std::size_t i : members) ranges.push_back({wanted[i].place.offset, wanted[i].place.length});
    for (const cold::MergedRange& merged : cold::merge_ranges(ranges)) {
      Group& out = groups.emplace_back();
      out.object = &wanted[members.front()].place.object;
      out.offset = merged.offset;
      out.length = merged.length;
      for (const std::size_t member : merged.members) out.members.push_back(members[member]);
    }
  }
  return groups;
}

}  // namespace

void ColdStorage::State::fetch_together(std::span<const Wanted> wanted, const CallOptions& call,
                                        const std::function<void(std::size_t, std::string_view)>& take,
                                        const std::function<void(std::size_t)>& alone) {
  const std::vector<Group> groups = group(wanted);
  const auto fetch_group = [&](const Group& group) {
    if (group.members.size() == 1) return alone(group.members.front());
    const auto bytes = objects_->get_range(*group.object, group.offset, group.length, call);
    if (!bytes) return;
    for (const std::size_t i : group.members) {
      const catalog::ColdPlace& place = wanted[i].place;
      const std::uint64_t at = place.offset - group.offset;
      if (at + place.length > bytes->size()) continue;  // the answer was cut short
      try {
        take(i, as_text(*bytes).substr(at, place.length));
      } catch (const Error&) {
        // This record alone is damaged, or was replaced.
      }
    }
  };
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    const codec::KeptContexts kept;
    for (std::size_t i = next++; i < groups.size() && !failed; i = next++) {
      try {
        fetch_group(groups[i]);
      } catch (const std::exception&) {
        failed = true;  // the store is away, or the caller's time is over: no more of it
      }
    }
  };
  std::vector<std::jthread> helpers;
  try {
    for (std::size_t i = 1; i < std::min(kMaxGroupFetches, groups.size()); ++i) helpers.emplace_back(work);
  } catch (const std::system_error&) {
    // No more threads to be had: those that are there do it all.
  }
  work();
}

std::vector<detail::BlockRef> ColdStorage::State::read_many(std::span<const Wanted> wanted,
                                                            const CallOptions& call) {
  std::vector<detail::BlockRef> out(wanted.size());
  // Each thread writes to the places of its own groups alone. What fails is left to the caller, who reads it
  // again by itself: then it is the newest row that tells what is wrong.
  fetch_together(
      wanted, call,
      [&](std::size_t i, std::string_view record) {
        out[i] = decode(record, wanted[i].place, wanted[i].key, wanted[i].version);
      },
      [&](std::size_t i) { out[i] = read(wanted[i].place, wanted[i].key, wanted[i].version, call); });
  return out;
}

std::vector<std::optional<std::string>> ColdStorage::State::fetch_records(std::span<const Wanted> wanted,
                                                                          const CallOptions& call) {
  std::vector<std::optional<std::string>> out(wanted.size());
  fetch_together(
      wanted, call, [&](std::size_t i, std::string_view record) { out[i] = record; },
      [&](std::size_t i) { out[i] = fetch_record(wanted[i].place, call); });
  return out;
}

}  // namespace db4
