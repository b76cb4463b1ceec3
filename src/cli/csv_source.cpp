#include "csv_source.hpp"

#include "json_scan.hpp"
#include "text.hpp"

#include <db4/error.hpp>
#include <db4/limits.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

namespace db4::cli {
namespace {

constexpr std::size_t kMaxColumns = 10'000;

[[noreturn]] void bad_head(const std::string& problem) {
  throw Error(ErrorCode::invalid_argument, "the first line of the CSV names no columns: " + problem,
              "write a line of distinct names in front");
}

}  // namespace

bool is_exact_number(std::string_view field) {
  if (field.empty() || field.find_first_not_of("0123456789+-.e") != std::string_view::npos) return false;
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size() || !std::isfinite(value)) return false;
  // Of the two ways to write it shortest either is the number's own: 100000 as well as 1e+05.
  return std::ranges::any_of(
      std::array{std::chars_format::fixed, std::chars_format::scientific}, [&](auto format) {
        std::array<char, 400> written{};
        const auto last = std::to_chars(written.data(), written.data() + written.size(), value, format).ptr;
        return std::string_view(written.data(), static_cast<std::size_t>(last - written.data())) == field;
      });
}

CsvSource::CsvSource(std::unique_ptr<ByteReader> reader, CsvOptions options)
    : reader_(std::move(reader)), options_(options) {
  reader_->skip_byte_order_mark();
  std::string problem;
  const Row row = read_row(problem);
  if (row == Row::none) return;
  if (row != Row::good) bad_head(problem);
  names_ = std::exchange(fields_, {});
  std::set<std::string_view> seen;
  for (const std::string& name : names_) {
    if (name.empty()) bad_head("one is empty");
    if (!is_utf8(name)) bad_head("one is not valid UTF-8");
    if (!seen.insert(name).second) bad_head("'" + escape(name) + "' comes twice");
  }
}

bool CsvSource::next(Record& record) {
  reset(record);
  std::string problem;
  const Row row = read_row(problem);
  if (row == Row::none) return false;
  record.line = row_line_;
  record.byte = row_byte_;
  record.last_readable = row == Row::endless;
  if (row == Row::good && fields_.size() != names_.size()) {
    problem = "it has " + std::to_string(fields_.size()) + " fields, and there are " +
              std::to_string(names_.size()) + " columns";
  }
  record.problem = problem;
  if (!problem.empty()) return true;
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    record.body.push_back(i == 0 ? '{' : ',');
    append_json_string(record.body, names_[i]);
    record.body.push_back(':');
    if (options_.numbers && is_exact_number(fields_[i])) {
      record.body += fields_[i];
    } else {
      append_json_string(record.body, fields_[i]);
    }
  }
  record.body.push_back('}');
  return true;
}

int CsvSource::peek() {
  const std::string_view piece = reader_->available();
  return piece.empty() ? -1 : static_cast<unsigned char>(piece.front());
}

void CsvSource::take() noexcept {
  reader_->consume(1);
  ++row_bytes_;
}

bool CsvSource::take_line_end() {
  const std::string_view piece = reader_->peek(2);
  const std::size_t length = piece.substr(0, 2) == "\r\n" ? 2 : (piece.substr(0, 1) == "\n" ? 1 : 0);
  if (length == 0) return false;
  reader_->consume(length);
  ++line_;
  return true;
}

CsvSource::Row CsvSource::read_row(std::string& problem) {
  while (take_line_end()) {
  }
  if (peek() < 0) return Row::none;
  row_line_ = line_ + 1;
  row_byte_ = reader_->offset();
  row_bytes_ = 0;
  return read_fields(problem);
}

CsvSource::Row CsvSource::read_fields(std::string& problem) {
  fields_.clear();
  fields_.emplace_back();
  bool at_start = true;     // of a field
  bool was_quoted = false;  // the field has ended with its quote
  for (;;) {
    const int byte = peek();
    if (byte < 0 || take_line_end()) return problem.empty() ? Row::good : Row::bad;
    if (row_bytes_ > kMaxBodyBytes) {
      problem = "it is longer than a document may be (64 MiB)";
      return Row::endless;
    }
    take();
    const char c = static_cast<char>(byte);
    if (c == options_.separator && fields_.size() == kMaxColumns) {
      problem = "it has more than 10,000 fields";
    } else if (c == options_.separator) {
      fields_.emplace_back();
      at_start = true;
      was_quoted = false;
    } else if (c == '"' && at_start) {
      if (!read_quoted(fields_.back())) {
        problem = "a quoted field begins in it and does not end";
        return Row::endless;
      }
      at_start = false;
      was_quoted = true;
    } else {
      if (c == '"' || was_quoted) problem = "a quote stands inside a field that is not quoted as a whole";
      at_start = false;
      fields_.back().push_back(c);
    }
  }
}

bool CsvSource::read_quoted(std::string& field) {
  for (;;) {
    const std::string_view piece = reader_->available();
    if (piece.empty() || row_bytes_ > kMaxBodyBytes) return false;
    const std::size_t end = std::min(piece.find('"'), piece.size());
    field.append(piece.substr(0, end));
    line_ +=
        static_cast<std::uint64_t>(std::count(piece.begin(), piece.begin() + static_cast<long>(end), '\n'));
    row_bytes_ += end;
    const bool found = end < piece.size();
    reader_->consume(end);
    if (!found) continue;
    take();
    if (peek() != '"') return true;
    field.push_back('"');
    take();
  }
}

void CsvSource::go_to(const SourcePosition& position) {
  reader_->seek(position.byte);
  line_ = position.line;
}

}  // namespace db4::cli
