#include "import_inputs.hpp"

#include "envelope.hpp"
#include "folder_source.hpp"
#include "json_sources.hpp"
#include "text.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <fstream>

namespace db4::cli {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line(kFolderMark.size() + 16, '\0');
  in.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<std::size_t>(in.gcount()));
  return line;
}

bool is_exported_folder(const fs::path& folder) {
  return has_mark(first_line(folder / kFolderIndex), kFolderMark);
}

bool ends_with(const std::string& name, std::string_view ending) {
  return name.size() >= ending.size() &&
         std::equal(ending.rbegin(), ending.rend(), name.rbegin(),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
}

InputFormat format_of(const std::string& word) {
  return static_cast<InputFormat>(std::ranges::find(kInputFormats, word) - std::begin(kInputFormats));
}

InputFormat guess(const std::string& name, std::string_view begin) {
  if (has_mark(begin, kExportMark)) return InputFormat::db4;
  if (ends_with(name, ".jsonl") || ends_with(name, ".ndjson")) return InputFormat::json_lines;
  if (ends_with(name, ".csv")) return InputFormat::csv;
  const std::size_t first = begin.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return first != std::string_view::npos && begin[first] == '[' ? InputFormat::json_array
                                                                : InputFormat::json_lines;
}

std::optional<std::uint64_t> size_of(const std::string& name) {
  std::error_code problem;
  const std::uint64_t size = fs::is_regular_file(name, problem) ? fs::file_size(name, problem) : 0;
  return size == 0 || problem ? std::nullopt : std::optional(size);
}

OpenedInput open_folder(const std::string& name, const std::string& format, const std::stop_token& stop) {
  if (!format.empty() && format != "files" && format != "db4") {
    throw Error(ErrorCode::invalid_argument, escape(name) + " is a folder, and --format is " + format,
                "name a file, or use --format files");
  }
  const bool unfinished = is_unfinished_export(name);
  if (format != "files" && !unfinished && is_exported_folder(name)) {
    const std::string index = fs::path(name) / kFolderIndex;
    auto lines = std::make_unique<JsonLinesSource>(std::make_unique<ByteReader>(index, stop));
    return {.format = InputFormat::db4,
            .source = std::make_unique<ExportedFolderSource>(name, std::move(lines)),
            .total_bytes = size_of(index)};
  }
  // An earlier db4 left no mark, but the part of an index.
  const bool part = fs::exists(fs::path(name) / (std::string(kFolderIndex) + ".part"));
  if (format == "db4" || ((unfinished || part) && format != "files")) {
    throw Error(ErrorCode::invalid_argument,
                escape(name) + (unfinished || part ? " is an export that was not finished"
                                                   : " is no export: it has no " + std::string(kFolderIndex)),
                "export it again, or import its files as they are with --format files");
  }
  auto source = std::make_unique<FolderSource>(name);
  const std::uint64_t bytes = source->total_bytes();
  return {.format = InputFormat::files, .source = std::move(source), .total_bytes = bytes};
}

}  // namespace

OpenedInput open_input(const std::string& name, const std::string& format, const CsvOptions& csv,
                       const std::stop_token& stop) {
  if (name != "-" && fs::is_directory(name)) return open_folder(name, format, stop);
  auto reader = std::make_unique<ByteReader>(name, stop);
  if (format == "files" && name == "-") {
    throw Error(ErrorCode::invalid_argument, "standard input is no folder of files", "name the folder");
  }
  OpenedInput opened;
  opened.total_bytes = size_of(name);
  opened.format = format.empty() ? guess(name, reader->peek(64)) : format_of(format);
  switch (opened.format) {
    case InputFormat::json_lines:
      opened.source = std::make_unique<JsonLinesSource>(std::move(reader));
      break;
    case InputFormat::json_array:
      opened.source = std::make_unique<JsonArraySource>(std::move(reader));
      break;
    case InputFormat::csv:
      opened.source = std::make_unique<CsvSource>(std::move(reader), csv);
      break;
    case InputFormat::files:
      opened.source = std::make_unique<FolderSource>(name);
      break;
    case InputFormat::db4:
      opened.source = std::make_unique<EnvelopeSource>(std::make_unique<JsonLinesSource>(std::move(reader)));
      break;
  }
  return opened;
}

bool is_stream(const std::string& name) {
  std::error_code problem;
  const fs::file_status status = fs::status(name, problem);
  return name == "-" || (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status));
}

bool is_export(const std::string& name) {
  std::error_code problem;
  if (fs::is_directory(name, problem)) return is_exported_folder(name) || is_unfinished_export(name);
  return fs::is_regular_file(name, problem) && has_mark(first_line(name), kExportMark);
}

}  // namespace db4::cli
