// A store whose warm tier is in Redis: what readers get while the server is there, away, and back.
#include "support/redis_server.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace db4::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RedisWarmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string absence = RedisServer::absence(); !absence.empty()) GTEST_SKIP() << absence;
    server_ = std::make_unique<RedisServer>();
  }
  TieredStoreConfig config(const std::string& name = "store") const {
    TieredStoreConfig config{.hot = {.type = kDiskEngine, .path = folder_.path() / name / "hot"},
                             .warm = {.type = WarmType::redis, .endpoint = server_->unix_endpoint()},
                             .cold = {.path = folder_.path() / name / "cold"},
                             .tiering = {.promote_on_read = false, .interval = 0ms}};
    config.hot.durability = Durability::process;
    config.warm.timeout = 30s;
    config.warm.connect_timeout = 30s;
    return config;
  }
  void open(const TieredStoreConfig& config) {
    store_.reset();
    store_ = std::make_unique<TieredStore>(config, Components{.clock = clock_});
  }
  /// What a read gives, and from where.
  std::string read(const std::string& id) {
    const auto document = store_->read("docs", id);
    return document
               ? std::string(document->text()) + " from " + std::string(to_string(document->served_from()))
               : "(absent)";
  }
  void put_cold(const std::string& id, const std::string& text) {
    store_->write_bytes("docs", id, as_bytes(text));
    store_->demote("docs", id, StorageTier::cold);
  }

  TemporaryFolder folder_;
  std::unique_ptr<RedisServer> server_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::unique_ptr<TieredStore> store_;
};

TEST_F(RedisWarmTest, AColdReadFillsItAndTheNextOneHits) {
  open(config());
  put_cold("a", "body");
  EXPECT_EQ(read("a"), "body from cold");
  EXPECT_EQ(read("a"), "body from warm");
  EXPECT_EQ(store_->get_tier("docs", "a"), StorageTier::warm);
  EXPECT_EQ(store_->stats().warm_storage.entries, 1U);
  EXPECT_EQ(store_->stats().warm_storage.cache_errors, 0U);
  open(config());
  EXPECT_EQ(read("a"), "body from warm") << "it outlives the process";
  clock_->advance(2h);
  EXPECT_EQ(read("a"), "body from cold");
}

TEST_F(RedisWarmTest, ANewVersionIsNeverHiddenByAnOldCopy) {
  open(config());
  put_cold("a", "one");
  (void)read("a");
  EXPECT_EQ(read("a"), "one from warm");
  put_cold("a", "two");
  EXPECT_EQ(read("a"), "two from cold");
  EXPECT_EQ(read("a"), "two from warm");
  store_->remove("docs", "a");
  EXPECT_EQ(read("a"), "(absent)");
}

TEST_F(RedisWarmTest, StoresMayShareAServer) {
  open(config("one"));
  put_cold("a", "one");
  (void)read("a");
  const auto first = std::move(store_);
  open(config("two"));
  put_cold("a", "two");
  EXPECT_EQ(read("a"), "two from cold");
  EXPECT_EQ(read("a"), "two from warm");
  store_->warm_storage().clear();
  EXPECT_EQ(read("a"), "two from cold");
  EXPECT_EQ(first->read("docs", "a")->served_from(), StorageTier::warm);
}

TEST_F(RedisWarmTest, ReadsStayRightWhileTheServerIsAwayAndHitAgainAfterwards) {
  open(config());
  put_cold("a", "body");
  (void)read("a");
  EXPECT_EQ(read("a"), "body from warm");
  server_->kill();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(read("a"), "body from cold");
  put_cold("b", "written meanwhile");
  EXPECT_EQ(read("b"), "written meanwhile from cold");
  const WarmStats away = store_->stats().warm_storage;
  EXPECT_GE(away.cache_errors, 10U);
  EXPECT_THAT(away.last_error, HasSubstr("warm.endpoint"));
  server_->start();
  clock_->advance(1min);
  EXPECT_EQ(read("a"), "body from cold");
  EXPECT_EQ(read("a"), "body from warm");
}

TEST_F(RedisWarmTest, AStoreOpensWithoutTheServerAndWithAWrongPassword) {
  server_->stop();
  open(config());
  put_cold("a", "body");
  EXPECT_EQ(read("a"), "body from cold");
  store_->close();

  server_ = std::make_unique<RedisServer>(RedisServer::Options{.password = "sesame"});
  TieredStoreConfig wrong = config();
  wrong.warm.password = "mustard";
  open(wrong);
  EXPECT_EQ(read("a"), "body from cold");
  EXPECT_THAT(store_->stats().warm_storage.last_error, HasSubstr("warm.password"));
  EXPECT_THAT(store_->stats().warm_storage.last_error, Not(HasSubstr("mustard")));
}

TEST_F(RedisWarmTest, AMakingOfAStoreAsksTheServerNothing) {
  open(config());
  EXPECT_EQ(store_->warm_storage().stats().cache_errors, 0U);
  server_->kill();
  open(config("new"));
  EXPECT_EQ(store_->stats().warm_storage.cache_errors, 1U) << "that is stats() itself";
}

TEST_F(RedisWarmTest, AMalformedEndpointIsToldAtOnce) {
  TieredStoreConfig malformed = config();
  malformed.warm.endpoint = "localhost:6379";
  try {
    open(malformed);
    ADD_FAILURE() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("warm.endpoint"));
  }
}

}  // namespace
}  // namespace db4::testing
