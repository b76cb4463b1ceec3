// The cache in Redis: the conformance suite over every kind of connection, and what only it promises.
#include "net/redis_client.hpp"
#include "warm/redis_warm_format.hpp"
#include "warm/warm_cache_factories.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

namespace db4::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t kMaxBytes = 1ULL << 20;

warm::RedisWarmCacheOptions options_for(const std::string& endpoint, const std::string& store_id) {
  return redis_options_for(endpoint, store_id, kMaxBytes);
}

INSTANTIATE_TEST_SUITE_P(Redis, WarmCacheSuite,
                         ::testing::Values(in_redis("Unix", false, true), in_redis("Tcp", false, false),
                                           in_redis("Tls", true, false)),
                         [](const auto& param) { return param.param.name; });

class RedisWarmCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string absence = RedisServer::absence(); !absence.empty()) GTEST_SKIP() << absence;
    server_ = std::make_unique<RedisServer>();
    clock_ = std::make_shared<SimulatedClock>(at_second(0));
  }
  warm::RedisWarmCacheOptions options(const std::string& store_id = "store") {
    warm::RedisWarmCacheOptions made = options_for(server_->unix_endpoint(), store_id);
    made.clock = clock_;
    return made;
  }
  std::shared_ptr<WarmCache> open(const std::string& store_id = "store") {
    return warm::make_redis_warm_cache(options(store_id));
  }
  /// Looks into the server past the cache.
  net::RedisClient& raw() {
    if (raw_ == nullptr) raw_ = std::make_unique<net::RedisClient>(options().client);
    return *raw_;
  }
  static std::string held(WarmCache& cache, std::string_view key) {
    const auto entry = cache.get(key);
    return entry ? *entry->record : "(absent)";
  }
  template <typename Call>
  static Error error_of(const Call& call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {ErrorCode::internal, "nothing was thrown", ""};
  }
  static WarmEntry entry_until(TimePoint stale_until, Version version = 1) {
    WarmEntry entry = warm_entry(version, "record");
    entry.stale_until = stale_until;
    return entry;
  }

  std::unique_ptr<RedisServer> server_;
  std::shared_ptr<SimulatedClock> clock_;
  std::unique_ptr<net::RedisClient> raw_;
};

TEST_F(RedisWarmCacheTest, EntriesLiveInTheServerUntilTheyAreStale) {
  const auto cache = open();
  cache->put("a", entry_until(at_second(3600)));
  const std::int64_t left_ms = raw().command({"PTTL", "db4:store:e:a"}).integer;
  EXPECT_GT(left_ms, 0);
  EXPECT_LE(left_ms, 3'600'000);
  EXPECT_GT(raw().command({"PTTL", "db4:store:g"}).integer, 3'600'000)
      << "outlives the entries, and goes too";
  EXPECT_GT(raw().command({"PTTL", "db4:store:n"}).integer, 3'600'000);

  cache->put("short", entry_until(TimePoint{std::chrono::milliseconds{5}}));
  while (raw().command({"EXISTS", "db4:store:e:short"}).integer != 0) std::this_thread::yield();
  EXPECT_EQ(held(*cache, "short"), "(absent)");
  EXPECT_EQ(held(*cache, "a"), "record");
}

TEST_F(RedisWarmCacheTest, ALeaseIsOneForAllProcessesOfAStoreAndLivesInTheServer) {
  const auto one = open();
  const auto again = open();
  const auto other = open("other");
  const auto token = one->leases()->take("a", 5s);
  ASSERT_TRUE(token);
  const std::int64_t left_ms = raw().command({"PTTL", "db4:store:l:a"}).integer;
  EXPECT_GT(left_ms, 0);
  EXPECT_LE(left_ms, 5000);
  EXPECT_FALSE(again->leases()->take("a", 5s));
  EXPECT_TRUE(other->leases()->take("a", 5s));
  again->remove("a");
  EXPECT_FALSE(one->leases()->put_leased("a", warm_entry(1, "late"), *token));
  EXPECT_EQ(held(*again, "a"), "(absent)");
  // What the server evicted is a lease that is over, and its generation a clear.
  const auto evicted = one->leases()->take("a", 5s);
  raw().command({"DEL", "db4:store:g"});
  EXPECT_FALSE(one->leases()->put_leased("a", warm_entry(1, "late"), *evicted));
  EXPECT_TRUE(again->leases()->take("a", 5s));
  raw().command({"DEL", "db4:store:l:b"});
  raw().command({"RPUSH", "db4:store:l:b", "no lease"});
  EXPECT_TRUE(one->leases()->take("b", 5s));
  EXPECT_EQ(one->stats().entries, 0U);
}

TEST_F(RedisWarmCacheTest, AnEntryThatIsStaleAlreadyIsNotStoredAndEndsItsPast) {
  const auto cache = open();
  cache->put("a", warm_entry(1, "one"));
  clock_->advance(2500s);
  cache->put("a", warm_entry(2, "two"));
  EXPECT_EQ(held(*cache, "a"), "(absent)");
  EXPECT_EQ(raw().command({"EXISTS", "db4:store:e:a"}).integer, 0);
}

TEST_F(RedisWarmCacheTest, LargeRecordsAreNotStored) {
  auto generous = options();
  generous.max_bytes = 1ULL << 40;
  const auto cache = warm::make_redis_warm_cache(generous);
  cache->put("a", warm_entry(1, "small"));
  cache->put("a", warm_entry(2, std::string(warm::kMaxRedisRecordBytes + 1, 'x')));
  EXPECT_EQ(held(*cache, "a"), "(absent)");
  cache->put("b", warm_entry(1, std::string(warm::kMaxRedisRecordBytes, 'y')));
  EXPECT_EQ(held(*cache, "b").size(), warm::kMaxRedisRecordBytes);
}

TEST_F(RedisWarmCacheTest, StoresDoNotSeeEachOtherAndClearTheirOwnOnly) {
  const auto one = open("one");
  const auto two = open("two");
  auto with_prefix = options("one");
  with_prefix.prefix = "other:";
  const auto three = warm::make_redis_warm_cache(with_prefix);
  raw().command({"SET", "somebody's", "value"});
  one->put("a", warm_entry(1, "one"));
  EXPECT_EQ(held(*two, "a"), "(absent)");
  EXPECT_EQ(held(*three, "a"), "(absent)");
  two->put("a", warm_entry(1, "two"));
  three->put("a", warm_entry(1, "three"));
  const auto one_again = open("one");
  one->clear();
  EXPECT_EQ(held(*one, "a"), "(absent)");
  EXPECT_EQ(held(*one_again, "a"), "(absent)") << "to all processes at once";
  EXPECT_FALSE(one_again->contains("a", 1, at_second(0)));
  EXPECT_EQ(held(*two, "a"), "two");
  EXPECT_EQ(held(*three, "a"), "three");
  EXPECT_EQ(two->stats().entries, 1U);
  EXPECT_EQ(raw().command({"GET", "somebody's"}).text, "value");
}

TEST_F(RedisWarmCacheTest, WhatAServerThatIsShortOfMemoryForgotBringsNothingBack) {
  const auto cache = open();
  cache->put("a", warm_entry(1, "cleared"));
  cache->clear();
  raw().command({"DEL", "db4:store:g"});
  EXPECT_EQ(held(*cache, "a"), "(absent)");
  EXPECT_FALSE(cache->contains("a", 1, at_second(0)));
  cache->put("b", warm_entry(1, "new"));
  EXPECT_EQ(held(*cache, "a"), "(absent)");
  EXPECT_EQ(held(*cache, "b"), "new");
  raw().command({"DEL", "db4:store:n"});
  cache->remove("b");
  EXPECT_EQ(cache->stats().entries, 0U);
  cache->put("c", warm_entry(1, "c"));
  EXPECT_EQ(cache->stats().entries, 1U);
}

TEST_F(RedisWarmCacheTest, GarbageIsAbsentAndRemoved) {
  const auto cache = open();
  cache->put("good", warm_entry(3, "record"));
  const std::string good = raw().command({"GET", "db4:store:e:good"}).text;
  ASSERT_EQ(good.size(), 6 + warm::kRedisTrailerBytes);
  std::vector<std::string> values{"", "x", std::string(1000, '\0'), good.substr(0, good.size() - 1),
                                  good.substr(7)};
  for (std::size_t i = 6; i < good.size() - warm::kGenerationBytes; ++i) {
    values.push_back(good);
    values.back()[i] = static_cast<char>(values.back()[i] ^ 1);
  }
  values.push_back(good);  // of another key
  for (const std::string& value : values) {
    raw().command({"SET", "db4:store:e:bad", value});
    EXPECT_FALSE(cache->contains("bad", 3, at_second(0)));
    EXPECT_EQ(held(*cache, "bad"), "(absent)");
    EXPECT_EQ(raw().command({"EXISTS", "db4:store:e:bad"}).integer, 0);
    cache->put("bad", warm_entry(1, "mended"));
    EXPECT_EQ(held(*cache, "bad"), "mended");
    cache->remove("bad");
  }
  raw().command({"SET", "db4:store:e:short", "x"});
  cache->put("short", warm_entry(1, "mended"));
  EXPECT_EQ(held(*cache, "short"), "mended") << "a put asks nobody what was there";
  raw().command({"RPUSH", "db4:store:e:list", "x"});
  EXPECT_EQ(held(*cache, "list"), "(absent)");
  cache->put("list", warm_entry(1, "mended"));
  EXPECT_EQ(held(*cache, "list"), "mended");
  raw().command({"SETRANGE", "db4:store:e:huge", "50000000", "x"});
  EXPECT_FALSE(cache->get("huge")) << "it is not waited for, and not asked for twice";
  EXPECT_EQ(raw().command({"EXISTS", "db4:store:e:huge"}).integer, 0);
  EXPECT_EQ(held(*cache, "good"), "record");
}

TEST_F(RedisWarmCacheTest, VersionsAreComparedAsNumbers) {
  const auto cache = open();
  const Version versions[] = {1,     255,  256, 65'535, 1ULL << 31, (1ULL << 53) + 1, (1ULL << 53) + 2,
                              ~1ULL, ~0ULL};
  for (const Version version : versions) {
    cache->put("a", warm_entry(version, std::to_string(version)));
    cache->put("a", warm_entry(version - 1, "older"));
    ASSERT_EQ(held(*cache, "a"), std::to_string(version));
    EXPECT_EQ(cache->get("a")->version, version);
  }
}

TEST_F(RedisWarmCacheTest, RacingPutsOfTwoProcessesNeverEndWithTheLower) {
  constexpr Version kVersions = 400;
  const std::shared_ptr<WarmCache> caches[] = {open(), open()};
  std::atomic<int> bad = 0;
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(t);
        for (int i = 0; i < 400; ++i) {
          const Version version = random() % kVersions + 1;
          caches[t % 2]->put("a", warm_entry(version, std::to_string(version)));
          const auto entry = caches[t % 2]->get("a");
          if (!entry || entry->version < version || *entry->record != std::to_string(entry->version)) ++bad;
        }
        caches[t % 2]->put("a", warm_entry(kVersions + t, std::to_string(kVersions + t)));
      });
    }
  }
  EXPECT_EQ(bad, 0);
  EXPECT_EQ(held(*caches[0], "a"), std::to_string(kVersions + 3));
  EXPECT_EQ(caches[1]->stats().entries, 1U);
}

// A removal, and then another process's late put of what was there before it: that is held again, but only by
// its own, old version, for which no reader asks.
TEST_F(RedisWarmCacheTest, ALatePutAfterARemovalIsSeenByItsVersion) {
  const auto one = open();
  const auto two = open();
  one->put("a", warm_entry(7, "seven"));
  one->remove("a");
  two->put("a", warm_entry(6, "six, late"));
  EXPECT_FALSE(one->contains("a", 8, at_second(0)));
  EXPECT_EQ(one->get("a")->version, 6U);
  one->put("a", warm_entry(8, "eight"));
  EXPECT_EQ(held(*two, "a"), "eight");
}

TEST_F(RedisWarmCacheTest, WhatIsHeldIsCountedOverAllProcessesAndForgetsWhatExpired) {
  const std::shared_ptr<WarmCache> caches[] = {open(), open()};
  std::map<std::string, std::uint64_t> model;
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    const std::string key = "key " + std::to_string(random() % 100);
    WarmCache& cache = *caches[random() % 2];
    if (random() % 4 == 0) {
      cache.remove(key);
      model.erase(key);
    } else {
      const std::uint64_t size = random() % 500;
      WarmEntry entry = warm_entry(1, std::string(size, 'r'));
      entry.stale_until = at_second(static_cast<std::int64_t>(2000 + random() % 1'000'000));
      cache.put(key, entry);
      model[key] = std::string("db4:store:e:").size() + key.size() + size + warm::kRedisTrailerBytes +
                   warm::kRedisOverheadBytes;
    }
    clock_->advance(std::chrono::milliseconds{random() % 100});
  }
  std::uint64_t bytes = 0;
  for (const auto& [key, size] : model) bytes += size;
  EXPECT_EQ(caches[0]->stats().entries, model.size());
  EXPECT_EQ(caches[1]->stats().bytes, bytes);
  clock_->advance(std::chrono::seconds{1'100'000});
  EXPECT_EQ(caches[0]->stats().entries, 0U);
  EXPECT_EQ(caches[0]->stats().bytes, 0U);
}

TEST_F(RedisWarmCacheTest, TheCountsStaySmallHoweverLongItRuns) {
  const auto cache = open();
  for (int i = 0; i < 3000; ++i) {
    clock_->advance(137s);
    cache->put("a", entry_until(clock_->now() + 2h + std::chrono::seconds{i % 60}));
  }
  EXPECT_LE(raw().command({"HLEN", "db4:store:n"}).integer, 514);
  EXPECT_EQ(cache->stats().entries, 1U);
}

TEST_F(RedisWarmCacheTest, EvictionsAreTheServers) {
  const auto cache = open();
  EXPECT_EQ(cache->stats().evictions, 0U);
  raw().command({"CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"});
  raw().command({"CONFIG", "SET", "maxmemory", "3mb"});
  for (int i = 0; i < 200; ++i) {
    cache->put("key " + std::to_string(i), warm_entry(1, std::string(50'000, 'x')));
  }
  EXPECT_GT(cache->stats().evictions, 0U);
}

TEST_F(RedisWarmCacheTest, AServerThatEvictsNothingSaysWhatToChangeAndIsStillRead) {
  const auto cache = open();
  cache->put("a", warm_entry(1, "record"));
  raw().command({"CONFIG", "SET", "maxmemory", "1"});
  for (int i = 0; i < 10; ++i) {
    const Error error = error_of([&] { cache->put("b", warm_entry(1, "record")); });
    EXPECT_EQ(error.code(), ErrorCode::resource_exhausted);
    EXPECT_THAT(error.what(), HasSubstr("maxmemory-policy"));
  }
  EXPECT_EQ(held(*cache, "a"), "record") << "no reason to leave the server alone";
  cache->remove("a");
}

TEST_F(RedisWarmCacheTest, AServerThatIsAwayIsLeftAloneAndComesBack) {
  auto made = options();
  made.random = seeded_random(1);
  const auto cache = warm::make_redis_warm_cache(made);
  cache->put("a", warm_entry(1, "record"));
  server_->kill();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(error_of([&] { (void)cache->get("a"); }).what(), Not(HasSubstr("left alone")));
  }
  server_->start();
  // Up again, which the breaker does not know: nobody asks.
  const std::string before = raw().command({"INFO", "stats"}).text;
  for (int i = 0; i < 20; ++i) {
    const Error error = error_of([&] { (void)cache->get("a"); });
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_THAT(error.what(), HasSubstr("left alone"));
    EXPECT_THAT(error.what(), HasSubstr("warm.endpoint"));
  }
  EXPECT_EQ(raw().command({"CLIENT", "LIST"}).text.find("cmd=mget"), std::string::npos);
  clock_->advance(100ms);
  EXPECT_EQ(held(*cache, "a"), "(absent)") << "its memory went with it";
  cache->put("a", warm_entry(1, "record"));
  EXPECT_EQ(held(*cache, "a"), "record");
}

TEST_F(RedisWarmCacheTest, ThePauseGrowsWhileTheServerStaysAway) {
  const auto cache = open();
  server_->kill();
  const auto asked = [&] {
    return std::string(error_of([&] { (void)cache->get("a"); }).what()).find("left alone") ==
           std::string::npos;
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(asked());
  EXPECT_FALSE(asked());
  clock_->advance(100ms);
  EXPECT_TRUE(asked()) << "the first probe";
  clock_->advance(99ms);
  EXPECT_FALSE(asked()) << "the second pause is at least 100 ms";
  clock_->advance(24h);
  server_->start();
  EXPECT_EQ(held(*cache, "a"), "(absent)");
}

TEST_F(RedisWarmCacheTest, AHungServerCostsAFewDeadlinesOnly) {
  auto made = options();
  made.client.timeout = 50ms;
  made.client.connect_timeout = 50ms;
  const auto cache = warm::make_redis_warm_cache(made);
  server_->freeze();
  int left_alone = 0;
  for (int i = 0; i < 100; ++i) {
    const Error error = error_of([&] { (void)cache->get("a"); });
    if (std::string(error.what()).find("left alone") != std::string::npos) ++left_alone;
  }
  EXPECT_EQ(left_alone, 97);
  server_->thaw();
}

TEST_F(RedisWarmCacheTest, AWrongPasswordIsToldAndNotAskedForEver) {
  RedisServer locked({.password = "sesame"});
  auto made = options_for(locked.unix_endpoint(), "store");
  made.clock = clock_;
  made.client.endpoint.password = "mustard";
  const auto cache = warm::make_redis_warm_cache(made);
  for (int i = 0; i < 10; ++i) {
    const Error error = error_of([&] { (void)cache->get("a"); });
    EXPECT_THAT(error.what(), HasSubstr("warm.password")) << "by the breaker too";
    EXPECT_THAT(error.what(), Not(HasSubstr("mustard")));
    EXPECT_EQ(error.code(), i < 3 ? ErrorCode::permission_denied : ErrorCode::unavailable);
  }
}

// docs/redis.md has the list.
TEST_F(RedisWarmCacheTest, TheRightsThatTheManualNamesAreEnough) {
  std::string words =
      "ACL SETUSER shop on >hers ~db4:* +mget +get +getrange +strlen +set +unlink +del +pttl +pexpire "
      "+hincrby "
      "+hexists +hlen +hkeys +hdel +hgetall +eval +evalsha +select +info";
  std::vector<std::string_view> command;
  for (std::size_t begin = 0; begin < words.size();) {
    const std::size_t end = std::min(words.find(' ', begin), words.size());
    command.push_back(std::string_view(words).substr(begin, end - begin));
    begin = end + 1;
  }
  raw().command(net::RedisWords(command));
  auto made = options();
  made.client.endpoint.username = "shop";
  made.client.endpoint.password = "hers";
  made.client.endpoint.database = 1;
  const auto cache = warm::make_redis_warm_cache(made);
  cache->put("a", warm_entry(1, "record"));
  cache->put("a", warm_entry(2, "record"));
  EXPECT_EQ(held(*cache, "a"), "record");
  EXPECT_TRUE(cache->contains("a", 2, at_second(0)));
  EXPECT_EQ(cache->stats().entries, 1U);
  for (int i = 0; i < 600; ++i) {  // until the counts are tidied up
    clock_->advance(137s);
    cache->put("a", entry_until(clock_->now() + 1h, 3));
  }
  cache->remove("a");
  WarmLeases& leases = *cache->leases();
  const auto token = leases.take("a", 1h);
  ASSERT_TRUE(token);
  EXPECT_TRUE(leases.put_leased("a", entry_until(clock_->now() + 1h, 4), *token));
  leases.release("a", *leases.take("a", 1h));
  cache->clear();
  made.prefix = "others:";
  const auto outside = warm::make_redis_warm_cache(made);
  EXPECT_EQ(error_of([&] { (void)outside->get("a"); }).code(), ErrorCode::permission_denied);
}

TEST(RedisOptions, WrongSettingsAreNamed) {
  const WarmConfig good{.type = WarmType::redis, .endpoint = "redis://h"};
  EXPECT_EQ(warm::redis_options(good).client.endpoint.host, "h");
  const auto refused = [](WarmConfig config) {
    try {
      (void)warm::redis_options(config);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      return std::string(error.what());
    }
    return std::string("(taken)");
  };
  const auto changed = [&](const auto& change) {
    WarmConfig config = good;
    change(config);
    return refused(config);
  };
  EXPECT_THAT(changed([](auto& c) { c.endpoint = ""; }), HasSubstr("warm.endpoint"));
  EXPECT_THAT(changed([](auto& c) { c.endpoint = "h:1"; }), HasSubstr("warm.endpoint"));
  EXPECT_THAT(changed([](auto& c) { c.username = "u"; }), HasSubstr("warm.password"));
  EXPECT_THAT(changed([](auto& c) {
                c.endpoint = "redis://u:p@h";
                c.password = "q";
              }),
              HasSubstr("one place"));
  EXPECT_THAT(changed([](auto& c) { c.timeout = 0ms; }), HasSubstr("warm.timeout"));
  EXPECT_THAT(changed([](auto& c) { c.connect_timeout = 2h; }), HasSubstr("warm.connect_timeout"));
  EXPECT_THAT(changed([](auto& c) { c.max_connections = 0; }), HasSubstr("warm.max_connections"));
  EXPECT_THAT(changed([](auto& c) { c.prefix = std::string(257, 'x'); }), HasSubstr("warm.prefix"));
  EXPECT_THAT(changed([](auto& c) { c.ca_file = "ca.pem"; }), HasSubstr("rediss"));
  EXPECT_THAT(changed([](auto& c) {
                c.endpoint = "rediss://h";
                c.ca_file = "no/such/file.pem";
              }),
              HasSubstr("warm.ca_file"));
}

}  // namespace
}  // namespace db4::testing
