#pragma once
// Where a master key is, as a command or a setting names it: file:PATH, env:NAME and so on. Never a key.

#include <filesystem>
#include <string>

namespace db4::cli {

/// The forms of a place, for a help or an advice: "file:PATH, env:NAME, ... or vault:KEY".
const char* place_forms();

/// Throws invalid_argument for a text that names no place. It is not repeated: somebody may have put the key
/// itself there.
void check_place(const std::string& place);

/// The place with a relative path in it counted from `folder`.
std::string place_from(const std::string& place, const std::filesystem::path& folder);

/// Where a new master key goes if nothing is said: beside the store's folder, "shop.master-key" of "shop", so
/// that whoever copies the folder does not copy the key.
std::string default_place(const std::filesystem::path& folder);

/// Makes a new key in the file that `place` names. Throws conflict where the file exists, invalid_argument
/// for a place that is no file:PATH.
void make_master_key(const std::string& place);

/// The file that holds the key or the passphrase; empty for a place that is no file.
std::filesystem::path file_of(const std::string& place);

}  // namespace db4::cli
