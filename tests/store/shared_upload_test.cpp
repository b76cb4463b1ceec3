// Large uploads into one store that several nodes have open, over PostgreSQL: an upload belongs to the node
// that works on it for as long as that one lives. Each node has a clock of its own here, so that one can be
// asleep while time goes on for the others.
#include "cold/upload_fixtures.hpp"
#include "cold/upload_owner.hpp"
#include "support/audit.hpp"
#include "support/fault_object_store.hpp"
#include "support/postgres_server.hpp"
#include "support/sequence_point.hpp"

#include <db4/operations.hpp>
#include <db4/storage.hpp>

#include <gmock/gmock.h>

#include <cstdio>
#include <future>
#include <thread>

namespace db4::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr std::size_t kSize = 1'000'003;
constexpr std::uint64_t kPart = 200'000;  // six of them, with the frames

class SharedUploadTest : public ::testing::Test {
 protected:
  struct Node {
    std::shared_ptr<SimulatedClock> clock = std::make_shared<SimulatedClock>();
    std::shared_ptr<FaultObjectStore> objects;
    std::unique_ptr<TieredStore> store;

    [[nodiscard]] ColdStorage& cold() const { return store->cold_storage(); }
  };

  void SetUp() override {
    std::string reason;
    server_ = shared_postgres_server(&reason);
    if (server_ == nullptr) GTEST_SKIP() << reason;
  }

  [[nodiscard]] Node open() const {
    Node node;
    node.objects = std::make_shared<FaultObjectStore>(objects_, 1, node.clock);
    std::shared_ptr<EncryptionManager> encryption;
    if (keys_) {
      encryption = std::make_shared<EncryptionManager>(
          EncryptionConfig{.master_key = master_, .key_store = keys_}, node.clock);
    }
    node.store = std::make_unique<TieredStore>(
        TieredStoreConfig{.hot = {.type = HotType::postgres,
                                  .durability = Durability::process,
                                  .url = server_->url(),
                                  .schema = schema_,
                                  .follow_server_clock = false},
                          .cold = {.compression = Compression::none, .max_attempts = 1},
                          .tiering = {.promote_on_read = PromoteOnRead::never, .interval = 0ms},
                          .encryption = encryption},
        Components{.clock = node.clock, .object_store = node.objects, .bare_object_store = true});
    return node;
  }

  [[nodiscard]] UploadResult write(const Node& node) const {
    return node.cold().write_large("videos", "v", ByteSource::bytes(content_),
                                   {.part_size = kPart, .concurrency = 1, .upload_id = "up"});
  }
  [[nodiscard]] UploadResult resume(const Node& node) const {
    return node.cold().resume_upload("up", ByteSource::bytes(content_), {.concurrency = 1});
  }
  [[nodiscard]] static Bytes read(const Node& node) {
    Bytes out;
    EXPECT_TRUE(node.cold().read_large(
        "videos", "v", [&](ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }));
    return out;
  }

  /// 0 where there is no document.
  [[nodiscard]] static Version version_of(const Node& node) {
    const auto document = node.store->explain("videos", "v");
    return document ? document->meta.version : 0;
  }

  /// The node comes to its n-th request of that kind, and there it stands until the point is opened.
  static std::shared_ptr<SequencePoint> hold_at(const Node& node, ObjectOperation operation, int n) {
    auto point = std::make_shared<SequencePoint>();
    auto left = std::make_shared<std::atomic<int>>(n);
    node.objects->set_hook([point, left, operation](ObjectOperation now, std::string_view) {
      if (now == operation && --*left == 0) point->arrive();
    });
    return point;
  }
  /// It ends as a killed process does: at its n-th request of that kind, and nothing is said any more.
  static void die_at(const Node& node, ObjectOperation operation, int n) {
    auto left = std::make_shared<std::atomic<int>>(n);
    node.objects->set_hook([left, operation](ObjectOperation now, std::string_view) {
      if (now == operation && --*left == 0) throw std::runtime_error("killed");
    });
  }
  static void outlive_lease(const Node& node) { node.clock->advance(cold::kUploadLease + 1s); }

  /// The document is there, once and whole, and nothing else is.
  void expect_whole(const Node& node, Version version = 1) const {
    EXPECT_TRUE(read(node) == content_);
    EXPECT_EQ(node.cold().list_uploads().at(0).state, MultipartUploadState::completed);
    EXPECT_EQ(node.store->read("videos", "v", {.promote = false})->version(), version);
    node.clock->advance(8 * 24h);
    node.store->run_tiering();
    EXPECT_TRUE(read(node) == content_);
    EXPECT_EQ(objects_->list("", "", 10).objects.size(), 1U);
    EXPECT_TRUE(objects_->list_multipart("", {}, 10).uploads.empty());
    node.store->close();
    const AuditReport report =
        audit_closed_store(HotType::postgres, {}, *objects_, {.url = server_->url(), .schema = schema_});
    EXPECT_TRUE(report.clean()) << report;
  }

  PostgresServer* server_ = nullptr;
  const std::string schema_ = PostgresServer::new_schema();
  const Bytes content_ = content_of(kSize);
  const std::shared_ptr<ObjectStore> objects_ = make_memory_object_store();
  const MasterKey master_ = generate_master_key();
  std::shared_ptr<KeyStore> keys_;  ///< of nodes that are opened from now on: the store is encrypted
};

TEST_F(SharedUploadTest, AnUploadIsTheNodesThatSendsItForAsLongAsThatLives) {
  const Node a = open();
  const Node b = open();
  const auto point = hold_at(a, ObjectOperation::put_part, 3);
  auto sent = std::async(std::launch::async, [&] { return write(a); });
  point->wait_for(1);

  const auto session = b.cold().get_upload_status("up");
  ASSERT_TRUE(session);
  ASSERT_NE(session->owner, 0U);
  EXPECT_EQ(session->owned_until, b.clock->now() + cold::kUploadLease);
  EXPECT_EQ(b.cold().list_uploads().at(0).owner, session->owner);
  EXPECT_EQ(session->parts_done, 2U);
  EXPECT_THAT(run_operation(*b.store, R"({"op": "uploads"})").json,
              HasSubstr("\"owner\":\"" + cold::node_name(session->owner) + "\""));

  const Error resumed = error_of([&] { (void)resume(b); });
  EXPECT_EQ(resumed.code(), ErrorCode::conflict);
  EXPECT_EQ(resumed.upload_id(), "up");
  EXPECT_THAT(resumed.what(), HasSubstr("node " + cold::node_name(session->owner)));
  EXPECT_THAT(resumed.what(), HasSubstr("until 2023-11-14 22:14:20 UTC"));
  EXPECT_EQ(error_of([&] { b.cold().abort_upload("up"); }).code(), ErrorCode::conflict);
  EXPECT_EQ(error_of([&] { (void)write(b); }).code(), ErrorCode::conflict);

  // Whatever cleans up leaves it alone.
  const UploadCleanup cleanup = b.cold().cleanup_expired_uploads(0ms);
  EXPECT_EQ(cleanup.aborted_uploads + cleanup.removed_sessions + cleanup.failed, 0U);
  EXPECT_TRUE(cleanup.unknown.empty());
  b.store->run_tiering();
  EXPECT_EQ(objects_->list_multipart("", {}, 10).uploads.size(), 1U);

  point->open();
  EXPECT_EQ(sent.get().version, 1U);
  EXPECT_EQ(b.cold().get_upload_status("up")->owner, 0U);
  EXPECT_EQ(resume(b).version, 1U) << "of one that has ended it is only said so";
  expect_whole(b);
}

TEST_F(SharedUploadTest, TheLeaseIsRenewedWhileAPartTakesLong) {
  const Node a = open();
  const Node b = open();
  const auto point = hold_at(a, ObjectOperation::put_part, 3);
  auto sent = std::async(std::launch::async, [&] { return write(a); });
  point->wait_for(1);
  for (int i = 0; i < 10; ++i) {
    const TimePoint until = b.cold().get_upload_status("up")->owned_until;
    while (b.cold().get_upload_status("up")->owned_until == until) {
      // Never past the lease, however long the thread that renews it takes to wake.
      if (a.clock->now() < until - 5s) a.clock->advance(1s);
    }
  }
  EXPECT_GT(a.clock->now() - b.clock->now(), 2 * cold::kUploadLease);
  b.clock->set_wall_time(a.clock->now());
  EXPECT_EQ(error_of([&] { (void)resume(b); }).code(), ErrorCode::conflict);
  point->open();
  EXPECT_EQ(sent.get().version, 1U);
  expect_whole(b);
}

TEST_F(SharedUploadTest, WhatADeadNodeLeftIsTakenOverWhenItsLeaseIsOver) {
  const Node b = open();
  const Node a = open();  // whose process is gone: it says nothing any more
  die_at(a, ObjectOperation::put_part, 4);
  EXPECT_THROW((void)write(a), std::runtime_error);
  EXPECT_EQ(error_of([&] { (void)resume(b); }).code(), ErrorCode::conflict);
  outlive_lease(b);
  EXPECT_EQ(b.cold().get_upload_status("up")->owner, 0U) << "a dead one owns nothing";
  const std::uint64_t before = b.objects->count(ObjectOperation::put_part);
  EXPECT_EQ(resume(b).parts, 6U);
  EXPECT_EQ(b.objects->count(ObjectOperation::put_part) - before, 3U) << "what arrived is not sent again";
  expect_whole(b);
}

TEST_F(SharedUploadTest, WhatANodeLeftThatIsNoLongerRegisteredIsTakenOverAtOnce) {
  const Node b = open();
  const Node a = open();
  die_at(a, ObjectOperation::put_part, 4);
  EXPECT_THROW((void)write(a), std::runtime_error);
  const std::uint64_t owner = b.cold().get_upload_status("up")->owner;
  ASSERT_NE(owner, 0U);
  char key[17];
  std::snprintf(key, sizeof key, "%016lx", static_cast<unsigned long>(owner));
  server_->sql("DELETE FROM " + schema_ + ".meta WHERE key = 'node/'::bytea || '\\x" + key + "'::bytea");
  EXPECT_EQ(b.cold().get_upload_status("up")->owner, 0U);
  EXPECT_EQ(resume(b).version, 1U);
  expect_whole(b);
}

TEST_F(SharedUploadTest, ANodeThatClosesLetsOthersGoOnAtOnce) {
  const Node b = open();
  const Node a = open();
  const auto point = hold_at(a, ObjectOperation::put_part, 4);
  auto sent = std::async(std::launch::async, [&] { return write(a); });
  point->wait_for(1);
  auto closed = std::async(std::launch::async, [&] { a.store->close(); });
  point->open();
  closed.get();
  try {
    sent.get();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  }
  EXPECT_EQ(b.cold().get_upload_status("up")->owner, 0U);
  EXPECT_EQ(resume(b).version, 1U);
  expect_whole(b);
}

/// The old owner was asleep before each kind of request to the object store, and wakes when another node is
/// done.
TEST_F(SharedUploadTest, AnOwnerThatComesBackTooLateChangesNothing) {
  const Node b = open();
  Version version = 0;
  for (const auto& [operation, n] : {std::pair{ObjectOperation::put_part, 1},
                                     {ObjectOperation::put_part, 4},
                                     {ObjectOperation::put_part, 6},
                                     {ObjectOperation::complete_multipart, 1}}) {
    SCOPED_TRACE(std::string(to_string(operation)) + " " + std::to_string(n));
    const Node a = open();
    a.clock->set_wall_time(b.clock->now());
    const auto point = hold_at(a, operation, n);
    auto sent = std::async(std::launch::async, [&] { return write(a); });
    point->wait_for(1);
    outlive_lease(b);
    EXPECT_EQ(resume(b).version, ++version);
    point->open();
    const Error error = error_of([&] { (void)sent.get(); });
    EXPECT_EQ(error.code(), ErrorCode::conflict);
    EXPECT_THAT(error.what(), HasSubstr("took the upload \"up\" over"));
    EXPECT_EQ(b.cold().get_upload_status("up")->state, MultipartUploadState::completed);
    EXPECT_TRUE(read(b) == content_);
    b.clock->advance(1h);
    EXPECT_EQ(b.cold().cleanup_expired_uploads(1min).removed_sessions, 1U);
  }
  (void)write(b);
  expect_whole(b, version + 1);
}

/// The same while the other is in the middle of it: what nothing but the catalogue's conditions can stop.
TEST_F(SharedUploadTest, AnOwnerThatComesBackWhileAnotherWorksChangesNothing) {
  const Node b = open();
  Version version = 0;
  for (const auto& [operation, of_a] :
       {std::pair{ObjectOperation::put_part, 3}, {ObjectOperation::head, 1}}) {
    SCOPED_TRACE(to_string(operation));
    const Node a = open();
    a.clock->set_wall_time(b.clock->now());
    // With its answer lost, the object is looked for and read back by both.
    if (operation == ObjectOperation::head) {
      a.objects->fail_nth(ObjectOperation::complete_multipart, 1, FaultPoint::after,
                          ErrorCode::invalid_argument);
    }
    const auto first = hold_at(a, operation, of_a);
    auto sent = std::async(std::launch::async, [&, &node = a] { return write(node); });
    first->wait_for(1);
    outlive_lease(b);
    const auto second = hold_at(b, operation, 1);
    auto resumed = std::async(std::launch::async, [&] { return resume(b); });
    second->wait_for(1);
    const auto before = b.cold().get_upload_status("up");
    first->open();
    EXPECT_EQ(error_of([&] { (void)sent.get(); }).code(), ErrorCode::conflict);
    const auto after = b.cold().get_upload_status("up");
    EXPECT_NE(after->owner, 0U);
    EXPECT_EQ(after->owner, before->owner);
    EXPECT_EQ(after->parts_done, before->parts_done);
    EXPECT_EQ(after->state, before->state);
    EXPECT_EQ(version_of(b), version);
    second->open();
    EXPECT_EQ(resumed.get().version, ++version);
    EXPECT_TRUE(read(b) == content_);
    b.objects->set_hook({});
    b.clock->advance(1h);
    EXPECT_EQ(b.cold().cleanup_expired_uploads(1min).removed_sessions, 1U);
  }
  (void)write(b);
  expect_whole(b, version + 1);
}

TEST_F(SharedUploadTest, AnOwnerThatComesBackToAnAbortedUploadLeavesNothing) {
  const Node b = open();
  for (const ObjectOperation operation : {ObjectOperation::put_part, ObjectOperation::complete_multipart}) {
    SCOPED_TRACE(to_string(operation));
    const Node a = open();
    a.clock->set_wall_time(b.clock->now());
    const auto point = hold_at(a, operation, 1);
    auto sent = std::async(std::launch::async, [&] { return write(a); });
    point->wait_for(1);
    outlive_lease(b);
    EXPECT_TRUE(b.cold().abort_upload("up"));
    point->open();
    EXPECT_EQ(error_of([&] { (void)sent.get(); }).code(), ErrorCode::conflict);
    EXPECT_EQ(b.cold().get_upload_status("up")->state, MultipartUploadState::aborted);
    EXPECT_FALSE(b.cold().read_large("videos", "v", [](ByteView) {}));
    b.clock->advance(1h);
    EXPECT_EQ(b.cold().cleanup_expired_uploads(1min).removed_sessions, 1U);
    EXPECT_TRUE(objects_->list_multipart("", {}, 10).uploads.empty());
  }
  b.clock->advance(8 * 24h);
  b.store->run_tiering();
  EXPECT_TRUE(objects_->list("", "", 10).objects.empty());
}

/// The object is there and becomes a document in one commit, with the session's end: or not at all.
TEST_F(SharedUploadTest, AnOwnerThatSleptWhileItVerifiedMakesNoDocument) {
  const Node b = open();
  const Node a = open();
  // The store's answer is lost, so that the object is read back.
  a.objects->fail_nth(ObjectOperation::complete_multipart, 1, FaultPoint::after, ErrorCode::invalid_argument);
  const auto point = hold_at(a, ObjectOperation::head, 1);
  auto sent = std::async(std::launch::async, [&] { return write(a); });
  point->wait_for(1);
  outlive_lease(b);
  EXPECT_EQ(resume(b).version, 1U);
  b.store->write_json_text("videos", "v", "\"written since\"");
  point->open();
  EXPECT_EQ(error_of([&] { (void)sent.get(); }).code(), ErrorCode::conflict);
  EXPECT_EQ(b.store->read("videos", "v")->text(), "\"written since\"");
  EXPECT_EQ(b.store->read("videos", "v")->version(), 2U);
}

TEST_F(SharedUploadTest, ASearchForUnnamedObjectsLeavesWhatIsBeingUploadedAlone) {
  const Node b = open();
  const Node a = open();
  // Complete, and not yet a document: the last moment in which nothing but the session and its intent name
  // it.
  a.objects->fail_nth(ObjectOperation::complete_multipart, 1, FaultPoint::after, ErrorCode::invalid_argument);
  const auto point = hold_at(a, ObjectOperation::head, 1);
  auto sent = std::async(std::launch::async, [&] { return write(a); });
  point->wait_for(1);
  ASSERT_EQ(objects_->list("", "", 10).objects.size(), 1U);
  // The object store dates it by the real time, which is far past the simulated one.
  b.clock->set_wall_time(system_clock()->now() + 48h);
  const ListingGarbageResult found =
      b.cold().collect_by_listing({.remove = true, .min_age = 24h, .max_share = 1});
  EXPECT_EQ(found.objects, 1U);
  EXPECT_EQ(found.unnamed_objects + found.deleted_objects, 0U);
  b.clock->set_wall_time(a.clock->now());
  point->open();
  EXPECT_EQ(sent.get().version, 1U);
  expect_whole(b);
}

TEST_F(SharedUploadTest, OfNodesThatResumeAtOnceOneDoes) {
  const Node dead = open();
  die_at(dead, ObjectOperation::put_part, 2);
  EXPECT_THROW((void)write(dead), std::runtime_error);
  std::vector<Node> nodes;
  for (int i = 0; i < 3; ++i) {
    nodes.push_back(open());
    outlive_lease(nodes.back());
  }
  std::atomic<int> done{0};
  std::atomic<int> refused{0};
  {
    std::vector<std::jthread> threads;
    for (const Node& node : nodes) {
      threads.emplace_back([&] {
        try {
          EXPECT_EQ(resume(node).version, 1U);
          ++done;
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::conflict) << error.what();
          ++refused;
        }
      });
    }
  }
  EXPECT_EQ(done + refused, 3);
  EXPECT_GE(done, 1);
  std::uint64_t sent = 0;
  for (const Node& node : nodes) sent += node.objects->count(ObjectOperation::put_part);
  EXPECT_EQ(sent, 5U) << "no part was sent by two";
  expect_whole(nodes[0]);
}

/// Sessions that an older version wrote, or that ended, name no owner: their bytes are those of format 1.
TEST_F(SharedUploadTest, ASessionWithoutAnOwnerIsReadAndResumed) {
  const Node b = open();
  const Node a = open();
  a.objects->fail_nth(ObjectOperation::put_part, 3, FaultPoint::before);
  EXPECT_EQ(error_of([&] { (void)write(a); }).code(), ErrorCode::unavailable);
  EXPECT_EQ(server_->sql("SELECT get_byte(value, 0) FROM " + schema_ + ".uploads"), "1");
  EXPECT_EQ(b.cold().get_upload_status("up")->owner, 0U);
  EXPECT_EQ(resume(b).version, 1U);
  expect_whole(b);
}

TEST_F(SharedUploadTest, AnotherNodeGoesOnWithASealedUploadUnderItsKey) {
  keys_ = std::make_shared<InMemoryKeyStore>();
  const Node a = open();
  const Node b = open();
  die_at(a, ObjectOperation::put_part, 4);
  EXPECT_THROW((void)write(a), std::runtime_error);
  outlive_lease(b);
  const std::uint64_t before = b.objects->count(ObjectOperation::put_part);
  const UploadResult result = resume(b);
  EXPECT_EQ(b.objects->count(ObjectOperation::put_part) - before, result.parts - 3);
  EXPECT_TRUE(read(b) == content_);
  EXPECT_TRUE(read(a) == content_);
  EXPECT_NE(b.store->explain("videos", "v")->key_id, "");
  EXPECT_TRUE(objects_->list_multipart("", {}, 10).uploads.empty());
}

/// Another node looks after what a node that died in a re-encryption left at the object store.
TEST_F(SharedUploadTest, WhatADeadNodeSealedAnewInPartIsFreed) {
  keys_ = std::make_shared<InMemoryKeyStore>();
  const Node a = open();
  const Node b = open();
  (void)b.cold().write_large("videos", "v", ByteSource::bytes(content_));
  EncryptionManager manager({.master_key = master_, .key_store = keys_}, a.clock);
  manager.initialize();
  manager.rotate_key();
  a.clock->advance(2min);  // and the node reads the ring again
  die_at(a, ObjectOperation::put_part, 1);
  EXPECT_THROW((void)a.store->reencrypt_document("videos", "v"), std::runtime_error);
  EXPECT_EQ(objects_->list_multipart("", {}, 10).uploads.size(), 1U);
  b.clock->advance(8 * 24h);
  b.store->run_tiering();
  EXPECT_TRUE(objects_->list_multipart("", {}, 10).uploads.empty());
  b.clock->advance(2 * 24h);
  b.store->run_tiering();
  EXPECT_EQ(objects_->list("", "", 10).objects.size(), 1U);
  EXPECT_TRUE(read(b) == content_);
}

}  // namespace
}  // namespace db4::testing
