#pragma once
// "Did you mean": the nearest of the known names.

#include <string>
#include <string_view>
#include <vector>

namespace db4::cli {

/// The name nearest to `typed` by Levenshtein's distance; empty where none is near: more than a third of its
/// letters (at least two) would have to change.
std::string nearest(std::string_view typed, const std::vector<std::string>& names);

}  // namespace db4::cli
