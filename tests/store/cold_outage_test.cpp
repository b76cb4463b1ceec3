// What a store does while its object store is slow, failing or away.

#include "objects/object_stores.hpp"
#include "support/fault_object_store.hpp"
#include "support/hasty_clock.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace db4::testing {
namespace {

using ::testing::HasSubstr;

/// A store in memory over a faulty object store, on a clock that jumps to whatever is waited for.
class ColdOutage : public ::testing::Test {
 protected:
  ColdOutage() {
    store_ = std::make_unique<TieredStore>(
        TieredStoreConfig{.hot = {.type = HotType::memory, .cache_size = 0},
                          .warm = {.max_size = 1_MiB},
                          .cold = {.compression = Compression::none},
                          .tiering = {.promote_on_read = false, .interval = 0ms}},
        Components{.clock = clock_, .random = seeded_random(1), .object_store = objects_});
  }
  static std::string id_of(std::size_t i) { return "id-" + std::to_string(i); }
  void write_many(std::size_t count, std::size_t size, const WriteOptions& options = {}) {
    const std::string body(size, 'x');
    for (std::size_t i = 0; i < count; ++i) store_->write_bytes("c", id_of(i), as_bytes(body), options);
  }

  std::shared_ptr<HastyClock> clock_ = std::make_shared<HastyClock>();
  std::shared_ptr<FaultObjectStore> objects_ =
      std::make_shared<FaultObjectStore>(objects::make_memory_object_store(), 1, clock_);
  std::unique_ptr<TieredStore> store_;
};

TEST_F(ColdOutage, AFailedRequestIsRepeatedAndCounted) {
  store_->write_bytes("c", "a", as_bytes("body"), {.tier = StorageTier::cold});
  objects_->script(ObjectOperation::get_range, {FaultPoint::before, FaultPoint::after});
  EXPECT_EQ(store_->read("c", "a")->text(), "body");
  const ColdStats stats = store_->cold_storage().stats();
  const RequestStats& reads = stats.requests[static_cast<std::size_t>(ObjectOperation::get_range)];
  EXPECT_EQ(reads.retries, 2U);
  EXPECT_EQ(reads.failures, 2U);
  EXPECT_EQ(reads.requests, stats.get_requests);
}

TEST_F(ColdOutage, AReadKeepsToItsTimeout) {
  store_->write_bytes("c", "a", as_bytes("body"), {.tier = StorageTier::cold});
  objects_->fail_all(FaultPoint::stalled);
  const MonotonicTime started = clock_->monotonic();
  try {
    (void)store_->read("c", "a", {.timeout = 2s});
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::deadline_exceeded);
  }
  EXPECT_EQ(clock_->monotonic() - started, 2s);
}

TEST_F(ColdOutage, HotAndWarmServeWhileColdIsAway) {
  write_many(3, 10);
  store_->write_bytes("c", "warm", as_bytes("body"), {.tier = StorageTier::warm});
  objects_->fail_all();
  EXPECT_EQ(store_->read("c", id_of(1))->served_from(), StorageTier::hot);
  EXPECT_EQ(store_->read("c", "warm")->served_from(), StorageTier::warm);
  store_->write_bytes("c", id_of(2), as_bytes("new"));
  EXPECT_EQ(store_->read("c", id_of(2))->text(), "new");
}

TEST_F(ColdOutage, ATieringRunGivesUpSoonAndTheNextOneGoesOn) {
  constexpr std::size_t kDocuments = 100;
  write_many(kDocuments, 200'000);  // each an object of its own
  clock_->advance(48h);
  objects_->fail_all();
  const TieringResult result = store_->run_tiering();
  EXPECT_EQ(result.demoted, 0U);
  EXPECT_EQ(result.failed, 3U);
  EXPECT_TRUE(result.more);
  EXPECT_THAT(result.stopped_by, HasSubstr("failed 3 times in a row"));
  EXPECT_LE(objects_->count_all(), 3U * ColdConfig{}.max_attempts * 2);
  EXPECT_EQ(store_->stats().moves.stopped_runs, 1U);
  EXPECT_EQ(store_->read("c", id_of(7))->served_from(), StorageTier::hot);

  objects_->clear_faults();
  clock_->advance(48h);
  const TieringResult after = store_->run_tiering();
  EXPECT_EQ(after.stopped_by, "");
  EXPECT_GE(after.demoted, kDocuments - 1);
}

TEST_F(ColdOutage, AProviderThatHangsTakesNoMoreThanHalfOfARun) {
  write_many(10, 200'000);
  clock_->advance(48h);
  objects_->fail_all(FaultPoint::stalled);
  const MonotonicTime started = clock_->monotonic();
  const TieringResult result = store_->run_tiering({.max_duration = 30s});
  EXPECT_THAT(result.stopped_by, HasSubstr("did not answer"));
  EXPECT_LE(clock_->monotonic() - started, 16s);
}

TEST_F(ColdOutage, TheGarbageWaitsForAProviderThatIsAway) {
  write_many(30, 10, {.tier = StorageTier::cold});
  for (std::size_t i = 0; i < 30; ++i) store_->remove("c", id_of(i));
  clock_->advance(1h);
  objects_->whole_remove_many();
  objects_->fail_all();
  const GarbageResult failed = store_->cold_storage().collect_garbage();
  EXPECT_EQ(failed.deleted_objects, 0U);
  EXPECT_EQ(failed.failed_objects, 30U);
  objects_->clear_faults();
  const std::uint64_t asked = objects_->count_all();
  EXPECT_EQ(store_->cold_storage().collect_garbage().deleted_objects, 30U);
  EXPECT_EQ(objects_->count_all() - asked, 1U) << "all of them in one request";
  EXPECT_TRUE(objects_->list("", "", 10).objects.empty());
}

/// Says that it has proved what it holds, as a store does whose provider returns a digest.
class VerifyingStore final : public ObjectStoreLayer {
 public:
  using ObjectStoreLayer::ObjectStoreLayer;
  using ObjectStoreLayer::put;
  PutResult put(std::string_view name, ByteView body, const PutOptions& options) override {
    PutResult result = ObjectStoreLayer::put(name, body, options);
    result.verified = true;
    return result;
  }
};

TEST(ColdRequests, AHundredThousandSmallDocumentsCostUnderTwoHundred) {
  constexpr std::size_t kDocuments = 100'000;
  constexpr std::size_t kBatch = 1000;
  const auto clock = std::make_shared<HastyClock>();
  const auto objects = std::make_shared<FaultObjectStore>(objects::make_memory_object_store());
  TieredStore store({.hot = {.type = HotType::memory, .cache_size = 0},
                     .warm = {.max_size = 0},
                     .cold = {.compression = Compression::none},
                     .tiering = {.interval = 0ms}},
                    {.clock = clock, .object_store = std::make_shared<VerifyingStore>(objects)});
  const std::string body(1024, 'x');
  for (std::size_t i = 0; i < kDocuments; i += kBatch) {
    std::vector<BatchItem> items;
    for (std::size_t k = i; k < i + kBatch; ++k) {
      items.push_back({.id = std::to_string(k), .body = body, .content_type = "text/plain"});
    }
    store.write_batch("c", items);
  }
  clock->advance(48h);
  const TieringResult result = store.run_tiering({.max_operations = kDocuments});
  EXPECT_EQ(result.demoted, kDocuments);
  EXPECT_LT(objects->count_all(), 200U);
  EXPECT_EQ(objects->count(ObjectOperation::get_range), 0U) << "what is proved is not read back";
  RecordProperty("requests", static_cast<int>(objects->count_all()));
}

}  // namespace
}  // namespace db4::testing
