#include "kv/space_table.hpp"

#include <algorithm>

namespace db4::kv {

namespace {

constexpr std::int16_t kNone = -1;
constexpr std::uint8_t kReserved = 255;  // so that every space has a successor to end a range at

bool is_name(std::string_view name) {
  return !name.empty() &&
         std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

}  // namespace

SpaceTable::SpaceTable(std::vector<SpaceSpec> spaces) : spaces_(std::move(spaces)) {
  index_.fill(kNone);
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    const SpaceSpec& space = spaces_[i];
    const bool name_taken = std::any_of(spaces_.begin(), spaces_.begin() + static_cast<std::ptrdiff_t>(i),
                                        [&](const SpaceSpec& other) { return other.name == space.name; });
    if (space.id == kReserved || index_[space.id] != kNone || name_taken || !is_name(space.name)) {
      throw Error(
          ErrorCode::invalid_argument,
          "space " + std::to_string(space.id) + " '" + space.name + "' cannot be opened",
          "give each space a number below 255 and a name of its own in lower-case letters and underscores");
    }
    index_[space.id] = static_cast<std::int16_t>(i);
  }
}

std::size_t SpaceTable::index(std::uint8_t id) const {
  if (index_[id] == kNone) {
    throw Error(ErrorCode::invalid_argument, "the engine has no space " + std::to_string(id),
                "name every space in EngineOptions::spaces when opening");
  }
  return static_cast<std::size_t>(index_[id]);
}

const SpaceSpec& SpaceTable::at(std::uint8_t id) const { return spaces_[index(id)]; }

}  // namespace db4::kv
