// Garbage that only a listing finds: objects that nothing in the catalogue names.
#include "cold/upload_fixtures.hpp"
#include "objects/object_stores.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace db4 {
namespace {

using testing::content_of;
using testing::error_of;

/// Objects are as old as the simulated clock says.
class DatedObjects final : public ObjectStoreLayer {
 public:
  explicit DatedObjects(std::shared_ptr<Clock> clock)
      : ObjectStoreLayer(objects::make_memory_object_store()), clock_(std::move(clock)) {}
  using ObjectStoreLayer::list, ObjectStoreLayer::put;
  PutResult put(std::string_view name, ByteView body, const PutOptions& options) override {
    times_[std::string(name)] = clock_->now();
    return ObjectStoreLayer::put(name, body, options);
  }
  ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                  const CallOptions& call) override {
    if (before_list) before_list();
    ObjectPage page = ObjectStoreLayer::list(prefix, after, limit, call);
    // What was made in parts is dated by its beginning, as S3 does it: long ago.
    for (ObjectInfo& info : page.objects) {
      const auto time = times_.find(info.name);
      info.modified = time == times_.end() ? TimePoint{} : time->second;
    }
    return page;
  }
  std::function<void()> before_list;

 private:
  std::shared_ptr<Clock> clock_;
  std::map<std::string, TimePoint> times_;
};

class ListingGarbageTest : public ::testing::Test {
 protected:
  ListingGarbageTest() { open(); }
  void open() {
    store_.reset();
    store_ = std::make_unique<TieredStore>(
        TieredStoreConfig{.hot = {.type = HotType::memory},
                          .cold = {.prefix = "data/", .pack_below = 100, .readable_names = true},
                          .tiering = {.interval = 0ms}},
        Components{.clock = clock_, .object_store = objects_, .bare_object_store = true});
  }
  std::string own(std::string_view rest) { return "data/" + store_->info().id + "/" + std::string(rest); }
  /// A name of the form that documents' objects have.
  std::string stray(int number) {
    return own("ab/ab" + std::string(62, '0') + ".000000000000000" + std::to_string(number) +
               ".0123456789abcdef");
  }
  void put(const std::string& name, std::size_t size = 10) { objects_->put(name, content_of(size)); }
  ListingGarbageResult collect(const ListingGarbageOptions& options = {}) {
    return store_->cold_storage().collect_by_listing(options);
  }
  void write_documents() {
    for (int i = 0; i < 30; ++i) {
      store_->write_bytes("big", std::to_string(i), content_of(500), {.tier = StorageTier::cold});
      store_->write_bytes("small", std::to_string(i), content_of(8));
    }
    clock_->advance(25h);
    store_->run_tiering();  // into segments
  }
  void expect_all_there() {
    for (int i = 0; i < 30; ++i) {
      EXPECT_TRUE(store_->read("big", std::to_string(i), {.promote = false}));
      EXPECT_TRUE(store_->read("small", std::to_string(i), {.promote = false}));
    }
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<DatedObjects> objects_ = std::make_shared<DatedObjects>(clock_);
  std::unique_ptr<TieredStore> store_;
};

TEST_F(ListingGarbageTest, WhatNothingNamesIsFoundAndDeletedOnlyWhenAsked) {
  write_documents();
  put(stray(1), 20);
  clock_->advance(8 * 24h);
  const ListingGarbageResult found = collect();
  EXPECT_EQ(found.unnamed_objects, 1U);
  EXPECT_EQ(found.unnamed_bytes, 20U);
  ASSERT_EQ(found.unnamed.size(), 1U);
  EXPECT_EQ(found.unnamed[0].name, stray(1));
  EXPECT_EQ(found.deleted_objects, 0U);
  EXPECT_GE(found.objects, 32U) << "thirty documents, a segment, the stray one";
  EXPECT_TRUE(objects_->head(stray(1)));

  const ListingGarbageResult collected = collect({.remove = true});
  EXPECT_EQ(collected.deleted_objects, 1U);
  EXPECT_EQ(collected.deleted_bytes, 20U);
  EXPECT_FALSE(objects_->head(stray(1)));
  expect_all_there();
  EXPECT_EQ(collect({.remove = true}).unnamed_objects, 0U);
}

TEST_F(ListingGarbageTest, YoungOnesAndThoseOfAnotherFormAreLeftAlone) {
  write_documents();
  for (const char* other : {"notes.txt", "ab/segment.short", "ab/cd", "doctor.0123456789abcdef/written"})
    put(own(other));
  put("data/0000000000000000/ab/somebody else's");
  clock_->advance(6 * 24h);
  put(stray(1));
  clock_->advance(2 * 24h);
  const ListingGarbageResult result = collect({.remove = true});
  EXPECT_EQ(result.young, 1U);
  EXPECT_EQ(result.foreign, 4U);
  EXPECT_EQ(result.unnamed_objects, 0U);
  EXPECT_TRUE(objects_->head(stray(1)));
  EXPECT_TRUE(objects_->head(own("notes.txt")));
  EXPECT_EQ(collect({.remove = true, .min_age = 25h}).deleted_objects, 1U);
}

TEST_F(ListingGarbageTest, MoreThanTheShareIsRefused) {
  write_documents();
  for (int i = 0; i < 9; ++i) put(stray(i));
  clock_->advance(8 * 24h);
  const ListingGarbageResult result = collect({.remove = true});
  EXPECT_TRUE(result.refused);
  EXPECT_EQ(result.deleted_objects, 0U);
  EXPECT_EQ(result.unnamed_objects, 9U);
  EXPECT_TRUE(objects_->head(stray(1)));
  EXPECT_EQ(collect({.remove = true, .max_share = 0.5}).deleted_objects, 9U);
  // Few objects, but most of the bytes.
  put(stray(1), 1'000'000);
  clock_->advance(8 * 24h);
  EXPECT_TRUE(collect({.remove = true, .max_share = 0.5}).refused);
  expect_all_there();
}

TEST_F(ListingGarbageTest, WhatWaitsToBeDeletedOrIsBeingMadeIsNamed) {
  write_documents();
  store_->write_bytes("big", "0", content_of(500, 2), {.tier = StorageTier::cold});  // the old one is garbage
  ColdStorage& cold = store_->cold_storage();
  std::stop_source stop;
  UploadOptions options{.stop = stop.get_token(), .keep_when_stopped = true, .upload_id = "video"};
  options.on_progress = [&](const UploadProgress&) { stop.request_stop(); };
  error_of([&] { cold.write_large("videos", "v", ByteSource::owned(content_of(20'000'000)), options); });
  clock_->advance(8 * 24h);
  EXPECT_EQ(collect({.remove = true}).unnamed_objects, 0U);
  expect_all_there();
}

/// An object of an upload shows as old as the upload's beginning the moment it is complete.
TEST_F(ListingGarbageTest, AnUploadThatEndsMeanwhileIsKept) {
  write_documents();
  int lists = 0;
  objects_->before_list = [&] {
    if (lists++ > 0) return;
    store_->cold_storage().write_large("videos", "v", ByteSource::owned(content_of(6'000'000)));
  };
  EXPECT_EQ(collect({.remove = true, .max_share = 1}).deleted_objects, 0U);
  EXPECT_EQ(lists, 1);
  EXPECT_TRUE(store_->read("videos", "v"));
}

TEST_F(ListingGarbageTest, BoundsThatMakeItUnsafeAreRefused) {
  EXPECT_EQ(error_of([&] { collect({.min_age = 23h}); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { collect({.max_share = 1.5}); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { collect({.max_share = std::nan("")}); }).code(), ErrorCode::invalid_argument);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(error_of([&] { collect({.stop = stop.get_token()}); }).code(), ErrorCode::cancelled);
}

TEST_F(ListingGarbageTest, AnEmptyStoreHasNone) {
  const ListingGarbageResult result = collect({.remove = true});
  EXPECT_EQ(result.objects, 0U);
  EXPECT_FALSE(result.refused);
}

}  // namespace
}  // namespace db4
