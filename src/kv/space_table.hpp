#pragma once
// Which spaces an engine was opened with.

#include "kv/engine.hpp"

#include <array>
#include <span>

namespace db4::kv {

/// Looks a space up by its number. Immutable, so thread-safe.
class SpaceTable {
 public:
  /// Throws invalid_argument for a number or name that is used twice or a name that is not lower-case letters
  /// and underscores.
  explicit SpaceTable(std::vector<SpaceSpec> spaces);

  [[nodiscard]] const std::vector<SpaceSpec>& all() const noexcept { return spaces_; }
  /// Throws invalid_argument for a space that the engine was not opened with.
  [[nodiscard]] const SpaceSpec& at(std::uint8_t id) const;
  /// Throws as at() does.
  void check(std::uint8_t id) const { static_cast<void>(index(id)); }
  /// Its place in all(). Throws as at() does.
  [[nodiscard]] std::size_t index(std::uint8_t id) const;

 private:
  std::vector<SpaceSpec> spaces_;
  std::array<std::int16_t, 256> index_{};
};

}  // namespace db4::kv
