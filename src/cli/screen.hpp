#pragma once
// A terminal taken over for a live view: the other screen, without echo, and given back as it was.

#include <termios.h>

#include <chrono>
#include <string>

namespace db4::cli {

/// From its making to its end standard output shows the terminal's alternate screen, and keys come one by
/// one, unseen. Ctrl-C stays a signal. One at a time, one thread; standard output must be a terminal.
class Screen {
 public:
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  /// Shows these lines from the top, cut to what there is room for, and clears the rest.
  void draw(const std::string& lines);

  enum class Event { nothing, quit, resized };
  /// Waits up to `most` for a key (q quits) or another size.
  Event wait(std::chrono::milliseconds most);

 private:
  [[nodiscard]] bool has_new_size();

  termios before_{};  ///< first: it is filled while has_keys_ is made
  bool has_keys_;
  std::size_t width_;
  std::size_t height_;
};

}  // namespace db4::cli
