// Dictionaries of a store: trained where they pay, named by records, found again whatever happens.
#include "objects/object_stores.hpp"
#include "support/audit.hpp"
#include "support/fault_object_store.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/rebuild.hpp>
#include <db4/storage.hpp>

#include <gmock/gmock.h>

#include <random>

namespace db4::testing {
namespace {

using namespace db4::literals;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::size_t kSamples = 200;

class DictionariesTest : public ::testing::Test {
 protected:
  DictionariesTest() { open(); }
  TieredStoreConfig config() const {
    return {.hot = {.type = kDiskEngine, .path = folder_.path() / "hot", .durability = Durability::process},
            .warm = {.max_size = 0},
            .cold = {.dictionaries = dictionaries_, .dictionary_samples = kSamples, .max_attempts = 1},
            .tiering = {.promote_on_read = false, .interval = 0ms},
            .live = {.enabled = false}};
  }
  Components components() const { return {.clock = clock_, .object_store = objects_}; }
  void open() {
    store_.reset();
    store_ = std::make_unique<TieredStore>(config(), components());
  }
  static std::string order(std::size_t i) {
    return R"({"customer":"customer )" + std::to_string(i % 97) + R"(","newsletter":false,"order":)" +
           std::to_string(i * 7919) + R"(,"status":")" + (i % 3 == 0 ? "shipped" : "open") +
           R"(","currency":"EUR","shipping_address":{"street":"Lindenstrasse )" + std::to_string(i % 31) +
           R"(","city":"Berlin","country":"DE"},"total_cents":)" + std::to_string(i * 31 % 10'000) + "}";
  }
  static std::string noise(std::size_t i) {
    std::string out = "\"";
    std::mt19937_64 random(i);
    while (out.size() < 200) out.push_back(static_cast<char>('A' + random() % 58 % 26 + (random() % 2) * 32));
    return out + '"';
  }
  void write_orders(std::size_t from, std::size_t until, const std::string& collection = "orders") {
    for (std::size_t i = from; i < until; ++i)
      store_->write_json_text(collection, std::to_string(i), order(i));
  }
  TieringResult demote_all() {
    clock_->advance(48h);
    TieringResult result = store_->run_tiering();
    EXPECT_TRUE(result.errors.empty()) << result.errors[0];
    return result;
  }
  /// Of cold, per document of a collection.
  double record_bytes() { return static_cast<double>(store_->cold_storage().stats().record_bytes); }
  std::vector<ObjectInfo> dictionary_objects() const {
    std::vector<ObjectInfo> out;
    for (const ObjectInfo& object : memory_->list("", "", 1000).objects) {
      if (object.name.find("/dictionary/") != std::string::npos) out.push_back(object);
    }
    return out;
  }
  void expect_orders(std::size_t until, const std::string& collection = "orders") {
    for (std::size_t i = 0; i < until; ++i) {
      const auto document = store_->read(collection, std::to_string(i));
      ASSERT_TRUE(document) << i;
      ASSERT_EQ(document->text(), order(i));
    }
  }
  AuditReport audit() {
    store_->close();
    store_.reset();
    return audit_closed_store(kDiskEngine, folder_.path() / "hot", *memory_);
  }
  void expect_sound(std::size_t dictionaries) {
    const AuditReport report = audit();
    EXPECT_TRUE(report.clean()) << report;
    EXPECT_EQ(report.dictionaries, dictionaries);
  }

  bool dictionaries_ = true;
  const TemporaryFolder folder_;
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>(system_clock()->now());
  const std::shared_ptr<ObjectStore> memory_ = objects::make_memory_object_store();
  const std::shared_ptr<FaultObjectStore> objects_ = std::make_shared<FaultObjectStore>(memory_);
  std::unique_ptr<TieredStore> store_;
};

TEST_F(DictionariesTest, ACollectionGetsOneOnceEnoughWasSeen) {
  write_orders(0, kSamples - 1);
  EXPECT_EQ(demote_all().trained_dictionaries, 0U);
  const double plain = record_bytes() / (kSamples - 1);
  write_orders(kSamples - 1, kSamples);
  EXPECT_EQ(demote_all().trained_dictionaries, 1U);
  EXPECT_EQ(dictionary_objects().size(), 1U);
  const double before = record_bytes();
  write_orders(kSamples, 2 * kSamples);
  EXPECT_EQ(demote_all().trained_dictionaries, 0U) << "one is enough";
  EXPECT_LT((record_bytes() - before) / kSamples, 0.8 * plain);
  expect_orders(2 * kSamples);
  expect_sound(1);
  open();
  expect_orders(2 * kSamples);
  write_orders(2 * kSamples, 3 * kSamples);
  EXPECT_EQ(demote_all().trained_dictionaries, 0U) << "the one of before the reopening goes on";
  expect_orders(3 * kSamples);
}

TEST_F(DictionariesTest, WhatHasNothingInCommonGetsNone) {
  for (std::size_t i = 0; i < 2 * kSamples; ++i) {
    store_->write_json_text("noise", std::to_string(i), noise(i));
  }
  EXPECT_EQ(demote_all().trained_dictionaries, 0U);
  EXPECT_TRUE(dictionary_objects().empty());
  expect_sound(0);
}

TEST_F(DictionariesTest, ACollectionHasItsOwn) {
  write_orders(0, kSamples);
  for (std::size_t i = 0; i < kSamples; ++i) {
    store_->write_json_text("events", std::to_string(i),
                            R"({"event":"page view","path":"/products/category/)" + std::to_string(i) +
                                R"(","user_agent":"Mozilla/5.0 X11 Linux x86_64","consent":true})");
  }
  EXPECT_EQ(demote_all().trained_dictionaries, 2U);
  expect_sound(2);
}

TEST_F(DictionariesTest, TwoCollectionsOfTheSameContentShareOne) {
  write_orders(0, kSamples, "a");
  write_orders(0, kSamples, "b");
  EXPECT_EQ(demote_all().trained_dictionaries, 2U);
  EXPECT_EQ(dictionary_objects().size(), 1U);
  expect_sound(1);
}

TEST_F(DictionariesTest, SwitchedOffNoneIsMadeAndOldOnesAreStillRead) {
  write_orders(0, kSamples);
  demote_all();
  write_orders(kSamples, kSamples + 50);
  demote_all();
  dictionaries_ = false;
  open();
  const double before = record_bytes();
  write_orders(kSamples + 50, kSamples + 100);
  demote_all();
  EXPECT_GT(record_bytes() - before, 50 * 150.0) << "plain again";
  expect_orders(kSamples + 100);
  expect_sound(1);
}

TEST_F(DictionariesTest, AStoreThatIsAwayIsToldAndNothingIsLost) {
  write_orders(0, kSamples);
  clock_->advance(48h);
  objects_->script(ObjectOperation::put,
                   {FaultPoint::none, FaultPoint::before});  // the segment; the dictionary
  const TieringResult result = store_->run_tiering();
  EXPECT_EQ(result.demoted, kSamples);
  EXPECT_EQ(result.trained_dictionaries, 0U);
  ASSERT_EQ(result.errors.size(), 1U);
  EXPECT_THAT(result.errors[0], HasSubstr("dictionaries: "));
  // The samples are gathered anew.
  write_orders(kSamples, 2 * kSamples);
  EXPECT_EQ(demote_all().trained_dictionaries, 1U);
  clock_->advance(48h);
  while (store_->cold_storage().collect_garbage().more) {
  }
  expect_orders(2 * kSamples);
  expect_sound(1);
}

TEST_F(DictionariesTest, APutWhoseAnswerWasLostLeavesNothing) {
  write_orders(0, kSamples);
  clock_->advance(48h);
  objects_->script(ObjectOperation::put, {FaultPoint::none, FaultPoint::after});
  store_->run_tiering();
  clock_->advance(48h);
  while (store_->cold_storage().collect_garbage().more) {
  }
  EXPECT_TRUE(dictionary_objects().empty());
  expect_sound(0);
}

TEST_F(DictionariesTest, RemovingEveryDocumentKeepsIt) {
  write_orders(0, kSamples);
  demote_all();
  for (std::size_t i = 0; i < kSamples; ++i) store_->remove("orders", std::to_string(i));
  clock_->advance(24h * 90);
  store_->run_tiering();
  clock_->advance(24h * 90);
  while (store_->cold_storage().collect_garbage().more) {
  }
  const auto found =
      store_->cold_storage().collect_by_listing({.remove = true, .min_age = 24h, .max_share = 1});
  EXPECT_EQ(found.unnamed_objects, 0U);
  EXPECT_EQ(dictionary_objects().size(), 1U);
  expect_sound(1);
}

TEST_F(DictionariesTest, OneThatNothingNamesIsFoundByListing) {
  write_orders(0, kSamples);
  demote_all();
  const ObjectInfo named = dictionary_objects().at(0);
  std::string stray = named.name;
  stray.back() = stray.back() == '0' ? '1' : '0';
  memory_->put(stray, memory_->get(named.name, 1_MiB).value());
  clock_->advance(24h * 30);
  const auto found = store_->cold_storage().collect_by_listing({.min_age = 24h, .max_share = 1});
  ASSERT_EQ(found.unnamed.size(), 1U);
  EXPECT_EQ(found.unnamed[0].name, stray);
}

TEST_F(DictionariesTest, ARebuiltCatalogueReadsWithItAndGoesOnWithIt) {
  write_orders(0, kSamples);
  demote_all();
  write_orders(kSamples, 2 * kSamples);
  demote_all();
  store_.reset();
  fs::remove_all(folder_.path() / "hot");
  const RebuildResult result = rebuild_catalog(config(), {}, components());
  EXPECT_EQ(result.documents, 2 * kSamples);
  EXPECT_EQ(result.damaged, 0U);
  EXPECT_EQ(result.objects, memory_->list("", "", 1000).objects.size());
  open();
  expect_orders(2 * kSamples);
  write_orders(2 * kSamples, 3 * kSamples);
  EXPECT_EQ(demote_all().trained_dictionaries, 0U);
  expect_sound(1);
}

TEST_F(DictionariesTest, ARebuildWithoutItTellsOfEveryRecordThatNeedsIt) {
  write_orders(0, kSamples);
  demote_all();
  write_orders(kSamples, kSamples + 10);
  demote_all();
  store_.reset();
  fs::remove_all(folder_.path() / "hot");
  const ObjectInfo object = dictionary_objects().at(0);
  Bytes bytes = memory_->get(object.name, 1_MiB).value();
  bytes.at(bytes.size() / 2) ^= std::byte{1};
  memory_->put(object.name, bytes);
  const RebuildResult result = rebuild_catalog(config(), {}, components());
  EXPECT_EQ(result.documents, kSamples);
  EXPECT_EQ(result.damaged, 11U) << "the dictionary and ten records";
  ASSERT_FALSE(result.doubts.empty());
  EXPECT_EQ(result.doubts[0].object, object.name);
  EXPECT_THAT(result.doubts[1].what, HasSubstr("dictionary"));
}

TEST_F(DictionariesTest, ALostObjectIsNoLossWhileTheCatalogueStands) {
  write_orders(0, kSamples);
  demote_all();
  write_orders(kSamples, 2 * kSamples);
  demote_all();
  memory_->remove(dictionary_objects().at(0).name);
  open();
  expect_orders(2 * kSamples);
}

}  // namespace
}  // namespace db4::testing
