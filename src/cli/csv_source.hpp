#pragma once
// Comma-separated values as documents: RFC 4180, with the names of the members in the first line.

#include "byte_reader.hpp"
#include "record_source.hpp"

#include <vector>

namespace db4::cli {

struct CsvOptions {
  char separator = ',';
  /// Fields that are a number written as JSON writes it become one; else all are text.
  bool numbers = false;
};

/// A row is an object with a member for each column. Throws invalid_argument for a first line that is none of
/// names, or names a column twice.
class CsvSource final : public RecordSource {
 public:
  CsvSource(std::unique_ptr<ByteReader> reader, CsvOptions options);
  bool next(Record& record) override;
  [[nodiscard]] SourcePosition position() const override {
    return {.byte = reader_->offset(), .line = line_, .file = {}};
  }
  void go_to(const SourcePosition& position) override;

 private:
  enum class Row { none, good, bad, endless };
  /// Reads a row into fields_; empty lines are passed over. `problem` says what is wrong with it.
  Row read_row(std::string& problem);
  Row read_fields(std::string& problem);
  bool read_quoted(std::string& field);
  /// The next byte, not consumed; -1 at the end.
  int peek();
  void take() noexcept;
  /// Consumes the end of a line, where one stands here.
  bool take_line_end();

  std::unique_ptr<ByteReader> reader_;
  CsvOptions options_;
  std::vector<std::string> names_;
  std::vector<std::string> fields_;
  std::size_t row_bytes_ = 0;
  std::uint64_t line_ = 0;  ///< lines that are consumed
  std::uint64_t row_line_ = 0;
  std::uint64_t row_byte_ = 0;
};

/// Whether a field is a number that JSON writes with just these bytes: 7, -1.5, but not 007, +1, 1.50 or
/// 1e400.
bool is_exact_number(std::string_view field);

}  // namespace db4::cli
