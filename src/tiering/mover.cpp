#include "tiering/mover.hpp"

#include "base/wiping.hpp"
#include "codec/compress.hpp"
#include "codec/record.hpp"

namespace db4::tiering {
namespace {

/// Stopped, or sealed with a key that is gone: nothing is wrong with the move, and nothing to be mended.
bool is_no_failure(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error.code() == ErrorCode::cancelled || error.code() == ErrorCode::key_destroyed;
  } catch (const std::exception&) {
    return false;
  }
}

/// To be called while the exception is handled.
void fail(MoveOrder& order) {
  order.failure = std::current_exception();
  // A run that is stopped has not failed: its documents stay, as those do that it never began.
  order.outcome = is_no_failure(order.failure) ? MoveOutcome::changed : MoveOutcome::failed;
}

}  // namespace

detail::BlockRef decode_warm_record(std::string_view record, std::string_view key, const catalog::Row& row) {
  detail::BlockRef block = codec::decode_record(
      record, {.collection = catalog::collection_of(key), .id = catalog::id_of(key), .version = row.version});
  const bool same = block->updated_at_us == row.updated_at_us && block->created_at_us == row.created_at_us &&
                    block->body_size == row.size;
  return same ? std::move(block) : detail::BlockRef{};
}

std::shared_ptr<const std::string> warm_record(const detail::DocumentBlock& block) {
  return share_content(
      codec::encode_record({.collection = block.collection(),
                            .id = block.id(),
                            .version = block.version,
                            .content_type = block.content_type(),
                            .created_at = TimePoint{std::chrono::microseconds{block.created_at_us}},
                            .updated_at = TimePoint{std::chrono::microseconds{block.updated_at_us}}},
                           block.body(), {.compression = Compression::none}));
}

template <typename Request>
auto Mover::ask_cold(const MoveBounds& bounds, const Request& request) {
  CallOptions call{.stop = bounds.stop};
  if (bounds.max_call > std::chrono::milliseconds{0}) call.deadline = clock_->monotonic() + bounds.max_call;
  try {
    auto result = request(call);
    if (bounds.breaker != nullptr) bounds.breaker->succeeded();
    return result;
  } catch (...) {
    if (bounds.breaker != nullptr) bounds.breaker->failed(std::current_exception());
    throw;
  }
}

/// The segment in the making and the documents that wait for it.
class Mover::Packing {
 public:
  Packing(Mover& mover, const MoveBounds& bounds) : mover_(mover), bounds_(bounds) {}

  void add(MoveOrder& order, detail::BlockRef block, ColdStorage::State::Record record) {
    const std::uint64_t offset =
        writer_.add(block->collection(), block->id(), order.row.version, record.bytes);
    waiting_.push_back({.order = &order,
                        .block = order.to == StorageTier::warm ? block : detail::BlockRef{},
                        .offset = offset,
                        .length = record.bytes.size(),
                        .key = record.key});
    if (waiting_.size() == 1) first_ = {std::move(block), std::move(record)};
    if (writer_.record_bytes() >= mover_.cold_.segment_size()) flush();
  }

  /// Puts the segment and commits the rows: its registration first, then each document on its own, with one
  /// sync.
  void flush() {
    if (waiting_.empty()) return;
    try {
      if (waiting_.size() == 1) {
        // A segment of one would only cost an index.
        mover_.demote_alone(*waiting_.front().order, first_.block, first_.record, bounds_);
      } else {
        flush_segment();
      }
    } catch (const std::exception&) {
      for (Waiting& waiting : waiting_) {
        if (waiting.order->outcome != MoveOutcome::moved) fail(*waiting.order);
      }
    }
    writer_ = {};
    waiting_.clear();
    first_ = {};
  }

 private:
  struct Waiting {
    MoveOrder* order = nullptr;
    detail::BlockRef block;  ///< where a warm copy is wanted
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t key = 0;  ///< that seals it
  };
  struct First {
    detail::BlockRef block;
    ColdStorage::State::Record record;
  };

  void flush_segment() {
    const auto records = static_cast<std::uint32_t>(writer_.count());
    const std::string segment = mover_.cold_.finish(writer_);
    const std::string object = mover_.ask_cold(
        bounds_, [&](const CallOptions& call) { return mover_.cold_.put_segment(segment, call); });
    std::vector<catalog::ChangeSet> sets;
    sets.reserve(waiting_.size() + 1);
    sets.emplace_back(mover_.catalog_).add_segment(object, segment.size(), records);
    for (const Waiting& waiting : waiting_) {
      catalog::Row after = mover_.demoted_row(*waiting.order);
      after.cold = catalog::ColdPlace{.object = object,
                                      .offset = waiting.offset,
                                      .length = waiting.length,
                                      .in_segment = true,
                                      .key = waiting.key};
      sets.emplace_back(mover_.catalog_)
          .change(waiting.order->key, waiting.order->row, std::move(after), {}, waiting.order->note());
    }
    const std::vector<bool> committed = mover_.catalog_.commit_all(sets);
    if (!committed[0]) mover_.cold_.discard(object, segment.size());
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      waiting_[i].order->outcome = committed[i + 1] ? MoveOutcome::moved : MoveOutcome::changed;
      if (committed[i + 1] && waiting_[i].block) mover_.warm_up(waiting_[i].order->key, waiting_[i].block);
    }
  }

  Mover& mover_;
  const MoveBounds& bounds_;
  codec::SegmentWriter writer_;
  std::vector<Waiting> waiting_;
  First first_;
};

void Mover::demote(std::span<MoveOrder> orders, const MoveBounds& bounds) {
  const codec::KeptContexts kept;
  Packing packing(*this, bounds);
  for (MoveOrder& order : orders) {
    order.outcome = MoveOutcome::changed;
    if (bounds.keep_going && !bounds.keep_going()) continue;
    if (bounds.breaker != nullptr && bounds.breaker->open()) continue;
    try {
      if (order.row.cold && opens(*order.row.cold)) {
        // Promotion left the cold copy where it was: to demote an unchanged document is to change its row.
        demote_in_place(order, bounds);
        continue;
      }
      detail::BlockRef block = catalog_.load_body(order.key, order.row);
      ColdStorage::State::Record record = cold_.encode(order.key, order.row, block->body());
      if (cold_.packs(record.bytes.size())) {
        packing.add(order, std::move(block), std::move(record));
      } else {
        demote_alone(order, block, record, bounds);
      }
    } catch (const std::exception&) {
      fail(order);
      if (changed_since(order)) order.outcome = MoveOutcome::changed;
    }
  }
  packing.flush();
}

/// Whether the copy can be read: else the body must not be given up for it, but be put anew.
bool Mover::opens(const catalog::ColdPlace& place) const noexcept {
  try {
    cold_.check_key(place);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

/// A document that was changed since is not damaged: its body went with the row we hold.
bool Mover::changed_since(const MoveOrder& order) const noexcept {
  try {
    const auto row = catalog_.find(order.key);
    return !row || row->revision != order.row.revision;
  } catch (const std::exception&) {
    return false;
  }
}

catalog::Row Mover::demoted_row(const MoveOrder& order) const {
  catalog::Row after = order.row;
  after.home = StorageTier::cold;
  after.placed_by = order.placed_by;
  after.placed_at_us = clock_->now().time_since_epoch().count();
  after.due_us = order.due_us;
  return after;
}

void Mover::demote_in_place(MoveOrder& order, const MoveBounds& bounds) {
  detail::BlockRef block;
  if (order.to == StorageTier::warm) block = load(order.key, order.row, bounds);
  catalog::ChangeSet set(catalog_);
  set.change(order.key, order.row, demoted_row(order), {}, order.note());
  order.outcome = catalog_.commit(set) ? MoveOutcome::moved : MoveOutcome::changed;
  if (order.outcome == MoveOutcome::moved && block) warm_up(order.key, block);
}

void Mover::demote_alone(MoveOrder& order, const detail::BlockRef& block,
                         const ColdStorage::State::Record& record, const MoveBounds& bounds) {
  catalog::Row after = demoted_row(order);
  after.cold = ask_cold(bounds, [&](const CallOptions& call) {
    return cold_.put_document(order.key, order.row.version, record, call);
  });
  const catalog::ColdPlace place = *after.cold;
  catalog::ChangeSet set(catalog_);
  set.change(order.key, order.row, std::move(after), {}, order.note());
  order.outcome = catalog_.commit(set) ? MoveOutcome::moved : MoveOutcome::changed;
  if (order.outcome != MoveOutcome::moved) {
    cold_.discard(place.object, place.length);
  } else if (order.to == StorageTier::warm) {
    warm_up(order.key, block);
  }
}

void Mover::promote(MoveOrder& order, const detail::BlockRef& at_hand, std::optional<Durability> durability,
                    const MoveBounds& bounds) {
  try {
    const auto room = hot_.try_reserve(order.row.size);
    if (!room) {
      order.outcome = MoveOutcome::no_room;
      return;
    }
    detail::BlockRef block = at_hand;
    if (!block) {
      block = load(order.key, order.row, bounds);
      const AccessBuckets& recent = order.figures.buckets;
      block->base_access_count.store(order.figures.count, std::memory_order_relaxed);
      block->set_recent(recent.index, recent.current, recent.previous);
    }
    catalog::Row after = order.row;
    after.home = StorageTier::hot;
    after.placed_by = order.placed_by;
    after.placed_at_us = clock_->now().time_since_epoch().count();
    after.due_us = order.due_us;
    catalog::ChangeSet set(catalog_);
    set.change(order.key, order.row, std::move(after), block, order.note());
    order.outcome = catalog_.commit(set, durability) ? MoveOutcome::moved : MoveOutcome::changed;
  } catch (const std::exception&) {
    fail(order);
  }
}

detail::BlockRef Mover::load(std::string_view key, const catalog::Row& row, const MoveBounds& bounds) {
  if (row.hot()) {
    try {
      return catalog_.load_body(key, row);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt || !row.cold) throw;
      // Damaged here; its cold copy is of the same version.
    }
  } else if (const auto hit = warm_.get(key, row.version)) {
    try {
      if (detail::BlockRef block = decode_warm_record(*hit->record, key, row)) return block;
    } catch (const Error&) {
      // Damaged: the cold record is the home.
    }
    warm_.remove(key);
  }
  detail::BlockRef block = ask_cold(
      bounds, [&](const CallOptions& call) { return cold_.read(*row.cold, key, row.version, call); });
  if (!block) {
    throw Error(ErrorCode::corrupt, "the document's object " + row.cold->object + " is missing",
                "check the cold tier for deleted objects, and restore it from a backup");
  }
  return block;
}

void Mover::warm_up(std::string_view key, const detail::BlockRef& block) {
  warm_.put(key, block->version, warm_record(*block));
}

}  // namespace db4::tiering
