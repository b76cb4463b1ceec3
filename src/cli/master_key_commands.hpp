#pragma once
// What `db4 init` and `db4 keys` share: commands that need the master key, and so have the store to
// themselves.

#include "context.hpp"

#include <filesystem>
#include <string>

namespace db4::cli {

/// Where a command is to find or make a master key.
struct MasterKeyOptions {
  std::string place;    ///< empty: what the command takes by itself
  bool create = false;  ///< make a new one in the file that `place` names
};
/// Adds --master-key, which is given, and --create.
CLI::Option* add_master_key_options(CLI::App& command, MasterKeyOptions& options, const char* what);

/// Encrypts the store in `folder`, which is not open and names no master key yet: makes the key where one is
/// to be made, opens the store with it, which makes the key ring, and writes the place into db4.toml. Killed
/// in between, `db4 keys init --master-key PLACE` goes on. Gives the place.
std::string turn_encryption_on(const Context& context, const std::filesystem::path& folder,
                               const MasterKeyOptions& options);

/// What to do with the key that was made, in words that cannot be passed over.
void print_key_advice(const Terminal& terminal, const std::string& place, bool made);

void add_keys_init(CommandTree& tree, CLI::App& keys);
void add_master_key_commands(CommandTree& tree,
                             CLI::App& keys);  ///< rewrap, export-recovery, import-recovery

}  // namespace db4::cli
