#pragma once
// db4.toml with one value changed, and everything else in it as it stands.

#include "settings.hpp"

#include <filesystem>
#include <string>

namespace db4::cli {

/// The text of a store's db4.toml. Read, changed and checked before the work that the change belongs to is
/// begun, so that writing it afterwards can hardly fail. One thread.
class SettingsFile {
 public:
  /// Throws invalid_argument where it cannot be read.
  explicit SettingsFile(const std::filesystem::path& folder);

  /// Gives a setting that is a text the value that it has in `config`. Throws invalid_argument, with what to
  /// write by hand, where the file is laid out in a way that a line cannot be put into.
  void set(const std::string& key, const TieredStoreConfig& config);

  /// Replaces the file, as one step.
  void write() const;

 private:
  std::filesystem::path file_;
  std::string text_;
};

}  // namespace db4::cli
