// Many threads at once: no update is lost, no batch is seen half, no read is older than what was acknowledged
// before it began; and the waits end as they must.

#include "support/fault_object_store.hpp"
#include "support/fault_warm_cache.hpp"
#include "support/sequence_point.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"
#include "warm/warm_caches.hpp"

#include <db4/object_stores.hpp>
#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <set>
#include <thread>

namespace db4::testing {
namespace {

constexpr std::string_view kCollection = "c";

std::string text(const Document& document) { return std::string(document.text()); }

/// A store in memory with a clock that the test moves, faults on order, and nothing in the background but
/// making room.
class Concurrency : public ::testing::Test {
 protected:
  void open(HotConfig hot, TieringConfig tiering = {.interval = 0ms}) {
    objects_ = std::make_shared<FaultObjectStore>(make_memory_object_store());
    warm_ = std::make_shared<FaultWarmCache>(warm::make_memory_warm_cache(4_MiB), FaultWarmCache::Options{});
    store_ = std::make_unique<TieredStore>(
        TieredStoreConfig{.hot = std::move(hot), .cold = {.max_attempts = 1}, .tiering = tiering},
        Components{.clock = clock_, .object_store = objects_, .warm_cache = warm_});
  }
  WriteResult write(std::string_view id, std::string_view body, const WriteOptions& options = {}) {
    return store_->write_bytes(kCollection, id, as_bytes(body), options);
  }
  std::string read(std::string_view id, const ReadOptions& options = {}) {
    const auto document = store_->read(kCollection, id, options);
    return document ? text(*document) : "(none)";
  }
  /// Until so many threads sleep on the clock, besides the background's own.
  void wait_for_sleepers(std::size_t threads) {
    while (clock_->waiting() < threads + 1) std::this_thread::yield();
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<FaultObjectStore> objects_;
  std::shared_ptr<FaultWarmCache> warm_;
  std::unique_ptr<TieredStore> store_;
};

TEST_F(Concurrency, AHundredReadersOfOneColdDocumentAreOneRequest) {
  constexpr std::size_t kReaders = 100;
  open({.type = HotType::memory, .cache_size = 0}, {.promote_on_read = false, .interval = 0ms});
  write("cold", "body", {.tier = StorageTier::cold});
  SequencePoint fetching;
  objects_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation == ObjectOperation::get_range) fetching.arrive();
  });
  const std::uint64_t before = objects_->count(ObjectOperation::get_range);
  std::atomic<std::size_t> right = 0;
  {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < kReaders; ++i) {
      readers.emplace_back([&] { right += read("cold", {.promote = false}) == "body"; });
    }
    while (store_->stats().cold_storage.shared_reads < kReaders - 1) std::this_thread::yield();
    fetching.open();
  }
  EXPECT_EQ(right, kReaders);
  EXPECT_EQ(objects_->count(ObjectOperation::get_range) - before, 1U);
}

TEST_F(Concurrency, AReaderThatWaitsForAnothersFetchGivesUpAtItsTimeoutOrWhenStopped) {
  open({.type = HotType::memory});
  write("cold", "body", {.tier = StorageTier::cold});
  SequencePoint fetching;
  objects_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation == ObjectOperation::get_range) fetching.arrive();
  });
  std::jthread first([&] { EXPECT_EQ(read("cold"), "body"); });
  fetching.wait_for(1);
  std::jthread second([&] {
    try {
      read("cold", {.timeout = 5s});
      ADD_FAILURE() << "it waited on";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::deadline_exceeded);
    }
  });
  std::stop_source stop;
  std::jthread third([&] {
    try {
      read("cold", {.stop = stop.get_token()});
      ADD_FAILURE() << "it waited on";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::cancelled);
    }
  });
  wait_for_sleepers(2);
  clock_->advance(5s);
  second.join();
  stop.request_stop();
  third.join();
  fetching.open();
}

TEST_F(Concurrency, AFillThatBeganBeforeANewerWriteIsNotStoredAfterIt) {
  open({.type = HotType::memory}, {.promote_on_read = true, .interval = 0ms});
  for (const auto newer : {StorageTier::hot, StorageTier::cold}) {
    const std::string id = "id-" + std::string(to_string(newer));
    write(id, "old", {.tier = StorageTier::cold});
    SequencePoint fetched;
    std::atomic<bool> armed = true;
    objects_->set_hook([&](ObjectOperation operation, std::string_view) {
      if (operation == ObjectOperation::get_range && armed.exchange(false)) fetched.arrive();
    });
    std::jthread reader([&] {
      EXPECT_THAT((std::set<std::string>{"old", "new"}), ::testing::Contains(read(id)));
    });
    fetched.wait_for(1);
    write(id, "new", {.tier = newer});
    fetched.open();
    reader.join();
    EXPECT_EQ(read(id), "new");
    EXPECT_EQ(read(id, {.promote = false}), "new");
    const auto held = warm_->get(
        "\x01"
        "c" +
        id);
    EXPECT_TRUE(!held || held->version == store_->read(kCollection, id)->version()) << "an old copy in warm";
    objects_->set_hook({});
  }
}

TEST_F(Concurrency, AMoveThatAWriteOvertakesLeavesTheWrite) {
  open({.type = HotType::memory});
  write("a", "old");
  SequencePoint putting;
  std::atomic<bool> armed = true;
  objects_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation == ObjectOperation::put && armed.exchange(false)) putting.arrive();
  });
  std::jthread mover([&] { EXPECT_TRUE(store_->demote(kCollection, "a", StorageTier::cold)); });
  putting.wait_for(1);
  const Version version = write("a", "new").version;
  putting.open();
  mover.join();
  // The move saw that it was overtaken, and moved what stands.
  EXPECT_EQ(store_->get_tier(kCollection, "a"), StorageTier::cold);
  EXPECT_EQ(read("a"), "new");
  EXPECT_EQ(store_->read(kCollection, "a")->version(), version);
  clock_->advance(1h);
  (void)store_->cold_storage().collect_garbage();
  EXPECT_EQ(store_->cold_storage().stats().objects, objects_->list("", "", 1000).objects.size());
}

TEST_F(Concurrency, ReadsNeverWaitForATieringRun) {
  open({.type = HotType::memory});
  write("moving", "body");
  write("other", "body");
  write("cold", "body", {.tier = StorageTier::cold});
  clock_->advance(48h);
  SequencePoint putting;
  objects_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation == ObjectOperation::put) putting.arrive();
  });
  std::jthread run([&] { store_->run_tiering(); });
  putting.wait_for(1);
  EXPECT_EQ(read("moving"), "body");
  EXPECT_EQ(read("other"), "body");
  EXPECT_EQ(read("cold"), "body");
  write("other", "newer");
  EXPECT_EQ(read("other"), "newer");
  putting.open();
}

TEST_F(Concurrency, AWriterWithoutRoomGoesOnWhenDemotionMadeSome) {
  open({.type = HotType::memory, .max_size = 10'000, .full_timeout = 10s});
  SequencePoint putting;
  objects_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation == ObjectOperation::put) putting.arrive();
  });
  write("a", std::string(6000, 'a'));
  std::jthread writer([&] { write("b", std::string(6000, 'b')); });
  putting.wait_for(1);  // the thread that makes room is at work, and the writer waits for it
  EXPECT_EQ(store_->stats().hot.documents, 1U);
  putting.open();
  writer.join();
  EXPECT_EQ(store_->stats().hot_storage.waits, 1U);
  EXPECT_EQ(store_->stats().hot_storage.refusals, 0U);
  EXPECT_NE(store_->get_tier(kCollection, "a"), StorageTier::hot);
  EXPECT_EQ(read("a"), std::string(6000, 'a'));
  EXPECT_EQ(read("b"), std::string(6000, 'b'));
}

TEST_F(Concurrency, AWriterWithoutRoomIsRefusedAfterFullTimeout) {
  open({.type = HotType::memory, .max_size = 10'000, .full_timeout = 10s});
  objects_->fail_with_probability(ObjectOperation::put, 1.0);
  write("a", std::string(6000, 'a'));
  std::atomic<bool> refused = false;
  std::jthread writer([&] {
    try {
      write("b", std::string(6000, 'b'));
    } catch (const Error& error) {
      refused = error.code() == ErrorCode::resource_exhausted && error.retryable();
    }
  });
  wait_for_sleepers(1);
  // The thread that makes room has tried and says why it could not: had the writer given up before, it would
  // not try.
  while (store_->stats().last_background_error.empty()) std::this_thread::yield();
  clock_->advance(9s);
  EXPECT_FALSE(refused);
  clock_->advance(1s);
  writer.join();
  EXPECT_TRUE(refused);
  EXPECT_EQ(store_->stats().hot_storage.refusals, 1U);
  EXPECT_EQ(read("b"), "(none)");
  EXPECT_EQ(read("a"), std::string(6000, 'a'));
}

TEST_F(Concurrency, ADocumentThatCannotBeMovedDoesNotKeepOthersFromMakingRoom) {
  open({.type = HotType::memory, .max_size = 10'000, .full_timeout = 10s});
  write("a", std::string(4000, 'a'));
  clock_->advance(1s);
  write("b", std::string(4000, 'b'));
  objects_->fail_nth(ObjectOperation::put, 1, FaultPoint::before);
  write("c", std::string(4000, 'c'));
  EXPECT_EQ(store_->get_tier(kCollection, "a"), StorageTier::hot);
  EXPECT_NE(store_->get_tier(kCollection, "b"), StorageTier::hot);
}

TEST_F(Concurrency, CloseWakesWritersThatWait) {
  open({.type = HotType::memory, .max_size = 10'000, .full_timeout = 10h});
  objects_->fail_with_probability(ObjectOperation::put, 1.0);
  write("a", std::string(6000, 'a'));
  std::atomic<int> woken = 0;
  std::vector<std::jthread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&, i] {
      try {
        write("b" + std::to_string(i), std::string(6000, 'b'));
      } catch (const Error& error) {
        woken += error.code() == ErrorCode::cancelled ? 1 : 0;
      }
    });
  }
  wait_for_sleepers(4);
  store_->close();
  writers.clear();
  EXPECT_EQ(woken, 4);
  EXPECT_THROW(read("a"), Error);
}

TEST_F(Concurrency, AStopRequestWakesAWriterThatWaits) {
  open({.type = HotType::memory, .max_size = 10'000, .full_timeout = 10h});
  objects_->fail_with_probability(ObjectOperation::put, 1.0);
  write("a", std::string(6000, 'a'));
  std::stop_source stop;
  std::jthread writer([&] {
    try {
      write("b", std::string(6000, 'b'), {.stop = stop.get_token()});
      ADD_FAILURE() << "there was no room";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::cancelled);
    }
  });
  wait_for_sleepers(1);
  stop.request_stop();
}

// -- everything at once --

struct Everything {
  HotType hot = HotType::memory;
  std::uint64_t cache_size = 0;
  std::uint64_t max_size = 0;
};

class EverythingAtOnce : public ::testing::TestWithParam<Everything> {
 protected:
  static constexpr std::size_t kCounters = 4;
  static constexpr std::size_t kIncrements = 150;
  static constexpr std::size_t kKeys = 12;
  static constexpr std::size_t kWrites = 250;
  static constexpr std::size_t kBatches = 120;

  void SetUp() override {
    if (kThreadSanitizer && GetParam().hot == HotType::rocksdb) GTEST_SKIP() << kRocksDbUnderThreadSanitizer;
    store_ =
        std::make_unique<TieredStore>(TieredStoreConfig{.hot = {.type = GetParam().hot,
                                                                .path = folder_.path() / "hot",
                                                                .max_size = GetParam().max_size,
                                                                .cache_size = GetParam().cache_size,
                                                                .durability = Durability::process},
                                                        .warm = {.ttl = 20ms, .stale_while_revalidate = 20ms},
                                                        .cold = {.garbage_grace = 50ms},
                                                        .tiering = {.hot_threshold = 1ms,
                                                                    .warm_threshold = 5ms,
                                                                    .access_count_threshold = 1'000'000,
                                                                    .promote_on_read = true,
                                                                    .interval = 2ms,
                                                                    .tombstone_retention = 1ms}},
                                      Components{.object_store = make_memory_object_store()});
  }

  /// Another thread, until the writers are done.
  template <typename Act>
  void meanwhile(const Act& act) {
    others_.emplace_back([this, act, seed = others_.size()] {
      std::mt19937_64 random(seed);
      while (!done_) {
        try {
          act(random);
        } catch (const Error& error) {
          // No such document, or not in that tier: it is removed and moved all the time.
          if (error.code() != ErrorCode::invalid_argument && error.code() != ErrorCode::resource_exhausted) {
            ADD_FAILURE() << error.what();
          }
        }
      }
    });
  }

  TemporaryFolder folder_;
  std::unique_ptr<TieredStore> store_;
  std::atomic<bool> done_ = false;
  std::vector<std::jthread> others_;
};

std::string key_name(std::size_t key) { return "key-" + std::to_string(key); }

TEST_P(EverythingAtOnce, NoUpdateIsLostAndNoReadIsOld) {
  std::array<std::atomic<Version>, kKeys> acknowledged{};
  const auto pad = [](std::size_t n) { return std::string(n % 5 * 500, 'p'); };
  meanwhile([&](auto& random) {  // readers
    const std::size_t key = random() % kKeys;
    const Version at_least = acknowledged[key];
    ReadOptions options;
    if (random() % 2 == 0) options.promote = random() % 2 == 0;
    const auto document = store_->read(kCollection, key_name(key), options);
    EXPECT_GE(document ? document->version() : 0, at_least);
    if (document) {
      EXPECT_TRUE(document->text().starts_with(key_name(key))) << "garbled";
    }
  });
  meanwhile([&](auto& random) {  // a mover
    const std::string id =
        random() % 4 == 0 ? "counter-" + std::to_string(random() % kCounters) : key_name(random() % kKeys);
    switch (random() % 4) {
      case 0:
        store_->demote(kCollection, id, StorageTier::cold, {.keep_in_source = random() % 2 == 0});
        break;
      case 1:
        store_->demote(kCollection, id, StorageTier::warm);
        break;
      case 2:
        store_->promote(kCollection, id, StorageTier::hot);
        break;
      default:
        store_->remove(kCollection, id, {.tier = static_cast<StorageTier>(random() % 3)});
    }
  });
  meanwhile([&](auto& random) {  // whoever runs the place
    switch (random() % 5) {
      case 0:
        store_->run_tiering({.max_operations = random() % 10});
        break;
      case 1:
        store_->cold_storage().collect_garbage();
        break;
      case 2:
        (void)store_->stats();
        break;
      case 3:
        (void)store_->explain(kCollection, key_name(random() % kKeys));
        break;
      default:
        (void)store_->scan(kCollection, {.limit = 5});
    }
  });
  meanwhile([&](auto& random) {  // one that comes and goes
    const std::string id = "gone-" + std::to_string(random() % 3);
    if (random() % 2 == 0) {
      store_->write_bytes(kCollection, id, as_bytes(id), {.tier = static_cast<StorageTier>(random() % 3)});
    } else {
      store_->remove(kCollection, id);
    }
  });
  {
    std::vector<std::jthread> writers;
    for (std::size_t writer = 0; writer < 2; ++writer) {
      writers.emplace_back([&] {  // counters
        for (std::size_t i = 0; i < kIncrements * kCounters; ++i) {
          const std::string id = "counter-" + std::to_string(i % kCounters);
          while (true) {
            const auto document = store_->read(kCollection, id);
            const int value = document ? std::stoi(text(*document)) : 0;
            try {
              store_->write_bytes(kCollection, id, as_bytes(std::to_string(value + 1)),
                                  {.if_version = document ? document->version() : 0});
              break;
            } catch (const Error& error) {
              ASSERT_EQ(error.code(), ErrorCode::conflict) << error.what();
            }
          }
        }
      });
      writers.emplace_back([&, writer] {  // each its own keys, so that the versions acknowledged rise
        for (std::size_t i = 0; i < kWrites; ++i) {
          const std::size_t key = (2 * i + writer) % kKeys;
          WriteOptions options;
          if (i % 3 == 0) options.tier = static_cast<StorageTier>(i % 9 / 3);
          acknowledged[key] =
              store_->write_bytes(kCollection, key_name(key), as_bytes(key_name(key) + pad(i)), options)
                  .version;
        }
      });
    }
  }
  done_ = true;
  others_.clear();
  for (std::size_t i = 0; i < kCounters; ++i) {
    const auto document = store_->read(kCollection, "counter-" + std::to_string(i));
    ASSERT_TRUE(document);
    EXPECT_EQ(text(*document), std::to_string(2 * kIncrements));
  }
  const StoreStats stats = store_->stats();
  EXPECT_EQ(stats.damaged_copies, 0U);
  EXPECT_EQ(stats.last_background_error, "");
  store_->close();
}

TEST_P(EverythingAtOnce, ABatchIsSeenWholeByWhoReadsBackwards) {
  // A batch takes effect at once: whoever has seen its last document sees (at least) it in the first.
  constexpr std::size_t kItems = 5;
  meanwhile([&](auto&) {
    const auto last = store_->read(kCollection, "item-4", {.promote = false});
    const auto first = store_->read(kCollection, "item-0", {.promote = false});
    if (last) {
      EXPECT_GE(std::stoi(text(*first)), std::stoi(text(*last)));
    }
  });
  meanwhile([&](auto& random) { store_->run_tiering({.max_operations = random() % 5}); });
  for (std::size_t batch = 0; batch < kBatches; ++batch) {
    std::vector<BatchItem> items;
    for (std::size_t i = 0; i < kItems; ++i) {
      items.push_back({.id = "item-" + std::to_string(i), .body = std::to_string(batch)});
    }
    WriteOptions options;
    if (batch % 3 == 0) options.tier = static_cast<StorageTier>(batch % 9 / 3);
    store_->write_batch(kCollection, items, options);
  }
  done_ = true;
  others_.clear();
  store_->close();
}

TEST_P(EverythingAtOnce, CloseMayComeAtAnyMoment) {
  std::atomic<std::size_t> writes = 0;
  std::vector<std::jthread> callers;
  for (std::size_t i = 0; i < 4; ++i) {
    callers.emplace_back([&, i] {
      try {
        for (std::size_t n = 0;; ++n) {
          const std::string id = key_name((i + n) % kKeys);
          store_->write_bytes(kCollection, id, as_bytes(id));
          ++writes;
          (void)store_->read(kCollection, id);
          store_->run_tiering({.max_operations = 3});
          store_->cold_storage().collect_garbage();
          (void)store_->cold_storage().stats();
        }
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::invalid_argument || error.code() == ErrorCode::cancelled)
            << error.what();
      }
    });
  }
  while (writes < 50) std::this_thread::yield();
  store_->close();
  callers.clear();
}

std::string everything_name(const ::testing::TestParamInfo<Everything>& setup) {
  return std::string(to_string(setup.param.hot)) + (setup.param.cache_size == 0 ? "_no_cache" : "_cache") +
         (setup.param.max_size == 0 ? "" : "_small");
}

INSTANTIATE_TEST_SUITE_P(
    All, EverythingAtOnce,
    ::testing::Values(Everything{.hot = HotType::memory},
                      Everything{.hot = HotType::memory, .cache_size = 1_MiB},
                      Everything{.hot = HotType::memory, .cache_size = 1_MiB, .max_size = 40'000},
                      Everything{.hot = HotType::sqlite, .cache_size = 1_MiB},
                      Everything{.hot = HotType::rocksdb},
                      Everything{.hot = HotType::rocksdb, .cache_size = 1_MiB}),
    everything_name);

}  // namespace
}  // namespace db4::testing
