#pragma once
// Reading an input of any length, piece by piece.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace db4::cli {

/// A file or standard input, read in large pieces. Every call throws unavailable where reading fails, and
/// cancelled where `stop` is requested while it waits for a pipe. One thread.
class ByteReader {
 public:
  /// "-" is standard input. Throws invalid_argument where it cannot be opened, or is a folder.
  ByteReader(const std::string& file, std::stop_token stop);
  ~ByteReader();
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  /// What was read and not consumed yet: something, except at the end. Stays good until the next call.
  std::string_view available();
  /// The same with at least `bytes`, unless the end comes before.
  std::string_view peek(std::size_t bytes);
  void consume(std::size_t bytes) noexcept { begin_ += bytes; }

  /// For use at the start.
  void skip_byte_order_mark();

  /// Of the first byte that is not consumed.
  [[nodiscard]] std::uint64_t offset() const noexcept { return read_ - (end_ - begin_); }
  /// Goes on at this offset. What cannot be sought, such as a pipe, is read up to there; it cannot go back.
  void seek(std::uint64_t offset);

  /// For messages.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// A regular file: it has a size, and can be sought.
  [[nodiscard]] bool regular() const noexcept { return regular_; }

 private:
  /// Whether there was more.
  bool fill();
  void wait_for_input() const;

  std::string name_;
  std::stop_token stop_;
  int descriptor_;
  bool regular_ = false;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t read_ = 0;  ///< offset behind the buffer
};

}  // namespace db4::cli
