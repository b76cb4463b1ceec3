// What api.md promises of TieredStore, line by line, and what bad input gets.
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

namespace db4 {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BehaviourTest : public ::testing::Test {
 protected:
  BehaviourTest() { open(); }

  void open() {
    store_.reset();
    store_ = std::make_unique<TieredStore>(config(), Components{.clock = clock_});
  }

  virtual TieredStoreConfig config() const {
    return {.hot = {.type = testing::kDiskEngine,
                    .path = folder_.path() / "hot",
                    .durability = Durability::process},
            .cold = {.path = folder_.path() / "cold"},
            .tiering = {.interval = 0ms}};
  }

  /// What the call throws; fails where it throws nothing.
  template <typename Call>
  static Error error_of(const Call& call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {ErrorCode::internal, "nothing was thrown", ""};
  }
  template <typename Call>
  static ErrorCode code_of(const Call& call) {
    return error_of(call).code();
  }

  Version put(std::string_view collection, std::string_view id, std::string_view json = "{}",
              const WriteOptions& options = {}) {
    return store_->write_json_text(collection, id, json, options).version;
  }

  testing::TemporaryFolder folder_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::unique_ptr<TieredStore> store_;
};

TEST_F(BehaviourTest, CollectionsAndIdsHaveTheirLimitsToTheByte) {
  const std::string longest_collection(kMaxCollectionBytes, 'c');
  const std::string longest_id(kMaxIdBytes, 'i');
  EXPECT_EQ(put(longest_collection, longest_id), 1U);
  EXPECT_TRUE(store_->read(longest_collection, longest_id));
  for (const auto& key : std::vector<std::pair<std::string, std::string>>{{"", "i"},
                                                                          {"c", ""},
                                                                          {longest_collection + "c", "i"},
                                                                          {"c", longest_id + "i"},
                                                                          {"c", std::string("a\0b", 3)},
                                                                          {"c", "\xFF"},
                                                                          {"c", "\xED\xA0\x80"},
                                                                          {"c\xC0\x80", "i"}}) {
    const std::string& collection = key.first;
    const std::string& id = key.second;
    EXPECT_EQ(code_of([&] { put(collection, id); }), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of([&] { (void)store_->read(collection, id); }), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of([&] { store_->remove(collection, id); }), ErrorCode::invalid_argument);
  }
}

TEST_F(BehaviourTest, StrangeIdsStayDistinctAndNeverBecomeAPath) {
  const std::vector<std::string> ids{"a",          "A",           "a/b", "a//b",    "../../x", "..",
                                     ".",          "%",           "%2e", "a.",      "a ",      "/",
                                     "\U0001F986", "line\nbreak", "é",   "e\u0301", "con",     "NUL"};
  for (const std::string& id : ids)
    put("c/..", id, "\"" + std::to_string(id.size()) + "\"", {.tier = StorageTier::cold});
  for (const std::string& id : ids) {
    const auto document = store_->read("c/..", id, {.promote = false});
    ASSERT_TRUE(document) << id;
    EXPECT_EQ(document->text(), "\"" + std::to_string(id.size()) + "\"") << id;
    EXPECT_EQ(document->id(), id);
  }
  EXPECT_EQ(store_->scan("c/..").items.size(), ids.size());
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
    names.insert(entry.path().filename());
  EXPECT_THAT(names, ElementsAre("cold", "hot")) << "nothing was written beside the store";
}

TEST_F(BehaviourTest, TheSameBytesInTwoKeysDoNotMeet) {
  put("ab", "c", "1");
  put("a", "bc", "2");
  EXPECT_EQ(store_->read("ab", "c")->text(), "1");
  EXPECT_EQ(store_->read("a", "bc")->text(), "2");
}

TEST_F(BehaviourTest, JsonThatIsNoneIsRefusedWithTheByte) {
  const Error broken = error_of([&] { put("c", "i", R"({"a": 1,})"); });
  EXPECT_EQ(broken.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(broken.what(), HasSubstr("byte"));
  EXPECT_THAT(broken.what(), HasSubstr("c/i"));
  put("c", "deep", std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']'));
  EXPECT_EQ(code_of([&] {
              put("c", "i", std::string(kMaxJsonDepth + 1, '[') + std::string(kMaxJsonDepth + 1, ']'));
            }),
            ErrorCode::invalid_argument);
  EXPECT_FALSE(store_->read("c", "i")) << "what was refused left nothing";
}

TEST_F(BehaviourTest, BodiesMayBeAsLargeAsTheLimitAndNoLarger) {
  const Bytes largest(kMaxBodyBytes, std::byte{7});
  const WriteResult written = store_->write_bytes("c", "large", largest);
  EXPECT_EQ(written.tier, StorageTier::cold) << "over hot.max_body_size";
  const auto read = store_->read("c", "large");
  ASSERT_TRUE(read);
  EXPECT_TRUE(std::equal(largest.begin(), largest.end(), read->bytes().begin(), read->bytes().end()));
  const Bytes larger(kMaxBodyBytes + 1);
  EXPECT_EQ(code_of([&] { store_->write_bytes("c", "larger", larger); }), ErrorCode::too_large);
}

TEST_F(BehaviourTest, AnEmptyBodyIsADocument) {
  store_->write_bytes("c", "empty", {}, {.tier = StorageTier::cold});
  const auto read = store_->read("c", "empty");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->size(), 0U);
}

TEST_F(BehaviourTest, ContentTypesAreKeptAndChecked) {
  put("c", "json");
  EXPECT_EQ(store_->read("c", "json")->meta().content_type, "application/json");
  store_->write_bytes("c", "text", as_bytes("hello"), {.content_type = "text/plain"});
  EXPECT_EQ(store_->read("c", "text")->meta().content_type, "text/plain");
  EXPECT_EQ(code_of([&] { (void)store_->read("c", "text")->json(); }), ErrorCode::unsupported);
  EXPECT_EQ(code_of([&] { put("c", "x", "{}", {.content_type = "a\nb"}); }), ErrorCode::invalid_argument);
}

TEST_F(BehaviourTest, IfVersionZeroWritesOnlyWhatIsNew) {
  EXPECT_EQ(put("c", "i", "1", {.if_version = 0}), 1U);
  const Error conflict = error_of([&] { put("c", "i", "2", {.if_version = 0}); });
  EXPECT_EQ(conflict.code(), ErrorCode::conflict);
  EXPECT_EQ(conflict.current_version(), 1U);
  EXPECT_FALSE(conflict.retryable());
  EXPECT_EQ(put("c", "i", "2", {.if_version = 1}), 2U);
  EXPECT_EQ(error_of([&] { store_->remove("c", "i", {.if_version = 1}); }).current_version(), 2U);
  EXPECT_TRUE(store_->remove("c", "i", {.if_version = 2}));
  EXPECT_EQ(error_of([&] { put("c", "i", "3", {.if_version = 2}); }).current_version(), 0U)
      << "removed: absent";
}

TEST_F(BehaviourTest, VersionsRiseThroughRemovalsAndPurges) {
  Version last = put("c", "i");
  EXPECT_TRUE(store_->remove("c", "i"));
  EXPECT_FALSE(store_->remove("c", "i"));
  Version next = put("c", "i");
  EXPECT_GT(next, last);
  last = next;
  store_->remove("c", "i");
  clock_->advance(30 * 24h);
  store_->run_tiering();
  EXPECT_EQ(store_->stats().tombstones, 0U);
  next = put("c", "i");
  EXPECT_GT(next, last + 1) << "above the tombstone that was purged";
  EXPECT_GT(put("c", "another"), last + 1) << "and so does any new document";
}

TEST_F(BehaviourTest, ExpectedVersionMeansAtLeast) {
  put("c", "i");
  put("c", "i");
  EXPECT_TRUE(store_->read("c", "i", {.expected_version = 1}));
  EXPECT_TRUE(store_->read("c", "i", {.expected_version = 2}));
  const Error error = error_of([&] { (void)store_->read("c", "i", {.expected_version = 3}); });
  EXPECT_EQ(error.code(), ErrorCode::conflict);
  EXPECT_EQ(error.current_version(), 2U);
}

TEST_F(BehaviourTest, BatchesAreAllOrNothing) {
  put("c", "b", "0");
  EXPECT_EQ(code_of([&] {
              store_->write_batch("c", {{.id = "a", .body = "1"}, {.id = "b", .body = "1", .if_version = 7}});
            }),
            ErrorCode::conflict);
  EXPECT_FALSE(store_->read("c", "a"));
  EXPECT_EQ(code_of([&] {
              store_->write_batch("c", {{.id = "a", .body = "1"}, {.id = "b", .body = "nonsense"}});
            }),
            ErrorCode::invalid_argument);
  EXPECT_FALSE(store_->read("c", "a"));
  EXPECT_EQ(code_of([&] {
              store_->write_batch("c", {{.id = "a", .body = "1"}, {.id = "a", .body = "2"}});
            }),
            ErrorCode::invalid_argument);
  const auto results = store_->write_batch("c", {{.id = "a", .body = "1"}, {.id = "b", .body = "1"}});
  EXPECT_EQ(results[0].version, 1U);
  EXPECT_EQ(results[1].version, 2U);
  const auto read = store_->read_batch("c", {"b", "none", "a"});
  EXPECT_EQ(read[0]->id(), "b");
  EXPECT_FALSE(read[1]);
  EXPECT_EQ(read[2]->id(), "a");
  EXPECT_TRUE(store_->write_batch("c", std::span<const BatchItem>{}).empty());
}

TEST_F(BehaviourTest, ADocumentIsPlacedWhereItsWriterSays) {
  put("c", "hot");
  put("c", "warm", "{}", {.tier = StorageTier::warm});
  put("c", "cold", "{}", {.tier = StorageTier::cold});
  EXPECT_EQ(store_->get_tier("c", "hot"), StorageTier::hot);
  EXPECT_EQ(store_->get_tier("c", "warm"), StorageTier::warm);
  EXPECT_EQ(store_->get_tier("c", "cold"), StorageTier::cold);
  EXPECT_EQ(store_->get_tier("c", "none"), std::nullopt);
  EXPECT_EQ(store_->read("c", "warm")->served_from(), StorageTier::warm);
  clock_->advance(2h);  // past TTL and stale-while-revalidate
  EXPECT_EQ(store_->get_tier("c", "warm"), StorageTier::cold) << "a copy that expired is no copy";
  EXPECT_EQ(store_->scan("c", {.tier = StorageTier::cold}).items.size(), 2U);
}

TEST_F(BehaviourTest, MovesByHandKnowTheirDirection) {
  put("c", "i");
  EXPECT_FALSE(store_->promote("c", "i", StorageTier::hot)) << "it is there";
  EXPECT_EQ(code_of([&] { store_->promote("c", "i", StorageTier::cold); }), ErrorCode::invalid_argument);
  EXPECT_TRUE(store_->demote("c", "i", StorageTier::warm, {.keep_in_source = true}));
  EXPECT_EQ(store_->get_tier("c", "i"), StorageTier::hot) << "only the warm copy came";
  EXPECT_TRUE(store_->remove("c", "i", {.tier = StorageTier::warm}));
  EXPECT_TRUE(store_->demote("c", "i", StorageTier::cold));
  EXPECT_EQ(store_->get_tier("c", "i"), StorageTier::cold);
  EXPECT_EQ(code_of([&] { store_->demote("c", "i", StorageTier::hot); }), ErrorCode::invalid_argument);
  EXPECT_TRUE(store_->promote("c", "i", StorageTier::warm));
  EXPECT_EQ(store_->get_tier("c", "i"), StorageTier::warm);
  EXPECT_TRUE(store_->promote("c", "i", StorageTier::hot));
  EXPECT_EQ(store_->read("c", "i")->version(), 1U) << "moves change no version";
  EXPECT_EQ(code_of([&] { store_->demote("c", "none", StorageTier::cold); }), ErrorCode::invalid_argument);
}

TEST_F(BehaviourTest, AMoveByHandHoldsUntilTheNextUse) {
  put("c", "i");
  clock_->advance(1s);
  store_->demote("c", "i", StorageTier::cold);
  store_->promote("c", "i", StorageTier::hot);
  clock_->advance(48h);
  EXPECT_EQ(store_->run_tiering().demoted, 0U) << "moved by hand, and not used since";
  EXPECT_TRUE(store_->read("c", "i"));
  clock_->advance(48h);
  EXPECT_EQ(store_->run_tiering().demoted, 1U);
}

TEST_F(BehaviourTest, DemotingAnUnchangedDocumentPutsNoObject) {
  put("c", "i");
  store_->demote("c", "i", StorageTier::cold);
  store_->promote("c", "i", StorageTier::hot);
  const std::uint64_t puts = store_->stats().cold_storage.put_requests;
  store_->demote("c", "i", StorageTier::cold);
  EXPECT_EQ(store_->stats().cold_storage.put_requests, puts);
  EXPECT_TRUE(store_->read("c", "i"));
}

TEST_F(BehaviourTest, TheLastDurableCopyCannotBeDropped) {
  put("c", "i");
  EXPECT_EQ(code_of([&] { store_->remove("c", "i", {.tier = StorageTier::hot}); }),
            ErrorCode::invalid_argument);
  EXPECT_FALSE(store_->remove("c", "i", {.tier = StorageTier::cold})) << "there is none";
  EXPECT_TRUE(store_->demote("c", "i", StorageTier::cold, {.keep_in_source = true}));
  EXPECT_EQ(store_->get_tier("c", "i"), StorageTier::hot);
  EXPECT_TRUE(store_->remove("c", "i", {.tier = StorageTier::hot}));
  EXPECT_EQ(store_->get_tier("c", "i"), StorageTier::cold);
  EXPECT_EQ(code_of([&] { store_->remove("c", "i", {.tier = StorageTier::cold}); }),
            ErrorCode::invalid_argument);
  EXPECT_TRUE(store_->read("c", "i"));
}

TEST_F(BehaviourTest, TheSecondReadWithinTheWindowPromotes) {
  put("c", "i", "{}", {.tier = StorageTier::cold});
  EXPECT_EQ(store_->read("c", "i")->served_from(), StorageTier::cold);
  EXPECT_EQ(store_->get_tier("c", "i"), StorageTier::warm) << "the first leaves a warm copy";
  EXPECT_EQ(store_->read("c", "i")->served_from(), StorageTier::warm);
  EXPECT_EQ(store_->get_tier("c", "i"), StorageTier::hot);
  const auto third = store_->read("c", "i");
  EXPECT_EQ(third->served_from(), StorageTier::hot);
  EXPECT_EQ(third->meta().access_count, 3U);
  EXPECT_EQ(third->meta().recent_access_count, 3U);
}

TEST_F(BehaviourTest, OneScanOfEverythingPromotesNothing) {
  for (int i = 0; i < 50; ++i) put("c", std::to_string(i), "{}", {.tier = StorageTier::cold});
  for (int i = 0; i < 50; ++i) (void)store_->read("c", std::to_string(i));
  EXPECT_EQ(store_->stats().hot.documents, 0U);
  EXPECT_EQ(store_->run_tiering().promoted, 0U);
  for (const ScanItem& item : store_->scan("c").items)
    EXPECT_EQ(item.meta.access_count, 1U) << "a scan is no access";
}

TEST_F(BehaviourTest, AccessFiguresSurviveReopening) {
  put("c", "i");
  for (int i = 0; i < 4; ++i) (void)store_->read("c", "i");
  store_->close();
  open();
  EXPECT_EQ(store_->explain("c", "i")->meta.access_count, 4U);
}

TEST_F(BehaviourTest, RecentAccessesLeaveTheWindow) {
  put("c", "i");
  (void)store_->read("c", "i");
  (void)store_->read("c", "i");
  clock_->advance(2h);
  EXPECT_EQ(store_->read("c", "i")->meta().recent_access_count, 1U);
  EXPECT_EQ(store_->read("c", "i")->meta().access_count, 4U);
}

TEST_F(BehaviourTest, ScansResumeWhateverChangesMeanwhile) {
  for (int i = 10; i < 40; ++i) put("c", std::to_string(i));
  put("d", "10");
  std::vector<std::string> seen;
  ScanOptions options{.prefix = "1", .limit = 3};
  do {
    const ScanPage page = store_->scan("c", options);
    for (const ScanItem& item : page.items) seen.push_back(item.id);
    if (!page.items.empty()) store_->remove("c", page.items.back().id);  // the cursor's own document goes
    put("c", "0-before-the-cursor");
    options.cursor = page.cursor;
  } while (!options.cursor.empty());
  EXPECT_THAT(seen, ElementsAre("10", "11", "12", "13", "14", "15", "16", "17", "18", "19"));
  EXPECT_EQ(code_of([&] { (void)store_->scan("c", {.limit = 0}); }), ErrorCode::invalid_argument);
}

TEST_F(BehaviourTest, CollectionsCountTheirDocuments) {
  put("b", "1");
  put("b", "2", "{}", {.tier = StorageTier::cold});
  put("a", "1");
  store_->remove("a", "1");
  const auto collections = store_->collections();
  ASSERT_EQ(collections.size(), 1U);
  EXPECT_EQ(collections[0].name, "b");
  EXPECT_EQ(collections[0].documents, 2U);
  EXPECT_EQ(collections[0].bytes, 4U);
}

/// A store whose policy the test changes between two openings.
class PolicyChangeTest : public BehaviourTest {
 protected:
  PolicyChangeTest() { reopen_with(1000h, 2000h); }
  TieredStoreConfig config() const override {
    TieredStoreConfig config = BehaviourTest::config();
    config.tiering.hot_threshold = hot_threshold_;
    config.tiering.warm_threshold = warm_threshold_;
    return config;
  }
  void reopen_with(std::chrono::hours hot, std::chrono::hours warm) {
    hot_threshold_ = hot;
    warm_threshold_ = warm;
    open();
  }

 private:
  std::chrono::hours hot_threshold_ = 1h;
  std::chrono::hours warm_threshold_ = 24h;
};

TEST_F(PolicyChangeTest, AStricterPolicyReachesWhatWasFiledUnderTheOldOne) {
  for (int i = 0; i < 2500; ++i) put("docs", std::to_string(i));
  clock_->advance(30h);
  put("docs", "recent");
  reopen_with(1h, 24h);
  const TieringResult planned = store_->run_tiering({.dry_run = true});
  EXPECT_EQ(planned.demoted, 2500U);
  const TieringResult made = store_->run_tiering();
  EXPECT_EQ(made.demoted, 2500U);
  EXPECT_FALSE(made.more);
  EXPECT_EQ(store_->get_tier("docs", "7"), StorageTier::cold);
  EXPECT_EQ(store_->get_tier("docs", "recent"), StorageTier::hot);
  clock_->advance(2h);
  EXPECT_EQ(store_->run_tiering().demoted, 1U);
}

TEST_F(PolicyChangeTest, ARunThatIsStoppedLeavesTheRefilingToTheNext) {
  put("docs", "a");
  clock_->advance(30h);
  reopen_with(1h, 24h);
  std::stop_source stop;
  stop.request_stop();
  const TieringResult stopped = store_->run_tiering({.stop = stop.get_token()});
  EXPECT_EQ(stopped.demoted, 0U);
  EXPECT_TRUE(stopped.more);
  open();  // nor does an opening with the same policy forget it
  EXPECT_EQ(store_->run_tiering().demoted, 1U);
}

TEST_F(PolicyChangeTest, AShorterRetentionPurgesWhatWasRemovedBefore) {
  put("docs", "a");
  store_->remove("docs", "a");
  clock_->advance(25h);
  EXPECT_EQ(store_->stats().tombstones, 1U);
  store_.reset();
  TieredStoreConfig stricter = config();
  stricter.tiering.tombstone_retention = 24h;
  TieredStore store(stricter, {.clock = clock_});
  store.run_tiering();
  EXPECT_EQ(store.stats().tombstones, 0U);
}

TEST_F(BehaviourTest, ExplainSaysWhyAndWhen) {
  put("c", "i");
  auto explained = store_->explain("c", "i");
  EXPECT_THAT(explained->placed_by, HasSubstr("written"));
  EXPECT_EQ(explained->due_at, clock_->now() + 1h);
  EXPECT_EQ(explained->classified, StorageTier::hot);
  clock_->advance(3h);
  EXPECT_THAT(store_->explain("c", "i")->rule, HasSubstr("not used for 3 h (hot_threshold 1 h)"));
  const TieringResult run = store_->run_tiering();
  ASSERT_EQ(run.moves.size(), 1U);
  EXPECT_EQ(run.moves[0].to, StorageTier::warm);
  EXPECT_THAT(run.moves[0].reason, HasSubstr("not used for 3 h"));
  EXPECT_THAT(store_->explain("c", "i")->placed_by, HasSubstr("policy"));
  EXPECT_EQ(store_->explain("c", "none"), std::nullopt);
}

TEST_F(BehaviourTest, ACloseCanBeFollowedByAnOpen) {
  put("c", "i", "7");
  store_->close();
  EXPECT_EQ(code_of([&] { (void)store_->read("c", "i"); }), ErrorCode::invalid_argument);
  TieredStore again(config(), {.clock = clock_});
  EXPECT_EQ(again.read("c", "i")->text(), "7");
}

TEST_F(BehaviourTest, ASecondOpeningIsRefusedAndNamesTheHolder) {
  const Error error = error_of([&] { TieredStore again(config(), {.clock = clock_}); });
  EXPECT_EQ(error.code(), ErrorCode::locked);
  EXPECT_THAT(error.what(), HasSubstr(std::to_string(::getpid())));
}

TEST_F(BehaviourTest, ConfigurationsThatCannotBeAreRefusedBeforeAnythingIsTouched) {
  const auto refused = [&](const TieredStoreConfig& config) {
    return code_of([&] { TieredStore store(config, {.clock = clock_}); });
  };
  TieredStoreConfig config{.hot = {.path = folder_.path() / "other"},
                           .cold = {.path = folder_.path() / "other-cold"}};
  auto changed = config;
  changed.hot.path.clear();
  EXPECT_EQ(refused(changed), ErrorCode::invalid_argument);
  changed = config;
  changed.cold.path.clear();
  EXPECT_EQ(refused(changed), ErrorCode::invalid_argument);
  changed = config;
  changed.tiering.warm_threshold = 1min;
  EXPECT_EQ(refused(changed), ErrorCode::invalid_argument);
  changed = config;
  changed.tiering.access_count_threshold = 0;
  EXPECT_EQ(refused(changed), ErrorCode::invalid_argument);
  changed = config;
  changed.cold.compression_level = 99;
  EXPECT_EQ(refused(changed), ErrorCode::invalid_argument);
  changed = config;
  changed.hot.type = HotType::postgres;
  EXPECT_EQ(refused(changed), ErrorCode::invalid_argument);
  changed = config;
  changed.tiering.claim_lease = 0ms;
  EXPECT_EQ(refused(changed), ErrorCode::invalid_argument);
  changed = config;
  changed.cold.type = ColdType::s3;
  EXPECT_EQ(refused(changed), ErrorCode::invalid_argument);
  for (const std::string& prefix :
       {std::string("a\r\nb/"), std::string("\x7f"), std::string("a\0", 2), std::string("\xff/"),
        std::string("/data"), std::string("a//b/"), std::string("../"), std::string("a/./b"),
        std::string("a/.."), std::string(513, 'x')}) {
    changed = config;
    changed.cold.prefix = prefix;
    const Error error = error_of([&] { TieredStore store(changed, {.clock = clock_}); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << prefix;
    EXPECT_THAT(error.what(), HasSubstr("cold.prefix"));
  }
  EXPECT_FALSE(std::filesystem::exists(config.hot.path));
  for (const char* prefix : {"data/", "a/b/", "a", "..a/.b/c..", "ä b/"}) {
    changed = config;
    changed.cold.prefix = prefix;
    TieredStore(changed, {.clock = clock_}).close();
  }
}

TEST_F(BehaviourTest, AMissingObjectIsAnErrorAndNotAMiss) {
  put("c", "i", "{}", {.tier = StorageTier::cold});
  std::filesystem::remove_all(folder_.path() / "cold");
  std::filesystem::create_directories(folder_.path() / "cold");
  open();
  const Error error = error_of([&] { (void)store_->read("c", "i"); });
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("missing"));
  EXPECT_EQ(put("c", "i", "1"), 2U) << "the document can be written anew";
  EXPECT_EQ(store_->read("c", "i")->text(), "1");
}

}  // namespace
}  // namespace db4
