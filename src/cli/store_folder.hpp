#pragma once
// A store as the command line sees it: a folder with db4.toml, hot/, warm/ and cold/.

#include <db4/storage.hpp>

#include <filesystem>
#include <string>

namespace db4::cli {

/// The folder meant: `--store`, else DB4_STORE, else the current folder where it has a db4.toml. Throws
/// invalid_argument where there is none.
std::filesystem::path find_store(const std::string& option);

/// The folder that `db4 init` makes a store: `--store`, else DB4_STORE, else the current folder.
std::filesystem::path store_to_make(const std::string& option);

/// The configuration of a folder's db4.toml, with absolute paths. Throws invalid_argument, naming the line,
/// for a key that does not exist (and the nearest that does) or a value that cannot be.
TieredStoreConfig read_config(const std::filesystem::path& folder);

/// Writes a commented db4.toml with these values. Throws conflict where the folder has one.
void write_config(const std::filesystem::path& folder, const TieredStoreConfig& config);

}  // namespace db4::cli
