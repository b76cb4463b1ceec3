#pragma once
// Where output goes: whether somebody reads it on a terminal, and in which colours.

#include <string>
#include <string_view>

namespace db4::cli {

enum class Color { automatic, always, never };

/// A meaning, not a colour: what a terminal shows for it is decided in one place.
enum class Emphasis { heading, hot, warm, cold, good, bad, faint };

/// Standard output and standard error, looked at once.
class Terminal {
 public:
  /// Colours standard output where it is a terminal that has them, NO_COLOR (no-color.org) is not set and
  /// TERM is not "dumb"; `color` overrides.
  explicit Terminal(Color color = Color::automatic);

  /// `text` as it is, or between the escape sequences of `emphasis`.
  [[nodiscard]] std::string paint(Emphasis emphasis, std::string_view text) const;
  [[nodiscard]] bool colored() const noexcept { return colored_; }
  [[nodiscard]] bool output_is_terminal() const noexcept { return output_is_terminal_; }
  [[nodiscard]] bool error_is_terminal() const noexcept { return error_is_terminal_; }
  /// Characters in a line of standard output; 80 where it is no terminal.
  [[nodiscard]] static std::size_t width();
  [[nodiscard]] static std::size_t height();

 private:
  bool output_is_terminal_;
  bool error_is_terminal_;
  bool colored_;
};

}  // namespace db4::cli
