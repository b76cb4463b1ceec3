#include "page.hpp"

#include "settings.hpp"

#include <algorithm>
#include <cctype>

namespace db4::cli {
namespace {

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

/// CLI11 writes the words of a check behind the type: "WHEN:{auto,always,never}".
std::vector<std::string> checked_words(const std::string& type) {
  const std::size_t open = type.find(":{");
  if (open == std::string::npos || type.back() != '}') return {};
  return CLI::detail::split(type.substr(open + 2, type.size() - open - 3), ',');
}

std::vector<std::string> setting_keys(std::string_view behind) {
  std::vector<std::string> keys;
  for (const Setting& setting : all_settings()) keys.push_back(setting.key + std::string(behind));
  return keys;
}

/// By what it takes: the type of an option, the name of an argument.
void set_offer(PageEntry& entry, const std::string& kind, const std::string& type) {
  entry.words = checked_words(type);
  if (kind == "TIER") entry.words = {"hot", "warm", "cold"};
  if (kind == "KEY") entry.words = setting_keys("");
  if (kind == "KEY=VALUE") entry.words = setting_keys("=");
  if (!entry.words.empty()) {
    entry.offer = Offer::words;
  } else if (kind == "FILE") {
    entry.offer = Offer::files;
  } else if (kind == "FOLDER") {
    entry.offer = Offer::folders;
  } else if (kind == "COLLECTION" || kind == "TO-COLLECTION") {
    entry.offer = Offer::collections;
  } else if (kind == "COMMAND") {
    entry.offer = Offer::commands;
  }
}

PageEntry entry_of(const CLI::Option& option) {
  PageEntry entry;
  entry.text = option.get_description();
  entry.required = option.get_required();
  entry.repeated = option.get_expected_max() > 1;
  const std::string type = option.get_type_name();
  if (option.get_positional()) {
    entry.names = {upper(option.get_name(/*positional=*/true))};
    set_offer(entry, entry.names.front(), type);
    return entry;
  }
  for (const std::string& name : option.get_snames()) entry.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) entry.names.push_back("--" + name);
  if (option.get_items_expected_max() > 0) {
    entry.value = type.substr(0, type.find(':'));
    set_offer(entry, entry.value, type);
  }
  return entry;
}

void add_usage(Page& page, const CommandTree& tree, const CLI::App& command) {
  if (tree.does_something(command)) {
    std::string line = page.title();
    for (const PageEntry& argument : page.arguments) {
      const std::string name = argument.names.front() + (argument.repeated ? "..." : "");
      line += argument.required ? " " + name : " [" + name + "]";
    }
    for (const PageEntry& option : page.options) {
      if (option.required) line += " " + shown(option);
    }
    page.usage.push_back(line + " [OPTIONS]");
  }
  if (!page.commands.empty()) page.usage.push_back(page.title() + " COMMAND ...");
}

void add_examples(Page& page, std::string_view lines) {
  constexpr std::string_view kSays = "  # ";
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    const std::size_t says = line.find(kSays);
    page.examples.push_back({.command = std::string(line.substr(0, says)),
                             .what = says == std::string_view::npos
                                         ? std::string()
                                         : std::string(line.substr(says + kSays.size()))});
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
}

void collect(const CommandTree& tree, const CLI::App& command, std::vector<Page>& pages) {
  pages.push_back(page_of(tree, command));
  for (const CLI::App* under : CommandTree::under(command)) {
    if (!under->get_group().empty()) collect(tree, *under, pages);
  }
}

}  // namespace

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string out;
  for (const std::string& word : words) {
    if (&word != &words.front()) out += between;
    out += word;
  }
  return out;
}

std::string shown(const PageEntry& entry) {
  return joined(entry.names, ", ") + (entry.value.empty() ? "" : " " + entry.value);
}

std::string described(const PageEntry& entry) {
  std::string out = entry.text;
  // A few words are worth a place; a tier's stand in the text.
  constexpr std::size_t kFew = 6;
  if (entry.offer == Offer::words && entry.words.size() <= kFew &&
      out.find(entry.words.front()) == std::string::npos)
    out += ": " + joined(entry.words, ", ");
  if (entry.required && !entry.value.empty()) out += " (required)";
  return out;
}

std::string Page::title() const { return path.empty() ? "db4" : "db4 " + joined(path, " "); }

Page page_of(const CommandTree& tree, const CLI::App& command) {
  Page page;
  for (const CLI::App* app = &command; app->get_parent() != nullptr; app = app->get_parent()) {
    page.path.insert(page.path.begin(), app->get_name());
  }
  const CommandText* text = tree.text_of(command);
  page.group = text->group;
  page.summary = text->summary;
  page.details = text->details;
  for (const CLI::Option* option : command.get_options()) {
    (option->get_positional() ? page.arguments : page.options).push_back(entry_of(*option));
  }
  // CLI11 makes --help first; it is what everybody knows.
  if (!page.options.empty()) std::rotate(page.options.begin(), page.options.begin() + 1, page.options.end());
  for (const CLI::App* under : CommandTree::under(command)) {
    if (under->get_group().empty()) continue;
    page.commands.push_back(
        {.group = under->get_group(), .name = under->get_name(), .summary = under->get_description()});
  }
  add_usage(page, tree, command);
  add_examples(page, text->examples);
  return page;
}

std::vector<Page> pages_of(const CommandTree& tree) {
  std::vector<Page> pages;
  collect(tree, tree.app(), pages);
  return pages;
}

std::vector<std::string> paragraphs(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\n\n"), text.size());
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return out;
}

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent, bool hanging) {
  const std::string margin(indent, ' ');
  std::string out;
  std::string line;
  const auto end_line = [&] {
    if (line.empty()) return;
    out += (out.empty() && hanging ? "" : margin) + line + "\n";
    line.clear();
  };
  while (!text.empty()) {
    std::size_t end = std::min(text.find(' '), text.size());
    if (text.front() == '`') {
      const std::size_t closed = text.find('`', 1);
      if (closed != std::string_view::npos) end = std::min(text.find(' ', closed), text.size());
    }
    const std::string_view word = text.substr(0, end);
    if (!line.empty() && indent + line.size() + 1 + word.size() > width) end_line();
    line += (line.empty() ? "" : " ") + std::string(word);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  end_line();
  return out;
}

}  // namespace db4::cli
