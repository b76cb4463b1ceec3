// Two hundred days of an encrypted store: written, read, tiered, compacted and reopened, while keys expire
// every week, everything is sealed anew behind them, and what no longer needs to be there is destroyed.
#include "objects/object_stores.hpp"
#include "support/audit.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace db4::testing {
namespace {

constexpr int kDays = 200;
constexpr std::uint64_t kIds = 400;
constexpr std::string_view kCollection = "documents";
constexpr std::string_view kCanary = "canary-b7d2e6590c11-in-every-body";
constexpr std::chrono::hours kKeyLife{7 * 24};
constexpr std::chrono::hours kDestructionGrace{3 * 24};
constexpr std::chrono::hours kGarbageGrace{12};

class EncryptedDays : public ::testing::Test {
 protected:
  EncryptedDays() { open(); }

  void open() {
    store_.reset();
    TieredStoreConfig config{.hot = {.type = kDiskEngine,
                                     .path = folder_.path(),
                                     .max_body_size = 64_KiB,
                                     .inline_body_size = 512,
                                     .durability = Durability::none},
                             .warm = {.max_size = 1_MiB},
                             .cold = {.pack_below = 4_KiB,
                                      .segment_size = 64_KiB,
                                      .garbage_grace = kGarbageGrace,
                                      .intent_deadline = kGarbageGrace,
                                      .max_attempts = 1},
                             .tiering = {.hot_threshold = 20h, .warm_threshold = 48h, .interval = 0ms},
                             .live = {.enabled = false}};
    config.encryption = make_keys();
    store_ = std::make_unique<TieredStore>(
        config, Components{.clock = clock_, .random = seeded_random(random_()), .object_store = objects_});
  }
  [[nodiscard]] std::shared_ptr<EncryptionManager> make_keys() const {
    return std::make_shared<EncryptionManager>(
        EncryptionConfig{.master_key = master_,
                         .default_key_expiration = kKeyLife,
                         .destruction_grace_period = kDestructionGrace},
        clock_);
  }

  std::string draw_body() {
    const std::size_t size = random_() % 10 < 7 ? random_() % 1500 : random_() % 12'000;
    std::string body = std::string(kCanary) + std::to_string(random_());
    body.resize(std::max(body.size(), size), static_cast<char>('a' + random_() % 26));
    return body;
  }
  std::string draw_id() { return std::to_string(random_() % kIds); }

  void write_some() {
    for (int i = 0; i < 25; ++i) {
      const std::string id = draw_id();
      std::string body = draw_body();
      store_->write_bytes(kCollection, id, as_bytes(body));
      expected_[id] = std::move(body);
    }
    for (int i = 0; i < 5; ++i) {
      const std::string id = draw_id();
      EXPECT_EQ(store_->remove(kCollection, id), expected_.erase(id) == 1);
    }
  }
  void write_large() {
    const std::string id = "large-" + std::to_string(random_() % 4);
    std::string body = draw_body();
    body.resize(600'000 + random_() % 600'000, 'L');
    store_->cold_storage().write_large(kCollection, id, ByteSource::bytes(as_bytes(body)));
    expected_[id] = std::move(body);
  }
  void read(const std::string& id) {
    const auto document = store_->read(kCollection, id);
    const auto expected = expected_.find(id);
    ASSERT_EQ(document.has_value(), expected != expected_.end()) << id;
    if (document) {
      ASSERT_TRUE(document->text() == expected->second) << id;
    }
  }
  /// As the store's background does.
  void run() {
    clock_->advance(6h);
    const TieringResult result = store_->run_tiering({.max_operations = 150});
    EXPECT_TRUE(result.errors.empty()) << result.errors.front();
    EXPECT_EQ(result.failed, 0U);
    demoted_ += result.demoted;
    compacted_ += result.compacted_segments;
    reencrypted_ += result.reencrypted;
  }
  /// What nobody needs is given up, and what somebody needs is not.
  void retire_keys() {
    std::map<std::string, std::uint64_t> copies;
    for (const KeyUse& use : store_->encryption_status().uses) copies[use.key_id] = use.copies;
    const auto keys = store_->encryption();
    for (const KeyInfo& key : keys->list_keys()) {
      if (key.state == KeyState::pending_destruction || key.state == KeyState::destroyed) {
        EXPECT_EQ(copies[key.id], 0U) << key.id;
      }
      if (key.state != KeyState::decrypt_only) continue;
      if (copies[key.id] == 0) {
        keys->schedule_destruction(key.id);
      } else {
        ++refused_;
        EXPECT_THROW(keys->schedule_destruction(key.id), Error) << key.id;
      }
    }
  }
  void restart() {
    store_->close();
    open();
  }

  const TemporaryFolder folder_;
  std::mt19937_64 random_{20'261'128};
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  const std::shared_ptr<ObjectStore> objects_ = make_memory_object_store();
  MasterKey master_ = generate_master_key();
  std::unique_ptr<TieredStore> store_;
  std::map<std::string, std::string> expected_;
  std::size_t demoted_ = 0;
  std::size_t compacted_ = 0;
  std::uint64_t reencrypted_ = 0;
  std::size_t refused_ = 0;  ///< destructions
};

TEST_F(EncryptedDays, EverythingReadsUnderTheNewestKeysAndTheOldOnesAreGone) {
  for (int day = 1; day <= kDays && !HasFailure(); ++day) {
    SCOPED_TRACE("day " + std::to_string(day));
    write_some();
    if (day % 9 == 0) write_large();
    for (int part = 0; part < 4; ++part) {
      for (int i = 0; i < 10; ++i) read(draw_id());
      run();
    }
    retire_keys();
    if (day % 5 == 0) restart();
    if (day % 40 == 0) {
      const MasterKey next = generate_master_key();
      store_->encryption()->rewrap(next);
      master_ = next;
    }
  }
  EXPECT_GT(demoted_, 1000U);
  EXPECT_GT(compacted_, 10U);
  EXPECT_GT(reencrypted_, 1000U);
  EXPECT_GT(refused_, 0U);

  for (const auto& [id, body] : expected_) read(id);
  // Every week a key; the last ones are in use, or wait for their time.
  const auto keys = store_->encryption()->list_keys();
  EXPECT_GE(keys.size(), static_cast<std::size_t>(kDays / 7));
  constexpr std::size_t kNewest = 3;
  for (std::size_t i = 0; i + kNewest < keys.size(); ++i) {
    EXPECT_EQ(keys[i].state, KeyState::destroyed) << i << " of " << keys.size();
  }
  const EncryptionStatus status = store_->encryption_status();
  std::uint64_t copies = 0;
  for (const KeyUse& use : status.uses) {
    const auto key = std::ranges::find(keys, use.key_id, &KeyInfo::id);
    ASSERT_NE(key, keys.end());
    if (key->state != KeyState::active && key->state != KeyState::decrypt_only) {
      EXPECT_EQ(use.copies, 0U) << use.key_id;
    }
    copies += use.copies;
  }
  EXPECT_FALSE(status.plain_left);
  store_->close();

  const AuditReport report = audit_closed_store(kDiskEngine, folder_.path(), *objects_, {}, make_keys());
  EXPECT_TRUE(report.clean()) << report;
  EXPECT_EQ(report.documents, expected_.size());
  EXPECT_EQ(report.plain_copies, 0U);
  EXPECT_EQ(report.sealed_copies, copies);
  EXPECT_EQ(report.key_rings, 1U);
  const ObjectPage page = objects_->list("", "", 1000);
  ASSERT_FALSE(page.more);
  for (const ObjectInfo& info : page.objects) {
    const auto bytes = objects_->get(info.name, 64_MiB);
    ASSERT_TRUE(bytes) << info.name;
    EXPECT_EQ(as_text(*bytes).find(kCanary), std::string_view::npos) << info.name;
  }
}

}  // namespace
}  // namespace db4::testing
