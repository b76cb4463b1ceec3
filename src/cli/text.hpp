#pragma once
// cli: what people touch. Public headers of db4 only.
//
// Text for people: sizes, durations, tables, ids.

#include "terminal.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace db4::cli {

/// "1.2 MiB".
std::string describe_bytes(std::uint64_t bytes);
/// "340 us", "1.2 ms".
std::string describe_latency(std::chrono::nanoseconds latency);
/// "12,345".
std::string describe_count(std::uint64_t count);
/// "1 document", "12,345 documents".
std::string describe_count(std::uint64_t count, std::string_view noun);
/// "$12.30", with so many digits behind the point.
std::string describe_dollars(double amount, int digits);
/// "2026-11-22 23:15:04 UTC".
std::string describe_time(std::chrono::sys_time<std::chrono::microseconds> when);
/// "26 d", "3 h", "5 min", "40 s", "120 ms": the largest unit that it fills.
std::string describe_age(std::chrono::milliseconds age);
/// "37.5 %"; "-" of nothing.
std::string describe_share(std::uint64_t part, std::uint64_t whole);
/// Control characters and backslashes written as \n, \x1b, \\ ...: an id must not break a table or a
/// terminal.
std::string escape(std::string_view text);
/// A hash (FNV-1a) in 16 hex digits, for names of files: it is the same everywhere, and proves nothing.
std::string hash_digits(std::string_view text);
/// As it is typed in a shell: in quotes where it has to be.
std::string shell_quoted(std::string_view text);
/// "50MiB", "1 GB", "123": bytes. Throws invalid_argument.
std::uint64_t parse_bytes(std::string_view text);
/// "1h", "5min", "7d", "300ms", "30s"; at most a century. Throws invalid_argument.
std::chrono::milliseconds parse_duration(std::string_view text);

/// Columns of text; the first is set left, the others right. Cells may be painted.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// With the head painted as a heading.
  [[nodiscard]] std::string text(const Terminal& terminal) const;
  [[nodiscard]] std::string text() const { return text(Terminal(Color::never)); }

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace db4::cli
