#pragma once
// What the tests of encrypted stores share: a store on disk, with or without keys, and a search for what must
// not be in its files.

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>

#include <fstream>
#include <map>

namespace db4::testing {

inline constexpr std::string_view kCanary = "canary-7c1f93b04ad8-not-to-be-found";

class EncryptionTest : public ::testing::TestWithParam<HotType> {
 protected:
  TieredStoreConfig config() const {
    TieredStoreConfig config{
        .hot = {.type = GetParam(), .path = folder_.path() / "hot", .inline_body_size = 256},
        .warm = {.type = WarmType::disk, .path = folder_.path() / "warm"},
        .cold = {.type = ColdType::filesystem, .path = folder_.path() / "cold", .max_attempts = 1},
        .tiering = {.promote_on_read = false, .interval = 0ms},
        .live = {.enabled = false}};
    config.sealing.reencrypt = reencrypts_;
    config.sealing.writes = writes_;
    if (encrypted_) {
      config.encryption =
          std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = master_}, clock_);
    }
    return config;
  }
  void open() {
    store_.reset();
    store_ = std::make_unique<TieredStore>(config(), Components{.clock = clock_});
  }
  void close() {
    if (store_) store_->close();
    store_.reset();
  }
  static std::string body(std::size_t i, std::string_view what = "first") {
    std::string out = std::string(kCanary) + std::string(what) + std::to_string(i);
    out.append(i % 3 * 400, 'x');  // some in their rows, some beside
    return out;
  }
  void write(std::size_t from, std::size_t until, std::string_view what = "first") {
    for (std::size_t i = from; i < until; ++i) {
      store_->write_bytes("users", std::to_string(i), as_bytes(body(i, what)));
      expected_[std::to_string(i)] = body(i, what);
    }
  }
  void demote(std::size_t from, std::size_t until) {
    for (std::size_t i = from; i < until; ++i) store_->demote("users", std::to_string(i), StorageTier::cold);
  }
  /// In one run, so that small records go into segments.
  void demote_all() {
    clock_->advance(48h);
    const TieringResult result = store_->run_tiering();
    ASSERT_TRUE(result.errors.empty()) << result.errors[0];
  }
  void expect_all() {
    for (const auto& [id, text] : expected_) {
      const auto document = store_->read("users", id);
      ASSERT_TRUE(document) << id;
      ASSERT_EQ(document->text(), text) << id;
    }
  }
  /// Files of the store in which the text stands.
  std::vector<std::string> files_with(std::string_view text) const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      std::error_code gone;  // RocksDB deletes files behind
      if (!entry.is_regular_file(gone)) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string bytes((std::istreambuf_iterator<char>(in)), {});
      if (bytes.find(text) != std::string::npos) out.push_back(entry.path().string());
    }
    return out;
  }
  std::string key_of(const std::string& id) { return store_->explain("users", id)->key_id; }

  const TemporaryFolder folder_;
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>(system_clock()->now());
  MasterKey master_ = generate_master_key();
  bool encrypted_ = true;
  bool writes_ = true;
  bool reencrypts_ = false;
  std::map<std::string, std::string> expected_;
  std::unique_ptr<TieredStore> store_;
};

/// Debian's RocksDB is not instrumented.
inline std::vector<HotType> disk_engines() {
  if (kThreadSanitizer) return {HotType::sqlite};
  return {HotType::sqlite, HotType::rocksdb};
}

}  // namespace db4::testing
