#include "codec/record.hpp"
#include "cold/cold_state.hpp"

#include <db4/cold_storage.hpp>

#include <algorithm>

namespace db4 {
namespace {
constexpr std::size_t kGarbagePage = 500;
/// After so many failures one call gives up: the object store is likely to be away.
constexpr std::size_t kMaxGarbageFailures = 20;
}  // namespace

ColdStorage::ColdStorage(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
ColdStorage::~ColdStorage() = default;
GarbageResult ColdStorage::collect_garbage(const GarbageOptions& options) {
  const auto open = state_->hold_open();
  return state_->collect_garbage(options);
}
ColdStats ColdStorage::stats() const {
  const auto open = state_->hold_open();
  return state_->stats();
}

std::shared_lock<std::shared_mutex> ColdStorage::State::hold_open() {
  std::shared_lock lock(closing_);
  if (closed_) throw Error(ErrorCode::invalid_argument, "the store is closed", "open it again");
  return lock;
}

void ColdStorage::State::close() {
  uploads_.close();  // what is being sent is left to be resumed
  const std::unique_lock lock(closing_);
  closed_ = true;
}

ColdStorage::State::State(catalog::Catalog& catalog, std::shared_ptr<ObjectStore> objects,
                          std::shared_ptr<Clock> clock, std::shared_ptr<RandomSource> random,
                          ColdConfig config)
    : catalog_(catalog),
      objects_(std::move(objects)),
      clock_(std::move(clock)),
      random_(std::move(random)),
      config_(std::move(config)),
      flights_(clock_),
      uploads_(objects_, std::make_shared<cold::CatalogSessionStore>(catalog_), clock_, random_, *this) {}

detail::BlockRef ColdStorage::State::read(const catalog::ColdPlace& place, std::string_view key,
                                          Version version, MonotonicTime deadline,
                                          const std::stop_token& stop) {
  const std::string what = place.object + "@" + std::to_string(place.offset);
  return flights_.run(what, deadline, stop, [&] { return fetch(place, key, version); });
}

detail::BlockRef ColdStorage::State::fetch(const catalog::ColdPlace& place, std::string_view key,
                                           Version version) {
  if (place.framed) return fetch_framed(place, key, version);
  gets_.add();
  const auto record = objects_->get_range(place.object, place.offset, place.length);
  if (!record) return {};
  return codec::decode_record(
      as_text(*record),
      {.collection = catalog::collection_of(key), .id = catalog::id_of(key), .version = version});
}

std::string ColdStorage::State::encode(std::string_view key, const catalog::Row& row,
                                       std::string_view body) const {
  return codec::encode_record({.collection = catalog::collection_of(key),
                               .id = catalog::id_of(key),
                               .version = row.version,
                               .content_type = row.content_type,
                               .created_at = TimePoint{std::chrono::microseconds{row.created_at_us}},
                               .updated_at = TimePoint{std::chrono::microseconds{row.updated_at_us}}},
                              body, {.compression = config_.compression, .level = config_.compression_level});
}

catalog::ColdPlace ColdStorage::State::put_document(std::string_view key, Version version,
                                                    std::string_view record) {
  std::string object = document_object(key, version);
  put_and_verify(object, record);
  return {.object = std::move(object), .offset = 0, .length = record.size(), .in_segment = false};
}

std::string ColdStorage::State::put_segment(std::string_view segment) {
  std::string object = segment_object();
  put_and_verify(object, segment);
  return object;
}

void ColdStorage::State::put_and_verify(const std::string& object, std::string_view bytes) {
  catalog_.announce_object(object, bytes.size());
  puts_.add();
  objects_->put(object, as_bytes(bytes));
  // Verified before any row names it, by reading back what arrived: a put that lied costs a retry, not a
  // document.
  gets_.add();
  const auto arrived = objects_->get_range(object, 0, bytes.size() + 1);
  if (arrived && as_text(*arrived) == bytes) return;
  discard(object, bytes.size());
  throw Error(ErrorCode::unavailable,
              "the object store did not give back what was put as " + object + " (" +
                  (arrived ? std::to_string(arrived->size()) + " bytes" : std::string("nothing")) + " of " +
                  std::to_string(bytes.size()) + ")",
              "check the cold tier's disk or provider; the document stays where it was");
}

void ColdStorage::State::abandon(const std::string& object, std::uint64_t bytes) noexcept {
  try {
    catalog_.abandon_object(object, bytes);
  } catch (const std::exception&) {
    // The intent stands: garbage collection finds it past its deadline.
  }
}

void ColdStorage::State::discard(const std::string& object, std::uint64_t bytes) noexcept {
  try {
    catalog_.discard_object(object, bytes);
  } catch (const std::exception&) {
    // As above.
  }
}

GarbageResult ColdStorage::State::collect_garbage(const GarbageOptions& options) {
  GarbageResult result;
  result.expired_intents = catalog_.expire_intents(options.max_objects);
  std::size_t seen = 0;
  while (seen < options.max_objects && !options.stop.stop_requested()) {
    const auto page = catalog_.due_garbage(std::min(kGarbagePage, options.max_objects - seen));
    if (page.empty()) return result;
    seen += page.size();
    if (!delete_garbage(page, options.stop, result)) break;
  }
  result.more = true;
  return result;
}

bool ColdStorage::State::delete_garbage(std::span<const catalog::GarbageEntry> entries,
                                        const std::stop_token& stop, GarbageResult& result) {
  // What freed these objects must survive a power cut before they go, whatever the durability.
  catalog_.sync();
  std::vector<catalog::GarbageEntry> done;
  std::vector<catalog::GarbageEntry> failed;
  for (const catalog::GarbageEntry& entry : entries) {
    if (stop.stop_requested()) break;
    if (entry.kind == catalog::GarbageKind::segment) {
      catalog_.settle_segment(entry);
      continue;
    }
    deletes_.add();
    try {
      objects_->remove(entry.object);
    } catch (const Error& error) {
      if (result.failed_objects++ == 0) result.first_error = error.what();
      failed.push_back(entry);
      if (result.failed_objects >= kMaxGarbageFailures) break;
      continue;
    }
    ++result.deleted_objects;
    result.deleted_bytes += entry.bytes;
    done.push_back(entry);
  }
  catalog_.settle_garbage(done, failed);
  return !stop.stop_requested() && result.failed_objects < kMaxGarbageFailures;
}

ColdStats ColdStorage::State::stats() const {
  const catalog::Totals totals = catalog_.totals();
  using catalog::Metric;
  return {.documents = totals[Metric::cold_documents],
          .bytes = totals[Metric::cold_bytes],
          .record_bytes = totals[Metric::cold_record_bytes],
          .objects = totals[Metric::objects],
          .object_bytes = totals[Metric::object_bytes],
          .put_requests = puts_.value(),
          .get_requests = gets_.value(),
          .delete_requests = deletes_.value(),
          .shared_reads = flights_.joined()};
}

}  // namespace db4
