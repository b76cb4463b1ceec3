#pragma once
// StoreModel: a store beside a plain map, and random operations on both.

#include "support/fault_object_store.hpp"
#include "support/fault_warm_cache.hpp"
#include "support/postgres_server.hpp"
#include "support/temporary_folder.hpp"

#include <db4/storage.hpp>

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>

namespace db4::testing {

enum class WarmKind { off, memory, disk };

/// What a model runs over.
struct ModelSetup {
  HotType hot = HotType::memory;
  WarmKind warm = WarmKind::memory;
  ColdType cold = ColdType::memory;
  std::uint64_t seed = 1;
  std::size_t steps = 1000;
  std::uint64_t max_size = 0;
  std::string postgres_url = {};  ///< of HotType::postgres
  /// The store is encrypted, and what can be done with keys is done too. Names of its objects are then random
  /// whatever the seed, so that a repetition may compact and delete in another order.
  bool encrypted = false;
};

/// In bodies of an encrypted store that are long enough.
inline constexpr std::string_view kModelCanary = "canary-1f0b77c25e9a-not-to-be-found-in-cold";

/// Draws operations, runs them on the store, and compares every answer with what the map says. A failed
/// expectation names the step; the same seed takes the same steps (without max_size, whose relief runs in a
/// thread).
class StoreModel {
 public:
  explicit StoreModel(const ModelSetup& setup);
  ~StoreModel();

  void run();

 private:
  struct Expected {
    std::string body;
    std::string content_type;
    Version version = 0;
    std::uint64_t reads = 0;
  };
  using Key = std::pair<std::string, std::string>;

  // What happens.
  void step();
  void write();
  void write_batch();
  void remove();
  void remove_copy();
  void read();
  void read_batch();
  void move();
  void change_pins();
  void run_tiering();
  void look();
  void scan();
  void collect_garbage();
  void compact();
  void advance();
  void change_faults();
  void reopen();

  // What happens to keys besides (store_model_keys.cpp).
  void key_step();
  void rotate_key();
  void destroy_key();
  void cancel_key();
  void expire_keys();
  void reencrypt();
  void reencrypt_all();
  void reencrypt_document();
  void rewrap();
  void upload();
  void finish_upload();
  void rotate_and_reopen();
  void fail_uploads();

  // What must hold.
  void check_document(const Key& key, const std::optional<Document>& document);
  void check_everything();
  void check_after_all_grace();
  void acknowledge(const Key& key, const WriteResult& result, std::string body, std::string content_type);
  /// Runs a call; the code of what it threw, if it did.
  template <typename Call>
  std::optional<ErrorCode> attempt(const Call& call) {
    try {
      call();
      return std::nullopt;
    } catch (const Error& error) {
      did_ += std::string(" -> ") + error.what();
      return error.code();
    }
  }
  /// The injected faults, or a small hot tier, may make a call fail with it.
  void expect_excused(ErrorCode code);

  TieredStoreConfig configure();
  void open();
  void audit_closed(bool nothing_left);
  [[nodiscard]] std::shared_ptr<EncryptionManager> make_keys(const MasterKey& master) const;
  void seal(TieredStoreConfig& config);
  /// While the store is closed: how it is opened next.
  void draw_sealing();
  void expect_locked(const MasterKey& master);
  void check_sealed_anew();
  /// The store ends sealed with one key, or plain.
  void end_reencrypted();
  void check_nothing_readable();
  [[nodiscard]] std::uint64_t copies_of(std::string_view key_id) const;
  void stop_faults();

  // What is drawn.
  std::uint64_t draw(std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random_);
  }
  bool chance(double probability) { return std::bernoulli_distribution(probability)(random_); }
  /// The tier in which the map's pins hold the document, by trying each.
  [[nodiscard]] std::optional<StorageTier> pinned(const Key& key) const;
  Key draw_key();
  std::string draw_body();
  std::optional<StorageTier> draw_tier();
  std::optional<Version> draw_if_version(Version current);
  [[nodiscard]] Version current(const Key& key) const {
    const auto found = documents_.find(key);
    return found == documents_.end() ? 0 : found->second.version;
  }

  const ModelSetup setup_;
  std::mt19937_64 random_;
  TemporaryFolder folder_;
  const std::string schema_ = PostgresServer::new_schema();
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<RandomSource> store_random_;
  std::shared_ptr<ObjectStore> bare_objects_;
  std::shared_ptr<FaultObjectStore> objects_;
  std::shared_ptr<FaultWarmCache> warm_;
  std::unique_ptr<TieredStore> store_;
  bool faults_ = false;

  // Where it is encrypted.
  MasterKey master_;
  MasterKey former_master_;
  bool writes_ = true;      ///< sealed
  bool keyless_ = false;    ///< all is plain, and what is written too: it has no keys
  bool needs_keys_ = true;  ///< as the last audit has it
  /// Uploads, by their ids, and what they are of.
  std::map<std::string, std::pair<Key, std::string>> unfinished_;

  std::map<Key, Expected> documents_;
  std::map<Key, Version> highest_;  ///< ever acknowledged, through removals
  std::map<std::tuple<PinScope, std::string, std::string>, StorageTier> pins_;
  std::size_t step_ = 0;
  std::string did_;
};

}  // namespace db4::testing
