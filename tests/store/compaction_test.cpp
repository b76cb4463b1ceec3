// Compaction: segments under half alive are rewritten, and nothing that lives notices.

#include "objects/object_stores.hpp"
#include "support/audit.hpp"
#include "support/fault_object_store.hpp"
#include "support/hasty_clock.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gtest/gtest.h>

namespace db4::testing {
namespace {

constexpr std::string_view kCollection = "c";
constexpr std::size_t kDocuments = 400;
constexpr std::chrono::minutes kGrace{10};

class CompactionTest : public ::testing::Test {
 protected:
  CompactionTest() { open(); }
  void open() {
    store_ = std::make_unique<TieredStore>(
        TieredStoreConfig{
            .hot = {.type = kDiskEngine,
                    .path = folder_.path(),
                    .cache_size = 0,
                    .durability = Durability::none},
            .warm = {.max_size = 0},
            .cold = {.pack_below = 4_KiB, .segment_size = 64_KiB, .garbage_grace = kGrace, .max_attempts = 1},
            .tiering = {.promote_on_read = false, .interval = 0ms},
            .live = {.enabled = false}},
        Components{.clock = clock_, .random = seeded_random(++opened_), .object_store = objects_});
  }
  static std::string id_of(std::size_t i) { return "id-" + std::to_string(i); }
  /// Bodies that no codec makes smaller.
  static std::string body_of(std::size_t i) {
    std::string body = std::to_string(i) + ":";
    std::mt19937_64 random(i);
    while (body.size() < 1000) body.push_back(static_cast<char>(random()));
    return body;
  }
  void fill() {
    std::vector<BatchItem> items;
    for (std::size_t i = 0; i < kDocuments; ++i) {
      items.push_back({.id = id_of(i), .body = body_of(i), .content_type = "text/plain"});
    }
    store_->write_batch(kCollection, items, {.tier = StorageTier::cold});
  }
  /// Leaves every n-th document alive, and has the segments looked at.
  void thin_out(std::size_t n) {
    for (std::size_t i = 0; i < kDocuments; ++i) {
      if (i % n != 0) store_->remove(kCollection, id_of(i));
    }
    survivors_ = n;
    pass_grace();
  }
  void pass_grace() {
    clock_->advance(kGrace + 2s);
    while (store_->cold_storage().collect_garbage().more) {
    }
  }
  void check_survivors() {
    for (std::size_t i = 0; i < kDocuments; ++i) {
      const auto document = store_->read(kCollection, id_of(i));
      ASSERT_EQ(document.has_value(), i % survivors_ == 0) << i;
      EXPECT_TRUE(!document || document->text() == body_of(i)) << i;
    }
  }
  AuditReport audit() {
    store_->close();
    store_.reset();
    return audit_closed_store(kDiskEngine, folder_.path(), *bare_);
  }
  std::uint64_t stored_bytes() {
    std::uint64_t sum = 0;
    for (const ObjectInfo& info : bare_->list("", "", 1000).objects) sum += info.size;
    return sum;
  }

  TemporaryFolder folder_;
  std::shared_ptr<HastyClock> clock_ = std::make_shared<HastyClock>();
  std::shared_ptr<ObjectStore> bare_ = objects::make_memory_object_store();
  std::shared_ptr<FaultObjectStore> objects_ = std::make_shared<FaultObjectStore>(bare_, 1, clock_);
  std::unique_ptr<TieredStore> store_;
  std::size_t survivors_ = 1;
  std::uint64_t opened_ = 0;
};

TEST_F(CompactionTest, RewritesSparseSegmentsIntoFewAndFreesThem) {
  fill();
  const std::uint64_t before = stored_bytes();
  const std::size_t objects_before = bare_->list("", "", 1000).objects.size();
  thin_out(5);
  const CompactResult result = store_->cold_storage().compact();
  EXPECT_EQ(result.first_error, "");
  EXPECT_EQ(result.segments, objects_before);
  EXPECT_EQ(result.records, kDocuments / 5);
  EXPECT_LE(result.new_segments, 2U) << "several into one";
  EXPECT_EQ(result.freed_bytes, before);
  EXPECT_FALSE(result.more);
  check_survivors();
  pass_grace();
  pass_grace();
  EXPECT_LT(stored_bytes(), before / 4);
  EXPECT_EQ(store_->cold_storage().stats().object_bytes, stored_bytes());
  check_survivors();
  clock_->advance(2h);  // a new segment is looked at once, an hour after it was put
  pass_grace();
  const AuditReport report = audit();
  EXPECT_TRUE(report.clean()) << report;
  EXPECT_EQ(report.garbage + report.sparse, 0U) << report;
}

TEST_F(CompactionTest, LeavesWhatIsHalfAliveAndAsksNobody) {
  fill();
  for (std::size_t i = 0; i < kDocuments; i += 3) store_->remove(kCollection, id_of(i));
  pass_grace();
  const std::uint64_t asked = objects_->count_all();
  const CompactResult result = store_->cold_storage().compact();
  EXPECT_EQ(result.segments, 0U);
  EXPECT_EQ(objects_->count_all(), asked);
}

TEST_F(CompactionTest, IsPartOfATieringRunWithinItsBounds) {
  fill();
  thin_out(5);
  EXPECT_EQ(store_->run_tiering({.max_operations = 0}).compacted_segments, 0U);
  const TieringResult first = store_->run_tiering({.max_operations = 20});
  EXPECT_GE(first.compacted_segments, 1U);
  EXPECT_LE(first.compacted_segments, 2U);
  EXPECT_EQ(store_->run_tiering({.dry_run = true}).compacted_segments, 0U);
  for (int run = 0; run < 20; ++run) store_->run_tiering({.max_operations = 20});
  EXPECT_EQ(store_->run_tiering().compacted_segments, 0U) << "nothing is left to rewrite";
  check_survivors();
  EXPECT_TRUE(audit().clean());
}

TEST_F(CompactionTest, TheCopiesOfHotDocumentsMoveToo) {
  fill();
  ASSERT_TRUE(store_->promote(kCollection, id_of(0), StorageTier::hot));
  thin_out(5);
  store_->cold_storage().compact();
  check_survivors();
  // Its cold copy is good: demoting it changes a row, nothing else.
  const std::uint64_t puts = objects_->count(ObjectOperation::put);
  ASSERT_TRUE(store_->demote(kCollection, id_of(0), StorageTier::cold));
  EXPECT_EQ(objects_->count(ObjectOperation::put), puts);
  check_survivors();
  EXPECT_TRUE(audit().clean());
}

TEST_F(CompactionTest, AReaderOnItsWayGetsItsDocument) {
  fill();
  thin_out(5);
  bool once = false;
  objects_->set_hook([&](ObjectOperation operation, std::string_view) {
    // The reader has its row; before its request arrives the segment is rewritten, freed and deleted.
    if (operation != ObjectOperation::get_range || std::exchange(once, true)) return;
    store_->cold_storage().compact();
    pass_grace();
    pass_grace();
  });
  EXPECT_TRUE(store_->read(kCollection, id_of(0))->text() == body_of(0));
  EXPECT_TRUE(once);
}

TEST_F(CompactionTest, ARowThatChangesMeanwhileIsLeftToWhoChangedIt) {
  fill();
  thin_out(5);
  bool once = false;
  objects_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation != ObjectOperation::put || std::exchange(once, true)) return;
    store_->write_bytes(kCollection, id_of(0), as_bytes("new"));
    store_->remove(kCollection, id_of(5));
    store_->promote(kCollection, id_of(10), StorageTier::hot);
  });
  store_->cold_storage().compact();
  EXPECT_EQ(store_->read(kCollection, id_of(0))->text(), "new");
  EXPECT_FALSE(store_->read(kCollection, id_of(5)));
  EXPECT_TRUE(store_->read(kCollection, id_of(10))->text() == body_of(10));
  for (int round = 0; round < 4; ++round) {
    pass_grace();
    store_->cold_storage().compact();
  }
  EXPECT_TRUE(store_->read(kCollection, id_of(10))->text() == body_of(10));
  const AuditReport report = audit();
  EXPECT_TRUE(report.clean()) << report;
}

TEST_F(CompactionTest, ADamagedRecordStaysAndIsNotTriedForEver) {
  fill();
  thin_out(5);
  // In every segment: one bit of the first record.
  for (const ObjectInfo& info : bare_->list("", "", 1000).objects) {
    Bytes bytes = *bare_->get(info.name, info.size);
    bytes[200] ^= std::byte{1};
    bare_->put(info.name, bytes);
  }
  const CompactResult result = store_->cold_storage().compact();
  EXPECT_GT(result.damaged_records, 0U);
  EXPECT_GT(result.records, result.damaged_records);
  std::size_t damaged = 0;
  for (std::size_t i = 0; i < kDocuments; i += 5) {
    try {
      EXPECT_TRUE(store_->read(kCollection, id_of(i))->text() == body_of(i));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::corrupt);
      ++damaged;
    }
  }
  EXPECT_EQ(damaged, result.damaged_records);
  pass_grace();  // what was freed brings the segments up once more
  store_->cold_storage().compact();
  pass_grace();
  const std::uint64_t asked = objects_->count_all();
  EXPECT_EQ(store_->cold_storage().compact().segments, 0U);
  EXPECT_EQ(objects_->count_all(), asked);
}

TEST_F(CompactionTest, StoppedByAnyFailureTheNextRunFinishes) {
  // The life without a fault says how many requests there are.
  for (const FaultPoint point : {FaultPoint::before, FaultPoint::after}) {
    for (const ObjectOperation operation : {ObjectOperation::put, ObjectOperation::get_range}) {
      for (std::uint64_t nth = 1; nth <= 4; ++nth) {
        SCOPED_TRACE(::testing::Message() << to_string(operation) << " " << nth);
        fill();
        thin_out(5);
        objects_->fail_nth(operation, nth, point);
        const CompactResult failed = store_->cold_storage().compact({.max_records = 1000});
        EXPECT_EQ(failed.first_error.empty(), !failed.more);
        check_survivors();
        store_->close();  // a crash that lost nothing it had committed
        store_.reset();
        EXPECT_TRUE(audit_closed_store(kDiskEngine, folder_.path(), *bare_).clean());
        objects_->clear_faults();
        open();
        EXPECT_EQ(store_->cold_storage().compact().first_error, "");
        check_survivors();
        for (int round = 0; round < 3; ++round) {
          clock_->advance(3h);
          pass_grace();
        }
        if (HasFailure()) return;
      }
    }
  }
  const AuditReport report = audit();
  EXPECT_TRUE(report.clean()) << report;
  EXPECT_EQ(report.intents + report.garbage + report.sparse, 0U) << report;
}

TEST_F(CompactionTest, AStopEndsItAndIsNoError) {
  fill();
  thin_out(5);
  std::stop_source stop;
  stop.request_stop();
  const CompactResult result = store_->cold_storage().compact({.stop = stop.get_token()});
  EXPECT_EQ(result.segments, 0U);
  EXPECT_EQ(result.first_error, "");
  EXPECT_TRUE(result.more);
}

}  // namespace
}  // namespace db4::testing
