#pragma once
// Completion for shells, generated from the pages. Names of collections are asked of the store while typing,
// by `db4 __complete collections`.

#include "page.hpp"

#include <string>
#include <vector>

namespace db4::cli {

std::string bash_completion(const std::vector<Page>& pages);
std::string zsh_completion(const std::vector<Page>& pages);
std::string fish_completion(const std::vector<Page>& pages);

}  // namespace db4::cli
