#pragma once
// JSON documents one after the other: in lines, or in one array.

#include "byte_reader.hpp"
#include "record_source.hpp"

#include <db4/limits.hpp>

namespace db4::cli {

/// A line of an export may hold a whole document in base 64, and its names.
inline constexpr std::uint64_t kMaxRecordBytes = kMaxBodyBytes / 3 * 4 + (64ULL << 10);

/// Lines that are not empty; what is in them is not looked at. A line that is too long is a bad record, and
/// is never held as a whole.
class JsonLinesSource final : public RecordSource {
 public:
  explicit JsonLinesSource(std::unique_ptr<ByteReader> reader);
  bool next(Record& record) override;
  [[nodiscard]] SourcePosition position() const override {
    return {.byte = reader_->offset(), .line = line_, .file = {}};
  }
  void go_to(const SourcePosition& position) override;

 private:
  /// False at the end; else a line is read, without its end.
  bool read_line(Record& record);

  std::unique_ptr<ByteReader> reader_;
  std::uint64_t line_ = 0;
};

/// The elements of one array, one at a time: an array of any length takes no more memory than its largest
/// element. Elements are told apart by their brackets and quotes alone.
class JsonArraySource final : public RecordSource {
 public:
  explicit JsonArraySource(std::unique_ptr<ByteReader> reader) : reader_(std::move(reader)) {}
  bool next(Record& record) override;
  [[nodiscard]] SourcePosition position() const override {
    return {.byte = reader_->offset(), .line = element_, .file = {}};
  }
  void go_to(const SourcePosition& position) override;
  [[nodiscard]] const char* unit() const override { return "element"; }

 private:
  /// The next byte that is no space, not consumed; nullopt at the end.
  std::optional<char> next_byte();
  bool fail(Record& record, const char* problem);
  /// From its first byte on; false where the input ends in it.
  bool read_element(Record& record);

  std::unique_ptr<ByteReader> reader_;
  std::uint64_t element_ = 0;
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace db4::cli
