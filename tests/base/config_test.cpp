#include <db4/config.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace db4 {
namespace {

template <typename Enum>
void expect_names(std::initializer_list<std::pair<Enum, std::string_view>> names) {
  for (const auto& [value, name] : names) EXPECT_EQ(to_string(value), name);
}

TEST(Config, NamesItsChoices) {
  expect_names<HotType>({{HotType::memory, "memory"},
                         {HotType::sqlite, "sqlite"},
                         {HotType::rocksdb, "rocksdb"},
                         {HotType::postgres, "postgres"}});
  expect_names<WarmType>(
      {{WarmType::memory, "memory"}, {WarmType::disk, "disk"}, {WarmType::redis, "redis"}});
  expect_names<ColdType>(
      {{ColdType::memory, "memory"}, {ColdType::filesystem, "filesystem"}, {ColdType::s3, "s3"}});
  expect_names<Compression>(
      {{Compression::none, "none"}, {Compression::gzip, "gzip"}, {Compression::zstd, "zstd"}});
  expect_names<Durability>(
      {{Durability::none, "none"}, {Durability::process, "process"}, {Durability::disk, "disk"}});
}

TEST(Config, PromotionConvertsFromBool) {
  EXPECT_EQ(PromoteOnRead(true), PromoteOnRead(PromoteOnRead::always));
  EXPECT_EQ(PromoteOnRead(false), PromoteOnRead(PromoteOnRead::never));
}

TEST(Literals, CountBytesAndDays) {
  static_assert(3_B == 3 && 2_KiB == 2048 && 1_MiB == 1'048'576 && 1_GiB == 1024_MiB && 1_TiB == 1024_GiB);
  static_assert(7_days == 168h && 2_weeks == 14_days);
}

TEST(Tier, NamesConvertBothWays) {
  for (const StorageTier tier : {StorageTier::cold, StorageTier::warm, StorageTier::hot}) {
    EXPECT_EQ(tier_from_string(to_string(tier)), tier);
  }
  EXPECT_EQ(tier_from_string("tepid"), std::nullopt);
}

TEST(Tier, HotIsHotterThanWarmIsHotterThanCold) {
  static_assert(is_hotter(StorageTier::hot, StorageTier::warm));
  static_assert(is_hotter(StorageTier::warm, StorageTier::cold));
  static_assert(is_colder(StorageTier::cold, StorageTier::hot));
  static_assert(!is_hotter(StorageTier::warm, StorageTier::warm));
}

}  // namespace
}  // namespace db4
