// The part of the conformance suite that is about conditions and uploads in parts.
#include "objects/object_store_suite.hpp"

#include <algorithm>
#include <random>
#include <thread>

namespace db4::testing {
namespace {

class Upload {
 public:
  Upload(ObjectStore& store, std::string name)
      : store_(store),
        name_(std::move(name)),
        part_size_(std::max<std::uint64_t>(store.part_rules().min_part_size, 1000)),
        id_(store.begin_multipart(name_, part_size_)) {}

  /// The bytes of a part; the last one is short.
  [[nodiscard]] std::string body(std::uint32_t number, bool last = false) const {
    std::string bytes(last ? 17 : part_size_, '\0');
    std::mt19937_64 random(number * 7919 + (last ? 1 : 0));
    for (std::size_t i = 0; i < bytes.size(); i += 64) bytes[i] = static_cast<char>(random());
    return bytes;
  }
  ObjectPart put(std::uint32_t number, bool last = false) {
    return store_.put_part(name_, id_, number, as_bytes(body(number, last)));
  }
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] std::uint64_t part_size() const { return part_size_; }

 private:
  ObjectStore& store_;
  const std::string name_;
  const std::uint64_t part_size_;
  const std::string id_;
};

TEST_P(ObjectStoreSuite, IfMatchReplacesOnlyTheObjectThatWasSeen) {
  if (!GetParam().if_match) {
    store_->put("a", as_bytes("first"));
    EXPECT_EQ(code_of([&] { store_->put("a", as_bytes("x"), {.if_match = "anything"}); }),
              ErrorCode::unsupported);
    return;
  }
  const PutResult first = store_->put("a", as_bytes("first"));
  ASSERT_FALSE(first.etag.empty());
  EXPECT_EQ(store_->head("a")->etag, first.etag);
  const PutResult second = store_->put("a", as_bytes("second"), {.if_match = first.etag});
  EXPECT_NE(second.etag, first.etag);
  EXPECT_EQ(code_of([&] { store_->put("a", as_bytes("third"), {.if_match = first.etag}); }),
            ErrorCode::conflict);
  EXPECT_EQ(text_of(store_->get("a", kAnySize)), "second");
  store_->remove("a");
  EXPECT_EQ(code_of([&] { store_->put("a", as_bytes("third"), {.if_match = second.etag}); }),
            ErrorCode::conflict);
  EXPECT_FALSE(store_->head("a"));
}

TEST_P(ObjectStoreSuite, IfMatchHasOneWinnerAmongThreads) {
  if (!GetParam().if_match) GTEST_SKIP() << "this store knows no If-Match, and says so";
  const PutResult seen = store_->put("a", as_bytes("seen"));
  std::atomic<int> winners = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&, i] {
        try {
          store_->put("a", as_bytes("body " + std::to_string(i)), {.if_match = seen.etag});
          ++winners;
        } catch (const Error& error) {
          const bool untold = !GetParam().losers_are_told && error.code() == ErrorCode::unavailable;
          EXPECT_TRUE(untold || error.code() == ErrorCode::conflict) << error.what();
        }
      });
    }
  }
  EXPECT_EQ(winners, 1);
}

TEST_P(ObjectStoreSuite, RemoveManyTakesThoseThatAreThere) {
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) names.push_back("many/" + std::to_string(i) + " &<>\"'");
  for (std::size_t i = 0; i < names.size(); i += 2) store_->put(names[i], as_bytes("x"));
  store_->put("stays", as_bytes("x"));
  EXPECT_TRUE(store_->remove_many(names).empty());
  EXPECT_EQ(list_all("", 100), std::vector<std::string>{"stays"});
}

TEST_P(ObjectStoreSuite, PartsBecomeOneObject) {
  if (!GetParam().multipart) GTEST_SKIP() << "declared";
  Upload upload(*store_, "big/one");
  // In any order, and one of them twice: the last counts.
  std::vector<ObjectPart> parts(3);
  parts[2] = upload.put(3, /*last=*/true);
  store_->put_part("big/one", upload.id(), 2, as_bytes(upload.body(9)));
  parts[1] = upload.put(2);
  parts[0] = upload.put(1);
  EXPECT_FALSE(store_->head("big/one")) << "there is no object before it is completed";
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(parts[i].number, i + 1);
    EXPECT_EQ(parts[i].size, i < 2 ? upload.part_size() : 17);
  }
  const std::string digest = store_->part_digest(as_bytes(upload.body(1)));
  if (!digest.empty()) {
    EXPECT_EQ(digest, parts[0].etag);
  }

  const PutResult result = store_->complete_multipart("big/one", upload.id(), parts);
  const auto info = store_->head("big/one");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->size, 2 * upload.part_size() + 17);
  EXPECT_EQ(info->etag, result.etag);
  const std::string of_parts = store_->object_digest(parts);
  if (!of_parts.empty() && result.verified) {
    EXPECT_EQ(of_parts, info->etag);
  }
  const std::string whole = upload.body(1) + upload.body(2) + upload.body(3, true);
  EXPECT_TRUE(text_of(store_->get("big/one", kAnySize)) == whole);
  EXPECT_EQ(text_of(store_->get_range("big/one", upload.part_size() - 5, 10)),
            whole.substr(upload.part_size() - 5, 10));
  EXPECT_TRUE(store_->list_multipart("", {}, 100).uploads.empty());
}

TEST_P(ObjectStoreSuite, CompletedAndAbortedUploadsAreGone) {
  if (!GetParam().multipart) GTEST_SKIP() << "declared";
  Upload completed(*store_, "a");
  const std::vector<ObjectPart> parts = {completed.put(1, true)};
  store_->complete_multipart("a", completed.id(), parts);
  Upload aborted(*store_, "b");
  aborted.put(1);
  store_->abort_multipart("b", aborted.id());
  store_->abort_multipart("b", aborted.id());  // no error where there is none
  EXPECT_FALSE(store_->head("b"));
  EXPECT_FALSE(store_->list_parts("b", aborted.id(), 0, 10));
  EXPECT_EQ(code_of([&] { aborted.put(2); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { store_->complete_multipart("b", aborted.id(), parts); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(text_of(store_->get("a", kAnySize)), completed.body(1, true));
}

TEST_P(ObjectStoreSuite, CompletionRefusesPartsThatAreNotThere) {
  if (!GetParam().multipart) GTEST_SKIP() << "declared";
  Upload upload(*store_, "a");
  const ObjectPart first = upload.put(1);
  const ObjectPart missing{2, 17, first.etag};
  const std::vector<ObjectPart> parts = {first, missing};
  EXPECT_EQ(code_of([&] { store_->complete_multipart("a", upload.id(), parts); }),
            ErrorCode::invalid_argument);
  EXPECT_FALSE(store_->head("a"));
  const std::vector<ObjectPart> right = {first, upload.put(2, true)};
  store_->complete_multipart("a", upload.id(), right);
  EXPECT_EQ(store_->head("a")->size, upload.part_size() + 17);
}

TEST_P(ObjectStoreSuite, ListPartsPagesThroughWhatArrived) {
  if (!GetParam().multipart) GTEST_SKIP() << "declared";
  Upload upload(*store_, "a");
  std::vector<ObjectPart> put;
  for (const std::uint32_t number : {1U, 2U, 3U}) put.push_back(upload.put(number, number == 3));
  std::vector<ObjectPart> seen;
  for (std::uint32_t after = 0;;) {
    const auto page = store_->list_parts("a", upload.id(), after, 2);
    ASSERT_TRUE(page);
    EXPECT_LE(page->parts.size(), 2U);
    seen.insert(seen.end(), page->parts.begin(), page->parts.end());
    if (!page->more) break;
    after = seen.back().number;
  }
  EXPECT_EQ(seen, put);
  store_->abort_multipart("a", upload.id());
}

TEST_P(ObjectStoreSuite, ListMultipartShowsWhatIsPending) {
  if (!GetParam().multipart) GTEST_SKIP() << "declared";
  const std::vector<std::string> names = {"p/a", "p/b", "p/b", "p/c d", "q"};
  std::vector<std::pair<std::string, std::string>> begun;
  for (const std::string& name : names) begun.emplace_back(name, Upload(*store_, name).id());
  std::vector<std::pair<std::string, std::string>> seen;
  PendingUpload after;
  for (;;) {
    const PendingUploadPage page = store_->list_multipart("p/", after, 2);
    EXPECT_LE(page.uploads.size(), 2U);
    for (const PendingUpload& upload : page.uploads) {
      seen.emplace_back(upload.name, upload.upload_id);
      EXPECT_GT(upload.started.time_since_epoch().count(), 0);
    }
    if (!page.more) break;
    ASSERT_FALSE(page.uploads.empty());
    after = page.uploads.back();
  }
  std::vector<std::pair<std::string, std::string>> expected(begun.begin(), begun.end() - 1);
  std::ranges::sort(expected);
  std::ranges::sort(seen);
  EXPECT_EQ(seen, expected);
  for (const auto& [name, id] : begun) store_->abort_multipart(name, id);
  EXPECT_TRUE(store_->list_multipart("", {}, 10).uploads.empty());
}

TEST_P(ObjectStoreSuite, PartsFromManyThreadsArriveWhole) {
  if (!GetParam().multipart) GTEST_SKIP() << "declared";
  constexpr std::uint32_t kParts = 8;
  Upload upload(*store_, "threads");
  std::vector<ObjectPart> parts(kParts);
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint32_t i = t; i < kParts; i += 4) parts[i] = upload.put(i + 1, i + 1 == kParts);
      });
    }
  }
  store_->complete_multipart("threads", upload.id(), parts);
  std::string whole;
  for (std::uint32_t i = 1; i <= kParts; ++i) whole += upload.body(i, i == kParts);
  EXPECT_TRUE(text_of(store_->get("threads", kAnySize)) == whole);
}

TEST_P(ObjectStoreSuite, WrongPartsAreRefused) {
  if (!GetParam().multipart) GTEST_SKIP() << "declared";
  const PartRules rules = store_->part_rules();
  if (rules.min_part_size > 1) {
    EXPECT_EQ(code_of([&] { store_->begin_multipart("a", rules.min_part_size - 1); }),
              ErrorCode::invalid_argument);
  }
  EXPECT_EQ(code_of([&] { store_->begin_multipart("a", rules.max_part_size + 1); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { store_->begin_multipart("", rules.min_part_size); }), ErrorCode::invalid_argument);
  Upload upload(*store_, "a");
  EXPECT_EQ(code_of([&] { store_->put_part("a", upload.id(), 0, as_bytes("x")); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { store_->put_part("a", upload.id(), rules.max_parts + 1, as_bytes("x")); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { store_->complete_multipart("a", upload.id(), {}); }), ErrorCode::invalid_argument);
  store_->abort_multipart("a", upload.id());
}

}  // namespace
}  // namespace db4::testing
