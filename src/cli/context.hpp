#pragma once
// What a running command has at hand.

#include "command_tree.hpp"
#include "interruption.hpp"
#include "session.hpp"
#include "settings.hpp"
#include "terminal.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace db4::cli {

/// The options of the command line, its terminal, and the store it names.
class Context {
 public:
  Context(const GlobalOptions& options, Terminal terminal);

  [[nodiscard]] bool json() const noexcept { return options_.json; }
  [[nodiscard]] const GlobalOptions& options() const noexcept { return options_; }
  [[nodiscard]] const Terminal& terminal() const noexcept { return terminal_; }
  [[nodiscard]] std::stop_token stop() const noexcept { return interruption_.token(); }
  [[nodiscard]] bool interrupted() const noexcept { return interruption_.requested(); }

  /// The folder of the store. Throws invalid_argument where none is named.
  [[nodiscard]] std::filesystem::path folder() const;
  /// Its settings, with where each came from. Throws invalid_argument for a wrong one.
  [[nodiscard]] Settings settings() const { return settings_of(folder()); }
  [[nodiscard]] Settings settings_of(const std::filesystem::path& folder) const;

  /// The store, through the socket of the process that holds it or else opened here; made on first use, of
  /// that kind. Throws invalid_argument where it is held and --set was given, which could not hold there.
  Session& session(SessionKind kind = SessionKind::short_one);
  /// Forgets it: the next use makes another.
  void end_session() { session_.reset(); }
  /// Runs an operation of docs/json.md there.
  nlohmann::json ask(const nlohmann::json& request, std::string_view body = {});
  /// The store opened in this process and listening, for a command that works on it for long and calls it
  /// directly. Throws locked where another process holds it.
  [[nodiscard]] std::unique_ptr<TieredStore> open_store() const;

  /// The same for a command that cannot go through the socket: throws locked, with what to do, where another
  /// process holds the store. `work`: "an upload".
  [[nodiscard]] std::unique_ptr<TieredStore> open_alone(const std::string& work) const;

  /// The key ring in the store's database, where nobody has the store open: as open_alone.
  [[nodiscard]] std::shared_ptr<KeyStore> open_ring(const TieredStoreConfig& config,
                                                    const std::string& work) const;
  /// Throws locked where another process holds the store and listens.
  void refuse_held(const TieredStoreConfig& config, const std::string& work) const;

  /// How long to wait for a store that is locked.
  [[nodiscard]] std::chrono::milliseconds wait() const;

  /// Throws invalid_argument where --set was given, for a store that another process holds.
  void refuse_settings() const;

  /// Prints an object as it is defined in docs/json.md.
  static void print(const nlohmann::json& json);

 private:
  GlobalOptions options_;
  Terminal terminal_;
  Interruption interruption_;
  std::unique_ptr<Session> session_;
};

/// The key of one document, as a command takes it.
struct Key {
  std::string collection;
  std::string id;
};
/// Adds the arguments COLLECTION and ID.
void add_key(CLI::App& command, Key& key);
/// "collection/id", with what would break a terminal escaped.
std::string name_of(const Key& key);
/// Says that there is no such document: in words, or by printing `reply` where JSON was asked for; kNotFound.
int report_not_found(const Context& context, const Key& key, const nlohmann::json& reply);
/// Says that there is no such collection, and which of `names` may have been meant; kNotFound. Says nothing
/// where JSON was asked for: what the caller prints shows it.
int report_no_collection(const Context& context, const std::string& collection,
                         const std::vector<std::string>& names);
/// Adds an option that takes a duration or a size: its word is checked while parsing.
CLI::Option* add_duration_option(CLI::App& command, const char* name, std::string& duration,
                                 const char* what);
/// Adds --if-version.
void add_version_option(CLI::App& command, std::optional<std::uint64_t>& version, const char* what);
/// Adds an option or argument that takes a folder, which has a name: an empty one comes of a variable that is
/// not set.
CLI::Option* add_folder_option(CLI::App& command, const char* name, std::string& folder, const char* what);
CLI::Option* add_size_option(CLI::App& command, const char* name, std::string& size, const char* what);
/// Adds an option that takes a tier: its word is checked while parsing.
CLI::Option* add_tier_option(CLI::App& command, const char* name, std::string& tier, const char* what);
/// hot, warm or cold in its colour.
std::string paint_tier(const Terminal& terminal, const std::string& tier);
/// The request {"op": op, "collection": ..., "id": ...}.
nlohmann::json request_for(const char* op, const Key& key);

}  // namespace db4::cli
