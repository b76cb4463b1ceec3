// config: which settings there are, which hold, and where they came from.
#include "context.hpp"
#include "exit_code.hpp"
#include "page.hpp"
#include "parts.hpp"
#include "suggest.hpp"
#include "text.hpp"

#include <iostream>

namespace db4::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kReferenceWidth = 110;

/// As db4.toml has it; a secret's value stays hidden.
std::string shown_value(const Setting& setting, const TieredStoreConfig& config) {
  const std::string value = setting.write(config);
  return setting.secret && value != "\"\"" ? "***" : value;
}

json setting_json(const Setting& setting, const Settings& settings) {
  std::string value = shown_value(setting, settings.config());
  if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
  return {{"key", setting.key},
          {"value", value},
          {"origin", settings.origin(setting)},
          {"type", setting.type},
          {"variable", setting.variable()},
          {"meaning", setting.comment}};
}

/// The settings whose key is `key` or begins with the section `key`; all of them where it is empty.
std::vector<const Setting*> chosen(const std::string& key) {
  std::vector<const Setting*> found;
  std::vector<std::string> names;
  for (const Setting& setting : all_settings()) {
    if (key.empty() || setting.key == key || setting.section() == key) found.push_back(&setting);
    names.push_back(setting.key);
    names.push_back(setting.section());
  }
  if (!found.empty()) return found;
  const std::string near = nearest(key, names);
  throw Error(ErrorCode::invalid_argument, "there is no setting " + escape(key),
              near.empty() ? "`db4 config explain` lists them" : "did you mean " + near + "?");
}

int explain(const Context& context, const std::string& key) {
  const std::vector<const Setting*> settings = chosen(key);
  const Settings values = context.settings();
  if (context.json()) {
    json out{{"settings", json::array()}};
    for (const Setting* setting : settings) out["settings"].push_back(setting_json(*setting, values));
    Context::print(out);
    return kOk;
  }
  const std::size_t width = std::min<std::size_t>(Terminal::width(), 100);
  std::string section;
  for (const Setting* setting : settings) {
    if (setting->section() != section) {
      std::cout << (section.empty() ? "" : "\n");
      section = setting->section();
      std::cout << context.terminal().paint(Emphasis::heading, "[" + section + "]") << "\n";
    }
    const std::string origin = values.origin(*setting);
    std::string line = setting->name() + " = " + escape(shown_value(*setting, values.config()));
    line.resize(std::max<std::size_t>(line.size() + 2, 40), ' ');
    std::cout << line
              << context.terminal().paint(origin == "default" ? Emphasis::faint : Emphasis::good, origin)
              << "\n"
              << wrapped(setting->comment + " (" + setting->type + ")", width, 4);
  }
  return kOk;
}

/// docs/reference/configuration.md.
int reference() {
  std::cout
      << "# Settings of a store's folder\n\n"
      << wrapped(
             "Printed by `db4 config reference`. They stand in the store's `db4.toml`, `[section]` by "
             "section; "
             "a variable goes before the file, and `--set KEY=VALUE` before both. `db4 config explain` "
             "prints "
             "which value holds, and where it came from. Sizes take B, KiB, MiB, GiB, TiB, KB, MB, GB, TB; "
             "durations take ms, s, min, h, d. The folders are not settings: they are `hot/`, `warm/` and "
             "`cold/` in the store's folder. How often tiering runs is no setting: the command line runs it "
             "when it is asked to, and when hot fills up.",
             kReferenceWidth, 0);
  const TieredStoreConfig defaults = initial_config();
  std::string section;
  for (const Setting& setting : all_settings()) {
    if (setting.section() != section) {
      section = setting.section();
      std::cout << "\n## " << section
                << "\n\n| key | default | type | variable | meaning |\n|---|---|---|---|---|\n";
    }
    std::cout << "| `" << setting.key << "` | `" << shown_value(setting, defaults) << "` | " << setting.type
              << " | `" << setting.variable() << "` | " << setting.comment << " |\n";
  }
  return kOk;
}

}  // namespace

void add_config_commands(CommandTree& tree) {
  CLI::App& config =
      tree.add({.name = "config",
                .group = "The store",
                .summary = "Settings: which hold and where they came from, and which there are",
                .examples = "db4 config explain\n"
                            "db4 config reference"},
               {});
  const auto key = std::make_shared<std::string>();
  CLI::App& explain_command = tree.add(
      config,
      {.name = "explain",
       .group = "The store",
       .summary = "Say which value each setting has, where it came from, and what it means",
       .details = "It came from the default, db4.toml:LINE, a variable, or --set. Secrets are shown as ***.",
       .examples = "db4 config explain\n"
                   "db4 config explain hot\n"
                   "db4 config explain hot.max_size --set hot.max_size=1GiB"},
      [key](Context& context) { return explain(context, *key); });
  explain_command.add_option("key", *key, "A setting such as hot.max_size, or a section such as hot")
      ->type_name("");
  tree.add(config,
           {.name = "reference",
            .group = "The store",
            .summary = "Print all settings as a document, with defaults and variables",
            .examples = "db4 config reference"},
           [](Context&) { return reference(); });
}

}  // namespace db4::cli
