#pragma once
// Where published test vectors are. They are no part of the tree: tests that need them are skipped without.

#include <cstdlib>
#include <filesystem>

namespace db4::testing {

inline constexpr const char* kNoVectors = "the published vectors are not at hand: name them in DB4_VECTORS";

/// The folder that DB4_VECTORS names, or the one beside the checkout or beside the folder that has it. It may
/// be absent.
inline std::filesystem::path vectors() {
  const char* given = std::getenv("DB4_VECTORS");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  if (given != nullptr) return given;
  for (const char* up : {"..", "../.."}) {
    const std::filesystem::path found =
        std::filesystem::path(DB4_SOURCE_DIR) / up / "shared" / "data" / "vectors";
    if (std::filesystem::exists(found)) return found;
  }
  return std::filesystem::path(DB4_SOURCE_DIR) / ".." / "shared" / "data" / "vectors";
}

}  // namespace db4::testing
