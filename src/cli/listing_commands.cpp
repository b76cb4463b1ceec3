// ls, stat, du: what is there, and how much.
#include "context.hpp"
#include "exit_code.hpp"
#include "parts.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <algorithm>
#include <functional>
#include <iostream>
#include <limits>
#include <map>

namespace db4::cli {
namespace {

using nlohmann::json;

TimePoint time_of(const json& microseconds) {
  return TimePoint{std::chrono::microseconds{microseconds.get<std::int64_t>()}};
}

struct LsOptions {
  std::string collection = {};
  std::string prefix = {};
  std::string tier = {};
  std::string cursor = {};
  std::size_t limit = 100;
  bool ids = false;
};

int ls_collections(Context& context) {
  const json reply = context.ask({{"op", "ls"}});
  if (context.json()) {
    Context::print(reply);
    return kOk;
  }
  Table table({"collection", "documents", "bytes", "hot", "cold"});
  for (const json& entry : reply.at("collections")) {
    table.add({escape(entry.at("name").get<std::string>()), describe_count(entry.at("documents")),
               describe_bytes(entry.at("bytes")), describe_count(entry.at("hot_documents")),
               describe_count(entry.at("cold_documents"))});
  }
  std::cout << table.text(context.terminal());
  return kOk;
}

/// Calls `each` with the documents of a collection in the order of their ids, `limit` at most, page by page.
/// The cursor behind the last one; empty at the end.
std::string for_each_listed(Context& context, const LsOptions& options,
                            const std::function<void(const json&)>& each) {
  std::string cursor = options.cursor;
  std::size_t left = options.limit;
  do {
    json request{
        {"op", "ls"}, {"collection", options.collection}, {"prefix", options.prefix}, {"cursor", cursor}};
    request["limit"] = std::min(left, kMaxOperationListed);
    if (!options.tier.empty()) request["tier"] = options.tier;
    const json reply = context.ask(request);
    for (const json& document : reply.at("documents")) each(document);
    left -= std::min(left, reply.at("documents").size());
    cursor = reply.at("cursor").get<std::string>();
  } while (!cursor.empty() && left > 0 && !context.interrupted());
  return cursor;
}

void check_interrupted(const Context& context) {
  if (context.interrupted()) throw Error(ErrorCode::cancelled, "interrupted", "run it again");
}

/// A listing that found nothing may be of a collection that there is not: kNotFound then, which is said.
int check_collection(Context& context, const std::string& collection) {
  std::vector<std::string> names;
  const json reply = context.ask({{"op", "ls"}});
  for (const json& entry : reply.at("collections")) names.push_back(entry.at("name"));
  return std::ranges::find(names, collection) == names.end()
             ? report_no_collection(context, collection, names)
             : kOk;
}

int ls(Context& context, const LsOptions& options) {
  if (options.ids && context.json()) {
    throw Error(ErrorCode::invalid_argument, "--ids does not go with --json",
                "leave --ids out: JSON has them");
  }
  if (options.collection.empty()) return ls_collections(context);
  std::size_t listed = 0;
  Table table({"id", "tier", "version", "bytes", "updated", "reads"});
  json out{{"documents", json::array()}};
  out["cursor"] = for_each_listed(context, options, [&](const json& document) {
    const std::string id = document.at("id");
    ++listed;
    if (options.ids) {
      std::cout << id << '\0';
    } else if (context.json()) {
      out["documents"].push_back(document);
    } else {
      table.add({escape(id), paint_tier(context.terminal(), document.at("tier")),
                 document.at("version").dump(), describe_bytes(document.at("size")),
                 describe_time(time_of(document.at("updated_at"))),
                 describe_count(document.at("access_count"))});
    }
  });
  check_interrupted(context);
  const int code = listed > 0 || !out.at("cursor").get<std::string>().empty()
                       ? kOk
                       : check_collection(context, options.collection);
  if (context.json()) Context::print(out);
  if (code != kOk || options.ids || context.json()) return code;
  std::cout << table.text(context.terminal());
  const std::string cursor = out.at("cursor");
  if (!cursor.empty()) {
    std::cout << context.terminal().paint(
                     Emphasis::faint,
                     "  ... more: raise --limit, or go on with --cursor " + escape(shell_quoted(cursor)))
              << "\n";
  }
  return kOk;
}

int stat_store(Context& context) {
  const json stats = context.ask({{"op", "stats"}});
  if (context.json()) {
    Context::print(stats);
    return kOk;
  }
  const Terminal& terminal = context.terminal();
  Table table({"tier", "documents", "bytes"});
  for (const char* tier : {"hot", "warm", "cold"}) {
    const json& figures = stats.at("tiers").at(tier);
    table.add({paint_tier(terminal, tier) + (std::string(tier) == "warm" ? " (copies)" : ""),
               describe_count(figures.at("documents")), describe_bytes(figures.at("bytes"))});
  }
  const json& cost = stats.at("cost");
  const json& cold = stats.at("cold");
  const double all_hot = cost.at("all_hot");
  const int digits = all_hot < 1 ? 6 : 2;
  std::cout << table.text(terminal) << "\n  " << describe_count(cold.at("objects"), "object") << " of "
            << describe_bytes(cold.at("object_bytes"))
            << "\n  a month: " << describe_dollars(cost.at("total"), digits) << " in tiers, "
            << describe_dollars(all_hot, digits) << " all hot\n";
  const json& store = stats.at("store");
  std::cout << "  store " << store.at("id").get<std::string>() << ", engine "
            << store.at("hot_type").get<std::string>() << ", durability "
            << store.at("durability").get<std::string>();
  if (stats.contains("encryption") && stats.at("encryption").at("encrypted").get<bool>())
    std::cout << ", encrypted";
  if (context.session().live()) std::cout << "; held by process " << store.at("pid");
  std::cout << "\n";
  return kOk;
}

struct StatOptions {
  Key key;
};

int stat(Context& context, const StatOptions& options) {
  if (options.key.collection.empty()) return stat_store(context);
  const json reply = context.ask(request_for("stat", options.key));
  if (!reply.at("found").get<bool>()) return report_not_found(context, options.key, reply);
  if (context.json()) {
    Context::print(reply);
    return kOk;
  }
  std::cout << "  tier      " << paint_tier(context.terminal(), reply.at("tier")) << "\n  version   "
            << reply.at("version") << "\n  size      " << describe_bytes(reply.at("size")) << "\n  type      "
            << escape(reply.at("content_type").get<std::string>()) << "\n  created   "
            << describe_time(time_of(reply.at("created_at"))) << "\n  updated   "
            << describe_time(time_of(reply.at("updated_at"))) << "\n  last used "
            << describe_time(time_of(reply.at("accessed_at"))) << "\n  reads     "
            << describe_count(reply.at("access_count")) << " (" << reply.at("recent_access_count")
            << " recent)\n";
  // A process of an older release, asked through its socket, does not tell it.
  if (const std::string key_id = reply.value("key_id", ""); !key_id.empty())
    std::cout << "  sealed    with key " << key_id << "\n";
  return kOk;
}

struct DuOptions {
  std::string collection;
  std::string prefix;
  std::string separators = "/";
};

/// Documents and bytes of a group, per home.
struct Usage {
  std::uint64_t hot_documents = 0;
  std::uint64_t hot_bytes = 0;
  std::uint64_t cold_documents = 0;
  std::uint64_t cold_bytes = 0;

  void add(const Usage& other) {
    hot_documents += other.hot_documents;
    hot_bytes += other.hot_bytes;
    cold_documents += other.cold_documents;
    cold_bytes += other.cold_bytes;
  }
};

void print_usage(const Context& context, const char* what, const std::map<std::string, Usage>& groups) {
  json out{{"groups", json::array()}};
  Table table({what, "documents", "bytes", "hot", "hot bytes", "cold", "cold bytes"});
  const auto row = [&](const std::string& name, const Usage& usage) {
    table.add({name, describe_count(usage.hot_documents + usage.cold_documents),
               describe_bytes(usage.hot_bytes + usage.cold_bytes), describe_count(usage.hot_documents),
               describe_bytes(usage.hot_bytes), describe_count(usage.cold_documents),
               describe_bytes(usage.cold_bytes)});
  };
  const auto figures = [](const Usage& usage) {
    return json{{"documents", usage.hot_documents + usage.cold_documents},
                {"bytes", usage.hot_bytes + usage.cold_bytes},
                {"hot_documents", usage.hot_documents},
                {"hot_bytes", usage.hot_bytes},
                {"cold_documents", usage.cold_documents},
                {"cold_bytes", usage.cold_bytes}};
  };
  Usage total;
  for (const auto& [name, usage] : groups) {
    total.add(usage);
    row(escape(name), usage);
    out["groups"].push_back(figures(usage));
    out["groups"].back()["name"] = name;
  }
  row("total", total);
  out["total"] = figures(total);
  if (context.json()) {
    Context::print(out);
  } else {
    std::cout << table.text(context.terminal());
  }
}

int du(Context& context, const DuOptions& options) {
  std::map<std::string, Usage> groups;
  if (options.collection.empty()) {
    const json reply = context.ask({{"op", "ls"}});
    for (const json& entry : reply.at("collections")) {
      groups[entry.at("name")] = {.hot_documents = entry.at("hot_documents"),
                                  .hot_bytes = entry.at("hot_bytes"),
                                  .cold_documents = entry.at("cold_documents"),
                                  .cold_bytes = entry.at("cold_bytes")};
    }
    print_usage(context, "collection", groups);
    return kOk;
  }
  const LsOptions listed{.collection = options.collection,
                         .prefix = options.prefix,
                         .limit = std::numeric_limits<std::size_t>::max()};
  std::size_t documents = 0;
  for_each_listed(context, listed, [&](const json& document) {
    ++documents;
    const std::string id = document.at("id");
    const std::size_t end = id.find_first_of(options.separators, options.prefix.size());
    const bool cold = document.at("tier") != "hot";
    const std::uint64_t size = document.at("size");
    groups[end == std::string::npos ? "" : id.substr(0, end + 1)].add({.hot_documents = cold ? 0U : 1U,
                                                                       .hot_bytes = cold ? 0 : size,
                                                                       .cold_documents = cold ? 1U : 0U,
                                                                       .cold_bytes = cold ? size : 0});
  });
  check_interrupted(context);
  const int code = documents > 0 ? kOk : check_collection(context, options.collection);
  if (code == kOk || context.json()) print_usage(context, "ids that start with", groups);
  return code;
}

void add_ls(CommandTree& tree) {
  const auto options = std::make_shared<LsOptions>();
  CLI::App& command =
      tree.add({.name = "ls",
                .group = "Look",
                .summary = "List collections, or the documents of one",
                .details = "It is no access: nothing counts as read, nothing is promoted.",
                .examples = "db4 ls\n"
                            "db4 ls orders --prefix 2024- --tier cold --limit 20\n"
                            "db4 ls orders --ids --limit 1000000 | xargs -0 -n1 db4 stat orders"},
               [options](Context& context) { return ls(context, *options); });
  CLI::Option* collection =
      command.add_option("collection", options->collection, "Collection")->type_name("");
  command.add_option("--prefix", options->prefix, "Only ids that start so")
      ->type_name("TEXT")
      ->needs(collection);
  add_tier_option(command, "--tier", options->tier, "Only documents in this tier")->needs(collection);
  command.add_option("--limit", options->limit, "Documents at most (100)")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->needs(collection);
  command.add_option("--cursor", options->cursor, "Go on behind this id, with which the page before ended")
      ->type_name("ID")
      ->needs(collection);
  command.add_flag("--ids", options->ids, "Ids alone, each ended by a zero byte, for xargs -0")
      ->needs(collection);
}

void add_stat(CommandTree& tree) {
  const auto options = std::make_shared<StatOptions>();
  CLI::App& command = tree.add({.name = "stat",
                                .group = "Look",
                                .summary = "Figures of the store, or of one document",
                                .examples = "db4 stat\n"
                                            "db4 stat orders 1001"},
                               [options](Context& context) { return stat(context, *options); });
  CLI::Option* collection =
      command.add_option("collection", options->key.collection, "Collection")->type_name("");
  CLI::Option* id = command.add_option("id", options->key.id, "Id of the document")->type_name("");
  collection->needs(id);
}

void add_du(CommandTree& tree) {
  const auto options = std::make_shared<DuOptions>();
  CLI::App& command =
      tree.add({.name = "du",
                .group = "Look",
                .summary = "Documents and bytes per collection, or per prefix of one",
                .details = "Of a collection every row is read, about a million in some seconds.",
                .examples = "db4 du\n"
                            "db4 du logs --separators -  # by the part of the id up to the first -\n"
                            "db4 du logs --prefix 2024- --separators -"},
               [options](Context& context) { return du(context, *options); });
  CLI::Option* collection =
      command.add_option("collection", options->collection, "Collection")->type_name("");
  command.add_option("--prefix", options->prefix, "Only ids that start so, grouped by what follows")
      ->type_name("TEXT")
      ->needs(collection);
  command.add_option("--separators", options->separators, "Letters that end a group's name (/)")
      ->type_name("TEXT")
      ->needs(collection);
}

}  // namespace

void add_listing_commands(CommandTree& tree) {
  add_ls(tree);
  add_stat(tree);
  add_du(tree);
}

}  // namespace db4::cli
