#include "tiering/access_entry.hpp"

#include "base/hash.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <new>
#include <utility>

namespace db4::tiering {

namespace {

constexpr int kEvictionSamples = 8;
constexpr std::size_t kFirstSlots = 16;

template <typename Integer>
void add_saturating(Integer& to, std::uint64_t more) noexcept {
  const std::uint64_t room = std::numeric_limits<Integer>::max() - to;
  to = static_cast<Integer>(to + std::min(more, room));
}

std::int64_t microseconds(TimePoint when) noexcept { return when.time_since_epoch().count(); }

std::int64_t part_of(std::chrono::milliseconds window, std::int64_t parts) noexcept {
  return std::max<std::int64_t>(1, std::chrono::microseconds(window).count() / parts);
}

}  // namespace

// ---- AccessEntry

void AccessEntryDelete::operator()(AccessEntry* entry) const noexcept {
  entry->~AccessEntry();
  ::operator delete(static_cast<void*>(entry));
}

std::uint64_t AccessEntry::hash_of(std::string_view collection, std::string_view id) noexcept {
  return hash_key(id) ^ std::rotl(hash_key(collection) * 0x9E37'79B9'7F4A'7C15, 31);
}

AccessEntryPtr AccessEntry::make(std::string_view collection, std::string_view id, std::uint64_t hash) {
  void* memory = ::operator new(sizeof(AccessEntry) + collection.size() + id.size());
  AccessEntryPtr entry(new (memory) AccessEntry);
  entry->score_log2 = -std::numeric_limits<double>::infinity();
  entry->short_hash = static_cast<std::uint32_t>(hash);
  entry->collection_size = static_cast<std::uint8_t>(collection.size());
  entry->id_size = static_cast<std::uint16_t>(id.size());
  char* tail = reinterpret_cast<char*>(entry.get() + 1);
  std::copy(id.begin(), id.end(), std::copy(collection.begin(), collection.end(), tail));
  return entry;
}

void AccessEntry::give_back(const AccessFigures& figures) noexcept {
  add_saturating(unflushed_count, figures.count);
  AccessBuckets back = figures.buckets;
  back.index = std::min(back.index, half_number);  // the clock may have been set back since
  const AccessBuckets merged = merge_buckets(unflushed().buckets, back);
  unflushed_current = merged.current;
  unflushed_previous = merged.previous;
}

// ---- AccessWindows

AccessWindows::AccessWindows(const AccessPatternTrackerConfig& config) noexcept
    : history_eighth_us_(part_of(config.history_window, 8)),
      access_half_us_(part_of(config.access_window, 2)),
      score_half_life_us_(static_cast<double>(part_of(config.history_window, 4))) {}

double AccessWindows::score_lives(TimePoint when) const noexcept {
  return static_cast<double>(microseconds(when)) / score_half_life_us_;
}

void AccessWindows::bring_back_from_future(AccessEntry& entry, TimePoint now) const noexcept {
  if (entry.last_access > now) {
    entry.score_log2 -= score_lives(entry.last_access) - score_lives(now);
    entry.last_access = now;
  }
  entry.history_number = std::min(entry.history_number, microseconds(now) / history_eighth_us_);
  entry.half_number = std::min(entry.half_number, microseconds(now) / access_half_us_);
}

void AccessWindows::record(AccessEntry& entry, std::uint32_t hits, TimePoint when,
                           TimePoint now) const noexcept {
  bring_back_from_future(entry, now);

  const std::int64_t eighth = microseconds(when) / history_eighth_us_;
  auto& history = entry.history;
  if (eighth > entry.history_number) {
    const auto steps = static_cast<std::size_t>(
        std::min<std::int64_t>(eighth - entry.history_number, static_cast<std::int64_t>(history.size())));
    std::copy_backward(history.begin(), history.end() - static_cast<std::ptrdiff_t>(steps), history.end());
    std::fill_n(history.begin(), steps, std::uint16_t{0});
    entry.history_number = eighth;
  }
  const auto age = static_cast<std::size_t>(entry.history_number - eighth);
  if (age < history.size()) add_saturating(history[age], hits);

  const std::int64_t half = microseconds(when) / access_half_us_;
  if (half > entry.half_number) {
    const bool next = half == entry.half_number + 1;
    entry.seen_previous = next ? entry.seen_current : 0;
    entry.unflushed_previous = next ? entry.unflushed_current : 0;
    entry.seen_current = entry.unflushed_current = 0;
    entry.half_number = half;
  }
  if (half == entry.half_number) {
    add_saturating(entry.seen_current, hits);
    add_saturating(entry.unflushed_current, hits);
  } else if (half == entry.half_number - 1) {
    add_saturating(entry.seen_previous, hits);
    add_saturating(entry.unflushed_previous, hits);
  }

  add_saturating(entry.seen_count, hits);
  add_saturating(entry.unflushed_count, hits);
  entry.last_access = std::max(entry.last_access, when);
  const double added = score_lives(when) + std::log2(static_cast<double>(hits));
  const auto [low, high] = std::minmax(entry.score_log2, added);
  entry.score_log2 = high + std::log2(1 + std::exp2(low - high));
}

std::uint32_t AccessWindows::history(const AccessEntry& entry, TimePoint now) const noexcept {
  const std::int64_t age =
      std::max<std::int64_t>(0, microseconds(now) / history_eighth_us_ - entry.history_number);
  std::uint32_t sum = 0;
  for (auto i = static_cast<std::int64_t>(entry.history.size()) - 1 - age; i >= 0; --i) {
    sum += entry.history[static_cast<std::size_t>(i)];
  }
  return sum;
}

double AccessWindows::score(const AccessEntry& entry, TimePoint now) const noexcept {
  const double score = std::exp2(entry.score_log2 - score_lives(std::max(now, entry.last_access)));
  return std::max(score, std::numeric_limits<double>::min());
}

// ---- AccessTable

AccessEntry* AccessTable::find(std::uint64_t hash, std::string_view collection,
                               std::string_view id) const noexcept {
  if (slots_.empty()) return nullptr;
  const auto short_hash = static_cast<std::uint32_t>(hash);
  for (std::size_t at = short_hash & mask_;; at = (at + 1) & mask_) {
    const Slot slot = slots_[at];
    if (slot.position_plus_one == 0) return nullptr;
    if (slot.short_hash != short_hash) continue;
    AccessEntry* entry = entries_[slot.position_plus_one - 1].get();
    if (entry->collection() == collection && entry->id() == id) return entry;
  }
}

void AccessTable::reserve_one() {
  if (entries_.size() == entries_.capacity()) {
    entries_.reserve(std::max(kFirstSlots, entries_.size() + entries_.size() / 4));
  }
  if (entries_.size() + 1 <= slots_.size() / 4 * 3) return;
  const std::size_t wanted = std::max(kFirstSlots, slots_.size() * 2);
  std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(wanted));
  mask_ = wanted - 1;
  for (const Slot slot : old) {
    if (slot.position_plus_one != 0) put_slot(slot);
  }
}

AccessEntry* AccessTable::add(AccessEntryPtr entry) noexcept {
  entry->position = static_cast<std::uint32_t>(entries_.size());
  put_slot({.short_hash = entry->short_hash, .position_plus_one = entry->position + 1});
  entries_.push_back(std::move(entry));
  return entries_.back().get();
}

void AccessTable::remove(AccessEntry& entry) noexcept {
  mark_flushed(entry);
  swap_positions(entry.position, entries_.size() - 1);
  std::size_t hole = slot_of(entry);
  for (std::size_t at = (hole + 1) & mask_; slots_[at].position_plus_one != 0; at = (at + 1) & mask_) {
    const std::size_t displacement = (at - slots_[at].short_hash) & mask_;
    if (displacement < ((at - hole) & mask_)) continue;  // it would land before the place it wants
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = {};
  entries_.pop_back();
}

bool AccessTable::evict_one() noexcept {
  const std::size_t first = unflushed_ < entries_.size() ? unflushed_ : 0;
  const std::size_t count = entries_.size() - first;
  AccessEntry* lowest = nullptr;
  for (int i = 0; i < kEvictionSamples; ++i) {
    AccessEntry* entry = entries_[first + next_random() % count].get();
    if (lowest == nullptr || entry->score_log2 < lowest->score_log2) lowest = entry;
  }
  const bool lost = lowest->unflushed_count != 0;
  remove(*lowest);
  return lost;
}

void AccessTable::mark_unflushed(AccessEntry& entry) noexcept {
  if (entry.position < unflushed_) return;
  swap_positions(entry.position, unflushed_);
  ++unflushed_;
}

void AccessTable::mark_flushed(AccessEntry& entry) noexcept {
  entry.unflushed_count = 0;
  entry.unflushed_current = entry.unflushed_previous = 0;
  if (entry.position >= unflushed_) return;
  --unflushed_;
  swap_positions(entry.position, unflushed_);
}

AccessEntry* AccessTable::next_unflushed() noexcept {
  return unflushed_ == 0 ? nullptr : entries_[turn_++ % unflushed_].get();
}

std::size_t AccessTable::slot_of(const AccessEntry& entry) const noexcept {
  std::size_t at = entry.short_hash & mask_;
  while (slots_[at].position_plus_one != entry.position + 1) at = (at + 1) & mask_;
  return at;
}

void AccessTable::swap_positions(std::size_t a, std::size_t b) noexcept {
  if (a == b) return;
  std::swap(slots_[slot_of(*entries_[a])].position_plus_one, slots_[slot_of(*entries_[b])].position_plus_one);
  std::swap(entries_[a], entries_[b]);
  std::swap(entries_[a]->position, entries_[b]->position);
}

void AccessTable::put_slot(Slot slot) noexcept {
  std::size_t at = slot.short_hash & mask_;
  while (slots_[at].position_plus_one != 0) at = (at + 1) & mask_;
  slots_[at] = slot;
}

/// xorshift64*: which keys are sampled is no secret, and the same calls shall have the same outcome.
std::uint64_t AccessTable::next_random() noexcept {
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return (random_ * 0x2545'F491'4F6C'DD1D) >> 16;
}

}  // namespace db4::tiering

// ---- the buckets that the catalogue stores too

namespace db4 {

std::uint32_t recent_accesses(const AccessBuckets& buckets, std::chrono::milliseconds access_window,
                              TimePoint now) noexcept {
  const std::int64_t half = tiering::part_of(access_window, 2);
  const std::int64_t number = tiering::microseconds(now) / half;
  std::uint32_t recent = 0;
  // A bucket of the near future is the clock having been set back across an edge; of a far one nothing is
  // known, and it must not look busy until that time comes.
  if (number == buckets.index || number == buckets.index - 1) {
    recent = buckets.previous;
    tiering::add_saturating(recent, buckets.current);
  } else if (number == buckets.index + 1) {
    recent = buckets.current;
  }
  return recent;
}

AccessBuckets merge_buckets(const AccessBuckets& a, const AccessBuckets& b) noexcept {
  AccessBuckets out = a.index >= b.index ? a : b;
  const AccessBuckets& other = a.index >= b.index ? b : a;
  if (other.index == out.index) {
    tiering::add_saturating(out.current, other.current);
    tiering::add_saturating(out.previous, other.previous);
  } else if (other.index == out.index - 1) {
    tiering::add_saturating(out.previous, other.current);
  }
  return out;
}

}  // namespace db4
