// Warm copies that the nodes of a store share in Redis: what they miss is fetched once, and what one of them
// changes meanwhile is not put back by another.
#include "catalog/keys.hpp"
#include "net/redis_client.hpp"
#include "support/fault_object_store.hpp"
#include "support/postgres_server.hpp"
#include "support/redis_server.hpp"
#include "support/sequence_point.hpp"
#include "warm/warm_caches.hpp"

#include <db4/object_stores.hpp>
#include <db4/storage.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

namespace db4::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto kStale = 61min;     ///< after this time a copy is stale, for at least 20 minutes more
constexpr auto kExpired = 120min;  ///< and after this one it is not served

/// A cache of one node, with a sequence point: the hook runs before a lease is taken.
class HookedWarmCache final : public WarmCache, public WarmLeases {
 public:
  explicit HookedWarmCache(std::shared_ptr<WarmCache> under) : under_(std::move(under)) {}
  void set_take_hook(std::function<void()> hook) { hook_ = std::move(hook); }

  std::optional<WarmEntry> get(std::string_view key) override { return under_->get(key); }
  void put(std::string_view key, const WarmEntry& entry) override { under_->put(key, entry); }
  void remove(std::string_view key) override { under_->remove(key); }
  void clear() override { under_->clear(); }
  WarmCacheStats stats() const override { return under_->stats(); }
  bool contains(std::string_view key, Version version, TimePoint now) override {
    return under_->contains(key, version, now);
  }
  WarmLeases* leases() noexcept override { return this; }
  std::optional<std::string> take(std::string_view key, std::chrono::milliseconds duration) override {
    if (const auto hook = hook_) hook();  // a copy: it may set another
    return under_->leases()->take(key, duration);
  }
  bool put_leased(std::string_view key, const WarmEntry& entry, std::string_view token) override {
    return under_->leases()->put_leased(key, entry, token);
  }
  void release(std::string_view key, std::string_view token) override {
    under_->leases()->release(key, token);
  }
  std::uint64_t max_record_bytes() const noexcept override { return under_->leases()->max_record_bytes(); }

 private:
  const std::shared_ptr<WarmCache> under_;
  std::function<void()> hook_;
};

class SharedWarmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string reason = RedisServer::absence();
    if (!reason.empty()) GTEST_SKIP() << reason;
    database_ = shared_postgres_server(&reason);
    if (database_ == nullptr) GTEST_SKIP() << reason;
    redis_ = std::make_unique<RedisServer>();
    // The object store hangs where a test says so.
    objects_->set_hook([this](ObjectOperation operation, std::string_view) {
      if (operation == ObjectOperation::get_range && hang_next_.exchange(false)) hanging_.arrive();
    });
  }
  void TearDown() override { hanging_.open(); }

  [[nodiscard]] TieredStoreConfig config() const {
    TieredStoreConfig config{.hot = {.type = HotType::postgres,
                                     .durability = Durability::process,
                                     .url = database_->url(),
                                     .schema = schema_,
                                     .follow_server_clock = false},
                             .warm = {.type = WarmType::redis,
                                      .stale_while_revalidate = 30min,
                                      .endpoint = redis_->unix_endpoint(),
                                      .timeout = 30s,
                                      .connect_timeout = 30s},
                             .cold = {.compression = Compression::none, .max_attempts = 1},
                             .tiering = {.promote_on_read = PromoteOnRead::never, .interval = 0ms}};
    config.warm.max_connections = 100;
    return config;
  }
  std::unique_ptr<TieredStore> open(std::shared_ptr<WarmCache> cache = nullptr,
                                    PromoteOnRead promote = PromoteOnRead::never) const {
    TieredStoreConfig made = config();
    made.tiering.promote_on_read = promote;
    return std::make_unique<TieredStore>(std::move(made), Components{.clock = clock_,
                                                                     .object_store = objects_,
                                                                     .bare_object_store = true,
                                                                     .warm_cache = std::move(cache)});
  }
  void open_nodes(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) nodes_.push_back(open());
  }
  TieredStore& node(std::size_t i) { return *nodes_[i % nodes_.size()]; }

  void put_cold(const std::string& id, const std::string& body) {
    node(0).write_bytes("c", id, as_bytes(body), {.tier = StorageTier::cold});
  }
  /// Its body and where it came from; else the error.
  static std::string read(TieredStore& store, const std::string& id, const ReadOptions& options = {}) {
    try {
      const auto document = store.read("c", id, options);
      if (!document) return "absent";
      return std::string(document->text()) + " from " + std::string(to_string(document->served_from()));
    } catch (const Error& error) {
      return std::string(to_string(error.code()));
    }
  }
  static bool holds(TieredStore& store, const std::string& id, Version version) {
    return store.warm_storage().contains(catalog::document_key("c", id), version);
  }
  [[nodiscard]] std::uint64_t fetches() const { return objects_->count(ObjectOperation::get_range); }
  /// Of all nodes together.
  [[nodiscard]] std::uint64_t sum(std::uint64_t WarmStats::*figure) const {
    std::uint64_t out = 0;
    for (const auto& store : nodes_) out += store->warm_storage().stats().*figure;
    return out;
  }
  /// The server itself, past the caches.
  net::RedisReply redis(std::initializer_list<std::string_view> words) {
    net::RedisClientOptions options = warm::redis_options(config().warm).client;
    return net::RedisClient(options).command(words);
  }
  std::string lease_name(const std::string& id) {
    return "db4:" + node(0).info().id + ":l:" + catalog::document_key("c", id);
  }
  /// Other threads do it; for half a minute at most.
  static void await(const std::function<bool()>& happened) {
    for (int i = 0; i < 3000; ++i) {
      if (happened()) return;
      system_clock()->sleep_for(10ms);
    }
    ADD_FAILURE() << "it never happened";
  }

  PostgresServer* database_ = nullptr;
  const std::string schema_ = PostgresServer::new_schema();
  std::unique_ptr<RedisServer> redis_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<FaultObjectStore> objects_ =
      std::make_shared<FaultObjectStore>(make_memory_object_store(), 1, clock_);
  std::atomic<bool> hang_next_{false};
  SequencePoint hanging_;
  std::vector<std::unique_ptr<TieredStore>> nodes_;
};

TEST_F(SharedWarmTest, AHundredReadersOverFourNodesOfOneExpiredDocumentAreOneFetch) {
  constexpr std::size_t kReaders = 100;
  open_nodes(4);
  put_cold("id", "body");
  EXPECT_EQ(read(node(0), "id"), "body from cold");
  EXPECT_EQ(read(node(1), "id"), "body from warm");
  clock_->advance(kExpired);
  const std::uint64_t before = fetches();
  hang_next_ = true;
  std::atomic<std::size_t> from_cold = 0;
  std::atomic<std::size_t> from_warm = 0;
  {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < kReaders; ++i) {
      readers.emplace_back([&, i] {
        const std::string got = read(node(i), "id");
        from_cold += got == "body from cold";
        from_warm += got == "body from warm";
      });
    }
    // One node fetches, three wait for it, and the others of each node wait for one of theirs.
    await([&] { return sum(&WarmStats::waits) == 3 || fetches() - before > 1; });
    await([&] { return sum(&WarmStats::expired) == kReaders; });
    hanging_.open();
    await([&] { return holds(node(0), "id", 1); });
    // Those who wait look again when time goes on.
    await([&] {
      clock_->advance(10ms);
      return from_cold + from_warm == kReaders;
    });
  }
  EXPECT_EQ(fetches() - before, 1U);
  EXPECT_EQ(from_cold, kReaders / 4);
  EXPECT_EQ(from_warm, kReaders - kReaders / 4);
  EXPECT_EQ(sum(&WarmStats::shared_fills), 3U);
  EXPECT_EQ(sum(&WarmStats::lost_leases), 0U);
}

TEST_F(SharedWarmTest, WhatOneNodeMakesHotTheOthersDoNotFetchEither) {
  constexpr std::size_t kReaders = 100;
  for (std::size_t i = 0; i < 4; ++i) nodes_.push_back(open(nullptr, PromoteOnRead::second_read));
  put_cold("id", "body");
  const std::uint64_t before = fetches();
  hang_next_ = true;
  std::atomic<std::size_t> ended = 0;
  std::atomic<std::size_t> right = 0;
  {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < kReaders; ++i) {
      readers.emplace_back([&, i] {
        right += read(node(i), "id").starts_with("body from");
        ++ended;
      });
    }
    await([&] { return sum(&WarmStats::waits) == 3 || fetches() - before > 1; });
    await([&] { return sum(&WarmStats::misses) == kReaders; });
    hanging_.open();
    // The readers of the node that fetched are many, so that it makes the document hot.
    await([&] { return node(0).get_tier("c", "id") == StorageTier::hot; });
    await([&] {
      clock_->advance(10ms);
      return ended == kReaders;
    });
  }
  EXPECT_EQ(right, kReaders);
  EXPECT_EQ(fetches() - before, 1U);
}

TEST_F(SharedWarmTest, AHundredReadersOverFourNodesOfOneStaleDocumentAreServedAtOnceWhileOneRefreshRuns) {
  constexpr std::size_t kReaders = 100;
  open_nodes(4);
  put_cold("id", "body");
  EXPECT_EQ(read(node(0), "id"), "body from cold");
  clock_->advance(kStale);
  const std::uint64_t before = fetches();
  hang_next_ = true;
  std::atomic<std::size_t> from_warm = 0;
  const auto read_all = [&] {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < kReaders; ++i) {
      readers.emplace_back([&, i] { from_warm += read(node(i), "id") == "body from warm"; });
    }
  };
  read_all();
  EXPECT_EQ(from_warm, kReaders) << "though the refresh hangs";
  await([&] { return sum(&WarmStats::refused_refreshes) >= 3 || fetches() - before > 1; });
  hanging_.open();
  await([&] {
    (void)read(node(0), "id");
    return sum(&WarmStats::hits) > 0;
  });
  read_all();
  EXPECT_EQ(from_warm, 2 * kReaders);
  EXPECT_GE(sum(&WarmStats::hits), kReaders);
  EXPECT_EQ(fetches() - before, 1U);
  EXPECT_EQ(sum(&WarmStats::refreshes), 1U);
  EXPECT_EQ(sum(&WarmStats::failed_refreshes), 0U);
}

TEST_F(SharedWarmTest, ARefreshThatHangsHoldsNobodyLongerThanHisDeadline) {
  constexpr std::size_t kReaders = 10;
  open_nodes(2);
  put_cold("id", "body");
  (void)read(node(0), "id");
  clock_->advance(kStale);
  hang_next_ = true;
  EXPECT_EQ(read(node(0), "id"), "body from warm");
  hanging_.wait_for(1);
  clock_->advance(kExpired - kStale);
  // The other node has the lease for long, and its readers have not: they do not wait for it.
  EXPECT_EQ(read(node(1), "id", {.timeout = 1s}), "body from cold");
  EXPECT_EQ(sum(&WarmStats::waits), 0U);
  // Those of the same node wait for the same fetch.
  const std::uint64_t joined = node(0).stats().cold_storage.shared_reads;
  std::atomic<std::size_t> ended = 0;
  std::atomic<std::size_t> by_deadline = 0;
  std::vector<std::jthread> readers;
  for (std::size_t i = 0; i < kReaders; ++i) {
    readers.emplace_back([&] {
      by_deadline += read(node(0), "id", {.timeout = 1s}) == to_string(ErrorCode::deadline_exceeded);
      ++ended;
    });
  }
  await([&] { return node(0).stats().cold_storage.shared_reads - joined >= kReaders; });
  EXPECT_EQ(ended, 0U);
  clock_->advance(1s);
  await([&] { return ended == kReaders; });
  hanging_.open();
  readers.clear();
  EXPECT_EQ(by_deadline, kReaders);
}

TEST_F(SharedWarmTest, ARefreshThatHangsLosesItsLeaseAndComesTooLate) {
  open_nodes(2);
  put_cold("id", "body");
  (void)read(node(0), "id");
  clock_->advance(kStale);
  hang_next_ = true;
  EXPECT_EQ(read(node(0), "id"), "body from warm");
  hanging_.wait_for(1);
  EXPECT_GT(redis({"PTTL", lease_name("id")}).integer, 0) << "it ends by itself, as now:";
  EXPECT_EQ(redis({"DEL", lease_name("id")}).integer, 1);
  const std::uint64_t before = fetches();
  EXPECT_EQ(read(node(1), "id"), "body from warm");
  await([&] {
    EXPECT_EQ(read(node(1), "id"), "body from warm");
    return node(1).warm_storage().stats().hits > 0;
  });
  EXPECT_EQ(fetches() - before, 1U);
  EXPECT_EQ(node(1).warm_storage().stats().refreshes, 1U);
  hanging_.open();
  await([&] { return node(0).warm_storage().stats().lost_leases == 1; });
  EXPECT_EQ(node(1).warm_storage().stats().lost_leases, 0U);
}

TEST_F(SharedWarmTest, ANodeThatDiedWithALeaseIsWaitedForOnlyByWhoHasTheTime) {
  open_nodes(2);
  put_cold("id", "body");
  (void)read(node(0), "id");
  clock_->advance(kExpired);
  const auto held = nodes_[0]->warm_storage().try_lease(catalog::document_key("c", "id"));
  ASSERT_TRUE(held.held());
  const std::uint64_t before = fetches();
  EXPECT_EQ(read(node(1), "id", {.timeout = 5s}), "body from cold") << "his deadline is the lease's end";
  EXPECT_FALSE(holds(node(1), "id", 1)) << "to store it is left to who has the lease";
  std::string got;
  {
    const std::jthread patient([&] { got = read(node(1), "id"); });
    await([&] { return sum(&WarmStats::waits) == 1; });
    EXPECT_EQ(fetches() - before, 1U);
    await([&] {
      clock_->advance(1s);
      return fetches() - before == 2;
    });
  }
  EXPECT_EQ(got, "body from cold");
}

TEST_F(SharedWarmTest, ACacheThatGoesAwayIsNotWaitedFor) {
  open_nodes(2);
  put_cold("id", "body");
  const auto held = nodes_[0]->warm_storage().try_lease(catalog::document_key("c", "id"));
  ASSERT_TRUE(held.held());
  std::atomic<bool> right = false;
  const std::jthread patient([&] { right = read(node(1), "id") == "body from cold"; });
  await([&] { return sum(&WarmStats::waits) == 1; });
  redis_->kill();
  await([&] {
    clock_->advance(1ms);  // in all by less than he would wait for the lease
    return right.load();
  });
}

TEST_F(SharedWarmTest, AFillThatBeganBeforeAnothersChangeIsNotStoredAfterIt) {
  open_nodes(2);
  const std::vector<std::function<void(const std::string&)>> changes{
      [&](const std::string& id) { node(1).write_bytes("c", id, as_bytes(std::string("two"))); },
      [&](const std::string& id) {
        node(1).write_bytes("c", id, as_bytes(std::string("two")), {.tier = StorageTier::cold});
      },
      [&](const std::string& id) { EXPECT_TRUE(node(1).remove("c", id)); },
      [&](const std::string& id) { (void)node(1).promote("c", id, StorageTier::hot); },
      [&](const std::string& /*id*/) { node(1).warm_storage().clear(); },
      [&](const std::string& id) { node(1).remove("c", id, {.tier = StorageTier::warm}); }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const std::string id = "id-" + std::to_string(i);
    put_cold(id, "one");
    SequencePoint fetching;
    std::atomic<bool> armed{true};
    objects_->set_hook([&](ObjectOperation operation, std::string_view) {
      if (operation == ObjectOperation::get_range && armed.exchange(false)) fetching.arrive();
    });
    std::string got;
    {
      const std::jthread reader([&] { got = read(node(0), id); });
      fetching.wait_for(1);
      changes[i](id);
      fetching.open();
    }
    EXPECT_EQ(got, "one from cold") << "it began before the change";
    EXPECT_FALSE(holds(node(0), id, 1)) << "change " << i;
    EXPECT_EQ(node(0).warm_storage().stats().lost_leases, i + 1);
    objects_->set_hook({});
  }
  EXPECT_EQ(read(node(0), "id-1"), "two from cold");
  EXPECT_EQ(read(node(1), "id-1"), "two from warm");
  EXPECT_EQ(read(node(0), "id-2"), "absent");
}

TEST_F(SharedWarmTest, ARefreshThatBeganBeforeAnothersChangeIsNotStoredAfterIt) {
  open_nodes(2);
  put_cold("id", "one");
  (void)read(node(0), "id");
  clock_->advance(kStale);
  hang_next_ = true;
  EXPECT_EQ(read(node(0), "id"), "one from warm");
  hanging_.wait_for(1);
  node(1).write_bytes("c", "id", as_bytes(std::string("two")));
  hanging_.open();
  await([&] { return node(0).warm_storage().stats().lost_leases == 1; });
  EXPECT_FALSE(holds(node(0), "id", 1));
  EXPECT_EQ(read(node(0), "id"), "two from hot");
}

TEST_F(SharedWarmTest, AChangeBetweenReadingTheRowAndTakingTheLeaseWins) {
  open_nodes(1);
  put_cold("id", "one");
  warm::RedisWarmCacheOptions options = warm::redis_options(config().warm);
  options.store_id = node(0).info().id;
  options.clock = clock_;
  const auto cache = std::make_shared<HookedWarmCache>(warm::make_redis_warm_cache(options));
  const auto late = open(cache);
  cache->set_take_hook([&] {
    cache->set_take_hook({});
    node(0).write_bytes("c", "id", as_bytes(std::string("two")));
  });
  EXPECT_EQ(read(*late, "id"), "two from hot");
  EXPECT_FALSE(holds(*late, "id", 1));

  // And where it is changed again and again.
  put_cold("often", "1");
  int changes = 1;
  cache->set_take_hook([&] {
    if (++changes <= 3) put_cold("often", std::to_string(changes));
  });
  EXPECT_EQ(read(*late, "often"), "2 from cold");
  EXPECT_EQ(changes, 3);
  for (const Version version : {1U, 2U, 3U}) EXPECT_FALSE(holds(*late, "often", version));
  cache->set_take_hook({});

  // And in a refresh.
  node(0).write_bytes("c", "other", as_bytes(std::string("one")), {.tier = StorageTier::cold});
  EXPECT_EQ(read(*late, "other"), "one from cold");
  clock_->advance(kStale);
  cache->set_take_hook([&] {
    cache->set_take_hook({});
    node(0).write_bytes("c", "other", as_bytes(std::string("two")));
  });
  EXPECT_EQ(read(*late, "other"), "one from warm");
  await([&] { return late->warm_storage().stats().refreshes == 1; });
  late->close();
  EXPECT_FALSE(holds(node(0), "other", 1));
}

TEST_F(SharedWarmTest, WhatABatchFetchedIsHeldForAllNodes) {
  open_nodes(2);
  for (const char* id : {"a", "b", "c"}) put_cold(id, "body");
  const std::vector<std::string> ids{"a", "b", "c"};
  const std::uint64_t before = fetches();
  for (const auto& document : node(0).read_batch("c", ids))
    EXPECT_EQ(document->meta().tier, StorageTier::warm);
  for (const auto& document : node(1).read_batch("c", ids)) {
    EXPECT_EQ(document->served_from(), StorageTier::warm);
  }
  EXPECT_EQ(fetches() - before, ids.size());
}

}  // namespace
}  // namespace db4::testing
