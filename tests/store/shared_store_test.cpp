// One store that several processes have open at once, over PostgreSQL: here as several TieredStores, each
// with memory and a clock of its own.
#include "kv/tcp_proxy.hpp"
#include "support/audit.hpp"
#include "support/fault_object_store.hpp"
#include "support/faulty_broadcast_channel.hpp"
#include "support/postgres_server.hpp"
#include "support/temporary_folder.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

namespace db4::testing {
namespace {

using namespace std::chrono_literals;

class SharedStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    server_ = shared_postgres_server(&reason);
    if (server_ == nullptr) GTEST_SKIP() << reason;
  }
  [[nodiscard]] TieredStoreConfig config() const {
    return {.hot = {.type = HotType::postgres,
                    .durability = Durability::process,
                    .url = server_->url(),
                    .schema = schema_,
                    .follow_server_clock = false},
            .cold = {.compression = Compression::none, .max_attempts = 1},
            .tiering = {.promote_on_read = PromoteOnRead::never, .interval = 0ms}};
  }
  [[nodiscard]] std::unique_ptr<TieredStore> open(std::shared_ptr<Clock> clock,
                                                  TieredStoreConfig config) const {
    return std::make_unique<TieredStore>(
        std::move(config),
        Components{.clock = std::move(clock), .object_store = objects_, .bare_object_store = true});
  }
  [[nodiscard]] std::unique_ptr<TieredStore> open(std::shared_ptr<Clock> clock) const {
    return open(std::move(clock), config());
  }
  static std::string text_of(TieredStore& store, const std::string& id, const ReadOptions& options = {}) {
    const auto document = store.read("c", id, options);
    return document ? std::string(document->text()) : "absent";
  }
  static void put(TieredStore& store, const std::string& id, const std::string& body) {
    store.write_bytes("c", id, as_bytes(body));
  }
  [[nodiscard]] AuditReport audit() const {
    return audit_closed_store(HotType::postgres, {}, *objects_, {.url = server_->url(), .schema = schema_});
  }

  /// Other threads do it; for half a minute at most.
  static void await(const std::function<bool()>& happened) {
    for (int i = 0; i < 3000; ++i) {
      if (happened()) return;
      system_clock()->sleep_for(10ms);
    }
    ADD_FAILURE() << "it never happened";
  }

  PostgresServer* server_ = nullptr;
  const std::string schema_ = PostgresServer::new_schema();
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<ObjectStore> objects_ = make_memory_object_store();
};

TEST_F(SharedStoreTest, WhatOneNodeAcknowledgedAnotherReads) {
  const auto a = open(clock_);
  const auto b = open(clock_);
  // Small bodies are in the row, large ones beside it: memory holds both.
  for (const std::size_t size : {10U, 5000U}) {
    for (int round = 0; round < 5; ++round) {
      const std::string body(size, static_cast<char>('a' + round));
      put(round % 2 == 0 ? *a : *b, "id", body);
      for (int again = 0; again < 2; ++again) {
        EXPECT_EQ(text_of(*a, "id"), body);
        EXPECT_EQ(text_of(*b, "id"), body);
      }
    }
    EXPECT_TRUE(a->remove("c", "id"));
    EXPECT_EQ(text_of(*b, "id"), "absent");
    EXPECT_FALSE(b->remove("c", "id"));
  }
}

TEST_F(SharedStoreTest, MemoryAnswersForAsLongAsTheReaderAccepts) {
  const auto a = open(clock_);
  const auto b = open(clock_);
  put(*a, "id", "one");
  EXPECT_EQ(text_of(*b, "id"), "one");
  put(*a, "id", "two");
  clock_->advance(3s);
  const auto old = b->read("c", "id", {.max_stale = 5s});
  ASSERT_TRUE(old);
  EXPECT_EQ(old->text(), "one");
  EXPECT_EQ(old->age(), 3s);
  EXPECT_EQ(text_of(*b, "id", {.max_stale = 5s, .expected_version = 2}), "two");
  put(*a, "id", "three");
  EXPECT_EQ(text_of(*b, "id", {.max_stale = 5s}), "two");
  clock_->advance(6s);
  EXPECT_EQ(text_of(*b, "id", {.max_stale = 5s}), "three");
  put(*a, "id", "four");
  EXPECT_EQ(text_of(*b, "id"), "four") << "by default a read asks the catalogue";
  // A copy that the catalogue confirmed is as young as that.
  clock_->advance(6s);
  EXPECT_EQ(text_of(*b, "id"), "four");
  put(*a, "id", "five");
  EXPECT_EQ(text_of(*b, "id", {.max_stale = 5s}), "four");
}

TEST_F(SharedStoreTest, AnAnswerFromMemoryNeedsNoServer) {
  TieredStoreConfig config = this->config();
  config.consistency.max_stale = 1h;
  const auto store = open(clock_, config);
  put(*store, "id", "body");
  server_->sql("ALTER TABLE " + schema_ + ".rows RENAME TO rows_away");
  EXPECT_EQ(text_of(*store, "id"), "body");
  server_->sql("ALTER TABLE " + schema_ + ".rows_away RENAME TO rows");
}

TEST_F(SharedStoreTest, NobodysConditionalWriteIsLost) {
  constexpr int kNodes = 3;
  constexpr int kEach = 40;
  std::vector<std::thread> nodes;
  for (int node = 0; node < kNodes; ++node) {
    nodes.emplace_back([&] {
      const auto store = open(system_clock());
      for (int done = 0; done < kEach;) {
        const auto document = store->read("c", "n");
        const std::string next = std::to_string(document ? std::stoi(std::string(document->text())) + 1 : 1);
        try {
          store->write_bytes("c", "n", as_bytes(next),
                             {.if_version = document ? document->meta().version : 0});
          ++done;
        } catch (const Error& error) {
          ASSERT_EQ(error.code(), ErrorCode::conflict) << error.what();
        }
      }
    });
  }
  for (std::thread& node : nodes) node.join();
  EXPECT_EQ(text_of(*open(clock_), "n"), std::to_string(kNodes * kEach));
}

TEST_F(SharedStoreTest, NodesShareARunAndMoveEachDocumentOnce) {
  constexpr int kDocuments = 3000;
  {
    const auto store = open(clock_);
    std::vector<std::string> ids;
    for (int i = 0; i < kDocuments; ++i) ids.push_back("id-" + std::to_string(i));
    std::vector<BatchItem> items;
    for (const std::string& id : ids)
      items.push_back({.id = id, .body = "body of " + id, .content_type = "text/plain"});
    store->write_batch("c", items);
  }
  clock_->advance(48h);
  std::atomic<std::uint64_t> demoted{0};
  std::atomic<std::uint64_t> failed{0};
  std::vector<std::thread> nodes;
  for (int node = 0; node < 3; ++node) {
    nodes.emplace_back([&] {
      const auto store = open(clock_);
      for (int run = 0; run < 40 && demoted < kDocuments; ++run) {
        const TieringResult result = store->run_tiering({.max_operations = 400});
        demoted += result.demoted;
        failed += result.failed;
      }
      store->close();
    });
  }
  for (std::thread& node : nodes) node.join();
  EXPECT_EQ(demoted, static_cast<std::uint64_t>(kDocuments));
  EXPECT_EQ(failed, 0U);
  const auto store = open(clock_);
  for (int i = 0; i < kDocuments; i += 97) {
    const std::string id = "id-" + std::to_string(i);
    EXPECT_EQ(text_of(*store, id), "body of " + id);
    EXPECT_EQ(store->explain("c", id)->moves.size(), 1U);
  }
  EXPECT_EQ(store->stats().cold.documents, static_cast<std::uint64_t>(kDocuments));
  store->close();
  const AuditReport report = audit();
  EXPECT_TRUE(report.clean()) << report;
  EXPECT_EQ(report.documents, static_cast<std::size_t>(kDocuments));
}

TEST_F(SharedStoreTest, WhatADeadNodeClaimedIsMovedByOthersWhenTheLeaseIsOver) {
  const auto faulty = std::make_shared<FaultObjectStore>(objects_, 1, clock_);
  const auto dying = std::make_unique<TieredStore>(
      config(), Components{.clock = clock_, .object_store = faulty, .bare_object_store = true});
  const auto living = open(clock_);
  for (int i = 0; i < 10; ++i) put(*dying, "id-" + std::to_string(i), "body");
  clock_->advance(48h);
  // It claims what is due, and gets no further.
  faulty->fail_all(FaultPoint::before);
  EXPECT_EQ(dying->run_tiering().demoted, 0U);
  EXPECT_EQ(living->run_tiering().demoted, 0U) << "what is claimed is left alone";
  clock_->advance(config().tiering.claim_lease + 1s);
  EXPECT_EQ(living->run_tiering().demoted, 10U);
  faulty->clear_faults();
  EXPECT_EQ(dying->run_tiering().demoted, 0U);
  EXPECT_EQ(text_of(*dying, "id-3"), "body");
}

TEST_F(SharedStoreTest, AVersionFloorThatAnotherNodeRaisedIsKeptTo) {
  const auto a = open(clock_);
  const auto b = open(clock_);
  for (int i = 0; i < 5; ++i) put(*a, "id", "body");
  a->remove("c", "id");
  clock_->advance(30 * 24h);
  a->run_tiering();  // purges the tombstone
  const WriteResult again = b->write_bytes("c", "id", as_bytes(std::string("again")));
  EXPECT_GT(again.version, 6U) << "versions only rise, also through a purge on another node";
  EXPECT_EQ(text_of(*a, "id"), "again");
}

TEST_F(SharedStoreTest, APinHoldsOnEveryNode) {
  const auto a = open(clock_);
  const auto b = open(clock_);
  put(*a, "held", "body");
  put(*a, "free", "body");
  a->pin({.collection = "c", .scope = PinScope::document, .id = "held", .tier = StorageTier::hot});
  clock_->advance(48h);
  b->run_tiering();
  EXPECT_EQ(b->get_tier("c", "held"), StorageTier::hot);
  EXPECT_NE(b->get_tier("c", "free"), StorageTier::hot);
  ASSERT_EQ(b->pins().size(), 1U);
  EXPECT_TRUE(b->unpin("c", PinScope::document, "held"));
  clock_->advance(48h);
  a->run_tiering();
  EXPECT_TRUE(a->pins().empty());
  EXPECT_NE(a->get_tier("c", "held"), StorageTier::hot);
}

TEST_F(SharedStoreTest, NodesWhoseClocksDifferAgreeOnTheTime) {
  TieredStoreConfig config = this->config();
  config.hot.follow_server_clock = true;
  const auto fast = std::make_shared<SimulatedClock>(system_clock()->now() + 1h);
  const auto slow = std::make_shared<SimulatedClock>(system_clock()->now() - 1h);
  const auto a = open(fast, config);
  const auto b = open(slow, config);
  put(*a, "by-a", "body");
  put(*b, "by-b", "body");
  const TimePoint now = system_clock()->now();
  for (const char* id : {"by-a", "by-b"}) {
    const auto document = a->read("c", id);
    ASSERT_TRUE(document);
    EXPECT_LT(std::chrono::abs(document->meta().updated_at - now), 1min);
  }
  // What was written just now is due on neither.
  EXPECT_EQ(a->run_tiering().demoted + b->run_tiering().demoted, 0U);
}

TEST_F(SharedStoreTest, NoAccessIsLostWhereNodesFlushAtOnce) {
  constexpr int kDocuments = 4;
  constexpr int kThreads = 3;
  constexpr int kReads = 40;
  const auto a = open(clock_);
  const auto b = open(clock_);
  for (int i = 0; i < kDocuments; ++i) put(*a, "id-" + std::to_string(i), "body");
  std::vector<std::thread> threads;
  for (TieredStore* store : {a.get(), b.get()}) {
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([store] {
        for (int read = 0; read < kReads; ++read) {
          for (int i = 0; i < kDocuments; ++i) EXPECT_EQ(text_of(*store, "id-" + std::to_string(i)), "body");
          store->flush_access_figures();
        }
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
  a->close();
  b->close();
  const auto later = open(clock_);
  for (int i = 0; i < kDocuments; ++i) {
    EXPECT_EQ(later->explain("c", "id-" + std::to_string(i))->meta.access_count,
              static_cast<std::uint64_t>(2 * kThreads * kReads));
  }
}

TEST_F(SharedStoreTest, NodesComeAndGoWhileOthersWrite) {
  std::atomic<bool> stop{false};
  std::atomic<int> written{0};
  const auto steady = open(system_clock());
  std::thread writer([&] {
    for (int i = 0; !stop; ++i, ++written) put(*steady, "w-" + std::to_string(i % 50), std::to_string(i));
  });
  for (int i = 0; i < 10; ++i) {
    const auto passing = open(system_clock());
    put(*passing, "p-" + std::to_string(i), "body");
    EXPECT_EQ(text_of(*steady, "p-" + std::to_string(i)), "body");
  }
  stop = true;
  writer.join();
  const int last = written - 1;
  EXPECT_EQ(text_of(*open(clock_), "w-" + std::to_string(last % 50)), std::to_string(last));
}

TEST_F(SharedStoreTest, ARestartOfTheServerIsSurvived) {
  PostgresServer server({});
  TieredStoreConfig config = this->config();
  config.hot.url = server.url();
  const auto store = open(system_clock(), config);
  std::thread restarts([&] {
    for (const int signal : {SIGINT, SIGQUIT}) server.restart(signal);
  });
  for (int i = 0; i < 150; ++i) {
    put(*store, "id", std::to_string(i));
    ASSERT_EQ(text_of(*store, "id"), std::to_string(i));
  }
  restarts.join();
  EXPECT_EQ(store->read("c", "id")->meta().version, 150U) << "none was written twice";
}

TEST_F(SharedStoreTest, WithAChannelACopyThatAnotherNodeChangedGoesAtOnce) {
  const auto channel = [] { return std::make_shared<InMemoryBroadcastChannel>("shared-store-test"); };
  const auto open_with = [&] {
    return std::make_unique<TieredStore>(config(), Components{.clock = clock_,
                                                              .object_store = objects_,
                                                              .bare_object_store = true,
                                                              .broadcast_channel = channel()});
  };
  const auto a = open_with();
  const auto b = open_with();
  const ReadOptions old_is_fine{.max_stale = 1h};
  put(*a, "id", "one");
  // News of the first write keeps a copy that was read before it from being kept.
  const auto holds = [&](const std::string& body) {
    return text_of(*b, "id", old_is_fine) == body && b->hot_storage().in_memory("c", "id");
  };
  await([&] { return holds("one"); });
  put(*a, "id", "two");
  await([&] { return b->stats().invalidation.dropped_copies == 1; });
  await([&] { return holds("two"); });
  a->remove("c", "id");
  await([&] { return b->stats().invalidation.dropped_copies == 2; });
  EXPECT_EQ(text_of(*b, "id", old_is_fine), "absent");
}

TEST_F(SharedStoreTest, WhatAChannelLostIsReadFromTheCatalogue) {
  const auto lossy = std::make_shared<FaultyBroadcastChannel>(
      std::make_shared<InMemoryBroadcastChannel>("shared-store-lossy"), ChannelFaults{.drop = 0.5}, 1,
      clock_);
  const auto a = std::make_unique<TieredStore>(
      config(), Components{.clock = clock_, .object_store = objects_, .broadcast_channel = lossy});
  const auto b = std::make_unique<TieredStore>(
      config(),
      Components{.clock = clock_,
                 .object_store = objects_,
                 .broadcast_channel = std::make_shared<InMemoryBroadcastChannel>("shared-store-lossy")});
  for (int i = 0; i < 20; ++i) put(*a, "id-" + std::to_string(i), "one");
  for (int i = 0; i < 20; ++i) {
    const std::string id = "id-" + std::to_string(i);
    await([&] { return text_of(*b, id) == "one" && b->hot_storage().in_memory("c", id); });
  }
  for (int i = 0; i < 20; ++i) put(*a, "id-" + std::to_string(i), "two");
  // The last may be lost as well: a heartbeat tells.
  await([&] {
    clock_->advance(1s);
    return b->stats().invalidation.dropped_copies == 20;
  });
  EXPECT_GT(b->stats().invalidation.recovered, 0U);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(text_of(*b, "id-" + std::to_string(i), {.max_stale = 1000h}), "two");
}

TEST_F(SharedStoreTest, WhereTheDatabaseHasNoLISTENNodesPollAndSaySo) {
  kv::testing::TcpProxy proxy(server_->port());
  proxy.rewrite("LISTEN ", "LISTENS");  // is no SQL there
  TieredStoreConfig polling = config();
  polling.hot.url =
      "postgresql://db4@127.0.0.1:" + std::to_string(proxy.port()) + "/postgres?sslmode=disable";
  polling.consistency.broadcast = BroadcastType::postgres;
  const auto a = open(clock_, polling);
  const auto b = open(clock_, polling);
  EXPECT_TRUE(a->stats().invalidation.polls);
  EXPECT_TRUE(b->stats().invalidation.polls);
  const ReadOptions old_is_fine{.max_stale = 1h};
  put(*a, "id", "one");
  await([&] { return text_of(*b, "id", old_is_fine) == "one" && b->hot_storage().in_memory("c", "id"); });
  put(*a, "id", "two");
  await([&] { return b->stats().invalidation.dropped_copies == 1; });
  EXPECT_EQ(text_of(*b, "id", old_is_fine), "two");
  // In the store's own schema, and nothing of it is taken for a table of the catalogue.
  EXPECT_EQ(server_->sql("SELECT count(*) FROM pg_tables WHERE schemaname = '" + schema_ +
                         "' AND tablename LIKE 'db4_changes_%'"),
            "1");
  a->close();
  b->close();
  EXPECT_TRUE(audit().clean());
}

/// Two nodes, of which one can be kept from being heard by the other.
class CutOffNodeTest : public SharedStoreTest {
 protected:
  void SetUp() override {
    SharedStoreTest::SetUp();
    if (IsSkipped()) return;
    heard_ = std::make_shared<FaultyBroadcastChannel>(plain(), ChannelFaults{}, 1, clock_);
    writer_ = open_on(heard_);
    reader_ = open_on(plain());
  }
  [[nodiscard]] std::shared_ptr<BroadcastChannel> plain() const {
    return std::make_shared<InMemoryBroadcastChannel>(schema_);
  }
  [[nodiscard]] std::unique_ptr<TieredStore> open_on(std::shared_ptr<BroadcastChannel> channel) const {
    return std::make_unique<TieredStore>(config(), Components{.clock = clock_,
                                                              .object_store = objects_,
                                                              .bare_object_store = true,
                                                              .broadcast_channel = std::move(channel)});
  }
  /// Until the reader follows the writer and its memory would answer with this version, whatever its age.
  void await_copy(const std::string& body) {
    await([&] {
      clock_->advance(100ms);
      const InvalidationStats stats = reader_->stats().invalidation;
      return text_of(*reader_, "id") == body && stats.nodes == 1 && stats.distrusts > 0;
    });
    clock_->advance(1ms);  // past the distrust that comes with the channel
    ASSERT_EQ(text_of(*reader_, "id"), body);
    ASSERT_TRUE(reader_->hot_storage().in_memory("c", "id"));
  }
  /// Of whatever age.
  [[nodiscard]] std::string copy() const { return text_of(*reader_, "id", {.max_stale = 1000h}); }
  [[nodiscard]] std::uint64_t distrusts() const { return reader_->stats().invalidation.distrusts; }
  void await_newer(const std::string& body) {
    await([&] {
      clock_->advance(200ms);
      return copy() == body;
    });
  }

  std::shared_ptr<FaultyBroadcastChannel> heard_;
  std::unique_ptr<TieredStore> writer_;
  std::unique_ptr<TieredStore> reader_;
};

TEST_F(CutOffNodeTest, AfterItsSilenceNoCopyFromBeforeAnswers) {
  put(*writer_, "id", "one");
  await_copy("one");
  heard_->partition(true, false);
  put(*writer_, "id", "two");
  EXPECT_EQ(copy(), "one") << "nobody could know yet";
  const std::uint64_t before = distrusts();
  await_newer("two");
  EXPECT_GT(distrusts(), before);
}

TEST_F(CutOffNodeTest, WhereTheCatalogueHasNoMoreOfWhatItSaidNoCopyFromBeforeAnswers) {
  put(*writer_, "id", "one");
  await_copy("one");
  heard_->partition(true, false);
  put(*writer_, "id", "two");
  put(*writer_, "another", "one");
  // As many changes later.
  const std::string changes = schema_ + ".changes";
  server_->sql("DELETE FROM " + changes + " WHERE key < (SELECT key FROM " + changes +
               " ORDER BY key DESC LIMIT 1)");
  EXPECT_EQ(copy(), "one") << "nobody could know yet";
  const std::uint64_t before = distrusts();
  heard_->heal();
  await_newer("two");
  EXPECT_GT(distrusts(), before);
}

TEST_F(SharedStoreTest, ALostDatabaseIsRebuiltFromColdObjects) {
  {
    const auto store = open(clock_);
    for (int i = 0; i < 50; ++i) {
      put(*store, std::to_string(i), "body " + std::to_string(i));
      store->demote("c", std::to_string(i), StorageTier::cold);
    }
  }
  const auto tables_in = [&](const std::string& schema) {
    return server_->sql("SELECT count(*) FROM pg_tables WHERE schemaname = '" + schema + "'");
  };
  const std::string tables = tables_in(schema_);
  const auto rebuild = [&](const RebuildOptions& options = {}) {
    return rebuild_catalog(config(), options, Components{.clock = clock_, .object_store = objects_});
  };
  try {
    rebuild();
    ADD_FAILURE() << "it was rebuilt over a store";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
  }
  server_->sql("ALTER SCHEMA " + schema_ + " RENAME TO " + schema_ + "_lost");
  std::stop_source stop;
  EXPECT_THROW(rebuild({.on_progress = [&](const RebuildProgress&) { stop.request_stop(); },
                        .stop = stop.get_token()}),
               Error);
  EXPECT_EQ(tables_in(schema_ + "_rebuilding"), "0");
  EXPECT_EQ(tables_in(schema_), "0");
  // What an attempt left that was killed is no hindrance, and an empty schema is put to use.
  server_->sql("CREATE SCHEMA " + schema_ + "_rebuilding");
  server_->sql("CREATE TABLE " + schema_ + "_rebuilding.db4_format (format int8)");
  server_->sql("CREATE SCHEMA " + schema_);
  EXPECT_EQ(rebuild().documents, 50U);
  EXPECT_EQ(tables_in(schema_), tables);
  EXPECT_EQ(tables_in(schema_ + "_rebuilding"), "0");
  {
    const auto store = open(clock_);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(text_of(*store, std::to_string(i)), "body " + std::to_string(i));
    put(*store, "7", "new");
    EXPECT_EQ(text_of(*store, "7"), "new");
  }
  EXPECT_EQ(audit().problems, std::vector<std::string>());
}

TEST_F(SharedStoreTest, SubscribersHearOfEveryChange) {
  const auto store = open(clock_);
  std::mutex mutex;
  std::vector<InvalidationEvent> events;
  const Subscription subscription = store->subscribe([&](const InvalidationEvent& event) {
    const std::scoped_lock lock(mutex);
    events.push_back(event);
  });
  put(*store, "id", "one");
  put(*store, "id", "two");
  store->remove("c", "id");
  await([&] {
    const std::scoped_lock lock(mutex);
    return events.size() == 3;
  });
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].id, "id");
    EXPECT_EQ(events[i].version, i + 1);
    EXPECT_EQ(events[i].sequence, events[0].sequence + i);
  }
}

}  // namespace
}  // namespace db4::testing
