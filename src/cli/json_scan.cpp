#include "json_scan.hpp"

#include <db4/json_check.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <utility>

namespace db4::cli {
namespace {

using nlohmann::json;

bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Bytes of the UTF-8 character in front; 0 where there is none.
std::size_t character_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool overlong = lead == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = lead == 0xED && byte(1) > 0x9F;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool overlong = lead == 0xF0 && byte(1) < 0x90;
    const bool past_end = lead == 0xF4 && byte(1) > 0x8F;
    return follows(1) && follows(2) && follows(3) && !overlong && !past_end ? 4 : 0;
  }
  return 0;
}

}  // namespace

JsonMembers::JsonMembers(std::string_view text) noexcept : text_(text) {}

bool JsonMembers::next() noexcept {
  skip_space();
  if (first_) {
    if (!at('{')) return false;
    ++at_;
    skip_space();
  }
  if (at('}')) {
    ++at_;
    skip_space();
    complete_ = at_ == text_.size();
    return false;
  }
  if (!std::exchange(first_, false)) {
    if (!at(',')) return false;
    ++at_;
    skip_space();
  }
  const std::size_t name = at_;
  if (!at('"') || !skip_string()) return false;
  name_ = text_.substr(name + 1, at_ - name - 2);
  skip_space();
  if (!at(':')) return false;
  ++at_;
  skip_space();
  const std::size_t value = at_;
  if (!skip_value()) return false;
  value_ = text_.substr(value, at_ - value);
  return true;
}

bool JsonMembers::name_is(std::string_view name) const {
  if (name_.find('\\') == std::string_view::npos) return name_ == name;
  std::string quoted = "\"";
  quoted.append(name_).push_back('"');
  return decode_json_string(quoted) == name;
}

void JsonMembers::skip_space() noexcept {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

bool JsonMembers::skip_string() noexcept {
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '"') {
      ++at_;
      return true;
    }
    if (text_[at_] == '\\') ++at_;
  }
  return false;
}

bool JsonMembers::skip_value() noexcept {
  if (at('"')) return skip_string();
  if (at('{') || at('[')) return skip_nested();
  const std::size_t begin = at_;
  at_ = std::min(text_.find_first_of(",}] \t\r\n", at_), text_.size());
  return at_ > begin;
}

bool JsonMembers::skip_nested() noexcept {
  std::size_t depth = 0;
  while (at_ < text_.size()) {
    if (text_[at_] == '"') {
      if (!skip_string()) return false;
      continue;
    }
    const char c = text_[at_++];
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return true;
  }
  return false;
}

std::optional<std::string> decode_json_string(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::nullopt;
  if (text.find('\\') == std::string_view::npos) return std::string(text.substr(1, text.size() - 2));
  const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_string()) return std::nullopt;
  return parsed.get<std::string>();
}

void append_json_string(std::string& out, std::string_view text) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20) {
      out += "\\u00";
      out.push_back(kDigits[byte >> 4]);
      out.push_back(kDigits[byte & 15]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

std::optional<std::string> describe_json_fault(std::string_view text, std::uint64_t begins_at) {
  const auto fault = find_json_fault(text);
  if (!fault) return std::nullopt;
  // The first words are for who reads a thousand of these.
  return (fault->beyond_limits ? "it cannot be stored as JSON at byte " : "it is no valid JSON at byte ") +
         std::to_string(begins_at + fault->offset) + ": " + fault->problem;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace db4::cli
