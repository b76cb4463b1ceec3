#include "exit_code.hpp"

namespace db4::cli {

const std::array<ExitText, 7>& exit_texts() {
  static constexpr std::array<ExitText, 7> kTexts{
      {{kOk, "done"},
       {kFailed, "failed: damage, a full disk behind the output, a move that went wrong"},
       {kUsage, "wrong usage: an argument, a setting or a document that is wrong"},
       {kConflict, "it stands at another version, or is there already"},
       {kNotFound, "no such document, collection or pin"},
       {kBusy, "locked, full or away: the same may succeed later"},
       {kInterrupted, "stopped by Ctrl-C or SIGTERM, with everything acknowledged kept"}}};
  return kTexts;
}

int exit_code(const Error& error) noexcept {
  switch (error.code()) {
    case ErrorCode::invalid_argument:
    case ErrorCode::unsupported:
    case ErrorCode::too_large:
      return kUsage;
    case ErrorCode::conflict:
      return kConflict;
    case ErrorCode::locked:
    case ErrorCode::unavailable:
    case ErrorCode::resource_exhausted:
    case ErrorCode::deadline_exceeded:
      return kBusy;
    case ErrorCode::cancelled:
      return kInterrupted;
    default:
      return kFailed;
  }
}

}  // namespace db4::cli
