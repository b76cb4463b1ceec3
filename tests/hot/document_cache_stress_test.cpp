// Threads against the document cache. They mean most under ThreadSanitizer.

#include "hot/cache_blocks.hpp"
#include "hot/document_cache.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace db4::hot {
namespace {

using detail::BlockRef;
using detail::DocumentBlock;

/// A catalogue of one number for each document: odd versions are documents, even ones removals.
struct Truth {
  std::mutex mutex;     ///< the engine's: commits and reads
  Version version = 0;  ///< guarded by mutex
  std::mutex writer;    ///< one change after another, as a commit queue applies them
  std::atomic<Version> acknowledged{0};
};

class Simulation {
 public:
  static constexpr std::size_t kDocuments = 48;

  explicit Simulation(std::uint64_t max_bytes) : cache_({.max_bytes = max_bytes, .shards = 4}) {
    for (std::size_t i = 0; i < kDocuments; ++i) keys_[i] = make_block("id" + std::to_string(i), 0, 0);
  }

  void write(std::size_t at, std::mt19937_64& random) {
    Truth& truth = truths_[at];
    const DocumentBlock& key = *keys_[at];
    const std::lock_guard order(truth.writer);
    cache_.begin_change(key.hash);
    const bool fails = random() % 8 == 0;
    Version committed = 0;
    if (!fails) {
      const std::lock_guard commit(truth.mutex);
      committed = ++truth.version;
    }
    if (committed != 0) {
      if (committed % 2 == 1) {
        cache_.put(make_block(key.id(), committed, random() % 3'000));
      } else {
        cache_.erase(key.hash, key.key());
      }
    }
    cache_.end_change(key.hash);
    if (committed != 0) truth.acknowledged.store(committed);
  }

  /// A read that begins after a version was acknowledged must see that one or a newer one.
  void read(std::size_t at, std::mt19937_64& random) {
    Truth& truth = truths_[at];
    const DocumentBlock& key = *keys_[at];
    const Version least = truth.acknowledged.load();
    if (const BlockRef hit = cache_.find(key.hash, key.key(), 1)) {
      hits_.fetch_add(1);
      if (hit->version < least || hit->version % 2 == 0) stale_.fetch_add(1);
      if (!hit->body().empty() && hit->body().back() != static_cast<char>('a' + hit->version % 26)) {
        garbled_.fetch_add(1);
      }
      return;
    }
    const auto ticket = cache_.begin_fill(key.hash);
    Version version = 0;
    {
      const std::lock_guard engine(truth.mutex);
      version = truth.version;
    }
    if (version < least) stale_.fetch_add(1);
    if (random() % 4 == 0) std::this_thread::yield();  // gives changes time to come between
    if (random() % 64 == 0) write(at, random);         // where the scheduler lets none, one does
    if (version % 2 == 1) cache_.fill(ticket, make_block(key.id(), version, random() % 3'000));
  }

  void run(std::uint64_t seed) {
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 6; ++t) {
      threads.emplace_back([this, seed, t] {
        std::mt19937_64 random(seed * 100 + t);
        for (int i = 0; i < 8'000; ++i) {
          const std::size_t at = random() % kDocuments;
          if (t < 2) {
            write(at, random);
          } else {
            read(at, random);
          }
          if (t == 2 && i % 1'000 == 0) cache_.clear();
          if (t == 3 && i % 500 == 0) drain();
        }
      });
    }
    threads.clear();
    drain();
  }

  void drain() {
    cache_.drain_accesses(
        [this](DocumentBlock&, std::uint32_t hits, std::int64_t) { reported_.fetch_add(hits); });
  }

  DocumentCache cache_;
  std::array<Truth, kDocuments> truths_;
  std::array<BlockRef, kDocuments> keys_;
  std::atomic<std::uint64_t> hits_{0};
  std::atomic<std::uint64_t> stale_{0};
  std::atomic<std::uint64_t> garbled_{0};
  std::atomic<std::uint64_t> reported_{0};
};

class DocumentCacheStress : public testing::TestWithParam<std::uint64_t> {};

TEST_P(DocumentCacheStress, NobodySeesAVersionOlderThanAnAcknowledgedOne) {
  constexpr std::uint64_t kSeeds = 3;
  constexpr std::uint64_t kMostSeeds = 100;
  std::uint64_t refused_fills = 0;
  // A fill meets a write where the system lets another thread run at that moment: on some machines seldom.
  for (std::uint64_t seed = 1; seed <= kSeeds || (refused_fills == 0 && seed <= kMostSeeds); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation simulation(GetParam());
    simulation.run(seed);
    EXPECT_EQ(simulation.stale_, 0U);
    EXPECT_EQ(simulation.garbled_, 0U);
    EXPECT_GT(simulation.hits_, 0U);
    const DocumentCacheStats stats = simulation.cache_.stats();
    refused_fills += stats.refused_fills;
    EXPECT_EQ(simulation.reported_ + stats.dropped_accesses, simulation.hits_);
    EXPECT_LE(stats.bytes, GetParam());
  }
  EXPECT_GT(refused_fills, 0U);
}

// One holds a part of the documents, so that evictions come between; the other all of them, over shards.
INSTANTIATE_TEST_SUITE_P(Sizes, DocumentCacheStress, testing::Values(32 << 10, 16 << 20));

}  // namespace
}  // namespace db4::hot
