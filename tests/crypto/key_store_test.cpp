// What every KeyStore does, and what only one in a file does.
#include "crypto_fixtures.hpp"
#include "support/temporary_folder.hpp"

#include <db4/key_store.hpp>

#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

namespace db4::crypto {
namespace {

enum class Kind { memory, file };

class KeyStoreTest : public ::testing::TestWithParam<Kind> {
 protected:
  std::shared_ptr<KeyStore> make() {
    if (GetParam() == Kind::memory) return std::make_shared<InMemoryKeyStore>();
    return std::make_shared<FileKeyStore>(folder_.path() / "keys" / "ring");
  }
  testing::TemporaryFolder folder_;
};

TEST_P(KeyStoreTest, HasNothingAtFirst) { EXPECT_EQ(make()->load(), std::nullopt); }

TEST_P(KeyStoreTest, ReplacesWhatIsExpectedOnly) {
  const auto store = make();
  EXPECT_FALSE(store->replace("something", "a"));
  EXPECT_EQ(store->load(), std::nullopt);
  EXPECT_TRUE(store->replace(std::nullopt, "a"));
  EXPECT_FALSE(store->replace(std::nullopt, "b"));
  EXPECT_FALSE(store->replace("b", "c"));
  EXPECT_EQ(store->load(), "a");
  EXPECT_TRUE(store->replace("a", std::string("b\0c", 3)));
  EXPECT_EQ(store->load(), std::string("b\0c", 3));
}

TEST_P(KeyStoreTest, OfManyWritersOneWinsEachTurn) {
  const auto store = make();
  ASSERT_TRUE(store->replace(std::nullopt, "0"));
  constexpr int kTurns = 25;
  std::atomic<int> won{0};
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int done = 0; done < kTurns;) {
        const std::string before = store->load().value();
        if (!store->replace(before, std::to_string(std::stoi(before) + 1))) continue;
        ++done;
        ++won;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(won, 4 * kTurns);
  EXPECT_EQ(store->load(), std::to_string(4 * kTurns));
}

INSTANTIATE_TEST_SUITE_P(Kinds, KeyStoreTest, ::testing::Values(Kind::memory, Kind::file),
                         [](const auto& kind) { return kind.param == Kind::memory ? "Memory" : "File"; });

class FileKeyStoreTest : public ::testing::Test {
 protected:
  testing::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "ring";
};

TEST_F(FileKeyStoreTest, IsSharedByAllWhoNameTheFile) {
  FileKeyStore first(path_);
  FileKeyStore second(path_);
  ASSERT_TRUE(first.replace(std::nullopt, "a"));
  EXPECT_EQ(second.load(), "a");
  EXPECT_TRUE(second.replace("a", "b"));
  EXPECT_FALSE(first.replace("a", "c"));
}

TEST_F(FileKeyStoreTest, OnlyThisUserMayReadWhatItCreates) {
  ASSERT_TRUE(FileKeyStore(path_).replace(std::nullopt, "a"));
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    struct stat found {};
    ASSERT_EQ(::stat(entry.path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0600U) << entry.path();
  }
}

TEST_F(FileKeyStoreTest, WhatAKilledProcessLeftBesideItDoesNotMatter) {
  std::ofstream(path_.string() + ".new") << "half a ring, and longer than the next";
  FileKeyStore store(path_);
  EXPECT_EQ(store.load(), std::nullopt);
  ASSERT_TRUE(store.replace(std::nullopt, "a"));
  EXPECT_EQ(store.load(), "a");
}

TEST_F(FileKeyStoreTest, SaysWhatTheSystemSays) {
  EXPECT_EQ(error_of([] { FileKeyStore("folder/"); }), ErrorCode::invalid_argument);
  std::filesystem::create_directories(path_);  // a folder where the file should be
  FileKeyStore store(path_);
  EXPECT_EQ(error_of([&] { std::ignore = store.load(); }), ErrorCode::unavailable);
}

TEST_F(FileKeyStoreTest, RefusesAFileThatIsNoRingBySize) {
  std::ofstream(path_) << std::string(kMaxKeyRingBytes + 1, 'x');
  FileKeyStore store(path_);
  EXPECT_EQ(error_of([&] { std::ignore = store.load(); }), ErrorCode::corrupt);
}

}  // namespace
}  // namespace db4::crypto
