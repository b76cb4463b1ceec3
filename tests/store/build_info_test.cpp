// What build_info() says of this build is what this build does.
#include "support/temporary_folder.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <zstd.h>

#include <algorithm>
#include <functional>

namespace db4 {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::Not;

/// Every value of an enum that has a name.
template <class Kind>
std::vector<Kind> all_of() {
  std::vector<Kind> out;
  for (int n = 0; to_string(static_cast<Kind>(n)) != "unknown"; ++n) out.push_back(static_cast<Kind>(n));
  return out;
}

class BuildInfoTest : public ::testing::Test {
 protected:
  /// Whether a store opens with this in its configuration. A server that is away is no "unsupported".
  bool supported(const std::function<void(TieredStoreConfig&)>& change) {
    // An engine refuses the folder of another: each store gets one of its own.
    const std::filesystem::path folder = folder_.path() / std::to_string(++stores_);
    TieredStoreConfig config{.hot = {.type = HotType::memory, .path = folder / "hot"},
                             .warm = {.path = folder / "warm"},
                             .cold = {.path = folder / "cold"},
                             .tiering = {.interval = 0ms}};
    change(config);
    try {
      TieredStore store(config);
      store.write("kinds", "one", {{"n", 1}}, {.tier = StorageTier::cold});
      return store.read("kinds", "one").has_value();
    } catch (const Error& error) {
      return error.code() != ErrorCode::unsupported;
    }
  }

  template <class Kind>
  void expect_exactly(const std::vector<Kind>& listed,
                      const std::function<void(TieredStoreConfig&, Kind)>& set) {
    const std::vector<Kind> kinds = all_of<Kind>();
    ASSERT_GE(kinds.size(), 3U);
    for (const Kind kind : kinds) {
      const bool is_listed = std::find(listed.begin(), listed.end(), kind) != listed.end();
      EXPECT_EQ(is_listed, supported([&](TieredStoreConfig& config) { set(config, kind); }))
          << to_string(kind);
    }
  }

  testing::TemporaryFolder folder_;
  int stores_ = 0;
  BuildInfo info_ = build_info();
};

TEST_F(BuildInfoTest, VersionIsTheHeadersVersion) {
  const std::string of_header = std::to_string(DB4_VERSION_MAJOR) + "." + std::to_string(DB4_VERSION_MINOR) +
                                "." + std::to_string(DB4_VERSION_PATCH);
  EXPECT_EQ(version(), of_header);
  EXPECT_EQ(info_.version, of_header);
}

TEST_F(BuildInfoTest, ListsExactlyTheKindsThatOpen) {
  expect_exactly<HotType>(info_.hot_types, [](auto& config, HotType kind) { config.hot.type = kind; });
  expect_exactly<WarmType>(info_.warm_types, [](auto& config, WarmType kind) { config.warm.type = kind; });
  expect_exactly<ColdType>(info_.cold_types, [](auto& config, ColdType kind) { config.cold.type = kind; });
  expect_exactly<Compression>(info_.compressions,
                              [](auto& config, Compression kind) { config.cold.compression = kind; });
}

TEST_F(BuildInfoTest, NamesTheLibrariesThatAreLoaded) {
  for (const LibraryVersion& library : info_.libraries) {
    EXPECT_THAT(library.compiled, ::testing::MatchesRegex("[0-9]+[.][0-9]+([.][0-9]+)*")) << library.name;
    EXPECT_THAT(library.purpose, Not(IsEmpty())) << library.name;
  }
  EXPECT_THAT(info_.libraries, Contains(Field(&LibraryVersion::running, sqlite3_libversion())));
  EXPECT_THAT(info_.libraries, Contains(Field(&LibraryVersion::running, ZSTD_versionString())));
  for (const char* name : {"rocksdb", "sqlite", "zstd", "libdeflate", "simdjson", "openssl", "curl",
                           "pugixml", "hiredis", "libpq", "libsodium"})
    EXPECT_THAT(info_.libraries, Contains(Field(&LibraryVersion::name, name)));
}

TEST_F(BuildInfoTest, SaysHowItWasBuilt) {
  EXPECT_THAT(info_.compiler, ::testing::MatchesRegex("(g|clang)[+][+] [0-9.]+"));
#if defined(__SANITIZE_ADDRESS__)
  EXPECT_THAT(info_.sanitizers, ::testing::HasSubstr("address"));
#elif defined(__SANITIZE_THREAD__)
  EXPECT_THAT(info_.sanitizers, ::testing::HasSubstr("thread"));
#else
  EXPECT_THAT(info_.sanitizers, IsEmpty());
#endif
}

}  // namespace
}  // namespace db4
