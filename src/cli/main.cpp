// db4: documents in three tiers, from the shell.
#include "command_tree.hpp"
#include "exit_code.hpp"
#include "parts.hpp"
#include "text.hpp"

#include <db4/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string_view>

namespace {

/// Errors of a command that was asked for JSON are JSON too, on standard error.
int report(const db4::Error& error, bool json) {
  if (json) {
    nlohmann::json body{{"code", db4::to_string(error.code())},
                        {"problem", error.problem()},
                        {"advice", error.advice()},
                        {"message", error.what()}};
    if (!error.upload_id().empty()) body["upload_id"] = error.upload_id();
    std::cerr << nlohmann::json{{"error", body}}.dump(-1, ' ', false,
                                                      nlohmann::json::error_handler_t::replace)
              << "\n";
  } else {
    std::cerr << "db4: " << db4::cli::escape(error.what()) << "\n";
  }
  return db4::cli::exit_code(error);
}

int run(int argc, const char* const* argv) {
  using namespace db4::cli;
  CommandTree tree;
  add_store_commands(tree);
  add_document_commands(tree);
  add_import(tree);
  add_export(tree);
  add_large_commands(tree);
  add_listing_commands(tree);
  add_tier_commands(tree);
  add_pin_commands(tree);
  add_key_commands(tree);
  add_stats_command(tree);
  add_top_command(tree);
  add_watch_command(tree);
  add_config_commands(tree);
  add_upkeep_commands(tree);
  add_face_commands(tree);
  const int code = tree.run(argc, argv);
  // A full disk behind standard output must not look like success.
  if (std::cout.flush()) return code;
  std::cerr << "db4: cannot write to standard output; check space there. What was asked for may be done: "
               "look first\n";
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  // Found by eye: what failed may be the parsing.
  const bool json = std::any_of(argv, argv + argc, [](std::string_view word) { return word == "--json"; });
  try {
    return run(argc, argv);
  } catch (const db4::Error& error) {
    return report(error, json);
  } catch (const std::filesystem::filesystem_error& error) {
    const std::string path = error.path1().string();
    return report(
        db4::Error(db4::ErrorCode::permission_denied, "cannot use " + path + ": " + error.code().message(),
                   "check its name and permissions, and those of the folders above it"),
        json);
  } catch (const std::exception& error) {
    return report(db4::Error(db4::ErrorCode::internal, error.what(), "report it"), json);
  }
}
