#include "exit_code.hpp"

namespace db4::cli {

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
