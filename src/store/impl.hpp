#pragma once
// store: TieredStore composes everything below and owns no mechanism of its own.
//
// open.cpp puts it together; read_path.cpp, write_path.cpp, moves.cpp and inspect.cpp are what it does.

#include "base/file_descriptor.hpp"
#include "base/offset_clock.hpp"
#include "base/thread_pool.hpp"
#include "catalog/catalog.hpp"
#include "catalog/names.hpp"
#include "cold/cold_state.hpp"
#include "hot/hot_state.hpp"
#include "live/server.hpp"
#include "store/encryption.hpp"
#include "store/gate.hpp"
#include "store/metrics.hpp"
#include "store/news.hpp"
#include "store/sampler.hpp"
#include "tiering/background.hpp"
#include "tiering/mover.hpp"
#include "tiering/policy.hpp"
#include "tiering/resealer.hpp"
#include "tiering/runner.hpp"

#include <db4/access_tracker.hpp>
#include <db4/operations.hpp>
#include <db4/tiered_store.hpp>

namespace db4 {

class TieredStore::Impl {
 public:
  Impl(TieredStoreConfig config, Components components);
  ~Impl();

  std::optional<Document> read(std::string_view collection, std::string_view id, const ReadOptions& options) {
    return read(collection, id, options, nullptr);
  }
  std::vector<std::optional<Document>> read_batch(std::string_view collection,
                                                  std::span<const std::string> ids,
                                                  const ReadOptions& options);

  struct Item {
    std::string_view id;
    std::string_view body;
    std::string_view content_type;
    std::optional<Version> if_version;
  };
  /// All or nothing.
  std::vector<WriteResult> write(std::string_view collection, std::span<const Item> items,
                                 const WriteOptions& options);
  bool remove(std::string_view collection, std::string_view id, const RemoveOptions& options);

  std::optional<StorageTier> get_tier(std::string_view collection, std::string_view id);
  bool promote(std::string_view collection, std::string_view id, StorageTier to, const MoveOptions& options);
  bool demote(std::string_view collection, std::string_view id, StorageTier to, const MoveOptions& options);
  TieringResult run_tiering(const TieringOptions& options);
  void pin(const Pin& pin);
  bool unpin(std::string_view collection, PinScope scope, std::string_view id);
  [[nodiscard]] std::vector<Pin> pins() const;

  ScanPage scan(std::string_view collection, const ScanOptions& options);
  std::vector<CollectionInfo> collections();
  std::optional<Explanation> explain(std::string_view collection, std::string_view id);
  StoreStats stats();
  [[nodiscard]] StoreInfo info() const;
  std::vector<BusyDocument> busiest(std::size_t limit);
  std::vector<StatsSample> samples(TimePoint since) { return sampler_.samples(since); }
  [[nodiscard]] Subscription subscribe(CacheInvalidationManager::Callback callback) {
    return news_->subscribe(std::move(callback));
  }
  // reencrypt.cpp
  [[nodiscard]] std::shared_ptr<EncryptionManager> encryption() const { return encryption_.manager(); }
  bool reencrypt_document(std::string_view collection, std::string_view id);
  ReencryptResult reencrypt(const ReencryptOptions& options);
  EncryptionStatus encryption_status();

  void flush_access_figures();
  /// Starts what runs by itself: the background, and answering on the live socket where the configuration
  /// wants it. A store without a socket is as good as any: what keeps it from listening is told by stats().
  void start(TieredStore& store);
  /// To a request on the live socket.
  OperationReply answer(TieredStore& store, std::string_view json, std::string_view body,
                        const std::stop_token& stop) const;
  void close();

  /// Runs a public call: counts it in, and puts the operation and the document in front of what it throws.
  template <typename Call>
  auto run(std::string_view operation, std::string_view collection, std::string_view id, const Call& call) {
    try {
      const store::Gate::Pass pass(gate_);
      return call();
    } catch (const Error& error) {
      throw error.with_context(operation, collection, id);
    }
  }

  [[nodiscard]] HotStorage& hot() noexcept { return hot_; }
  [[nodiscard]] WarmStorage& warm() noexcept { return warm_; }
  [[nodiscard]] ColdStorage& cold() noexcept { return cold_; }

 private:
  // read_path.cpp
  struct ReadCall;
  struct BatchRead;
  /// With a batch, what only cold has is left to it: then there is no answer yet.
  std::optional<Document> read(std::string_view collection, std::string_view id, const ReadOptions& options,
                               BatchRead* batch);
  /// What a batch left, with what was fetched for it; null: nothing was.
  std::optional<Document> read_fetched(std::string_view collection, std::string_view id,
                                       const ReadOptions& options, const ColdStorage::State::Wanted& wanted,
                                       const detail::BlockRef& fetched);
  std::optional<Document> read_memory(std::uint64_t hash, std::string_view key, TimePoint now,
                                      const ReadOptions& options);
  detail::BlockRef confirmed_by(const catalog::Row& row, const ReadCall& call);
  /// The catalogue had the block's version at that moment.
  static void confirm(const detail::BlockRef& block, MonotonicTime at) noexcept;
  ReadCall begin_read(std::string_view collection, std::string_view id, std::string_view key,
                      const ReadOptions& options);
  std::optional<Document> read_through(ReadCall& call);
  std::optional<Document> read_hot_home(ReadCall& call, const catalog::Row& row);
  [[nodiscard]] bool changed_since(std::string_view key, const catalog::Row& row) const;
  std::optional<Document> read_cold_home(ReadCall& call, const catalog::Row& row);
  /// The object is missing though the row did not change: an expired warm copy, or corrupt.
  std::optional<Document> read_last_copy(ReadCall& call, const catalog::Row& row);
  detail::BlockRef decode_warm(const ReadCall& call, const WarmHit& hit, const catalog::Row& row);
  detail::BlockRef expired_warm_copy(const ReadCall& call, const catalog::Row& row);
  /// What no other tier has: from cold, unless another node has stored a warm copy meanwhile.
  struct Fetched {
    detail::BlockRef block = {};
    StorageTier from = StorageTier::cold;
    bool stored = false;    ///< as a warm copy
    bool outdated = false;  ///< nothing was fetched: the row has changed
  };
  Fetched fetch(const ReadCall& call, const catalog::Row& row, bool may_admit);
  Fetched fetch_for_all_nodes(const ReadCall& call, const catalog::Row& row);
  bool store_warm(ReadCall& call, const catalog::Row& row, const detail::BlockRef& block);
  WarmStorage::Loader refresher(const ReadCall& call, const catalog::Row& row);
  std::optional<Document> admit(ReadCall& call, const catalog::Row& row, const detail::BlockRef& block,
                                StorageTier served_from);
  bool promote_by_read(const ReadCall& call, const catalog::Row& row, const detail::BlockRef& block,
                       StorageTier served_from, std::uint32_t recent_reads);
  /// Gives a block that goes into the cache the document's figures.
  void prime_figures(std::string_view key, const detail::BlockRef& block);
  /// Those of the engine and the tracker.
  [[nodiscard]] AccessFigures counted_figures(std::string_view key);
  /// With hits in memory that nobody has drained yet.
  [[nodiscard]] AccessFigures with_pending(std::string_view key, const AccessFigures& counted);
  /// Counts a read, unless it is one that is not to count; the figures then.
  AccessFigures count_read(const ReadCall& call);
  /// When the document was last used: by this read, if it counts.
  static TimePoint accessed_at(const ReadCall& call, const catalog::Row& row, const AccessFigures& figures);
  [[nodiscard]] AccessFigures figures_of(std::string_view key) {
    return with_pending(key, counted_figures(key));
  }

  // write_path.cpp
  struct WriteAttempt;
  bool attempt_write(std::string_view collection, std::span<const Item> items, const WriteOptions& options,
                     MonotonicTime deadline, std::vector<WriteResult>& results);
  void plan_item(WriteAttempt& attempt, std::string_view collection, const Item& item,
                 const WriteOptions& options);
  void put_cold_items(WriteAttempt& attempt, const CallOptions& call);
  void check_if_version(std::optional<Version> wanted, Version current);
  bool remove_document(const std::string& key, const RemoveOptions& options);
  bool remove_copy(const std::string& key, const RemoveOptions& options);
  void check_retry(MonotonicTime deadline, const std::stop_token& stop);

  // moves.cpp
  [[nodiscard]] catalog::Row require_row(std::string_view key) const;
  [[nodiscard]] StorageTier tier_of(std::string_view key, const catalog::Row& row);
  /// Null where somebody changed the document meanwhile.
  detail::BlockRef load_unless_changed(const std::string& key, const catalog::Row& row);
  bool add_cold_copy(const std::string& key, const catalog::Row& row, const detail::BlockRef& block);
  void finish_hand_move(const tiering::MoveOrder& order, StorageTier from);
  void drain_accesses();
  /// What of cold a run puts in order when its moves are made.
  void clean_cold(const TieringOptions& options, TieringResult& result);
  void train_dictionaries(const CallOptions& call, TieringResult& result);
  void relieve_within(const TieringOptions& options, TieringResult& result);
  void relieve_pressure(const std::stop_token& stop);
  void scheduled_run(const std::stop_token& stop);
  [[nodiscard]] bool may_listen();
  /// What other nodes changed meanwhile, the server's time included.
  void look_around();

  // reencrypt.cpp
  class Reencryption;
  /// That a new store has nothing plain, or that one which was sealed will have.
  void note_encryption();
  /// Of a background run: keys that expired, and what its bounds leave for sealing anew.
  void maintain_keys(const TieringOptions& options, TieringResult& result);

  // inspect.cpp
  /// What will become of a document, in words.
  [[nodiscard]] std::string outlook(std::string_view key, const catalog::Row& row,
                                    const AccessFigures& figures, const std::optional<Pin>& pin,
                                    TimePoint now);
  [[nodiscard]] CostStats bill(const StoreStats& stats) const;
  void take_sample(bool closing);

  const TieredStoreConfig config_;
  std::unique_ptr<kv::Engine> engine_;               ///< until the catalogue has it
  const std::shared_ptr<OffsetClock> server_clock_;  ///< null where there is no other clock to follow
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;
  const std::int64_t half_window_us_;
  const MonotonicTime opened_at_;
  store::Gate gate_;
  store::Metrics metrics_;
  AccessPatternTracker tracker_;
  store::Encryption encryption_;
  std::unique_ptr<catalog::Catalog> catalog_;
  HotStorage hot_;
  std::unique_ptr<store::News> news_;
  std::shared_ptr<WarmCache> warm_cache_;
  ThreadPool refreshers_;
  WarmStorage warm_;
  ColdStorage cold_;
  cold::SingleFlight<Fetched> fills_;  ///< of what nodes agree upon who fetches
  tiering::Mover mover_;
  tiering::Runner runner_;
  tiering::Resealer resealer_;
  std::mutex reencrypting_;
  std::optional<MonotonicTime> reencrypt_not_before_;  ///< in the background; failures are tried again then
  std::optional<MonotonicTime> looked_at_keys_;        ///< when keys were last asked whether they expired
  store::Sampler sampler_;
  /// Last: they use all of the above.
  std::unique_ptr<tiering::Background> background_;
  FileDescriptor listen_lock_;  ///< of a folder that several processes may have
  std::unique_ptr<live::Server> server_;
  std::string listen_error_;
};

namespace store {

/// A refresh of a warm copy that takes longer is given up, and another may try.
inline constexpr std::chrono::milliseconds kRefreshLease = 30s;

/// Throws invalid_argument where what a pin is about (an id, a prefix, or nothing) is no such thing.
void check_pin_target(std::string_view collection, PinScope scope, std::string_view id);
/// How the engine is opened that the configuration names.
kv::EngineOptions engine_options(const HotConfig& config);
/// The object store that the configuration or the components name, with its layers.
objects::LayeredStore open_layered(const ColdConfig& config, const Components& components,
                                   const std::shared_ptr<Clock>& clock,
                                   const std::shared_ptr<RandomSource>& random);
/// What is wrong with a configuration, before anything is opened.
void check_config(const TieredStoreConfig& config, const Components& components);

}  // namespace store
}  // namespace db4
