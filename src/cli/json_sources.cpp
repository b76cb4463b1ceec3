#include "json_sources.hpp"

#include <algorithm>
#include <cstring>

namespace db4::cli {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr const char* kTooLong = "it is longer than a document may be (64 MiB)";

/// Follows the bytes of one JSON value to its end.
class ValueEnd {
 public:
  /// How many of `bytes` belong to the value; done() says whether it ends with them.
  std::size_t take(std::string_view bytes) noexcept {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const char c = bytes[i];
      if (in_string_) {
        step_in_string(c);
        if (done_) return i + 1;
      } else if (depth_ == 0 && begun_ && (c == ',' || c == ']' || kSpace.find(c) != kSpace.npos)) {
        done_ = true;  // behind a number or a word
        return i;
      } else {
        step(c);
        if (done_) return i + 1;
      }
      begun_ = true;
    }
    return bytes.size();
  }
  [[nodiscard]] bool done() const noexcept { return done_; }

 private:
  void step_in_string(char c) noexcept {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
      done_ = depth_ == 0;
    }
  }
  void step(char c) noexcept {
    if (c == '"') in_string_ = true;
    if (c == '{' || c == '[') ++depth_;
    if ((c == '}' || c == ']') && depth_ > 0) done_ = --depth_ == 0;
  }

  std::size_t depth_ = 0;
  bool begun_ = false;
  bool in_string_ = false;
  bool escaped_ = false;
  bool done_ = false;
};

}  // namespace

JsonLinesSource::JsonLinesSource(std::unique_ptr<ByteReader> reader) : reader_(std::move(reader)) {
  reader_->skip_byte_order_mark();
}

bool JsonLinesSource::next(Record& record) {
  while (read_line(record)) {
    if (!record.body.empty() && record.body.back() == '\r') record.body.pop_back();
    if (!record.problem.empty() || record.body.find_first_not_of(kSpace) != std::string::npos) return true;
  }
  return false;
}

bool JsonLinesSource::read_line(Record& record) {
  reset(record);
  record.line = ++line_;
  record.byte = reader_->offset();
  for (bool any = false;; any = true) {
    const std::string_view piece = reader_->available();
    if (piece.empty()) return any;
    const std::size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    if (record.body.size() + part.size() > kMaxRecordBytes) {
      record.problem = kTooLong;
      record.body.clear();
    }
    if (record.problem.empty()) record.body.append(part);
    reader_->consume(std::min(part.size() + 1, piece.size()));
    if (end != std::string_view::npos) return true;
  }
}

void JsonLinesSource::go_to(const SourcePosition& position) {
  reader_->seek(position.byte);
  line_ = position.line;
}

std::optional<char> JsonArraySource::next_byte() {
  for (;;) {
    const std::string_view piece = reader_->available();
    if (piece.empty()) return std::nullopt;
    const std::size_t found = piece.find_first_not_of(kSpace);
    reader_->consume(std::min(found, piece.size()));
    if (found != std::string_view::npos) return piece[found];
  }
}

bool JsonArraySource::fail(Record& record, const char* problem) {
  reset(record);
  record.line = element_ + 1;
  record.byte = reader_->offset();
  record.problem = problem;
  record.last_readable = true;
  ended_ = true;
  return true;
}

bool JsonArraySource::next(Record& record) {
  if (ended_) return false;
  if (!begun_) {
    reader_->skip_byte_order_mark();
    if (next_byte() != '[') return fail(record, "it is no JSON array: '[' is expected");
    reader_->consume(1);
    begun_ = true;
  }
  std::optional<char> byte = next_byte();
  if (byte == ']') {
    reader_->consume(1);
    ended_ = true;
    return next_byte() ? fail(record, "there is something behind the end of the array") : false;
  }
  if (element_ > 0) {
    if (byte != ',') return fail(record, "',' or ']' is expected behind an element of the array");
    reader_->consume(1);
    byte = next_byte();
  }
  if (!byte || *byte == ']' || *byte == ',') return fail(record, "an element of the array is expected");
  if (!read_element(record)) return fail(record, "the input ends inside an element of the array");
  return true;
}

bool JsonArraySource::read_element(Record& record) {
  reset(record);
  record.line = ++element_;
  record.byte = reader_->offset();
  ValueEnd end;
  while (!end.done()) {
    const std::string_view piece = reader_->available();
    if (piece.empty()) return false;
    const std::size_t taken = end.take(piece);
    if (record.body.size() + taken > kMaxRecordBytes) {
      record.problem = kTooLong;
      record.body.clear();
    }
    if (record.problem.empty()) record.body.append(piece.substr(0, taken));
    reader_->consume(taken);
  }
  return true;
}

void JsonArraySource::go_to(const SourcePosition& position) {
  reader_->seek(position.byte);
  element_ = position.line;
  begun_ = position.line > 0;
}

}  // namespace db4::cli
