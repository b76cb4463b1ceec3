// Does S3-FIFO earn its keep: hit ratios against a plain FIFO of the same bytes, on a trace made from a seed
// and, where DB4_TRACES names their folder, on real ones.

#include "warm/s3_fifo.hpp"

#include "support/temporary_folder.hpp"
#include "warm/disk_warm_cache.hpp"
#include "warm/warm_cache_suite.hpp"
#include "warm/warm_caches.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <random>
#include <unordered_set>

namespace db4::testing {
namespace {

using Trace = std::vector<std::uint64_t>;  // keys
constexpr std::size_t kRecordBytes = 1000;

/// Zipf over 20,000 keys; every third request asks for a key that never comes again.
Trace zipf_with_one_hit_wonders(std::size_t requests, std::uint64_t seed) {
  constexpr std::size_t kKeys = 20'000;
  std::vector<double> weights;
  for (std::size_t i = 1; i <= kKeys; ++i) weights.push_back(std::pow(static_cast<double>(i), -0.9));
  std::discrete_distribution<std::uint64_t> zipf(weights.begin(), weights.end());
  std::mt19937_64 random(seed);
  Trace trace;
  for (std::size_t i = 0; i < requests; ++i) trace.push_back(i % 3 == 2 ? 1'000'000 + i : zipf(random));
  return trace;
}

double cache_hit_ratio(WarmCache& cache, const Trace& trace) {
  const auto record = std::make_shared<const std::string>(kRecordBytes, 'r');
  std::size_t hits = 0;
  for (const std::uint64_t key : trace) {
    const std::string text = "key " + std::to_string(key);
    if (cache.get(text)) {
      ++hits;
    } else {
      cache.put(text, {.version = 1, .fresh_until = {}, .stale_until = {}, .record = record});
    }
  }
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

double fifo_hit_ratio(std::size_t entries, const Trace& trace) {
  std::deque<std::uint64_t> queue;
  std::unordered_set<std::uint64_t> held;
  std::size_t hits = 0;
  for (const std::uint64_t key : trace) {
    if (!held.insert(key).second) {
      ++hits;
      continue;
    }
    queue.push_back(key);
    if (queue.size() <= entries) continue;
    held.erase(queue.front());
    queue.pop_front();
  }
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

struct Ratios {
  double cache;
  double fifo;
};

/// The FIFO holds as many entries as the cache came to hold in the same bytes.
Ratios compare(WarmCache& cache, const Trace& trace) {
  const double ratio = cache_hit_ratio(cache, trace);
  return {ratio, fifo_hit_ratio(cache.stats().entries, trace)};
}

TEST(S3Fifo, MemoryCacheMissesLessThanFifoAmongOneHitWonders) {
  const auto cache = warm::make_memory_warm_cache(3 << 20);
  const Ratios ratios = compare(*cache, zipf_with_one_hit_wonders(150'000, 1));
  std::cout << "hit ratio " << ratios.cache << ", FIFO " << ratios.fifo << "\n";
  EXPECT_LT(1 - ratios.cache, 0.88 * (1 - ratios.fifo));
}

TEST(S3Fifo, DiskCacheMissesLessThanFifoAmongOneHitWonders) {
  const TemporaryFolder folder;
  const auto cache = warm::make_engine_warm_cache(folder.path(), 3 << 20, &kv::open_memory_engine);
  const Ratios ratios = compare(*cache, zipf_with_one_hit_wonders(150'000, 1));
  std::cout << "hit ratio " << ratios.cache << ", FIFO " << ratios.fifo << "\n";
  EXPECT_LT(1 - ratios.cache, 0.88 * (1 - ratios.fifo));
}

/// Big-endian 32-bit keys, compressed with xz; at most `requests` of them.
Trace read_trace(const std::string& path, std::size_t requests) {
  Trace trace;
  std::FILE* const pipe = ::popen(("xz -dc '" + path + "' 2>/dev/null").c_str(), "r");
  unsigned char bytes[4];
  while (pipe != nullptr && trace.size() < requests && std::fread(bytes, 1, 4, pipe) == 4) {
    trace.push_back(std::uint64_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]);
  }
  if (pipe != nullptr) ::pclose(pipe);
  return trace;
}

TEST(S3Fifo, MissesLessThanFifoOnRealTraces) {
  const char* const folder = std::getenv("DB4_TRACES");
  if (folder == nullptr)
    GTEST_SKIP() << "DB4_TRACES names no folder with web07.trace.xz and orm-busy.trace.xz";
  for (const char* name : {"web07.trace.xz", "orm-busy.trace.xz"}) {
    const Trace trace = read_trace(std::string(folder) + "/" + name, 500'000);
    ASSERT_FALSE(trace.empty()) << name;
    const std::size_t keys = std::unordered_set<std::uint64_t>(trace.begin(), trace.end()).size();
    const auto cache = warm::make_memory_warm_cache(keys * 1300 / 10);  // room for about a tenth
    const Ratios ratios = compare(*cache, trace);
    std::cout << name << ": hit ratio " << ratios.cache << ", FIFO " << ratios.fifo << " with "
              << cache->stats().entries << " of " << keys << " keys\n";
    EXPECT_LT(1 - ratios.cache, 1 - ratios.fifo) << name;
  }
}

TEST(GhostTable, RemembersTheLastOnesOnce) {
  warm::GhostTable ghosts(1024);
  std::mt19937_64 random(3);
  std::vector<std::uint64_t> hashes(300);
  for (auto& hash : hashes) ghosts.insert(hash = random());
  EXPECT_FALSE(ghosts.take(random(), 1000));
  int remembered = 0;
  for (std::size_t i = 200; i < 300; ++i) remembered += ghosts.take(hashes[i], 100) ? 1 : 0;
  EXPECT_GE(remembered, 97) << "a full bucket may forget a few";
  EXPECT_FALSE(ghosts.take(hashes[299], 100)) << "taken already";
  for (std::size_t i = 0; i < 200; ++i) EXPECT_FALSE(ghosts.take(hashes[i], 100)) << "too long ago";
}

}  // namespace
}  // namespace db4::testing
