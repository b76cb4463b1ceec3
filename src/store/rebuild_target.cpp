#include "store/rebuild_target.hpp"

#include "base/file_descriptor.hpp"
#include "kv/postgres_tables.hpp"
#include "store/impl.hpp"

#include <fcntl.h>

namespace db4::store {
namespace {

namespace fs = std::filesystem;

class FolderTarget final : public RebuildTarget {
 public:
  explicit FolderTarget(const HotConfig& config)
      : options_(engine_options(config)), target_(fs::absolute(config.path).lexically_normal()) {
    if (!target_.has_filename()) target_ = target_.parent_path();
    folder_ = target_;
    folder_ += ".rebuilding";
    std::error_code ignored;
    if (fs::exists(target_, ignored) && !fs::is_empty(target_, ignored)) {
      throw Error(ErrorCode::invalid_argument, "the folder " + config.path.string() + " is not empty",
                  "move it away first, and keep it: what is hot alone is there");
    }
  }

  kv::EngineOptions prepare() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    options_.path = folder_;
    return options_;
  }
  void publish() override {
    fs::rename(folder_, target_);
    sync_folder(target_.parent_path());
  }
  void discard() noexcept override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

 private:
  static void sync_folder(const fs::path& folder) {
    const FileDescriptor fd(
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.open()) ::fsync(fd.get());
  }

  kv::EngineOptions options_;
  fs::path target_;
  fs::path folder_;
};

class SchemaTarget final : public RebuildTarget {
 public:
  explicit SchemaTarget(const HotConfig& config) : options_(engine_options(config)), target_(config.schema) {
    if (kv::postgres_tables_exist(options_)) {
      throw Error(ErrorCode::invalid_argument,
                  "the schema " + target_ + " of the database holds a store, or a part of one",
                  "keep it under another name first (ALTER SCHEMA " + target_ + " RENAME TO " + target_ +
                      "_lost): what is hot alone is there");
    }
    options_.postgres.schema = target_ + "_rebuilding";
  }

  kv::EngineOptions prepare() override {
    kv::drop_postgres_tables(options_);
    return options_;
  }
  void publish() override { kv::move_postgres_tables(options_, target_); }
  void discard() noexcept override {
    try {
      kv::drop_postgres_tables(options_);
    } catch (const std::exception&) {
      // The next attempt does.
    }
  }

 private:
  kv::EngineOptions options_;
  const std::string target_;
};

}  // namespace

std::unique_ptr<RebuildTarget> make_rebuild_target(const HotConfig& config) {
  if (config.type == HotType::memory) {
    throw Error(ErrorCode::invalid_argument, "a catalogue in memory cannot be rebuilt",
                "set hot.type and hot.path");
  }
  if (config.type == HotType::postgres) return std::make_unique<SchemaTarget>(config);
  return std::make_unique<FolderTarget>(config);
}

}  // namespace db4::store
