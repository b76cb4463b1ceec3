#pragma once
// What an import reads: which form an input has, and the records in it.

#include "csv_source.hpp"
#include "record_source.hpp"

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace db4::cli {

enum class InputFormat { json_lines, json_array, csv, files, db4 };

inline constexpr const char* kInputFormats[] = {"jsonl", "json", "csv", "files", "db4"};

struct OpenedInput {
  InputFormat format = InputFormat::json_lines;
  std::unique_ptr<RecordSource> source = {};
  /// For progress: what SourcePosition::byte counts up to.
  std::optional<std::uint64_t> total_bytes = {};
};

/// Opens a file, a folder, or standard input ("-"). The format is the one of that word (kInputFormats), or it
/// is told by the name and what it begins with. Throws what the sources throw; invalid_argument for a folder
/// where a format of files is named, and for an export that was broken off.
OpenedInput open_input(const std::string& name, const std::string& format, const CsvOptions& csv,
                       const std::stop_token& stop);

/// Whether an input is read once and gone: standard input, a pipe, a terminal. Nothing tells what such a one
/// gives from what it gave before.
bool is_stream(const std::string& name);

/// Whether a file or folder is what `db4 export` made: it names its collections itself.
bool is_export(const std::string& name);

}  // namespace db4::cli
