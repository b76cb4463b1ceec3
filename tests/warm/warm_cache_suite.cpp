#include "warm/warm_cache_suite.hpp"

#include <db4/error.hpp>

#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <random>
#include <thread>

namespace db4::testing {
namespace {

using namespace std::chrono_literals;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(WarmCacheSuite);

TEST_P(WarmCacheSuite, GetReturnsWhatWasPut) {
  cache_->put("a", warm_entry(7, "record"));
  const auto entry = cache_->get("a");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->version, 7U);
  EXPECT_EQ(entry->fresh_until, at_second(1000));
  EXPECT_EQ(entry->stale_until, at_second(2000));
  EXPECT_EQ(*entry->record, "record");
  EXPECT_FALSE(cache_->get("b"));
}

TEST_P(WarmCacheSuite, KeysAndRecordsAreArbitraryBytes) {
  const std::vector<std::string> keys = {std::string(1, '\0'), std::string("\0\xff", 2), "\xff\xff", "a/b",
                                         std::string(2048, '\xff')};
  for (const std::string& key : keys) cache_->put(key, warm_entry(1, key + std::string("\0record", 7)));
  for (const std::string& key : keys) EXPECT_EQ(held(key), key + std::string("\0record", 7));
  cache_->put("empty", warm_entry(1, ""));
  EXPECT_EQ(held("empty"), "");
}

TEST_P(WarmCacheSuite, IllegalKeysAndEntriesAreRefused) {
  for (const std::string& key : {std::string(), std::string(2049, 'x')}) {
    EXPECT_THROW(cache_->put(key, warm_entry(1, "record")), Error);
    EXPECT_THROW((void)cache_->get(key), Error);
    EXPECT_THROW(cache_->remove(key), Error);
    EXPECT_THROW((void)cache_->contains(key, 1, at_second(0)), Error);
  }
  EXPECT_THROW(cache_->put("a", WarmEntry{}), Error);
}

TEST_P(WarmCacheSuite, PutOfALowerVersionIsIgnored) {
  cache_->put("a", warm_entry(2, "two"));
  cache_->put("a", warm_entry(1, "one"));
  EXPECT_EQ(held("a"), "two");
  cache_->put("a", warm_entry(2, "two again"));
  EXPECT_EQ(held("a"), "two again");
  cache_->put("a", warm_entry(3, "three"));
  EXPECT_EQ(held("a"), "three");
  EXPECT_EQ(cache_->stats().entries, 1U);
}

TEST_P(WarmCacheSuite, RemoveAndClearForget) {
  for (const char* key : {"a", "b", "c"}) cache_->put(key, warm_entry(5, key));
  cache_->remove("a");
  cache_->remove("a");
  EXPECT_EQ(held("a"), "(absent)");
  EXPECT_EQ(held("b"), "b");
  EXPECT_EQ(cache_->stats().entries, 2U);
  cache_->clear();
  EXPECT_EQ(held("b"), "(absent)");
  EXPECT_EQ(cache_->stats().entries, 0U);
  cache_->put("a", warm_entry(1, "a lower version, after it was removed"));
  EXPECT_EQ(held("a"), "a lower version, after it was removed");
}

TEST_P(WarmCacheSuite, ContainsLooksAtVersionAndTime) {
  cache_->put("a", warm_entry(2, "two"));
  EXPECT_TRUE(cache_->contains("a", 2, at_second(1999)));
  EXPECT_FALSE(cache_->contains("a", 2, at_second(2000)));
  EXPECT_FALSE(cache_->contains("a", 1, at_second(0)));
  EXPECT_FALSE(cache_->contains("b", 2, at_second(0)));
}

TEST_P(WarmCacheSuite, RecordsOverATenthAreNotAdmittedAndEndTheirPast) {
  cache_->put("a", warm_entry(1, "small"));
  cache_->put("a", warm_entry(2, std::string(kMaxBytes / 10, 'x')));
  EXPECT_EQ(held("a"), "(absent)");
  cache_->put("b", warm_entry(1, std::string(kMaxBytes / 10, 'x')));
  EXPECT_EQ(held("b"), "(absent)");
  cache_->put("c", warm_entry(1, std::string(kMaxBytes / 11, 'x')));
  EXPECT_EQ(held("c").size(), kMaxBytes / 11);
}

TEST_P(WarmCacheSuite, BytesStayBelowTheBoundUnderChurn) {
  if (!GetParam().bounds_itself) GTEST_SKIP() << "the server bounds what it holds";
  std::mt19937_64 random(5);
  std::uint64_t live = 0;
  for (int i = 0; i < 6000; ++i) {
    const std::string key = "key " + std::to_string(random() % 2000);
    switch (random() % 8) {
      case 0:
        cache_->remove(key);
        break;
      case 1:
      case 2:
        (void)cache_->get(key);
        break;
      default:
        cache_->put(key, warm_entry(1, std::string(random() % (random() % 50 == 0 ? 90'000 : 3'000), 'r')));
    }
    ASSERT_LE(cache_->stats().bytes, kMaxBytes);
  }
  std::uint64_t entries = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto entry = cache_->get("key " + std::to_string(i));
    if (!entry) continue;
    ++entries;
    live += entry->record->size();
  }
  const WarmCacheStats stats = cache_->stats();
  EXPECT_EQ(stats.entries, entries);
  EXPECT_LE(live, stats.bytes);
  EXPECT_GT(live, kMaxBytes / 2) << "a cache that holds nothing is bounded too";
  EXPECT_GT(stats.evictions, 0U);
  for (int i = 0; i < 2000; ++i) cache_->remove("key " + std::to_string(i));
  EXPECT_EQ(cache_->stats().entries, 0U);
  EXPECT_LT(cache_->stats().bytes, kMaxBytes / 20) << "what was removed must not be counted any more";
}

TEST_P(WarmCacheSuite, WhatIsUsedOutlivesAScan) {
  if (!GetParam().bounds_itself) GTEST_SKIP() << "the server bounds what it holds";
  const std::string record(4'000, 'r');
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) {
      if (round == 0) cache_->put("used " + std::to_string(i), warm_entry(1, record));
      (void)cache_->get("used " + std::to_string(i));
    }
  }
  for (int i = 0; i < 2000; ++i) cache_->put("once " + std::to_string(i), warm_entry(1, record));
  int left = 0;
  for (int i = 0; i < 20; ++i) left += cache_->get("used " + std::to_string(i)) ? 1 : 0;
  EXPECT_GE(left, 19) << "use counts may be estimates, but good ones";
}

TEST_P(WarmCacheSuite, WhatComesBackSoonAfterItsEvictionOutlivesAScan) {
  if (!GetParam().bounds_itself) GTEST_SKIP() << "the server bounds what it holds";
  const std::string record(4'000, 'r');
  auto scan = [&, next = 0](int entries) mutable {
    for (const int end = next + entries; next < end; ++next) {
      cache_->put("once " + std::to_string(next), warm_entry(1, record));
    }
  };
  for (int i = 0; i < 200; ++i) {
    cache_->put("used " + std::to_string(i), warm_entry(1, record));
    (void)cache_->get("used " + std::to_string(i));
  }
  scan(300);
  cache_->put("returns", warm_entry(1, record));
  scan(60);
  ASSERT_FALSE(cache_->contains("returns", 1, at_second(0)));
  cache_->put("returns", warm_entry(1, record));
  scan(300);
  EXPECT_TRUE(cache_->contains("returns", 1, at_second(0)));
}

TEST_P(WarmCacheSuite, ALeaseIsOnesUntilItIsGivenUpOrOver) {
  WarmLeases* const leases = cache_->leases();
  if (leases == nullptr) GTEST_SKIP() << "it keeps no leases";
  EXPECT_GT(leases->max_record_bytes(), 0U);
  const auto token = leases->take("a", 1h);
  ASSERT_TRUE(token);
  EXPECT_FALSE(leases->take("a", 1h));
  EXPECT_TRUE(leases->take("b", 1h)) << "each key has its own";
  leases->release("a", "not the token");
  EXPECT_FALSE(leases->take("a", 1h));
  leases->release("a", *token);
  const auto brief = leases->take("a", 1ms);
  ASSERT_TRUE(brief);
  EXPECT_NE(*brief, *token);
  std::optional<std::string> next;
  while (!(next = leases->take("a", 1h))) std::this_thread::yield();
  leases->release("a", *brief);
  EXPECT_FALSE(leases->take("a", 1h)) << "it is another's by now";
  EXPECT_FALSE(leases->put_leased("a", warm_entry(1, "late"), *brief));
  EXPECT_EQ(held("a"), "(absent)");
  EXPECT_TRUE(leases->put_leased("a", warm_entry(1, "in time"), *next));
  EXPECT_EQ(held("a"), "in time");
  EXPECT_FALSE(leases->put_leased("a", warm_entry(2, "again"), *next)) << "a put ends the lease";
  EXPECT_EQ(held("a"), "in time");
  for (const std::string& key : {std::string(), std::string(2049, 'x')}) {
    EXPECT_THROW((void)leases->take(key, 1h), Error);
    EXPECT_THROW(leases->put_leased(key, warm_entry(1, "record"), *token), Error);
    EXPECT_THROW(leases->release(key, *token), Error);
  }
}

TEST_P(WarmCacheSuite, WhateverChangesAKeyEndsItsLease) {
  WarmLeases* const leases = cache_->leases();
  if (leases == nullptr) GTEST_SKIP() << "it keeps no leases";
  const std::vector<std::function<void()>> changes{[&] { cache_->put("a", warm_entry(2, "two")); },
                                                   [&] { cache_->remove("a"); }, [&] { cache_->clear(); }};
  for (const auto& change : changes) {
    const auto before = leases->take("a", 1h);
    ASSERT_TRUE(before);
    change();
    const std::string then = held("a");
    EXPECT_FALSE(leases->put_leased("a", warm_entry(3, "old"), *before));
    EXPECT_EQ(held("a"), then);
    const auto after = leases->take("a", 1h);
    ASSERT_TRUE(after) << "the next fill may begin at once";
    leases->release("a", *after);
  }
}

TEST_P(WarmCacheSuite, NoFillUnderALeaseOutlivesARemoval) {
  WarmLeases* const leases = cache_->leases();
  if (leases == nullptr) GTEST_SKIP() << "it keeps no leases";
  for (int round = 0; round < 300; ++round) {
    const auto token = leases->take("a", 1h);
    ASSERT_TRUE(token);
    std::barrier start(2);
    std::jthread remover([&] {
      start.arrive_and_wait();
      cache_->remove("a");
    });
    start.arrive_and_wait();
    leases->put_leased("a", warm_entry(1, "old"), *token);
    remover.join();
    ASSERT_EQ(held("a"), "(absent)");
  }
}

TEST_P(WarmCacheSuite, OfManyWhoAskForALeaseOneGetsIt) {
  WarmLeases* const leases = cache_->leases();
  if (leases == nullptr) GTEST_SKIP() << "it keeps no leases";
  for (int round = 0; round < 50; ++round) {
    const std::string key = "key " + std::to_string(round);
    std::barrier start(8);
    std::atomic<int> given = 0;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        if (leases->take(key, 1h)) ++given;
      });
    }
    threads.clear();
    ASSERT_EQ(given, 1);
  }
}

TEST_P(WarmCacheSuite, ManyThreadsSeeOnlyWhatBelongsToTheirKey) {
  std::atomic<int> bad = 0;
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 1500; ++i) {
        const std::string key = "key " + std::to_string(random() % 300);
        const Version version = random() % 5 + 1;
        switch (random() % 5) {
          case 0:
            cache_->remove(key);
            break;
          case 1:
            cache_->put(key,
                        warm_entry(version, key + "/" + std::to_string(version) + std::string(5000, '.')));
            break;
          default:
            const auto entry = cache_->get(key);
            if (entry && !entry->record->starts_with(key + "/" + std::to_string(entry->version) + ".")) ++bad;
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(bad, 0);
  if (GetParam().bounds_itself) {
    EXPECT_LE(cache_->stats().bytes, kMaxBytes);
  }
}

}  // namespace
}  // namespace db4::testing
