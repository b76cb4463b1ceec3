// keys init, rewrap, export-recovery, import-recovery: what needs the master key.
#include "master_key_commands.hpp"

#include "exit_code.hpp"
#include "key_place.hpp"
#include "settings_file.hpp"
#include "text.hpp"

#include <db4/key_recovery.hpp>
#include <db4/master_key_source.hpp>
#include <db4/storage.hpp>

#include <algorithm>
#include <iostream>

namespace db4::cli {
namespace {

using nlohmann::json;

constexpr const char* kGroup = "Encryption";
constexpr const char* kSetting = "encryption.master_key";

/// Where the value of encryption.master_key came from: "db4.toml:12", a variable, "--set" or "default".
std::string origin_of(const Settings& settings) {
  return settings.origin(*std::ranges::find(all_settings(), kSetting, &Setting::key));
}

/// Whether a change of the place belongs into db4.toml; else what overrides it has to be changed by hand.
bool stands_in_file(const std::string& origin) {
  return origin == "default" || origin.starts_with(kSettingsFile);
}

std::string absolute_place(const std::string& place) {
  check_place(place);
  return place_from(place, std::filesystem::current_path());
}

void require_encrypted(const Settings& settings) {
  if (!settings.config().sealing.master_key.empty()) return;
  throw Error(ErrorCode::invalid_argument, "the store is not encrypted: encryption.master_key is empty",
              "turn encryption on with `db4 keys init`");
}

/// db4.toml with another place of the master key, checked and not written yet.
SettingsFile with_place(const std::filesystem::path& folder, const std::string& place) {
  SettingsFile file(folder);
  TieredStoreConfig config;
  config.sealing.master_key = place;
  file.set(kSetting, config);
  return file;
}

/// The new key is where it is, whatever happens then: it may have sealed something.
template <typename Work>
void telling_of_key(const std::string& place, bool made, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (!made) throw;
    throw Error(error.code(), error.problem(),
                error.advice() + "; the new master key stays in " + file_of(place).string() +
                    ": to use it, repeat with --master-key " + place + " and without --create");
  }
}

int init(Context& context, const MasterKeyOptions& options) {
  const Settings settings = context.settings();
  if (const std::string& place = settings.config().sealing.master_key; !place.empty()) {
    throw Error(ErrorCode::conflict,
                "encryption.master_key is set already, to " + place + " (" + origin_of(settings) + ")",
                "see `db4 keys list`; `db4 keys rewrap` changes the master key");
  }
  const bool made = options.place.empty() || options.create;
  const std::string place = turn_encryption_on(context, context.folder(), options);
  if (context.json()) {
    Context::print({{"master_key", place}, {"created", made}});
    return kOk;
  }
  std::cout << "The store is encrypted from now on; db4.toml says where its master key is: " << escape(place)
            << "\n";
  print_key_advice(context.terminal(), place, made);
  std::cout << "What was written before is plain until it is sealed: `db4 keys reencrypt`.\n";
  return kOk;
}

struct RewrapFlags {
  MasterKeyOptions to;
};

/// Puts the ring under the new key, unless that was done before and the command was killed then.
void rewrap_ring(const Context& context, const TieredStoreConfig& config, const std::string& to) {
  const auto ring = context.open_ring(config, "a change of the master key");
  const MasterKey key = master_key_from_source(to);
  EncryptionManager manager({.master_key = master_key_from_source(config.sealing.master_key),
                             .key_store = ring,
                             .create_key_ring = false});
  try {
    manager.initialize();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::key_unavailable) throw;
    EncryptionManager after({.master_key = key, .key_store = ring, .create_key_ring = false});
    try {
      after.initialize();
    } catch (const Error&) {
      throw error;
    }
    return;
  }
  manager.rewrap(key);
}

/// The copy of the key ring in cold is to open with the new master key too: a rebuild begins with it. Whether
/// that could be done now.
bool renew_copy(TieredStoreConfig config, const std::string& place) {
  config.sealing.master_key = place;
  config.sealing.reencrypt = false;
  config.tiering.interval = std::chrono::milliseconds{0};
  try {
    TieredStore store(std::move(config));
    store.reencrypt({.max_documents = 0});
    store.close();
    return true;
  } catch (const Error& error) {
    std::cerr << "warning: the copy of the key ring in cold is as it was (" << escape(error.what())
              << "); `db4 keys reencrypt` renews it, and so does a program that has the store open\n";
    return false;
  }
}

int rewrap(Context& context, const RewrapFlags& flags) {
  const Settings settings = context.settings();
  require_encrypted(settings);
  const std::string to = absolute_place(flags.to.place);
  const std::string origin = origin_of(settings);
  const bool in_file = stands_in_file(origin);
  const SettingsFile file = with_place(context.folder(), to);
  if (flags.to.create) make_master_key(to);
  telling_of_key(to, flags.to.create, [&] { rewrap_ring(context, settings.config(), to); });
  // From here on the ring is under the new key. Killed now, the same command goes on: see rewrap_ring.
  if (in_file) file.write();
  const bool copied = renew_copy(settings.config(), to);
  if (context.json()) {
    Context::print({{"master_key", to},
                    {"created", flags.to.create},
                    {"settings_written", in_file},
                    {"cold_copy", copied}});
  } else {
    std::cout << "The key ring is under another master key now; no document was touched.\n"
              << (in_file ? "db4.toml says where it is: " + escape(to)
                          : "SET " + origin + " TO " + escape(to) + ": it still says where the old one is.")
              << "\n";
    print_key_advice(context.terminal(), to, flags.to.create);
    std::cout << "Other processes that share the store need the new one, too. The old one still opens copies "
                 "of the key ring that were made before: if it leaked, `db4 keys rotate` and "
                 "`db4 keys reencrypt` as well.\n";
  }
  return kOk;
}

struct RecoveryFlags {
  std::string file;
  std::string place;
  std::string passphrase_file;
  MasterKeyOptions master_key;
  bool force = false;

  [[nodiscard]] std::string key_place(const char* option) const {
    if (!passphrase_file.empty()) return absolute_place("passphrase-file:" + passphrase_file);
    if (!place.empty()) return absolute_place(place);
    throw Error(
        ErrorCode::invalid_argument, std::string(option) + " is missing, and --passphrase-file too",
        "say which key the file is under: " + std::string(option) + " PLACE, or --passphrase-file FILE");
  }
};

json ids_of(const std::vector<KeyInfo>& keys) {
  json ids = json::array();
  for (const KeyInfo& key : keys) {
    if (key.state != KeyState::destroyed) ids.push_back(key.id);
  }
  return ids;
}

int export_recovery(Context& context, const RecoveryFlags& flags) {
  const Settings settings = context.settings();
  require_encrypted(settings);
  const std::string place = flags.key_place("--to");
  const auto ring = context.open_ring(settings.config(), "a copy of the key ring");
  const std::vector<KeyInfo> keys =
      export_key_ring(*ring, master_key_from_source(settings.config().sealing.master_key), flags.file,
                      master_key_from_source(place));
  const json ids = ids_of(keys);
  if (context.json()) {
    Context::print({{"file", flags.file}, {"keys", ids}});
  } else {
    std::cout
        << "Wrote " << describe_count(ids.size(), "key") << " to " << escape(flags.file)
        << ", under the recovery key of " << escape(place) << "\n"
        << "Keep the two apart from each other, and both apart from the store. Make a new copy after each "
           "rotation:\nwhat is sealed with a later key this one does not open. `db4 keys import-recovery` "
           "puts it back.\n";
  }
  return kOk;
}

int import_recovery(Context& context, const RecoveryFlags& flags) {
  const Settings settings = context.settings();
  const std::string from = flags.key_place("--from");
  const bool other = !flags.master_key.place.empty();
  TieredStoreConfig config = settings.config();
  if (other) config.sealing.master_key = absolute_place(flags.master_key.place);
  const std::string& place = config.sealing.master_key;
  if (place.empty()) {
    throw Error(ErrorCode::invalid_argument,
                "encryption.master_key is empty: nothing says what the ring is to be "
                "under",
                "name a master key by --master-key PLACE; with --create a new one is made");
  }
  const std::string origin = origin_of(settings);
  const bool in_file = other && stands_in_file(origin);
  const SettingsFile file = with_place(context.folder(), place);
  const bool made = flags.master_key.create;
  auto ring = context.open_ring(config, "putting a key ring back");
  if (made) make_master_key(place);
  KeyRingImport result;
  telling_of_key(place, made, [&] {
    result = import_key_ring(flags.file, master_key_from_source(from), *ring, master_key_from_source(place),
                             {.force = flags.force});
  });
  if (in_file) file.write();
  ring.reset();  // which has the store's lock
  const bool copied = renew_copy(config, place);
  const json ids = ids_of(result.keys);
  if (context.json()) {
    Context::print({{"imported", result.imported},
                    {"keys", ids},
                    {"lost_keys", result.lost_key_ids},
                    {"master_key", place},
                    {"created", made},
                    {"settings_written", in_file},
                    {"cold_copy", copied}});
    return kOk;
  }
  if (result.imported) {
    std::cout << "The store's key ring is back, with " << describe_count(ids.size(), "key")
              << ", under the master key of " << escape(place) << "\n";
  } else {
    std::cout
        << "The store has this key ring, as new or newer, and its master key opens it: it stays as it is\n";
  }
  if (!result.lost_key_ids.empty())
    std::cout << "Given up for good: what was sealed with "
              << describe_count(result.lost_key_ids.size(), "key") << " of the ring before\n";
  if (other && !in_file) std::cout << "SET " << origin << " TO " << escape(place) << "\n";
  print_key_advice(context.terminal(), place, made);
  if (result.imported)
    std::cout << "Keys that were destroyed after the copy was made are back, too; look at `db4 keys list`.\n";
  return kOk;
}

CLI::Option* add_place(CLI::App& command, const char* name, std::string& place, const char* what) {
  return command.add_option(name, place, what)->type_name("PLACE");
}

void add_rewrap(CommandTree& tree, CLI::App& keys) {
  const auto flags = std::make_shared<RewrapFlags>();
  CLI::App& command = tree.add(
      keys,
      {.name = "rewrap",
       .group = kGroup,
       .summary = "Change the master key; no document is touched",
       .details =
           "The key ring is wrapped by the new master key in one step, and db4.toml names it then. Killed in "
           "between, the same command again goes on. Needs the store to itself.\n\n"
           "PLACE says where the new one is, and is never a key itself: file:PATH, env:NAME, fd:NUMBER, "
           "stdin, "
           "passphrase-file:PATH, passphrase-env:NAME, passphrase-fd:NUMBER, vault:KEY.",
       .examples = "db4 keys rewrap --to file:/media/safe/shop.master-key --create  # makes a new key there\n"
                   "db4 keys rewrap --to passphrase-file:/etc/db4/passphrase"},
      [flags](Context& context) { return rewrap(context, *flags); });
  add_place(command, "--to", flags->to.place, "Where the new master key is")->required();
  command.add_flag("--create", flags->to.create, "Make a new key in the file that --to names");
}

void add_recovery_key(CLI::App& command, const char* name, RecoveryFlags& flags, const char* what) {
  CLI::Option* place = add_place(command, name, flags.place, what);
  command.add_option("--passphrase-file", flags.passphrase_file, "The same: a passphrase in this file")
      ->type_name("FILE")
      ->excludes(place);
}

void add_export(CommandTree& tree, CLI::App& keys) {
  const auto flags = std::make_shared<RecoveryFlags>();
  CLI::App& command = tree.add(
      keys,
      {.name = "export-recovery",
       .group = kGroup,
       .summary = "Write a copy of the key ring under a recovery key",
       .details =
           "A second way back, for when the store's key ring or its master key is lost: a file that opens "
           "with "
           "a passphrase or another master key. It must not exist, and only this user may read it. Needs the "
           "store to itself.",
       .examples = "db4 keys export-recovery shop.recovery --passphrase-file recovery-passphrase\n"
                   "db4 keys export-recovery shop.recovery --to file:/media/safe/recovery.key"},
      [flags](Context& context) { return export_recovery(context, *flags); });
  command.add_option("file", flags->file, "The file to be written")->required()->type_name("");
  add_recovery_key(command, "--to", *flags, "Where the recovery key is");
}

void add_import(CommandTree& tree, CLI::App& keys) {
  const auto flags = std::make_shared<RecoveryFlags>();
  CLI::App& command = tree.add(
      keys,
      {.name = "import-recovery",
       .group = kGroup,
       .summary = "Put a copy of the key ring back, where the ring or the master key is lost",
       .details =
           "It is wrapped by the master key that encryption.master_key names, or --master-key. A ring that "
           "works is not replaced; one that has keys which the copy has not only with --force. Needs the "
           "store to itself.",
       .examples = "db4 keys import-recovery shop.recovery --passphrase-file recovery-passphrase\n"
                   "db4 keys import-recovery shop.recovery --from file:recovery.key --master-key "
                   "file:new.key --create"},
      [flags](Context& context) { return import_recovery(context, *flags); });
  command.add_option("file", flags->file, "What `db4 keys export-recovery` wrote")->required()->type_name("");
  add_recovery_key(command, "--from", *flags, "Where the recovery key is");
  add_master_key_options(command, flags->master_key,
                         "The store's master key from now on; else the one it has");
  command.add_flag(
      "--force", flags->force,
      "Although the ring that is there has keys that the copy has not: what they sealed is lost");
}

}  // namespace

CLI::Option* add_master_key_options(CLI::App& command, MasterKeyOptions& options, const char* what) {
  CLI::Option* place = add_place(command, "--master-key", options.place, what);
  command.add_flag("--create", options.create, "Make a new master key in the file that --master-key names")
      ->needs(place);
  return place;
}

std::string turn_encryption_on(const Context& context, const std::filesystem::path& folder,
                               const MasterKeyOptions& options) {
  const bool made = options.place.empty() || options.create;
  const std::string place = options.place.empty() ? default_place(folder) : absolute_place(options.place);
  const SettingsFile file = with_place(folder, place);
  TieredStoreConfig config = context.settings_of(folder).config();
  config.sealing.master_key = place;
  context.refuse_held(config, "turning encryption on");
  if (made && options.place.empty() && std::filesystem::exists(file_of(place))) {
    throw Error(ErrorCode::conflict, "there is a file " + file_of(place).string() + " already",
                "if it is this store's master key, say --master-key " + place +
                    "; else say where a new one is to be, by --master-key file:PATH --create");
  }
  if (made) make_master_key(place);
  telling_of_key(place, made, [&] {
    const auto store = open_waiting(config, context.wait(), context.stop());
    store->close();
    file.write();
  });
  return place;
}

void print_key_advice(const Terminal& terminal, const std::string& place, bool made) {
  if (!made) return;
  std::cout
      << "\n"
      << terminal.paint(Emphasis::bad, "  A NEW MASTER KEY is in " + escape(file_of(place).string())) << "\n"
      << "  Copy that file to a safe place NOW, apart from the store: on paper, in a safe. Without it the\n"
         "  documents are lost for ever, to you as to everybody; with it and the store anybody reads "
         "them.\n\n";
}

void add_keys_init(CommandTree& tree, CLI::App& keys) {
  const auto options = std::make_shared<MasterKeyOptions>();
  CLI::App& command = tree.add(
      keys,
      {.name = "init",
       .group = kGroup,
       .summary = "Turn encryption on for a store that is there",
       .details =
           "Without --master-key it makes a new master key beside the store's folder, shop.master-key of "
           "shop, "
           "so that a copy of the folder is not a copy of the key. Documents written from now on are sealed; "
           "`db4 keys reencrypt` seals those that are there. Needs the store to itself.\n\n"
           "PLACE says where the key is, and is never a key itself: file:PATH, env:NAME, fd:NUMBER, stdin, "
           "passphrase-file:PATH, passphrase-env:NAME, passphrase-fd:NUMBER, vault:KEY.",
       .examples = "db4 keys init\n"
                   "db4 keys init --master-key file:/media/safe/shop.master-key --create\n"
                   "db4 keys init --master-key env:SHOP_MASTER_KEY"},
      [options](Context& context) { return init(context, *options); });
  add_master_key_options(command, *options, "Where its master key is");
}

void add_master_key_commands(CommandTree& tree, CLI::App& keys) {
  add_rewrap(tree, keys);
  add_export(tree, keys);
  add_import(tree, keys);
}

}  // namespace db4::cli
