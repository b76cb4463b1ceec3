#include "folder_source.hpp"

#include "content_types.hpp"
#include "envelope.hpp"
#include "files.hpp"
#include "text.hpp"

#include <db4/error.hpp>

#include <algorithm>

namespace db4::cli {
namespace {

namespace fs = std::filesystem;

void read_into(Record& record, const fs::path& file) {
  try {
    record.body = read_regular(file);
  } catch (const Error& error) {
    record.problem = error.problem();
  }
}

/// Whether the name stays under the folder, also where there are symbolic links.
bool is_inside(const fs::path& folder, const fs::path& name) {
  if (name.empty() || name.is_absolute()) return false;
  std::error_code problem;
  const fs::path real = fs::canonical(folder / name, problem);
  // A file that is not there is a problem of its own.
  return problem ? name.lexically_normal() == name && *name.begin() != ".."
                 : real == folder / name.lexically_normal();
}

}  // namespace

FolderSource::FolderSource(const fs::path& folder) : folder_(folder) {
  if (!fs::is_directory(folder)) {
    folder_ = folder.parent_path();
    add(fs::directory_entry(folder), folder.filename().string());
    return;
  }
  try {
    for (auto at = fs::recursive_directory_iterator(folder); at != fs::recursive_directory_iterator(); ++at) {
      if (at->is_symlink() || !at->is_regular_file()) continue;
      add(*at, at->path().lexically_relative(folder).string());
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorCode::invalid_argument,
                "cannot read " + escape(error.path1().string()) + ": " + error.code().message(),
                "check the permissions of the folder");
  }
  std::ranges::sort(files_, {}, &File::id);
}

void FolderSource::add(const fs::directory_entry& entry, std::string id) {
  std::error_code gone;
  const std::uint64_t bytes = entry.file_size(gone);
  files_.push_back({.id = std::move(id), .bytes = gone ? 0 : bytes});
  total_bytes_ += files_.back().bytes;
}

bool FolderSource::next(Record& record) {
  if (next_ == files_.size()) return false;
  reset(record);
  const File& file = files_[next_++];
  record.byte = bytes_;
  record.line = next_;
  record.place = "file " + escape(file.id);
  record.id = file.id;
  const std::string type = content_type_of(file.id);
  record.content_type = type == "application/json" ? std::string() : type;
  read_into(record, folder_ / file.id);
  bytes_ += file.bytes;
  return true;
}

SourcePosition FolderSource::position() const {
  return {.byte = bytes_, .line = next_, .file = next_ == 0 ? std::string() : files_[next_ - 1].id};
}

void FolderSource::go_to(const SourcePosition& position) {
  next_ = 0;
  bytes_ = 0;
  while (next_ < files_.size() && files_[next_].id <= position.file) bytes_ += files_[next_++].bytes;
}

ExportedFolderSource::ExportedFolderSource(const fs::path& folder, std::unique_ptr<RecordSource> lines)
    : folder_(fs::canonical(folder)), lines_(std::move(lines)) {}

bool ExportedFolderSource::next(Record& record) {
  while (lines_->next(record)) {
    if (record.problem.empty() && has_mark(record.body, kFolderMark)) {
      if (record.body == kFolderMark) continue;
      record.problem = "the export is of a newer db4: " + record.body.substr(0, 100);
      record.last_readable = true;
    }
    if (!record.problem.empty()) return true;
    std::string file;
    decode_envelope(record, &file);
    if (!record.problem.empty()) return true;
    if (is_inside(folder_, file)) {
      read_into(record, folder_ / file);
    } else {
      record.problem = "its file is not in the folder";
    }
    if (!record.problem.empty()) record.problem += ": " + escape(file);
    return true;
  }
  return false;
}

}  // namespace db4::cli
