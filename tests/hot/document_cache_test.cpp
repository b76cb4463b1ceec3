#include "hot/document_cache.hpp"

#include "base/hash.hpp"
#include "hot/cache_blocks.hpp"

#include <db4/error.hpp>

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <stdexcept>
#include <string>

namespace db4::hot {
namespace {

using detail::BlockRef;
using detail::DocumentBlock;

/// The cache with the key spelled as an id.
class Cache : public DocumentCache {
 public:
  using DocumentCache::DocumentCache;
  BlockRef get(std::string_view id, std::int64_t now_us = 1) {
    const BlockRef key = make_block(id, 0, 0);
    return find(key->hash, key->key(), now_us);
  }
  [[nodiscard]] BlockRef look(std::string_view id) const {
    const BlockRef key = make_block(id, 0, 0);
    return peek(key->hash, key->key());
  }
  void remove(std::string_view id) {
    const BlockRef key = make_block(id, 0, 0);
    erase(key->hash, key->key());
  }
  /// Accesses by id, as one drain reports them.
  std::map<std::string, std::uint64_t> drained() {
    std::map<std::string, std::uint64_t> hits;
    drain_accesses([&](DocumentBlock& block, std::uint32_t count, std::int64_t) {
      hits[std::string(block.id())] += count;
    });
    return hits;
  }
};

using Hits = std::map<std::string, std::uint64_t>;

std::string id_of(std::uint64_t i) { return "id" + std::to_string(i); }

TEST(DocumentCache, FindsWhatWasPutAndNothingElse) {
  Cache cache({.max_bytes = 1 << 20});
  cache.put(make_block("a", 7));
  ASSERT_TRUE(cache.get("a"));
  EXPECT_EQ(cache.get("a")->version, 7U);
  EXPECT_EQ(cache.get("a")->body(), std::string(100, 'h'));
  EXPECT_FALSE(cache.get("b"));
  EXPECT_EQ(cache.stats().entries, 1U);
}

TEST(DocumentCache, PutReplacesAndEraseRemoves) {
  Cache cache({.max_bytes = 1 << 20});
  cache.put(make_block("a", 1));
  cache.put(make_block("a", 2, 5'000));
  EXPECT_EQ(cache.get("a")->version, 2U);
  EXPECT_EQ(cache.stats().entries, 1U);
  cache.remove("a");
  EXPECT_FALSE(cache.get("a"));
  EXPECT_EQ(cache.stats().entries, 0U);
}

TEST(DocumentCache, AHitOutlivesItsRemoval) {
  Cache cache({.max_bytes = 1 << 20});
  cache.put(make_block("a", 1));
  const BlockRef held = cache.get("a");
  cache.remove("a");
  cache.clear();
  EXPECT_EQ(held->body(), std::string(100, 'b'));
}

TEST(DocumentCache, OffHoldsNothing) {
  Cache cache({.max_bytes = 0});
  cache.put(make_block("a", 1));
  EXPECT_FALSE(cache.fill(cache.begin_fill(make_block("b", 1)->hash), make_block("b", 1)));
  EXPECT_FALSE(cache.get("a"));
  EXPECT_EQ(cache.stats().entries, 0U);
  cache.remove("a");
  EXPECT_EQ(cache.drained(), Hits{});
}

TEST(DocumentCache, ShardsMustBeAPowerOfTwo) {
  EXPECT_THROW(DocumentCache({.max_bytes = 1 << 20, .shards = 0}), Error);
  EXPECT_THROW(DocumentCache({.max_bytes = 1 << 20, .shards = 12}), Error);
}

// ---- bounds

class DocumentCacheBound : public testing::TestWithParam<std::uint64_t> {};

TEST_P(DocumentCacheBound, HoldsAfterEveryPut) {
  Cache cache({.max_bytes = GetParam()});
  std::mt19937_64 random(5);
  std::uint64_t most = 0;
  for (int i = 0; i < 4'000; ++i) {
    const std::size_t size = random() % 8 == 0 ? random() % 40'000 : random() % 600;
    cache.put(make_block(id_of(random() % 3'000), 1, size));
    if (random() % 2 == 0) (void)cache.get(id_of(random() % 3'000));
    if (random() % 4 == 0) cache.remove(id_of(random() % 3'000));
    ASSERT_LE(cache.stats().bytes, GetParam()) << "step " << i;
    most = std::max(most, cache.stats().bytes);
  }
  if (GetParam() >= (256 << 10)) {
    EXPECT_GE(most, GetParam() / 10 * 9);  // and it makes use of its room
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, DocumentCacheBound,
                         testing::Values(16 << 10, 64 << 10, 300'000, 1 << 20, 5 << 20));

TEST(DocumentCache, SmallDocumentsFillTheirRoom) {
  Cache cache({.max_bytes = 8 << 20});
  const std::size_t each = make_block(id_of(1'000'000), 1, 64)->memory_bytes();
  for (std::uint64_t i = 0; i < 200'000; ++i) cache.put(make_block(id_of(1'000'000 + i), 1, 64));
  EXPECT_LE(cache.stats().bytes, 8U << 20);
  EXPECT_GE(cache.stats().entries, (8U << 20) / (each + 40));
}

TEST(DocumentCache, OneMebibyteBodyFitsFiftyMebibytes) {
  Cache cache({.max_bytes = 50 << 20});
  for (int i = 0; i < 10; ++i) {
    cache.put(make_block(id_of(i), 1, 1 << 20));
    EXPECT_TRUE(cache.look(id_of(i)));
  }
}

TEST(DocumentCache, TooLargeAVersionOnlyRemovesTheOldOne) {
  Cache cache({.max_bytes = 1 << 20});
  cache.put(make_block("a", 1));
  cache.put(make_block("b", 1));
  (void)cache.get("a");
  cache.put(make_block("a", 2, 1 << 20));
  EXPECT_FALSE(cache.look("a"));
  EXPECT_TRUE(cache.look("b"));
  EXPECT_EQ(cache.drained(), (Hits{{"a", 1}}));
}

TEST(DocumentCache, PuttingAndErasingForEverTakesNoMoreMemory) {
  Cache cache({.max_bytes = 16 << 20, .shards = 1});
  cache.put(make_block("stays", 1));
  std::uint64_t early = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    cache.put(make_block(id_of(i % 50), i));
    cache.put(make_block(id_of(1'000 + i), i));
    cache.remove(id_of(i % 50));
    cache.remove(id_of(1'000 + i));
    if (i == 1'000) early = cache.stats().bytes;
  }
  EXPECT_LE(cache.stats().bytes, early);
  EXPECT_TRUE(cache.look("stays"));
}

TEST(DocumentCache, ClearGivesTheMemoryBack) {
  Cache cache({.max_bytes = 4 << 20});
  const std::uint64_t empty = cache.stats().bytes;
  for (std::uint64_t i = 0; i < 1'000; ++i) cache.put(make_block(id_of(i), 1));
  cache.clear();
  EXPECT_EQ(cache.stats().entries, 0U);
  EXPECT_EQ(cache.stats().bytes, empty);
  cache.put(make_block("again", 1));
  EXPECT_TRUE(cache.look("again"));
}

TEST(DocumentCache, DocumentsOfOneHashAreToldApart) {
  Cache cache({.max_bytes = 1 << 20});
  for (std::uint64_t i = 0; i < 50; ++i) cache.put(make_block_with_hash(id_of(i), i, 99));
  for (std::uint64_t i = 0; i < 50; ++i) {
    const BlockRef key = make_block(id_of(i), 0, 0);
    const BlockRef found = cache.find(99, key->key(), 1);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->version, i);
  }
}

// ---- eviction

TEST(DocumentCache, AScanDoesNotSweepOutWhatIsUsed) {
  Cache cache({.max_bytes = 2 << 20});
  for (std::uint64_t i = 0; i < 1'000; ++i) cache.put(make_block(id_of(i), 1, 300));
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t i = 0; i < 1'000; ++i) (void)cache.get(id_of(i));
  }
  for (std::uint64_t i = 0; i < 50'000; ++i) cache.put(make_block(id_of(10'000 + i), 1, 300));
  int left = 0;
  for (std::uint64_t i = 0; i < 1'000; ++i) left += cache.look(id_of(i)) ? 1 : 0;
  EXPECT_GE(left, 950);
  EXPECT_GE(cache.stats().evictions, 40'000U);
}

TEST(DocumentCache, WhatComesBackSoonAfterEvictionStays) {
  Cache cache({.max_bytes = 2 << 20});
  std::uint64_t next = 0;
  const auto scan = [&](int count) {
    for (int i = 0; i < count; ++i) cache.put(make_block(id_of(next++), 1, 300));
  };
  // With the main queue full of what is used, a tenth is left to newcomers.
  for (std::uint64_t i = 0; i < 8'000; ++i) {
    cache.put(make_block("used" + id_of(i % 4'000), 1, 300));
    for (int hit = 0; hit < 3; ++hit) (void)cache.get("used" + id_of(i % 4'000));
  }
  scan(2'000);
  cache.put(make_block("returns", 1, 300));
  while (cache.look("returns")) scan(1);
  cache.put(make_block("returns", 1, 300));  // finds its ghost
  scan(3'000);                               // passes through the small queue many times over
  EXPECT_TRUE(cache.look("returns"));
}

TEST(DocumentCache, WhatIsNoLongerUsedGoesInTheEnd) {
  Cache cache({.max_bytes = 1 << 20});
  for (std::uint64_t i = 0; i < 1'000; ++i) cache.put(make_block(id_of(i), 1, 300));
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t i = 0; i < 1'000; ++i) (void)cache.get(id_of(i));
  }
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    const std::string id = id_of(10'000 + i / 4);
    if (!cache.get(id)) cache.put(make_block(id, 1, 300));
  }
  int left = 0;
  for (std::uint64_t i = 0; i < 1'000; ++i) left += cache.look(id_of(i)) ? 1 : 0;
  EXPECT_EQ(left, 0);
}

// ---- accesses

TEST(DocumentCache, AccessesAreReportedOnce) {
  Cache cache({.max_bytes = 1 << 20});
  for (const char* id : {"a", "b", "c"}) cache.put(make_block(id, 1));
  for (const std::int64_t when : {50, 70, 60}) (void)cache.get("a", when);
  (void)cache.get("b", 5);
  (void)cache.look("c");
  std::map<std::string, std::pair<std::uint32_t, std::int64_t>> seen;
  cache.drain_accesses([&](DocumentBlock& block, std::uint32_t hits, std::int64_t last) {
    seen[std::string(block.id())] = {hits, last};
  });
  EXPECT_EQ(seen, (decltype(seen){{"a", {3, 70}}, {"b", {1, 5}}}));
  EXPECT_EQ(cache.drained(), Hits{});
  (void)cache.get("b");
  EXPECT_EQ(cache.drained(), (Hits{{"b", 1}}));
}

TEST(DocumentCache, AReplacingVersionCarriesTheAccesses) {
  Cache cache({.max_bytes = 1 << 20});
  cache.put(make_block("a", 1));
  (void)cache.get("a");
  (void)cache.get("a");
  cache.put(make_block("a", 2));
  (void)cache.get("a");
  EXPECT_EQ(cache.drained(), (Hits{{"a", 3}}));
}

TEST(DocumentCache, AReplacingVersionTakesOverFiguresItDoesNotKnow) {
  Cache cache({.max_bytes = 1 << 20});
  const BlockRef first = make_block("a", 1);
  first->base_access_count = 40;
  first->recent = 77;
  cache.put(first);
  cache.put(make_block("a", 2));
  EXPECT_EQ(cache.look("a")->base_access_count, 40U);
  EXPECT_EQ(cache.look("a")->recent, 77U);
  const BlockRef knows = make_block("a", 3);
  knows->base_access_count = 50;
  cache.put(knows);
  EXPECT_EQ(cache.look("a")->base_access_count, 50U);
}

TEST(DocumentCache, AccessesOutliveTheBlock) {
  Cache cache({.max_bytes = 1 << 20});
  cache.put(make_block("erased", 4, 100'000));
  (void)cache.get("erased");
  cache.remove("erased");
  cache.put(make_block("cleared", 1));
  (void)cache.get("cleared");
  cache.clear();
  cache.put(make_block("evicted", 1));
  (void)cache.get("evicted");
  for (std::uint64_t i = 0; cache.look("evicted"); ++i) cache.put(make_block(id_of(i), 1, 300));
  EXPECT_EQ(cache.drained(), (Hits{{"cleared", 1}, {"erased", 1}, {"evicted", 1}}));
  EXPECT_EQ(cache.drained(), Hits{});
  EXPECT_EQ(cache.stats().dropped_accesses, 0U);
}

TEST(DocumentCache, AccessesBeyondTheBoundAreCountedAsDropped) {
  Cache cache({.max_bytes = 64 << 10});
  std::uint64_t hits = 0;
  for (std::uint64_t i = 0; i < 5'000; ++i) {
    cache.put(make_block(id_of(i), 1));
    hits += cache.get(id_of(i)) ? 1 : 0;
  }
  std::uint64_t reported = 0;
  for (const auto& [id, count] : cache.drained()) reported += count;
  EXPECT_GT(cache.stats().dropped_accesses, 0U);
  EXPECT_EQ(reported + cache.stats().dropped_accesses, hits);
}

TEST(DocumentCache, AccessesASinkRefusedAreCountedAsDropped) {
  Cache cache({.max_bytes = 1 << 20});
  for (std::uint64_t i = 0; i < 20; ++i) {
    cache.put(make_block(id_of(i), 1));
    (void)cache.get(id_of(i));
  }
  int taken = 0;
  EXPECT_THROW(cache.drain_accesses([&](DocumentBlock&, std::uint32_t, std::int64_t) {
    if (++taken == 6) throw std::runtime_error("full");
  }),
               std::runtime_error);
  std::uint64_t rest = 0;
  for (const auto& [id, count] : cache.drained()) rest += count;
  EXPECT_EQ(5 + cache.stats().dropped_accesses + rest, 20U);
  EXPECT_GT(cache.stats().dropped_accesses, 0U);
}

// ---- coherence

class DocumentCacheFill : public testing::Test {
 protected:
  Cache cache_{{.max_bytes = 4 << 20}};
  const std::uint64_t hash_ = make_block("a", 1)->hash;
};

TEST_F(DocumentCacheFill, SucceedsWhereNothingChanged) {
  const auto ticket = cache_.begin_fill(hash_);
  EXPECT_TRUE(cache_.fill(ticket, make_block("a", 1)));
  EXPECT_EQ(cache_.get("a")->version, 1U);
  EXPECT_EQ(cache_.stats().refused_fills, 0U);
}

TEST_F(DocumentCacheFill, IsRefusedWhileAChangeIsPending) {
  const auto before = cache_.begin_fill(hash_);
  cache_.begin_change(hash_);
  const auto during = cache_.begin_fill(hash_);
  EXPECT_FALSE(cache_.fill(before, make_block("a", 1)));
  EXPECT_FALSE(cache_.fill(during, make_block("a", 1)));
  EXPECT_EQ(cache_.stats().refused_fills, 2U);
  cache_.end_change(hash_);
  EXPECT_FALSE(cache_.fill(during, make_block("a", 1)));
  EXPECT_TRUE(cache_.fill(cache_.begin_fill(hash_), make_block("a", 1)));
}

TEST_F(DocumentCacheFill, WithWhatWasReadBeforeARemovalIsRefused) {
  cache_.put(make_block("a", 1));
  const auto ticket = cache_.begin_fill(hash_);
  cache_.begin_change(hash_);
  cache_.remove("a");
  cache_.end_change(hash_);
  EXPECT_FALSE(cache_.fill(ticket, make_block("a", 1)));
  EXPECT_FALSE(cache_.get("a"));
}

TEST_F(DocumentCacheFill, AfterTheNewVersionWasEvictedIsRefused) {
  const auto ticket = cache_.begin_fill(hash_);
  cache_.begin_change(hash_);
  cache_.put(make_block("a", 2));
  cache_.end_change(hash_);
  for (std::uint64_t i = 0; cache_.look("a"); ++i) cache_.put(make_block(id_of(i), 1, 300));
  EXPECT_FALSE(cache_.fill(ticket, make_block("a", 1)));
  EXPECT_FALSE(cache_.get("a"));
}

TEST_F(DocumentCacheFill, AroundAChangeThatFailedIsRefusedAndTheNextOneSucceeds) {
  const auto ticket = cache_.begin_fill(hash_);
  cache_.begin_change(hash_);
  cache_.end_change(hash_);
  EXPECT_FALSE(cache_.fill(ticket, make_block("a", 1)));
  EXPECT_TRUE(cache_.fill(cache_.begin_fill(hash_), make_block("a", 1)));
}

TEST_F(DocumentCacheFill, WaitsForTheLastOfSeveralChanges) {
  cache_.begin_change(hash_);
  cache_.begin_change(hash_);
  cache_.end_change(hash_);
  EXPECT_FALSE(cache_.fill(cache_.begin_fill(hash_), make_block("a", 1)));
  cache_.end_change(hash_);
  EXPECT_TRUE(cache_.fill(cache_.begin_fill(hash_), make_block("a", 1)));
}

TEST_F(DocumentCacheFill, TwiceKeepsTheFirst) {
  const auto first = cache_.begin_fill(hash_);
  const auto second = cache_.begin_fill(hash_);
  const BlockRef block = make_block("a", 1);
  EXPECT_TRUE(cache_.fill(first, block));
  EXPECT_FALSE(cache_.fill(second, make_block("a", 1)));
  EXPECT_EQ(cache_.get("a").get(), block.get());
  EXPECT_EQ(cache_.stats().refused_fills, 0U);
}

// ---- against a model

TEST(DocumentCacheModel, NeverAnswersWithAnythingButTheNewestVersion) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const std::uint64_t max_bytes = (16ULL << 10) << random() % 9;
    Cache cache({.max_bytes = max_bytes, .shards = 4});
    std::map<std::string, Version> truth;
    std::uint64_t hits = 0;
    Hits drained;
    const auto drain = [&] {
      for (const auto& [id, count] : cache.drained()) drained[id] += count;
    };
    for (Version step = 1; step <= 30'000; ++step) {
      const std::string id = id_of(random() % 400 * (random() % 400) / 400);
      const std::uint64_t hash = make_block(id, 0, 0)->hash;
      switch (random() % 10) {
        case 0: {
          cache.begin_change(hash);
          truth[id] = step;
          cache.put(make_block(id, step, random() % 2'000));
          cache.end_change(hash);
          break;
        }
        case 1: {
          cache.begin_change(hash);
          truth.erase(id);
          cache.remove(id);
          cache.end_change(hash);
          break;
        }
        case 2:
        case 3: {
          const auto ticket = cache.begin_fill(hash);
          if (const auto found = truth.find(id); found != truth.end()) {
            cache.fill(ticket, make_block(id, found->second, random() % 2'000));
          }
          break;
        }
        default: {
          const BlockRef block = cache.get(id);
          if (!block) break;
          ++hits;
          const auto found = truth.find(id);
          ASSERT_NE(found, truth.end()) << id << " was removed, step " << step;
          ASSERT_EQ(block->version, found->second) << id << ", step " << step;
          ASSERT_EQ(block->id(), id);
          break;
        }
      }
      if (random() % 2'000 == 0) drain();
      if (random() % 10'000 == 0) cache.clear();
      ASSERT_LE(cache.stats().bytes, max_bytes);
    }
    drain();
    std::uint64_t reported = cache.stats().dropped_accesses;
    for (const auto& [id, count] : drained) reported += count;
    EXPECT_EQ(reported, hits);
    EXPECT_GT(hits, 0U);
  }
}

}  // namespace
}  // namespace db4::hot
