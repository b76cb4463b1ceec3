#include "settings_file.hpp"

#include "files.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

namespace db4::cli {
namespace {

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  const std::size_t begin = line.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(kSpace) + 1 - begin);
}

bool is_table(std::string_view line) { return line.starts_with('['); }
bool opens(std::string_view line, std::string_view section) {
  if (!is_table(line)) return false;
  const std::size_t close = line.find(']');
  return close != std::string_view::npos && trimmed(line.substr(1, close - 1)) == section;
}
bool gives(std::string_view line, std::string_view name) {
  const std::size_t equals = line.find('=');
  return equals != std::string_view::npos && trimmed(line.substr(0, equals)) == name;
}

/// The text with `name = value` in its section: in the place of the line that is there, or at the section's
/// beginning, or in a section at the end.
std::string with_line(std::string_view text, std::string_view section, std::string_view name,
                      std::string_view value) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  const std::string line = std::string(name) + " = " + std::string(value);
  auto head =
      std::ranges::find_if(lines, [&](const std::string& each) { return opens(trimmed(each), section); });
  if (head == lines.end()) {
    lines.insert(lines.end(), {"", "[" + std::string(section) + "]", line});
  } else {
    const auto end =
        std::find_if(head + 1, lines.end(), [](const auto& each) { return is_table(trimmed(each)); });
    const auto old =
        std::find_if(head + 1, end, [&](const auto& each) { return gives(trimmed(each), name); });
    if (old == end) {
      lines.insert(head + 1, line);
    } else {
      *old = line;
    }
  }
  std::string out;
  for (const std::string& each : lines) out += each + "\n";
  return out;
}

/// What the text says of a setting that is a text; nullopt where it says nothing, or cannot be read.
std::optional<std::string> value_in(const std::string& text, const Setting& setting) {
  try {
    const toml::table parsed = toml::parse(text);
    return parsed[setting.section()][setting.name()].value<std::string>();
  } catch (const toml::parse_error&) {
    return std::nullopt;
  }
}

}  // namespace

SettingsFile::SettingsFile(const std::filesystem::path& folder)
    : file_(folder / kSettingsFile), text_(read_whole(file_.string(), {})) {}

void SettingsFile::set(const std::string& key, const TieredStoreConfig& config) {
  const auto& all = all_settings();
  const Setting& setting = *std::ranges::find(all, key, &Setting::key);
  const std::string value = setting.write(config);
  std::string changed = with_line(text_, setting.section(), setting.name(), value);
  // What stands there may be laid out in ways that a search for lines does not see through.
  const auto wanted = value_in("[" + setting.section() + "]\n" + setting.name() + " = " + value, setting);
  if (!wanted || value_in(changed, setting) != wanted) {
    throw Error(ErrorCode::invalid_argument,
                file_.string() + " is laid out in a way that " + key + " cannot be put into",
                "write it there by hand, in the section [" + setting.section() + "]: " + setting.name() +
                    " = " + value);
  }
  text_ = std::move(changed);
}

void SettingsFile::write() const { write_whole(file_.string(), text_); }

}  // namespace db4::cli
