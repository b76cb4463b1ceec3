#pragma once
// Catalog: one truth about every document, over any engine.

#include "catalog/change_set.hpp"
#include "catalog/counters.hpp"
#include "catalog/pins.hpp"
#include "catalog/row.hpp"
#include "kv/commit_queue.hpp"
#include "sealing/sealer.hpp"

#include <db4/access_tracker.hpp>
#include <db4/clock.hpp>
#include <db4/random.hpp>

#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace db4::catalog {

inline constexpr std::uint32_t kCatalogFormat = 1;

struct CatalogOptions {
  Durability durability = Durability::disk;
  std::uint64_t inline_body_size = 1024;
  std::chrono::microseconds garbage_grace = std::chrono::minutes{10};
  std::chrono::microseconds intent_deadline = std::chrono::hours{1};
  std::size_t kept_changes = 100'000;     ///< entries of the changes space; older ones are trimmed ...
  std::size_t trimmed_at_once = 500'000;  ///< ... so many in one call at most
  /// Of bodies; null: they are plain.
  std::shared_ptr<sealing::Sealer> sealer = {};
  std::string new_store_id = {};  ///< 16 hex digits, where the store is made; empty: drawn
};

struct DueEntry {
  std::int64_t due_us = 0;
  std::string key;
};

enum class GarbageKind : std::uint8_t {
  object = 1,   ///< delete the object
  segment = 2,  ///< look whether anything in the segment lives; if not, it becomes `object`
};

struct GarbageEntry {
  std::int64_t due_us = 0;
  std::string object;
  GarbageKind kind = GarbageKind::object;
  std::uint64_t bytes = 0;
};

struct SegmentFacts {
  std::string object;
  std::uint64_t bytes = 0;
  std::uint32_t records = 0;
  std::int64_t live_bytes = 0;  ///< of records that rows name

  /// Whether less than half of it is alive: worth rewriting, since that frees more than it copies.
  [[nodiscard]] bool sparse() const noexcept {
    return live_bytes <= 0 || static_cast<std::uint64_t>(live_bytes) < bytes / 2;
  }
};

/// A trained dictionary, as the catalogue and an object in cold both hold it.
struct StoredDictionary {
  std::uint32_t id = 0;
  std::string object;
  std::string bytes;
};

/// An entry of the changes space: what every commit appends for each row that it changes.
struct ChangeEntry {
  std::uint64_t sequence = 0;
  std::string key;  ///< the document's
  Version version = 0;
  std::uint64_t revision = 0;
};

/// What must stand as an upload's session for a change of it to take effect.
struct UploadCondition {
  enum class Kind : std::uint8_t { any, absent, begins, equals };
  Kind kind = Kind::any;
  std::string value = {};  ///< of begins and equals
};

/// How far a re-encryption of the whole store has come.
struct Reencryption {
  std::uint64_t key = 0;   ///< number of the key that all is to be sealed with; 0: all is to be plain
  std::string after = {};  ///< the last row's key that was looked at; empty: none was, or it is done
  bool clean = true;       ///< nothing was left behind so far
  bool done = false;       ///< it went over the whole store and left nothing behind
  /// One did so since everything that is written is sealed: there is nothing plain, whatever key comes next.
  bool no_plain = false;
  /// What was plain may be in the engine's free space still: it is to be compacted once all is sealed.
  bool compact = false;
};

struct ScannedRow {
  std::string key;
  Row row;
};

/// Thread-safe. Every call may throw what the engine throws: unavailable, resource_exhausted, read_only,
/// corrupt.
class Catalog {
 public:
  Catalog(std::unique_ptr<kv::Engine> engine, std::shared_ptr<Clock> clock, RandomSource& random,
          CatalogOptions options);
  ~Catalog();
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  // -- nodes (nodes.cpp): of a catalogue that several processes have open at once --
  /// Whether others may change it meanwhile.
  [[nodiscard]] bool shared() const noexcept { return shared_; }
  /// This opening among those of all nodes; with the number of a change it names the change for ever.
  [[nodiscard]] std::uint64_t node() const noexcept { return node_; }
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  /// Changes that a node made after the one of that number, in order. Those that were trimmed are missing:
  /// the first one's number tells.
  [[nodiscard]] std::vector<ChangeEntry> changes_of(std::uint64_t node, std::uint64_t epoch,
                                                    std::uint64_t after, std::size_t limit) const;
  /// Takes over what others may have changed of that which is kept in memory (pins, the version floor), tells
  /// them that this node lives, and once in a while clears away after those that do not. Does nothing where
  /// the catalogue is not shared.
  void look_around();
  /// Keeps others from the same work for so long, or until this node takes it again: false where another one
  /// has it. Always true where the catalogue is not shared.
  bool take_lease(std::string_view work, std::chrono::microseconds duration);
  /// Gives it back before its time, where this node has it. What fails, its end does.
  void drop_lease(std::string_view work) noexcept;
  /// Tells others that this node lives, where that was not said within the last minute. Work that outlasts
  /// many runs says it too.
  void say_alive();
  /// Whether a node is registered: it lives, or died less than a day ago, or was closed an hour ago at most.
  [[nodiscard]] bool registered(std::uint64_t node) const;
  /// The wall clock of the server that all share; nullopt where there is none.
  [[nodiscard]] std::optional<TimePoint> server_time() const { return engine_->server_time(); }

  /// Before the first commit, and not thread-safe.
  void add_listener(ChangeListener* listener) { listeners_.push_back(listener); }

  // -- rows --
  /// The row, tombstones too.
  [[nodiscard]] std::optional<Row> find(std::string_view key) const;
  /// The body of a document whose home is hot, as a block. Throws corrupt.
  [[nodiscard]] detail::BlockRef load_body(std::string_view key, const Row& row) const;
  /// Rows with keys in [begin, end), tombstones too.
  [[nodiscard]] std::vector<ScannedRow> scan_rows(std::string begin, std::string end,
                                                  std::size_t limit) const;

  /// Their keys alone.
  [[nodiscard]] std::vector<std::string> scan_keys(std::string begin, std::string end,
                                                   std::size_t limit) const;

  /// Commits; whether the rows were as the set took them to be. The durability is the configured one unless
  /// given.
  bool commit(ChangeSet& set, std::optional<Durability> durability = {});
  /// Several sets, each on its own all or nothing, in order, with one sync.
  std::vector<bool> commit_all(std::span<ChangeSet> sets, std::optional<Durability> durability = {});

  /// A version for a document that has no row: above every version that was ever forgotten.
  [[nodiscard]] std::uint64_t version_floor() const noexcept {
    return floor_.load(std::memory_order_acquire);
  }

  /// New documents get versions above it from now on. For rebuilding.
  void raise_version_floor(std::uint64_t to);

  // -- the due index --
  [[nodiscard]] std::vector<DueEntry> due(std::int64_t from_us, std::int64_t until_us, std::size_t limit,
                                          std::string_view after_key = {}) const;
  /// Everything before it has been dealt with. Entries are never filed before it; one whose commit was
  /// overtaken by it takes it back. Always 0 where the catalogue is shared: another node may file anywhere.
  [[nodiscard]] std::int64_t watermark_us() const noexcept {
    return watermark_us_.load(std::memory_order_acquire);
  }
  void raise_watermark(std::int64_t to_us);
  /// For a wall clock that was set back behind the watermark: what falls due before it must not be missed.
  void forget_watermark();

  /// The policy under which the entries were filed: bytes that mean something to tiering alone; empty where
  /// none was ever set.
  [[nodiscard]] std::string filed_policy() const;
  /// Replaces it; with `refile` all entries are to be looked at again.
  void file_under(const std::string& policy, bool refile);
  /// How far the looking again has come (its last entry, with no key at the start); nullopt where there is
  /// nothing to look at.
  [[nodiscard]] std::optional<DueEntry> refiling() const;
  void set_refiling(const std::optional<DueEntry>& last);

  // -- access figures --
  [[nodiscard]] std::optional<AccessFigures> find_access(std::string_view key) const;
  /// Adds figures to what is stored, for documents that exist. Not synced. Returns those that could not be
  /// added, because others kept changing the rows or their figures: to be added later.
  [[nodiscard]] std::vector<KeyAccess> merge_access(std::span<const KeyAccess> figures);

  /// The document's last moves, newest first.
  [[nodiscard]] std::vector<HistoryEntry> history(std::string_view key) const;

  // -- pins --
  [[nodiscard]] std::shared_ptr<const PinTable> pins() const;
  /// The tier in which a pin holds the document; nullopt where none does.
  [[nodiscard]] std::optional<StorageTier> pinned_tier(std::string_view key) const;
  /// Adds or replaces a pin, to be applied. Throws resource_exhausted past kMaxPins.
  void put_pin(Pin pin);
  /// Whether there was one.
  bool remove_pin(std::string_view collection, PinScope scope, std::string_view id);
  /// How far the documents of pins were brought to their tiers, but of pins that were changed since.
  void note_applied(std::span<const StoredPin> progress);

  // -- samples of figures: time and bytes, for the store alone --
  struct Sample {
    std::int64_t at_us = 0;
    std::string value;
  };
  /// Of the times from `from_us` on, in order.
  [[nodiscard]] std::vector<Sample> samples(std::int64_t from_us, std::size_t limit) const;
  [[nodiscard]] std::size_t count_samples() const;
  /// Erases those of the times in `gone`, then adds `made`, in one batch. Not synced: samples are for people.
  void replace_samples(std::span<const std::int64_t> gone, std::span<const Sample> made);

  // -- objects --
  /// Commits the intent to put an object of this name, synced whatever the durability.
  void announce_object(const std::string& object, std::uint64_t bytes) {
    announce_object(object, bytes, options_.intent_deadline);
  }
  /// The same with a deadline of its own: of an upload that may take its time.
  void announce_object(const std::string& object, std::uint64_t bytes, std::chrono::microseconds deadline);
  /// Whether the intent to put it stands.
  [[nodiscard]] bool announced(const std::string& object) const;
  /// Gives an announced object up: it becomes garbage at once. False where no intent stands.
  bool abandon_object(const std::string& object, std::uint64_t bytes);
  /// The same for an object that certainly no row names, also where its intent is gone: a put may outlast the
  /// deadline (the machine slept), and then land after the garbage collection that followed it.
  void discard_object(const std::string& object, std::uint64_t bytes);
  /// Gives up an object that no row names and nothing announces: it becomes garbage after the grace.
  void forget_object(const std::string& object, std::uint64_t bytes);
  /// Intents past their deadline become garbage; how many did.
  std::size_t expire_intents(std::size_t limit);
  /// Garbage due by now.
  [[nodiscard]] std::vector<GarbageEntry> due_garbage(std::size_t limit) const;
  /// For a GarbageKind::segment: drops the segment where nothing in it lives, and lists it as sparse where
  /// less than half does.
  void settle_segment(const GarbageEntry& entry);
  /// After the objects were deleted; those that could not be come up again after the grace, or a minute.
  void settle_garbage(std::span<const GarbageEntry> deleted, std::span<const GarbageEntry> failed);
  [[nodiscard]] std::optional<SegmentFacts> find_segment(const std::string& object) const;
  /// Segments of which less than half was alive when it was last looked, by name, after the one given. Such
  /// a look follows, by the grace, whatever lowers the live part.
  [[nodiscard]] std::vector<std::string> sparse_segments(const std::string& after, std::size_t limit) const;
  /// Takes it from that list.
  void forget_sparse(const std::string& object);
  /// Every object name that intents, garbage, segments and dictionaries hold. For audits: reads all of them.
  [[nodiscard]] std::vector<std::string> referenced_objects() const;

  // -- uploads (uploads.cpp): bytes that mean something to the cold tier alone; synced whatever the
  // durability. What changes one changes nothing, and gives false, where the condition does not hold.
  /// Replaces what is there of that id.
  bool put_upload(const std::string& id, const std::string& value, const UploadCondition& condition = {});
  [[nodiscard]] std::optional<std::string> find_upload(std::string_view id) const;
  /// Their values, in order of the ids, after the one given.
  [[nodiscard]] std::vector<std::string> list_uploads(std::string_view after, std::size_t limit) const;
  /// With its parts.
  bool remove_upload(const std::string& id, const UploadCondition& condition = {});
  bool put_upload_part(const std::string& id, std::uint32_t number, const std::string& value,
                       const UploadCondition& condition = {});
  [[nodiscard]] std::vector<std::string> upload_parts(const std::string& id) const;
  bool clear_upload_parts(const std::string& id, const UploadCondition& condition = {});

  // -- dictionaries (dictionaries.cpp) --
  [[nodiscard]] std::optional<StoredDictionary> find_dictionary(std::uint32_t id) const;
  /// The id of the one with which a collection's new records are compressed; 0: none.
  [[nodiscard]] std::uint32_t dictionary_of(std::string_view collection) const;
  /// Registers one whose object was announced and put, as that of `collection`'s new records (empty: of none
  /// yet); false, and nothing changed, where its id is taken or the intent is gone.
  bool add_dictionary(const StoredDictionary& dictionary, std::string_view collection = {});
  /// Lets a collection's new records be compressed with one that is there.
  void use_dictionary(std::string_view collection, std::uint32_t id);
  /// All of them, with their bytes.
  [[nodiscard]] std::vector<StoredDictionary> dictionaries() const;
  /// Forgets all of them; their objects become garbage. For when no record of the store needs one.
  void remove_dictionaries();

  // -- encryption (encryption.cpp) --
  /// Copies that data keys have sealed, by key; of one key.
  [[nodiscard]] std::vector<SealedCopies> sealed_copies() const;
  [[nodiscard]] std::uint64_t count_sealed_copies(std::uint64_t key) const;
  /// How far a re-encryption has come; nullopt where none was begun.
  [[nodiscard]] std::optional<Reencryption> reencryption() const;
  void set_reencryption(const Reencryption& state);
  /// Whether something plain came into the store since it seals what it writes, and nobody has looked for it
  /// since: an upload that was begun before.
  [[nodiscard]] bool plain_arrived() const;
  /// Before somebody looks.
  void forget_plain_arrived();
  /// A batch of the space kKeys, synced whatever the durability; whether its preconditions held.
  bool commit_keys(kv::Batch& batch);

  // -- figures --
  [[nodiscard]] Totals totals() const;
  [[nodiscard]] std::vector<CollectionTotals> collection_totals() const;
  [[nodiscard]] kv::EngineStats engine_stats() const { return engine_->stats(); }

  /// 16 hex digits, drawn when the store was created.
  [[nodiscard]] const std::string& store_id() const noexcept { return store_id_; }
  /// Whether this opening made the store.
  [[nodiscard]] bool is_new() const noexcept { return is_new_; }

  /// Keeps the newest kept_changes entries of the changes space, or a few more. Bounded by trimmed_at_once:
  /// what is left goes at the next calls.
  void trim_changes();
  void sync() { queue_.sync(); }
  /// Makes the engine let go of what was overwritten and removed. May take as long as rewriting everything.
  void compact() { engine_->compact(); }
  void close();

 private:
  friend class ChangeSet;
  class Announcement;
  void open_meta(RandomSource& random);
  [[nodiscard]] detail::BlockRef load_sealed_body(std::string_view key, const Row& row) const;
  bool try_open_meta(RandomSource& random);
  /// The floor may have been raised by another node, which makes changes fail that were planned below it.
  void refresh_floor();
  void register_node();
  void remove_dead_nodes();
  /// Says that this node ends: others need not wait until it is taken for dead.
  void sign_off();
  /// Stages the figure's addition, where its document exists.
  void stage_access(kv::Batch& batch, const KeyAccess& access) const;
  /// In one batch: whether no row changed meanwhile; else nothing was added.
  bool add_access_together(std::span<const KeyAccess> figures);
  /// Each on its own, and again where something changed meanwhile; those that had no luck.
  std::vector<KeyAccess> add_access_each(std::span<const KeyAccess> figures);
  void load_pins();
  void commit_pins(kv::Batch& batch, std::vector<StoredPin> pins);
  void prepare(ChangeSet& set);
  /// Whether no entry of an earlier life is left that goes; `kept`: how many of them stay.
  bool trim_earlier_lives(std::size_t kept, kv::Batch& batch) const;
  bool trim_this_life(std::uint64_t appended, kv::Batch& batch);
  void note_filed(const ChangeSet& set) noexcept;
  [[nodiscard]] std::int64_t now_us() const { return clock_->now().time_since_epoch().count(); }

  std::unique_ptr<kv::Engine> engine_;
  kv::CommitQueue queue_;
  std::shared_ptr<Clock> clock_;
  const CatalogOptions options_;
  const std::shared_ptr<sealing::Sealer> sealer_;
  std::vector<ChangeListener*> listeners_;
  const bool shared_;
  std::string store_id_;
  bool is_new_ = false;
  std::uint64_t epoch_ = 1;
  std::uint64_t node_ = 0;  ///< 0 of a store on one machine; else drawn at every opening
  std::string change_prefix_;
  std::mutex nodes_mutex_;
  MonotonicTime registered_at_{};  ///< when the others were last told that this node lives
  MonotonicTime looked_for_dead_at_{};
  std::mutex access_mutex_;
  std::mutex pins_commit_mutex_;  ///< one change of the pins at a time
  mutable std::mutex pins_mutex_;
  std::shared_ptr<const PinTable> pins_ = std::make_shared<const PinTable>();
  std::atomic<bool> has_pins_{false};
  std::atomic<std::uint64_t> floor_{0};
  std::atomic<std::int64_t> watermark_us_{0};
  std::atomic<std::int64_t> earliest_filed_us_{kNothingFiled};  ///< since the watermark was raised
  static constexpr std::int64_t kNothingFiled = std::numeric_limits<std::int64_t>::max();
  std::atomic<std::uint64_t> appended_changes_{0};
  std::mutex trim_mutex_;                         ///< one trim at a time; guards what follows
  std::optional<std::uint64_t> trimmed_at_ = {};  ///< appended_changes_ when nothing was left to trim
  std::uint64_t trimmed_to_ = 0;                  ///< the last sequence number of this life that is gone
};

}  // namespace db4::catalog
