#pragma once
// What the command line ends with. `db4 --help` and docs/reference/commands.md list these.

#include <db4/error.hpp>

#include <array>

namespace db4::cli {

enum Exit : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,          ///< an argument, a setting or a document that is wrong
  kConflict = 3,       ///< it stands at another version, or is there already
  kNotFound = 4,       ///< no such document
  kBusy = 5,           ///< locked, full or away: the same may succeed later
  kInterrupted = 130,  ///< stopped by Ctrl-C or SIGTERM, with everything acknowledged kept
};

struct ExitText {
  int code;
  const char* meaning;
};
/// All of them, as the help, the manual and the reference list them.
const std::array<ExitText, 7>& exit_texts();

/// The code for a failure.
int exit_code(const Error& error) noexcept;

}  // namespace db4::cli
