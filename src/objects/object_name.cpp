#include "objects/object_name.hpp"

#include <db4/error.hpp>
#include <db4/limits.hpp>

#include <simdjson.h>

#include <algorithm>

namespace db4::objects {
namespace {

constexpr std::size_t kMaxChunkBytes = 200;
constexpr std::string_view kObjectSuffix = ".obj";
constexpr std::size_t kMaxListLimit = 1000;

bool is_plain(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

void append_escaped(std::string& out, char c) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  out += '%';
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

void append_part(std::string& path, std::string_view part) {
  if (part.empty()) {
    path += '%';
    return;
  }
  std::size_t chunk = path.size();
  for (const char c : part) {
    const std::size_t encoded = is_plain(c) ? 1 : 3;
    if (path.size() - chunk + encoded > kMaxChunkBytes) {
      path += "%/";
      chunk = path.size();
    }
    const bool leading_dot = c == '.' && path.size() == chunk;
    if (is_plain(c) && !leading_dot) {
      path += c;
    } else {
      append_escaped(path, c);
    }
  }
}

void append_folder(std::string& path, std::string_view part) {
  append_part(path, part);
  if (path.ends_with(kObjectSuffix)) path.replace(path.size() - kObjectSuffix.size(), 1, "%2E");
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      if (!is_plain(text[i]) || (i == 0 && text[i] == '.')) return std::nullopt;
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace

bool has_control_characters(std::string_view text) noexcept {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

bool is_object_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kMaxObjectNameBytes && !has_control_characters(name) &&
         simdjson::validate_utf8(name.data(), name.size());
}

void require_object_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxObjectNameBytes) {
    throw Error(ErrorCode::invalid_argument,
                "an object's name of " + std::to_string(name.size()) + " bytes is not legal",
                "use 1 to " + std::to_string(kMaxObjectNameBytes) + " bytes");
  }
  if (!is_object_name(name)) {
    throw Error(ErrorCode::invalid_argument, "an object's name is no UTF-8, or has control characters",
                "use UTF-8 without control characters");
  }
}

void require_list_limit(std::size_t limit) {
  if (limit >= 1 && limit <= kMaxListLimit) return;
  throw Error(ErrorCode::invalid_argument, "a page of " + std::to_string(limit) + " objects was asked for",
              "ask for 1 to " + std::to_string(kMaxListLimit) + " and go on after the last name of a page");
}

ObjectPath object_path(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  const std::size_t last = slash == std::string_view::npos ? 0 : slash + 1;
  std::string path = folder_path(name.substr(0, last));
  if (!path.empty()) path += '/';
  append_part(path, name.substr(last));
  path += kObjectSuffix;
  // The last part may itself be a chain of folders.
  const std::size_t cut = path.rfind('/');
  if (cut == std::string::npos) return {.folder = {}, .file = std::move(path)};
  return {.folder = path.substr(0, cut), .file = path.substr(cut + 1)};
}

std::string folder_path(std::string_view name_prefix) {
  std::string path;
  while (!name_prefix.empty()) {
    const std::size_t slash = name_prefix.find('/');
    if (!path.empty()) path += '/';
    append_folder(path, name_prefix.substr(0, slash));
    name_prefix.remove_prefix(slash + 1);
  }
  return path;
}

std::optional<FolderEntry> decode_entry(std::string_view entry) {
  auto kind = FolderEntry::Kind::folder;
  if (entry.ends_with(kObjectSuffix)) {
    kind = FolderEntry::Kind::object;
    entry.remove_suffix(kObjectSuffix.size());
  }
  if (entry == "%") return FolderEntry{kind, {}};
  if (kind == FolderEntry::Kind::folder && entry.ends_with('%')) {
    kind = FolderEntry::Kind::chain;
    entry.remove_suffix(1);
  }
  if (entry.empty()) return std::nullopt;
  auto part = unescape(entry);
  if (!part) return std::nullopt;
  if (has_control_characters(*part)) return std::nullopt;
  return FolderEntry{kind, std::move(*part)};
}

}  // namespace db4::objects
