// What engine.hpp promises, checked on every engine.

#include "engine_fixture.hpp"

#include <atomic>
#include <thread>

namespace db4::kv::testing {
namespace {

using Keys = std::vector<std::string>;

INSTANTIATE_TEST_SUITE_P(All, EngineTest,
                         ::testing::Values(HotType::memory, HotType::sqlite, HotType::rocksdb,
                                           HotType::postgres),
                         engine_name);

TEST_P(EngineTest, GetFindsWhatWasPutAndNothingElse) {
  const auto engine = open();
  put(*engine, kRows, "a", "1");
  EXPECT_EQ(engine->get(kRows, "a"), "1");
  EXPECT_EQ(engine->get(kRows, "b"), std::nullopt);
  EXPECT_EQ(engine->get(kRows, ""), std::nullopt);
  put(*engine, kRows, "a", "2");
  EXPECT_EQ(engine->get(kRows, "a"), "2");
}

TEST_P(EngineTest, SpacesAreSeparate) {
  const auto engine = open();
  put(*engine, kRows, "k", "row");
  put(*engine, kBodies, "k", "body");
  put(*engine, kLast, "k", "last");
  Batch erase;
  erase.erase_range(kBodies, "", "");
  erase.erase(kLast, "k");
  commit(*engine, erase);
  EXPECT_EQ(engine->get(kRows, "k"), "row");
  EXPECT_EQ(engine->get(kBodies, "k"), std::nullopt);
  EXPECT_EQ(engine->get(kLast, "k"), std::nullopt);
  EXPECT_EQ(keys(*engine, {.space = kRows}), Keys{"k"});
}

TEST_P(EngineTest, KeysAndValuesAreAnyBytes) {
  using namespace std::string_literals;
  const auto engine = open();
  // Ordered as unsigned bytes; the empty key is a key.
  const Keys ordered = {""s,   "\0"s,   "\0\0"s, "\0\xFF"s, "a"s,       "a\0b"s,
                        "ab"s, "\x7F"s, "\x80"s, "\xFF"s,   "\xFF\xFF"s};
  for (const std::uint8_t space : {kRows, kBodies, kLast}) {
    for (const std::string& key : ordered) put(*engine, space, key, key);
    EXPECT_EQ(keys(*engine, {.space = space}), ordered);
    for (const std::string& key : ordered) EXPECT_EQ(engine->get(space, key), key);
  }
}

TEST_P(EngineTest, AnEmptyValueIsPresent) {
  const auto engine = open();
  put(*engine, kRows, "k", "");
  EXPECT_EQ(engine->get(kRows, "k"), "");
  Batch batch;
  batch.require_present(kRows, "k");
  batch.require_equals(kRows, "k", "");
  EXPECT_TRUE(commit(*engine, batch).committed());
}

TEST_P(EngineTest, ScanKeepsToItsBounds) {
  const auto engine = open();
  for (const char* key : {"a", "b", "c", "d", "e"}) put(*engine, kBodies, key, key);
  EXPECT_EQ(keys(*engine, {.space = kBodies, .begin = "b", .end = "d"}), (Keys{"b", "c"}));
  EXPECT_EQ(keys(*engine, {.space = kBodies, .begin = "bb"}), (Keys{"c", "d", "e"}));
  EXPECT_EQ(keys(*engine, {.space = kBodies, .end = "b"}), (Keys{"a"}));
  EXPECT_EQ(keys(*engine, {.space = kBodies, .begin = "d", .end = "b"}), Keys{});
  EXPECT_EQ(keys(*engine, {.space = kBodies, .begin = "b", .end = "b"}), Keys{});
  EXPECT_EQ(keys(*engine, {.space = kBodies, .begin = "f"}), Keys{});
}

TEST_P(EngineTest, ScanKeepsToItsLimits) {
  const auto engine = open();
  for (const char* key : {"a", "b", "c", "d"}) put(*engine, kRows, key, std::string(99, 'x'));
  EXPECT_EQ(keys(*engine, {.space = kRows, .limit = 2}), (Keys{"a", "b"}));
  EXPECT_EQ(keys(*engine, {.space = kRows, .limit = 0}), Keys{});
  EXPECT_EQ(keys(*engine, {.space = kRows, .max_bytes = 300}), (Keys{"a", "b", "c"}));
  EXPECT_EQ(keys(*engine, {.space = kRows, .max_bytes = 299}), (Keys{"a", "b"}));
  EXPECT_EQ(keys(*engine, {.space = kRows, .max_bytes = 1}), (Keys{"a"})) << "one entry whatever its size";
  EXPECT_EQ(keys(*engine, {.space = kRows, .max_bytes = 3, .keys_only = true}), (Keys{"a", "b", "c"}));
  for (const Entry& entry : engine->scan({.space = kRows, .keys_only = true})) EXPECT_EQ(entry.value, "");
}

TEST_P(EngineTest, LargeValuesComeBackWhole) {
  const auto engine = open();
  std::string body(1 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761U >> 13);
  put(*engine, kBodies, "large", body);
  put(*engine, kRows, "large", body);
  EXPECT_EQ(engine->get(kBodies, "large"), body);
  EXPECT_EQ(engine->get(kRows, "large"), body);
}

TEST_P(EngineTest, AnUnknownSpaceIsRefused) {
  const auto engine = open();
  Batch batch;
  batch.put(77, "k", "v");
  EXPECT_EQ(thrown_code([&] { commit(*engine, batch); }), ErrorCode::invalid_argument);
  EXPECT_EQ(thrown_code([&] { (void)engine->get(77, "k"); }), ErrorCode::invalid_argument);
  EXPECT_EQ(thrown_code([&] { (void)engine->scan({.space = 77}); }), ErrorCode::invalid_argument);
  put(*engine, kRows, "still", "works");
}

TEST_P(EngineTest, SpacesThatCannotBeToldApartAreRefused) {
  for (const SpaceSpec& bad :
       std::vector<SpaceSpec>{{kRows, "other"}, {9, "rows"}, {9, "Rows"}, {255, "end"}}) {
    EngineOptions with_bad = options();
    with_bad.spaces.push_back(bad);
    EXPECT_EQ(thrown_code([&] { (void)open_engine(GetParam(), with_bad); }), ErrorCode::invalid_argument);
  }
}

TEST_P(EngineTest, EveryKindOfPreconditionHoldsOrFails) {
  const auto engine = open();
  put(*engine, kRows, "k", "revision 7, the rest");
  const auto outcome = [&](auto require) {
    Batch batch;
    batch.require_present(kRows, "k");
    require(batch);
    batch.put(kRows, "written", "x");
    return commit(*engine, batch).failed_precondition;
  };
  const auto holds = [&](auto require) {
    const bool committed = outcome(require) == Outcome::kCommitted;
    EXPECT_EQ(engine->get(kRows, "written").has_value(), committed) << "all or nothing";
    Batch clean;
    clean.erase(kRows, "written");
    commit(*engine, clean);
    return committed;
  };
  EXPECT_TRUE(holds([](Batch& b) { b.require_absent(kRows, "none"); }));
  EXPECT_FALSE(holds([](Batch& b) { b.require_absent(kRows, "k"); }));
  EXPECT_TRUE(holds([](Batch& b) { b.require_present(kRows, "k"); }));
  EXPECT_FALSE(holds([](Batch& b) { b.require_present(kRows, "none"); }));
  EXPECT_FALSE(holds([](Batch& b) { b.require_present(kBodies, "k"); }));
  EXPECT_TRUE(holds([](Batch& b) { b.require_prefix(kRows, "k", "revision 7"); }));
  EXPECT_TRUE(holds([](Batch& b) { b.require_prefix(kRows, "k", ""); }));
  EXPECT_FALSE(holds([](Batch& b) { b.require_prefix(kRows, "k", "revision 8"); }));
  EXPECT_FALSE(holds([](Batch& b) { b.require_prefix(kRows, "k", "revision 7, the rest and more"); }));
  EXPECT_FALSE(holds([](Batch& b) { b.require_prefix(kRows, "none", ""); }));
  EXPECT_TRUE(holds([](Batch& b) { b.require_equals(kRows, "k", "revision 7, the rest"); }));
  EXPECT_FALSE(holds([](Batch& b) { b.require_equals(kRows, "k", "revision 7"); }));
  EXPECT_FALSE(holds([](Batch& b) { b.require_equals(kRows, "none", ""); }));
  EXPECT_EQ(outcome([](Batch& b) { b.require_absent(kRows, "k"); }), 1U)
      << "the index of the one that failed";
}

TEST_P(EngineTest, ARowIsReplacedOnlyWhereItIsAsSaid) {
  const auto engine = open();
  const auto replacing = [](const std::string& key, auto require) {
    Batch batch;
    require(batch, key);
    batch.put(kRows, key, "new");
    return batch;
  };
  const auto whole = [](Batch& b, const std::string& key) { b.require_equals(kRows, key, "revision 7"); };
  const auto shorter = [](Batch& b, const std::string& key) { b.require_equals(kRows, key, "revision"); };
  const auto longer = [](Batch& b, const std::string& key) { b.require_equals(kRows, key, "revision 7+"); };
  const auto prefix = [](Batch& b, const std::string& key) { b.require_prefix(kRows, key, "revision"); };
  const auto other = [](Batch& b, const std::string& key) { b.require_prefix(kRows, key, "version"); };
  const auto present = [](Batch& b, const std::string& key) { b.require_present(kRows, key); };
  // Each alone, and all in one group, where one that is refused must not take others with it.
  const std::vector<Batch> batches = {
      replacing("a", whole), replacing("b", shorter), replacing("c", longer),   replacing("d", prefix),
      replacing("e", other), replacing("f", present), replacing("none", whole), replacing("nil", present)};
  const std::vector<bool> legal = {true, false, false, true, false, true, false, false};
  for (const bool together : {false, true}) {
    for (const char* key : {"a", "b", "c", "d", "e", "f"}) put(*engine, kRows, key, "revision 7");
    std::vector<const Batch*> group;
    std::vector<Outcome> outcomes;
    for (const Batch& batch : batches) {
      group.push_back(&batch);
      if (!together) outcomes.push_back(commit(*engine, batch));
    }
    if (together) outcomes = engine->commit(group, Durability::process);
    for (std::size_t i = 0; i < batches.size(); ++i) {
      EXPECT_EQ(outcomes[i].committed(), legal[i]) << i << (together ? " in a group" : " alone");
      const std::string key = batches[i].preconditions.front().key;
      EXPECT_EQ(engine->get(kRows, key) == "new", legal[i]) << key;
    }
  }
  // A group of which all hold.
  for (const char* key : {"a", "d"}) put(*engine, kRows, key, "revision 7");
  const Batch* const fine[] = {&batches[0], &batches[3]};
  for (const Outcome& outcome : engine->commit(fine, Durability::process)) EXPECT_TRUE(outcome.committed());
  EXPECT_EQ(engine->get(kRows, "a"), "new");
  EXPECT_EQ(engine->get(kRows, "d"), "new");
}

TEST_P(EngineTest, PreconditionsSeeEarlierBatchesOfTheGroup) {
  const auto engine = open();
  put(*engine, kRows, "old", "1");
  put(*engine, kRows, "range/a", "1");
  Batch first;
  first.put(kRows, "new", "1");
  first.erase(kRows, "old");
  first.erase_range(kRows, "range/", "range0");
  first.add(kCounts, "n", 5);
  first.append(kRows, "log/", "entry");
  Batch loses;  // sees the first, so does nothing
  loses.require_absent(kRows, "new");
  loses.put(kRows, "new", "2");
  Batch sees;
  sees.require_equals(kRows, "new", "1");
  sees.require_absent(kRows, "old");
  sees.require_absent(kRows, "range/a");
  sees.require_equals(kCounts, "n", counter_bytes(5));
  sees.require_equals(kRows, sequence_key("log/", 1), "entry");
  sees.put(kRows, "range/a", "2");
  Batch last;
  last.require_equals(kRows, "range/a", "2");
  last.put(kRows, "new", "3");
  const Batch* const group[] = {&first, &loses, &sees, &last};
  const auto outcomes = engine->commit(group, Durability::process);
  EXPECT_TRUE(outcomes[0].committed());
  EXPECT_EQ(outcomes[1].failed_precondition, 0U);
  EXPECT_EQ(outcomes[2].failed_precondition, Outcome::kCommitted);
  EXPECT_TRUE(outcomes[3].committed());
  EXPECT_EQ(engine->get(kRows, "new"), "3");
  EXPECT_EQ(engine->get(kRows, "range/a"), "2");
}

TEST_P(EngineTest, ABatchDoesNotSeeItself) {
  const auto engine = open();
  Batch batch;
  batch.put(kRows, "k", "1");
  batch.require_absent(kRows, "k");
  EXPECT_TRUE(commit(*engine, batch).committed());
  EXPECT_FALSE(commit(*engine, batch).committed());
}

TEST_P(EngineTest, OperationsTakeEffectInOrder) {
  const auto engine = open();
  Batch batch;
  batch.put(kRows, "a", "1");
  batch.erase(kRows, "a");
  batch.put(kRows, "b", "1");
  batch.put(kRows, "b", "2");
  batch.put(kRows, "r1", "1");
  batch.erase_range(kRows, "r", "s");
  batch.put(kRows, "r2", "1");
  commit(*engine, batch);
  EXPECT_EQ(keys(*engine, {.space = kRows}), (Keys{"b", "r2"}));
  EXPECT_EQ(engine->get(kRows, "b"), "2");
}

TEST_P(EngineTest, CountersAddUp) {
  const auto engine = open();
  Batch a;
  a.add(kCounts, "n", 40);
  a.add(kCounts, "n", 3);
  a.add(kCounts, "negative", -7);
  Batch b;
  b.add(kCounts, "n", -1);
  Batch fails;
  fails.require_present(kRows, "none");
  fails.add(kCounts, "n", 1000);
  const Batch* const group[] = {&a, &fails, &b};
  engine->commit(group, Durability::process);
  commit(*engine, b);
  EXPECT_EQ(counter(*engine, "n"), 41);
  EXPECT_EQ(counter(*engine, "negative"), -7);
  EXPECT_EQ(keys(*engine, {.space = kCounts}), (Keys{"n", "negative"}));
}

TEST_P(EngineTest, AnErasedCounterStartsFromNothing) {
  const auto engine = open();
  Batch add;
  add.add(kCounts, "a", 5);
  add.add(kCounts, "b", 5);
  commit(*engine, add);
  Batch erase;
  erase.add(kCounts, "b", 1);
  erase.erase(kCounts, "a");
  erase.erase_range(kCounts, "b", "c");
  Batch again;
  again.require_absent(kCounts, "a");
  again.require_absent(kCounts, "b");
  again.add(kCounts, "b", 2);
  const Batch* const group[] = {&erase, &again};
  EXPECT_TRUE(engine->commit(group, Durability::process)[1].committed());
  EXPECT_EQ(engine->get(kCounts, "a"), std::nullopt);
  EXPECT_EQ(counter(*engine, "b"), 2);
}

TEST_P(EngineTest, AddBelongsToCounters) {
  const auto engine = open();
  Batch batch;
  batch.put(kRows, "k", "v");
  batch.add(kRows, "n", 1);
  EXPECT_EQ(thrown_code([&] { commit(*engine, batch); }), ErrorCode::invalid_argument);
  EXPECT_EQ(engine->get(kRows, "k"), std::nullopt);
  Batch bytes;
  bytes.put(kCounts, "n", "seven b");
  EXPECT_EQ(thrown_code([&] { commit(*engine, bytes); }), ErrorCode::invalid_argument);
}

TEST_P(EngineTest, AppendsAreNumberedWithoutGaps) {
  const auto engine = open();
  Batch one;
  one.append(kRows, "log/", "x");
  one.append(kLast, "other/", "y");
  Batch fails;
  fails.require_present(kRows, "none");
  fails.append(kRows, "log/", "never");
  Batch misuse;
  misuse.append(kRows, "log/", "never");
  misuse.add(kRows, "n", 1);
  const Batch* const group[] = {&one, &fails, &one};
  engine->commit(group, Durability::process);
  EXPECT_EQ(thrown_code([&] { commit(*engine, misuse); }), ErrorCode::invalid_argument);
  commit(*engine, one);
  EXPECT_EQ(keys(*engine, {.space = kRows}),
            (Keys{sequence_key("log/", 1), sequence_key("log/", 3), sequence_key("log/", 5)}));
  EXPECT_EQ(keys(*engine, {.space = kLast}),
            (Keys{sequence_key("other/", 2), sequence_key("other/", 4), sequence_key("other/", 6)}));
}

TEST_P(EngineTest, EraseRangeTakesWhatLiesInside) {
  const auto engine = open();
  for (const std::uint8_t space : {kRows, kBodies, kLast}) {
    for (const char* key : {"a", "b", "c", "d"}) put(*engine, space, key, "v");
    Batch batch;
    batch.erase_range(space, "b", "d");
    batch.erase_range(space, "z", "a");  // holds nothing
    commit(*engine, batch);
    EXPECT_EQ(keys(*engine, {.space = space}), (Keys{"a", "d"}));
    Batch rest;
    rest.erase_range(space, "b", "");
    commit(*engine, rest);
    EXPECT_EQ(keys(*engine, {.space = space}), (Keys{"a"}));
  }
}

TEST_P(EngineTest, OnCommittedRunsInOrderAndNotForTheRefused) {
  const auto engine = open();
  std::string order;
  const auto batch = [&](const char* name) {
    Batch out;
    out.put(kRows, name, "v");
    out.on_committed = [&order, &engine, name](const Outcome&) {
      EXPECT_TRUE(engine->get(kRows, name)) << "what is announced can be read";
      order += name;
    };
    return out;
  };
  const Batch a = batch("a");
  Batch refused = batch("refused");
  refused.require_absent(kRows, "a");
  const Batch b = batch("b");
  const Batch* const group[] = {&a, &refused, &b};
  engine->commit(group, Durability::disk);
  EXPECT_EQ(order, "ab");
}

TEST_P(EngineTest, AnEmptyBatchCommits) {
  const auto engine = open();
  EXPECT_TRUE(commit(*engine, Batch(), Durability::disk).committed());
}

TEST_P(EngineTest, AScanSeesOneMoment) {
  const auto engine = open();
  constexpr int kKeys = 200;
  const auto write_all = [&](const std::string& value) {
    Batch batch;
    for (int i = 0; i < kKeys; ++i) batch.put(kBodies, "k" + std::to_string(1000 + i), value);
    commit(*engine, batch);
  };
  write_all("0");
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  std::atomic<int> scans{0};
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      while (!stop.load()) {
        const auto entries = engine->scan({.space = kBodies});
        ASSERT_EQ(entries.size(), static_cast<std::size_t>(kKeys));
        for (const Entry& entry : entries) ASSERT_EQ(entry.value, entries.front().value);
        scans.fetch_add(1);
      }
    });
  }
  for (int round = 1; round <= 50 || scans.load() < 20; ++round) write_all(std::to_string(round));
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

TEST_P(EngineTest, ReopeningKeepsEverything) {
  if (!on_disk()) GTEST_SKIP() << "memory is gone when it closes";
  for (int round = 0; round < 3; ++round) {
    const auto engine = open();
    EXPECT_EQ(counter(*engine, "rounds"), round);
    Batch batch;
    batch.add(kCounts, "rounds", 1);
    batch.append(kRows, "round " + std::to_string(round) + "/", "x");
    batch.put(kBodies, "body", std::string(10'000, static_cast<char>('a' + round)));
    commit(*engine, batch, Durability::none);
    EXPECT_EQ(keys(*engine, {.space = kRows, .begin = "round " + std::to_string(round)}),
              Keys{sequence_key("round " + std::to_string(round) + "/", 1)})
        << "numbers start at 1 in each opening";
    if (round != 1) engine->close();  // the destructor closes as well
  }
  const auto engine = open();
  EXPECT_EQ(engine->scan({.space = kRows}).size(), 3U);
  EXPECT_EQ(engine->get(kBodies, "body"), std::string(10'000, 'c'));
}

TEST_P(EngineTest, AStoreWithoutALogKeepsWhatItWasClosedWith) {
  if (!on_disk()) GTEST_SKIP() << "memory is gone when it closes";
  EngineOptions cache = options();
  cache.durability = Durability::none;
  for (int round = 0; round < 3; ++round) {
    const auto engine = open_engine(GetParam(), cache);
    EXPECT_EQ(counter(*engine, "rounds"), round);
    Batch batch;
    batch.add(kCounts, "rounds", 1);
    commit(*engine, batch, Durability::none);
    engine->close();
  }
  // And may be opened with a log from then on.
  const auto engine = open();
  put(*engine, kRows, "k", "v", Durability::disk);
  EXPECT_EQ(counter(*engine, "rounds"), 3);
}

TEST_P(EngineTest, ASpaceMayBeAddedLater) {
  if (!on_disk()) GTEST_SKIP() << "memory is gone when it closes";
  EngineOptions fewer = options();
  fewer.spaces.resize(1);
  put(*open_engine(GetParam(), fewer), kRows, "k", "v");
  const auto engine = open();
  put(*engine, kBodies, "k", "body");
  EXPECT_EQ(engine->get(kRows, "k"), "v");
  EXPECT_EQ(engine->get(kBodies, "k"), "body");
}

TEST_P(EngineTest, AClosedEngineRefuses) {
  const auto engine = open();
  put(*engine, kRows, "k", "v");
  engine->close();
  engine->close();
  Batch batch;
  batch.put(kRows, "k", "v");
  EXPECT_EQ(thrown_code([&] { (void)engine->get(kRows, "k"); }), ErrorCode::invalid_argument);
  EXPECT_EQ(thrown_code([&] { (void)engine->scan({.space = kRows}); }), ErrorCode::invalid_argument);
  EXPECT_EQ(thrown_code([&] { commit(*engine, batch); }), ErrorCode::invalid_argument);
  EXPECT_EQ(thrown_code([&] { engine->sync(); }), ErrorCode::invalid_argument);
}

TEST_P(EngineTest, StatsCountCommitsAndSyncs) {
  const auto engine = open();
  Batch batch;
  batch.put(kRows, "k", "v");
  const Batch* const group[] = {&batch, &batch, &batch};
  engine->commit(group, Durability::process);
  EXPECT_EQ(engine->stats().commits, 1U);
  EXPECT_EQ(engine->stats().batches, 3U);
  EXPECT_EQ(engine->stats().syncs, 0U);
  EXPECT_EQ(engine->strongest(), on_disk() ? Durability::disk : Durability::none);
  if (!on_disk()) return;
  engine->commit(group, Durability::disk);
  EXPECT_EQ(engine->stats().syncs, 1U);
  put(*engine, kRows, "k", "v", Durability::none);
  engine->sync();
  EXPECT_EQ(engine->stats().syncs, 2U);
}

TEST_P(EngineTest, CompactingChangesNothing) {
  const auto engine = open();
  for (int i = 0; i < 200; ++i) put(*engine, kBodies, std::to_string(i), std::string(2000, 'x'));
  Batch batch;
  batch.erase_range(kBodies, "1", "2");
  commit(*engine, batch);
  const auto before = keys(*engine, {.space = kBodies});
  engine->compact();
  EXPECT_EQ(keys(*engine, {.space = kBodies}), before);
  put(*engine, kBodies, "1", "again");
  EXPECT_EQ(engine->get(kBodies, "1"), "again");
}

}  // namespace
}  // namespace db4::kv::testing
