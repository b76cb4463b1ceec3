#pragma once
// The commands: what is typed, and what is done then.

#include <CLI/CLI.hpp>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace db4::cli {

class Context;

/// What the help, the manual and the reference say about a command.
struct CommandText {
  const char* name;
  const char* group;    ///< heading in `db4 --help`
  const char* summary;  ///< one line
  const char* details = "";
  const char* examples = "";  ///< command lines, one a line, each may end with "  # what it does"
};

/// Options that every command takes.
struct GlobalOptions {
  std::string store;
  std::vector<std::string> settings;  ///< --set KEY=VALUE
  std::string color = "auto";
  std::string wait = "10s";
  bool json = false;
  bool quiet = false;
};

/// The command line. The parts of it (add_documents, add_tiers, ...) hang their commands into it; then run()
/// parses and does what was asked for.
class CommandTree {
 public:
  using Action = std::function<int(Context&)>;

  CommandTree();
  CommandTree(const CommandTree&) = delete;
  CommandTree& operator=(const CommandTree&) = delete;

  /// A command; its options and arguments are declared on what is returned. Without an action it only holds
  /// commands under it.
  CLI::App& add(const CommandText& text, Action action);
  CLI::App& add(CLI::App& parent, const CommandText& text, Action action);

  /// Parses and runs; the exit code. Throws what the command throws, and invalid_argument for a line that
  /// cannot be understood.
  int run(int argc, const char* const* argv);

  [[nodiscard]] const CLI::App& app() const noexcept { return app_; }
  /// What it does when nothing follows; without, it only holds commands under it.
  [[nodiscard]] bool does_something(const CLI::App& command) const { return actions_.contains(&command); }
  /// What add() was given for it.
  [[nodiscard]] const CommandText* text_of(const CLI::App& command) const;
  /// The commands right under one, in the order of their making.
  [[nodiscard]] static std::vector<const CLI::App*> under(const CLI::App& command);

 private:
  [[nodiscard]] const CLI::App& deepest() const;

  CLI::App app_;
  GlobalOptions global_;
  std::map<const CLI::App*, CommandText> texts_;
  std::map<const CLI::App*, Action> actions_;
};

}  // namespace db4::cli
