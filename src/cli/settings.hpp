#pragma once
// The settings of a store's folder: db4.toml, overridden by DB4_* and then by --set.

#include <db4/config.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace db4::cli {

inline constexpr const char* kSettingsFile = "db4.toml";

/// One setting.
struct Setting {
  std::string key;  ///< "hot.max_size"
  std::string
      type;  ///< "size", "duration", "number", "text", "secret", "true or false" or the words it may be
  std::string comment;  ///< one line
  /// As it stands in db4.toml.
  std::function<std::string(const TieredStoreConfig&)> write;
  /// Throws invalid_argument.
  std::function<void(TieredStoreConfig&, const std::string&)> read;
  /// Shown as ***.
  bool secret = false;

  [[nodiscard]] std::string section() const { return key.substr(0, key.find('.')); }
  [[nodiscard]] std::string name() const { return key.substr(key.find('.') + 1); }
  /// "DB4_HOT_MAX_SIZE".
  [[nodiscard]] std::string variable() const;
};

/// All of them, by section.
const std::vector<Setting>& all_settings();

/// The settings of one store, and where each value came from. Later calls of apply_* override what was there.
class Settings {
 public:
  /// Those of db4.toml in `folder`, else the defaults. Throws invalid_argument: no such file, or a wrong
  /// line, which is named.
  static Settings read(const std::filesystem::path& folder);

  /// DB4_HOT_MAX_SIZE and so on. Throws invalid_argument for a wrong value, and for a variable that begins
  /// like a section and names no setting.
  void apply_environment();
  /// "hot.max_size=50MiB". Throws invalid_argument.
  void apply_flag(const std::string& assignment);

  [[nodiscard]] const TieredStoreConfig& config() const noexcept { return config_; }
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  /// "default", "db4.toml:12", "DB4_HOT_MAX_SIZE" or "--set".
  [[nodiscard]] std::string origin(const Setting& setting) const;

 private:
  Settings() = default;
  void read_file(const std::filesystem::path& file);
  void apply(const std::string& key, const std::string& value, const std::string& origin);

  std::filesystem::path folder_;
  TieredStoreConfig config_;
  std::map<std::string, std::string> origins_;
};

/// What a store made by `db4 init` has where nothing else is said: a warm tier on disk.
TieredStoreConfig initial_config();
/// Applies "hot.max_size=50MiB". Throws invalid_argument.
void set_in(TieredStoreConfig& config, const std::string& assignment);
/// Writes db4.toml, with every setting and what it means. Throws conflict where there is one.
void write_settings(const std::filesystem::path& folder, const TieredStoreConfig& config);

/// The folder to work in: `option` where given, else DB4_STORE, else this folder if it has a db4.toml. Throws
/// invalid_argument where there is none.
std::filesystem::path find_store(const std::string& option);
/// The folder to make a store in: as find_store, but this folder where neither is given.
std::filesystem::path store_to_make(const std::string& option);

}  // namespace db4::cli
