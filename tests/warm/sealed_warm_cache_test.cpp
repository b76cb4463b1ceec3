// Warm caches of an encrypted store: the conformance suite over sealed ones, and what becomes of entries that
// somebody changed, and of keys. sealed_warm_outside_test.cpp looks at what is on disk and in Redis.

#include "warm/sealed_warm_cache.hpp"

#include "base/hash.hpp"
#include "warm/warm_cache_factories.hpp"

#include <db4/encryption.hpp>
#include <db4/error.hpp>
#include <db4/warm_storage.hpp>

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

namespace db4::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMaxBytes = 1ULL << 20;
constexpr std::uint8_t kWarmRecord = 0x30;  // docs/formats/warm.md

/// A ring of its own.
std::shared_ptr<EncryptionManager> new_manager(std::shared_ptr<RandomSource> random = system_random()) {
  auto manager = std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = generate_master_key()},
                                                     system_clock(), std::move(random));
  manager->initialize();
  return manager;
}

/// The caches that `factory` makes, sealed. With the same data key, and so the same names, in each run: the
/// disk cache keeps use counts by the hash of a name, and how many of them meet is the names' doing.
WarmCacheFactory sealed(WarmCacheFactory factory, Padding padding = Padding::none) {
  const auto manager = new_manager(seeded_random(1));
  factory.name += padding == Padding::none ? "Sealed" : "SealedAndPadded";
  factory.make = [make = factory.make, manager, padding](std::uint64_t max_bytes) {
    return warm::seal_warm_cache(make(max_bytes), manager->keys(), "store", nullptr, padding);
  };
  return factory;
}

INSTANTIATE_TEST_SUITE_P(Sealed, WarmCacheSuite,
                         ::testing::Values(sealed(in_memory()), sealed(on_memory_engine()),
                                           sealed(on_memory_engine(), Padding::padme), sealed(on_rocksdb()),
                                           sealed(in_redis("Redis", false, true)),
                                           sealed(in_redis("Redis", false, true), Padding::padme)),
                         [](const auto& param) { return param.param.name; });

/// Unbounded, with leases that do not end by time; a test may look at what it holds, and change it.
class OpenWarmCache final : public WarmCache, public WarmLeases {
 public:
  std::optional<WarmEntry> get(std::string_view key) override {
    const std::lock_guard lock(mutex);
    const auto found = entries.find(key);
    return found == entries.end() ? std::nullopt : std::optional(found->second);
  }
  void put(std::string_view key, const WarmEntry& entry) override {
    const std::lock_guard lock(mutex);
    tokens.erase(std::string(key));
    WarmEntry& held = entries[std::string(key)];
    if (held.version <= entry.version) held = entry;
  }
  void remove(std::string_view key) override {
    const std::lock_guard lock(mutex);
    tokens.erase(std::string(key));
    entries.erase(std::string(key));
  }
  void clear() override {
    const std::lock_guard lock(mutex);
    entries.clear();
    tokens.clear();
  }
  WarmCacheStats stats() const override {
    const std::lock_guard lock(mutex);
    return {.entries = entries.size(), .bytes = 1, .evictions = 2, .wiped = 3, .unreadable = 0};
  }
  bool contains(std::string_view key, Version version, TimePoint now) override {
    const auto entry = get(key);
    return entry && entry->version == version && now < entry->stale_until;
  }
  WarmLeases* leases() noexcept override { return this; }
  void close() override { closed = true; }

  std::optional<std::string> take(std::string_view key, std::chrono::milliseconds) override {
    const std::lock_guard lock(mutex);
    const auto [at, taken] = tokens.emplace(key, "token " + std::to_string(tokens_taken++));
    return taken ? std::optional(at->second) : std::nullopt;
  }
  bool put_leased(std::string_view key, const WarmEntry& entry, std::string_view token) override {
    {
      const std::lock_guard lock(mutex);
      const auto found = tokens.find(std::string(key));
      if (found == tokens.end() || found->second != token) return false;
    }
    put(key, entry);
    return true;
  }
  void release(std::string_view key, std::string_view token) override {
    const std::lock_guard lock(mutex);
    const auto found = tokens.find(std::string(key));
    if (found != tokens.end() && found->second == token) tokens.erase(found);
  }
  [[nodiscard]] std::uint64_t max_record_bytes() const noexcept override { return max_record; }

  mutable std::mutex mutex;
  std::map<std::string, WarmEntry, std::less<>> entries;
  std::map<std::string, std::string> tokens;
  int tokens_taken = 0;
  std::uint64_t max_record = 1ULL << 20;
  bool closed = false;
};

/// Counts what is asked of another source, and fails on order.
class WatchedKeys final : public crypto::KeySource {
 public:
  explicit WatchedKeys(crypto::KeySource& from) : from_(from) {}
  std::shared_ptr<const crypto::SealKey> for_sealing() override {
    ++seals;
    fail(sealing_fails);
    return from_.for_sealing();
  }
  std::shared_ptr<const crypto::SealKey> for_opening(const crypto::KeyId& id) override {
    ++opens;
    fail(opening_fails);
    return from_.for_opening(id);
  }

  int seals = 0;
  int opens = 0;
  std::optional<ErrorCode> sealing_fails;
  std::optional<ErrorCode> opening_fails;

 private:
  static void fail(const std::optional<ErrorCode>& code) {
    if (code) throw Error(*code, "an injected fault of the keys", "it was ordered by the test");
  }
  crypto::KeySource& from_;
};

/// The data key 00 01 02 ... 1f, by the id a1 02 03 04 05 06 07 08.
class KnownKey final : public crypto::KeySource {
 public:
  std::shared_ptr<const crypto::SealKey> for_sealing() override { return key; }
  std::shared_ptr<const crypto::SealKey> for_opening(const crypto::KeyId&) override { return key; }

  const std::shared_ptr<const crypto::SealKey> key = [] {
    std::array<std::byte, crypto::kKeyBytes> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    crypto::KeyId id{};
    for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::byte>(i + 1);
    id[0] = std::byte{0xA1};
    return std::make_shared<const crypto::SealKey>(id, bytes);
  }();
};

std::string held(WarmCache& cache, std::string_view key) {
  const auto entry = cache.get(key);
  return entry ? *entry->record : "(absent)";
}

std::shared_ptr<const std::string> text(std::string record) {
  return std::make_shared<const std::string>(std::move(record));
}

template <typename Call>
std::optional<ErrorCode> code_of(const Call& call) {
  try {
    call();
    return std::nullopt;
  } catch (const Error& error) {
    return error.code();
  }
}

class SealedWarmCacheTest : public ::testing::Test {
 protected:
  std::shared_ptr<EncryptionManager> manager() {
    auto made = std::make_shared<EncryptionManager>(
        EncryptionConfig{.master_key = master_, .key_store = ring_, .refresh_interval = 0ms}, clock_);
    made->initialize();
    return made;
  }
  std::shared_ptr<WarmCache> open(crypto::KeySource& keys, const std::string& store_id = "store",
                                  Padding padding = Padding::none) {
    return warm::seal_warm_cache(below_, keys, store_id, nullptr, padding);
  }
  std::shared_ptr<WarmCache> open() { return open(manager_->keys()); }
  /// The one entry that the cache below holds.
  WarmEntry& only() {
    if (below_->entries.size() != 1)
      throw std::logic_error("the cache below holds another number of entries");
    return below_->entries.begin()->second;
  }
  /// What it becomes by the change is absent, counted, and gone.
  void expect_refused(const WarmEntry& changed, const std::string& how) {
    const std::string name = below_->entries.begin()->first;
    const std::uint64_t before = cache_->stats().unreadable;
    below_->entries[name] = changed;
    ASSERT_EQ(held(*cache_, "key"), "(absent)") << how;
    ASSERT_EQ(cache_->stats().unreadable, before + 1) << how;
    ASSERT_TRUE(below_->entries.empty()) << how;
    below_->entries[name] = {};  // so that the next one is put there
  }

  const MasterKey master_ = generate_master_key();
  const std::shared_ptr<InMemoryKeyStore> ring_ = std::make_shared<InMemoryKeyStore>();
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>(at_second(0));
  const std::shared_ptr<EncryptionManager> manager_ = manager();
  const std::shared_ptr<OpenWarmCache> below_ = std::make_shared<OpenWarmCache>();
  std::shared_ptr<WarmCache> cache_ = open();
};

// By another implementation of docs/formats/warm.md: in Python, hmac.new(base, b"db4 warm namesstore\x01",
// sha256) is the naming key, with base = hmac.new(b"db4 sealed data key", bytes(range(32)), sha256).
TEST_F(SealedWarmCacheTest, NamesAreWhatTheManualSays) {
  KnownKey known;
  open(known)->put("users/user-1", warm_entry(7, "record"));
  EXPECT_EQ(to_hex(as_bytes(below_->entries.begin()->first)),
            "83503b243dde243d5d9f48a6366f5e58acdfb0d06bbd24e4165d0d4653dd6e69");
  open(known, "another store")->put("users/user-1", warm_entry(7, "record"));
  EXPECT_EQ(below_->entries.size(), 2U) << "stores that share keys show no common names";
}

TEST_F(SealedWarmCacheTest, RecordsAreMessagesBoundAsTheManualSays) {
  KnownKey known;
  open(known)->put("users/user-1", warm_entry(7, "record"));
  const WarmEntry& entry = only();
  EXPECT_EQ(entry.version, 7U);
  EXPECT_EQ(entry.fresh_until, at_second(1000));
  EXPECT_EQ(entry.stale_until, at_second(2000));
  ASSERT_EQ(entry.record->size(), 6 + crypto::kSealOverhead);
  const SealContext context{
      .store_id = "store", .id = below_->entries.begin()->first, .version = 7, .codec = kWarmRecord};
  Bytes opened(6);
  EXPECT_EQ(crypto::open_message(*known.key, context, as_bytes(*entry.record), opened), 6U);
  EXPECT_EQ(as_text(opened), "record");
}

TEST_F(SealedWarmCacheTest, EverySealOfARecordIsAnother) {
  cache_->put("key", warm_entry(1, "record"));
  const std::string once = *only().record;
  cache_->put("key", warm_entry(1, "record"));
  EXPECT_NE(*only().record, once);
}

TEST_F(SealedWarmCacheTest, PaddingHidesLengths) {
  const auto padded = open(manager_->keys(), "store", Padding::padme);
  std::set<std::size_t> lengths;
  for (std::size_t size = 0; size < 256; ++size) {
    const std::string record(size, '\0');
    padded->put("key", warm_entry(size + 1, record));
    lengths.insert(only().record->size());
    ASSERT_EQ(held(*padded, "key"), record);
  }
  EXPECT_EQ(lengths.size(), 1U);
}

TEST_F(SealedWarmCacheTest, EveryBitOfASealedRecordCounts) {
  cache_->put("key", warm_entry(3, "record"));
  const WarmEntry good = only();
  for (std::size_t bit = 0; bit < 8 * good.record->size(); ++bit) {
    std::string changed = *good.record;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    WarmEntry entry = good;
    entry.record = text(std::move(changed));
    ASSERT_NO_FATAL_FAILURE(expect_refused(entry, "bit " + std::to_string(bit)));
  }
  below_->entries.begin()->second = good;
  EXPECT_EQ(held(*cache_, "key"), "record") << "it was the bits";
}

TEST_F(SealedWarmCacheTest, WhatIsCutShortOrLengthenedIsAbsent) {
  cache_->put("key", warm_entry(3, "record"));
  const WarmEntry good = only();
  for (std::size_t size = 0; size < good.record->size(); ++size) {
    WarmEntry entry = good;
    entry.record = text(good.record->substr(0, size));
    ASSERT_NO_FATAL_FAILURE(expect_refused(entry, "cut to " + std::to_string(size)));
  }
  WarmEntry longer = good;
  longer.record = text(*good.record + '\0');
  expect_refused(longer, "a byte more");
}

TEST_F(SealedWarmCacheTest, ARecordUnderAnotherVersionIsAbsent) {
  cache_->put("key", warm_entry(3, "record"));
  const WarmEntry good = only();
  for (const Version version : {Version{0}, Version{2}, Version{4}, ~Version{0}}) {
    WarmEntry entry = good;
    entry.version = version;
    ASSERT_NO_FATAL_FAILURE(expect_refused(entry, "version " + std::to_string(version)));
  }
}

TEST_F(SealedWarmCacheTest, PlainRecordsAreAbsent) {
  cache_->put("key", warm_entry(3, "record"));
  expect_refused(warm_entry(3, "record"), "as an unencrypted store would have left it");
  expect_refused(warm_entry(3, std::string(500, 'x')), "long enough for a header");
}

TEST_F(SealedWarmCacheTest, EntriesThatTradePlacesAreAbsent) {
  cache_->put("a", warm_entry(3, "record of a"));
  cache_->put("b", warm_entry(3, "record of b"));
  ASSERT_EQ(below_->entries.size(), 2U);
  std::swap(below_->entries.begin()->second, below_->entries.rbegin()->second);
  EXPECT_EQ(held(*cache_, "a"), "(absent)");
  EXPECT_EQ(held(*cache_, "b"), "(absent)");
  EXPECT_EQ(cache_->stats().unreadable, 2U);
  EXPECT_EQ(cache_->stats().entries, 0U);
}

TEST_F(SealedWarmCacheTest, AnOldRecordIsNeverServedForTheNewest) {
  WarmStorage storage(cache_, clock_, {.ttl = 1h}, {});
  storage.put("key", 1, text("old"));
  const WarmEntry old = only();
  storage.put("key", 2, text("new"));
  ASSERT_TRUE(storage.get("key", 2));
  only() = old;  // as a whole
  EXPECT_FALSE(storage.get("key", 2));
  only().record = old.record;
  only().version = 2;
  EXPECT_FALSE(storage.get("key", 2)) << "an old record that claims to be the newest";
  EXPECT_EQ(storage.stats().unreadable, 1U);
  EXPECT_EQ(storage.stats().cache_errors, 0U);
  storage.put("key", 2, text("new"));
  EXPECT_EQ(*storage.get("key", 2)->record, "new");
}

TEST_F(SealedWarmCacheTest, AnotherStoresRecordsAreAbsent) {
  const auto other = open(manager_->keys(), "other");
  cache_->put("key", warm_entry(3, "record"));
  EXPECT_EQ(held(*other, "key"), "(absent)") << "it is not even found";
  const WarmEntry ours = only();
  other->put("key", warm_entry(3, "theirs"));
  for (auto& [name, entry] : below_->entries) entry = ours;
  EXPECT_EQ(held(*other, "key"), "(absent)");
  EXPECT_EQ(other->stats().unreadable, 1U);
  EXPECT_EQ(held(*cache_, "key"), "record");
}

TEST_F(SealedWarmCacheTest, AnotherRingsRecordsAreAbsent) {
  cache_->put("key", warm_entry(3, "record"));
  const std::string name = below_->entries.begin()->first;
  const auto stranger = new_manager();
  const auto other = open(stranger->keys());
  EXPECT_EQ(held(*other, "key"), "(absent)");
  EXPECT_EQ(below_->entries.size(), 1U);
  other->put("key", warm_entry(3, "theirs"));
  for (const auto& [theirs, entry] : below_->entries) {
    if (theirs != name) below_->entries[name] = entry;
  }
  EXPECT_EQ(held(*cache_, "key"), "(absent)");
  EXPECT_EQ(cache_->stats().unreadable, 1U);
}

TEST_F(SealedWarmCacheTest, ARotationCostsMissesAndNothingElse) {
  cache_->put("a", warm_entry(1, "one"));
  cache_->put("b", warm_entry(1, "one"));
  manager_->rotate_key();
  EXPECT_EQ(held(*cache_, "a"), "one") << "until something is put";
  cache_->put("a", warm_entry(2, "two"));
  EXPECT_EQ(held(*cache_, "a"), "two");
  EXPECT_EQ(held(*cache_, "b"), "(absent)");
  cache_->put("b", warm_entry(1, "one again"));
  EXPECT_EQ(held(*cache_, "b"), "one again");
  EXPECT_EQ(held(*open(), "a"), "two") << "for who comes later too";
  EXPECT_EQ(cache_->stats().unreadable, 0U);
}

TEST_F(SealedWarmCacheTest, ANodeThatTakesALeaseLearnsOfARotation) {
  const auto there = manager();
  const auto other = open(there->keys());
  other->put("warm-up", warm_entry(1, "record"));
  manager_->rotate_key();
  cache_->put("key", warm_entry(1, "record"));
  ASSERT_EQ(held(*other, "key"), "(absent)");
  const auto token = other->leases()->take("key", 1h);
  ASSERT_TRUE(token);
  EXPECT_EQ(held(*other, "key"), "record");
  EXPECT_FALSE(cache_->leases()->take("key", 1h)) << "they mean the same lease";
  other->leases()->release("key", *token);
  EXPECT_TRUE(cache_->leases()->take("key", 1h));
}

TEST_F(SealedWarmCacheTest, ALeaseFromBeforeARotationIsOver) {
  const auto token = cache_->leases()->take("key", 1h);
  ASSERT_TRUE(token);
  manager_->rotate_key();
  EXPECT_FALSE(cache_->leases()->put_leased("key", warm_entry(1, "record"), *token));
  EXPECT_EQ(held(*cache_, "key"), "(absent)");
}

TEST_F(SealedWarmCacheTest, LeaseNamesAreHiddenToo) {
  ASSERT_TRUE(cache_->leases()->take("key", 1h));
  ASSERT_EQ(below_->tokens.size(), 1U);
  EXPECT_EQ(below_->tokens.begin()->first.size(), 32U);
}

TEST_F(SealedWarmCacheTest, WhatADestroyedKeySealedIsAbsent) {
  cache_->put("key", warm_entry(1, "record"));
  const std::string old = manager_->active_key_id();
  manager_->rotate_key({.keep_old_key = false, .force = true});
  clock_->advance(30 * 24h);
  ASSERT_THAT(manager_->process_expirations().destroyed, ::testing::ElementsAre(old));
  EXPECT_EQ(held(*cache_, "key"), "(absent)");
  EXPECT_EQ(cache_->stats().unreadable, 1U);
  EXPECT_TRUE(below_->entries.empty());
  cache_->put("key", warm_entry(1, "again"));
  EXPECT_EQ(held(*cache_, "key"), "again");
}

TEST_F(SealedWarmCacheTest, WhatAKeySealedThatAwaitsItsDestructionIsAbsent) {
  cache_->put("key", warm_entry(1, "record"));
  manager_->rotate_key({.keep_old_key = false, .force = true});
  EXPECT_EQ(held(*cache_, "key"), "(absent)");
  EXPECT_EQ(cache_->stats().unreadable, 1U);
  EXPECT_TRUE(below_->entries.empty());
}

TEST_F(SealedWarmCacheTest, KeysThatCannotBeHadAreAnErrorAndCostNoEntry) {
  WatchedKeys keys(manager_->keys());
  const auto cache = open(keys);
  cache->put("key", warm_entry(1, "record"));
  for (const ErrorCode code : {ErrorCode::unavailable, ErrorCode::key_unavailable, ErrorCode::corrupt}) {
    keys.sealing_fails = keys.opening_fails = code;
    EXPECT_EQ(code_of([&] { (void)cache->get("key"); }), code);
    EXPECT_EQ(code_of([&] { cache->put("key", warm_entry(2, "two")); }), code);
    EXPECT_EQ(code_of([&] { (void)cache->leases()->take("key", 1h); }), code);
    EXPECT_EQ(code_of([&] { cache->leases()->put_leased("key", warm_entry(2, "two"), "token"); }), code);
    EXPECT_EQ(code_of([&] { (void)open(keys)->get("key"); }), code) << "who has no key yet";
    keys.sealing_fails = keys.opening_fails = std::nullopt;
    EXPECT_EQ(held(*cache, "key"), "record");
  }
  EXPECT_EQ(cache->stats().unreadable, 0U);
  keys.sealing_fails = ErrorCode::unavailable;
  EXPECT_EQ(held(*cache, "key"), "record") << "a hit seals nothing";
}

TEST_F(SealedWarmCacheTest, HitsAskForTheKeyOfTheirRecordOnly) {
  WatchedKeys keys(manager_->keys());
  cache_->put("key", warm_entry(1, "record"));
  const auto cache = open(keys);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(held(*cache, "key"), "record");
  EXPECT_EQ(keys.seals, 1);
  EXPECT_EQ(keys.opens, 100);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(held(*cache, "absent"), "(absent)");
  EXPECT_TRUE(cache->contains("key", 1, at_second(0)));
  cache->remove("key");
  EXPECT_EQ(keys.seals, 1);
  EXPECT_EQ(keys.opens, 100);
}

TEST_F(SealedWarmCacheTest, LeasesAreForRecordsThatFitWhenSealed) {
  for (const Padding padding : {Padding::none, Padding::padme}) {
    const auto cache = open(manager_->keys(), "store", padding);
    const WarmLeases& leases = *cache->leases();
    for (std::uint64_t room = 0; room < 5000; ++room) {
      below_->max_record = room;
      const std::uint64_t most = leases.max_record_bytes();
      ASSERT_GT(crypto::sealed_size(most + 1, padding), room);
      if (most > 0) {
        ASSERT_LE(crypto::sealed_size(most, padding), room);
      }
    }
    below_->max_record = ~std::uint64_t{0};
    EXPECT_EQ(leases.max_record_bytes(), kMaxSealedMessageBytes);
  }
}

TEST_F(SealedWarmCacheTest, TheRestIsTheCachesOwn) {
  cache_->put("key", warm_entry(1, "record"));
  const WarmCacheStats stats = cache_->stats();
  EXPECT_EQ(stats.entries, 1U);
  EXPECT_EQ(stats.bytes, 1U);
  EXPECT_EQ(stats.evictions, 2U);
  EXPECT_EQ(stats.wiped, 3U);
  cache_->clear();
  EXPECT_TRUE(below_->entries.empty());
  cache_->close();
  EXPECT_TRUE(below_->closed);
  const auto without = warm::seal_warm_cache(warm::make_memory_warm_cache(kMaxBytes), manager_->keys(),
                                             "store", nullptr, Padding::none);
  EXPECT_EQ(without->leases(), nullptr);
}

TEST_F(SealedWarmCacheTest, WhatMakesNoSenseIsRefused) {
  EXPECT_EQ(code_of([&] {
              (void)warm::seal_warm_cache(nullptr, manager_->keys(), "store", nullptr, Padding::none);
            }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { (void)open(manager_->keys(), std::string(256, 's')); }),
            ErrorCode::invalid_argument);
  const auto longest = open(manager_->keys(), std::string(255, 's'));
  longest->put("key", warm_entry(1, "record"));
  EXPECT_EQ(held(*longest, "key"), "record");
}

TEST_F(SealedWarmCacheTest, ReadersSeeNoWrongRecordWhileKeysRotate) {
  std::atomic<bool> done = false;
  std::atomic<int> bad = 0;
  std::atomic<int> hits = 0;
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 4000 || !done; ++i) {
        const std::string key = "key " + std::to_string(random() % 20);
        const Version version = random() % 5 + 1;
        if (random() % 4 == 0) cache_->put(key, warm_entry(version, key + "/" + std::to_string(version)));
        const auto entry = cache_->get(key);
        if (!entry) continue;
        ++hits;
        if (*entry->record != key + "/" + std::to_string(entry->version)) ++bad;
      }
    });
  }
  for (int i = 0; i < 30; ++i) manager_->rotate_key({.keep_old_key = i % 2 == 0, .force = true});
  done = true;
  threads.clear();
  EXPECT_EQ(bad, 0);
  EXPECT_GT(hits, 1000);
}

}  // namespace
}  // namespace db4::testing
