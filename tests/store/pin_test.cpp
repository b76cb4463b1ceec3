// Pins: what they hold, against policy, reads, writes, pressure and hands; and what a document's history
// says.
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace db4 {
namespace {

using ::testing::HasSubstr;

class PinTest : public ::testing::Test {
 protected:
  PinTest() { open(); }

  void open(std::uint64_t max_size = 0) {
    store_.reset();
    store_ = std::make_unique<TieredStore>(TieredStoreConfig{.hot = {.type = testing::kDiskEngine,
                                                                     .path = folder_.path() / "hot",
                                                                     .max_size = max_size,
                                                                     .durability = Durability::process,
                                                                     .full_timeout = 50ms},
                                                             .cold = {.path = folder_.path() / "cold"},
                                                             .tiering = {.interval = 0ms}},
                                           Components{.clock = clock_});
  }
  void put(std::string_view id, std::size_t size = 100) {
    store_->write_bytes("docs", id, as_bytes(std::string(size, 'x')));
  }
  std::optional<StorageTier> tier(std::string_view id) { return store_->get_tier("docs", id); }

  testing::TemporaryFolder folder_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::unique_ptr<TieredStore> store_;
};

TEST_F(PinTest, APrefixPinnedToHotIsNeverDemoted) {
  put("keep/1");
  put("other");
  store_->pin({.collection = "docs", .scope = PinScope::prefix, .id = "keep/", .tier = StorageTier::hot});
  clock_->advance(1000h);
  store_->run_tiering();
  EXPECT_EQ(tier("keep/1"), StorageTier::hot);
  EXPECT_EQ(tier("other"), StorageTier::cold);
  EXPECT_TRUE(store_->unpin("docs", PinScope::prefix, "keep/"));
  EXPECT_FALSE(store_->unpin("docs", PinScope::prefix, "keep/"));
  clock_->advance(2h);
  store_->run_tiering();
  EXPECT_EQ(tier("keep/1"), StorageTier::cold);
}

TEST_F(PinTest, WhatIsColdComesUpByTheNextRunAndADryRunOnlySaysSo) {
  put("a");
  store_->demote("docs", "a", StorageTier::cold);
  store_->pin({.collection = "docs", .scope = PinScope::collection, .tier = StorageTier::hot});
  const TieringResult plan = store_->run_tiering({.dry_run = true});
  ASSERT_EQ(plan.moves.size(), 1U);
  EXPECT_EQ(plan.moves[0].reason, "pinned to hot");
  EXPECT_EQ(tier("a"), StorageTier::cold);
  EXPECT_EQ(store_->run_tiering().promoted, 1U);
  EXPECT_EQ(tier("a"), StorageTier::hot);
  EXPECT_EQ(store_->run_tiering({.dry_run = true}).moves.size(), 0U);
}

TEST_F(PinTest, APlanNamesADocumentOnceThatTwoThingsBringUp) {
  store_->pin({.collection = "docs", .scope = PinScope::collection, .tier = StorageTier::hot});
  store_->write_bytes("docs", "a", as_bytes("body"), {.tier = StorageTier::cold});
  const TieringResult plan = store_->run_tiering({.dry_run = true});
  EXPECT_EQ(plan.moves.size(), 1U);
  EXPECT_EQ(plan.promoted, 1U);
  EXPECT_EQ(store_->run_tiering().moves.size(), 1U);
}

TEST_F(PinTest, WhatIsPinnedToColdGoesWithTheNextRunAndNoReadBringsItBack) {
  put("a");
  store_->pin({.collection = "docs", .scope = PinScope::document, .id = "a", .tier = StorageTier::cold});
  EXPECT_EQ(store_->run_tiering({.dry_run = true}).demoted, 1U);
  EXPECT_EQ(store_->run_tiering().demoted, 1U);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(store_->read("docs", "a")->meta().tier, StorageTier::cold);
  }
  EXPECT_TRUE(store_->read("docs", "a", {.promote = true}).has_value());
  store_->run_tiering();
  EXPECT_EQ(tier("a"), StorageTier::cold);
  put("a");  // a write lands in hot, for as long as until the next run
  EXPECT_EQ(tier("a"), StorageTier::hot);
  EXPECT_EQ(store_->run_tiering().demoted, 1U);
  EXPECT_EQ(tier("a"), StorageTier::cold);
}

TEST_F(PinTest, WarmHoldsACopyAndNoMore) {
  put("a");
  store_->pin({.collection = "docs", .scope = PinScope::document, .id = "a", .tier = StorageTier::warm});
  store_->run_tiering();
  EXPECT_EQ(tier("a"), StorageTier::warm);
  for (int i = 0; i < 20; ++i) (void)store_->read("docs", "a");
  EXPECT_EQ(tier("a"), StorageTier::warm);
  clock_->advance(100h);  // the copy's time is over; the next read brings one back
  EXPECT_EQ(tier("a"), StorageTier::cold);
  (void)store_->read("docs", "a");
  EXPECT_EQ(tier("a"), StorageTier::warm);
}

TEST_F(PinTest, TheMostExactPinHoldsAndALaterOneOfTheSameTargetReplaces) {
  put("a");
  put("b");
  store_->pin({.collection = "docs", .scope = PinScope::collection, .tier = StorageTier::cold});
  store_->pin({.collection = "docs", .scope = PinScope::document, .id = "b", .tier = StorageTier::hot});
  clock_->advance(48h);
  store_->run_tiering();
  EXPECT_EQ(tier("a"), StorageTier::cold);
  EXPECT_EQ(tier("b"), StorageTier::hot);
  store_->pin({.collection = "docs", .scope = PinScope::document, .id = "b", .tier = StorageTier::cold});
  EXPECT_EQ(store_->pins().size(), 2U);
  store_->run_tiering();
  EXPECT_EQ(tier("b"), StorageTier::cold);
}

TEST_F(PinTest, PinsAndHowFarTheyCameOutliveTheProcess) {
  for (int i = 0; i < 30; ++i) put(std::to_string(i));
  store_->pin({.collection = "docs", .scope = PinScope::collection, .tier = StorageTier::hot});
  clock_->advance(48h);
  store_->unpin("docs");
  EXPECT_EQ(store_->run_tiering().demoted, 30U);
  store_->pin({.collection = "docs", .scope = PinScope::collection, .tier = StorageTier::hot});
  const TieringResult first = store_->run_tiering({.max_operations = 7});
  EXPECT_EQ(first.promoted, 7U);
  EXPECT_TRUE(first.more);
  open();
  ASSERT_EQ(store_->pins().size(), 1U);
  EXPECT_EQ(store_->run_tiering().promoted, 23U);
  open();
  EXPECT_EQ(store_->run_tiering().promoted, 0U);
  EXPECT_EQ(store_->stats().hot.documents, 30U);
}

TEST_F(PinTest, ForRoomTheOthersGo) {
  open(/*max_size=*/10'000);
  put("keep", 4000);
  store_->pin({.collection = "docs", .scope = PinScope::document, .id = "keep", .tier = StorageTier::hot});
  for (int i = 0; i < 30; ++i) {
    clock_->advance(1min);
    store_->write_bytes("docs", std::to_string(i), as_bytes(std::string(1000, 'x')), {.timeout = 30s});
  }
  EXPECT_EQ(tier("keep"), StorageTier::hot);
  EXPECT_LE(store_->stats().hot.bytes, 10'000U);
}

TEST_F(PinTest, AMoveByHandAgainstAPinIsRefused) {
  put("a");
  store_->pin({.collection = "docs", .scope = PinScope::collection, .tier = StorageTier::hot});
  try {
    store_->demote("docs", "a", StorageTier::cold);
    FAIL() << "it was moved";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("pinned to hot"));
  }
}

TEST_F(PinTest, OnARealClockTooTheNextRunActs) {
  TieredStore store({.hot = {.type = testing::kDiskEngine,
                             .path = folder_.path() / "real",
                             .durability = Durability::process},
                     .cold = {.path = folder_.path() / "real-cold"},
                     .tiering = {.interval = 0ms}});
  store.write("docs", "a", {{"n", 1}});
  store.pin({.collection = "docs", .scope = PinScope::collection, .tier = StorageTier::cold});
  EXPECT_EQ(store.run_tiering({.dry_run = true}).demoted, 1U);
  EXPECT_EQ(store.run_tiering().demoted, 1U);
}

TEST_F(PinTest, AClockThatWasAheadHoldsNothingUp) {
  put("a");
  clock_->advance(720h);
  put("b");
  store_->run_tiering();
  clock_->set_wall_time(clock_->now() - 700h);
  store_->pin({.collection = "docs", .scope = PinScope::document, .id = "b", .tier = StorageTier::cold});
  EXPECT_EQ(store_->run_tiering().demoted, 1U);
  EXPECT_EQ(tier("b"), StorageTier::cold);
}

TEST_F(PinTest, WhatFindsNoRoomComesUpWhenThereIsSome) {
  open(/*max_size=*/10'000);
  for (int i = 0; i < 4; ++i) {
    put(std::to_string(i), 3000);
    store_->demote("docs", std::to_string(i), StorageTier::cold);
  }
  put("filler", 8000);
  store_->pin({.collection = "docs", .scope = PinScope::prefix, .id = "0", .tier = StorageTier::hot});
  store_->pin({.collection = "docs", .scope = PinScope::prefix, .id = "1", .tier = StorageTier::hot});
  EXPECT_EQ(store_->run_tiering().promoted, 0U);
  store_->remove("docs", "filler");
  EXPECT_EQ(store_->run_tiering().promoted, 2U);
  EXPECT_EQ(tier("0"), StorageTier::hot);
}

TEST_F(PinTest, UnpinningLeavesADocumentToTheBroaderPin) {
  put("a");
  store_->pin({.collection = "docs", .scope = PinScope::document, .id = "a", .tier = StorageTier::cold});
  store_->pin({.collection = "docs", .scope = PinScope::collection, .tier = StorageTier::hot});
  store_->run_tiering();
  EXPECT_EQ(tier("a"), StorageTier::cold);
  store_->unpin("docs", PinScope::document, "a");
  EXPECT_EQ(store_->run_tiering().promoted, 1U);
  EXPECT_EQ(tier("a"), StorageTier::hot);
}

TEST_F(PinTest, AWarmCopyOfWhatIsPinnedToColdGoes) {
  put("a");
  store_->demote("docs", "a", StorageTier::cold);
  (void)store_->read("docs", "a");
  ASSERT_EQ(tier("a"), StorageTier::warm);
  store_->pin({.collection = "docs", .scope = PinScope::collection, .tier = StorageTier::cold});
  EXPECT_EQ(store_->run_tiering({.dry_run = true}).demoted, 1U);
  EXPECT_EQ(store_->run_tiering().demoted, 1U);
  EXPECT_EQ(tier("a"), StorageTier::cold);
}

TEST_F(PinTest, WhatIsWrittenElsewhereUnderAHotPinComesUp) {
  store_->pin({.collection = "docs", .scope = PinScope::collection, .tier = StorageTier::hot});
  store_->run_tiering();
  store_->write_bytes("docs", "a", as_bytes("x"), {.tier = StorageTier::cold});
  EXPECT_EQ(store_->run_tiering().promoted, 1U);
  EXPECT_EQ(tier("a"), StorageTier::hot);
}

TEST_F(PinTest, TargetsThatCannotBeAreRefused) {
  const auto code = [&](const Pin& pin) {
    try {
      store_->pin(pin);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  EXPECT_EQ(code({.collection = "", .scope = PinScope::collection}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({.collection = "c", .scope = PinScope::document}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({.collection = "c", .scope = PinScope::prefix}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({.collection = "c", .scope = PinScope::collection, .id = "x"}), ErrorCode::invalid_argument);
  EXPECT_TRUE(store_->pins().empty());
}

TEST_F(PinTest, ExplainTellsOfPinsAndOfTheLastMoves) {
  put("a");
  clock_->advance(30h);
  store_->run_tiering();
  (void)store_->read("docs", "a");
  (void)store_->read("docs", "a");
  ASSERT_EQ(tier("a"), StorageTier::hot);
  store_->demote("docs", "a", StorageTier::cold);
  auto explained = store_->explain("docs", "a");
  ASSERT_EQ(explained->moves.size(), 3U);
  EXPECT_EQ(explained->moves[0].reason, "promote() or demote() by hand");
  EXPECT_EQ(explained->moves[1].reason, "a read, with 2 reads within access_window");
  EXPECT_EQ(explained->moves[1].to, StorageTier::hot);
  EXPECT_EQ(explained->moves[2].reason, "not used for 1 d 6 h");
  EXPECT_EQ(explained->moves[2].from, StorageTier::hot);
  EXPECT_EQ(explained->moves[2].to, StorageTier::cold);
  store_->pin({.collection = "docs", .scope = PinScope::prefix, .id = "a", .tier = StorageTier::hot});
  explained = store_->explain("docs", "a");
  ASSERT_TRUE(explained->pin.has_value());
  EXPECT_THAT(explained->outlook, HasSubstr("pinned to hot by its prefix: the next run moves it"));
  store_->remove("docs", "a");
  put("a");
  EXPECT_TRUE(store_->explain("docs", "a")->moves.empty());  // another life
}

}  // namespace
}  // namespace db4
