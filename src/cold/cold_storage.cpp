#include "base/latency_summary.hpp"
#include "base/wiping.hpp"
#include "codec/record.hpp"
#include "cold/cold_state.hpp"
#include "cold/compaction.hpp"
#include "objects/limit_layer.hpp"

#include <db4/cold_storage.hpp>

#include <algorithm>
#include <unordered_set>

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
CompactResult ColdStorage::compact(const CompactOptions& options) {
  const auto open = state_->hold_open();
  return state_->compact(options);
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

ColdStorage::State::State(catalog::Catalog& catalog, objects::LayeredStore objects,
                          std::shared_ptr<Clock> clock, std::shared_ptr<RandomSource> random,
                          ColdConfig config, std::shared_ptr<sealing::Sealer> sealer)
    : catalog_(catalog),
      objects_(std::move(objects.store)),
      metrics_(std::move(objects.metrics)),
      clock_(std::move(clock)),
      random_(std::move(random)),
      config_(std::move(config)),
      sealer_(sealer ? std::move(sealer) : std::make_shared<sealing::Sealer>()),
      key_rings_(*objects_, sealer_->kept_ring()),
      flights_(clock_),
      dictionaries_(catalog_, config_),
      sessions_(std::make_shared<cold::CatalogSessionStore>(catalog_, clock_)),
      uploads_(objects_, sessions_, clock_, random_, *this) {}

detail::BlockRef ColdStorage::State::read(const catalog::ColdPlace& place, std::string_view key,
                                          Version version, const CallOptions& call) {
  const std::string what = place.object + "@" + std::to_string(place.offset);
  return flights_.run(what, call.deadline, call.stop, [&] { return fetch(place, key, version, call); });
}

detail::BlockRef ColdStorage::State::fetch(const catalog::ColdPlace& place, std::string_view key,
                                           Version version, const CallOptions& call) {
  if (place.framed) return fetch_framed(place, key, version, call);
  const auto record = fetch_record(place, call);
  if (!record) return {};
  return decode(*record, place, key, version);
}

std::optional<std::string> ColdStorage::State::fetch_record(const catalog::ColdPlace& place,
                                                            const CallOptions& call) {
  auto record = objects_->get_range(place.object, place.offset, place.length, call);
  // An answer may be cut short where a store does not notice; only an object that is short is damaged.
  if (record && record->size() < place.length) {
    record = objects_->get_range(place.object, place.offset, place.length, call);
  }
  if (!record) return std::nullopt;
  return std::string(as_text(*record));
}

detail::BlockRef ColdStorage::State::decode(std::string_view record, const catalog::ColdPlace& place,
                                            std::string_view key, Version version) {
  return sealing::decode_record(
      *sealer_, record, place.key,
      {.collection = catalog::collection_of(key), .id = catalog::id_of(key), .version = version},
      {.dictionaries = &dictionaries_});
}

ColdStorage::State::Record ColdStorage::State::encode(std::string_view key, const catalog::Row& row,
                                                      std::string_view body) {
  const auto dictionary =
      sealer_->seals() ? nullptr : dictionaries_.for_body(catalog::collection_of(key), body);
  std::string record =
      codec::encode_record({.collection = catalog::collection_of(key),
                            .id = catalog::id_of(key),
                            .version = row.version,
                            .content_type = row.content_type,
                            .created_at = TimePoint{std::chrono::microseconds{row.created_at_us}},
                            .updated_at = TimePoint{std::chrono::microseconds{row.updated_at_us}}},
                           body,
                           {.compression = config_.compression,
                            .level = config_.compression_level,
                            .dictionary = dictionary.get()});
  if (!sealer_->seals()) return {.bytes = std::move(record)};
  const ReleasedAtEnd released(record);
  return sealing::seal_record(*sealer_, record);
}

ColdStorage::State::Record ColdStorage::State::reseal(std::string_view record, const Wanted& wanted) {
  std::string plain = sealing::open_record(*sealer_, record, wanted.place.key);
  const ReleasedAtEnd released(plain);
  // Read to the end: what is damaged must not become something that is sealed well.
  const detail::BlockRef block = sealing::decode_record(*sealer_, plain, 0,
                                                        {.collection = catalog::collection_of(wanted.key),
                                                         .id = catalog::id_of(wanted.key),
                                                         .version = wanted.version},
                                                        {.dictionaries = &dictionaries_});
  if (sealer_->seals() && codec::parse_record_header(plain).dictionary_id != 0) {
    catalog::Row row;
    row.version = wanted.version;
    row.content_type = block->content_type();
    row.created_at_us = block->created_at_us;
    row.updated_at_us = block->updated_at_us;
    return encode(wanted.key, row, block->body());
  }
  if (!sealer_->seals()) return {.bytes = std::move(plain)};
  return sealing::seal_record(*sealer_, plain);
}

std::string ColdStorage::State::finish(codec::SegmentWriter& writer) const {
  if (!sealer_->seals()) return writer.finish();
  return writer.finish([this](std::string_view index) {
    return sealer_->seal(sealing::Kind::segment_index, {}, as_bytes(index), Padding::none).bytes;
  });
}

std::vector<codec::SegmentEntry> ColdStorage::State::parse_index(
    std::string_view index, const codec::SegmentIndexPlace& place) const {
  return codec::parse_segment_index(index, place, [this](std::string_view sealed) {
    return sealer_->open(sealing::Kind::segment_index, {}, sealed);
  });
}

std::size_t ColdStorage::State::train_dictionaries(const CallOptions& call) {
  return dictionaries_.train(
      [&](std::uint32_t id, std::string_view bytes) {
        std::string object = dictionary_object(id, bytes);
        put_and_verify(object, bytes, call);
        return object;
      },
      [this](const std::string& object, std::uint64_t bytes) { discard(object, bytes); }, call.stop);
}

catalog::ColdPlace ColdStorage::State::put_document(std::string_view key, Version version,
                                                    const Record& record, const CallOptions& call) {
  std::string object = document_object(key, version);
  put_and_verify(object, record.bytes, call);
  return {.object = std::move(object),
          .offset = 0,
          .length = record.bytes.size(),
          .in_segment = false,
          .key = record.key};
}

std::string ColdStorage::State::put_segment(std::string_view segment, const CallOptions& call) {
  std::string object = segment_object();
  put_and_verify(object, segment, call);
  return object;
}

void ColdStorage::State::put_and_verify(const std::string& object, std::string_view bytes,
                                        const CallOptions& call) {
  if (sealer_->seals()) keep_key_ring(call);
  catalog_.announce_object(object, bytes.size());
  if (objects_->put(object, as_bytes(bytes), {.call = call}).verified) return;
  // Verified before any row names it, by reading back what arrived: a put that lied costs a retry, not a
  // document.
  const auto arrived = objects_->get_range(object, 0, bytes.size() + 1, call);
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

GarbageResult ColdStorage::State::collect_garbage(const GarbageOptions& options, MonotonicTime deadline) {
  const CallOptions call{.deadline = deadline, .stop = options.stop};
  GarbageResult result;
  result.expired_intents = catalog_.expire_intents(options.max_objects);
  std::size_t seen = 0;
  while (seen < options.max_objects && !options.stop.stop_requested()) {
    const auto page = catalog_.due_garbage(std::min(kGarbagePage, options.max_objects - seen));
    if (page.empty()) return result;
    seen += page.size();
    if (!delete_garbage(page, call, result)) break;
  }
  result.more = true;
  return result;
}

bool ColdStorage::State::delete_garbage(std::span<const catalog::GarbageEntry> entries,
                                        const CallOptions& call, GarbageResult& result) {
  // What freed these objects must survive a power cut before they go, whatever the durability.
  catalog_.sync();
  std::vector<const catalog::GarbageEntry*> objects;
  std::vector<std::string> names;
  for (const catalog::GarbageEntry& entry : entries) {
    if (entry.kind == catalog::GarbageKind::segment) {
      catalog_.settle_segment(entry);
      continue;
    }
    objects.push_back(&entry);
    names.push_back(entry.object);
  }
  if (names.empty()) return true;
  std::vector<RemoveFailure> failures;
  try {
    failures = objects_->remove_many(names, call);
  } catch (const Error& error) {
    // They stand where they stood, and come up again.
    if (error.code() == ErrorCode::cancelled) return false;
    if (result.failed_objects == 0) result.first_error = error.what();
    result.failed_objects += names.size();
    return false;
  }
  settle_deleted(objects, failures, result);
  return result.failed_objects < kMaxGarbageFailures;
}

void ColdStorage::State::settle_deleted(std::span<const catalog::GarbageEntry* const> entries,
                                        std::span<const RemoveFailure> failures, GarbageResult& result) {
  std::unordered_set<std::string_view> failed_names;
  for (const RemoveFailure& failure : failures) {
    if (result.failed_objects++ == 0) result.first_error = failure.message;
    failed_names.insert(failure.name);
  }
  std::vector<catalog::GarbageEntry> done;
  std::vector<catalog::GarbageEntry> failed;
  for (const catalog::GarbageEntry* entry : entries) {
    if (failed_names.contains(entry->object)) {
      failed.push_back(*entry);
      continue;
    }
    ++result.deleted_objects;
    result.deleted_bytes += entry->bytes;
    done.push_back(*entry);
  }
  catalog_.settle_garbage(done, failed);
}

CompactResult ColdStorage::State::compact(const CompactOptions& options) {
  const std::scoped_lock one_at_a_time(compacting_);
  return cold::Compaction(*this, catalog_, *clock_, options).run();
}

ColdStats ColdStorage::State::stats() const {
  const catalog::Totals totals = catalog_.totals();
  using catalog::Metric;
  ColdStats out{.documents = totals[Metric::cold_documents],
                .bytes = totals[Metric::cold_bytes],
                .record_bytes = totals[Metric::cold_record_bytes],
                .objects = totals[Metric::objects],
                .object_bytes = totals[Metric::object_bytes],
                .shared_reads = flights_.joined()};
  for (std::size_t index = 0; index < kObjectOperations; ++index) {
    const auto operation = static_cast<ObjectOperation>(index);
    const objects::ObjectMetrics::OfOperation& counts = metrics_->of(operation);
    RequestStats& request = out.requests[index];
    request = {.requests = counts.requests.value(),
               .failures = counts.failures.value(),
               .retries = counts.retries.value(),
               .bytes = counts.bytes.value(),
               .latency = summarize(counts.latency)};
    switch (objects::class_of(operation)) {
      case objects::RequestClass::reads:
        out.get_requests += request.requests;
        break;
      case objects::RequestClass::deletes:
        out.delete_requests += request.requests;
        break;
      case objects::RequestClass::writes:
      case objects::RequestClass::lists:  // which providers price as they price writes
        out.put_requests += request.requests;
        break;
    }
  }
  return out;
}

}  // namespace db4
