#pragma once
// The commands on a store. Each prints for people, or JSON where asked, and returns the exit code.

#include <db4/storage.hpp>

#include <optional>
#include <string>

namespace db4::cli {

/// Exit codes; `db4 --help` lists them.
enum Exit : int { kOk = 0, kFailed = 1, kUsage = 2, kConflict = 3, kNotFound = 4, kBusy = 5 };

/// The code for a failure.
int exit_code(const Error& error) noexcept;

/// What the command line gave; each command uses some of it.
struct Request {
  std::string store;
  std::string collection;
  std::string id;
  std::string file = "-";
  std::string content_type;
  std::string tier;
  std::string prefix;
  std::string id_field = "id";
  std::string collection_field;
  std::optional<std::uint64_t> if_version;
  std::size_t limit = 100;
  std::size_t batch = 1000;
  std::size_t max_operations = 10'000;
  std::string max_bytes;
  bool bytes = false;
  bool meta = false;
  bool keep = false;
  bool dry_run = false;
  bool skip_bad = false;
  bool json = false;
};

/// The tier that was named, if any. Throws invalid_argument for another word.
std::optional<StorageTier> tier_of(const Request& request);

int run_init(const Request& request, TieredStoreConfig config);
int run_put(const Request& request);
int run_get(const Request& request);
int run_rm(const Request& request);
int run_ls(const Request& request);
int run_stat(const Request& request);
int run_tier(const Request& request);
int run_explain(const Request& request);
int run_move(const Request& request, bool promote);
int run_tiering(const Request& request);
int run_import(const Request& request);

}  // namespace db4::cli
