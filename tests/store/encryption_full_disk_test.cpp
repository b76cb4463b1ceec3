// An object store that is full, under the keys of an encrypted store: what cannot be put anew stays as it
// was, is read, and is done another time.
#include "objects/object_stores.hpp"
#include "support/audit.hpp"
#include "support/fault_object_store.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>

namespace db4::testing {
namespace {

using ::testing::HasSubstr;

class EncryptionFullDiskTest : public ::testing::Test {
 protected:
  EncryptionFullDiskTest() { open(); }

  void open() {
    store_.reset();
    TieredStoreConfig config{
        .hot = {.type = kDiskEngine, .path = folder_.path() / "hot", .durability = Durability::process},
        .warm = {.max_size = 0},
        .cold = {.max_attempts = 1},
        .tiering = {.promote_on_read = false, .interval = 0ms},
        .live = {.enabled = false}};
    config.sealing.reencrypt = false;
    config.encryption = keys();
    store_ = std::make_unique<TieredStore>(config, Components{.clock = clock_, .object_store = faulty_});
  }
  std::shared_ptr<EncryptionManager> keys() const {
    return std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = master_}, clock_);
  }
  void expect_sound() {
    store_->close();
    store_.reset();
    const AuditReport report = audit_closed_store(kDiskEngine, folder_.path() / "hot", *memory_, {}, keys());
    EXPECT_TRUE(report.clean()) << report;
    open();
  }
  static std::string body(int i) { return "body of " + std::to_string(i) + std::string(i * 50, 'x'); }
  void write(int from, int until) {
    for (int i = from; i < until; ++i) store_->write_bytes("c", std::to_string(i), as_bytes(body(i)));
  }
  void expect_all(int until) {
    for (int i = 0; i < until; ++i) ASSERT_EQ(store_->read("c", std::to_string(i))->text(), body(i)) << i;
  }
  std::vector<std::string> ring_copies() const {
    std::vector<std::string> out;
    for (const ObjectInfo& info : memory_->list("", "", 1000).objects) {
      if (info.name.find("/keys/") != std::string::npos) out.push_back(info.name);
    }
    return out;
  }

  const TemporaryFolder folder_;
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>(system_clock()->now());
  const std::shared_ptr<ObjectStore> memory_ = objects::make_memory_object_store();
  const std::shared_ptr<FaultObjectStore> faulty_ = std::make_shared<FaultObjectStore>(memory_);
  const MasterKey master_ = generate_master_key();
  std::unique_ptr<TieredStore> store_;
};

/// Nothing is put there that the copy of the ring does not open.
TEST_F(EncryptionFullDiskTest, NothingGoesToColdBeforeTheCopyOfTheKeyRing) {
  write(0, 20);
  for (const FaultPoint point : {FaultPoint::before, FaultPoint::after}) {
    clock_->advance(48h);
    faulty_->fail_nth(ObjectOperation::put, 1, point, ErrorCode::resource_exhausted);
    const TieringResult result = store_->run_tiering();
    ASSERT_FALSE(result.errors.empty());
    EXPECT_THAT(result.errors[0], HasSubstr("injected"));
    if (point == FaultPoint::before) {
      EXPECT_EQ(store_->stats().cold.documents, 0U);
    }
    expect_all(20);
    expect_sound();
  }
  // Once more: the copy of before a rotation is no use, and the new one cannot be put.
  clock_->advance(48h);
  store_->run_tiering();
  EXPECT_EQ(store_->stats().cold.documents, 20U);
  const std::vector<std::string> before = ring_copies();
  ASSERT_EQ(before.size(), 1U);
  store_->encryption()->rotate_key();
  write(20, 30);
  faulty_->fail_nth(ObjectOperation::put, 1, FaultPoint::before, ErrorCode::resource_exhausted);
  EXPECT_THROW(store_->demote("c", "20", StorageTier::cold), Error);
  EXPECT_EQ(ring_copies(), before);
  expect_all(30);
  expect_sound();
  store_->demote("c", "20", StorageTier::cold);
  ASSERT_EQ(ring_copies().size(), 1U);
  EXPECT_NE(ring_copies(), before);
  expect_all(30);
  expect_sound();
}

TEST_F(EncryptionFullDiskTest, AReencryptionStopsLosesNothingAndGoesOn) {
  write(0, 60);
  clock_->advance(48h);
  ASSERT_TRUE(store_->run_tiering().errors.empty());
  const std::string large(700'000, 'L');
  store_->cold_storage().write_large("c", "large", ByteSource::bytes(as_bytes(large)));
  write(60, 80);
  for (const auto& [operation, nth] :
       std::vector<std::pair<ObjectOperation, std::uint64_t>>{{ObjectOperation::put, 1},
                                                              {ObjectOperation::put, 2},
                                                              {ObjectOperation::begin_multipart, 1},
                                                              {ObjectOperation::put_part, 1},
                                                              {ObjectOperation::complete_multipart, 1}}) {
    SCOPED_TRACE(std::string(to_string(operation)) + " " + std::to_string(nth));
    store_->encryption()->rotate_key();
    faulty_->fail_nth(operation, nth, FaultPoint::before, ErrorCode::resource_exhausted);
    std::string said;
    try {
      const ReencryptResult result = store_->reencrypt();
      EXPECT_GT(result.failed, 0U);
      said = result.first_error;
    } catch (const Error& error) {  // the ring's copy comes before all
      EXPECT_EQ(error.code(), ErrorCode::resource_exhausted);
      said = error.what();
    }
    EXPECT_THAT(said, HasSubstr("injected"));
    EXPECT_GT(store_->encryption_status().copies_on_old_keys, 0U);
    expect_all(80);
    EXPECT_EQ(store_->read("c", "large")->text(), large);
    expect_sound();

    for (int i = 0; i < 10 && store_->reencrypt().more; ++i) {
    }
    EXPECT_EQ(store_->encryption_status().copies_on_old_keys, 0U);
    for (const KeyInfo& key : store_->encryption()->list_keys()) {
      if (key.state == KeyState::decrypt_only) {
        EXPECT_NO_THROW(store_->encryption()->schedule_destruction(key.id)) << "nothing needs it";
      }
    }
    expect_all(80);
    EXPECT_EQ(store_->read("c", "large")->text(), large);
    expect_sound();
  }
  clock_->advance(48h);
  store_->cold_storage().collect_garbage();
  clock_->advance(48h);
  store_->cold_storage().collect_garbage();
  EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
  expect_sound();
}

}  // namespace
}  // namespace db4::testing
