// Large documents sealed anew: into a new object, in parts, without a moment in which there is neither.
#include "cold/sealed_large_fixtures.hpp"

namespace db4::testing {
namespace {

class LargeResealTest : public SealedLargeTest {
 protected:
  /// Some parts, of which the object store takes 5 MiB at the least.
  LargeResealTest() {
    cold().write_large("videos", "v", ByteSource::bytes(large_), {.content_type = "video/mp4"});
  }

  void expect_the_document() {
    EXPECT_TRUE(read() == large_);
    const auto result = cold().read_large("videos", "v", [](ByteView) {}, {.offset = 0, .length = 1});
    EXPECT_EQ(result->version, 1U);
    EXPECT_EQ(result->content_type, "video/mp4");
  }

  const Bytes large_ = content_of(20'000'001, 9);
};

TEST_F(LargeResealTest, KeepsEverythingButTheKey) {
  const ObjectInfo before = object();
  const DocumentMeta meta = store_->explain("videos", "v")->meta;
  manager_->rotate_key();
  clock_->advance(1h);
  EXPECT_TRUE(store_->reencrypt_document("videos", "v"));
  EXPECT_EQ(key_id(), manager_->active_key_id());
  const DocumentMeta after = store_->explain("videos", "v")->meta;
  EXPECT_EQ(after.version, meta.version);
  EXPECT_EQ(after.created_at, meta.created_at);
  EXPECT_EQ(after.updated_at, meta.updated_at);
  EXPECT_EQ(after.content_type, meta.content_type);
  expect_the_document();
  expect_nothing_left();
  EXPECT_NE(object().name, before.name);
  EXPECT_EQ(cold().list_uploads().size(), 1U) << "the first one: this was nobody's upload";
  EXPECT_FALSE(store_->reencrypt_document("videos", "v")) << "nothing to do";
  open();
  expect_the_document();
}

/// What was written meanwhile makes the row's version another one than the record's.
TEST_F(LargeResealTest, KeepsTheVersionThatTheRecordNames) {
  bool once = false;
  faulty_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation != ObjectOperation::put_part || once) return;
    once = true;
    store_->write_json_text("videos", "v", "1");
    store_->write_json_text("videos", "v", "2");
  });
  const UploadResult result = write(content_, {.concurrency = 1});
  faulty_->set_hook({});
  ASSERT_EQ(result.version, 4U);
  manager_->rotate_key();
  EXPECT_TRUE(store_->reencrypt_document("videos", "v"));
  EXPECT_TRUE(read() == content_);
  open();
  EXPECT_TRUE(read() == content_);
  EXPECT_EQ(store_->read("videos", "v", {.promote = false})->version(), 4U);
}

TEST_F(LargeResealTest, MakesPlainAndSealsAgain) {
  open(How::no_longer_sealed);
  EXPECT_TRUE(store_->reencrypt_document("videos", "v"));
  EXPECT_EQ(key_id(), "");
  expect_the_document();
  expect_nothing_left();
  EXPECT_TRUE(begins_plain(object()));
  open();
  EXPECT_TRUE(store_->reencrypt_document("videos", "v"));
  EXPECT_EQ(key_id(), manager_->active_key_id());
  expect_the_document();
  expect_nothing_left();
  EXPECT_FALSE(begins_plain(object()));
}

TEST_F(LargeResealTest, AnEmptyDocumentToo) {
  cold().write_large("videos", "v", ByteSource::bytes({}), {});
  manager_->rotate_key();
  EXPECT_TRUE(store_->reencrypt_document("videos", "v"));
  EXPECT_EQ(key_id(), manager_->active_key_id());
  EXPECT_TRUE(read().empty());
}

TEST_F(LargeResealTest, LeavesNothingBehindWhereAnyRequestFails) {
  const std::string old = manager_->active_key_id();
  manager_->rotate_key();
  for (const ObjectOperation operation : {ObjectOperation::begin_multipart, ObjectOperation::put_part,
                                          ObjectOperation::complete_multipart, ObjectOperation::get_range}) {
    for (const FaultPoint point : {FaultPoint::before, FaultPoint::after}) {
      for (const std::uint64_t nth : {1U, 2U, 3U}) {
        if (nth > 1 && operation != ObjectOperation::put_part && operation != ObjectOperation::get_range)
          continue;
        faulty_->fail_nth(operation, nth, point);
        const Error error = error_of([&] { store_->reencrypt_document("videos", "v"); });
        EXPECT_EQ(error.code(), ErrorCode::unavailable) << error.what();
        faulty_->clear_faults();
        EXPECT_EQ(key_id(), old);
        EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
        expect_the_document();
        expect_nothing_left();
        EXPECT_EQ(cold().list_uploads().size(), 1U);
      }
    }
  }
  EXPECT_TRUE(store_->reencrypt_document("videos", "v"));
  expect_the_document();
  expect_nothing_left();
}

TEST_F(LargeResealTest, WhatAnObjectStoreThatWentAwayKeptIsFreedLater) {
  const std::string old = manager_->active_key_id();
  manager_->rotate_key();
  std::atomic<std::uint64_t> parts = 0;  // several threads send
  faulty_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation == ObjectOperation::put_part && ++parts == 2) faulty_->fail_all();
  });
  EXPECT_EQ(error_of([&] { store_->reencrypt_document("videos", "v"); }).code(), ErrorCode::unavailable);
  faulty_->set_hook({});
  faulty_->clear_faults();
  ASSERT_EQ(memory_->list_multipart("", {}, 10).uploads.size(), 1U);
  EXPECT_EQ(cold().list_uploads().size(), 1U) << "nobody could resume it";
  open();  // as after a kill
  expect_the_document();
  clock_->advance(8 * 24h);  // past cold.upload_expiry
  const UploadCleanup cleanup = cold().cleanup_expired_uploads(7 * 24h);
  EXPECT_EQ(cleanup.failed, 0U) << cleanup.first_error;
  EXPECT_TRUE(cleanup.unknown.empty());
  EXPECT_EQ(key_id(), old);
  expect_nothing_left();
  expect_the_document();
}

TEST_F(LargeResealTest, AKillAtAnyRequestLeavesTheDocumentAndNothingForLong) {
  const std::string old = manager_->active_key_id();
  manager_->rotate_key();
  for (const auto& [operation, n] :
       std::vector<std::pair<ObjectOperation, int>>{{ObjectOperation::begin_multipart, 1},
                                                    {ObjectOperation::put_part, 2},
                                                    {ObjectOperation::complete_multipart, 1},
                                                    {ObjectOperation::list_multipart, 1}}) {
    die_at(operation, n);
    EXPECT_THROW(store_->reencrypt_document("videos", "v"), std::runtime_error) << to_string(operation);
    open_after_death();
    EXPECT_EQ(key_id(), old);
    expect_the_document();
    clock_->advance(8 * 24h);
    EXPECT_EQ(cold().cleanup_expired_uploads(7 * 24h).failed, 0U);
    expect_nothing_left();
    expect_the_document();
  }
  EXPECT_TRUE(store_->reencrypt_document("videos", "v"));
  expect_the_document();
}

TEST_F(LargeResealTest, AStopEndsItAndLeavesNothing) {
  manager_->rotate_key();
  std::stop_source stop;
  std::atomic<std::uint64_t> parts = 0;  // several threads send
  faulty_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation == ObjectOperation::put_part && ++parts == 2) stop.request_stop();
  });
  try {
    (void)store_->reencrypt({.stop = stop.get_token()});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  }
  faulty_->set_hook({});
  EXPECT_NE(key_id(), manager_->active_key_id());
  expect_the_document();
  expect_nothing_left();
}

TEST_F(LargeResealTest, WhoWritesMeanwhileWins) {
  manager_->rotate_key();
  bool once = false;
  faulty_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation != ObjectOperation::put_part || once) return;
    once = true;
    store_->write_json_text("videos", "v", R"({"newer":1})");
  });
  EXPECT_EQ(store_->reencrypt().failed, 0U);
  faulty_->set_hook({});
  EXPECT_EQ(as_text(read()), R"({"newer":1})");
  clock_->advance(24h);
  cold().collect_garbage();
  EXPECT_TRUE(memory_->list("", "", 10).objects.empty());
  EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
}

TEST_F(LargeResealTest, WhatIsDamagedIsNotSealedAnew) {
  const ObjectInfo info = object();
  Bytes bytes = bytes_of(info);
  bytes[15'000'000] ^= std::byte{1};
  memory_->put(info.name, bytes);
  manager_->rotate_key();
  EXPECT_EQ(error_of([&] { store_->reencrypt_document("videos", "v"); }).code(), ErrorCode::corrupt);
  EXPECT_EQ(object().name, info.name);
  EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
  const ReencryptResult result = store_->reencrypt();
  EXPECT_EQ(result.failed, 1U);
  bytes[15'000'000] ^= std::byte{1};
  memory_->put(info.name, bytes);
  expect_the_document();
}

}  // namespace
}  // namespace db4::testing
