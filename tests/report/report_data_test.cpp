// What a report asks of a store, and what it makes of the replies.
#include "cli/report_data.hpp"

#include <db4/storage.hpp>

#include <gtest/gtest.h>

namespace db4::cli {
namespace {

using namespace std::chrono_literals;

TEST(ReportDataTest, IsWhatTheStoreSays) {
  const auto clock = std::make_shared<SimulatedClock>();
  TieredStore store({.hot = {.type = HotType::memory, .durability = Durability::none},
                     .cold = {.type = ColdType::memory},
                     .tiering = {.interval = 0ms}},
                    {.clock = clock});
  store.write("small", "a", {{"n", 1}});
  store.write_bytes("large", "a \"b\"", as_bytes(std::string(5000, 'x')));
  (void)store.read("large", "a \"b\"");
  clock->advance(30h);
  store.run_tiering();
  (void)store.read("small", "a");
  const ReportData data = gather_report([&](std::string_view asked) { return run_operation(store, asked); });
  EXPECT_EQ(data.at, clock->now());
  EXPECT_EQ(data.store_id, store.info().id);
  EXPECT_EQ(data.backends, "memory, memory and memory");
  EXPECT_EQ(data.stats.cold.documents, 2U);
  EXPECT_EQ(data.stats.cost.all_hot, store.stats().cost.all_hot);
  ASSERT_EQ(data.collections.size(), 2U);
  EXPECT_EQ(data.collections[0].name, "large");
  EXPECT_EQ(data.collections[0].cold_bytes, 5000U);
  ASSERT_EQ(data.samples.size(), 1U);
  EXPECT_EQ(data.samples[0].at, store.samples()[0].at);
  EXPECT_EQ(data.samples[0].interval, 30h);
  EXPECT_EQ(data.samples[0].hot.hits, 1U);
  EXPECT_EQ(data.samples[0].demoted, 2U);
  EXPECT_EQ(data.samples[0].collections.size(), 2U);
  ASSERT_EQ(data.busiest.size(), 1U);
  EXPECT_EQ(data.busiest[0].id, "a");
  EXPECT_FALSE(data.encryption.encrypted);
}

TEST(ReportDataTest, OfAnEncryptedStoreItSaysWhichKeysSealedWhat) {
  TieredStore store({.hot = {.type = HotType::memory, .durability = Durability::none},
                     .cold = {.type = ColdType::memory},
                     .tiering = {.interval = 0ms},
                     .encryption = std::make_shared<EncryptionManager>(
                         EncryptionConfig{.master_key = generate_master_key()})});
  store.write("users", "a", {{"n", 1}});
  const std::string old = store.encryption()->active_key_id();
  store.encryption()->rotate_key();
  store.write("users", "b", {{"n", 2}});
  store.write("users", "c", {{"n", 3}});
  const ReportData data = gather_report([&](std::string_view asked) { return run_operation(store, asked); });
  EXPECT_TRUE(data.encryption.encrypted);
  EXPECT_TRUE(data.encryption.writes);
  EXPECT_FALSE(data.encryption.plain_left);
  EXPECT_EQ(data.encryption.active_key_id, store.encryption()->active_key_id());
  EXPECT_EQ(data.encryption.copies_on_old_keys, 1U);
  ASSERT_EQ(data.encryption.uses.size(), 2U);
  for (const KeyUse& use : data.encryption.uses) EXPECT_EQ(use.copies, use.key_id == old ? 1U : 2U);
}

TEST(ReportDataTest, AReplyOfAnotherKindIsUnsupported) {
  for (const char* text : {"{}", "not json", "[]", R"({"stats": 3})"}) {
    try {
      (void)gather_report([&](std::string_view) { return OperationReply{.json = text}; });
      ADD_FAILURE() << text << " was understood";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
    }
  }
}

}  // namespace
}  // namespace db4::cli
