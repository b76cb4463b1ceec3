#pragma once
// The parts of the command line, each a group of commands in a file of its own.

#include "command_tree.hpp"

namespace db4::cli {

void add_store_commands(CommandTree& tree);     ///< init, demo, report
void add_document_commands(CommandTree& tree);  ///< put, get, rm, cp
void add_listing_commands(CommandTree& tree);   ///< ls, stat, du
void add_tier_commands(CommandTree& tree);      ///< tier, explain, promote, demote
void add_pin_commands(CommandTree& tree);       ///< pin, unpin, pins
void add_import(CommandTree& tree);
void add_export(CommandTree& tree);
void add_large_commands(CommandTree& tree);  ///< upload, uploads, and what follows
void add_download(CommandTree& tree);
void add_upkeep_commands(CommandTree& tree);  ///< gc, compact, doctor, rebuild
void add_key_commands(CommandTree& tree);     ///< keys and what follows
void add_stats_command(CommandTree& tree);    ///< stats
void add_top_command(CommandTree& tree);      ///< top
void add_watch_command(CommandTree& tree);    ///< watch
void add_config_commands(CommandTree& tree);  ///< config explain, config reference
void add_face_commands(CommandTree& tree);    ///< help, man, completion

}  // namespace db4::cli
