#include "tiering/resealer.hpp"

#include "catalog/keys.hpp"
#include "codec/compress.hpp"

#include <db4/error.hpp>

#include <optional>

namespace db4::tiering {
namespace {

/// To be called while the exception is handled. Throws cancelled on.
void fail(ResealOrder& order) {
  try {
    throw;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) throw;
    order.failure = std::current_exception();
  } catch (const std::exception&) {
    order.failure = std::current_exception();
  }
  order.outcome = ResealOutcome::failed;
}

bool body_needs(const catalog::Row& row, sealing::KeyNumber wanted) noexcept {
  return row.hot() && row.body_key != wanted;
}
bool record_needs(const catalog::Row& row, sealing::KeyNumber wanted) noexcept {
  return row.live() && row.cold && row.cold->key != wanted;
}

}  // namespace

bool is_locked(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error.code() == ErrorCode::key_destroyed || error.code() == ErrorCode::key_unavailable;
  } catch (const std::exception&) {
    return false;
  }
}

bool is_for_all(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error.code() == ErrorCode::unavailable || error.code() == ErrorCode::deadline_exceeded ||
           error.code() == ErrorCode::resource_exhausted || error.code() == ErrorCode::read_only;
  } catch (const std::exception&) {
    return true;
  }
}

bool needs_resealing(const catalog::Row& row, sealing::KeyNumber wanted) noexcept {
  return body_needs(row, wanted) || record_needs(row, wanted);
}

/// The segment in the making and the documents that wait for it.
class Resealer::Packing {
 public:
  Packing(Resealer& owner, const CallOptions& call) : owner_(owner), call_(call) {}

  void add(ResealOrder& order, catalog::Row after, detail::BlockRef body, ColdStorage::State::Record record) {
    const std::uint64_t offset = writer_.add(catalog::collection_of(order.key), catalog::id_of(order.key),
                                             order.row.version, record.bytes);
    const std::uint64_t length = record.bytes.size();
    const sealing::KeyNumber key = record.key;
    if (waiting_.empty()) first_ = std::move(record);
    waiting_.push_back({.order = &order,
                        .after = std::move(after),
                        .body = std::move(body),
                        .offset = offset,
                        .length = length,
                        .key = key});
    if (writer_.record_bytes() >= owner_.cold_.segment_size()) flush();
  }

  void flush() {
    if (waiting_.empty()) return;
    try {
      if (waiting_.size() == 1) {
        // A segment of one would only cost an index.
        Waiting& only = waiting_.front();
        owner_.reseal_alone(*only.order, std::move(only.after), only.body, first_, call_);
      } else {
        flush_segment();
      }
    } catch (const std::exception&) {
      for (Waiting& waiting : waiting_) {
        if (waiting.order->outcome != ResealOutcome::done) fail(*waiting.order);
      }
    }
    writer_ = {};
    waiting_.clear();
    first_ = {};
  }

 private:
  struct Waiting {
    ResealOrder* order = nullptr;
    catalog::Row after;
    detail::BlockRef body;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    sealing::KeyNumber key = 0;
  };

  void flush_segment() {
    const auto records = static_cast<std::uint32_t>(writer_.count());
    const std::string segment = owner_.cold_.finish(writer_);
    const std::string object = owner_.cold_.put_segment(segment, call_);
    std::vector<catalog::ChangeSet> sets;
    sets.reserve(waiting_.size() + 1);
    sets.emplace_back(owner_.catalog_).add_segment(object, segment.size(), records);
    for (Waiting& waiting : waiting_) {
      waiting.after.cold = catalog::ColdPlace{.object = object,
                                              .offset = waiting.offset,
                                              .length = waiting.length,
                                              .in_segment = true,
                                              .key = waiting.key};
      sets.emplace_back(owner_.catalog_)
          .restage(waiting.order->key, waiting.order->row, std::move(waiting.after), waiting.body);
    }
    const std::vector<bool> committed = owner_.catalog_.commit_all(sets);
    if (!committed[0]) owner_.cold_.discard(object, segment.size());
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      waiting_[i].order->outcome = committed[i + 1] ? ResealOutcome::done : ResealOutcome::changed;
    }
  }

  Resealer& owner_;
  const CallOptions& call_;
  codec::SegmentWriter writer_;
  std::vector<Waiting> waiting_;
  ColdStorage::State::Record first_;
};

void Resealer::reseal(std::span<ResealOrder> orders, sealing::KeyNumber wanted, const CallOptions& call) {
  // What lies together in cold is fetched together.
  std::vector<ColdStorage::State::Wanted> wanted_records;
  std::vector<std::size_t> places(orders.size(), orders.size());
  for (std::size_t i = 0; i < orders.size(); ++i) {
    const catalog::Row& row = orders[i].row;
    if (!record_needs(row, wanted) || row.cold->framed) continue;
    places[i] = wanted_records.size();
    wanted_records.push_back({*row.cold, orders[i].key, row.version});
  }
  std::vector<std::optional<std::string>> records = cold_.fetch_records(wanted_records, call);

  const codec::KeptContexts kept;
  Packing packing(*this, call);
  bool away = false;  // then the next ones would only fail too, each after its own repetitions
  for (std::size_t i = 0; i < orders.size(); ++i) {
    ResealOrder& order = orders[i];
    order.outcome = ResealOutcome::changed;
    if (away) continue;
    try {
      catalog::Row after = order.row;
      detail::BlockRef body;
      if (body_needs(order.row, wanted)) body = catalog_.load_body(order.key, order.row);
      if (!record_needs(order.row, wanted)) {
        if (body) {
          commit_alone(order, std::move(after), body);
        } else {
          order.outcome = ResealOutcome::done;
        }
        continue;
      }
      if (order.row.cold->framed) {
        after.cold = cold_.reseal_large(order.key, order.row, call);
        commit_alone(order, std::move(after), body);
        continue;
      }
      std::optional<std::string>& held = records[places[i]];
      if (!held) held = cold_.fetch_record(*order.row.cold, call);
      if (!held) {
        throw Error(ErrorCode::corrupt, "the document's object " + order.row.cold->object + " is missing",
                    "check the cold tier for deleted objects, and restore it from a backup");
      }
      ColdStorage::State::Record record =
          cold_.reseal(*held, {*order.row.cold, order.key, order.row.version});
      held.reset();
      if (cold_.packs(record.bytes.size())) {
        packing.add(order, std::move(after), std::move(body), std::move(record));
      } else {
        reseal_alone(order, std::move(after), body, record, call);
      }
    } catch (const std::exception&) {
      if (order.row.hot() && is_locked(std::current_exception()) && keep_body_alone(order, wanted)) continue;
      fail(order);
      // A document that was changed since is not damaged: its bytes went with the row we hold.
      if (changed_since(order)) order.outcome = ResealOutcome::changed;
      away = order.outcome == ResealOutcome::failed && is_for_all(order.failure);
    }
  }
  packing.flush();
}

void Resealer::reseal_alone(ResealOrder& order, catalog::Row after, const detail::BlockRef& body,
                            const ColdStorage::State::Record& record, const CallOptions& call) {
  after.cold = cold_.put_document(order.key, order.row.version, record, call);
  commit_alone(order, std::move(after), body);
}

void Resealer::commit_alone(ResealOrder& order, catalog::Row after, const detail::BlockRef& body) {
  const std::optional<catalog::ColdPlace> place = after.cold;
  catalog::ChangeSet set(catalog_);
  set.restage(order.key, order.row, std::move(after), body);
  order.outcome = catalog_.commit(set) ? ResealOutcome::done : ResealOutcome::changed;
  if (order.outcome != ResealOutcome::done && place && place != order.row.cold) {
    cold_.discard(place->object, place->length);
  }
}

/// A hot document whose copy in cold nobody can open. Where the key is gone for good the copy goes too: its
/// body is what there is, and must not be given up for it. Whether it is as it should be then.
bool Resealer::keep_body_alone(ResealOrder& order, sealing::KeyNumber wanted) {
  try {
    catalog::Row after = order.row;
    try {
      cold_.check_key(*order.row.cold);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::key_destroyed) after.cold.reset();
    }
    if (after.cold && !body_needs(order.row, wanted)) return false;
    commit_alone(order, std::move(after), catalog_.load_body(order.key, order.row));
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

bool Resealer::changed_since(const ResealOrder& order) const {
  const auto row = catalog_.find(order.key);
  return !row || row->revision != order.row.revision;
}

}  // namespace db4::tiering
