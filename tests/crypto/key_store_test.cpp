// The stores that db4 comes with do what every KeyStore does, and one in a file what only that does.
#include "crypto_fixtures.hpp"
#include "key_store_suite.hpp"
#include "support/temporary_folder.hpp"

#include <db4/key_store.hpp>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace db4::crypto {
namespace {

class FileKeyStoreTest : public ::testing::Test {
 protected:
  testing::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "ring";
};

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

namespace db4::testing {
namespace {

KeyStoreFactory in_memory() {
  const auto last = std::make_shared<std::shared_ptr<KeyStore>>();
  return {.name = "Memory",
          .make = [last] { return *last = std::make_shared<InMemoryKeyStore>(); },
          .another = [last] { return *last; }};
}

KeyStoreFactory in_a_file() {
  const auto folder = std::make_shared<std::unique_ptr<TemporaryFolder>>();
  const auto another = [folder] {
    return std::make_shared<FileKeyStore>((*folder)->path() / "keys" / "ring");
  };
  return {.name = "File",
          .make =
              [folder, another] {
                *folder = std::make_unique<TemporaryFolder>();
                return another();
              },
          .another = another};
}

INSTANTIATE_TEST_SUITE_P(KeyStores, KeyStoreSuite, ::testing::Values(in_memory(), in_a_file()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace db4::testing
