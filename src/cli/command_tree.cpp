#include "command_tree.hpp"

#include "context.hpp"
#include "exit_code.hpp"
#include "suggest.hpp"
#include "text.hpp"
#include "version.hpp"

#include <iostream>

namespace db4::cli {
namespace {

constexpr const char* kFooter = R"(
Start here:
  db4 init --store shop
  echo '{"total": 12}' | db4 --store shop put orders 1001
  db4 --store shop get orders 1001
  db4 --store shop import orders orders.jsonl --id-field id
  db4 --store shop explain orders 1001
  db4 demo

`db4 COMMAND --help` has the options of a command, and examples.
The store is --store FOLDER, else DB4_STORE, else this folder where it has a db4.toml. Settings come from there,
DB4_HOT_MAX_SIZE and the like, and --set hot.max_size=50MiB; `db4 config explain` says which holds.
A store that another process holds is asked through its socket; nothing has to be stopped.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 conflict, 4 no such document, 5 busy, locked, full or away,
130 interrupted.)";

Color color_of(const std::string& word) {
  if (word == "always") return Color::always;
  return word == "never" ? Color::never : Color::automatic;
}

std::string footer_of(const CommandText& text) {
  std::string out;
  if (*text.details != '\0') out += std::string("\n") + text.details + "\n";
  if (*text.examples == '\0') return out;
  out += "\nExamples:\n";
  std::string_view rest = text.examples;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    out += "  " + std::string(rest.substr(0, end)) + "\n";
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

}  // namespace

CommandTree::CommandTree()
    : app_("db4 storage: documents in three tiers, moved by how they are used", "db4") {
  app_.footer(kFooter);
  app_.require_subcommand(1);
  app_.get_formatter()->column_width(34);
  app_.set_version_flag(
      "--version", [this] { return version_text(app_.count("--json") > 0); }, "Print the version");
  // Options of the root may stand anywhere in the line.
  app_.fallthrough();
  app_.add_option("--store", global_.store, "The store's folder")->type_name("FOLDER");
  app_.add_flag("--json", global_.json, "Print JSON for programs");
  app_.add_flag("-q,--quiet", global_.quiet, "Show no progress");
  app_.add_option("--set", global_.settings, "Override a setting of db4.toml")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app_.add_option("--color", global_.color, "auto, always or never; auto heeds NO_COLOR")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  app_.add_option("--wait", global_.wait, "How long to wait for a store that is just being used (10s)")
      ->type_name("DURATION");
}

CLI::App& CommandTree::add(const CommandText& text, Action action) {
  return add(app_, text, std::move(action));
}

CLI::App& CommandTree::add(CLI::App& parent, const CommandText& text, Action action) {
  CLI::App* command = parent.add_subcommand(text.name, text.summary);
  command->group(text.group);
  command->footer(footer_of(text));
  texts_.emplace(command, text);
  if (action) actions_.emplace(command, std::move(action));
  return *command;
}

int CommandTree::run(int argc, const char* const* argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& shown) {
    app_.exit(shown);
    return kOk;
  } catch (const CLI::ParseError& error) {
    return wrong_usage(error);
  }
  Context context(global_, Terminal(color_of(global_.color)));
  return actions_.at(&deepest())(context);
}

const CLI::App& CommandTree::deepest() const {
  const CLI::App* command = &app_;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().back();
  return *command;
}

int CommandTree::wrong_usage(const CLI::ParseError& error) const {
  std::string problem = error.what();
  std::string advice;
  const std::vector<std::string> unknown = app_.remaining(true);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !unknown.empty()) {
    const bool is_option = unknown.front().rfind('-', 0) == 0;
    problem =
        "'" + escape(unknown.front()) + "' is no " +
        (is_option ? "option here" : (&deepest() == &app_ ? "command" : "argument that is expected here"));
    advice = suggestion(unknown.front());
  } else if (&deepest() == &app_ && unknown.empty()) {
    problem = "no command is given";
  } else if (&deepest() == &app_) {
    problem = "'" + escape(unknown.front()) + "' is no command";
    advice = suggestion(unknown.front());
  }
  std::string path;
  for (const CLI::App* command = &deepest(); command != nullptr; command = command->get_parent()) {
    path = command->get_name() + (path.empty() ? "" : " " + path);
  }
  std::cerr << "db4: " << problem << (advice.empty() ? "" : "; did you mean " + advice + "?") << "\nTry `"
            << path << " --help`.\n";
  return kUsage;
}

std::string CommandTree::suggestion(const std::string& typed) const {
  std::vector<std::string> names;
  const CLI::App& here = deepest();
  const bool is_option = typed.rfind("--", 0) == 0;
  if (is_option) {
    for (const CLI::App* app : {&here, &app_}) {
      for (const CLI::Option* option : app->get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      }
    }
  } else {
    for (const CLI::App* command : under(here)) names.push_back(command->get_name());
  }
  return nearest(typed.substr(0, typed.find('=')), names);
}

const CommandText* CommandTree::text_of(const CLI::App& command) const {
  const auto found = texts_.find(&command);
  return found == texts_.end() ? nullptr : &found->second;
}

std::vector<const CLI::App*> CommandTree::under(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

}  // namespace db4::cli
