#pragma once
// cold: documents as immutable objects. Includes base, kv, codec, catalog, objects.

#include "catalog/catalog.hpp"
#include "codec/segment.hpp"
#include "cold/catalog_sessions.hpp"
#include "cold/dictionaries.hpp"
#include "cold/key_ring_copies.hpp"
#include "cold/single_flight.hpp"
#include "cold/upload_engine.hpp"
#include "objects/layer_stack.hpp"
#include "objects/metrics_layer.hpp"
#include "sealing/sealed_record.hpp"

#include <db4/clock.hpp>
#include <db4/cold_storage.hpp>
#include <db4/config.hpp>
#include <db4/object_store.hpp>
#include <db4/random.hpp>

#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>

namespace db4 {

/// The cold tier's mechanism. Thread-safe.
///
/// The life of an object: its intent is committed, it is put and read back, and the batch that names it in a
/// row (or registers it as a segment) removes the intent. Freed, it enters the garbage, and is deleted after
/// the grace.
class ColdStorage::State : private cold::UploadHooks {
 public:
  State(catalog::Catalog& catalog, objects::LayeredStore objects, std::shared_ptr<Clock> clock,
        std::shared_ptr<RandomSource> random, ColdConfig config,
        std::shared_ptr<sealing::Sealer> sealer = {});

  /// The document whose record lies at `place`; a null block where the object is gone. Concurrent readers of
  /// one place share one fetch. Throws corrupt, unavailable, deadline_exceeded, cancelled.
  [[nodiscard]] detail::BlockRef read(const catalog::ColdPlace& place, std::string_view key, Version version,
                                      const CallOptions& call);

  /// One document of read_many.
  struct Wanted {
    catalog::ColdPlace place;
    std::string key;
    Version version = 0;
  };
  /// A complete record, and the number of the key that seals it; 0: it is plain.
  using Record = sealing::Sealer::Sealed;
  /// A document's record that is stored, in the form in which it would be stored now: sealed with the active
  /// key, or plain. What is wrong with it is found before: throws as reading it does. Not compressed anew,
  /// unless a dictionary is needed.
  [[nodiscard]] Record reseal(std::string_view record, const Wanted& wanted);
  /// batch_read.cpp: the documents whose records lie at these places, not in frames; each a null block where
  /// it could not be had that way (its object is gone, damaged, or the store is away): whoever wants it reads
  /// it alone, and is told. Places that lie close in one object are fetched by one request, kMaxGroupFetches
  /// requests at a time.
  [[nodiscard]] std::vector<detail::BlockRef> read_many(std::span<const Wanted> wanted,
                                                        const CallOptions& call);
  static constexpr std::size_t kMaxGroupFetches = 8;
  /// The same for the records as they are stored, unchecked.
  [[nodiscard]] std::vector<std::optional<std::string>> fetch_records(std::span<const Wanted> wanted,
                                                                      const CallOptions& call);
  /// One of them; nullopt where the object is gone. Throws what the object store throws.
  [[nodiscard]] std::optional<std::string> fetch_record(const catalog::ColdPlace& place,
                                                        const CallOptions& call);

  /// The record of a body, compressed as configured, with its collection's dictionary where it has one; and
  /// sealed, where the store is encrypted. Then without a dictionary: that would be plain bytes of documents.
  [[nodiscard]] Record encode(std::string_view key, const catalog::Row& row, std::string_view body);
  /// A large document that is stored, in the form in which it would be stored now, sent in parts as a new
  /// object; its place. The caller names it in a row, or calls discard(). large_reseal.cpp
  [[nodiscard]] catalog::ColdPlace reseal_large(std::string_view key, const catalog::Row& row,
                                                const CallOptions& call);
  /// Throws key_destroyed or key_unavailable where the record at the place cannot be opened by anybody now.
  void check_key(const catalog::ColdPlace& place) const { sealer_->check_key(place.key); }
  /// The key that what is stored now is sealed with; 0: it is stored plain.
  [[nodiscard]] sealing::KeyNumber wanted_key() const { return sealer_->wanted_key(); }
  /// A segment of the records that `writer` has, its index sealed where the store is encrypted.
  [[nodiscard]] std::string finish(codec::SegmentWriter& writer) const;
  /// The entries of a segment's index.
  [[nodiscard]] std::vector<codec::SegmentEntry> parse_index(std::string_view index,
                                                             const codec::SegmentIndexPlace& place) const;
  /// Trains dictionaries for the collections of which enough was encoded; how many got one. Throws what the
  /// object store and the catalogue throw.
  std::size_t train_dictionaries(const CallOptions& call);

  /// Stores a record as an object of its own, and reads it back where the store has not proved that it holds
  /// it. The caller names it in a row, or calls abandon().
  [[nodiscard]] catalog::ColdPlace put_document(std::string_view key, Version version, const Record& record,
                                                const CallOptions& call = {});
  /// The same for a finished segment; the object's name. The caller registers it, or calls abandon().
  [[nodiscard]] std::string put_segment(std::string_view segment, const CallOptions& call = {});
  /// Gives up an object that was put and not named. Never throws: what it cannot do, the intent's deadline
  /// does.
  void abandon(const std::string& object, std::uint64_t bytes) noexcept;
  /// The same where no row can name it: the commit was refused, or never tried.
  void discard(const std::string& object, std::uint64_t bytes) noexcept;

  [[nodiscard]] bool packs(std::size_t record_bytes) const noexcept {
    return record_bytes < config_.pack_below;
  }
  [[nodiscard]] std::uint64_t segment_size() const noexcept { return config_.segment_size; }

  /// Where the store keeps its key ring itself: makes sure that cold has a copy of it, and none that is
  /// older.
  void keep_key_ring(const CallOptions& call) { key_rings_.keep(store_folder(), call); }
  /// The same, and deletes older copies that could not be deleted then. Throws where they cannot be yet.
  void tidy_key_rings(const CallOptions& call) {
    keep_key_ring(call);
    key_rings_.clean_up(store_folder(), call);
  }

  /// Keeps close() waiting while it is held; throws invalid_argument after it. For calls that come past the
  /// store's own gate.
  [[nodiscard]] std::shared_lock<std::shared_mutex> hold_open();
  void close();

  // large_documents.cpp, read_large.cpp
  UploadResult write_large(std::string_view collection, std::string_view id, const ByteSource& source,
                           const UploadOptions& options);
  UploadResult resume_upload(std::string_view upload_id, const ByteSource& source,
                             const UploadOptions& options);
  [[nodiscard]] cold::UploadEngine& uploads() noexcept { return uploads_; }
  /// Of an upload that somebody began; nullopt, too, for what reseal_large does.
  [[nodiscard]] std::optional<UploadSession> upload_status(std::string_view upload_id);
  UploadCleanup clean_up_uploads(std::chrono::milliseconds age);
  /// Those past cold.upload_expiry, without looking for strangers.
  UploadCleanup expire_uploads() { return uploads_.clean_up(config_.upload_expiry, std::nullopt); }
  std::optional<ReadLargeResult> read_large(std::string_view collection, std::string_view id,
                                            const ByteSink& sink, const ByteRange& range,
                                            const ReadLargeOptions& options);

  /// `deadline`: of the requests; what is not deleted by then waits for the next collection.
  GarbageResult collect_garbage(const GarbageOptions& options, MonotonicTime deadline = MonotonicTime::max());
  /// listing_garbage.cpp
  ListingGarbageResult collect_by_listing(const ListingGarbageOptions& options);
  CompactResult compact(const CompactOptions& options);
  [[nodiscard]] ColdStats stats() const;
  [[nodiscard]] ObjectStore& objects() noexcept { return *objects_; }

 private:
  class FramedReader;
  std::chrono::milliseconds renew_every() override;
  void sign(UploadSession& session) override { sessions_->sign(session); }
  bool take(UploadSession& session) override { return sessions_->take(session); }
  bool renew(const std::string& upload_id) override { return sessions_->renew(upload_id); }
  bool owner_lives(const UploadSession& session) override { return sessions_->owner_lives(session); }
  void before_complete(const UploadSession& session) override;
  bool still_announced(const UploadSession& session) override;
  bool owns_name(const UploadSession& /*session*/) override { return true; }  // it is drawn
  std::string new_object(const UploadSession& session) override;
  std::optional<Version> already_document(const UploadSession& session) override;
  void object_ready(UploadSession& session) override;
  void give_up(const UploadSession& session) noexcept override;
  void drop_reseal(const std::string& upload_id) noexcept;
  [[nodiscard]] detail::BlockRef fetch_framed(const catalog::ColdPlace& place, std::string_view key,
                                              Version version, const CallOptions& call);
  [[nodiscard]] std::optional<detail::BlockRef> small_body(std::string_view key, const catalog::Row& row);
  void put_and_verify(const std::string& object, std::string_view bytes, const CallOptions& call);
  [[nodiscard]] detail::BlockRef fetch(const catalog::ColdPlace& place, std::string_view key, Version version,
                                       const CallOptions& call);
  /// What the names of all its objects begin with.
  [[nodiscard]] std::string store_folder() const { return config_.prefix + catalog_.store_id() + "/"; }
  [[nodiscard]] std::string document_object(std::string_view key, Version version) const;
  [[nodiscard]] std::string segment_object() const;
  [[nodiscard]] std::string dictionary_object(std::uint32_t id, std::string_view bytes) const;
  /// What lies at the place. Throws corrupt where it is not sealed with the key that the place names: a plain
  /// record in the place of a sealed one is somebody else's.
  [[nodiscard]] detail::BlockRef decode(std::string_view record, const catalog::ColdPlace& place,
                                        std::string_view key, Version version);
  /// batch_read.cpp: hands each record that lies at these places to `take`, from several threads at once, and
  /// `alone` the number of one that lies with no other. What fails is left out.
  void fetch_together(std::span<const Wanted> wanted, const CallOptions& call,
                      const std::function<void(std::size_t, std::string_view)>& take,
                      const std::function<void(std::size_t)>& alone);
  bool delete_garbage(std::span<const catalog::GarbageEntry> entries, const CallOptions& call,
                      GarbageResult& result);
  /// All that this store has at the object store.
  [[nodiscard]] std::vector<ObjectInfo> list_own_objects(const ListingGarbageOptions& options,
                                                         ListingGarbageResult& result);
  /// Leaves those that nothing in the catalogue names.
  void keep_unnamed(std::vector<ObjectInfo>& objects, const std::stop_token& stop);
  void delete_unnamed(std::span<const ObjectInfo> objects, const std::stop_token& stop,
                      ListingGarbageResult& result);
  void settle_deleted(std::span<const catalog::GarbageEntry* const> entries,
                      std::span<const RemoveFailure> failures, GarbageResult& result);

  catalog::Catalog& catalog_;
  const std::shared_ptr<ObjectStore> objects_;  ///< with its layers
  const std::shared_ptr<objects::ObjectMetrics> metrics_;
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;
  const ColdConfig config_;
  const std::shared_ptr<sealing::Sealer> sealer_;
  cold::KeyRingCopies key_rings_;
  cold::SingleFlight<> flights_;
  cold::Dictionaries dictionaries_;
  std::mutex compacting_;
  const std::shared_ptr<cold::CatalogSessionStore> sessions_;
  cold::UploadEngine uploads_;
  std::shared_mutex closing_;
  bool closed_ = false;
};

}  // namespace db4
