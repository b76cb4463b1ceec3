#include "text.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <utility>

namespace db4::cli {
namespace {

std::string format(const char* pattern, double value, const char* unit) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), pattern, value, unit);
  return buffer.data();
}

/// What a text is to say, for who wrote another.
struct Measure {
  const char* name;
  const char* example;
  const char* units;
};
constexpr Measure kSize{
    .name = "size", .example = "50MiB", .units = "B, KiB, MiB, GiB, TiB, KB, MB, GB or TB"};
constexpr Measure kDuration{.name = "duration", .example = "5min", .units = "ms, s, min, h or d"};

/// The number in front and the unit behind it.
std::pair<double, std::string> split_unit(std::string_view text, const Measure& measure) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) {
    throw Error(ErrorCode::invalid_argument, "'" + std::string(text) + "' is no " + measure.name,
                "write a number and a unit, such as " + std::string(measure.example));
  }
  std::string unit(end, text.data() + text.size());
  std::erase(unit, ' ');
  return {number, unit};
}

template <typename Units>
double unit_factor(const Units& units, const std::string& unit, std::string_view text,
                   const Measure& measure) {
  for (const auto& [name, factor] : units) {
    if (unit == name) return factor;
  }
  throw Error(ErrorCode::invalid_argument,
              "'" + std::string(text) + "' has " + (unit.empty() ? "no unit" : "an unknown unit"),
              "use " + std::string(measure.units) + ", such as " + measure.example);
}

double bounded(double value, double most, std::string_view text) {
  if (value < most) return value;
  throw Error(ErrorCode::invalid_argument, "'" + std::string(text) + "' is too much", "use a smaller one");
}

std::string hexadecimal(char c) {
  std::array<char, 8> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "\\x%02x", static_cast<unsigned char>(c));
  return buffer.data();
}

/// The bytes of a character in front that acts on a terminal without being seen: U+0080 to U+009F, and those
/// that turn the direction of writing (U+202A to U+202E, U+2066 to U+2069). 0 where there is none.
std::size_t hidden_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  if (byte(0) == 0xC2 && byte(1) >= 0x80 && byte(1) <= 0x9F) return 2;
  if (byte(0) != 0xE2) return 0;
  if (byte(1) == 0x80 && byte(2) >= 0xAA && byte(2) <= 0xAE) return 3;
  return byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9 ? 3 : 0;
}

/// Counted in characters, not bytes: UTF-8's continuation bytes and what paints take no room.
std::size_t width_of(const std::string& cell) {
  std::size_t width = 0;
  bool in_sequence = false;
  for (const char c : cell) {
    if (c == '\033') in_sequence = true;
    if (!in_sequence && (static_cast<unsigned char>(c) & 0xC0) != 0x80) ++width;
    if (c == 'm') in_sequence = false;
  }
  return width;
}

}  // namespace

std::string describe_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return format(unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
}

std::string describe_latency(std::chrono::nanoseconds latency) {
  const auto ns = static_cast<double>(latency.count());
  if (ns < 1e3) return format("%.0f %s", ns, "ns");
  if (ns < 1e6) return format("%.1f %s", ns / 1e3, "us");
  if (ns < 1e9) return format("%.1f %s", ns / 1e6, "ms");
  return format("%.2f %s", ns / 1e9, "s");
}

std::string describe_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string describe_count(std::uint64_t count, std::string_view noun) {
  return describe_count(count).append(" ").append(noun).append(count == 1 ? "" : "s");
}

std::string describe_dollars(double amount, int digits) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "$%.*f", digits, amount);
  return buffer.data();
}

std::string describe_time(std::chrono::sys_time<std::chrono::microseconds> when) {
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(when.time_since_epoch()).count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> buffer{};
  std::strftime(buffer.data(), buffer.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return buffer.data();
}

std::string describe_age(std::chrono::milliseconds age) {
  static constexpr std::array<std::pair<const char*, std::int64_t>, 4> kUnits{
      {{" d", 86'400'000}, {" h", 3'600'000}, {" min", 60'000}, {" s", 1000}}};
  for (const auto& [unit, length] : kUnits) {
    if (age.count() >= length) return std::to_string(age.count() / length) + unit;
  }
  return std::to_string(age.count()) + " ms";
}

std::string describe_share(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "-";
  return format("%.1f %s", 100 * static_cast<double>(part) / static_cast<double>(whole), "%");
}

std::string escape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = hidden_length(text.substr(i));
    if (text[i] == '\n') {
      out += "\\n";
    } else if (text[i] == '\t') {
      out += "\\t";
    } else if (text[i] == '\\') {
      out += "\\\\";
    } else if (byte < 0x20 || byte == 0x7F || length > 0) {
      for (std::size_t k = 0; k < std::max<std::size_t>(length, 1); ++k) out += hexadecimal(text[i + k]);
      i += std::max<std::size_t>(length, 1) - 1;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string hash_digits(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  std::array<char, 20> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(hash));
  return digits.data();
}

std::string shell_quoted(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) return std::string(text);
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

std::uint64_t parse_bytes(std::string_view text) {
  static constexpr std::array<std::pair<const char*, double>, 11> kUnits{{{"", 1},
                                                                          {"B", 1},
                                                                          {"KiB", 1024.0},
                                                                          {"MiB", 1048576.0},
                                                                          {"GiB", 1073741824.0},
                                                                          {"TiB", 1099511627776.0},
                                                                          {"KB", 1e3},
                                                                          {"kB", 1e3},
                                                                          {"MB", 1e6},
                                                                          {"GB", 1e9},
                                                                          {"TB", 1e12}}};
  const auto [number, unit] = split_unit(text, kSize);
  return static_cast<std::uint64_t>(bounded(number * unit_factor(kUnits, unit, text, kSize), 0x1p63, text));
}

std::chrono::milliseconds parse_duration(std::string_view text) {
  static constexpr std::array<std::pair<const char*, double>, 6> kUnits{
      {{"ms", 1}, {"s", 1e3}, {"min", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}, {"days", 8.64e7}}};
  const auto [number, unit] = split_unit(text, kDuration);
  constexpr double kCentury = 8.64e7 * 36'525;
  return std::chrono::milliseconds{static_cast<std::int64_t>(
      bounded(number * unit_factor(kUnits, unit, text, kDuration), kCentury, text))};
}

std::string Table::text(const Terminal& terminal) const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - width_of(row[i]), ' ');
      line += i == 0 ? "  " + row[i] + pad : "  " + pad + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += (&row == &rows_.front() ? terminal.paint(Emphasis::heading, line) : line) + "\n";
  }
  return out;
}

}  // namespace db4::cli
