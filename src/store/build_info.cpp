// What this build is made of. The one file that includes every library under db4, to ask each for its
// version.
#include "base/hash.hpp"

#include <db4/version.hpp>

#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <libdeflate.h>
#include <libpq-fe.h>
#include <openssl/crypto.h>
#include <pg_config.h>
#include <pugixml.hpp>
#include <rocksdb/version.h>
#include <simdjson.h>
#include <sodium.h>
#include <sqlite3.h>
#include <zstd.h>

// CMake says these; compiled without it, a file cannot know.
#ifndef DB4_BUILD_TYPE
#define DB4_BUILD_TYPE ""
#endif
#ifndef DB4_BUILD_SHARED
#define DB4_BUILD_SHARED 0
#endif
#ifndef DB4_BUILD_SANITIZERS
#define DB4_BUILD_SANITIZERS ""
#endif

#define DB4_TEXT_OF(token) #token
#define DB4_TEXT(macro) DB4_TEXT_OF(macro)

namespace db4 {
namespace {

constexpr std::string_view kVersion =
    DB4_TEXT(DB4_VERSION_MAJOR) "." DB4_TEXT(DB4_VERSION_MINOR) "." DB4_TEXT(DB4_VERSION_PATCH);

#if defined(__clang__)
constexpr const char* kCompiler =
    "clang++ " DB4_TEXT(__clang_major__) "." DB4_TEXT(__clang_minor__) "." DB4_TEXT(__clang_patchlevel__);
#else
constexpr const char* kCompiler =
    "g++ " DB4_TEXT(__GNUC__) "." DB4_TEXT(__GNUC_MINOR__) "." DB4_TEXT(__GNUC_PATCHLEVEL__);
#endif

constexpr const char* kRocksdbCompiled =
    DB4_TEXT(ROCKSDB_MAJOR) "." DB4_TEXT(ROCKSDB_MINOR) "." DB4_TEXT(ROCKSDB_PATCH);
constexpr const char* kOpensslCompiled =
    DB4_TEXT(OPENSSL_VERSION_MAJOR) "." DB4_TEXT(OPENSSL_VERSION_MINOR) "." DB4_TEXT(OPENSSL_VERSION_PATCH);

constexpr const char* kHiredisCompiled =
    DB4_TEXT(HIREDIS_MAJOR) "." DB4_TEXT(HIREDIS_MINOR) "." DB4_TEXT(HIREDIS_PATCH);

/// 1130 is 1.13.
std::string pugixml_compiled() {
  return std::to_string(PUGIXML_VERSION / 1000) + "." + std::to_string(PUGIXML_VERSION % 1000 / 10);
}

/// 150020 is 15.20.
std::string libpq_version() {
  const int number = PQlibVersion();
  return std::to_string(number / 10000) + "." + std::to_string(number % 10000);
}

std::vector<LibraryVersion> library_versions() {
  return {
      {"rocksdb", kRocksdbCompiled, rocksdb::GetRocksVersionAsString(), "hot engine"},
      {"sqlite", SQLITE_VERSION, sqlite3_libversion(), "hot engine"},
      {"zstd", ZSTD_VERSION_STRING, ZSTD_versionString(), "compression"},
      // These two offer no call that tells.
      {"libdeflate", LIBDEFLATE_VERSION_STRING, "", "compression (gzip)"},
      {"simdjson", DB4_TEXT(SIMDJSON_VERSION), "",
       "JSON (" + std::string(simdjson::get_active_implementation()->name()) + ")"},
      {"openssl", kOpensslCompiled, OpenSSL_version(OPENSSL_VERSION_STRING),
       "SHA-256, MD5, TLS, AES-256-GCM"},
      {"curl", LIBCURL_VERSION, curl_version_info(CURLVERSION_NOW)->version, "HTTP"},
      {"pugixml", pugixml_compiled(), "", "XML"},
      {"libpq", DB4_TEXT(PG_MAJORVERSION_NUM) "." + std::to_string(PG_VERSION_NUM % 10000), libpq_version(),
       "hot engine (PostgreSQL)"},
      {"hiredis", kHiredisCompiled, "", "Redis's protocol"},
      {"libsodium", SODIUM_VERSION_STRING, sodium_version_string(), "Argon2id, memory for keys"},
  };
}

}  // namespace

std::string_view version() noexcept { return kVersion; }

BuildInfo build_info() {
  return {.version = std::string(kVersion),
          .compiler = kCompiler,
          .build_type = DB4_BUILD_TYPE,
          .shared = DB4_BUILD_SHARED != 0,
          .sanitizers = DB4_BUILD_SANITIZERS,
          .hot_types = {HotType::memory, HotType::sqlite, HotType::rocksdb, HotType::postgres},
          .warm_types = {WarmType::memory, WarmType::disk, WarmType::redis},
          .cold_types = {ColdType::memory, ColdType::filesystem, ColdType::s3},
          .compressions = {Compression::none, Compression::gzip, Compression::zstd},
          .libraries = library_versions(),
          .crc32c_hardware = crc32c_by_hardware()};
}

}  // namespace db4
