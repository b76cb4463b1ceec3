#pragma once
// The form that exports have: a line for each document that gives it back byte for byte, whatever its id, its
// type and its body. docs/import-export.md describes it.

#include "record_source.hpp"

#include <filesystem>
#include <string>
#include <string_view>

namespace db4::cli {

/// The first line of an export in lines, and of a folder's index.
inline constexpr std::string_view kExportMark = R"({"db4_export":1})";
inline constexpr std::string_view kFolderMark = R"({"db4_export_folder":1})";
inline constexpr const char* kFolderIndex = "index.jsonl";
/// A file that stands in a folder until the export into it is complete.
inline constexpr const char* kUnfinishedExport = "export.unfinished";
inline constexpr std::string_view kUnfinishedExportText =
    "An export by db4 is being written here, or was broken off: `db4 export --folder` begins it anew.\n";

/// Whether the folder has what an export that did not come to its end left there.
bool is_unfinished_export(const std::filesystem::path& folder);

/// Whether a line is a mark of this kind, of any version.
bool has_mark(std::string_view line, std::string_view mark);

struct Envelope {
  std::string_view collection;
  std::string_view id;
  std::string_view content_type;
};

/// A document as a line, without its end.
std::string encode_envelope(const Envelope& envelope, std::string_view body);
/// A line of a folder's index, without its end.
std::string encode_index_entry(const Envelope& envelope, std::string_view file);

/// Documents out of the lines that encode_envelope made, behind the mark.
class EnvelopeSource final : public RecordSource {
 public:
  explicit EnvelopeSource(std::unique_ptr<RecordSource> lines) : lines_(std::move(lines)) {}
  bool next(Record& record) override;
  [[nodiscard]] SourcePosition position() const override { return lines_->position(); }
  void go_to(const SourcePosition& position) override { lines_->go_to(position); }

 private:
  std::unique_ptr<RecordSource> lines_;
};

/// Takes the line that is the record's body apart; `file` is what a line of an index names. A line that is
/// none becomes a problem.
void decode_envelope(Record& record, std::string* file);

}  // namespace db4::cli
