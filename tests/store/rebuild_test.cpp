// The catalogue made anew from cold objects: everything that was cold comes back, and what cannot be vouched
// for is told.
#include "cold/upload_fixtures.hpp"
#include "objects/object_stores.hpp"
#include "support/audit.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/rebuild.hpp>
#include <db4/storage.hpp>

#include <gmock/gmock.h>

#include <map>

namespace db4::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class RebuildTest : public ::testing::Test {
 protected:
  RebuildTest() { open(); }

  TieredStoreConfig config() const {
    return {.hot = {.type = kDiskEngine, .path = folder_.path() / "hot", .durability = Durability::process},
            .cold = {.prefix = "shop/", .pack_below = 2000},
            .tiering = {.interval = 0ms}};
  }
  Components components() const { return {.clock = clock_, .object_store = memory_}; }
  void open() {
    store_.reset();
    store_ = std::make_unique<TieredStore>(config(), components());
  }
  void lose_hot() {
    store_.reset();
    fs::remove_all(folder_.path() / "hot");
  }
  RebuildResult rebuild(const RebuildOptions& options = {}) {
    return rebuild_catalog(config(), options, components());
  }

  void write(const std::string& id, const std::string& text) {
    store_->write_json_text("c", id, "\"" + text + "\"");
    expected_[id] = "\"" + text + "\"";
  }
  /// Small documents that share segments, larger ones that are objects of their own.
  void fill(int documents) {
    for (int i = 0; i < documents; ++i) {
      // Not to be compressed below pack_below.
      std::string text(i % 10 == 0 ? 6000 : 50, 'x');
      std::mt19937_64 random(static_cast<std::uint64_t>(i));
      for (char& c : text) c = static_cast<char>('A' + random() % 26);
      write("id-" + std::to_string(i), text);
    }
  }
  void demote_all() {
    clock_->advance(48h);
    while (store_->run_tiering().demoted > 0) {
    }
  }
  void expect_all() {
    for (const auto& [id, text] : expected_) {
      const auto document = store_->read("c", id, {.promote = false});
      ASSERT_TRUE(document) << id;
      EXPECT_EQ(document->text(), text);
    }
    store_->close();
    const AuditReport report = audit_closed_store(kDiskEngine, folder_.path() / "hot", *memory_);
    EXPECT_TRUE(report.clean()) << report;
    open();
  }
  std::vector<ObjectInfo> objects() const { return memory_->list("", "", 1000).objects; }
  /// As the names of its objects say.
  std::string store_id() const { return objects().at(0).name.substr(5, 16); }
  ObjectInfo segment() const {
    for (const ObjectInfo& object : objects()) {
      if (object.name.find("segment.") != std::string::npos) return object;
    }
    ADD_FAILURE() << "there is no segment";
    return {};
  }

  const TemporaryFolder folder_;
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  const std::shared_ptr<ObjectStore> memory_ = objects::make_memory_object_store();
  std::unique_ptr<TieredStore> store_;
  std::map<std::string, std::string> expected_;
};

TEST_F(RebuildTest, EverythingThatWasColdComesBack) {
  fill(300);
  demote_all();
  const Bytes large = content_of(1'000'000);
  store_->cold_storage().write_large("c", "large", ByteSource::bytes(large), {.part_size = 400'000});
  const std::string id = store_id();
  const DocumentMeta before = store_->scan("c", {.prefix = "id-7"}).items.at(0).meta;
  lose_hot();

  std::uint64_t last = 0;
  const RebuildResult result =
      rebuild({.verify_large = true, .on_progress = [&](const RebuildProgress& p) { last = p.objects; }});
  EXPECT_EQ(result.store_id, id);
  EXPECT_EQ(result.documents, 301U);
  EXPECT_EQ(result.objects, objects().size());
  EXPECT_EQ(last, result.objects);
  EXPECT_GE(result.segments, 1U);
  EXPECT_EQ(result.damaged, 0U);
  EXPECT_TRUE(result.doubts.empty());
  open();
  expect_all();
  const DocumentMeta after = store_->scan("c", {.prefix = "id-7"}).items.at(0).meta;
  EXPECT_EQ(after.version, before.version);
  EXPECT_EQ(after.created_at, before.created_at);
  EXPECT_EQ(after.updated_at, before.updated_at);
  EXPECT_EQ(after.content_type, before.content_type);
  EXPECT_EQ(after.size, before.size);
  Bytes got;
  store_->cold_storage().read_large(
      "c", "large", [&](ByteView bytes) { got.insert(got.end(), bytes.begin(), bytes.end()); });
  EXPECT_TRUE(got == large);
}

TEST_F(RebuildTest, TheStoreGoesOnAboveEveryVersionThatWas) {
  fill(5);
  demote_all();
  for (int i = 0; i < 40; ++i) store_->write_json_text("c", "only-hot", "1");
  lose_hot();
  rebuild();
  open();
  EXPECT_FALSE(store_->read("c", "only-hot"));
  EXPECT_GT(store_->write_json_text("c", "only-hot", "2").version, 40U);
  expect_all();
  demote_all();
  expect_all();
}

TEST_F(RebuildTest, OfSeveralCopiesTheNewestWholeOneIsTaken) {
  fill(30);
  demote_all();
  write("id-3", "newer, and in a segment of its own with others");
  write("id-4", "newer too");
  write("id-10", std::string(5000, 'n'));
  demote_all();
  lose_hot();
  const RebuildResult result = rebuild();
  EXPECT_EQ(result.documents, 30U);
  EXPECT_GE(result.older_copies, 2U);
  open();
  expect_all();
  clock_->advance(8 * 24h);  // older copies stay a week
  store_->cold_storage().collect_garbage();
  store_->cold_storage().collect_garbage();
  expect_all();
}

TEST_F(RebuildTest, DamagedCopiesAreLeftOutAndNamed) {
  fill(30);
  demote_all();
  const ObjectInfo object = segment();
  Bytes bytes = *memory_->get(object.name, object.size);
  bytes[bytes.size() / 3] ^= std::byte{1};
  memory_->put(object.name, bytes);
  lose_hot();
  const RebuildResult result = rebuild();
  EXPECT_EQ(result.damaged, 1U);
  EXPECT_EQ(result.documents, 29U);
  ASSERT_EQ(result.doubts.size(), 1U);
  EXPECT_EQ(result.doubts[0].object, object.name);
  EXPECT_EQ(result.doubts[0].collection, "c");
  EXPECT_THAT(result.doubts[0].what, HasSubstr("left out"));
  EXPECT_EQ(expected_.erase(result.doubts[0].id), 1U);
  open();
  expect_all();
}

TEST_F(RebuildTest, ASegmentWithoutAnIndexGivesItsRecords) {
  fill(30);
  demote_all();
  const ObjectInfo object = segment();
  Bytes bytes = *memory_->get(object.name, object.size);
  bytes.back() ^= std::byte{1};
  memory_->put(object.name, bytes);
  lose_hot();
  const RebuildResult result = rebuild();
  EXPECT_EQ(result.documents, 30U);
  EXPECT_EQ(result.doubts_in_all, 1U);
  EXPECT_THAT(result.doubts.at(0).what, HasSubstr("one by one"));
  open();
  expect_all();
}

TEST_F(RebuildTest, StrangersAreLeftAloneAndTold) {
  fill(20);
  demote_all();
  const std::string prefix = "shop/" + store_id() + "/";
  memory_->put(prefix + "00/readme.txt", as_bytes("hello"));
  memory_->begin_multipart(prefix + "00/unfinished", 1000);
  memory_->put("shop/elsewhere", as_bytes("x"));
  lose_hot();
  const RebuildResult result = rebuild();
  EXPECT_EQ(result.unknown, 1U);
  EXPECT_EQ(result.doubts_in_all, 2U);
  EXPECT_EQ(result.documents, 20U);
  EXPECT_TRUE(memory_->head(prefix + "00/readme.txt"));
  memory_->remove(prefix + "00/readme.txt");
  memory_->remove("shop/elsewhere");
  open();
  expect_all();
}

TEST_F(RebuildTest, RefusesWhatItShouldNotTouch) {
  fill(20);
  demote_all();
  const auto refused = [&](const RebuildOptions& options) {
    const Error error = error_of([&] { rebuild(options); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_FALSE(fs::exists(folder_.path() / "hot.rebuilding"));
    return std::string(error.what());
  };
  store_->close();
  EXPECT_THAT(refused({}), HasSubstr("is not empty"));
  const std::string id = store_id();
  lose_hot();
  EXPECT_THAT(refused({.store_id = "nonsense"}), HasSubstr("16 hex digits"));
  EXPECT_THAT(refused({.store_id = "0123456789abcdef"}), HasSubstr("no object"));
  memory_->put("shop/0123456789abcdef/00/x", as_bytes("of another store"));
  EXPECT_THAT(refused({}), HasSubstr("several stores"));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(error_of([&] { rebuild({.store_id = id, .stop = stop.get_token()}); }).code(),
            ErrorCode::cancelled);
  EXPECT_FALSE(fs::exists(folder_.path() / "hot"));
  EXPECT_FALSE(fs::exists(folder_.path() / "hot.rebuilding"));
  EXPECT_EQ(rebuild({.store_id = id}).documents, 20U);
  memory_->remove("shop/0123456789abcdef/00/x");
  open();
  expect_all();
}

TEST(RebuildOfNothing, SaysWhereItLooked) {
  const TemporaryFolder folder;
  const Error error = error_of([&] {
    rebuild_catalog({.hot = {.path = folder.path() / "hot"}, .cold = {.path = folder.path() / "cold"}});
  });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("cold.path"));
}

}  // namespace
}  // namespace db4::testing
