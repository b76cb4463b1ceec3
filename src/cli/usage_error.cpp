#include "usage_error.hpp"

#include "page.hpp"
#include "suggest.hpp"
#include "text.hpp"

#include <charconv>
#include <regex>

namespace db4::cli {
namespace {

class Complaint {
 public:
  Complaint(const CommandTree& tree, const CLI::App& command, const CLI::ParseError& error)
      : tree_(tree), command_(command), page_(page_of(tree, command)), error_(error) {}

  Error make() {
    const std::vector<std::string> unknown = tree_.app().remaining(/*recurse=*/true);
    if (!unknown.empty() && unknown.front().rfind('-', 0) == 0) {
      complain_of_option(unknown.front());
    } else if (!tree_.does_something(command_)) {
      complain_of_command(unknown);
    } else if (!unknown.empty()) {
      problem_ = quoted(unknown.front()) + " is one argument too many";
    } else if (dynamic_cast<const CLI::RequiredError*>(&error_) != nullptr) {
      complain_of_missing();
    } else {
      problem_ = in_plain_words(error_.what());
      meant_ = meant_command();
    }
    return {ErrorCode::invalid_argument, problem_, advice()};
  }

 private:
  static std::string quoted(const std::string& word) { return "'" + escape(word) + "'"; }

  void complain_of_option(const std::string& typed) {
    const std::string name = typed.substr(0, typed.find('='));
    problem_ = quoted(name) + " is no option here";
    std::vector<std::string> names;
    for (const Page& page : {page_, page_of(tree_, tree_.app())}) {
      for (const PageEntry& option : page.options)
        names.insert(names.end(), option.names.begin(), option.names.end());
    }
    meant_ = nearest(name, names);
  }

  void complain_of_command(const std::vector<std::string>& unknown) {
    if (unknown.empty()) {
      problem_ = page_.path.empty() ? "no command is given" : page_.title() + " needs a command";
      return;
    }
    problem_ =
        quoted(unknown.front()) + " is no command" + (page_.path.empty() ? "" : " of " + page_.title());
    meant_ = nearest_command(unknown.front());
  }

  void complain_of_missing() {
    std::vector<std::string> missing;
    for (const CLI::Option* option : command_.get_options()) {
      if (option->get_required() && option->empty()) missing.push_back(name_of(option->get_name()));
    }
    problem_ = missing.empty()
                   ? in_plain_words(error_.what())
                   : joined(missing, " and ") + (missing.size() == 1 ? " is missing" : " are missing");
  }

  [[nodiscard]] std::string nearest_command(const std::string& typed) const {
    std::vector<std::string> names;
    for (const PageCommand& under : page_.commands) names.push_back(under.name);
    return nearest(typed, names);
  }

  /// What was taken for an argument may be a command that was mistyped.
  [[nodiscard]] std::string meant_command() const {
    for (const CLI::Option* option : command_.get_options()) {
      if (!option->get_positional() || option->empty()) continue;
      const std::string near = nearest_command(option->results().front());
      return near.empty() ? near : page_.title() + " " + near;
    }
    return {};
  }

  /// Arguments are called as the help calls them.
  [[nodiscard]] std::string name_of(const std::string& name) const {
    std::string upper = name;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    for (const PageEntry& argument : page_.arguments) {
      if (argument.names.front() == upper) return upper;
    }
    return name;
  }

  [[nodiscard]] static std::string out_of_range(const std::string& name, const std::string& value,
                                                const std::string& range) {
    double number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size())
      return name + ": " + quoted(value) + " is no number";
    // CLI11's own "positive" is a range up to the largest number there is, in all its digits.
    constexpr std::size_t kLongest = 40;
    if (range.size() > kLongest) return name + ": " + quoted(value) + " is not above 0";
    return name + ": " + quoted(value) + " is not in the range " + range;
  }

  [[nodiscard]] std::string in_plain_words(const std::string& said) const {
    std::smatch part;
    const auto is = [&](const char* pattern) { return std::regex_match(said, part, std::regex(pattern)); };
    if (is("([^ ]+) requires ([^ ]+)")) return name_of(part[1]) + " needs " + name_of(part[2]) + " too";
    if (is("([^ ]+) excludes ([^ ]+)")) return name_of(part[1]) + " does not go with " + name_of(part[2]);
    if (is("([^ ]+): 1 required (.*) missing"))
      return name_of(part[1]) + " needs a value: " + std::string(part[2]);
    if (is("Could not convert: ([^ ]+) = (.*)"))
      return name_of(part[1]) + ": " + quoted(part[2]) + " is no number";
    if (is("([^ ]+): Failed parsing number: \\((.*)\\)")) {
      return name_of(part[1]) + ": " + quoted(part[2]) + " is no number";
    }
    if (is("([^ ]+): Value (.*) not in range (.*)")) return out_of_range(name_of(part[1]), part[2], part[3]);
    if (is("([^ ]+): (.*) not in \\{(.*)\\}")) {
      const std::vector<std::string> words = CLI::detail::split(part[3], ',');
      const std::string near = nearest(std::string(part[2]), words);
      return name_of(part[1]) + ": " + quoted(part[2]) + " is none of " + joined(words, ", ") +
             (near.empty() ? "" : "; did you mean " + near + "?");
    }
    return said;
  }

  [[nodiscard]] std::string advice() const {
    if (!meant_.empty()) return "did you mean " + meant_ + "?";
    const std::string help = "`" + page_.title() + " --help`";
    if (!tree_.does_something(command_)) return help + " lists the commands";
    return "write " + page_.usage.front() + "; see " + help;
  }

  const CommandTree& tree_;
  const CLI::App& command_;
  Page page_;
  const CLI::ParseError& error_;
  std::string problem_;
  std::string meant_;
};

}  // namespace

Error usage_error(const CommandTree& tree, const CLI::App& command, const CLI::ParseError& error) {
  return Complaint(tree, command, error).make();
}

}  // namespace db4::cli
