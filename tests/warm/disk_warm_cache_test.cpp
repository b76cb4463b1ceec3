// What only the disk cache promises: it is there again when opened, and it heals by starting anew.

#include "warm/disk_warm_cache.hpp"

#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"
#include "warm/warm_cache_suite.hpp"
#include "warm/warm_caches.hpp"
#include "warm/warm_disk_format.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <fstream>

namespace db4::testing {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kMaxBytes = 1ULL << 20;

/// An engine that forwards every call, and fails or damages what a test asks for.
class FaultyEngine final : public kv::Engine {
 public:
  struct Faults {
    std::atomic<int> fail_commits = 0;  ///< the next so many
    std::atomic<int> fail_gets = 0;
    std::atomic<ErrorCode> code = ErrorCode::corrupt;
    std::atomic<int> damage_records = 0;
    std::atomic<int> compactions = 0;
    std::atomic<int> opened = 0;
  };
  FaultyEngine(std::unique_ptr<Engine> under, std::shared_ptr<Faults> faults)
      : under_(std::move(under)), faults_(std::move(faults)) {
    ++faults_->opened;
  }

  std::optional<std::string> get(std::uint8_t space, std::string_view key) const override {
    if (take(faults_->fail_gets)) fail();
    auto value = under_->get(space, key);
    if (value && space == warm::kRecords && take(faults_->damage_records)) value->back() ^= 1;
    return value;
  }
  std::vector<kv::Entry> scan(const kv::ScanRequest& request) const override { return under_->scan(request); }
  std::vector<kv::Outcome> commit(std::span<const kv::Batch* const> group, Durability durability) override {
    if (take(faults_->fail_commits)) fail();
    return under_->commit(group, durability);
  }
  void sync() override { under_->sync(); }
  void close() override { under_->close(); }
  Durability strongest() const noexcept override { return under_->strongest(); }
  kv::EngineStats stats() const override { return under_->stats(); }
  void compact() override {
    ++faults_->compactions;
    faults_->compactions.notify_all();
    under_->compact();
  }

 private:
  static bool take(std::atomic<int>& left) {
    if (left <= 0) return false;
    --left;
    return true;
  }
  [[noreturn]] void fail() const { throw Error(faults_->code, "an injected fault", "it was ordered"); }

  std::unique_ptr<Engine> under_;
  std::shared_ptr<Faults> faults_;
};

class DiskWarmCacheTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path path() const { return folder_.path() / "warm"; }
  std::shared_ptr<WarmCache> open_faulty() const {
    return warm::make_engine_warm_cache(
        path(), kMaxBytes, [faults = faults_](const kv::EngineOptions& options) {
          return std::make_unique<FaultyEngine>(kv::open_memory_engine(options), faults);
        });
  }
  static std::string held(WarmCache& cache, std::string_view key) {
    const auto entry = cache.get(key);
    return entry ? *entry->record : "(absent)";
  }

  TemporaryFolder folder_;
  std::shared_ptr<FaultyEngine::Faults> faults_ = std::make_shared<FaultyEngine::Faults>();
};

/// Over the engine that make_disk_warm_cache takes.
class RocksDbWarmCacheTest : public DiskWarmCacheTest {
 protected:
  void SetUp() override {
    if (kThreadSanitizer) GTEST_SKIP() << kRocksDbUnderThreadSanitizer;
  }
  [[nodiscard]] std::shared_ptr<WarmCache> open() const {
    return warm::make_disk_warm_cache(path(), kMaxBytes);
  }
};

TEST_F(RocksDbWarmCacheTest, EntriesAndTotalsAreThereWhenItIsOpenedAgain) {
  WarmCacheStats before;
  {
    const auto cache = open();
    for (int i = 0; i < 500; ++i) cache->put(std::to_string(i), warm_entry(3, std::string(3000, 'r')));
    before = cache->stats();
    cache->close();
  }
  const auto cache = open();
  EXPECT_EQ(cache->stats().entries, before.entries);
  EXPECT_EQ(cache->stats().bytes, before.bytes);
  EXPECT_EQ(cache->stats().wiped, 0U);
  EXPECT_EQ(cache->get("499")->version, 3U);
  // The queues go on where they ended: the bound holds and the oldest goes first.
  for (int i = 500; i < 1000; ++i) cache->put(std::to_string(i), warm_entry(3, std::string(3000, 'r')));
  EXPECT_LE(cache->stats().bytes, kMaxBytes);
  EXPECT_EQ(cache->stats().entries, before.entries);
  EXPECT_EQ(held(*cache, "999").size(), 3000U);
}

TEST_F(RocksDbWarmCacheTest, WhatWasPlainIsWipedBeforeSealedEntriesComeAndTheOtherWayRound) {
  const auto open_to_seal = [&] { return warm::make_disk_warm_cache_to_seal(path(), kMaxBytes); };
  const auto in_files = [&](std::string_view text) {
    for (const auto& entry : fs::recursive_directory_iterator(path())) {
      if (!entry.is_regular_file()) continue;
      std::ostringstream bytes;
      bytes << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      if (bytes.str().find(text) != std::string::npos) return true;
    }
    return false;
  };
  open()->put("a", warm_entry(1, "a plain record"));
  EXPECT_TRUE(in_files("a plain record"));
  open_to_seal()->put("b", warm_entry(1, "a sealed record"));
  EXPECT_FALSE(in_files("a plain record"));
  {
    const auto cache = open_to_seal();
    EXPECT_EQ(held(*cache, "a"), "(absent)");
    EXPECT_EQ(held(*cache, "b"), "a sealed record") << "it outlives a restart";
    EXPECT_EQ(cache->stats().wiped, 0U) << "nothing was damaged";
  }
  EXPECT_EQ(held(*open(), "b"), "(absent)");
  EXPECT_FALSE(in_files("a sealed record"));
  open()->put("c", warm_entry(1, "plain again"));
  // As a process leaves it that is killed before all is wiped.
  EXPECT_FALSE(fs::exists(path() / "SEALED"));
  EXPECT_EQ(held(*open_to_seal(), "c"), "(absent)");
  EXPECT_FALSE(in_files("plain again"));
  open()->put("d", warm_entry(1, "half deleted"));
  for (const auto& entry : fs::directory_iterator(path())) {
    if (entry.path().filename() != "wiped") fs::rename(entry.path(), path() / "wiped");
  }
  EXPECT_TRUE(in_files("half deleted"));
  open_to_seal();
  EXPECT_FALSE(in_files("half deleted"));
}

TEST_F(RocksDbWarmCacheTest, AFolderInUseIsLockedAndNotWiped) {
  const auto cache = open();
  cache->put("a", warm_entry(1, "record"));
  try {
    (void)open();
    FAIL() << "opened twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::locked);
  }
  EXPECT_EQ(held(*cache, "a"), "record");
}

TEST_F(RocksDbWarmCacheTest, WhatCannotBeOpenedIsWipedAndNoted) {
  {
    const auto cache = open();
    for (int i = 0; i < 100; ++i) cache->put(std::to_string(i), warm_entry(1, "record"));
    cache->close();
  }
  std::ofstream(path() / "stranger") << "not ours";
  int damaged = 0;
  for (const auto& file : fs::recursive_directory_iterator(path() / "entries-1")) {
    if (!file.is_regular_file() || file.path().filename().string().find("MANIFEST") == std::string::npos)
      continue;
    std::ofstream(file.path(), std::ios::trunc) << "garbage";
    ++damaged;
  }
  ASSERT_GT(damaged, 0);
  const auto cache = open();
  EXPECT_EQ(cache->stats().wiped, 1U);
  EXPECT_EQ(cache->stats().entries, 0U);
  cache->put("a", warm_entry(1, "record"));
  EXPECT_EQ(held(*cache, "a"), "record");
  EXPECT_TRUE(fs::exists(path() / "stranger")) << "only the cache's own folder may be wiped";
}

TEST_F(DiskWarmCacheTest, CorruptionWhileRunningStartsAnew) {
  const auto cache = open_faulty();
  cache->put("a", warm_entry(1, "record"));
  faults_->fail_gets = 1;
  EXPECT_EQ(held(*cache, "a"), "(absent)");
  EXPECT_EQ(cache->stats().wiped, 1U);
  EXPECT_EQ(cache->stats().bytes, 0U);
  cache->put("a", warm_entry(1, "record"));
  EXPECT_EQ(held(*cache, "a"), "record");
}

TEST_F(DiskWarmCacheTest, AnEngineThatTakesNoMoreWritesIsReplaced) {
  const auto cache = open_faulty();
  faults_->code = ErrorCode::read_only;
  faults_->fail_commits = 1;
  cache->put("a", warm_entry(1, "record"));
  EXPECT_EQ(faults_->opened, 2);
  cache->put("a", warm_entry(1, "record"));
  EXPECT_EQ(held(*cache, "a"), "record");
}

TEST_F(DiskWarmCacheTest, OtherErrorsAreTheCallersAndLoseNothing) {
  const auto cache = open_faulty();
  cache->put("a", warm_entry(1, "one"));
  const WarmCacheStats before = cache->stats();
  faults_->code = ErrorCode::resource_exhausted;
  faults_->fail_commits = 1;
  EXPECT_THROW(cache->put("a", warm_entry(2, "longer than before")), Error);
  EXPECT_EQ(held(*cache, "a"), "one");
  EXPECT_EQ(cache->stats().bytes, before.bytes);
  EXPECT_EQ(cache->stats().wiped, 0U);
}

TEST_F(DiskWarmCacheTest, ADamagedEntryIsDroppedAlone) {
  const auto cache = open_faulty();
  cache->put("a", warm_entry(1, "record"));
  cache->put("b", warm_entry(1, "record"));
  faults_->damage_records = 1;
  EXPECT_EQ(held(*cache, "a"), "(absent)");
  EXPECT_EQ(held(*cache, "a"), "(absent)");
  EXPECT_EQ(held(*cache, "b"), "record");
  EXPECT_EQ(cache->stats().entries, 1U);
}

TEST_F(DiskWarmCacheTest, ATurnoverIsCompacted) {
  const auto cache = open_faulty();
  for (int i = 0; i < 800; ++i) cache->put(std::to_string(i), warm_entry(1, std::string(3000, 'r')));
  faults_->compactions.wait(0);
  EXPECT_GE(faults_->compactions, 1);
}

TEST_F(RocksDbWarmCacheTest, AfterCloseCallsThrow) {
  const auto cache = open();
  cache->close();
  cache->close();
  EXPECT_THROW((void)cache->get("a"), Error);
  EXPECT_THROW(cache->put("a", warm_entry(1, "record")), Error);
}

}  // namespace
}  // namespace db4::testing
