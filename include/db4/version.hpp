#pragma once
// Which db4 this is and what it was built of: for logs, reports of faults and `db4 --version`.

#include <db4/config.hpp>

#include <string>
#include <string_view>
#include <vector>

// The release these headers belong to. This is the one place that says it: CMake reads these three lines.
#define DB4_VERSION_MAJOR 0
#define DB4_VERSION_MINOR 1
#define DB4_VERSION_PATCH 0

namespace db4 {

/// The release of the library that runs, "0.1.0". Differs from the macros above where a program runs with
/// another library than it was compiled for.
DB4_API std::string_view version() noexcept;

/// A library under db4, in the version db4 was compiled with and in the one that is loaded.
struct LibraryVersion {
  std::string name;      ///< "rocksdb"
  std::string compiled;  ///< "7.8.3"
  std::string running;   ///< empty where the library does not tell
  std::string purpose;   ///< "hot engine"
};

/// How the library that runs was built, and what it can do on this machine.
struct BuildInfo {
  std::string version;
  std::string compiler;    ///< "g++ 12.2.0"
  std::string build_type;  ///< CMake's: "Release", "RelWithDebInfo" ...; empty where none was chosen
  bool shared = false;     ///< built as a shared library
  std::string sanitizers;  ///< "address,undefined"; empty without
  /// What a TieredStoreConfig may name; every other value is refused as `unsupported`.
  std::vector<HotType> hot_types;
  std::vector<WarmType> warm_types;
  std::vector<ColdType> cold_types;
  std::vector<Compression> compressions;
  std::vector<LibraryVersion> libraries;
  bool crc32c_hardware = false;  ///< checksums by the processor's instruction, else by tables
};

DB4_API BuildInfo build_info();

}  // namespace db4
