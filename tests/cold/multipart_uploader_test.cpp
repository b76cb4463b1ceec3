// Uploads in parts: what is sent, what is sent again, and what is refused.
#include "cold/upload_engine.hpp"
#include "cold/upload_fixtures.hpp"
#include "objects/object_stores.hpp"
#include "support/fault_object_store.hpp"
#include "support/sequence_point.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace db4::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kPart = 1000;
constexpr std::size_t kSize = 20 * kPart + 123;
constexpr std::uint64_t kParts = 21;

class MultipartUploaderTest : public ::testing::Test {
 protected:
  UploadResult upload(UploadOptions options = {}) {
    options.part_size = kPart;
    if (options.upload_id.empty()) options.upload_id = "one";
    return uploader_.upload("object", source_, options);
  }
  UploadResult resume(UploadOptions options = {}) { return uploader_.resume("one", source_, options); }

  void expect_whole() {
    const auto got = memory_->get("object", kSize + 1);
    ASSERT_TRUE(got);
    EXPECT_TRUE(*got == content_);
    EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty()) << "nothing may be left behind";
    EXPECT_EQ(uploader_.status("one")->state, MultipartUploadState::completed);
    EXPECT_TRUE(sessions_->receipts("one").empty());
  }
  std::uint64_t puts() const { return faulty_->count(ObjectOperation::put_part); }

  const Bytes content_ = content_of(kSize);
  const ByteSource source_ = ByteSource::bytes(content_);
  const std::shared_ptr<ObjectStore> memory_ = objects::make_memory_object_store();
  const std::shared_ptr<FaultObjectStore> faulty_ = std::make_shared<FaultObjectStore>(memory_);
  const std::shared_ptr<InMemorySessionStore> sessions_ = std::make_shared<InMemorySessionStore>();
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  MultipartUploader uploader_{faulty_, sessions_, {.clock = clock_, .random = seeded_random(1)}};
};

TEST_F(MultipartUploaderTest, SendsEveryPartOnceAndReportsAcknowledgedBytes) {
  std::vector<UploadProgress> seen;
  const UploadResult result = upload({.on_progress = [&](const UploadProgress& p) { seen.push_back(p); }});
  EXPECT_EQ(result.upload_id, "one");
  EXPECT_EQ(result.size, kSize);
  EXPECT_EQ(result.parts, kParts);
  EXPECT_EQ(puts(), kParts);
  expect_whole();
  ASSERT_EQ(seen.size(), kParts + 1);
  for (std::size_t i = 1; i < seen.size(); ++i) {
    EXPECT_GE(seen[i].bytes_sent, seen[i - 1].bytes_sent);
    EXPECT_GE(seen[i].percent_complete, seen[i - 1].percent_complete);
    EXPECT_EQ(seen[i].bytes_total, kSize);
  }
  EXPECT_LT(seen[seen.size() - 2].percent_complete, 100);
  EXPECT_EQ(seen.back().percent_complete, 100);
  EXPECT_EQ(seen.back().bytes_sent, kSize);
  EXPECT_EQ(seen.back().parts_done, kParts);
}

TEST_F(MultipartUploaderTest, AnEmptySourceIsAnEmptyObject) {
  uploader_.upload("empty", ByteSource::bytes({}), {.part_size = kPart, .upload_id = "none"});
  EXPECT_EQ(memory_->head("empty")->size, 0U);
  EXPECT_EQ(uploader_.status("none")->state, MultipartUploadState::completed);
}

TEST_F(MultipartUploaderTest, ResumingSendsOnlyWhatIsMissing) {
  faulty_->fail_nth(ObjectOperation::put_part, 8, FaultPoint::before);
  const Error error = error_of([&] { upload({.concurrency = 1}); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_EQ(error.upload_id(), "one");
  const auto failed = uploader_.status("one");
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->state, MultipartUploadState::failed);
  EXPECT_EQ(failed->parts_done, 7U);
  EXPECT_EQ(failed->bytes_sent, 7 * kPart);
  EXPECT_THAT(failed->error, HasSubstr("injected"));
  resume();
  EXPECT_EQ(puts(), 8 + (kParts - 7)) << "seven arrived and one failed before";
  expect_whole();
  resume();  // of a completed one: only says so
  EXPECT_EQ(puts(), 8 + (kParts - 7));
}

TEST_F(MultipartUploaderTest, APartThatArrivedUnnotedIsKnownByItsDigest) {
  faulty_->fail_nth(ObjectOperation::put_part, 5, FaultPoint::after);
  error_of([&] { upload({.concurrency = 1}); });
  EXPECT_EQ(uploader_.status("one")->parts_done, 4U);
  resume();
  EXPECT_EQ(puts(), kParts) << "the fifth was there";
  expect_whole();
}

TEST_F(MultipartUploaderTest, APartThatTheStoreLostIsSentAgain) {
  faulty_->fail_nth(ObjectOperation::put_part, 3, FaultPoint::before);
  error_of([&] { upload({.concurrency = 1}); });
  const UploadSession session = *uploader_.status("one");
  // Somebody put another part in the place of the first.
  memory_->put_part("object", session.store_upload_id, 1, content_of(kPart, 99));
  resume();
  expect_whole();
}

TEST_F(MultipartUploaderTest, RefusesASourceThatChanged) {
  const TimePoint then{std::chrono::seconds{1'000'000}};
  const auto dated = [&](Bytes bytes, TimePoint when) {
    return ByteSource(std::make_shared<DatedSource>(std::move(bytes), when));
  };
  faulty_->fail_nth(ObjectOperation::put_part, 3, FaultPoint::before);
  error_of([&] {
    uploader_.upload("object", dated(content_, then),
                     {.part_size = kPart, .concurrency = 1, .upload_id = "one"});
  });
  Bytes longer = content_;
  longer.push_back(std::byte{1});
  const auto refused = [&](const ByteSource& source) {
    const Error error = error_of([&] { uploader_.resume("one", source); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return std::string(error.what());
  };
  EXPECT_THAT(refused(dated(longer, then)), HasSubstr("bytes, not"));
  EXPECT_THAT(refused(dated(content_, then + std::chrono::seconds{1})), HasSubstr("modified"));
  Bytes other = content_;
  other[kPart + 7] ^= std::byte{1};  // in a part that was sent
  EXPECT_THAT(refused(dated(other, then)), HasSubstr("part 2"));
  EXPECT_FALSE(memory_->head("object"));
  uploader_.resume("one", dated(content_, then));
  expect_whole();
}

TEST_F(MultipartUploaderTest, ACompletionWhoseAnswerWasLostIsFoundAndReadBack) {
  faulty_->fail_nth(ObjectOperation::complete_multipart, 1, FaultPoint::after);
  EXPECT_EQ(error_of([&] { upload(); }).code(), ErrorCode::unavailable);
  EXPECT_TRUE(memory_->head("object"));
  const std::uint64_t before = puts();
  resume();
  EXPECT_EQ(puts(), before);
  EXPECT_EQ(faulty_->count(ObjectOperation::complete_multipart), 1U);
  expect_whole();
}

/// Gives to what is completed an etag that follows from those of the parts, as S3 does.
class ProvingStore final : public ObjectStoreLayer {
 public:
  using ObjectStoreLayer::ObjectStoreLayer;
  std::string object_digest(std::span<const ObjectPart> parts) const override {
    std::string digest;
    for (const ObjectPart& part : parts) digest += part.etag;
    return digest;
  }
  PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                               std::span<const ObjectPart> parts, const CallOptions& call) override {
    ObjectStoreLayer::complete_multipart(name, upload_id, parts, call);
    const std::lock_guard lock(mutex_);
    etag_ = object_digest(parts);
    return {.etag = etag_, .verified = true};
  }
  std::optional<ObjectInfo> head(std::string_view name, const CallOptions& call) override {
    auto info = ObjectStoreLayer::head(name, call);
    const std::lock_guard lock(mutex_);
    if (info) info->etag = other ? "something else" : etag_;
    return info;
  }
  std::atomic<bool> other = false;  ///< as a bucket that encrypts with keys of its own

 private:
  std::mutex mutex_;
  std::string etag_;
};

TEST_F(MultipartUploaderTest, ACompletionThatNobodyHeardOfIsProvenByTheDigestsOfItsParts) {
  for (const bool other : {false, true}) {
    const auto memory = objects::make_memory_object_store();
    const auto proving = std::make_shared<ProvingStore>(memory);
    const auto faulty = std::make_shared<FaultObjectStore>(proving);
    const auto sessions = std::make_shared<InMemorySessionStore>();
    MultipartUploader uploader(faulty, sessions, {.clock = clock_, .random = seeded_random(1)});
    proving->other = other;
    faulty->fail_nth(ObjectOperation::complete_multipart, 1, FaultPoint::after);
    error_of([&] { uploader.upload("object", source_, {.part_size = kPart, .upload_id = "one"}); });
    uploader.resume("one", source_);
    EXPECT_EQ(uploader.status("one")->state, MultipartUploadState::completed);
    EXPECT_EQ(faulty->count(ObjectOperation::complete_multipart), 1U);
    EXPECT_EQ(faulty->count(ObjectOperation::get_range), other ? kParts : 0U)
        << "read back only where the etag proves nothing";
    EXPECT_TRUE(*memory->get("object", kSize + 1) == content_);
  }
}

TEST_F(MultipartUploaderTest, AnUploadThatExpiredAtTheStoreStartsAnew) {
  faulty_->fail_nth(ObjectOperation::put_part, 10, FaultPoint::before);
  error_of([&] { upload({.concurrency = 1}); });
  memory_->abort_multipart("object", uploader_.status("one")->store_upload_id);
  resume();
  EXPECT_EQ(puts(), 10 + kParts);
  expect_whole();
}

/// Lies about one byte of what it was given.
class LyingStore final : public ObjectStoreLayer {
 public:
  using ObjectStoreLayer::ObjectStoreLayer;
  std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset, std::uint64_t length,
                                 const CallOptions& call) override {
    auto bytes = ObjectStoreLayer::get_range(name, offset, length, call);
    if (bytes && lies && offset <= 5000 && offset + bytes->size() > 5000)
      (*bytes)[5000 - offset] ^= std::byte{4};
    return bytes;
  }
  std::atomic<bool> lies = true;
};

TEST_F(MultipartUploaderTest, AnObjectThatDoesNotReadBackIsNoUpload) {
  const auto lying = std::make_shared<LyingStore>(memory_);
  MultipartUploader uploader(lying, sessions_, {.clock = clock_, .random = seeded_random(1)});
  const Error error =
      error_of([&] { uploader.upload("object", source_, {.part_size = kPart, .upload_id = "one"}); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_THAT(error.what(), HasSubstr("part 6"));
  EXPECT_EQ(uploader.status("one")->state, MultipartUploadState::failed);
  lying->lies = false;
  uploader.resume("one", source_);
  expect_whole();
}

TEST_F(MultipartUploaderTest, StoppingAbortsUnlessItIsToBeKept) {
  std::stop_source stop;
  UploadOptions options{.concurrency = 2, .stop = stop.get_token(), .keep_when_stopped = true};
  options.on_progress = [&](const UploadProgress& progress) {
    if (progress.parts_done == 4) stop.request_stop();
  };
  EXPECT_EQ(error_of([&] { upload(options); }).code(), ErrorCode::cancelled);
  EXPECT_EQ(uploader_.status("one")->state, MultipartUploadState::failed);
  EXPECT_GE(uploader_.status("one")->parts_done, 4U);
  EXPECT_FALSE(memory_->list_multipart("", {}, 10).uploads.empty());

  std::stop_source again;
  options.stop = again.get_token();
  options.keep_when_stopped = false;
  options.on_progress = [&](const UploadProgress& progress) {
    if (progress.parts_done == 8) again.request_stop();
  };
  EXPECT_EQ(error_of([&] { resume(options); }).code(), ErrorCode::cancelled);
  EXPECT_EQ(uploader_.status("one")->state, MultipartUploadState::aborted);
  EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
  EXPECT_EQ(error_of([&] { resume(); }).code(), ErrorCode::invalid_argument);
}

/// From the third part on a part takes until somebody stops it.
class HangingStore final : public ObjectStoreLayer {
 public:
  using ObjectStoreLayer::ObjectStoreLayer;
  ObjectPart put_part(std::string_view name, std::string_view upload_id, std::uint32_t number, ByteView body,
                      const CallOptions& call) override {
    if (number < 3) return ObjectStoreLayer::put_part(name, upload_id, number, body, call);
    SequencePoint stopped;
    const std::stop_callback wake(call.stop, [&] { stopped.open(); });
    hanging.open();
    stopped.arrive();
    throw Error(ErrorCode::cancelled, "stopped", "repeat it");
  }
  SequencePoint hanging;
};

TEST_F(MultipartUploaderTest, AbortStopsWhatRunsAndLeavesNothing) {
  const auto hanging = std::make_shared<HangingStore>(memory_);
  MultipartUploader uploader(hanging, sessions_, {.clock = clock_, .random = seeded_random(1)});
  std::optional<ErrorCode> thrown;
  std::jthread uploading([&] {
    thrown = error_of([&] {
               uploader.upload("object", source_, {.part_size = kPart, .concurrency = 2, .upload_id = "one"});
             }).code();
  });
  hanging->hanging.arrive();
  EXPECT_EQ(error_of([&] { uploader.resume("one", source_); }).code(), ErrorCode::locked);
  EXPECT_EQ(uploader.clean_up(std::chrono::hours{0}).aborted_uploads, 0U) << "it is being sent";
  EXPECT_TRUE(uploader.abort("one"));
  uploading.join();
  EXPECT_EQ(thrown, ErrorCode::cancelled);
  EXPECT_EQ(uploader.status("one")->state, MultipartUploadState::aborted);
  EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
  EXPECT_FALSE(memory_->head("object"));
  EXPECT_FALSE(uploader.abort("one"));
  EXPECT_FALSE(uploader.abort("unheard of"));
}

/// A part arrives after the abort, as at a store that is not told apart from its slowest node.
class LatePartStore final : public ObjectStoreLayer {
 public:
  using ObjectStoreLayer::ObjectStoreLayer;
  std::optional<ObjectPartPage> list_parts(std::string_view name, std::string_view upload_id,
                                           std::uint32_t after, std::size_t limit,
                                           const CallOptions& call) override {
    if (late-- > 0) return ObjectPartPage{.parts = {{1, 1, "late"}}};
    return ObjectStoreLayer::list_parts(name, upload_id, after, limit, call);
  }
  void abort_multipart(std::string_view name, std::string_view upload_id, const CallOptions& call) override {
    ++aborts;
    ObjectStoreLayer::abort_multipart(name, upload_id, call);
  }
  std::atomic<int> late = 0;
  int aborts = 0;
};

TEST_F(MultipartUploaderTest, AbortsAgainUntilTheStoreListsNothing) {
  faulty_->fail_nth(ObjectOperation::put_part, 3, FaultPoint::before);
  error_of([&] { upload({.concurrency = 1}); });
  const auto late = std::make_shared<LatePartStore>(memory_);
  MultipartUploader uploader(late, sessions_, {.clock = clock_, .random = seeded_random(1)});
  late->late = 2;
  EXPECT_TRUE(uploader.abort("one"));
  EXPECT_EQ(late->aborts, 3);
}

TEST_F(MultipartUploaderTest, CleaningUpForgetsEndedOnesAbortsOldOnesAndReportsStrangers) {
  upload({.upload_id = "done"});
  faulty_->fail_nth(ObjectOperation::put_part, 3, FaultPoint::before);
  error_of([&] { upload({.upload_id = "left"}); });
  const std::string stranger = memory_->begin_multipart("prefix/stranger", kPart);
  memory_->begin_multipart("elsewhere", kPart);
  const auto day = std::chrono::hours{24};
  EXPECT_EQ(uploader_.clean_up(day).removed_sessions, 0U);
  clock_->advance(2 * day);
  // The memory store has the system's time: what it began lies years ahead of the simulated one.
  clock_->set_wall_time(system_clock()->now() + 2 * day);
  const UploadCleanup result = uploader_.clean_up(day, "prefix/");
  EXPECT_EQ(result.removed_sessions, 1U);
  EXPECT_EQ(result.aborted_uploads, 1U);
  EXPECT_EQ(result.failed, 0U);
  ASSERT_EQ(result.unknown.size(), 1U);
  EXPECT_EQ(result.unknown[0].upload_id, stranger);
  EXPECT_FALSE(uploader_.status("done"));
  EXPECT_EQ(uploader_.status("left")->state, MultipartUploadState::aborted);
  EXPECT_EQ(memory_->list_multipart("object", {}, 10).uploads.size(), 0U);
}

TEST_F(MultipartUploaderTest, RefusesWhatCannotBe) {
  EXPECT_EQ(error_of([&] { upload({.concurrency = 0}); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { upload({.upload_id = "a/b"}); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { resume(); }).code(), ErrorCode::invalid_argument);
  upload();
  EXPECT_EQ(error_of([&] { upload(); }).code(), ErrorCode::conflict);
  EXPECT_EQ(uploader_.list().size(), 1U);
}

TEST(PartSize, GrowsSoThatTheRulesHold) {
  const PartRules s3;
  EXPECT_EQ(cold::choose_part_size(1, 8_MiB, s3), 8_MiB);
  EXPECT_EQ(cold::choose_part_size(80'000_MiB, 8_MiB, s3), 8_MiB);
  EXPECT_EQ(cold::choose_part_size(80'000_MiB + 1, 8_MiB, s3), 9_MiB);
  for (const std::uint64_t size : {100'000'000'000ULL, 5ULL << 40, 4'999'999'999'999ULL}) {
    const std::uint64_t part = cold::choose_part_size(size, 8_MiB, s3);
    EXPECT_LE((size + part - 1) / part, s3.max_parts);
    EXPECT_LE(part, s3.max_part_size);
  }
  EXPECT_EQ(error_of([&] { (void)cold::choose_part_size(1, 5_MiB - 1, s3); }).code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { (void)cold::choose_part_size(1, 6_GiB, s3); }).code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { (void)cold::choose_part_size((5ULL << 40) + 1, 8_MiB, s3); }).code(),
            ErrorCode::too_large);
}

TEST(MultipartUploaderFaults, WhateverFailsARepetitionEndsWithTheWholeObject) {
  const Bytes content = content_of(kSize);
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const auto memory = objects::make_memory_object_store();
    const auto faulty = std::make_shared<FaultObjectStore>(memory, seed);
    for (std::size_t operation = 0; operation < kObjectOperations; ++operation) {
      faulty->fail_with_probability(static_cast<ObjectOperation>(operation), 0.08);
    }
    MultipartUploader uploader(faulty, std::make_shared<InMemorySessionStore>(),
                               {.random = seeded_random(seed)});
    bool done = false;
    for (int attempt = 0; attempt < 200 && !done; ++attempt) {
      try {
        if (uploader.status("one")) {
          uploader.resume("one", ByteSource::bytes(content), {.concurrency = 3});
        } else {
          uploader.upload("object", ByteSource::bytes(content),
                          {.part_size = kPart, .concurrency = 3, .upload_id = "one"});
        }
        done = true;
      } catch (const Error& error) {
        EXPECT_TRUE(error.retryable()) << error.what() << ", seed " << seed;
      }
    }
    ASSERT_TRUE(done) << "seed " << seed;
    EXPECT_TRUE(*memory->get("object", kSize + 1) == content) << "seed " << seed;
    // A begin whose answer was lost leaves an upload that no session knows: those alone may be left.
    faulty->clear_faults();
    for (const PendingUpload& left : memory->list_multipart("", {}, 100).uploads) {
      EXPECT_NE(left.upload_id, uploader.status("one")->store_upload_id) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace db4::testing
