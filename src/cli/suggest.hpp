#pragma once
// "Did you mean": the nearest of the known names.

#include <string>
#include <string_view>
#include <vector>

namespace db4::cli {

/// The name nearest to `typed`, counting letters that are inserted, removed, replaced or swapped with their
/// neighbour; empty where none is near: more than a third of its letters (and more than one) would have to
/// change.
std::string nearest(std::string_view typed, const std::vector<std::string>& names);

}  // namespace db4::cli
