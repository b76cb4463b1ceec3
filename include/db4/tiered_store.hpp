#pragma once
// TieredStore: documents in three tiers. This is the class to start with.

#include <db4/broadcast_channel.hpp>
#include <db4/clock.hpp>
#include <db4/cold_storage.hpp>
#include <db4/config.hpp>
#include <db4/document.hpp>
#include <db4/encryption.hpp>
#include <db4/error.hpp>
#include <db4/hot_storage.hpp>
#include <db4/invalidation_event.hpp>
#include <db4/limits.hpp>
#include <db4/object_store.hpp>
#include <db4/pin.hpp>
#include <db4/random.hpp>
#include <db4/reencryption.hpp>
#include <db4/stats.hpp>
#include <db4/tiering.hpp>
#include <db4/warm_cache.hpp>
#include <db4/warm_storage.hpp>

#include <nlohmann/json.hpp>

#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace db4 {

/// Objects that override what the configuration names; each may be left out.
struct Components {
  std::shared_ptr<Clock> clock = {};
  std::shared_ptr<RandomSource> random = {};
  std::shared_ptr<ObjectStore> object_store = {};
  /// The object store given above is asked as it is: no retries, no bounds, no timeout by ColdConfig. For one
  /// that does all that itself; retries over retries multiply the traffic to a provider in trouble.
  bool bare_object_store = false;
  std::shared_ptr<WarmCache> warm_cache = {};
  /// Through which the nodes of a shared store tell each other of changes (docs/consistency.md).
  std::shared_ptr<BroadcastChannel> broadcast_channel = {};
};

/// How a document is written.
struct WriteOptions {
  /// Where to put it: hot (the default), cold, or warm (home cold, and a copy in the warm cache).
  std::optional<StorageTier> tier = {};
  /// Only if the document stands at this version; 0: only if it does not exist. Else throws conflict.
  std::optional<Version> if_version = {};
  /// Empty: application/json for JSON, application/octet-stream for bytes. At most 255 printable ASCII
  /// characters.
  std::string content_type = {};
  /// How long to wait for room or for a quarrel over the same document; without it hot.full_timeout bounds
  /// the first.
  std::optional<std::chrono::milliseconds> timeout = {};
  std::stop_token stop = {};
};

/// What a write made of the document.
struct WriteResult {
  Version version = 0;
  StorageTier tier = StorageTier::hot;
};

/// How a document is read.
struct ReadOptions {
  /// Overrides tiering.promote_on_read; false also leaves the warm cache as it is.
  std::optional<bool> promote = {};
  /// false: as if nobody had read it, for exports and checks. No figure of its use changes, it is promoted
  /// nowhere whatever `promote` says, and the hot cache is passed by.
  bool count_access = true;
  /// How old an answer may be; without it consistency.max_stale. On one machine every answer is the newest
  /// anyway.
  std::optional<std::chrono::milliseconds> max_stale = {};
  /// Where the newest version's copy cannot be reached, a warm copy of it past its time may answer.
  bool stale_if_error = false;
  /// At least this version: an older one throws conflict with the version that stands.
  std::optional<Version> expected_version = {};
  /// How long to wait for a fetch that another reader began; then deadline_exceeded.
  std::optional<std::chrono::milliseconds> timeout = {};
  std::stop_token stop = {};
};

/// How a document, or one copy of it, is removed.
struct RemoveOptions {
  /// Drops the copy in that tier alone; the last durable copy cannot be dropped so: invalid_argument.
  std::optional<StorageTier> tier = {};
  std::optional<Version> if_version = {};
};

/// How a document is moved by hand.
struct MoveOptions {
  /// Leaves the copy in the source tier: demote from hot to warm then only adds the warm copy.
  bool keep_in_source = false;
};

/// One document of a batch.
struct BatchItem {
  std::string id = {};
  std::string body = {};
  std::string content_type = {};  ///< empty: application/json, and the body is checked to be JSON
  std::optional<Version> if_version = {};
};

/// Which documents a scan lists.
struct ScanOptions {
  std::string prefix = {};  ///< of the id
  std::optional<StorageTier> tier = {};
  std::string cursor = {};   ///< from the page before; empty: from the start
  std::size_t limit = 1000;  ///< 1 to kMaxScanLimit
};

/// A document in a listing.
struct ScanItem {
  std::string id = {};
  DocumentMeta meta;
};

/// A part of a listing.
struct ScanPage {
  std::vector<ScanItem> items = {};
  std::string cursor = {};  ///< empty: that was all. Opaque; stays good whatever changes meanwhile
};

/// What a collection holds.
struct CollectionInfo {
  std::string name = {};
  std::uint64_t documents = 0;
  std::uint64_t bytes = 0;          ///< of their bodies
  std::uint64_t hot_documents = 0;  ///< of these: whose home is hot ...
  std::uint64_t hot_bytes = 0;
  std::uint64_t cold_documents = 0;  ///< ... or cold
  std::uint64_t cold_bytes = 0;
};

/// A document that is read much: out of memory, so since the process opened the store.
struct BusyDocument {
  std::string collection = {};
  std::string id = {};
  std::uint32_t recent_access_count = 0;  ///< reads within access_window
};

/// What a store is.
struct StoreInfo {
  std::string id = {};       ///< 16 hex digits, drawn when it was made
  std::uint32_t format = 0;  ///< of its catalogue
  HotType hot_type = HotType::memory;
  WarmType warm_type = WarmType::memory;
  bool warm_enabled = false;
  ColdType cold_type = ColdType::memory;
  Durability durability = Durability::none;
  Compression compression = Compression::none;
  std::int64_t pid = 0;  ///< of the process that has it open: this one
  TimePoint now{};       ///< by the store's clock
  std::chrono::milliseconds uptime{0};
};

/// Where a document is, why, and what comes next: in words, for people.
struct Explanation {
  std::string collection = {};
  std::string id = {};
  DocumentMeta meta;
  StorageTier home = StorageTier::hot;
  std::vector<std::string> copies = {};  ///< where bytes of this version are, in words
  std::string placed_by = {};            ///< what put it there, in words
  TimePoint placed_at{};
  StorageTier classified = StorageTier::hot;  ///< where the policy would have it now
  std::string rule = {};                      ///< the rule behind that, in words
  std::optional<TimePoint> due_at = {};       ///< when tiering looks at it next
  std::string outlook = {};                   ///< what happens then, and what would change it
  std::optional<Pin> pin = {};                ///< that holds it
  std::string key_id = {};                    ///< of the data key that seals it; empty: plain
  std::vector<PastMove> moves = {};           ///< the last kMaxPastMoves, newest first
};

/// The store. Thread-safe: any call from any thread at any time, except that close() and destruction must
/// come last. Every call throws db4::Error: invalid_argument for a bad collection (1 to 255 bytes), id (1 to
/// 1,024 bytes), UTF-8 or option; unavailable or corrupt where a backend fails; what else a call throws
/// stands at it.
///
///     db4::TieredStore store({.hot = {.path = "data/hot"}, .cold = {.path = "data/cold"}});
///     store.write("users", "user-123", {{"name", "Alice"}});
///     if (auto user = store.read("users", "user-123")) std::cout << user->text();
///     store.close();
class DB4_API TieredStore {
 public:
  /// Opens the store, creating folders and files that lack. Throws locked (another process holds it),
  /// unsupported (made by a newer db4), corrupt, permission_denied, read_only, resource_exhausted,
  /// invalid_argument; key_unavailable, with nothing written, where the store is encrypted and the master key
  /// is missing or wrong.
  explicit TieredStore(TieredStoreConfig config, Components components = {});
  /// Closes, and keeps what close() would have thrown to itself.
  ~TieredStore();
  TieredStore(const TieredStore&) = delete;
  TieredStore& operator=(const TieredStore&) = delete;

  /// Stores a JSON value. The write is durable as hot.durability says when the call returns. Throws conflict
  /// (if_version), resource_exhausted (the hot tier is full), too_large (over kMaxBodyBytes),
  /// deadline_exceeded, cancelled, read_only.
  WriteResult write(std::string_view collection, std::string_view id, const nlohmann::json& document,
                    const WriteOptions& options = {}) {
    return write_json_text(collection, id, dump(collection, id, document), options);
  }
  /// A braced document: write("users", "1", {{"name", "Alice"}}).
  WriteResult write(std::string_view collection, std::string_view id,
                    std::initializer_list<nlohmann::json::initializer_list_t::value_type> document,
                    const WriteOptions& options = {}) {
    return write(collection, id, nlohmann::json(document), options);
  }
  // Text and bytes would be stored as a JSON string or array: use write_json_text or write_bytes.
  WriteResult write(std::string_view, std::string_view, const std::string&,
                    const WriteOptions& = {}) = delete;
  WriteResult write(std::string_view, std::string_view, std::string_view, const WriteOptions& = {}) = delete;
  WriteResult write(std::string_view, std::string_view, const char*, const WriteOptions& = {}) = delete;
  WriteResult write(std::string_view, std::string_view, ByteView, const WriteOptions& = {}) = delete;
  WriteResult write(std::string_view, std::string_view, const Bytes&, const WriteOptions& = {}) = delete;

  /// The same for JSON text, kept byte for byte. Text that is not JSON, or nested deeper than kMaxJsonDepth,
  /// throws invalid_argument with the byte offset.
  WriteResult write_json_text(std::string_view collection, std::string_view id, std::string_view json,
                              const WriteOptions& options = {});
  /// The same for any bytes.
  WriteResult write_bytes(std::string_view collection, std::string_view id, ByteView body,
                          const WriteOptions& options = {});

  /// The document, from the hottest copy; nullopt where there is none. Throws corrupt where every copy is
  /// damaged, unavailable where the cold tier cannot be reached, conflict (expected_version),
  /// deadline_exceeded, cancelled.
  std::optional<Document> read(std::string_view collection, std::string_view id,
                               const ReadOptions& options = {});

  /// Whether it existed (with a tier: whether that copy did). Throws conflict (if_version), invalid_argument.
  bool remove(std::string_view collection, std::string_view id, const RemoveOptions& options = {});

  /// hot where its home is hot; warm where its home is cold and warm holds this version; else cold.
  std::optional<StorageTier> get_tier(std::string_view collection, std::string_view id);

  /// Moves one document by hand; it stays until it is next used. Returns whether anything moved. The wrong
  /// direction throws invalid_argument; so does a document that does not exist.
  bool promote(std::string_view collection, std::string_view id, StorageTier to,
               const MoveOptions& options = {});
  bool demote(std::string_view collection, std::string_view id, StorageTier to,
              const MoveOptions& options = {});

  /// Holds documents in a tier, see Pin; replaces a pin of the same target. Runs that follow bring what
  /// exists there; until then it stays where it is. promote() and demote() to another tier are refused
  /// meanwhile. Throws invalid_argument, resource_exhausted (kMaxPins).
  void pin(const Pin& pin);
  /// Whether there was such a pin. Its documents stay where they are until the policy moves them.
  bool unpin(std::string_view collection, PinScope scope = PinScope::collection, std::string_view id = {});
  /// All of them, ordered by scope, collection and id.
  std::vector<Pin> pins();

  /// Moves what is due, within the bounds. One run at a time: a second caller waits.
  TieringResult run_tiering(const TieringOptions& options = {});

  /// All or nothing, with one sync; at most kMaxBatchItems documents and kMaxBatchBytes. An id may come once.
  /// Throws as write does.
  std::vector<WriteResult> write_batch(std::string_view collection, std::span<const BatchItem> items,
                                       const WriteOptions& options = {});
  std::vector<WriteResult> write_batch(std::string_view collection, std::initializer_list<BatchItem> items,
                                       const WriteOptions& options = {}) {
    return write_batch(collection, std::span<const BatchItem>(items.begin(), items.size()), options);
  }

  /// In the order asked, each as read() would give it; at most kMaxBatchItems. Documents that lie together in
  /// cold are fetched together: those of one object with no more than 64 KiB between them by one request, up
  /// to 8 requests of up to 8 MiB at a time. Throws what the first of them that fails throws.
  std::vector<std::optional<Document>> read_batch(std::string_view collection,
                                                  std::span<const std::string> ids,
                                                  const ReadOptions& options = {});
  std::vector<std::optional<Document>> read_batch(std::string_view collection,
                                                  std::initializer_list<std::string> ids,
                                                  const ReadOptions& options = {}) {
    return read_batch(collection, std::span<const std::string>(ids.begin(), ids.size()), options);
  }

  /// One page of metadata in byte order of the ids. Promotes nothing and counts as no access.
  ScanPage scan(std::string_view collection, const ScanOptions& options = {});
  /// Collections that have documents, in byte order of their names.
  std::vector<CollectionInfo> collections();

  /// Why a document is where it is; nullopt where there is none.
  std::optional<Explanation> explain(std::string_view collection, std::string_view id);
  /// Figures of the store; cheap enough to ask every second.
  StoreStats stats();
  /// What the store is, rather than what it does.
  StoreInfo info();
  /// Documents with reads within access_window, the most first, at most `limit` (and those that the access
  /// tracker has room for).
  std::vector<BusyDocument> busiest(std::size_t limit = 10);
  /// The samples from `since` on, oldest first (StatsConfig).
  std::vector<StatsSample> samples(TimePoint since = {});

  /// The keys of the store: to rotate, list and destroy them. Null where it is not encrypted. Destruction is
  /// refused while copies of documents need the key.
  [[nodiscard]] std::shared_ptr<EncryptionManager> encryption() const;
  /// Seals every copy of a document anew with the active key (or makes it plain, with sealing.writes =
  /// false), and whether there was anything to do. Version, times and tier stay as they are, and what others
  /// write meanwhile wins. Throws invalid_argument where there is no such document or the store is not
  /// encrypted, corrupt, unavailable, key_unavailable, key_destroyed.
  bool reencrypt_document(std::string_view collection, std::string_view id);
  /// The same for the whole store, within bounds: what is plain or under an older key. Goes on where the last
  /// call stopped, also after the process died; one at a time over all nodes: another one gives `more`. When
  /// it says that there is no more, older keys are unused. Throws invalid_argument where the store is not
  /// encrypted, key_unavailable, cancelled, read_only.
  ReencryptResult reencrypt(const ReencryptOptions& options = {});
  EncryptionStatus encryption_status();

  /// The tiers, to look into; they live as long as the store.
  HotStorage& hot_storage() noexcept;
  WarmStorage& warm_storage() noexcept;
  ColdStorage& cold_storage() noexcept;

  /// Calls `callback` for every change of a document, in a thread of its own and soon after it: of this
  /// store, and with a broadcast channel those of other nodes too. One that does not keep up gets a flush
  /// event for what it could not be told. Throws resource_exhausted past 63 subscribers.
  [[nodiscard]] Subscription subscribe(std::function<void(const InvalidationEvent&)> callback);

  /// Writes the access figures of memory to the engine; tiering and close() do it too.
  void flush_access_figures();

  /// Stops the background run, flushes, and throws if it cannot. Calls after it throw invalid_argument.
  void close();

 private:
  static std::string dump(std::string_view collection, std::string_view id, const nlohmann::json& document) {
    try {
      return document.dump();
    } catch (const nlohmann::json::exception& failure) {
      throw Error(ErrorCode::invalid_argument,
                  std::string("the JSON value cannot be written: ") + failure.what(),
                  "make its strings valid UTF-8, or store it with write_bytes")
          .with_context("write", collection, id);
    }
  }

  class DB4_INTERNAL Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace db4
