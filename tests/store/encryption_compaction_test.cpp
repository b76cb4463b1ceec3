// Compaction in an encrypted store: what it writes is under one key, or plain, whatever it copies.
#include "objects/object_stores.hpp"
#include "support/audit.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gtest/gtest.h>

namespace db4::testing {
namespace {

constexpr int kDocuments = 100;
constexpr std::chrono::minutes kGrace{10};

class EncryptionCompactionTest : public ::testing::Test {
 protected:
  void open(bool keys, bool writes) {
    store_.reset();
    TieredStoreConfig config{
        .hot = {.type = kDiskEngine, .path = folder_.path(), .durability = Durability::process},
        .warm = {.max_size = 0},
        .cold = {.pack_below = 4096, .garbage_grace = kGrace, .max_attempts = 1},
        .tiering = {.promote_on_read = false, .interval = 0ms},
        .live = {.enabled = false}};
    config.sealing.reencrypt = false;
    config.sealing.writes = writes;
    if (keys) config.encryption = make_keys();
    store_ = std::make_unique<TieredStore>(config, Components{.clock = clock_, .object_store = objects_});
  }
  [[nodiscard]] std::shared_ptr<EncryptionManager> make_keys() const {
    return std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = master_}, clock_);
  }
  /// Into one segment.
  void fill() {
    std::vector<BatchItem> items;
    items.reserve(kDocuments);
    for (int i = 0; i < kDocuments; ++i) {
      items.push_back({.id = std::to_string(i), .body = body(i), .content_type = "text/plain"});
    }
    store_->write_batch("c", items, {.tier = StorageTier::cold});
  }
  static std::string body(int i) { return std::to_string(i) + std::string(500, 'x'); }
  /// Removes documents until those below `until` are left, and has the segments looked at.
  void thin_out(int until) {
    for (int i = until; i < left_; ++i) store_->remove("c", std::to_string(i));
    left_ = until;
    clock_->advance(kGrace + 2s);
    while (store_->cold_storage().collect_garbage().more) {
    }
  }
  void compact() {
    const CompactResult result = store_->cold_storage().compact();
    EXPECT_EQ(result.segments, 1U);
    EXPECT_EQ(result.records, static_cast<std::size_t>(left_));
    EXPECT_EQ(result.damaged_records, 0U);
    EXPECT_EQ(result.first_error, "");
    for (int i = 0; i < left_; ++i) EXPECT_EQ(store_->read("c", std::to_string(i))->text(), body(i));
  }
  std::string key_of(int i) { return store_->explain("c", std::to_string(i))->key_id; }

  const TemporaryFolder folder_;
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  const std::shared_ptr<ObjectStore> objects_ = make_memory_object_store();
  const MasterKey master_ = generate_master_key();
  std::unique_ptr<TieredStore> store_;
  int left_ = kDocuments;
};

TEST_F(EncryptionCompactionTest, NoSegmentNeedsAKeyThatItsRecordsDoNotNeed) {
  open(/*keys=*/true, /*writes=*/true);
  fill();
  const auto keys = store_->encryption();
  const std::string oldest = keys->active_key_id();
  const std::string middle = keys->rotate_key().new_key_id;
  thin_out(30);
  compact();
  EXPECT_EQ(key_of(7), middle);
  keys->rotate_key();
  EXPECT_THROW(keys->schedule_destruction(middle), Error);
  keys->schedule_destruction(oldest);
  clock_->advance(8 * 24h);
  EXPECT_EQ(keys->process_expirations().destroyed, std::vector{oldest});
  thin_out(10);
  compact();
  store_->close();
  const AuditReport report = audit_closed_store(kDiskEngine, folder_.path(), *objects_, {}, make_keys());
  EXPECT_TRUE(report.clean()) << report;
}

TEST_F(EncryptionCompactionTest, WhatIsMadePlainAgainNeedsNoKey) {
  open(/*keys=*/false, /*writes=*/true);
  fill();
  open(/*keys=*/true, /*writes=*/true);
  thin_out(30);
  compact();
  EXPECT_EQ(key_of(7), store_->encryption()->active_key_id());
  open(/*keys=*/true, /*writes=*/false);
  EXPECT_FALSE(store_->reencrypt().more);
  open(/*keys=*/false, /*writes=*/false);
  thin_out(10);
  compact();
}

TEST_F(EncryptionCompactionTest, WhereWritesArePlainSoIsWhatIsCompacted) {
  open(/*keys=*/true, /*writes=*/true);
  fill();
  open(/*keys=*/true, /*writes=*/false);
  thin_out(30);
  compact();
  EXPECT_EQ(key_of(7), "");
}

}  // namespace
}  // namespace db4::testing
