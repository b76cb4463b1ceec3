#pragma once
// The conformance suite of ObjectStore: what every implementation, and every layer over one, must do. To run
// it against your own, link object_store_suite.cpp and see docs/backends.md.

#include <db4/error.hpp>
#include <db4/limits.hpp>
#include <db4/object_store.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace db4::testing {

/// How the suite gets an empty store; `cleanup` runs after the store is gone.
struct ObjectStoreFactory {
  std::string name;
  std::function<std::shared_ptr<ObjectStore>()> make;
  std::function<void()> cleanup = [] {};
  // What an implementation may declare that it does not do; the contract says how it refuses.
  bool if_match = true;
  bool only_if_absent = true;
  bool multipart = true;
  /// Whether who loses a race of conditional puts is always told `conflict`: `unavailable` otherwise, which
  /// is repeated and then told.
  bool losers_are_told = true;
  /// A server at the end of some milliseconds: fewer rounds of the same.
  bool slow = false;
  /// Whether remove() tells whether there was an object.
  bool remove_tells = true;
};

inline void PrintTo(const ObjectStoreFactory& factory, std::ostream* out) { *out << factory.name; }

inline constexpr std::uint64_t kAnySize = ~0ULL;

inline std::string text_of(const std::optional<Bytes>& bytes) {
  return bytes ? std::string(as_text(*bytes)) : "(absent)";
}

inline ErrorCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_FALSE(error.problem().empty());
    EXPECT_FALSE(error.advice().empty());
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::internal;
}

/// Names that an implementation might take for a path, a device, an escape or one another.
inline std::vector<std::string> hostile_names() {
  std::vector<std::string> names = {
      "a",    "A",       "a/b",    "a/B",      "a//b",      "a/",        "/",          "//",
      "/a",   ".",       "..",     "../x",     "../../x",   "a/../b",    "a/./b",      "./a",
      ".tmp", ".tmp/x",  "con",    "nul.txt",  "%2e",       "%2E",       "%",          "%%",
      "%/a",  "a%",      "a%/b",   "a.obj",    "a.obj/b",   "a.obj.obj", "a%2Eobj",    "a%2Eobj/b",
      ".obj", ".obj/b",  "%.obj",  "trailing", "trailing.", "trailing ", "trailing..", " ",
      "a b",  "a\\b",    "C:\\x",  "-rf",      "*",         "~",         "ä",          "a\u0308",
      "日本", "😀/😀",     "a-b",    "a.b",      "a/b/c/d",   "$(touch)",  "'\"`|;&",    "a+b",
      "a_b",  ".hidden", "..data", "...",
  };
  const std::string long_part(kMaxObjectNameBytes, 'x');
  names.push_back(long_part);
  for (const std::size_t size : {199, 200, 201, 255, 256, 400, 401})
    names.push_back(long_part.substr(0, size));
  names.push_back(long_part.substr(0, 200) + "/y");
  names.push_back(long_part.substr(0, 200) + "..");
  names.push_back(long_part.substr(0, 200) + "../y");
  names.push_back(long_part.substr(0, 200) + ".obj/y");
  names.push_back(long_part.substr(0, 198) + ".z");
  names.push_back(long_part.substr(0, 198) + "é");
  names.push_back(long_part.substr(0, 198) + "/z");
  names.push_back(std::string(kMaxObjectNameBytes, '/'));
  names.push_back(std::string(kMaxObjectNameBytes, ' '));
  std::string emoji;
  while (emoji.size() < kMaxObjectNameBytes) emoji += "😀";
  names.push_back(emoji);
  return names;
}

class ObjectStoreSuite : public ::testing::TestWithParam<ObjectStoreFactory> {
 protected:
  void SetUp() override { store_ = GetParam().make(); }
  void TearDown() override {
    store_.reset();
    GetParam().cleanup();
  }

  std::vector<std::string> list_all(std::string_view prefix, std::size_t limit) {
    std::vector<std::string> names;
    std::string after;
    for (;;) {
      const ObjectPage page = store_->list(prefix, after, limit);
      EXPECT_LE(page.objects.size(), limit);
      for (const ObjectInfo& object : page.objects) names.push_back(object.name);
      if (!page.more) return names;
      EXPECT_EQ(page.objects.size(), limit) << "a page that is followed by more must be full";
      if (page.objects.empty()) return names;
      after = names.back();
    }
  }

  std::shared_ptr<ObjectStore> store_;
};

}  // namespace db4::testing
