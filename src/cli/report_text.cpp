#include "report_text.hpp"

#include "text.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace db4::cli {
namespace {

constexpr std::uint32_t kNoCharacter = 0xFFFFFFFF;

/// The character that `text` starts with, and its length in bytes; for what is no UTF-8, kNoCharacter and 1.
std::pair<std::uint32_t, std::size_t> first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || text.size() < length) return {kNoCharacter, 1};
  std::uint32_t character = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {kNoCharacter, 1};
    character = character << 6 | (byte(i) & 0x3FU);
  }
  constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = character >= 0xD800 && character < 0xE000;
  if (character < kLeast[length] || character > 0x10FFFF || surrogate) return {kNoCharacter, 1};
  return {character, length};
}

/// Not seen, or a mark that turns or breaks what follows it.
bool hidden(std::uint32_t c) {
  const auto among = [c](std::uint32_t from, std::uint32_t to) { return c >= from && c <= to; };
  return c < 0x20 || among(0x7F, 0x9F) || c == 0xAD || c == 0x61C || among(0x200B, 0x200C) ||
         among(0x200E, 0x200F) || among(0x2028, 0x202E) || among(0x2060, 0x206F) || c == 0xFEFF ||
         among(0xFFF9, 0xFFFB) || among(0xE0000, 0xE0FFF);
}

std::string format(const char* pattern, double value) {
  std::array<char, 400> buffer{};
  std::snprintf(buffer.data(), buffer.size(), pattern, value);
  return buffer.data();
}

void append_character(std::string& out, std::uint32_t character, std::string_view bytes) {
  switch (character) {
    case '&':
      out += "&amp;";
      return;
    case '<':
      out += "&lt;";
      return;
    case '>':
      out += "&gt;";
      return;
    case '"':
      out += "&quot;";
      return;
    case '\'':
      out += "&#39;";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\\':
      out += "\\\\";
      return;
    case kNoCharacter:
      out += "\xEF\xBF\xBD";
      return;
    default:
      break;
  }
  if (!hidden(character)) {
    out += bytes;
    return;
  }
  std::array<char, 16> code{};
  std::snprintf(code.data(), code.size(), character < 0x100 ? "\\x%02x" : "\\u%04x", character);
  out += code.data();
}

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto [character, length] = first_character(text);
    append_character(out, character, text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
}

std::string name_html(std::string_view name, std::size_t most) {
  std::size_t bytes = 0;
  for (std::size_t shown = 0; shown < most && bytes < name.size(); ++shown)
    bytes += first_character(name.substr(bytes)).second;
  if (bytes == name.size()) return "<bdi>" + html(name) + "</bdi>";
  return "<bdi title=\"" + html(name) + "\">" + html(name.substr(0, bytes)) + "…</bdi>";
}

std::string share_text(double share) {
  if (!std::isfinite(share)) return "–";
  // What is not all of it must not be rounded to all of it, nor something to nothing.
  const double percent = 100 * share;
  if (percent > 99.9 && percent < 100) return format("%.2f %%", std::min(percent, 99.99));
  if (percent > 0 && percent < 0.1) return format("%.2f %%", std::max(percent, 0.01));
  return percent == 0 || percent == 100 ? format("%.0f %%", percent) : format("%.1f %%", percent);
}

std::string dollars_text(double dollars) {
  if (!std::isfinite(dollars)) return "–";
  if (dollars >= 1000 && dollars < 1e18)
    return "$" + describe_count(static_cast<std::uint64_t>(dollars + 0.5));
  if (dollars >= 1 || dollars <= 0) return describe_dollars(dollars, 2);
  // Two digits that count, wherever they stand.
  const int digits = std::min(1 - static_cast<int>(std::floor(std::log10(dollars))), 12);
  return describe_dollars(dollars, std::max(digits, 2));
}

std::string latency_text(double nanoseconds) {
  if (!std::isfinite(nanoseconds) || nanoseconds <= 0) return "–";
  std::string text =
      describe_latency(std::chrono::nanoseconds{static_cast<std::int64_t>(std::min(nanoseconds, 9e18))});
  if (text.ends_with(" us")) text.replace(text.size() - 2, 1, "µ");
  return text;
}

std::string span_text(std::chrono::microseconds span) {
  constexpr std::array<std::pair<const char*, double>, 4> kUnits{
      {{"day", 86'400}, {"hour", 3'600}, {"minute", 60}, {"second", 1}}};
  const double seconds = std::chrono::duration<double>(span).count();
  for (const auto& [name, length] : kUnits) {
    // Two hours, but 36 hours rather than 1.5 days.
    const bool wide = length > 1 && seconds < (length == 86'400 ? 2 : 1) * length;
    if (wide) continue;
    const std::string number = format("%.1f", seconds / length);
    const std::string text = number.ends_with(".0") ? number.substr(0, number.size() - 2) : number;
    return text + " " + name + (text == "1" ? "" : "s");
  }
  return "0 seconds";
}

std::string time_text(TimePoint when, const char* pattern) {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count();
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return "–";
  std::array<char, 64> buffer{};
  std::strftime(buffer.data(), buffer.size(), pattern, &parts);
  return buffer.data();
}

}  // namespace db4::cli
