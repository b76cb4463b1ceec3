#pragma once
// What --help, `db4 help` and, away from a terminal, `db4 man` print.

#include "page.hpp"
#include "terminal.hpp"

namespace db4::cli {

std::string help_text(const Page& page, const Terminal& terminal);

}  // namespace db4::cli
