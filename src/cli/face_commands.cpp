// help, man, completion: the command line about itself.
#include "completion.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "files.hpp"
#include "help_text.hpp"
#include "manual.hpp"
#include "parts.hpp"
#include "suggest.hpp"
#include "text.hpp"

#include <cstdio>
#include <iostream>

namespace db4::cli {
namespace {

/// The page of the command that these words name.
Page find_page(const CommandTree& tree, const std::vector<std::string>& words) {
  const CLI::App* command = &tree.app();
  for (const std::string& word : words) {
    const CLI::App* found = nullptr;
    std::vector<std::string> names;
    for (const CLI::App* under : CommandTree::under(*command)) {
      names.push_back(under->get_name());
      if (under->get_name() == word) found = under;
    }
    if (found == nullptr) {
      const std::string near = nearest(word, names);
      throw Error(ErrorCode::invalid_argument, "there is no command '" + joined(words, " ") + "'",
                  near.empty() ? "`db4 --help` lists them" : "did you mean " + near + "?");
    }
    command = found;
  }
  return page_of(tree, *command);
}

int help(const CommandTree& tree, const Context& context, const std::vector<std::string>& words) {
  std::cout << help_text(find_page(tree, words), context.terminal());
  return kOk;
}

/// Shows roff by man(1), which pages it; false where there is none.
bool show_by_man(const std::string& roff) {
  std::FILE* man =
      ::popen("command -v man >/dev/null && exec man -l -", "w");  // NOLINT(cert-env33-c): fixed text
  if (man == nullptr) return false;
  std::fwrite(roff.data(), 1, roff.size(), man);  // NOLINT(cert-err33-c): a reader who quits early is fine
  return ::pclose(man) == 0;
}

struct ManOptions {
  std::vector<std::string> words;
  std::string folder;
  bool roff = false;
  bool markdown = false;
};

int write_manual(const CommandTree& tree, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  for (const Page& page : pages_of(tree)) {
    write_whole((folder / (manual_name(page) + ".1")).string(), manual_roff(page));
  }
  return kOk;
}

int man(const CommandTree& tree, const Context& context, const ManOptions& options) {
  if (options.markdown) {
    std::cout << commands_markdown(pages_of(tree));
    return kOk;
  }
  if (!options.folder.empty()) return write_manual(tree, options.folder);
  const Page page = find_page(tree, options.words);
  if (options.roff) {
    std::cout << manual_roff(page);
  } else if (!context.terminal().output_is_terminal() || !show_by_man(manual_roff(page))) {
    std::cout << help_text(page, context.terminal());
  }
  return kOk;
}

int completion(const CommandTree& tree, const std::string& shell) {
  const std::vector<Page> pages = pages_of(tree);
  if (shell == "bash") {
    std::cout << bash_completion(pages);
  } else {
    std::cout << (shell == "zsh" ? zsh_completion(pages) : fish_completion(pages));
  }
  return kOk;
}

/// What is being typed must not be disturbed: no word and no wait where it fails.
int complete_collections(Context& context) {
  try {
    Session session(context.settings().config(), std::chrono::milliseconds{0}, context.stop());
    const nlohmann::json reply = nlohmann::json::parse(session.ask({{"op", "ls"}}).json);
    for (const nlohmann::json& entry : reply.at("collections")) {
      const std::string name = entry.at("name");
      // One a line: what has a line's end in it, or would act on the terminal, is not offered.
      if (escape(name) == name) std::cout << name << "\n";
    }
    session.close();
  } catch (const std::exception&) {
    return kOk;
  }
  return kOk;
}

void add_help(CommandTree& tree) {
  const auto words = std::make_shared<std::vector<std::string>>();
  CLI::App& command = tree.add({.name = "help",
                                .group = "Help",
                                .summary = "Show the help of a command",
                                .examples = "db4 help\n"
                                            "db4 help put\n"
                                            "db4 help tier run"},
                               [&tree, words](Context& context) { return help(tree, context, *words); });
  command.add_option("command", *words, "Command")->type_name("");
}

void add_man(CommandTree& tree) {
  const auto options = std::make_shared<ManOptions>();
  CLI::App& command =
      tree.add({.name = "man",
                .group = "Help",
                .summary = "Show the manual page of a command",
                .details = "On a terminal by man(1) where it is installed, else as plain text.",
                .examples = "db4 man\n"
                            "db4 man tier run\n"
                            "db4 man put --roff | groff -man -T utf8\n"
                            "db4 man --output-folder man1\n"
                            "db4 man --markdown"},
               [&tree, options](Context& context) { return man(tree, context, *options); });
  CLI::Option* words = command.add_option("command", options->words, "Command")->type_name("");
  command.add_flag("--roff", options->roff, "Print the page's source");
  CLI::Option* folder =
      command.add_option("--output-folder", options->folder, "Write all pages there: db4.1, db4-put.1 ...")
          ->type_name("FOLDER")
          ->excludes(words);
  command.add_flag("--markdown", options->markdown, "Print all commands as one document")
      ->excludes(words)
      ->excludes(folder);
}

void add_completion(CommandTree& tree) {
  const auto shell = std::make_shared<std::string>();
  CLI::App& command = tree.add(
      {.name = "completion",
       .group = "Help",
       .summary = "Print the completion of a shell",
       .details = "It completes commands, options, their words, files, and the collections of the store.",
       .examples = "source <(db4 completion bash)\n"
                   "db4 completion zsh > ~/.zfunc/_db4  # a folder of fpath\n"
                   "db4 completion fish > ~/.config/fish/completions/db4.fish"},
      [&tree, shell](Context&) { return completion(tree, *shell); });
  command.add_option("shell", *shell, "Shell")
      ->required()
      ->type_name("")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  const auto what = std::make_shared<std::string>();
  CLI::App& hidden =
      tree.add({.name = "__complete", .group = "", .summary = "What completions ask while one types"},
               [](Context& context) { return complete_collections(context); });
  hidden.add_option("what", *what, "What is completed")
      ->required()
      ->type_name("")
      ->check(CLI::IsMember({"collections"}));
}

}  // namespace

void add_face_commands(CommandTree& tree) {
  add_help(tree);
  add_man(tree);
  add_completion(tree);
}

}  // namespace db4::cli
