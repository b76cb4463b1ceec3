#include "objects/object_store_suite.hpp"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstring>
#include <map>
#include <random>
#include <thread>

namespace db4::testing {
namespace {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ObjectStoreSuite);

TEST_P(ObjectStoreSuite, GetReturnsWhatWasPut) {
  store_->put("a", as_bytes("body"));
  EXPECT_EQ(text_of(store_->get("a", 4)), "body");
  const auto info = store_->head("a");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->name, "a");
  EXPECT_EQ(info->size, 4U);
  EXPECT_GT(info->modified.time_since_epoch().count(), 0);
}

TEST_P(ObjectStoreSuite, AbsentObjectsAreNulloptAndNoError) {
  EXPECT_FALSE(store_->get("a", kAnySize));
  EXPECT_FALSE(store_->get_range("a", 0, 1));
  EXPECT_FALSE(store_->head("a"));
  const bool tells = GetParam().remove_tells;
  EXPECT_EQ(store_->remove("a"), !tells);
  EXPECT_EQ(store_->remove("deep/down/a"), !tells);
  EXPECT_TRUE(store_->list("", "", 1).objects.empty());
  EXPECT_TRUE(store_->list("deep/down/", "", 1).objects.empty());
}

TEST_P(ObjectStoreSuite, EmptyObjectExists) {
  store_->put("a", {});
  EXPECT_EQ(text_of(store_->get("a", 0)), "");
  EXPECT_EQ(text_of(store_->get_range("a", 0, 10)), "");
  EXPECT_EQ(store_->head("a")->size, 0U);
}

TEST_P(ObjectStoreSuite, PutReplaces) {
  store_->put("a", as_bytes("a first body"));
  store_->put("a", as_bytes("second"));
  EXPECT_EQ(text_of(store_->get("a", kAnySize)), "second");
  EXPECT_EQ(store_->list("", "", 10).objects.size(), 1U);
}

TEST_P(ObjectStoreSuite, OnlyIfAbsentRefusesAndChangesNothing) {
  if (!GetParam().only_if_absent) {
    EXPECT_EQ(code_of([&] { store_->put("a", as_bytes("x"), {.only_if_absent = true}); }),
              ErrorCode::unsupported);
    return;
  }
  store_->put("a", as_bytes("first"), {.only_if_absent = true});
  EXPECT_EQ(code_of([&] { store_->put("a", as_bytes("second"), {.only_if_absent = true}); }),
            ErrorCode::conflict);
  EXPECT_EQ(text_of(store_->get("a", kAnySize)), "first");
  store_->remove("a");
  store_->put("a", as_bytes("third"), {.only_if_absent = true});
  EXPECT_EQ(text_of(store_->get("a", kAnySize)), "third");
}

TEST_P(ObjectStoreSuite, OnlyIfAbsentHasOneWinnerAmongEightThreads) {
  if (!GetParam().only_if_absent) GTEST_SKIP() << "this store knows no such condition, and says so";
  constexpr int kThreads = 8;
  for (int round = 0; round < 20; ++round) {
    const std::string name = "race/" + std::to_string(round);
    std::atomic<int> winners = 0;
    std::atomic<int> conflicts = 0;
    std::string won;
    std::barrier start(kThreads);
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        const std::string body = "body " + std::to_string(i);
        start.arrive_and_wait();
        try {
          store_->put(name, as_bytes(body), {.only_if_absent = true});
          won = body;
          ++winners;
        } catch (const Error& error) {
          if (error.code() == ErrorCode::conflict) ++conflicts;
        }
      });
    }
    threads.clear();
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(conflicts, kThreads - 1);
    EXPECT_EQ(text_of(store_->get(name, kAnySize)), won);
  }
}

TEST_P(ObjectStoreSuite, ReadersSeeTheOldOrTheNewObjectNeverAMixture) {
  const auto body = [](int i) {
    return std::string(10'000 + static_cast<std::size_t>(i) * 37, static_cast<char>('a' + i % 26));
  };
  store_->put("a", as_bytes(body(0)));
  std::atomic<bool> done = false;
  std::atomic<int> bad = 0;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const std::string seen = text_of(store_->get("a", kAnySize));
        if (seen.size() < 10'000 || seen != body(static_cast<int>((seen.size() - 10'000) / 37))) ++bad;
      }
    });
  }
  for (int i = 1; i < 60; ++i) store_->put("a", as_bytes(body(i)));
  done = true;
  readers.clear();
  EXPECT_EQ(bad, 0);
}

TEST_P(ObjectStoreSuite, GetRangeStopsAtTheEnd) {
  store_->put("a", as_bytes("0123456789"));
  EXPECT_EQ(text_of(store_->get_range("a", 0, 3)), "012");
  EXPECT_EQ(text_of(store_->get_range("a", 7, 3)), "789");
  EXPECT_EQ(text_of(store_->get_range("a", 7, 100)), "789");
  EXPECT_EQ(text_of(store_->get_range("a", 10, 5)), "");
  EXPECT_EQ(text_of(store_->get_range("a", kAnySize, kAnySize)), "");
  EXPECT_EQ(text_of(store_->get_range("a", 4, kAnySize)), "456789");
  EXPECT_EQ(text_of(store_->get_range("a", 4, 0)), "");
}

TEST_P(ObjectStoreSuite, GetOverMaxBytesIsTooLarge) {
  store_->put("a", as_bytes("12345"));
  EXPECT_EQ(code_of([&] { (void)store_->get("a", 4); }), ErrorCode::too_large);
  EXPECT_EQ(text_of(store_->get("a", 5)), "12345");
}

TEST_P(ObjectStoreSuite, BigObjectsComeBackWhole) {
  std::string body(32U << 20, '\0');
  std::mt19937_64 random(7);
  for (std::size_t i = 0; i < body.size(); i += 8) {
    const std::uint64_t bits = random();
    std::memcpy(body.data() + i, &bits, 8);
  }
  store_->put("big", as_bytes(body));
  EXPECT_TRUE(text_of(store_->get("big", body.size())) == body);
  EXPECT_TRUE(text_of(store_->get_range("big", 20'000'001, 5'000'000)) == body.substr(20'000'001, 5'000'000));
}

TEST_P(ObjectStoreSuite, RemoveTakesOneObjectAway) {
  store_->put("a", as_bytes("1"));
  store_->put("a/b", as_bytes("2"));
  EXPECT_TRUE(store_->remove("a"));
  EXPECT_EQ(store_->remove("a"), !GetParam().remove_tells);
  EXPECT_FALSE(store_->get("a", kAnySize));
  EXPECT_EQ(text_of(store_->get("a/b", kAnySize)), "2");
}

TEST_P(ObjectStoreSuite, HostileNamesAreJustNames) {
  std::map<std::string, std::string> model;
  for (const std::string& name : hostile_names()) {
    EXPECT_TRUE(model.emplace(name, "body of " + name).second) << "twice in the test: " << name;
    EXPECT_FALSE(store_->head(name)) << name;
    store_->put(name, as_bytes(model[name]), {.only_if_absent = GetParam().only_if_absent});
  }
  for (const auto& [name, body] : model) {
    EXPECT_EQ(text_of(store_->get(name, kAnySize)), body) << name;
    EXPECT_EQ(store_->head(name)->name, name);
  }
  std::vector<std::string> expected;
  for (const auto& [name, body] : model) expected.push_back(name);
  EXPECT_EQ(list_all("", 1000), expected);
  EXPECT_EQ(list_all("", 7), expected);
  for (auto name = expected.begin(); name != expected.end(); name += 2) store_->remove(*name);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(store_->head(expected[i]).has_value(), i % 2 == 1) << expected[i];
  }
}

TEST_P(ObjectStoreSuite, IllegalNamesAreRefusedByEveryCall) {
  const std::vector<std::string> illegal = {"",
                                            std::string("a\0b", 3),
                                            "a\r\nb",
                                            "a\tb",
                                            "\x01",
                                            "\x7f",
                                            std::string(kMaxObjectNameBytes + 1, 'x'),
                                            "\xff",
                                            "a\xc3",
                                            "\xed\xa0\x80",
                                            "\xc0\xaf"};
  for (const std::string& name : illegal) {
    EXPECT_EQ(code_of([&] { store_->put(name, {}); }), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of([&] { (void)store_->get(name, 1); }), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of([&] { (void)store_->get_range(name, 0, 1); }), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of([&] { (void)store_->head(name); }), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of([&] { store_->remove(name); }), ErrorCode::invalid_argument);
  }
  EXPECT_EQ(code_of([&] { (void)store_->list("", "", 0); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { (void)store_->list("", "", 1001); }), ErrorCode::invalid_argument);
}

TEST_P(ObjectStoreSuite, ListAnswersAsAnOrderedMapWould) {
  std::mt19937_64 random(11);
  // Few letters, some that sort before and after '/', and parts around the length where they are cut.
  const std::string letters = "ab-./0%";
  const auto random_name = [&] {
    std::string name;
    if (random() % 8 == 0) name = std::string(195 + random() % 8, 'a');
    const std::size_t size = 1 + random() % 6;
    for (std::size_t i = 0; i < size; ++i) name += letters[random() % letters.size()];
    return name;
  };
  std::map<std::string, bool> model;
  const int objects = GetParam().slow ? 150 : 400;
  for (int i = 0; i < objects; ++i) model.emplace(random_name(), true);
  for (const auto& [name, unused] : model) store_->put(name, as_bytes(name));
  const int lists = GetParam().slow ? 60 : 400;
  for (int i = 0; i < lists; ++i) {
    const std::string prefix = random_name().substr(0, random() % 4);
    const std::string after = random() % 3 == 0 ? "" : random_name();
    const std::size_t limit = 1 + random() % 20;
    std::vector<std::string> expected;
    bool more = false;
    for (const auto& [name, unused] : model) {
      if (!name.starts_with(prefix) || name <= after) continue;
      more = expected.size() == limit;
      if (more) break;
      expected.push_back(name);
    }
    const ObjectPage page = store_->list(prefix, after, limit);
    std::vector<std::string> seen;
    for (const ObjectInfo& object : page.objects) {
      seen.push_back(object.name);
      EXPECT_EQ(object.size, object.name.size());
    }
    EXPECT_EQ(seen, expected) << "prefix " << prefix << ", after " << after << ", limit " << limit;
    EXPECT_EQ(page.more, more);
  }
}

TEST_P(ObjectStoreSuite, ListingMoreThanAPageOfOneFolderIsComplete) {
  std::vector<std::string> expected;
  const int objects = GetParam().slow ? 1010 : 2500;
  for (int i = 0; i < objects; ++i) {
    std::string name = std::to_string(10'000 + i);
    store_->put(name, {});
    expected.push_back(std::move(name));
  }
  EXPECT_EQ(list_all("", 1000), expected);
  EXPECT_EQ(list_all("", 999), expected);
}

TEST_P(ObjectStoreSuite, PagesUnderChangeHoldEveryObjectThatStayed) {
  for (int i = 0; i < 100; ++i) store_->put("stays/" + std::to_string(1000 + i), {});
  std::atomic<bool> done = false;
  std::jthread changer([&] {
    for (int i = 0; !done; ++i) {
      const std::string name = "stays/" + std::to_string(1000 + i % 100) + "x" + std::to_string(i % 3);
      store_->put(name, {});
      if (i % 2 == 0) store_->remove(name);
    }
  });
  const int rounds = GetParam().slow ? 1 : 5;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::string> stayed;
    const std::vector<std::string> seen = list_all("stays/", 7);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    for (const std::string& name : seen) {
      if (name.find('x') == std::string::npos) stayed.push_back(name);
    }
    EXPECT_EQ(stayed.size(), 100U);
  }
  done = true;
}

}  // namespace
}  // namespace db4::testing
