// Samples: what they hold, how they are merged and thinned, and that they outlive the process.
#include "store/sampler.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gtest/gtest.h>

namespace db4 {
namespace {

class SamplesTest : public ::testing::Test {
 protected:
  SamplesTest() { open(); }

  void open() {
    store_.reset();
    store_ = std::make_unique<TieredStore>(
        TieredStoreConfig{.hot = {.type = testing::kDiskEngine,
                                  .path = folder_.path() / "hot",
                                  .durability = Durability::process},
                          .cold = {.path = folder_.path() / "cold"},
                          .tiering = {.interval = 0ms},
                          .stats = {.sample_interval = 10min, .max_samples = 16}},
        Components{.clock = clock_});
  }
  void put(std::string_view collection, std::string_view id, std::size_t size = 100) {
    store_->write_bytes(collection, id, as_bytes(std::string(size, 'x')));
  }

  testing::TemporaryFolder folder_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::unique_ptr<TieredStore> store_;
};

TEST_F(SamplesTest, ASampleHoldsTheIntervalAndTheFiguresAtItsEnd) {
  put("docs", "a", 1000);
  put("docs", "b", 500);
  (void)store_->read("docs", "a");
  (void)store_->read("docs", "none");
  clock_->advance(10min);
  store_->run_tiering();
  (void)store_->read("docs", "b");
  clock_->advance(30h);
  store_->run_tiering();
  const auto samples = store_->samples();
  ASSERT_EQ(samples.size(), 2U);
  EXPECT_EQ(samples[0].interval, 10min);
  EXPECT_EQ(samples[0].writes, 2U);
  EXPECT_EQ(samples[0].hot.hits, 1U);
  EXPECT_EQ(samples[0].read_misses, 1U);
  EXPECT_EQ(samples[0].hot.documents, 2U);
  EXPECT_EQ(samples[0].hot.bytes, 1500U);
  EXPECT_GT(samples[0].hot_storage, 0.0);
  EXPECT_EQ(samples[1].interval, 30h);
  EXPECT_EQ(samples[1].writes, 0U);
  EXPECT_EQ(samples[1].hot.hits, 1U);
  EXPECT_EQ(samples[1].demoted, 2U);
  EXPECT_EQ(samples[1].puts, 1U);
  EXPECT_EQ(samples[1].cold.documents, 2U);
  ASSERT_EQ(samples[1].collections.size(), 1U);
  EXPECT_EQ(samples[1].collections[0].name, "docs");
  EXPECT_EQ(samples[1].collections[0].cold_bytes, 1500U);
  EXPECT_EQ(store_->samples(samples[1].at).size(), 1U);
}

TEST_F(SamplesTest, ShortLivesAreMergedIntoOneSampleUntilItIsOldEnough) {
  for (int i = 0; i < 12; ++i) {
    put("docs", std::to_string(i));
    clock_->advance(2min);
    open();
  }
  const auto samples = store_->samples();
  ASSERT_GE(samples.size(), 2U);
  EXPECT_LE(samples.size(), 4U);
  std::uint64_t writes = 0;
  for (const StatsSample& sample : samples) {
    writes += sample.writes;
    EXPECT_LE(sample.interval, 10min);
  }
  EXPECT_EQ(writes, 12U);
  const std::size_t before = samples.size();
  open();
  open();  // lives in which nothing happened leave nothing
  EXPECT_EQ(store_->samples().size(), before);
}

TEST_F(SamplesTest, PastTheLimitTheOlderHalfIsThinnedAndNothingIsLost) {
  for (int i = 0; i < 100; ++i) {
    put("docs", std::to_string(i));
    clock_->advance(10min);
    store_->run_tiering();
    EXPECT_LE(store_->samples().size(), 16U);
  }
  std::uint64_t writes = 0;
  std::chrono::milliseconds covered{0};
  TimePoint last{};
  for (const StatsSample& sample : store_->samples()) {
    writes += sample.writes;
    covered += sample.interval;
    EXPECT_GT(sample.at, last);
    last = sample.at;
  }
  EXPECT_EQ(writes, 100U);
  EXPECT_EQ(covered, 100 * 10min);
}

TEST_F(SamplesTest, ManyCollectionsAreTheLargestAndTheRest) {
  for (int i = 0; i < 20; ++i) put("c" + std::to_string(i), "a", 100 + static_cast<std::size_t>(i));
  clock_->advance(10min);
  store_->run_tiering();
  const auto samples = store_->samples();
  ASSERT_EQ(samples.size(), 1U);
  ASSERT_EQ(samples[0].collections.size(), kMaxSampledCollections + 1);
  EXPECT_EQ(samples[0].collections.front().name, "c19");
  EXPECT_EQ(samples[0].collections.back().name, "");
  EXPECT_EQ(samples[0].collections.back().hot_documents, 20 - kMaxSampledCollections);
}

TEST_F(SamplesTest, AClockThatIsSetBackStopsNoSampling) {
  put("docs", "a");
  clock_->advance(10min);
  store_->run_tiering();
  clock_->set_wall_time(clock_->now() - 5h);
  put("docs", "b");
  store_->run_tiering();
  clock_->advance(10min);
  store_->run_tiering();
  EXPECT_EQ(store_->samples().size(), 2U);
}

TEST(SampleJson, CannotBeReadIsNoSample) {
  StatsSample sample{.at = TimePoint{std::chrono::seconds{5}}, .interval = 3s, .writes = 7, .all_hot = 0.25};
  sample.collections.push_back({.name = "a\"b", .hot_bytes = 9});
  const auto again = store::decode_sample(store::encode_sample(sample));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->at, sample.at);
  EXPECT_EQ(again->writes, 7U);
  EXPECT_EQ(again->collections[0].name, "a\"b");
  EXPECT_EQ(store::encode_sample(*again), store::encode_sample(sample));
  EXPECT_FALSE(store::decode_sample("{}").has_value());
  EXPECT_FALSE(store::decode_sample("not json").has_value());
}

}  // namespace
}  // namespace db4
