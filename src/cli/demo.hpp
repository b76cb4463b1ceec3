#pragma once
// `db4 demo`: the main job on real documents, from import to bill.

#include <db4/config.hpp>

#include <filesystem>
#include <stop_token>
#include <string>

namespace db4::cli {

struct DemoOptions {
  std::filesystem::path folder = "db4-demo";
  std::string input;          ///< a file of JSON lines; empty: the Debian package index
  std::size_t documents = 0;  ///< at most, taken evenly; 0: all
  int days = 30;
  int reads_per_hour = 200;
  int writes_per_hour = 4;
  std::uint64_t seed = 1;
  bool replace = false;  ///< the store of an earlier demo is removed first
  bool json = false;
  CostConfig cost;
  std::stop_token stop;  ///< ends it between two hours, or two batches of the import
};

/// Runs it; 0 when every document read back byte for byte.
int run_demo(const DemoOptions& options);

}  // namespace db4::cli
