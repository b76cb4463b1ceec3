#include "screen.hpp"

#include "terminal.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace db4::cli {
namespace {

constexpr const char* kEnter = "\033[?1049h\033[?25l";
constexpr const char* kLeave = "\033[?25h\033[?1049l";

/// The line, cut to `width` characters; what paints takes no room.
std::string cut(std::string_view line, std::size_t width) {
  std::string out;
  std::size_t used = 0;
  bool in_sequence = false;
  for (const char c : line) {
    if (c == '\033') in_sequence = true;
    const bool starts = !in_sequence && (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (starts && ++used > width) return out + "\033[0m";
    out += c;
    if (c == 'm') in_sequence = false;
  }
  return out;
}

}  // namespace

Screen::Screen()
    : has_keys_(::tcgetattr(STDIN_FILENO, &before_) == 0),
      width_(Terminal::width()),
      height_(Terminal::height()) {
  if (has_keys_) {
    termios changed = before_;
    changed.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    // Ctrl-Z would leave the terminal as it is now to the shell.
    changed.c_cc[VSUSP] = _POSIX_VDISABLE;
    ::tcsetattr(STDIN_FILENO, TCSANOW, &changed);
  }
  std::cout << kEnter << std::flush;
}

Screen::~Screen() {
  std::cout << kLeave << std::flush;
  if (has_keys_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

void Screen::draw(const std::string& lines) {
  std::string out = "\033[H";
  std::string_view rest = lines;
  for (std::size_t row = 0; row < height_ && !rest.empty(); ++row) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    out += (row == 0 ? "" : "\r\n") + cut(rest.substr(0, end), width_) + "\033[K";
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::cout << out << "\033[J" << std::flush;
}

bool Screen::has_new_size() {
  const std::size_t width = Terminal::width();
  const std::size_t height = Terminal::height();
  if (width == width_ && height == height_) return false;
  width_ = width;
  height_ = height;
  return true;
}

Screen::Event Screen::wait(std::chrono::milliseconds most) {
  if (has_new_size()) return Event::resized;
  pollfd keys{.fd = has_keys_ ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&keys, 1, static_cast<int>(most.count()));
  if (has_new_size()) return Event::resized;
  if (ready <= 0) return Event::nothing;
  char key = 0;
  if (::read(STDIN_FILENO, &key, 1) != 1) {
    has_keys_ = false;
    return Event::nothing;
  }
  return key == 'q' || key == 'Q' ? Event::quit : Event::nothing;
}

}  // namespace db4::cli
