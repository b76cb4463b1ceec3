#pragma once
// What the tests of the engines share: a folder that goes away, the spaces, and one fixture over all engines.

#include "base/encoding.hpp"
#include "kv/commit_queue.hpp"
#include "kv/engine.hpp"
#include "support/postgres_server.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace db4::kv::testing {

inline constexpr std::uint8_t kRows = 1;
inline constexpr std::uint8_t kBodies = 2;
inline constexpr std::uint8_t kCounts = 3;
inline constexpr std::uint8_t kLast = 254;

inline std::vector<SpaceSpec> all_spaces() {
  return {{kRows, "rows", SpaceKind::keys},
          {kBodies, "bodies", SpaceKind::bodies},
          {kCounts, "counts", SpaceKind::counters},
          {kLast, "last", SpaceKind::keys}};
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "db4_kv_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string counter_bytes(std::int64_t value) {
  std::string out;
  put_fixed(out, value);
  return out;
}

inline std::string sequence_key(std::string prefix, std::uint64_t sequence) {
  put_big_endian(prefix, sequence);
  return prefix;
}

inline Outcome commit(Engine& engine, const Batch& batch, Durability durability = Durability::process) {
  const Batch* const group[] = {&batch};
  return engine.commit(group, durability).front();
}

inline void put(Engine& engine, std::uint8_t space, std::string key, std::string value,
                Durability durability = Durability::process) {
  Batch batch;
  batch.put(space, std::move(key), std::move(value));
  ASSERT_TRUE(commit(engine, batch, durability).committed());
}

inline std::int64_t counter(const Engine& engine, const std::string& key) {
  const auto value = engine.get(kCounts, key);
  return value ? load_fixed<std::int64_t>(value->data()) : 0;
}

inline std::vector<std::string> keys(const Engine& engine, const ScanRequest& request) {
  std::vector<std::string> out;
  for (const Entry& entry : engine.scan(request)) out.push_back(entry.key);
  return out;
}

/// The code of what `call` throws; nullopt where it throws nothing.
template <typename Call>
std::optional<ErrorCode> thrown_code(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

class EngineTest : public ::testing::TestWithParam<HotType> {
 protected:
  void SetUp() override {
    if (GetParam() != HotType::postgres) return;
    std::string reason;
    server_ = db4::testing::shared_postgres_server(&reason);
    if (server_ == nullptr) GTEST_SKIP() << reason;
  }
  [[nodiscard]] EngineOptions options() const {
    EngineOptions options{
        .path = folder_.path() / "engine", .spaces = all_spaces(), .write_buffer_bytes = 1 << 20};
    if (server_ != nullptr) options.postgres = {.url = server_->url(), .schema = schema_};
    return options;
  }
  [[nodiscard]] std::unique_ptr<Engine> open() const { return open_engine(GetParam(), options()); }
  [[nodiscard]] bool on_disk() const { return GetParam() != HotType::memory; }

  TemporaryFolder folder_;
  db4::testing::PostgresServer* server_ = nullptr;
  const std::string schema_ = db4::testing::PostgresServer::new_schema();
};

inline std::string engine_name(const ::testing::TestParamInfo<HotType>& info) {
  return std::string(to_string(info.param));
}

}  // namespace db4::kv::testing
