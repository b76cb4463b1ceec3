#pragma once
// The manual: a page of roff for each command, and one document of them all.

#include "page.hpp"

#include <string>
#include <vector>

namespace db4::cli {

/// "db4-tier-run": the page's name without its section.
std::string manual_name(const Page& page);
/// For man(1), by man(7)'s macros.
std::string manual_roff(const Page& page);
/// docs/reference/commands.md.
std::string commands_markdown(const std::vector<Page>& pages);

}  // namespace db4::cli
