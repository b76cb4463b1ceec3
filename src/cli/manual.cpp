#include "manual.hpp"

#include "exit_code.hpp"
#include "text.hpp"

#include <db4/version.hpp>

#include <algorithm>

namespace db4::cli {
namespace {

constexpr std::size_t kMarkdownWidth = 110;

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

/// Text for roff: what it would take for an order, or for another kind of dash or quote, escaped. What stands
/// between backquotes is set bold.
std::string roff(std::string_view text) {
  std::string out;
  bool bold = false;
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '"':
        out += "\\(dq";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      case '`':
        bold = !bold;
        out += bold ? "\\fB" : "\\fR";
        break;
      default:
        out += c;
    }
  }
  // A point at the start of a line would be an order.
  return out.rfind('.', 0) == 0 ? "\\&" + out : out;
}

std::string roff_entry(const PageEntry& entry) {
  std::string names;
  for (const std::string& name : entry.names) {
    names += (names.empty() ? "" : ", ") + std::string("\\fB") + roff(name) + "\\fR";
  }
  if (!entry.value.empty()) names += " \\fI" + roff(entry.value) + "\\fR";
  return ".TP\n" + names + "\n" + roff(described(entry)) + "\n";
}

void add_paragraphs(std::string& out, std::string_view text) {
  for (const std::string& paragraph : paragraphs(text)) out += ".PP\n" + roff(paragraph) + "\n";
}

void add_roff_examples(std::string& out, const Page& page) {
  if (page.examples.empty()) return;
  out += ".SH EXAMPLES\n.EX\n";
  for (const PageExample& example : page.examples) {
    if (!example.what.empty()) out += "# " + roff(example.what) + "\n";
    out += roff(example.command) + "\n";
  }
  out += ".EE\n";
}

void add_see_also(std::string& out, const Page& page) {
  std::vector<std::string> others;
  if (!page.path.empty()) others.emplace_back("db4");
  for (const PageCommand& command : page.commands) others.push_back(manual_name(page) + "-" + command.name);
  out += ".SH SEE ALSO\n";
  for (const std::string& other : others) {
    out += ".BR " + roff(other) + " (1)" + (&other == &others.back() ? "" : ",") + "\n";
  }
}

/// "`--tier TIER`: Where it goes".
std::string markdown_entry(const PageEntry& entry) {
  return "- " + wrapped("`" + shown(entry) + "`: " + described(entry), kMarkdownWidth, 2, /*hanging=*/true);
}

void add_markdown(std::string& out, const Page& page) {
  out += "\n### " + page.title() + "\n\n";
  std::string text = page.summary + ".";
  if (!page.details.empty()) text += " " + page.details;
  for (const std::string& paragraph : paragraphs(text)) out += wrapped(paragraph, kMarkdownWidth, 0) + "\n";
  for (const PageEntry& argument : page.arguments) out += markdown_entry(argument);
  for (const PageEntry& option : page.options) {
    if (option.names.back() != "--help") out += markdown_entry(option);
  }
  if (out.back() == '\n' && out[out.size() - 2] != '\n') out += "\n";
  out += "```sh\n";
  for (const std::string& line : page.usage) out += "# " + line + "\n";
  for (const PageExample& example : page.examples) {
    out += example.command + (example.what.empty() ? "" : "  # " + example.what) + "\n";
  }
  out += "```\n";
}

std::string introduction(const Page& root) {
  std::string out =
      "# Commands\n\nPrinted by `db4 man --markdown`: what each command's `--help` says. JSON that `--json` "
      "prints "
      "is in\n[cli-json.md](../cli-json.md), settings are in [configuration.md](configuration.md).\n\n";
  for (const std::string& paragraph : paragraphs(root.details)) {
    out += wrapped(paragraph, kMarkdownWidth, 0) + "\n";
  }
  out += "Every command takes these options:\n\n";
  for (const PageEntry& option : root.options) out += markdown_entry(option);
  out += "\n| exit code | meaning |\n|---|---|\n";
  for (const ExitText& exit : exit_texts()) {
    out += "| " + std::to_string(exit.code) + " | " + exit.meaning + " |\n";
  }
  return out;
}

}  // namespace

std::string manual_name(const Page& page) {
  return page.path.empty() ? "db4" : "db4-" + joined(page.path, "-");
}

std::string manual_roff(const Page& page) {
  const std::string name = manual_name(page);
  std::string out =
      ".TH " + roff(upper(name)) + " 1 \"\" \"db4 " + std::string(version()) + "\" \"db4 manual\"\n";
  out += ".SH NAME\n" + roff(name) + " \\- " + roff(page.summary) + "\n.SH SYNOPSIS\n.nf\n";
  for (const std::string& line : page.usage) out += ".B " + roff(line) + "\n";
  out += ".fi\n";
  if (!page.details.empty()) out += ".SH DESCRIPTION\n";
  add_paragraphs(out, page.details);
  if (!page.arguments.empty()) out += ".SH ARGUMENTS\n";
  for (const PageEntry& argument : page.arguments) out += roff_entry(argument);
  out += ".SH OPTIONS\n";
  for (const PageEntry& option : page.options) out += roff_entry(option);
  if (!page.path.empty()) {
    out += ".PP\nThe options that every command takes are in\n.BR db4 (1).\n";
  }
  if (!page.commands.empty()) out += ".SH COMMANDS\n";
  for (const PageCommand& command : page.commands) {
    out += ".TP\n\\fB" + roff(command.name) + "\\fR\n" + roff(command.summary) + "\n";
  }
  if (page.path.empty()) {
    out += ".SH EXIT STATUS\n";
    for (const ExitText& exit : exit_texts()) {
      out += ".TP\n" + std::to_string(exit.code) + "\n" + roff(exit.meaning) + "\n";
    }
  }
  add_roff_examples(out, page);
  add_see_also(out, page);
  return out;
}

std::string commands_markdown(const std::vector<Page>& pages) {
  std::string out = introduction(pages.front());
  std::string group;
  for (const Page& page : pages) {
    if (page.path.empty()) continue;
    if (page.group != group) {
      group = page.group;
      out += "\n## " + group + "\n";
    }
    add_markdown(out, page);
  }
  return out;
}

}  // namespace db4::cli
