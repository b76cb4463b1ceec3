#pragma once

#include <db4/error.hpp>

#include <optional>

namespace db4::testing {

/// The code that `call` throws; nullopt where it returns.
template <typename Call>
std::optional<ErrorCode> error_of(const Call& call) {
  try {
    call();
    return std::nullopt;
  } catch (const Error& error) {
    return error.code();
  }
}

}  // namespace db4::testing
