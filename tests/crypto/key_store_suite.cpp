#include "crypto/key_store_suite.hpp"

#include <atomic>
#include <thread>
#include <vector>

namespace db4::testing {
namespace {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(KeyStoreSuite);

TEST_P(KeyStoreSuite, HasNothingAtFirst) { EXPECT_EQ(store_->load(), std::nullopt); }

TEST_P(KeyStoreSuite, ReplacesWhatIsExpectedOnly) {
  EXPECT_FALSE(store_->replace("something", "a"));
  EXPECT_EQ(store_->load(), std::nullopt);
  EXPECT_TRUE(store_->replace(std::nullopt, "a"));
  EXPECT_FALSE(store_->replace(std::nullopt, "b"));
  EXPECT_FALSE(store_->replace("b", "c"));
  EXPECT_EQ(store_->load(), "a");
  EXPECT_TRUE(store_->replace("a", "b"));
  EXPECT_EQ(store_->load(), "b");
}

TEST_P(KeyStoreSuite, KeepsAnyBytesUpToTheLongestRing) {
  std::string ring(kMaxKeyRingBytes, '\0');
  for (std::size_t i = 0; i < ring.size(); ++i) ring[i] = static_cast<char>(i * 131 + (i >> 8));
  ASSERT_TRUE(store_->replace(std::nullopt, ring));
  EXPECT_EQ(store_->load(), ring);
  ASSERT_TRUE(store_->replace(ring, std::string("a\0b", 3)));
  EXPECT_EQ(store_->load(), std::string("a\0b", 3)) << "a shorter one leaves nothing of the longer";
}

TEST_P(KeyStoreSuite, AnotherOverTheSamePlaceSeesEachChange) {
  const auto other = GetParam().another();
  ASSERT_TRUE(store_->replace(std::nullopt, "a"));
  EXPECT_EQ(other->load(), "a");
  EXPECT_TRUE(other->replace("a", "b"));
  EXPECT_FALSE(store_->replace("a", "c"));
  EXPECT_EQ(store_->load(), "b");
}

TEST_P(KeyStoreSuite, OfManyWritersOneWinsEachTurn) {
  ASSERT_TRUE(store_->replace(std::nullopt, "0"));
  constexpr int kTurns = 25;
  const auto add_one_each_turn = [](KeyStore& store) {
    for (int done = 0; done < kTurns;) {
      const std::string before = store.load().value();
      if (store.replace(before, std::to_string(std::stoi(before) + 1))) ++done;
    }
  };
  std::vector<std::jthread> threads;
  for (int pair = 0; pair < 2; ++pair) {
    threads.emplace_back([&] { add_one_each_turn(*store_); });
    threads.emplace_back([&] { add_one_each_turn(*GetParam().another()); });
  }
  threads.clear();
  EXPECT_EQ(store_->load(), std::to_string(4 * kTurns));
}

}  // namespace
}  // namespace db4::testing
