#pragma once
// A page: what there is to say about one command. The help, the manual, the reference and the completions of
// shells are all made of it, so that they cannot differ.

#include "command_tree.hpp"

#include <string>
#include <vector>

namespace db4::cli {

/// What a shell can offer for a word.
enum class Offer { nothing, words, files, folders, collections, commands };

/// An argument or an option.
struct PageEntry {
  std::vector<std::string> names;  ///< "COLLECTION", or "-o" and "--output"
  std::string value;               ///< "FILE": what an option takes; empty for a flag and for an argument
  std::string text;
  bool required = false;
  bool repeated = false;  ///< may be given again and again
  Offer offer = Offer::nothing;
  std::vector<std::string> words;  ///< for Offer::words
};

struct PageExample {
  std::string command;
  std::string what;  ///< empty where it needs no words
};

/// A command under this one.
struct PageCommand {
  std::string group;
  std::string name;
  std::string summary;
};

struct Page {
  std::vector<std::string> path;  ///< {"tier", "run"}; empty for db4 itself
  std::string group;
  std::string summary;
  std::string details;             ///< paragraphs, with an empty line between two
  std::vector<std::string> usage;  ///< lines such as "db4 put COLLECTION ID [FILE] [OPTIONS]"
  std::vector<PageEntry> arguments;
  std::vector<PageEntry> options;
  std::vector<PageCommand> commands;
  std::vector<PageExample> examples;

  /// "db4 tier run".
  [[nodiscard]] std::string title() const;
};

Page page_of(const CommandTree& tree, const CLI::App& command);
/// Of every command that is shown: db4 itself first, each command before those under it.
std::vector<Page> pages_of(const CommandTree& tree);

/// "--output FILE", "--bytes", "COLLECTION".
std::string shown(const PageEntry& entry);
/// Its text, with the words it may be and that it is required.
std::string described(const PageEntry& entry);
/// The words with `between` between two.
std::string joined(const std::vector<std::string>& words, std::string_view between);
/// What empty lines part.
std::vector<std::string> paragraphs(std::string_view text);
/// Lines of `width` characters at most, each behind `indent` spaces; the first without where `hanging`. Words
/// in `backquotes` stay whole.
std::string wrapped(std::string_view text, std::size_t width, std::size_t indent, bool hanging = false);

}  // namespace db4::cli
