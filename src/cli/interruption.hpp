#pragma once
// Ctrl-C and SIGTERM: a stop request that a command looks at between two documents.

#include <memory>
#include <stop_token>

namespace db4::cli {

/// From its making on, the first SIGINT or SIGTERM requests a stop, and the second ends the process at once.
/// One in a process; made by main before any thread is.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  [[nodiscard]] std::stop_token token() const noexcept { return source_.get_token(); }
  [[nodiscard]] bool requested() const noexcept { return source_.stop_requested(); }

 private:
  class Listener;
  std::stop_source source_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace db4::cli
