// pin, unpin, pins: documents that are held in a tier.
#include "context.hpp"
#include "exit_code.hpp"
#include "parts.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <iostream>

namespace db4::cli {
namespace {

using nlohmann::json;

struct PinOptions {
  Key key;
  std::string prefix;
  std::string tier;
};

/// A document where an id is given, a prefix where one is, else the whole collection.
json request_of(const char* op, const PinOptions& options) {
  json request = request_for(op, options.key);
  request["scope"] = "document";
  if (!options.prefix.empty()) {
    request["scope"] = "prefix";
    request["id"] = options.prefix;
  } else if (options.key.id.empty()) {
    request["scope"] = "collection";
  }
  return request;
}

std::string described(const json& request) {
  const std::string collection = escape(request.at("collection").get<std::string>());
  const std::string id = escape(request.at("id").get<std::string>());
  if (request.at("scope") == "document") return collection + "/" + id;
  if (request.at("scope") == "prefix") return "all of " + collection + " that start with " + id;
  return "all of " + collection;
}

int pin(Context& context, const PinOptions& options) {
  json request = request_of("pin", options);
  request["tier"] = options.tier;
  const json reply = context.ask(request);
  context.session().close();
  if (context.json()) {
    Context::print(reply);
  } else {
    std::cout << "pinned " << described(request) << " in " << paint_tier(context.terminal(), options.tier)
              << "; the next tiering run moves what is elsewhere\n";
  }
  return kOk;
}

int unpin(Context& context, const PinOptions& options) {
  const json request = request_of("unpin", options);
  const json reply = context.ask(request);
  context.session().close();
  const bool removed = reply.at("removed");
  if (context.json()) {
    Context::print(reply);
  } else if (removed) {
    std::cout << "unpinned " << described(request) << "\n";
  } else {
    std::cerr << "db4: there is no pin on " << described(request) << "; `db4 pins` lists them\n";
  }
  return removed ? kOk : kNotFound;
}

int pins(Context& context) {
  const json reply = context.ask({{"op", "pins"}});
  if (context.json()) {
    Context::print(reply);
    return kOk;
  }
  Table table({"pinned", "tier", "since"});
  for (const json& entry : reply.at("pins")) {
    table.add({described(entry), paint_tier(context.terminal(), entry.at("tier")),
               describe_time(TimePoint{std::chrono::microseconds{entry.at("since").get<std::int64_t>()}})});
  }
  std::cout << table.text(context.terminal());
  return kOk;
}

void add_target(CLI::App& command, PinOptions& options) {
  command.add_option("collection", options.key.collection, "Collection")->required()->type_name("");
  CLI::Option* id = command.add_option("id", options.key.id, "Id of one document")->type_name("");
  command.add_option("--prefix", options.prefix, "All ids that start so")->type_name("TEXT")->excludes(id);
}

}  // namespace

void add_pin_commands(CommandTree& tree) {
  const auto held = std::make_shared<PinOptions>();
  CLI::App& pin_command = tree.add(
      {.name = "pin",
       .group = "Tiers",
       .summary = "Hold a document, a prefix or a collection in a tier",
       .details = "Whatever its use says. The most exact pin holds: a document's, then the longest prefix's.",
       .examples = "db4 pin orders 1001 --tier hot\n"
                   "db4 pin logs --prefix 2019- --tier cold\n"
                   "db4 pin settings --tier hot"},
      [held](Context& context) { return pin(context, *held); });
  add_target(pin_command, *held);
  add_tier_option(pin_command, "--tier", held->tier, "Where it is held: hot, warm or cold")->required();

  const auto freed = std::make_shared<PinOptions>();
  CLI::App& unpin_command = tree.add({.name = "unpin",
                                      .group = "Tiers",
                                      .summary = "Take a pin away",
                                      .examples = "db4 unpin orders 1001\n"
                                                  "db4 unpin logs --prefix 2019-"},
                                     [freed](Context& context) { return unpin(context, *freed); });
  add_target(unpin_command, *freed);

  tree.add({.name = "pins", .group = "Tiers", .summary = "List the pins", .examples = "db4 pins"},
           [](Context& context) { return pins(context); });
}

}  // namespace db4::cli
