// Large documents through a store: written, read in ranges, replaced, removed, resumed after a new opening.
#include "cold/upload_fixtures.hpp"
#include "objects/object_stores.hpp"
#include "support/audit.hpp"
#include "support/fault_object_store.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>

#include <fstream>
#include <thread>

namespace db4::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::size_t kSize = 3'000'017;
constexpr std::uint64_t kPart = 400'000;

class LargeDocumentTest : public ::testing::Test {
 protected:
  LargeDocumentTest() { open(); }

  void open() {
    store_.reset();
    store_ = std::make_unique<TieredStore>(config(), Components{.clock = clock_, .object_store = faulty_});
  }
  TieredStoreConfig config() const {
    return {.hot = {.type = kDiskEngine, .path = folder_.path() / "hot", .durability = Durability::process},
            .cold = {.max_attempts = 1},  // faults are to be seen, not retried
            .tiering = {.interval = 0ms}};
  }
  ColdStorage& cold() { return store_->cold_storage(); }

  UploadResult write(UploadOptions options = {}) {
    options.part_size = kPart;
    return cold().write_large("videos", "v", ByteSource::bytes(content_), options);
  }
  Bytes read(ByteRange range = {}, std::string_view id = "v") {
    Bytes out;
    const auto result = cold().read_large(
        "videos", id, [&](ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }, range);
    EXPECT_TRUE(result);
    EXPECT_EQ(result->bytes, out.size());
    return out;
  }
  Bytes part_of(std::size_t offset, std::size_t length) const {
    const auto begin = content_.begin() + static_cast<std::ptrdiff_t>(offset);
    return {begin, begin + static_cast<std::ptrdiff_t>(length)};
  }
  void expect_clean() {
    store_->close();
    const AuditReport report = audit_closed_store(kDiskEngine, folder_.path() / "hot", *memory_);
    EXPECT_TRUE(report.clean()) << report;
    EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
    open();
  }

  const TemporaryFolder folder_;
  const Bytes content_ = content_of(kSize);
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  const std::shared_ptr<ObjectStore> memory_ = objects::make_memory_object_store();
  const std::shared_ptr<FaultObjectStore> faulty_ = std::make_shared<FaultObjectStore>(memory_);
  std::unique_ptr<TieredStore> store_;
};

TEST_F(LargeDocumentTest, IsADocumentLikeAnyOther) {
  const UploadResult result = write({.content_type = "video/mp4"});
  EXPECT_EQ(result.version, 1U);
  EXPECT_EQ(result.size, kSize);
  EXPECT_TRUE(read() == content_);
  EXPECT_EQ(store_->get_tier("videos", "v"), StorageTier::cold);
  const ScanPage page = store_->scan("videos");
  ASSERT_EQ(page.items.size(), 1U);
  EXPECT_EQ(page.items[0].meta.size, kSize);
  EXPECT_EQ(page.items[0].meta.content_type, "video/mp4");
  const auto document = store_->read("videos", "v", {.promote = false});
  ASSERT_TRUE(document);
  EXPECT_TRUE(std::ranges::equal(document->bytes(), content_));
  EXPECT_EQ(document->version(), 1U);
  EXPECT_EQ(document->meta().content_type, "video/mp4");
  EXPECT_TRUE(store_->explain("videos", "v"));
  EXPECT_EQ(store_->stats().cold.documents, 1U);
  expect_clean();
  EXPECT_TRUE(read() == content_) << "after another opening";
  EXPECT_TRUE(store_->remove("videos", "v"));
  EXPECT_FALSE(cold().read_large("videos", "v", [](ByteView) {}));
  clock_->advance(24h);
  cold().collect_garbage();
  EXPECT_TRUE(memory_->list("", "", 10).objects.empty());
  expect_clean();
}

TEST_F(LargeDocumentTest, RangesAreThePartsOfTheWhole) {
  write();
  const std::size_t frame = 256U << 10;
  for (const auto& [offset, length] : std::vector<std::pair<std::size_t, std::size_t>>{{0, 1},
                                                                                       {0, frame},
                                                                                       {1, frame},
                                                                                       {frame - 1, 2},
                                                                                       {frame, 1},
                                                                                       {kSize - 1, 1},
                                                                                       {kSize, 0},
                                                                                       {0, 0},
                                                                                       {1'234'567, 987'654},
                                                                                       {kSize - 5, 100},
                                                                                       {frame * 3, frame * 5},
                                                                                       {0, kSize}}) {
    const std::size_t expected = std::min(length, kSize - offset);
    EXPECT_TRUE(read({.offset = offset, .length = length}) == part_of(offset, expected)) << offset;
  }
  const Error error = error_of([&] { read({.offset = kSize + 1}); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("range"));
}

TEST_F(LargeDocumentTest, ManyPiecesComeInOrder) {
  const Bytes large = content_of(50'000'000, 3);
  cold().write_large("videos", "large", ByteSource::bytes(large), {.part_size = 5_MiB});
  EXPECT_TRUE(read({}, "large") == large);
  EXPECT_TRUE(read({.offset = 8'388'600, .length = 20'000'000}, "large") ==
              Bytes(large.begin() + 8'388'600, large.begin() + 28'388'600));
}

TEST_F(LargeDocumentTest, EmptyAndTinyOnesWorkToo) {
  cold().write_large("videos", "empty", ByteSource::bytes({}), {});
  cold().write_large("videos", "tiny", ByteSource::owned(Bytes{std::byte{7}}), {});
  EXPECT_TRUE(read({}, "empty").empty());
  EXPECT_EQ(read({}, "tiny"), Bytes{std::byte{7}});
  expect_clean();
}

TEST_F(LargeDocumentTest, SmallDocumentsAreReadInTheSameWay) {
  store_->write_json_text("videos", "hot", R"({"a":1})");
  store_->write_json_text("videos", "cold", R"({"a":2})", {.tier = StorageTier::cold});
  EXPECT_EQ(as_text(read({.offset = 1, .length = 3}, "hot")), "\"a\"");
  EXPECT_EQ(as_text(read({}, "cold")), R"({"a":2})");
}

TEST_F(LargeDocumentTest, AFileComesOutWholeOrNotAtAll) {
  write();
  const fs::path file = folder_.path() / "out.bin";
  cold().read_large("videos", "v", file);
  std::ifstream in(file, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  EXPECT_TRUE(text == as_text(content_));
  EXPECT_FALSE(cold().read_large("videos", "absent", folder_.path() / "absent.bin"));
  EXPECT_FALSE(fs::exists(folder_.path() / "absent.bin"));
  faulty_->fail_nth(ObjectOperation::get_range, 2, FaultPoint::before);
  error_of([&] { cold().read_large("videos", "v", folder_.path() / "broken.bin"); });
  EXPECT_FALSE(fs::exists(folder_.path() / "broken.bin"));
  for (const auto& entry : fs::directory_iterator(folder_.path())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
  EXPECT_EQ(error_of([&] { cold().read_large("videos", "v", folder_.path() / "no" / "folder"); }).code(),
            ErrorCode::unavailable);
}

TEST_F(LargeDocumentTest, DamageIsNoticedInTheFrameThatHasIt) {
  write();
  const ObjectInfo object = memory_->list("", "", 1).objects.at(0);
  Bytes bytes = *memory_->get(object.name, 1ULL << 30);
  bytes[1'000'000] ^= std::byte{1};
  memory_->put(object.name, bytes);
  EXPECT_TRUE(read({.offset = 0, .length = 500'000}) == part_of(0, 500'000)) << "another frame";
  EXPECT_EQ(error_of([&] { read({.offset = 900'000, .length = 200'000}); }).code(), ErrorCode::corrupt);
  EXPECT_EQ(error_of([&] { (void)store_->read("videos", "v"); }).code(), ErrorCode::corrupt);
  bytes[1'000'000] ^= std::byte{1};
  bytes.resize(bytes.size() - 1);
  memory_->put(object.name, bytes);
  EXPECT_EQ(error_of([&] { read(); }).code(), ErrorCode::corrupt);
  bytes[20] ^= std::byte{1};
  memory_->put(object.name, bytes);
  EXPECT_EQ(error_of([&] { read(); }).code(), ErrorCode::corrupt);
}

TEST_F(LargeDocumentTest, OverWhatIsHeldInMemoryReadSaysWhatToDo) {
  const Bytes large = content_of(kMaxBodyBytes + 1, 5);
  cold().write_large("videos", "large", ByteSource::bytes(large), {});
  const Error error = error_of([&] { (void)store_->read("videos", "large"); });
  EXPECT_EQ(error.code(), ErrorCode::too_large);
  EXPECT_THAT(error.what(), HasSubstr("read_large"));
  EXPECT_TRUE(read({.offset = kMaxBodyBytes, .length = 10}, "large") == Bytes{large.back()});
}

TEST_F(LargeDocumentTest, ResumesInAStoreThatWasOpenedAnew) {
  faulty_->fail_nth(ObjectOperation::put_part, 4, FaultPoint::before);
  const Error error = error_of([&] { write({.concurrency = 1, .upload_id = "up"}); });
  EXPECT_EQ(error.upload_id(), "up");
  EXPECT_THAT(error.what(), HasSubstr("write_large videos/v"));
  EXPECT_FALSE(cold().read_large("videos", "v", [](ByteView) {}));
  open();
  const auto session = cold().get_upload_status("up");
  ASSERT_TRUE(session);
  EXPECT_EQ(session->state, MultipartUploadState::failed);
  EXPECT_EQ(session->parts_done, 3U);
  EXPECT_EQ(session->size, kSize);
  EXPECT_EQ(session->collection, "videos");
  const std::uint64_t before = faulty_->count(ObjectOperation::put_part);
  const UploadResult result = cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_EQ(result.version, 1U);
  EXPECT_EQ(faulty_->count(ObjectOperation::put_part) - before, result.parts - 3);
  EXPECT_TRUE(read() == content_);
  EXPECT_EQ(cold().list_uploads().at(0).state, MultipartUploadState::completed);
  expect_clean();
}

/// A frame ends with the checksum of its content: no sum over both may be blind to another content.
TEST_F(LargeDocumentTest, AnUploadThatWasBegunAndNotNotedIsNotLeftBehind) {
  faulty_->script(ObjectOperation::begin_multipart, {FaultPoint::after});
  EXPECT_THROW(write({.upload_id = "up"}), Error);
  ASSERT_EQ(memory_->list_multipart("", {}, 10).uploads.size(), 1U);
  cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_TRUE(read() == content_);
  expect_clean();

  faulty_->script(ObjectOperation::begin_multipart, {FaultPoint::after});
  EXPECT_THROW(write({.upload_id = "up2"}), Error);
  ASSERT_EQ(memory_->list_multipart("", {}, 10).uploads.size(), 1U);
  EXPECT_TRUE(cold().abort_upload("up2"));
  expect_clean();
}

TEST_F(LargeDocumentTest, AStoreThatCannotListUploadsEndsOneAllTheSame) {
  faulty_->script(ObjectOperation::list_multipart, {FaultPoint::before});
  write();
  EXPECT_TRUE(read() == content_);
}

TEST_F(LargeDocumentTest, AReadThatIsStoppedOrFailsEndsAtOnce) {
  const Bytes large = content_of(40'000'000);
  cold().write_large("videos", "large", ByteSource::bytes(large), {.part_size = 16'000'000});
  for (const std::size_t concurrency : {1U, 2U, 4U}) {
    std::stop_source stop;
    std::uint64_t seen = 0;
    const auto read = [&](const std::function<void()>& then) {
      seen = 0;
      cold().read_large("videos", "large",
                        [&](ByteView bytes) {
                          seen += bytes.size();
                          then();
                        },
                        {}, {.concurrency = concurrency, .stop = stop.get_token()});
    };
    EXPECT_THROW(read([] { throw std::runtime_error("full"); }), std::runtime_error);
    EXPECT_LT(seen, 20'000'000U);
    faulty_->fail_nth(ObjectOperation::get_range, 4, FaultPoint::before);
    EXPECT_THROW(read([] {}), Error);
    faulty_->clear_faults();
    EXPECT_NO_THROW(read([] {}));
    EXPECT_EQ(seen, large.size());
    EXPECT_THROW(read([&] { stop.request_stop(); }), Error);
    EXPECT_LT(seen, 20'000'000U);
  }
}

TEST_F(LargeDocumentTest, RefusesToResumeASourceOfWhichAWholeFrameChanged) {
  faulty_->fail_nth(ObjectOperation::put_part, 4, FaultPoint::before);
  error_of([&] { write({.concurrency = 1, .upload_id = "up"}); });
  Bytes other = content_;
  other[0] ^= std::byte{1};
  const Error error = error_of([&] { cold().resume_upload("up", ByteSource::bytes(other)); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("part 1"));
  cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_TRUE(read() == content_);
}

TEST_F(LargeDocumentTest, WhatIsWrittenMeanwhileIsReplaced) {
  bool once = false;
  faulty_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation != ObjectOperation::put_part || once) return;
    once = true;
    store_->write_json_text("videos", "v", "1");
    store_->write_json_text("videos", "v", "2");
  });
  const UploadResult result = write({.concurrency = 1});
  EXPECT_EQ(result.version, 3U);
  EXPECT_TRUE(read() == content_);
  EXPECT_EQ(store_->read("videos", "v", {.promote = false})->version(), 3U);
  expect_clean();
  store_->write_json_text("videos", "v", "4");
  EXPECT_EQ(store_->read("videos", "v")->version(), 4U);
  clock_->advance(24h);
  cold().collect_garbage();
  expect_clean();
}

TEST_F(LargeDocumentTest, IfVersionIsHeldAtBothEnds) {
  store_->write_json_text("videos", "v", "1");
  EXPECT_EQ(error_of([&] { write({.if_version = 0}); }).code(), ErrorCode::conflict);
  bool once = false;
  faulty_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation == ObjectOperation::put_part && !once) once = store_->remove("videos", "v");
  });
  const Error error = error_of([&] { write({.concurrency = 1, .upload_id = "up", .if_version = 1}); });
  EXPECT_EQ(error.code(), ErrorCode::conflict);
  EXPECT_EQ(cold().get_upload_status("up")->state, MultipartUploadState::aborted);
  EXPECT_FALSE(store_->read("videos", "v"));
  clock_->advance(24h);
  cold().collect_garbage();
  EXPECT_TRUE(memory_->list("", "", 10).objects.empty()) << "the object was given up";
  expect_clean();
}

TEST_F(LargeDocumentTest, AnObjectThatWaitedTooLongIsUploadedAnew) {
  faulty_->fail_nth(ObjectOperation::complete_multipart, 1, FaultPoint::after);
  error_of([&] { write({.upload_id = "up"}); });
  clock_->advance(8 * 24h);  // past cold.upload_expiry: the intent has gone, and the object with it
  cold().collect_garbage();
  EXPECT_TRUE(memory_->list("", "", 10).objects.empty());
  cold().resume_upload("up", ByteSource::bytes(content_));
  EXPECT_TRUE(read() == content_);
  expect_clean();
}

TEST_F(LargeDocumentTest, ABackgroundRunEndsUploadsThatNobodyTouched) {
  faulty_->fail_nth(ObjectOperation::put_part, 4, FaultPoint::before);
  error_of([&] { write({.upload_id = "up"}); });
  clock_->advance(6 * 24h);
  store_->run_tiering();
  EXPECT_EQ(cold().get_upload_status("up")->state, MultipartUploadState::failed);
  clock_->advance(2 * 24h);
  store_->run_tiering();
  EXPECT_EQ(cold().get_upload_status("up")->state, MultipartUploadState::aborted);
  EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
  clock_->advance(8 * 24h);
  store_->run_tiering();
  EXPECT_FALSE(cold().get_upload_status("up"));
}

TEST_F(LargeDocumentTest, ClosingTheStoreStopsAnUploadAndKeepsIt) {
  bool once = false;
  std::jthread closing;
  faulty_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation != ObjectOperation::put_part || once) return;
    once = true;
    closing = std::jthread([&] { store_->close(); });
  });
  std::optional<ErrorCode> thrown;
  try {
    write({.concurrency = 1, .upload_id = "up"});
  } catch (const Error& error) {
    thrown = error.code();
  }
  closing.join();
  faulty_->set_hook({});
  open();
  if (thrown) {
    EXPECT_EQ(thrown, ErrorCode::cancelled);
    EXPECT_EQ(cold().get_upload_status("up")->state, MultipartUploadState::failed);
    cold().resume_upload("up", ByteSource::bytes(content_));
  }
  EXPECT_TRUE(read() == content_);
}

TEST_F(LargeDocumentTest, PromotionTakesWhatFitsAndLeavesTheRest) {
  cold().write_large("videos", "fits", ByteSource::bytes(ByteView(content_).first(100'000)), {});
  EXPECT_TRUE(store_->promote("videos", "fits", StorageTier::hot));
  EXPECT_EQ(store_->get_tier("videos", "fits"), StorageTier::hot);
  EXPECT_TRUE(store_->demote("videos", "fits", StorageTier::cold));
  EXPECT_TRUE(read({}, "fits") == part_of(0, 100'000));
  write();
  for (int i = 0; i < 10; ++i) (void)store_->read("videos", "v");
  store_->run_tiering();
  EXPECT_NE(store_->get_tier("videos", "v"), StorageTier::hot) << "over hot.max_body_size";
  expect_clean();
}

TEST_F(LargeDocumentTest, RefusesNamesAndTypesThatAreNone) {
  const ByteSource source = ByteSource::bytes(content_);
  EXPECT_EQ(error_of([&] { cold().write_large("", "v", source); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { cold().write_large("c", std::string(2000, 'x'), source); }).code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { cold().write_large("c", "v", source, {.content_type = "\n"}); }).code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { cold().resume_upload("none", source); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([] { ByteSource::file("/dev/null"); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([] { ByteSource::file("/no/such/file"); }).code(), ErrorCode::unavailable);
}

}  // namespace
}  // namespace db4::testing
