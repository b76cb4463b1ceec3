// A store that is turned from plain to encrypted and back: nothing plain stays where nobody looks.
#include "catalog/spaces.hpp"
#include "kv/engine.hpp"
#include "store/encryption_fixture.hpp"

#include <db4/rebuild.hpp>

namespace db4::testing {
namespace {

namespace fs = std::filesystem;

class EncryptionSwitchTest : public EncryptionTest {};
INSTANTIATE_TEST_SUITE_P(Engines, EncryptionSwitchTest, ::testing::ValuesIn(disk_engines()),
                         [](const auto& suite) { return std::string(to_string(suite.param)); });

TEST_P(EncryptionSwitchTest, APlainStoreIsEncryptedAndMadePlainAgain) {
  encrypted_ = false;
  open();
  write(0, 60);
  demote_all();
  write(60, 100);
  close();
  EXPECT_THAT(files_with(kCanary), ::testing::Not(::testing::IsEmpty()));

  encrypted_ = true;
  open();
  EXPECT_TRUE(store_->encryption_status().plain_left);
  expect_all();
  write(0, 5, "second");
  const ReencryptResult result = store_->reencrypt();
  EXPECT_EQ(result.failed, 0U) << result.first_error;
  EXPECT_FALSE(result.more);
  EXPECT_EQ(result.documents, 95U);
  EXPECT_FALSE(store_->encryption_status().plain_left);
  expect_all();
  clock_->advance(24h);
  store_->cold_storage().collect_garbage();
  clock_->advance(24h);
  store_->cold_storage().collect_garbage();
  close();
  EXPECT_THAT(files_with(kCanary), ::testing::IsEmpty());

  // Back: written plain first, then all of it.
  writes_ = false;
  open();
  write(5, 10, "third");
  expect_all();
  EXPECT_EQ(store_->reencrypt().documents, 95U);
  EXPECT_EQ(store_->encryption_status().copies_on_old_keys, 0U);
  close();
  encrypted_ = false;
  open();
  expect_all();
}

TEST_P(EncryptionSwitchTest, WhatIsPlainIsRebuiltWithoutKeys) {
  open();
  write(0, 30);
  demote(0, 20);
  close();
  const fs::path hot = folder_.path() / "hot";
  const auto rebuild = [&](bool without_keys) {
    return rebuild_catalog(config(), {.without_keys = without_keys}, {.clock = clock_});
  };
  fs::rename(hot, folder_.path() / "lost");
  EXPECT_EQ(error_of([&] { rebuild(true); }), ErrorCode::invalid_argument) << "there is a key";
  encrypted_ = false;
  EXPECT_EQ(error_of([&] { rebuild(true); }), ErrorCode::key_unavailable) << "nothing is plain";
  EXPECT_FALSE(fs::exists(hot));
  fs::rename(folder_.path() / "lost", hot);

  encrypted_ = true;
  writes_ = false;
  open();
  write(0, 1, "second");
  demote(0, 1);
  EXPECT_EQ(store_->reencrypt().documents, 29U);
  close();
  encrypted_ = false;
  open();
  expect_all();
  close();

  const auto expect_demoted = [&] {
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(store_->read("users", std::to_string(i))) << i;
      EXPECT_EQ(store_->read("users", std::to_string(i))->text(), expected_[std::to_string(i)]);
    }
  };
  fs::rename(hot, folder_.path() / "lost");
  EXPECT_EQ(error_of([&] { rebuild(false); }), ErrorCode::key_unavailable);
  const RebuildResult rebuilt = rebuild(true);
  EXPECT_EQ(rebuilt.documents, 20U);
  EXPECT_EQ(rebuilt.damaged, 20U) << "what was sealed is there for a day";
  ASSERT_EQ(rebuilt.doubts_in_all, 20U);
  EXPECT_THAT(rebuilt.doubts[0].what, ::testing::HasSubstr("left out"));
  open();
  expect_demoted();
  EXPECT_FALSE(store_->encryption_status().encrypted);
  close();
  fs::remove_all(hot);

  // With the key a sealed copy goes before a plain one, which anybody could have put there, and it is said.
  encrypted_ = true;
  const RebuildResult with_key = rebuild(false);
  std::size_t warned = 0;
  for (const RebuildDoubt& doubt : with_key.doubts)
    warned += doubt.what.find("rebuild it without keys") != std::string::npos ? 1 : 0;
  EXPECT_EQ(warned, 1U);
  fs::remove_all(hot);
  fs::rename(folder_.path() / "lost", hot);

  writes_ = true;
  open();
  EXPECT_EQ(store_->encryption()->list_keys().size(), 1U) << "the ring that it had";
  EXPECT_EQ(store_->reencrypt().documents, 30U);
  EXPECT_FALSE(store_->encryption_status().plain_left);
  expect_all();
  close();
  fs::remove_all(hot);
  EXPECT_EQ(rebuild(false).documents, 20U);
  open();
  expect_demoted();
}

TEST_P(EncryptionSwitchTest, WhatIsWrittenPlainBehindAWalkIsFound) {
  encrypted_ = false;
  open();
  write(0, 40);
  close();
  encrypted_ = true;
  open();
  EXPECT_TRUE(store_->reencrypt({.max_documents = 30}).more);
  close();
  writes_ = false;
  open();
  write(0, 5, "plain again");
  close();
  writes_ = true;
  open();
  for (int i = 0; i < 10 && store_->reencrypt().more; ++i) {
  }
  EXPECT_FALSE(store_->encryption_status().plain_left);
  for (int i = 0; i < 40; ++i) EXPECT_NE(key_of(std::to_string(i)), "") << i;
  expect_all();
}

/// As a process leaves it that is killed, or fails, while the engine compacts: all is sealed, and in the free
/// space of its files is what was plain.
TEST_P(EncryptionSwitchTest, WhoComesBackCompactsTheEngineThatWasNot) {
  open();
  write(0, 40);
  EXPECT_FALSE(store_->encryption_status().plain_left);
  close();
  const auto change = [&](const auto& make) {
    const auto engine =
        kv::open_engine(GetParam(), {.path = folder_.path() / "hot", .spaces = catalog::catalog_spaces()});
    kv::Batch batch;
    make(*engine, batch);
    const kv::Batch* const group[] = {&batch};
    engine->commit(group, Durability::process);
    engine->close();
  };
  const std::string stale = "a body that was plain: " + std::string(kCanary);
  change([&](const kv::Engine&, kv::Batch& batch) {
    for (int i = 0; i < 20; ++i) batch.put(catalog::kBodies, "old" + std::to_string(i), stale);
  });
  change([&](const kv::Engine& engine, kv::Batch& batch) {
    for (int i = 0; i < 20; ++i) batch.erase(catalog::kBodies, "old" + std::to_string(i));
    auto state = engine.get(catalog::kMeta, "reencryption");
    ASSERT_TRUE(state);
    ASSERT_EQ((*state)[1] & 8, 0) << "docs/formats/row.md: nothing is to be compacted so far";
    (*state)[1] = static_cast<char>((*state)[1] | 8);
    batch.put(catalog::kMeta, "reencryption", *state);
  });
  ASSERT_THAT(files_with(kCanary), ::testing::Not(::testing::IsEmpty()));

  open();
  EXPECT_TRUE(store_->encryption_status().plain_left);
  const ReencryptResult result = store_->reencrypt();
  EXPECT_EQ(result.documents, 0U);
  EXPECT_EQ(result.first_error, "");
  EXPECT_FALSE(store_->encryption_status().plain_left);
  // While it is open, too: RocksDB deletes files behind.
  for (int i = 0; i < 100 && !files_with(kCanary).empty(); ++i) system_clock()->sleep_for(100ms);
  EXPECT_THAT(files_with(kCanary), ::testing::IsEmpty());
  expect_all();
  close();
  open();
  EXPECT_FALSE(store_->encryption_status().plain_left) << "it is not done again";
}

/// Each node has a folder of its own, and only the first one to open the store knows that it was plain.
TEST_P(EncryptionSwitchTest, PlainCopiesInAWarmCacheOnDiskAreWipedByWhomeverTheyBelongTo) {
  const auto keep_warm = [&] {
    for (int i = 0; i < 10; ++i) store_->promote("users", std::to_string(i), StorageTier::warm);
    EXPECT_EQ(store_->warm_storage().stats().entries, 10U);
  };
  encrypted_ = false;
  open();
  write(0, 10);
  demote(0, 10);
  keep_warm();
  close();
  fs::rename(folder_.path() / "warm", folder_.path() / "warm of another node");
  encrypted_ = true;
  open();
  store_->reencrypt();
  clock_->advance(24h);
  store_->cold_storage().collect_garbage();
  clock_->advance(24h);
  store_->cold_storage().collect_garbage();
  close();
  EXPECT_THAT(files_with(kCanary), ::testing::Not(::testing::IsEmpty()));
  fs::remove_all(folder_.path() / "warm");
  fs::rename(folder_.path() / "warm of another node", folder_.path() / "warm");
  open();
  EXPECT_THAT(files_with(kCanary), ::testing::IsEmpty());
  keep_warm();
  close();

  writes_ = false;  // for a while
  open();
  keep_warm();
  close();
  writes_ = true;
  open();
  EXPECT_THAT(files_with(kCanary), ::testing::IsEmpty());
  expect_all();
}

}  // namespace
}  // namespace db4::testing
