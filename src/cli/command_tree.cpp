#include "command_tree.hpp"

#include "context.hpp"
#include "exit_code.hpp"
#include "help_text.hpp"
#include "usage_error.hpp"
#include "version.hpp"

namespace db4::cli {
namespace {

constexpr CommandText kRoot{
    .name = "db4",
    .group = "",
    .summary = "db4 storage: documents in three tiers, moved by how they are used",
    .details =
        "A store is a folder. It is --store FOLDER, else what the variable DB4_STORE names, else this folder "
        "where it has a db4.toml. Settings come from that file; variables such as DB4_HOT_MAX_SIZE go before "
        "it, "
        "and --set hot.max_size=50MiB before both. `db4 config explain` says which holds.\n\n"
        "A store that another process holds is asked through its socket; nothing has to be stopped. "
        "`db4 COMMAND --help` has the options of a command, and examples.",
    .examples =
        "db4 init shop\n"
        "echo '{\"total\": 12}' | db4 --store shop put orders 1001\n"
        "db4 --store shop get orders 1001\n"
        "db4 --store shop import orders orders.jsonl --id-field id\n"
        "db4 --store shop explain orders 1001\n"
        "db4 demo  # a month of a store's life, in a minute"};

Color color_of(const std::string& word) {
  if (word == "always") return Color::always;
  return word == "never" ? Color::never : Color::automatic;
}

}  // namespace

CommandTree::CommandTree() : app_(kRoot.summary, kRoot.name) {
  texts_.emplace(&app_, kRoot);
  app_.set_help_flag("-h,--help", "Show this help");
  app_.formatter_fn([this](const CLI::App* command, const std::string&, CLI::AppFormatMode) {
    return help_text(page_of(*this, *command), Terminal(color_of(global_.color)));
  });
  app_.require_subcommand(1);
  app_.set_version_flag(
      "--version", [this] { return version_text(app_.count("--json") > 0); }, "Print the version");
  // Options of the root may stand anywhere in the line.
  app_.fallthrough();
  add_folder_option(app_, "--store", global_.store, "The store's folder");
  app_.add_flag("--json", global_.json, "Print JSON for programs");
  app_.add_flag("-q,--quiet", global_.quiet, "Show no progress");
  app_.add_option("--set", global_.settings, "Override a setting of db4.toml")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app_.add_option("--color", global_.color, "Colours: auto, always or never; auto heeds NO_COLOR")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  add_duration_option(app_, "--wait", global_.wait,
                      "How long to wait for a store that is just being used (10s)");
}

CLI::App& CommandTree::add(const CommandText& text, Action action) {
  return add(app_, text, std::move(action));
}

CLI::App& CommandTree::add(CLI::App& parent, const CommandText& text, Action action) {
  CLI::App* command = parent.add_subcommand(text.name, text.summary);
  command->group(text.group);
  texts_.emplace(command, text);
  if (action) {
    actions_.emplace(command, std::move(action));
  } else {
    command->require_subcommand(1);
  }
  return *command;
}

int CommandTree::run(int argc, const char* const* argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& shown) {
    app_.exit(shown);
    return kOk;
  } catch (const CLI::ParseError& error) {
    throw usage_error(*this, deepest(), error);
  }
  Context context(global_, Terminal(color_of(global_.color)));
  return actions_.at(&deepest())(context);
}

const CLI::App& CommandTree::deepest() const {
  const CLI::App* command = &app_;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().back();
  return *command;
}

const CommandText* CommandTree::text_of(const CLI::App& command) const {
  const auto found = texts_.find(&command);
  return found == texts_.end() ? nullptr : &found->second;
}

std::vector<const CLI::App*> CommandTree::under(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

}  // namespace db4::cli
