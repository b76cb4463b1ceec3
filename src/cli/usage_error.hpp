#pragma once
// What is said to somebody whose line cannot be understood.

#include "command_tree.hpp"

#include <db4/error.hpp>

namespace db4::cli {

/// CLI11's error in plain words, with what was perhaps meant: invalid_argument. `command`: the last one that
/// was understood.
Error usage_error(const CommandTree& tree, const CLI::App& command, const CLI::ParseError& error);

}  // namespace db4::cli
