// Every kind of request to the object store fails at every place where a small life of a store makes it, in
// every way: each call ends right or in a clear error, and no object is left that nobody names.

#include "objects/object_stores.hpp"
#include "support/audit.hpp"
#include "support/fault_object_store.hpp"
#include "support/hasty_clock.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gtest/gtest.h>

#include <map>

namespace db4::testing {
namespace {

constexpr std::string_view kCollection = "c";

/// One life of a store over a faulty object store, and what must be true of it.
class Life {
 public:
  explicit Life(std::uint32_t max_attempts) : max_attempts_(max_attempts) {
    objects_->whole_remove_many();
    open();
  }

  void run() {
    for (int i = 0; i < 3; ++i) write("alone-" + std::to_string(i), 6000, {.tier = StorageTier::cold});
    write_batch("packed-", 4, {.tier = StorageTier::cold});
    for (int i = 0; i < 3; ++i) write("small-" + std::to_string(i), 300);
    write("large", 7000);
    age();  // demotes a segment of three and an object
    read_all();
    write("alone-0", 100);                               // frees an object
    write("packed-1", 50, {.tier = StorageTier::cold});  // frees a place in a segment
    for (const char* id : {"alone-1", "packed-0", "packed-2", "small-1", "small-2"}) remove(id);
    attempt([&] { store_->promote(kCollection, "large", StorageTier::hot); });
    attempt([&] { store_->demote(kCollection, "large", StorageTier::cold, {.keep_in_source = true}); });
    age();
    clock_->advance(1h);
    age();
    read_all();
  }

  void check(bool faults_hit) {
    objects_->clear_faults();
    for (const auto& [id, body] : documents_) {
      const auto document = store_->read(kCollection, id);
      ASSERT_TRUE(document) << id;
      EXPECT_TRUE(document->text() == body) << id;
    }
    EXPECT_EQ(store_->scan(kCollection, {}).items.size(), documents_.size());
    EXPECT_TRUE(faults_hit || errors_.empty()) << "without a fault nothing may fail: " << errors_.front();
    audit(/*nothing_left=*/false);
    open();
    // Intents expire, garbage falls due, segments are looked at, and then deleted.
    for (int round = 0; round < 4; ++round) {
      clock_->advance(3h);
      while (store_->cold_storage().collect_garbage().more) {
      }
    }
    audit(/*nothing_left=*/true);
  }

  FaultObjectStore& objects() { return *objects_; }

 private:
  void open() {
    store_ = std::make_unique<TieredStore>(
        TieredStoreConfig{
            .hot = {.type = kDiskEngine, .path = folder_.path(), .durability = Durability::none},
            .warm = {.max_size = 0},
            .cold = {.compression = Compression::none,
                     .pack_below = 4_KiB,
                     .max_attempts = max_attempts_,
                     .retry_base_delay = 1s},
            .tiering = {.promote_on_read = false, .interval = 0ms},
            .live = {.enabled = false}},
        Components{.clock = clock_, .random = seeded_random(++opened_), .object_store = objects_});
  }

  /// Whether the call came through; a failure must say what to do, and be one that a fault explains.
  template <typename Call>
  bool attempt(const Call& call) {
    try {
      call();
      return true;
    } catch (const Error& error) {
      errors_.emplace_back(error.what());
      EXPECT_TRUE(error.code() == ErrorCode::unavailable || error.code() == ErrorCode::deadline_exceeded)
          << error.what();
      EXPECT_FALSE(error.advice().empty());
      return false;
    }
  }
  void write(const std::string& id, std::size_t size, const WriteOptions& options = {}) {
    const std::string body = id + std::string(size, '.') + std::to_string(++written_);
    if (attempt([&] { store_->write_bytes(kCollection, id, as_bytes(body), options); })) {
      documents_[id] = body;
    }
  }
  void write_batch(const std::string& prefix, int count, const WriteOptions& options) {
    std::vector<BatchItem> items;
    for (int i = 0; i < count; ++i) {
      items.push_back({.id = prefix + std::to_string(i),
                       .body = prefix + std::string(200, '.') + std::to_string(++written_),
                       .content_type = "text/plain"});
    }
    if (!attempt([&] { store_->write_batch(kCollection, items, options); })) return;
    for (const BatchItem& item : items) documents_[item.id] = item.body;
  }
  void remove(const std::string& id) {
    if (attempt([&] { store_->remove(kCollection, id); })) documents_.erase(id);
  }
  void read_all() {
    for (const auto& [id, body] : documents_) {
      attempt([&, &wanted_id = id, &wanted = body] {
        const auto document = store_->read(kCollection, wanted_id, {.promote = false});
        ASSERT_TRUE(document) << wanted_id;
        EXPECT_TRUE(document->text() == wanted) << wanted_id;
      });
    }
  }
  void age() {
    clock_->advance(48h);
    attempt([&] {
      const TieringResult result = store_->run_tiering();
      for (const std::string& error : result.errors) errors_.push_back(error);
    });
  }
  void audit(bool nothing_left) {
    store_->close();
    store_.reset();
    const AuditReport report = audit_closed_store(kDiskEngine, folder_.path(), *bare_);
    EXPECT_TRUE(report.clean()) << report;
    if (nothing_left) {
      EXPECT_EQ(report.intents + report.garbage + report.empty_segments, 0U) << report;
    }
  }

  const std::uint32_t max_attempts_;
  TemporaryFolder folder_;
  std::shared_ptr<HastyClock> clock_ = std::make_shared<HastyClock>();
  std::shared_ptr<ObjectStore> bare_ = objects::make_memory_object_store();
  std::shared_ptr<FaultObjectStore> objects_ = std::make_shared<FaultObjectStore>(bare_, 1, clock_);
  std::unique_ptr<TieredStore> store_;
  std::map<std::string, std::string> documents_;
  std::vector<std::string> errors_;
  std::uint64_t opened_ = 0;
  std::uint64_t written_ = 0;
};

class FaultSweep : public ::testing::TestWithParam<FaultPoint> {};

TEST_P(FaultSweep, EveryRequestMayFailOnce) {
  Life undisturbed(3);
  undisturbed.run();
  undisturbed.check(/*faults_hit=*/false);
  std::size_t lives = 0;
  for (std::size_t kind = 0; kind < kObjectOperations; ++kind) {
    const auto operation = static_cast<ObjectOperation>(kind);
    const std::uint64_t made = undisturbed.objects().count(operation);
    for (std::uint64_t nth = 1; nth <= made; ++nth) {
      for (const std::uint32_t attempts : {1U, 3U}) {
        SCOPED_TRACE(::testing::Message()
                     << to_string(operation) << " number " << nth << ", " << attempts << " attempts");
        Life life(attempts);
        life.objects().fail_nth(operation, nth, GetParam());
        life.run();
        const bool hit = life.objects().failed(operation) > 0;
        life.check(hit);
        ++lives;
        if (HasFailure()) return;
      }
    }
  }
  RecordProperty("lives", static_cast<int>(lives));
  EXPECT_GT(lives, 20U);
}

INSTANTIATE_TEST_SUITE_P(Ways, FaultSweep,
                         ::testing::Values(FaultPoint::before, FaultPoint::after, FaultPoint::truncated,
                                           FaultPoint::stalled),
                         [](const auto& param) {
                           switch (param.param) {
                             case FaultPoint::before:
                               return "Before";
                             case FaultPoint::after:
                               return "After";
                             case FaultPoint::truncated:
                               return "Truncated";
                             default:
                               return "Stalled";
                           }
                         });

TEST(FaultSweep, ManyRequestsFailByChance) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    Life life(seed % 2 == 0 ? 1 : 3);
    for (std::size_t kind = 0; kind < kObjectOperations; ++kind) {
      life.objects().fail_with_probability(
          static_cast<ObjectOperation>(kind), 0.05 * static_cast<double>(1 + seed % 5),
          ErrorCode::unavailable,
          {FaultPoint::before, FaultPoint::after, FaultPoint::truncated, FaultPoint::stalled});
    }
    life.run();
    life.check(/*faults_hit=*/true);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace db4::testing
