#pragma once
// Whole files, and bytes as text.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace db4::cli {

/// The whole of a file, or of standard input for "-". Throws invalid_argument where it cannot be read,
/// too_large where it has more than kMaxBodyBytes.
std::string read_whole(const std::string& file, const std::stop_token& stop);
/// Writes a file whole, as OutputFile does.
void write_whole(const std::string& file, std::string_view bytes);
/// RFC 4648, with padding.
std::string base64(std::string_view bytes);
/// The bytes; nullopt where it is no base 64 as above.
std::optional<std::string> decode_base64(std::string_view letters);
/// A regular file that is no symbolic link. Throws as read_whole does.
std::string read_regular(const std::filesystem::path& file);

/// A file that is written piece by piece, and is there as a whole or not at all: it grows beside `file` and
/// is renamed by finish(); one that was there keeps its mode. A device or a pipe is written to as it is.
/// Every call throws permission_denied where it cannot be written. One thread.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& file);
  /// What is not finished is removed.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view bytes);
  /// Syncs and renames.
  void finish();

 private:
  void flush();
  [[noreturn]] void fail() const;

  std::filesystem::path file_;
  std::filesystem::path temporary_;  ///< empty: written in place
  int descriptor_ = -1;
  std::string buffer_;
};

}  // namespace db4::cli
