#pragma once
// Fuzz targets: each file here but corpus_main.cpp is one. It defines LLVMFuzzerTestOneInput, which aborts
// (or trips a sanitizer) where a promise is broken; db4::Error of the codes a target states is an ordinary
// outcome.
//
// A new target is a file NAME.cpp, a folder corpus/NAME/ with a few seeds, and a line in CMakeLists.txt.
// Without clang's libFuzzer the same function runs over the corpus as an ordinary test.

#include <db4/error.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace db4::fuzz {

inline std::string_view as_input(const std::uint8_t* data, std::size_t size) noexcept {
  return {reinterpret_cast<const char*>(data), size};
}

inline void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

/// Runs `call`; true where it returned, false where it threw an error of one of `codes`. Any other error is a
/// broken promise.
template <typename Call>
bool succeeds(const Call& call, std::initializer_list<ErrorCode> codes) {
  try {
    call();
    return true;
  } catch (const Error& error) {
    for (const ErrorCode code : codes) {
      if (error.code() == code) return false;
    }
    std::fprintf(stderr, "unexpected error: %s\n", error.what());
    std::abort();
  }
}

}  // namespace db4::fuzz
