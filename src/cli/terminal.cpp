#include "terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace db4::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value == nullptr ? std::string_view() : std::string_view(value);
}

bool wants_color(Color color, bool is_terminal) {
  if (color != Color::automatic) return color == Color::always;
  return is_terminal && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
}

const char* sequence(Emphasis emphasis) {
  switch (emphasis) {
    case Emphasis::heading:
      return "\033[1m";
    case Emphasis::hot:
    case Emphasis::bad:
      return "\033[31m";
    case Emphasis::warm:
      return "\033[33m";
    case Emphasis::cold:
      return "\033[36m";
    case Emphasis::good:
      return "\033[32m";
    case Emphasis::faint:
      return "\033[2m";
  }
  return "";
}

winsize window() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {};
  return size;
}

}  // namespace

Terminal::Terminal(Color color)
    : output_is_terminal_(::isatty(STDOUT_FILENO) != 0),
      error_is_terminal_(::isatty(STDERR_FILENO) != 0),
      colored_(wants_color(color, output_is_terminal_)) {}

std::string Terminal::paint(Emphasis emphasis, std::string_view text) const {
  if (!colored_) return std::string(text);
  return sequence(emphasis) + std::string(text) + "\033[0m";
}

std::size_t Terminal::width() {
  const winsize size = window();
  return size.ws_col == 0 ? 80 : size.ws_col;
}

std::size_t Terminal::height() {
  const winsize size = window();
  return size.ws_row == 0 ? 24 : size.ws_row;
}

}  // namespace db4::cli
