#include "settings.hpp"

#include "key_place.hpp"
#include "suggest.hpp"

#include <db4/error.hpp>

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <system_error>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

namespace db4::cli {
namespace {

Error bad_line(const std::filesystem::path& file, const toml::source_position& at, const std::string& problem,
               const std::string& advice) {
  return {ErrorCode::invalid_argument, file.string() + ":" + std::to_string(at.line) + ": " + problem,
          advice};
}

/// A text as it is; a number or a truth as it would be written.
std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* truth = node.as_boolean()) return truth->get() ? "true" : "false";
  if (const auto* number = node.as_floating_point()) {
    std::ostringstream out;
    out << number->get();
    return out.str();
  }
  return std::nullopt;
}

const Setting* find_setting(const std::string& key) {
  for (const Setting& setting : all_settings()) {
    if (setting.key == key) return &setting;
  }
  return nullptr;
}

[[noreturn]] void no_such_setting(const std::string& key) {
  std::vector<std::string> keys;
  for (const Setting& setting : all_settings()) keys.push_back(setting.key);
  const std::string near = nearest(key, keys);
  throw Error(ErrorCode::invalid_argument, "there is no setting " + key,
              near.empty() ? "`db4 config explain` lists them" : "did you mean " + near + "?");
}

void set(TieredStoreConfig& config, const std::string& key, const std::string& value) {
  const Setting* setting = find_setting(key);
  if (setting == nullptr) no_such_setting(key);
  try {
    setting->read(config, value);
  } catch (const Error& error) {
    throw Error(error.code(), key + ": " + error.problem(), error.advice());
  }
}

/// "key=value".
std::pair<std::string, std::string> split(const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos) {
    throw Error(ErrorCode::invalid_argument, "'" + assignment + "' sets nothing",
                "write --set hot.max_size=50MiB");
  }
  return {assignment.substr(0, equals), assignment.substr(equals + 1)};
}

/// The folder that the option or the environment names; empty where neither does.
std::filesystem::path named_store(const std::string& option) {
  if (!option.empty()) return option;
  const char* given = std::getenv("DB4_STORE");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return given == nullptr ? "" : given;
}

/// A variable that begins like a section but names no setting was mistyped.
void check_variables() {
  std::set<std::string> known;
  std::set<std::string> sections;
  for (const Setting& setting : all_settings()) {
    const std::string variable = setting.variable();
    known.insert(variable);
    sections.insert(variable.substr(0, variable.find('_', 4) + 1));
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    const std::string name(line.substr(0, line.find('=')));
    if (name.rfind("DB4_", 0) != 0 || known.contains(name)) continue;
    if (!sections.contains(name.substr(0, name.find('_', 4) + 1))) continue;
    const std::string near = nearest(name, {known.begin(), known.end()});
    throw Error(ErrorCode::invalid_argument, "there is no setting " + name,
                near.empty() ? "unset it; `db4 config explain` lists them" : "did you mean " + near + "?");
  }
}

}  // namespace

Settings Settings::read(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kSettingsFile;
  // Where the folder may not be looked into, opening the file says so.
  std::error_code unknown;
  if (!std::filesystem::exists(file, unknown) && !unknown) {
    throw Error(ErrorCode::invalid_argument, folder.string() + " is no store: it has no db4.toml",
                "make it one with `db4 init --store " + folder.string() + "`");
  }
  Settings settings;
  settings.folder_ = folder;
  settings.config_ = initial_config();
  settings.read_file(file);
  const std::filesystem::path root = std::filesystem::absolute(folder);
  // Wherever it is used from.
  std::string& master_key = settings.config_.sealing.master_key;
  master_key = place_from(master_key, root);
  settings.config_.hot.path = root / "hot";
  settings.config_.warm.path = root / "warm";
  settings.config_.cold.path = root / "cold";
  // A command is over before an interval is; tiering runs when it is asked to.
  settings.config_.tiering.interval = std::chrono::milliseconds{0};
  return settings;
}

void Settings::read_file(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) {
    throw Error(ErrorCode::permission_denied,
                "cannot read " + file.string() + ": " + std::generic_category().message(errno),
                "give the user of this process permission to read it, and to search its folder");
  }
  try {
    const toml::table parsed = toml::parse(in, file.string());
    for (const auto& [section, entries] : parsed) {
      const toml::table* table = entries.as_table();
      if (table == nullptr) {
        throw bad_line(file, entries.source().begin, std::string(section.str()) + " is no section",
                       "use [hot]");
      }
      for (const auto& [name, value] : *table) {
        const std::string key = std::string(section.str()) + "." + std::string(name.str());
        const toml::source_position at = value.source().begin;
        const auto text = text_of(value);
        if (!text)
          throw bad_line(file, at, key + " is neither text nor a number", "write \"...\" or a number");
        try {
          apply(key, *text, std::string(kSettingsFile) + ":" + std::to_string(at.line));
        } catch (const Error& error) {
          throw bad_line(file, at, error.problem(), error.advice());
        }
      }
    }
  } catch (const toml::parse_error& error) {
    throw bad_line(file, error.source().begin, std::string(error.description()), "mend that line");
  }
}

void Settings::apply(const std::string& key, const std::string& value, const std::string& origin) {
  set(config_, key, value);
  origins_[key] = origin;
}

void Settings::apply_environment() {
  check_variables();
  for (const Setting& setting : all_settings()) {
    const std::string name = setting.variable();
    const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nobody sets it
    if (value == nullptr) continue;
    try {
      apply(setting.key, value, name);
    } catch (const Error& error) {
      throw Error(error.code(), name + ": " + error.problem(), error.advice());
    }
  }
}

void Settings::apply_flag(const std::string& assignment) {
  const auto [key, value] = split(assignment);
  apply(key, value, "--set");
}

std::string Settings::origin(const Setting& setting) const {
  const auto found = origins_.find(setting.key);
  return found == origins_.end() ? "default" : found->second;
}

TieredStoreConfig initial_config() {
  TieredStoreConfig config;
  config.warm.type = WarmType::disk;
  return config;
}

void set_in(TieredStoreConfig& config, const std::string& assignment) {
  const auto [key, value] = split(assignment);
  set(config, key, value);
}

void write_settings(const std::filesystem::path& folder, const TieredStoreConfig& config) {
  const std::filesystem::path file = folder / kSettingsFile;
  if (std::filesystem::exists(file)) {
    throw Error(ErrorCode::conflict, folder.string() + " is a store already",
                "use it, or choose another folder");
  }
  for (const Setting& setting : all_settings()) {
    if (!setting.secret || setting.write(config) == "\"\"") continue;
    throw Error(ErrorCode::invalid_argument, setting.key + " is a secret, which is not written to a file",
                "set " + setting.variable() + " when the store is used" +
                    (setting.section() == "cold" ? ", or name a cold.profile" : ""));
  }
  std::filesystem::create_directories(folder);
  std::ofstream out(file);
  out << "# A db4 store. Documents live in hot/ and cold/; warm/ is a cache and may be deleted while nobody "
         "uses it.\n"
         "# Each value can be overridden by a variable such as DB4_HOT_MAX_SIZE, and by --set "
         "hot.max_size=...\n";
  std::string section;
  for (const Setting& setting : all_settings()) {
    if (setting.section() != section) {
      section = setting.section();
      out << "\n[" << section << "]\n";
    }
    out << "# " << setting.comment << " (" << setting.type << ")\n"
        << (setting.secret ? "# " : "") << setting.name() << " = " << setting.write(config) << "\n";
  }
  if (!out.flush()) {
    throw Error(ErrorCode::resource_exhausted, "cannot write " + file.string(),
                "check space and permissions there");
  }
}

std::filesystem::path store_to_make(const std::string& option) {
  const std::filesystem::path named = named_store(option);
  return named.empty() ? "." : named;
}

std::filesystem::path find_store(const std::string& option) {
  if (auto named = named_store(option); !named.empty()) return named;
  if (std::filesystem::exists(kSettingsFile)) return ".";
  throw Error(ErrorCode::invalid_argument, "no store is named, and this folder has no db4.toml",
              "use --store FOLDER or DB4_STORE, or make one with `db4 init --store FOLDER`");
}

}  // namespace db4::cli
