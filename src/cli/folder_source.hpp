#pragma once
// Files as documents: those of a folder, or those that the index of an exported folder names.

#include "record_source.hpp"

#include <filesystem>
#include <vector>

namespace db4::cli {

/// Every regular file under a folder, in byte order of the paths, which are the ids; or one file, whose id is
/// its name. Symbolic links are not followed, nor are they documents.
class FolderSource final : public RecordSource {
 public:
  /// Lists the folder. Throws invalid_argument where it cannot be read.
  explicit FolderSource(const std::filesystem::path& folder);
  bool next(Record& record) override;
  [[nodiscard]] SourcePosition position() const override;
  void go_to(const SourcePosition& position) override;
  /// Of all the files.
  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return total_bytes_; }

 private:
  struct File {
    std::string id;
    std::uint64_t bytes;
  };
  void add(const std::filesystem::directory_entry& entry, std::string id);

  std::filesystem::path folder_;
  std::vector<File> files_;
  std::size_t next_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
};

/// The documents of a folder that `db4 export --folder` made, by its index.
class ExportedFolderSource final : public RecordSource {
 public:
  /// `lines`: those of the index.
  ExportedFolderSource(const std::filesystem::path& folder, std::unique_ptr<RecordSource> lines);
  bool next(Record& record) override;
  [[nodiscard]] SourcePosition position() const override { return lines_->position(); }
  void go_to(const SourcePosition& position) override { lines_->go_to(position); }

 private:
  std::filesystem::path folder_;
  std::unique_ptr<RecordSource> lines_;
};

}  // namespace db4::cli
