// The catalogue's protocol: compare-and-set, versions that rise past purges, and what becomes of objects.
#include "catalog/catalog.hpp"

#include "base/hash.hpp"
#include "catalog/garbage.hpp"
#include "catalog/keys.hpp"
#include "catalog/spaces.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace db4::catalog {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

/// A catalogue over the memory engine, which stays reachable behind it.
class CatalogTest : public ::testing::Test {
 protected:
  CatalogTest() { open(kv::open_memory_engine({.spaces = catalog_spaces()})); }

  void open(std::unique_ptr<kv::Engine> engine) {
    engine_ = engine.get();
    catalog_ = std::make_unique<Catalog>(std::move(engine), clock_, *random_, options_);
  }

  /// Over a new engine that holds what this one does of itself and of changes, and no row.
  void reopen() {
    auto engine = kv::open_memory_engine({.spaces = catalog_spaces()});
    kv::Batch batch;
    for (const std::uint8_t space : {kMeta, kChanges}) {
      for (const kv::Entry& entry : engine_->scan(
               {.space = space, .begin = {}, .end = {}, .limit = 1'000'000, .max_bytes = 1 << 30})) {
        batch.put(space, entry.key, entry.value);
      }
    }
    const std::array group{&std::as_const(batch)};
    engine->commit(group, Durability::none);
    open(std::move(engine));
  }

  [[nodiscard]] std::vector<kv::Entry> changes() const {
    return engine_->scan(
        {.space = kChanges, .begin = {}, .end = {}, .limit = 1'000'000, .max_bytes = 1 << 30});
  }

  [[nodiscard]] std::int64_t now_us() const { return clock_->now().time_since_epoch().count(); }

  [[nodiscard]] Row hot_row(const std::optional<Row>& before) const {
    Row row;
    row.version = before ? before->version + 1 : catalog_->version_floor() + 1;
    row.size = 4;
    row.updated_at_us = now_us();
    row.content_type = "text/plain";
    row.due_us = now_us() + 1000;
    return row;
  }

  static detail::BlockRef block_of(const Row& row) {
    detail::BlockRef block = detail::DocumentBlock::create("c", "i", row.content_type, 4);
    std::memcpy(block->mutable_body(), "body", 4);
    block->version = row.version;
    return block;
  }

  bool write(const std::optional<Row>& before) {
    Row after = hot_row(before);
    const detail::BlockRef block = block_of(after);
    ChangeSet set(*catalog_);
    set.change(key_, before, std::move(after), block);
    return catalog_->commit(set);
  }

  Row remove() {
    const auto before = catalog_->find(key_);
    Row after;
    after.version = before->version + 1;
    after.state = RowState::tombstone;
    ChangeSet set(*catalog_);
    set.change(key_, before, std::move(after));
    EXPECT_TRUE(catalog_->commit(set));
    return *catalog_->find(key_);
  }

  /// The row with its body in cold, at this place.
  [[nodiscard]] static Row cold_row(Row row, ColdPlace place) {
    row.home = StorageTier::cold;
    row.due_us = 0;
    row.cold = std::move(place);
    return row;
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<RandomSource> random_ = seeded_random(1);
  kv::Engine* engine_ = nullptr;
  CatalogOptions options_{.durability = Durability::none, .kept_changes = 10};
  std::unique_ptr<Catalog> catalog_;
  const std::string key_ = document_key("c", "i");
};

TEST_F(CatalogTest, AChangeIsACompareAndSetOfTheRevision) {
  EXPECT_TRUE(write(std::nullopt));
  EXPECT_FALSE(write(std::nullopt)) << "somebody made it meanwhile";
  const auto first = catalog_->find(key_);
  EXPECT_TRUE(write(first));
  EXPECT_FALSE(write(first)) << "somebody changed it meanwhile";
  EXPECT_EQ(catalog_->find(key_)->version, 2U);
  EXPECT_EQ(catalog_->load_body(key_, *catalog_->find(key_))->body(), "body");
}

TEST_F(CatalogTest, AChangeThatFailsChangesNothing) {
  write(std::nullopt);
  const auto stale = catalog_->find(key_);
  write(stale);
  const Totals before = catalog_->totals();
  ChangeSet set(*catalog_);
  set.change(key_, stale, cold_row(*stale, {.object = "o", .length = 9}));
  EXPECT_FALSE(catalog_->commit(set));
  EXPECT_EQ(catalog_->totals()[Metric::hot_documents], before[Metric::hot_documents]);
  EXPECT_EQ(catalog_->due(0, now_us() + 2000, 10).size(), 1U);
}

TEST_F(CatalogTest, VersionsAndRevisionsStartAboveWhatWasPurged) {
  write(std::nullopt);
  const Row tombstone = remove();
  ChangeSet set(*catalog_);
  set.purge(key_, tombstone);
  ASSERT_TRUE(catalog_->commit(set));
  EXPECT_FALSE(catalog_->find(key_));
  EXPECT_GE(catalog_->version_floor(), std::max(tombstone.version, tombstone.revision));
  EXPECT_TRUE(write(std::nullopt));
  EXPECT_GT(catalog_->find(key_)->version, tombstone.version);
  EXPECT_GT(catalog_->find(key_)->revision, tombstone.revision)
      << "a sleeper's compare with a purged row must not hold again";
  EXPECT_EQ(catalog_->totals()[Metric::tombstones], 0U);
}

TEST_F(CatalogTest, WhoPlannedBeforeAPurgeRaisedTheFloorMustPlanAgain) {
  write(std::nullopt);
  const Row tombstone = remove();
  const std::string other = document_key("c", "other");
  Row planned = hot_row(std::nullopt);
  ChangeSet late(*catalog_);
  late.change(other, std::nullopt, planned, block_of(planned));
  ChangeSet purge(*catalog_);
  purge.purge(key_, tombstone);
  ASSERT_TRUE(catalog_->commit(purge));
  EXPECT_FALSE(catalog_->commit(late));
}

TEST_F(CatalogTest, ARowNamesOnlyAnObjectThatWasAnnounced) {
  write(std::nullopt);
  const Row row = *catalog_->find(key_);
  ChangeSet unannounced(*catalog_);
  unannounced.change(key_, row, cold_row(row, {.object = "object", .length = 9}));
  EXPECT_FALSE(catalog_->commit(unannounced));

  catalog_->announce_object("object", 9);
  EXPECT_THAT(catalog_->referenced_objects(), Contains("object"));
  ChangeSet named(*catalog_);
  named.change(key_, row, cold_row(row, {.object = "object", .length = 9}));
  EXPECT_TRUE(catalog_->commit(named));
  EXPECT_THAT(catalog_->referenced_objects(), Not(Contains("object"))) << "the row has it now";
  EXPECT_FALSE(catalog_->abandon_object("object", 9)) << "and nobody can give it up";
  EXPECT_EQ(catalog_->totals()[Metric::objects], 1U);
  EXPECT_EQ(catalog_->totals()[Metric::cold_documents], 1U);
  EXPECT_THAT(catalog_->due(0, now_us() + 10'000, 10), IsEmpty());
}

TEST_F(CatalogTest, AnIntentPastItsDeadlineBecomesGarbage) {
  catalog_->announce_object("lost", 9);
  EXPECT_EQ(catalog_->expire_intents(10), 0U);
  clock_->advance(2h);
  EXPECT_EQ(catalog_->expire_intents(10), 1U);
  const auto garbage = catalog_->due_garbage(10);
  ASSERT_EQ(garbage.size(), 1U);
  EXPECT_EQ(garbage[0].object, "lost");
  catalog_->settle_garbage(garbage, {});
  EXPECT_THAT(catalog_->referenced_objects(), IsEmpty());
}

TEST_F(CatalogTest, AFreedObjectIsGarbageAfterTheGrace) {
  write(std::nullopt);
  Row row = *catalog_->find(key_);
  catalog_->announce_object("object", 9);
  ChangeSet demote(*catalog_);
  demote.change(key_, row, cold_row(row, {.object = "object", .length = 9}));
  ASSERT_TRUE(catalog_->commit(demote));
  remove();
  EXPECT_THAT(catalog_->due_garbage(10), IsEmpty()) << "readers may still be at it";
  clock_->advance(11min);
  ASSERT_EQ(catalog_->due_garbage(10).size(), 1U);
  EXPECT_EQ(catalog_->totals()[Metric::objects], 0U);
}

TEST_F(CatalogTest, ASegmentLivesAsLongAsOneOfItsRecords) {
  const std::string second = document_key("c", "second");
  write(std::nullopt);
  Row row = *catalog_->find(key_);
  Row other = hot_row(std::nullopt);
  catalog_->announce_object("segment", 100);
  std::vector<ChangeSet> sets;
  sets.emplace_back(*catalog_).add_segment("segment", 100, 2);
  sets.emplace_back(*catalog_).change(key_, row,
                                      cold_row(row, {.object = "segment", .length = 40, .in_segment = true}));
  sets.emplace_back(*catalog_).change(
      second, std::nullopt,
      cold_row(other, {.object = "segment", .offset = 40, .length = 30, .in_segment = true}));
  EXPECT_THAT(catalog_->commit_all(sets), ::testing::Each(true));
  EXPECT_EQ(catalog_->find_segment("segment")->live_bytes, 70);

  remove();
  EXPECT_EQ(catalog_->find_segment("segment")->live_bytes, 30);
  clock_->advance(2h);
  for (const GarbageEntry& entry : catalog_->due_garbage(10)) catalog_->settle_segment(entry);
  EXPECT_TRUE(catalog_->find_segment("segment")) << "one record lives";

  const auto before = catalog_->find(second);
  Row tombstone;
  tombstone.version = before->version + 1;
  tombstone.state = RowState::tombstone;
  ChangeSet last(*catalog_);
  last.change(second, before, std::move(tombstone));
  ASSERT_TRUE(catalog_->commit(last));
  clock_->advance(2h);
  for (const GarbageEntry& entry : catalog_->due_garbage(10)) catalog_->settle_segment(entry);
  EXPECT_FALSE(catalog_->find_segment("segment"));
  EXPECT_THAT(catalog_->due_garbage(10), IsEmpty()) << "and now it has its grace";
  clock_->advance(11min);
  ASSERT_EQ(catalog_->due_garbage(10).size(), 1U);
  EXPECT_EQ(catalog_->due_garbage(10)[0].kind, GarbageKind::object);
}

TEST_F(CatalogTest, ARowCannotNameASegmentThatWasCollected) {
  write(std::nullopt);
  const Row row = *catalog_->find(key_);
  catalog_->announce_object("segment", 100);
  ChangeSet registered(*catalog_);
  registered.add_segment("segment", 100, 1);
  ASSERT_TRUE(catalog_->commit(registered));
  clock_->advance(2h);
  for (const GarbageEntry& entry : catalog_->due_garbage(10)) catalog_->settle_segment(entry);
  ChangeSet late(*catalog_);
  late.change(key_, row, cold_row(row, {.object = "segment", .length = 40, .in_segment = true}));
  EXPECT_FALSE(catalog_->commit(late));
}

TEST_F(CatalogTest, NothingIsFiledBeforeTheWatermark) {
  clock_->advance(1h);
  catalog_->raise_watermark(now_us());
  Row row = hot_row(std::nullopt);
  row.due_us = now_us() - 1'000'000;
  ChangeSet set(*catalog_);
  set.change(key_, std::nullopt, row, block_of(row));
  ASSERT_TRUE(catalog_->commit(set));
  EXPECT_EQ(catalog_->due(catalog_->watermark_us(), now_us(), 10).size(), 1U);
}

TEST_F(CatalogTest, ChangesAreRecordedInOrderAndTrimmed) {
  constexpr std::size_t kWrites = 25'000;
  write(std::nullopt);
  for (std::size_t i = 1; i < kWrites; ++i) write(catalog_->find(key_));
  auto all = changes();
  ASSERT_EQ(all.size(), kWrites);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(load_big_endian(all[i].key.data() + 16), i + 1) << "the sequence has no gaps";
  }
  catalog_->trim_changes();
  all = changes();
  ASSERT_EQ(all.size(), 10U) << "kept_changes";
  EXPECT_EQ(load_big_endian(all.back().key.data() + 16), kWrites) << "the newest stay";
}

TEST_F(CatalogTest, ChangesAreTrimmedInBoundedSteps) {
  options_.trimmed_at_once = 2'000;
  reopen();
  write(std::nullopt);
  for (std::size_t i = 1; i < 4'505; ++i) write(catalog_->find(key_));
  reopen();  // what an earlier life left, which was killed before it trimmed
  for (std::size_t i = 0; i < 2'512; ++i) write(catalog_->find(key_));
  std::vector<std::size_t> left;
  for (int i = 0; i < 5; ++i) {
    catalog_->trim_changes();
    left.push_back(changes().size());
  }
  EXPECT_THAT(left, ::testing::ElementsAre(5'017, 3'017, 512, 10, 10));
}

TEST_F(CatalogTest, AccessFiguresAddUpAndGoWithTheirDocument) {
  write(std::nullopt);
  const KeyAccess access{.collection = "c", .id = "i", .figures = {.count = 3, .last_access = clock_->now()}};
  EXPECT_THAT(catalog_->merge_access({&access, 1}), IsEmpty());
  EXPECT_THAT(catalog_->merge_access({&access, 1}), IsEmpty());
  EXPECT_EQ(catalog_->find_access(key_)->count, 6U);
  const KeyAccess unknown{.collection = "c", .id = "none", .figures = {.count = 3}};
  EXPECT_THAT(catalog_->merge_access({&unknown, 1}), IsEmpty());
  EXPECT_FALSE(catalog_->find_access(document_key("c", "none")));
  remove();
  EXPECT_FALSE(catalog_->find_access(key_));
}

TEST(CatalogOpening, OfANewerFormatIsRefused) {
  auto engine = kv::open_memory_engine({.spaces = catalog_spaces()});
  std::string newer;
  put_fixed(newer, std::uint32_t{2});
  kv::Batch batch;
  batch.put(kMeta, std::string(kFormatKey), newer);
  const kv::Batch* group[] = {&batch};
  engine->commit(group, Durability::none);
  const auto random = seeded_random(1);
  try {
    const Catalog catalog(std::move(engine), system_clock(), *random, {});
    FAIL() << "it was opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(error.what()).find("newer db4"), std::string::npos);
  }
}

}  // namespace
}  // namespace db4::catalog
