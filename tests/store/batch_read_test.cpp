// read_batch: what lies together in cold comes by one request, and each document as read() would give it.
#include "objects/object_stores.hpp"
#include "support/fault_object_store.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>

#include <thread>

namespace db4::testing {
namespace {

using namespace db4::literals;
using ::testing::HasSubstr;

constexpr std::size_t kDocuments = 300;

class BatchReadTest : public ::testing::Test {
 protected:
  void open(WarmConfig warm = {.max_size = 0}, PromoteOnRead promote = false) {
    store_ = std::make_unique<TieredStore>(
        TieredStoreConfig{.hot = {.type = HotType::memory},
                          .warm = warm,
                          .cold = {.compression = Compression::none,
                                   .segment_size = 128_KiB,
                                   .max_attempts = 1,
                                   .max_requests_in_flight = 0},
                          .tiering = {.promote_on_read = promote, .interval = 0ms}},
        Components{.clock = clock_, .object_store = objects_});
  }
  static std::string id_of(std::size_t i) { return std::to_string(1000 + i); }
  static std::string body_of(std::size_t i) { return std::string(1000, 'a') + std::to_string(i); }
  /// In order, three segments of some hundred.
  void fill() {
    std::vector<BatchItem> items;
    for (std::size_t i = 0; i < kDocuments; ++i) {
      items.push_back({.id = id_of(i), .body = body_of(i), .content_type = "text/plain"});
    }
    store_->write_batch("c", items, {.tier = StorageTier::cold});
  }
  std::uint64_t gets() { return store_->cold_storage().stats().get_requests; }

  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  const std::shared_ptr<ObjectStore> memory_ = objects::make_memory_object_store();
  const std::shared_ptr<FaultObjectStore> objects_ = std::make_shared<FaultObjectStore>(memory_);
  std::unique_ptr<TieredStore> store_;
};

TEST_F(BatchReadTest, NeighboursComeByOneRequest) {
  open();
  fill();
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < 50; ++i) ids.push_back(id_of(i));
  const std::uint64_t before = gets();
  const auto documents = store_->read_batch("c", ids);
  EXPECT_EQ(gets() - before, 1U);
  ASSERT_EQ(documents.size(), ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ASSERT_TRUE(documents[i]);
    EXPECT_EQ(documents[i]->id(), ids[i]);
    EXPECT_EQ(documents[i]->text(), body_of(i));
    EXPECT_EQ(documents[i]->served_from(), StorageTier::cold);
  }
  EXPECT_EQ(store_->stats().cold.hits, 50U);
}

TEST_F(BatchReadTest, TheOrderIsTheCallersWhateverItIs) {
  open();
  fill();
  store_->write_bytes("c", "hot", as_bytes(std::string_view("warm hands")));
  const std::vector<std::string> ids = {id_of(200), "nobody", id_of(3),  "hot",
                                        id_of(200), id_of(2), id_of(299)};
  const auto documents = store_->read_batch("c", ids);
  ASSERT_EQ(documents.size(), ids.size());
  EXPECT_EQ(documents[0]->text(), body_of(200));
  EXPECT_FALSE(documents[1]);
  EXPECT_EQ(documents[2]->text(), body_of(3));
  EXPECT_EQ(documents[3]->text(), "warm hands");
  EXPECT_EQ(documents[4]->text(), body_of(200));
  EXPECT_EQ(documents[5]->text(), body_of(2));
  EXPECT_EQ(documents[6]->text(), body_of(299));
}

TEST_F(BatchReadTest, FarApartTheyComeByRequestsOfTheirOwn) {
  open();
  fill();  // 0 and 80 lie 80 KiB apart in one segment
  const std::uint64_t before = gets();
  EXPECT_TRUE(store_->read_batch("c", {id_of(0), id_of(80), id_of(299)})[2]);
  EXPECT_EQ(gets() - before, 3U);
}

TEST_F(BatchReadTest, WarmCopiesAreNotFetched) {
  open({.max_size = 10_MiB}, false);
  fill();
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < 20; ++i) ids.push_back(id_of(i));
  store_->read_batch("c", ids);
  const std::uint64_t before = gets();
  const auto documents = store_->read_batch("c", ids);
  EXPECT_EQ(gets(), before);
  EXPECT_EQ(documents[7]->served_from(), StorageTier::warm);
}

TEST_F(BatchReadTest, ReadsPromoteAndCountAsSingleOnesDo) {
  open({.max_size = 0}, true);
  fill();
  const auto first = store_->read_batch("c", {id_of(1), id_of(2), id_of(1)});
  EXPECT_EQ(first[0]->meta().tier, StorageTier::hot);
  EXPECT_EQ(first[2]->meta().access_count, 2U);
  EXPECT_EQ(store_->get_tier("c", id_of(2)), StorageTier::hot);
  EXPECT_EQ(store_->get_tier("c", id_of(3)), StorageTier::cold);
}

TEST_F(BatchReadTest, ADamagedRecordIsToldAsASingleReadTellsIt) {
  open();
  fill();
  const ObjectInfo segment = memory_->list("", "", 10).objects.at(0);
  Bytes bytes = memory_->get(segment.name, 1_MiB).value();
  for (std::size_t i = 2000; i < 2010; ++i) bytes.at(i) ^= std::byte{0xff};  // the second record or so
  memory_->put(segment.name, bytes);
  std::vector<std::string> whole;
  std::vector<std::string> damaged;
  for (std::size_t i = 0; i < kDocuments; ++i) {
    try {
      ASSERT_TRUE(store_->read("c", id_of(i)));
      whole.push_back(id_of(i));
    } catch (const Error& error) {
      damaged.push_back(id_of(i));
    }
  }
  ASSERT_EQ(damaged.size(), 1U);
  EXPECT_EQ(store_->read_batch("c", whole).size(), kDocuments - 1);
  try {
    store_->read_batch("c", {whole[0], damaged[0], whole[1]});
    ADD_FAILURE() << "it must not be served";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::corrupt);
    EXPECT_THAT(error.what(), HasSubstr(damaged[0]));
  }
}

TEST_F(BatchReadTest, AStoreThatIsAwayIsToldOnce) {
  open();
  fill();
  objects_->fail_all();
  const std::uint64_t before = gets();
  try {
    store_->read_batch("c", {id_of(0), id_of(1), id_of(150), id_of(299)});
    ADD_FAILURE() << "it is away";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
  }
  EXPECT_LE(gets() - before, 4U) << "three groups at most, and the first document again";
  objects_->clear_faults();
  EXPECT_TRUE(store_->read_batch("c", {id_of(0)})[0]);
}

TEST_F(BatchReadTest, AnAnswerCutShortIsAskedForAgain) {
  open();
  fill();
  objects_->script(ObjectOperation::get_range, {FaultPoint::truncated});
  const auto documents = store_->read_batch("c", {id_of(0), id_of(1), id_of(2), id_of(3)});
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(documents[i].value().text(), body_of(i));
}

TEST_F(BatchReadTest, WhatIsReplacedOrRemovedMeanwhileIsReadAnew) {
  open();
  fill();
  bool done = false;
  objects_->set_hook([&](ObjectOperation operation, std::string_view) {
    if (operation != ObjectOperation::get_range || std::exchange(done, true)) return;
    store_->write_bytes("c", id_of(1), as_bytes(std::string_view("newer")));
    store_->remove("c", id_of(2));
  });
  const auto documents = store_->read_batch("c", {id_of(0), id_of(1), id_of(2)});
  EXPECT_EQ(documents[0]->text(), body_of(0));
  EXPECT_EQ(documents[1]->text(), "newer");
  EXPECT_FALSE(documents[2]);
}

TEST_F(BatchReadTest, ManyAtOnceGetWhatTheyAskFor) {
  open();
  fill();
  std::vector<std::jthread> readers;
  for (std::size_t thread = 0; thread < 4; ++thread) {
    readers.emplace_back([this, thread] {
      for (std::size_t round = 0; round < 10; ++round) {
        std::vector<std::string> ids;
        for (std::size_t i = thread; i < kDocuments; i += 7) ids.push_back(id_of(i));
        const auto documents = store_->read_batch("c", ids);
        for (std::size_t i = 0; i < ids.size(); ++i) {
          EXPECT_EQ(documents[i].value().text(), body_of(thread + 7 * i));
        }
      }
    });
  }
}

}  // namespace
}  // namespace db4::testing
