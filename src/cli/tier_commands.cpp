// tier, explain, promote, demote: where documents are, why, and moving them.
#include "context.hpp"
#include "exit_code.hpp"
#include "parts.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <algorithm>
#include <iostream>

namespace db4::cli {
namespace {

using nlohmann::json;

/// Documents moved between two looks at whether somebody wants to stop.
constexpr std::size_t kOperationsAtOnce = 5000;

std::string when(const json& microseconds) {
  return describe_time(TimePoint{std::chrono::microseconds{microseconds.get<std::int64_t>()}});
}

int tier_of_one(Context& context, const Key& key) {
  const json reply = context.ask(request_for("tier", key));
  if (!reply.at("found").get<bool>()) return report_not_found(context, key, reply);
  if (context.json()) {
    Context::print(reply);
  } else {
    std::cout << paint_tier(context.terminal(), reply.at("tier")) << "\n";
  }
  return kOk;
}

struct RunOptions {
  std::size_t max_operations = 10'000;
  std::string max_bytes;
  bool dry_run = false;
};

/// Adds the figures of one part of a run to those of the parts before it.
void add_part(json& total, const json& part) {
  if (total.is_null()) {
    total = part;
    return;
  }
  for (const char* figure : {"promoted", "demoted", "skipped", "failed", "bytes_moved", "compacted_segments",
                             "compacted_bytes", "trained_dictionaries", "duration_ms"}) {
    total[figure] = total.at(figure).get<std::uint64_t>() + part.at(figure).get<std::uint64_t>();
  }
  for (const char* list : {"moves", "errors"}) {
    for (const json& entry : part.at(list)) {
      if (total.at(list).size() < kMaxOperationListed) total[list].push_back(entry);
    }
  }
  total["more"] = part.at("more");
  total["stopped_by"] = part.at("stopped_by");
}

/// In parts, so that a stop that is asked for comes soon, also where another process does the work.
json run_in_parts(Context& context, const RunOptions& options) {
  std::uint64_t bytes_left = options.max_bytes.empty() ? std::numeric_limits<std::uint64_t>::max() / 2
                                                       : parse_bytes(options.max_bytes);
  std::size_t left = options.max_operations;
  json total;
  for (;;) {
    json request{{"op", "tier_run"}, {"dry_run", options.dry_run}};
    // A plan moves nothing: the next part would plan the same again.
    request["max_operations"] = options.dry_run ? left : std::min(left, kOperationsAtOnce);
    request["max_bytes"] = bytes_left;
    const json part = context.ask(request);
    add_part(total, part);
    const std::size_t moved = part.at("promoted").get<std::size_t>() + part.at("demoted").get<std::size_t>();
    left -= std::min(left, moved);
    bytes_left -= std::min(bytes_left, part.at("bytes_moved").get<std::uint64_t>());
    const bool stuck = moved == 0 || part.at("failed") != 0 || part.at("stopped_by") != "";
    if (options.dry_run || !part.at("more").get<bool>() || stuck || left == 0 || bytes_left == 0)
      return total;
    if (context.interrupted()) return total;
  }
}

void print_run(const Terminal& terminal, const json& result, bool interrupted) {
  constexpr std::size_t kShown = 20;
  const json& moves = result.at("moves");
  for (std::size_t i = 0; i < std::min(kShown, moves.size()); ++i) {
    const json& move = moves[i];
    std::cout << "  " << escape(move.at("collection").get<std::string>()) << "/"
              << escape(move.at("id").get<std::string>()) << ": " << paint_tier(terminal, move.at("from"))
              << " to " << paint_tier(terminal, move.at("to")) << ", " << move.at("reason").get<std::string>()
              << "\n";
  }
  const std::size_t all = result.at("promoted").get<std::size_t>() + result.at("demoted").get<std::size_t>();
  if (all > kShown) std::cout << "  ... and " << describe_count(all - kShown) << " more\n";
  const bool plan = result.at("dry_run");
  std::cout << (plan ? "would promote " : "promoted ") << describe_count(result.at("promoted"))
            << (plan ? ", would demote " : ", demoted ") << describe_count(result.at("demoted")) << ", left "
            << describe_count(result.at("skipped")) << ", failed " << describe_count(result.at("failed"))
            << ", " << describe_bytes(result.at("bytes_moved")) << "\n";
  if (result.at("compacted_segments") != 0) {
    std::cout << "rewrote " << describe_count(result.at("compacted_segments"), "segment") << ", copying "
              << describe_bytes(result.at("compacted_bytes")) << "\n";
  }
  if (result.at("trained_dictionaries") != 0) {
    std::cout << "trained a dictionary for "
              << describe_count(result.at("trained_dictionaries"), "collection") << "\n";
  }
  for (const json& error : result.at("errors")) std::cerr << "db4: " << error.get<std::string>() << "\n";
  if (const auto why = result.at("stopped_by").get<std::string>(); !why.empty()) {
    std::cerr << "db4: the run gave up: " << why << "\n";
  } else if (result.at("more").get<bool>() && !interrupted) {
    std::cout << "more is due: run again, or raise --max-operations\n";
  }
}

int run_tiering(Context& context, const RunOptions& options) {
  const json result = run_in_parts(context, options);
  context.session().close();
  if (context.json()) {
    Context::print(result);
  } else {
    print_run(context.terminal(), result, context.interrupted());
  }
  if (context.interrupted()) {
    std::cerr << "db4: interrupted; what was moved is moved, the rest stays due\n";
    return kInterrupted;
  }
  return result.at("failed") == 0 ? kOk : kFailed;
}

int explain(Context& context, const Key& key) {
  const json reply = context.ask(request_for("explain", key));
  if (!reply.at("found").get<bool>()) return report_not_found(context, key, reply);
  if (context.json()) {
    Context::print(reply);
    return kOk;
  }
  const Terminal& terminal = context.terminal();
  const json& meta = reply.at("meta");
  std::cout << "  " << name_of(key) << " is in " << paint_tier(terminal, meta.at("tier")) << ", version "
            << meta.at("version") << ", " << describe_bytes(meta.at("size")) << "\n";
  for (const json& copy : reply.at("copies"))
    std::cout << "  copy       " << escape(copy.get<std::string>()) << "\n";
  if (const std::string key_id = reply.value("key_id", ""); !key_id.empty())
    std::cout << "  sealed     with key " << key_id << "\n";
  std::cout << "  placed by  " << reply.at("placed_by").get<std::string>() << ", "
            << when(reply.at("placed_at")) << "\n  rule       " << reply.at("rule").get<std::string>() << ": "
            << paint_tier(terminal, reply.at("classified")) << "\n";
  if (reply.contains("pin")) {
    const json& pin = reply.at("pin");
    std::cout << "  pinned     in " << paint_tier(terminal, pin.at("tier")) << " by its "
              << pin.at("scope").get<std::string>() << ", since " << when(pin.at("since")) << "\n";
  }
  // A pin overrules what would be due.
  if (reply.contains("due_at") && !reply.contains("pin"))
    std::cout << "  due        " << when(reply.at("due_at")) << "\n";
  std::cout << "  outlook    " << reply.at("outlook").get<std::string>() << "\n";
  for (const json& move : reply.at("moves")) {
    std::cout << "  moved      " << when(move.at("at")) << ", " << paint_tier(terminal, move.at("from"))
              << " to " << paint_tier(terminal, move.at("to")) << ": " << move.at("reason").get<std::string>()
              << "\n";
  }
  return kOk;
}

struct MoveFlags {
  Key key;
  std::string to;
  bool keep = false;
};

int move(Context& context, const MoveFlags& options, const char* op) {
  json request = request_for(op, options.key);
  if (!options.to.empty()) request["to"] = options.to;
  if (options.keep) request["keep"] = true;
  const json reply = context.ask(request);
  context.session().close();
  if (!reply.at("found").get<bool>()) return report_not_found(context, options.key, reply);
  if (context.json()) {
    Context::print(reply);
  } else {
    std::cout << name_of(options.key) << (reply.at("moved").get<bool>() ? " moved to " : " is already in ")
              << paint_tier(context.terminal(), reply.at("to")) << "\n";
  }
  return kOk;
}

void add_run(CommandTree& tree, CLI::App& tier, bool dry_run) {
  const auto options = std::make_shared<RunOptions>();
  options->dry_run = dry_run;
  const CommandText text =
      dry_run ? CommandText{.name = "plan",
                            .group = "Tiers",
                            .summary = "Say what a run would move, and why; move nothing",
                            .examples = "db4 tier plan --max-operations 20"}
              : CommandText{.name = "run",
                            .group = "Tiers",
                            .summary = "Move what is due",
                            .details = "Ctrl-C stops it between two documents: what was moved stays moved.",
                            .examples =
                                "db4 tier run\n"
                                "db4 tier run --max-operations 1000 --max-bytes 1GiB\n"
                                "db4 tier run --json | jq .bytes_moved"};
  CLI::App& command =
      tree.add(tier, text, [options](Context& context) { return run_tiering(context, *options); });
  command.add_option("--max-operations", options->max_operations, "Documents moved at most (10,000)")
      ->type_name("N");
  add_size_option(command, "--max-bytes", options->max_bytes, "Bytes moved at most, such as 100MiB");
  if (!dry_run) command.add_flag("--dry-run", options->dry_run, "As `db4 tier plan`");
}

void add_tier(CommandTree& tree) {
  const auto key = std::make_shared<Key>();
  CLI::App& command = tree.add({.name = "tier",
                                .group = "Tiers",
                                .summary = "Print a document's tier; or `tier run`, `tier plan`",
                                .examples = "db4 tier orders 1001\n"
                                            "db4 tier plan\n"
                                            "db4 tier run\n"
                                            "db4 tier -- run 1  # the document 1 of a collection called run"},
                               [key](Context& context) { return tier_of_one(context, *key); });
  CLI::Option* collection = command.add_option("collection", key->collection, "Collection")->type_name("");
  CLI::Option* id = command.add_option("id", key->id, "Id of the document")->type_name("");
  collection->needs(id);
  add_run(tree, command, /*dry_run=*/false);
  add_run(tree, command, /*dry_run=*/true);
  command.final_callback([&command, id] {
    if (command.get_subcommands().empty() && id->empty()) {
      throw CLI::RequiredError("COLLECTION ID, run or plan");
    }
  });
}

void add_explain(CommandTree& tree) {
  const auto key = std::make_shared<Key>();
  CLI::App& command = tree.add(
      {.name = "explain",
       .group = "Tiers",
       .summary = "Say why a document is where it is, and when it will move",
       .details = "With its last moves and their reasons, a pin that holds it, and what would keep it.",
       .examples = "db4 explain orders 1001"},
      [key](Context& context) { return explain(context, *key); });
  add_key(command, *key);
}

void add_move(CommandTree& tree, bool promote) {
  const auto options = std::make_shared<MoveFlags>();
  const CommandText text = promote ? CommandText{.name = "promote",
                                                 .group = "Tiers",
                                                 .summary = "Move a document to a hotter tier",
                                                 .details = "It holds until the document is next used.",
                                                 .examples =
                                                     "db4 promote orders 1001\n"
                                                     "db4 promote orders 1001 --to warm"}
                                   : CommandText{.name = "demote",
                                                 .group = "Tiers",
                                                 .summary = "Move a document to a colder tier",
                                                 .details = "It holds until the document is next used.",
                                                 .examples =
                                                     "db4 demote orders 1001\n"
                                                     "db4 demote orders 1001 --to warm --keep"};
  const char* op = promote ? "promote" : "demote";
  CLI::App& command = tree.add(text, [options, op](Context& context) { return move(context, *options, op); });
  add_key(command, options->key);
  add_tier_option(command, "--to", options->to,
                  promote ? "hot (the default) or warm" : "cold (the default) or warm");
  if (!promote) command.add_flag("--keep", options->keep, "Keep the copy where it is, too");
}

}  // namespace

void add_tier_commands(CommandTree& tree) {
  add_tier(tree);
  add_explain(tree);
  add_move(tree, /*promote=*/true);
  add_move(tree, /*promote=*/false);
}

}  // namespace db4::cli
