#include "cold/compaction.hpp"

#include "catalog/keys.hpp"
#include "codec/record.hpp"
#include "cold/ranges.hpp"

#include <algorithm>

namespace db4::cold {
namespace {

constexpr std::size_t kPage = 100;
/// Read from the end of a segment at first: holds the index of some thousand records.
constexpr std::uint64_t kTailBytes = 128ULL << 10;

[[noreturn]] void throw_missing(const std::string& object) {
  throw Error(ErrorCode::corrupt, "the segment " + object + " is missing in the cold tier, or too short",
              "check the cold tier for deleted objects, and restore it from a backup");
}

}  // namespace

CallOptions Compaction::call() const {
  using namespace std::chrono_literals;
  return {.deadline = clock_.monotonic() + std::max<std::chrono::milliseconds>(1s, options_.max_duration / 2),
          .stop = options_.stop};
}

CompactResult Compaction::run() {
  try {
    std::string after;
    for (bool going = true; going;) {
      const auto page = catalog_.sparse_segments(after, kPage);
      if (page.empty()) break;
      after = page.back();
      for (const std::string& object : page) {
        going = rewrite(object);
        if (!going) break;
      }
    }
    flush();
  } catch (const Error& error) {
    result_.more = true;
    if (error.code() != ErrorCode::cancelled) result_.first_error = error.what();
  }
  return std::move(result_);
}

bool Compaction::may_begin(const catalog::SegmentFacts& facts) const {
  if (options_.stop.stop_requested() || clock_.monotonic() - started_ >= options_.max_duration) return false;
  if (result_.segments == 0) return true;  // else a bound below one segment's live part would end it for ever
  return result_.segments < options_.max_segments && result_.records < options_.max_records &&
         result_.bytes + static_cast<std::uint64_t>(facts.live_bytes) <= options_.max_bytes;
}

bool Compaction::rewrite(const std::string& object) {
  const auto facts = catalog_.find_segment(object);
  if (!facts || facts->live_bytes <= 0 || !facts->sparse()) {
    catalog_.forget_sparse(object);  // gone, empty (and looked at for that), or not what it was taken for
    return true;
  }
  if (options_.max_segments == 0 || !may_begin(*facts)) {
    result_.more = true;
    return false;
  }
  try {
    auto live = find_live(object, read_index(*facts));
    copy(object, live);
  } catch (const Error& error) {
    const bool unreadable = error.code() == ErrorCode::corrupt || error.code() == ErrorCode::key_destroyed ||
                            error.code() == ErrorCode::key_unavailable;
    if (!unreadable) throw;
    // Its records are read without the index; nobody but a rebuild misses it.
    if (result_.damaged_records++ == 0) result_.first_error = error.what();
    catalog_.forget_sparse(object);
    return true;
  }
  ++result_.segments;
  result_.freed_bytes += facts->bytes;
  sources_.push_back(object);
  return true;
}

std::vector<codec::SegmentEntry> Compaction::read_index(const catalog::SegmentFacts& facts) {
  const std::uint64_t tail_bytes = std::min(facts.bytes, kTailBytes);
  if (tail_bytes < codec::kSegmentFooterBytes) throw_missing(facts.object);
  const auto tail = state_.objects().get_range(facts.object, facts.bytes - tail_bytes, tail_bytes, call());
  if (!tail || tail->size() != tail_bytes) throw_missing(facts.object);
  const std::string_view end = as_text(*tail);
  const codec::SegmentIndexPlace place =
      codec::parse_segment_footer(end.substr(end.size() - codec::kSegmentFooterBytes), facts.bytes);
  if (place.length + codec::kSegmentFooterBytes <= tail_bytes) {
    const std::size_t from = end.size() - codec::kSegmentFooterBytes - place.length;
    return state_.parse_index(end.substr(from, place.length), place);
  }
  const auto index = state_.objects().get_range(facts.object, place.offset, place.length, call());
  if (!index) throw_missing(facts.object);
  return state_.parse_index(as_text(*index), place);
}

std::vector<Compaction::Live> Compaction::find_live(const std::string& object,
                                                    const std::vector<codec::SegmentEntry>& entries) {
  std::vector<Live> live;
  for (const codec::SegmentEntry& entry : entries) {
    std::string key = catalog::document_key(entry.collection, entry.id);
    auto row = catalog_.find(key);
    if (!row || !row->cold || row->cold->object != object || row->cold->offset != entry.offset ||
        row->cold->length != entry.length) {
      continue;
    }
    live.push_back({.key = std::move(key), .row = std::move(*row), .entry = entry});
  }
  return live;
}

void Compaction::copy(const std::string& object, std::vector<Live>& live) {
  std::vector<ObjectRange> places;
  places.reserve(live.size());
  for (const Live& record : live) places.push_back({record.entry.offset, record.entry.length});
  for (const MergedRange& range : merge_ranges(places)) {
    const auto bytes = state_.objects().get_range(object, range.offset, range.length, call());
    if (!bytes) throw_missing(object);
    for (const std::size_t index : range.members) {
      Live& record = live[index];
      const std::uint64_t from = record.entry.offset - range.offset;
      std::string_view held;
      if (from + record.entry.length <= bytes->size()) {
        held = as_text(*bytes).substr(from, record.entry.length);
      }
      if (codec::is_intact_record(held)) {
        add(std::move(record), held);
      } else if (const auto again = read_alone(object, record.entry)) {
        add(std::move(record), *again);
      } else {
        // It stays where it is, and its segment with it: a copy would be as damaged, and whoever repairs the
        // object by hand must find it there.
        ++result_.damaged_records;
      }
    }
  }
}

std::optional<std::string> Compaction::read_alone(const std::string& object,
                                                  const codec::SegmentEntry& entry) {
  const auto bytes = state_.objects().get_range(object, entry.offset, entry.length, call());
  if (!bytes || !codec::is_intact_record(as_text(*bytes))) return std::nullopt;
  return std::string(as_text(*bytes));
}

std::optional<ColdStorage::State::Record> Compaction::renewed(const Live& live, std::string_view record) {
  // Under the key that the new index is under, or plain with it: a key goes once no copy of a document needs
  // it, and nobody would find in an index that is lost what is under another key, or plain.
  if (live.row.cold->key != state_.wanted_key()) {
    try {
      return state_.reseal(record, {*live.row.cold, live.key, live.row.version});
    } catch (const Error& error) {
      if (error.code() == ErrorCode::corrupt) return std::nullopt;
      const bool locked =
          error.code() == ErrorCode::key_destroyed || error.code() == ErrorCode::key_unavailable;
      if (!locked) throw;
    }
  }
  return ColdStorage::State::Record{.bytes = std::string(record), .key = live.row.cold->key};
}

void Compaction::add(Live live, std::string_view held) {
  const auto record = renewed(live, held);
  if (!record) {
    ++result_.damaged_records;
    return;
  }
  const std::uint64_t offset =
      writer_.add(live.entry.collection, live.entry.id, live.entry.version, record->bytes);
  waiting_.push_back({.key = std::move(live.key),
                      .row = std::move(live.row),
                      .offset = offset,
                      .length = record->bytes.size(),
                      .sealed_with = record->key});
  ++result_.records;
  result_.bytes += record->bytes.size();
  if (writer_.record_bytes() >= state_.segment_size()) flush();
}

void Compaction::flush() {
  bool overtaken = false;
  if (!waiting_.empty()) {
    const auto records = static_cast<std::uint32_t>(writer_.count());
    const std::string segment = state_.finish(writer_);
    const std::string object = state_.put_segment(segment, call());
    std::vector<catalog::ChangeSet> sets;
    sets.reserve(waiting_.size() + 1);
    sets.emplace_back(catalog_).add_segment(object, segment.size(), records);
    for (Waiting& waiting : waiting_) {
      catalog::Row after = waiting.row;
      after.cold = catalog::ColdPlace{.object = object,
                                      .offset = waiting.offset,
                                      .length = waiting.length,
                                      .in_segment = true,
                                      .key = waiting.sealed_with};
      sets.emplace_back(catalog_).change(waiting.key, waiting.row, std::move(after));
    }
    const std::vector<bool> committed = catalog_.commit_all(sets);
    if (!committed[0]) state_.discard(object, segment.size());
    ++result_.new_segments;
    // A row that somebody changed meanwhile may still name the old place.
    overtaken = std::ranges::find(committed, false) != committed.end();
    waiting_.clear();
  }
  // What lives in them yet (or again: a row that was overtaken) brings them back when it goes.
  if (!overtaken) {
    for (const std::string& object : sources_) catalog_.forget_sparse(object);
  }
  sources_.clear();
}

}  // namespace db4::cold
