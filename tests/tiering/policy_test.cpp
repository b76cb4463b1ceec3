// The policy's decisions, at their edges.
#include "tiering/policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace db4::tiering {
namespace {

using std::chrono::microseconds;
using ::testing::HasSubstr;

const TimePoint kNow{std::chrono::seconds{1'700'000'000}};
const TieringConfig kConfig{
    .hot_threshold = 1h, .warm_threshold = 24h, .access_count_threshold = 5, .access_window = 1h};

DocumentMeta used_ago(microseconds age, std::uint32_t recent = 0) {
  return {.updated_at = kNow - 1000h, .accessed_at = kNow - age, .recent_access_count = recent};
}

catalog::Row row_of(StorageTier home, microseconds updated_ago) {
  catalog::Row row;
  row.home = home;
  row.version = 1;
  row.updated_at_us = (kNow - updated_ago).time_since_epoch().count();
  row.placed_at_us = row.updated_at_us;
  return row;
}

/// `count` reads, the last of them `ago`.
AccessFigures reads(std::uint32_t count, microseconds ago = microseconds{0}) {
  const std::int64_t half_us = microseconds{kConfig.access_window}.count() / 2;
  return {.count = count,
          .last_access = kNow - ago,
          .buckets = {
              .index = (kNow - ago).time_since_epoch().count() / half_us, .current = count, .previous = 0}};
}

TEST(ClassifyTier, AgeDecidesWithTheThresholdsExcluded) {
  EXPECT_EQ(classify_tier(used_ago(0h), kConfig, kNow), StorageTier::hot);
  EXPECT_EQ(classify_tier(used_ago(1h - microseconds{1}), kConfig, kNow), StorageTier::hot);
  EXPECT_EQ(classify_tier(used_ago(1h), kConfig, kNow), StorageTier::warm);
  EXPECT_EQ(classify_tier(used_ago(24h - microseconds{1}), kConfig, kNow), StorageTier::warm);
  EXPECT_EQ(classify_tier(used_ago(24h), kConfig, kNow), StorageTier::cold);
}

TEST(ClassifyTier, EnoughRecentAccessesAreHotWhateverTheAge) {
  EXPECT_EQ(classify_tier(used_ago(100h, 5), kConfig, kNow), StorageTier::hot);
  EXPECT_EQ(classify_tier(used_ago(100h, 4), kConfig, kNow), StorageTier::cold);
}

TEST(ClassifyTier, AWriteIsAUseToo) {
  DocumentMeta meta = used_ago(100h);
  meta.updated_at = kNow - 10min;
  EXPECT_EQ(classify_tier(meta, kConfig, kNow), StorageTier::hot);
}

TEST(DecideDue, AnIdleDocumentIsDemotedWhereItsAgeSays) {
  const Decision warm = decide_due(row_of(StorageTier::hot, 2h), {}, kConfig, kNow);
  EXPECT_EQ(warm.verdict, Verdict::demote);
  EXPECT_EQ(warm.to, StorageTier::warm);
  EXPECT_EQ(warm.reason, "not used for 2 h (hot_threshold 1 h)");
  const Decision cold = decide_due(row_of(StorageTier::hot, 30h), {}, kConfig, kNow);
  EXPECT_EQ(cold.verdict, Verdict::demote);
  EXPECT_EQ(cold.to, StorageTier::cold);
  EXPECT_EQ(cold.reason, "not used for 1 d 6 h (warm_threshold 1 d)");
}

TEST(DecideDue, AReadSinceFilesItAnew) {
  const Decision decision = decide_due(row_of(StorageTier::hot, 30h), reads(1, 20min), kConfig, kNow);
  EXPECT_EQ(decision.verdict, Verdict::refile);
  EXPECT_EQ(decision.new_due_us, (kNow + 40min).time_since_epoch().count());
}

TEST(DecideDue, OneThatIsHotByCountIsLookedAtAgainLater) {
  TieringConfig config = kConfig;
  config.hot_threshold = 1min;
  const Decision decision = decide_due(row_of(StorageTier::hot, 30h), reads(9, 10min), config, kNow);
  EXPECT_EQ(decision.verdict, Verdict::refile);
  EXPECT_GT(decision.new_due_us, kNow.time_since_epoch().count()) << "else a run would never come to its end";
}

TEST(DecideDue, AWarmCopyGoesPastTheWarmThreshold) {
  EXPECT_EQ(decide_due(row_of(StorageTier::cold, 24h), {}, kConfig, kNow).verdict, Verdict::drop_warm);
  EXPECT_EQ(decide_due(row_of(StorageTier::cold, 23h), {}, kConfig, kNow).verdict, Verdict::refile);
}

TEST(DecideDue, ATombstoneIsPurgedWhenItsTimeHasCome) {
  catalog::Row tombstone = row_of(StorageTier::hot, 100h);
  tombstone.state = catalog::RowState::tombstone;
  tombstone.due_us = kNow.time_since_epoch().count() + 1;
  EXPECT_EQ(decide_due(tombstone, {}, kConfig, kNow).verdict, Verdict::stay);
  tombstone.due_us -= 1;
  EXPECT_EQ(decide_due(tombstone, {}, kConfig, kNow).verdict, Verdict::purge);
}

TEST(DecideDue, AHandHoldsUntilTheNextUse) {
  catalog::Row row = row_of(StorageTier::hot, 100h);
  row.placed_by = catalog::PlacedBy::hand;
  EXPECT_EQ(decide_due(row, {}, kConfig, kNow).verdict, Verdict::refile);
  EXPECT_EQ(decide_due(row, reads(1, 50h), kConfig, kNow).verdict, Verdict::demote) << "used since";
}

TEST(PromotionReason, TheModeDecidesHowManyReadsEarnIt) {
  const catalog::Row row = row_of(StorageTier::cold, 100h);
  TieringConfig config = kConfig;
  config.promote_on_read = PromoteOnRead::second_read;
  EXPECT_FALSE(promotion_reason(row, reads(1), config, kNow));
  EXPECT_TRUE(promotion_reason(row, reads(2), config, kNow));
  config.promote_on_read = true;
  EXPECT_TRUE(promotion_reason(row, reads(1), config, kNow));
  config.promote_on_read = false;
  EXPECT_FALSE(promotion_reason(row, reads(4), config, kNow));
  EXPECT_THAT(promotion_reason(row, reads(5), config, kNow).value_or(""),
              HasSubstr("access_count_threshold 5"));
  EXPECT_FALSE(promotion_reason(row_of(StorageTier::hot, 0h), reads(9), config, kNow)) << "it is hot";
}

TEST(PromotionReason, OneDemotedByHandStaysUntilItIsUsed) {
  catalog::Row row = row_of(StorageTier::cold, 100h);
  row.placed_by = catalog::PlacedBy::hand;
  row.placed_at_us = kNow.time_since_epoch().count();
  EXPECT_FALSE(promotion_reason(row, reads(9), kConfig, kNow)) << "those reads came before";
  row.placed_at_us -= 1;
  EXPECT_TRUE(promotion_reason(row, reads(9), kConfig, kNow));
}

TEST(DescribeDuration, SaysTwoNeighbouringUnits) {
  EXPECT_EQ(describe_duration(0h), "0 s");
  EXPECT_EQ(describe_duration(microseconds{1}), "less than 1 s");
  EXPECT_EQ(describe_duration(45s), "45 s");
  EXPECT_EQ(describe_duration(3h + 12min + 7s), "3 h 12 min");
  EXPECT_EQ(describe_duration(3 * 24h + 4s), "3 d");
  EXPECT_EQ(describe_duration(24h), "1 d");
}

TEST(DuePolicy, OnlyAStricterOneMayFallDueEarlier) {
  const std::string stored = encode_due_policy(kConfig);
  EXPECT_FALSE(may_fall_due_earlier(stored, kConfig));
  const auto changed = [&](auto member, auto value) {
    TieringConfig config = kConfig;
    config.*member = value;
    return may_fall_due_earlier(stored, config);
  };
  using T = TieringConfig;
  EXPECT_TRUE(changed(&T::hot_threshold, 30min));
  EXPECT_TRUE(changed(&T::warm_threshold, 23h));
  EXPECT_TRUE(changed(&T::access_window, 30min));
  EXPECT_TRUE(changed(&T::tombstone_retention, 1h));
  EXPECT_TRUE(changed(&T::access_count_threshold, 6U));
  EXPECT_FALSE(changed(&T::hot_threshold, 2h));
  EXPECT_FALSE(changed(&T::warm_threshold, 25h));
  EXPECT_FALSE(changed(&T::access_window, 2h));
  EXPECT_FALSE(changed(&T::access_count_threshold, 4U));
}

TEST(DuePolicy, WhatCannotBeReadIsLookedAtAgain) {
  const std::string stored = encode_due_policy(kConfig);
  EXPECT_TRUE(may_fall_due_earlier("", kConfig));
  EXPECT_TRUE(may_fall_due_earlier(stored.substr(0, stored.size() - 1), kConfig));
  EXPECT_TRUE(may_fall_due_earlier(stored + "x", kConfig));
  EXPECT_TRUE(may_fall_due_earlier("\x02" + stored.substr(1), kConfig));
}

}  // namespace
}  // namespace db4::tiering
