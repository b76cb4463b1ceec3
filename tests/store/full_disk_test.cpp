// A disk or bucket that is full: a clear error, nothing left behind that nobody names, and the next try ends
// well.
#include "cold/upload_fixtures.hpp"
#include "objects/object_stores.hpp"
#include "support/audit.hpp"
#include "support/fault_object_store.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/rebuild.hpp>
#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

namespace db4::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::size_t kSamples = 200;

class FullDiskTest : public ::testing::Test {
 protected:
  FullDiskTest() { open(); }

  TieredStoreConfig config() const {
    return {.hot = {.type = kDiskEngine, .path = folder_.path() / "hot", .durability = Durability::process},
            .warm = {.max_size = 0},
            .cold = {.prefix = "shop/", .dictionary_samples = kSamples, .max_attempts = 1},
            .tiering = {.promote_on_read = false, .interval = 0ms},
            .live = {.enabled = false}};
  }
  Components components() const { return {.clock = clock_, .object_store = faulty_}; }
  void open() {
    store_.reset();
    store_ = std::make_unique<TieredStore>(config(), components());
  }
  /// Of the store, closed for it and opened again.
  void expect_sound() {
    store_->close();
    store_.reset();
    const AuditReport report = audit_closed_store(kDiskEngine, folder_.path() / "hot", *memory_);
    EXPECT_TRUE(report.clean()) << report;
    open();
  }
  void collect_all() {
    clock_->advance(24h * 30);
    while (store_->cold_storage().collect_garbage().more) {
    }
  }
  std::size_t objects() const { return memory_->list("", "", 1000).objects.size(); }

  static std::string order(std::size_t i) {
    return R"({"customer":"customer )" + std::to_string(i % 97) + R"(","newsletter":false,"order":)" +
           std::to_string(i * 7919) + R"(,"currency":"EUR","city":"Berlin","country":"DE"})";
  }
  void write_orders(std::size_t from, std::size_t until) {
    for (std::size_t i = from; i < until; ++i) store_->write_json_text("orders", std::to_string(i), order(i));
  }
  TieringResult demote_all() {
    clock_->advance(48h);
    return store_->run_tiering();
  }
  void expect_orders(std::size_t until) {
    for (std::size_t i = 0; i < until; ++i)
      ASSERT_EQ(store_->read("orders", std::to_string(i))->text(), order(i));
  }

  const TemporaryFolder folder_;
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>(system_clock()->now());
  const std::shared_ptr<ObjectStore> memory_ = objects::make_memory_object_store();
  const std::shared_ptr<FaultObjectStore> faulty_ = std::make_shared<FaultObjectStore>(memory_);
  std::unique_ptr<TieredStore> store_;
};

TEST_F(FullDiskTest, AnUploadIsKeptAndResumed) {
  const Bytes content = content_of(2'000'003);
  for (const ObjectOperation operation :
       {ObjectOperation::begin_multipart, ObjectOperation::put_part, ObjectOperation::complete_multipart}) {
    for (const FaultPoint point : {FaultPoint::before, FaultPoint::after}) {
      SCOPED_TRACE(std::string(to_string(operation)) +
                   (point == FaultPoint::before ? ", before" : ", after"));
      const std::uint64_t nth = operation == ObjectOperation::put_part ? 3 : 1;
      faulty_->fail_nth(operation, nth, point, ErrorCode::resource_exhausted);
      const std::string id =
          "u-" + std::string(to_string(operation)) + std::to_string(static_cast<int>(point));
      const Error error = error_of([&] {
        store_->cold_storage().write_large("videos", id, ByteSource::bytes(content),
                                           {.part_size = 300'000, .concurrency = 2, .upload_id = id});
      });
      EXPECT_EQ(error.code(), ErrorCode::resource_exhausted);
      EXPECT_EQ(error.upload_id(), id);
      EXPECT_FALSE(store_->read("videos", id));
      expect_sound();
      const auto session = store_->cold_storage().get_upload_status(id);
      ASSERT_TRUE(session);
      EXPECT_EQ(session->state, MultipartUploadState::failed);
      EXPECT_THAT(session->error, HasSubstr("injected"));
      // What was begun is the session's, by its id or by its name, which no other ever has.
      for (const PendingUpload& pending : memory_->list_multipart("", {}, 10).uploads) {
        EXPECT_EQ(pending.name, session->object);
      }
      store_->cold_storage().resume_upload(id, ByteSource::bytes(content));
      EXPECT_TRUE(std::ranges::equal(store_->read("videos", id)->bytes(), content));
      EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
      expect_sound();
    }
  }
  collect_all();
  EXPECT_EQ(objects(), 6U) << "one for each document";
}

TEST_F(FullDiskTest, AnUploadThatIsGivenUpLeavesNothing) {
  faulty_->fail_nth(ObjectOperation::put_part, 3, FaultPoint::after, ErrorCode::resource_exhausted);
  error_of([&] {
    store_->cold_storage().write_large("videos", "v", ByteSource::bytes(content_of(2'000'003)),
                                       {.part_size = 300'000, .upload_id = "one"});
  });
  EXPECT_TRUE(store_->cold_storage().abort_upload("one"));
  EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
  expect_sound();
  EXPECT_EQ(objects(), 0U);
}

TEST_F(FullDiskTest, ADictionaryIsTrainedAnotherTime) {
  std::size_t written = 0;
  for (const FaultPoint point : {FaultPoint::before, FaultPoint::after}) {
    write_orders(written, written + kSamples);
    written += kSamples;
    // The segment, then the dictionary.
    faulty_->script(ObjectOperation::put, {FaultPoint::none, point}, ErrorCode::resource_exhausted);
    const TieringResult result = demote_all();
    EXPECT_EQ(result.demoted, kSamples) << "documents do not wait for dictionaries";
    EXPECT_EQ(result.trained_dictionaries, 0U);
    ASSERT_EQ(result.errors.size(), 1U);
    EXPECT_THAT(result.errors[0], HasSubstr("dictionaries: an injected fault"));
    expect_sound();
  }
  write_orders(written, written + kSamples);
  const TieringResult result = demote_all();
  EXPECT_TRUE(result.errors.empty());
  EXPECT_EQ(result.trained_dictionaries, 1U);
  expect_orders(written + kSamples);
  collect_all();
  EXPECT_EQ(objects(), 4U) << "three segments and the dictionary";
  expect_sound();
}

/// Writing past `bytes` of a file fails in this process, as on a disk that is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_F(FullDiskTest, ARebuildLeavesNothingAndIsBegunAnew) {
  write_orders(0, 3 * kSamples);
  demote_all();
  const std::size_t before = objects();
  store_->close();
  store_.reset();
  fs::remove_all(folder_.path() / "hot");
  const auto failed = [&](std::string_view what) {
    const Error error = error_of([&] { rebuild_catalog(config(), {}, components()); });
    EXPECT_NE(error.code(), ErrorCode::internal) << what;
    EXPECT_FALSE(error.advice().empty()) << what;
    EXPECT_THAT(error.what(), HasSubstr("rebuild")) << what;
    EXPECT_FALSE(fs::exists(folder_.path() / "hot")) << what;
    EXPECT_FALSE(fs::exists(folder_.path() / "hot.rebuilding")) << what;
    EXPECT_EQ(objects(), before) << what;
    return error;
  };
  {
    const FileSizeLimit limit(64 << 10);
    failed("its catalogue cannot be written");
  }
  faulty_->fail_nth(ObjectOperation::get_range, 2, FaultPoint::before, ErrorCode::resource_exhausted);
  EXPECT_EQ(failed("an object cannot be read").code(), ErrorCode::resource_exhausted);
  faulty_->fail_nth(ObjectOperation::list, 1, FaultPoint::before, ErrorCode::resource_exhausted);
  EXPECT_EQ(failed("nothing can be listed").code(), ErrorCode::resource_exhausted);

  EXPECT_EQ(rebuild_catalog(config(), {}, components()).documents, 3 * kSamples);
  open();
  expect_orders(3 * kSamples);
  expect_sound();
}

}  // namespace
}  // namespace db4::testing
