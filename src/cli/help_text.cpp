#include "help_text.hpp"

#include "exit_code.hpp"

#include <algorithm>

namespace db4::cli {
namespace {

/// Longer lines are hard to read, however wide the terminal is.
constexpr std::size_t kWidest = 100;
constexpr std::size_t kNarrowest = 40;

struct Row {
  std::string left;
  std::string right;
};

class HelpText {
 public:
  HelpText(const Page& page, const Terminal& terminal)
      : page_(page),
        terminal_(terminal),
        width_(std::clamp(Terminal::width(), kNarrowest, kWidest)),
        column_(column_for(page, width_)) {}

  std::string make() {
    out_ = wrapped(page_.summary, width_, 0) + "\n";
    for (const std::string& line : page_.usage) {
      out_ += (&line == &page_.usage.front() ? "Usage: " : "       ") + line + "\n";
    }
    for (const std::string& paragraph : paragraphs(page_.details))
      out_ += "\n" + wrapped(paragraph, width_, 0);
    add_rows("Arguments", rows_of(page_.arguments));
    add_rows("Options", rows_of(page_.options));
    add_commands();
    if (!page_.path.empty()) {
      out_ +=
          "\n" +
          wrapped(
              "Every command takes --store, --json, --quiet, --set, --color and --wait: see `db4 --help`.",
              width_, 0);
    }
    add_examples();
    if (page_.path.empty()) {
      std::vector<Row> codes;
      for (const ExitText& exit : exit_texts()) codes.push_back({std::to_string(exit.code), exit.meaning});
      add_rows("Exit codes", codes);
    }
    return out_;
  }

 private:
  /// Right of everything that stands left, but for what is longer than a third of the line.
  static std::size_t column_for(const Page& page, std::size_t width) {
    std::size_t longest = 0;
    const auto count = [&](std::size_t left) {
      if (left + 4 <= width / 3) longest = std::max(longest, left);
    };
    for (const PageEntry& entry : page.arguments) count(shown(entry).size());
    for (const PageEntry& entry : page.options) count(shown(entry).size());
    for (const PageCommand& command : page.commands) count(command.name.size());
    return longest + 4;
  }

  void add_heading(const std::string& name) {
    out_ += "\n" + terminal_.paint(Emphasis::heading, name + ":") + "\n";
  }

  static std::vector<Row> rows_of(const std::vector<PageEntry>& entries) {
    std::vector<Row> rows;
    rows.reserve(entries.size());
    for (const PageEntry& entry : entries) rows.push_back({shown(entry), described(entry)});
    return rows;
  }

  void add_rows(const std::string& name, const std::vector<Row>& rows) {
    if (rows.empty()) return;
    add_heading(name);
    for (const Row& row : rows) add_row(row);
  }

  void add_row(const Row& row) {
    out_ += "  " + row.left;
    if (row.left.size() + 4 > column_) {
      out_ += "\n" + wrapped(row.right, width_, column_);
      return;
    }
    out_ += std::string(column_ - row.left.size() - 2, ' ') +
            wrapped(row.right, width_, column_, /*hanging=*/true);
  }

  void add_commands() {
    std::vector<std::string> groups;
    for (const PageCommand& command : page_.commands) {
      if (std::find(groups.begin(), groups.end(), command.group) == groups.end())
        groups.push_back(command.group);
    }
    for (const std::string& group : groups) {
      std::vector<Row> rows;
      for (const PageCommand& command : page_.commands) {
        if (command.group == group) rows.push_back({command.name, command.summary});
      }
      add_rows(page_.path.empty() ? group : "Commands", rows);
    }
  }

  void add_examples() {
    if (page_.examples.empty()) return;
    add_heading("Examples");
    for (const PageExample& example : page_.examples) {
      out_ += "  " + example.command;
      if (!example.what.empty()) out_ += terminal_.paint(Emphasis::faint, "  # " + example.what);
      out_ += "\n";
    }
  }

  const Page& page_;
  const Terminal& terminal_;
  std::size_t width_;
  std::size_t column_;  ///< where descriptions begin
  std::string out_;
};

}  // namespace

std::string help_text(const Page& page, const Terminal& terminal) { return HelpText(page, terminal).make(); }

}  // namespace db4::cli
