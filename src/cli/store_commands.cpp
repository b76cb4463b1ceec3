// init, demo and report: a store of one's own, one to look at, and a picture of either.
#include "context.hpp"
#include "demo.hpp"
#include "exit_code.hpp"
#include "parts.hpp"
#include "report_command.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <iostream>

namespace db4::cli {
namespace {

struct InitOptions {
  std::string folder;
  std::string max_size = "0B";
};

int init(Context& context, const InitOptions& options) {
  const std::filesystem::path folder =
      options.folder.empty() ? store_to_make(context.options().store) : std::filesystem::path(options.folder);
  TieredStoreConfig config = initial_config();
  config.hot.max_size = parse_bytes(options.max_size);
  for (const std::string& assignment : context.options().settings) set_in(config, assignment);
  const std::filesystem::path settings = folder / kSettingsFile;
  // Documents without settings: a store whose db4.toml was lost.
  bool adopted = std::filesystem::exists(folder / "hot");
  std::string place = folder.string();
  write_settings(folder, config);
  std::uint64_t documents = 0;
  try {
    Settings read = Settings::read(folder);
    read.apply_environment();  // which may have the secrets, that the file has not
    TieredStore store(read.config());
    for (const CollectionInfo& collection : store.collections()) documents += collection.documents;
    store.close();
    if (read.config().hot.type == HotType::postgres) {
      adopted = documents > 0;
      place = "the schema " + read.config().hot.schema;
    }
  } catch (...) {
    std::error_code ignored;  // there is no store: mend what was wrong, and try again
    std::filesystem::remove(settings, ignored);
    throw;
  }
  if (context.json()) {
    Context::print({{"store", folder.string()},
                    {"settings", settings.string()},
                    {"adopted", adopted},
                    {"documents", documents}});
  } else if (adopted) {
    std::cout << "There was a store without settings in " << place << ", with "
              << describe_count(documents, "document") << ": it is kept; its settings are now in "
              << settings.string() << "\n";
  } else {
    std::cout << "Made a store in " << folder.string() << "; its settings are in " << settings.string()
              << "\n";
  }
  return kOk;
}

int demo(Context& context, DemoOptions options) {
  options.json = context.json();
  options.stop = context.stop();
  if (!context.options().store.empty()) options.folder = context.options().store;
  return run_demo(options);
}

int report(Context& context, ReportRequest request) {
  request.name = report_name(context.folder());
  request.config = context.settings().config();
  request.json = context.json();
  return run_report(
      request, [&](std::string_view asked) { return context.session().ask(nlohmann::json::parse(asked)); });
}

void add_init(CommandTree& tree) {
  const auto options = std::make_shared<InitOptions>();
  CLI::App& command =
      tree.add({.name = "init",
                .group = "The store",
                .summary = "Make a store: a folder with db4.toml, every setting in it explained",
                .examples = "db4 init shop\n"
                            "db4 init shop --max-size 50MiB --set hot.durability=process\n"
                            "db4 init --store shop"},
               [options](Context& context) { return init(context, *options); });
  add_folder_option(command, "folder", options->folder,
                    "Its folder; --store, DB4_STORE or this one where it is not given")
      ->type_name("");
  add_size_option(command, "--max-size", options->max_size,
                  "Bytes of documents that may live hot, such as 50MiB; 0B: no bound");
}

void add_demo(CommandTree& tree) {
  const auto options = std::make_shared<DemoOptions>();
  CLI::App& command = tree.add(
      {.name = "demo",
       .group = "The store",
       .summary = "A month of a store's life on real documents, in a minute",
       .details =
           "The documents are the machine's own Debian package index, or those of --input. The store stays.",
       .examples = "db4 demo\n"
                   "db4 demo --input orders.jsonl --days 90 --dir orders-demo"},
      [options](Context& context) { return demo(context, *options); });
  command.add_option("--dir", options->folder, "Where the store goes (db4-demo)")->type_name("FOLDER");
  command.add_option("--input", options->input, "JSON lines instead of the Debian package index")
      ->type_name("FILE");
  command.add_option("--documents", options->documents, "Only so many of the documents")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command.add_option("--days", options->days, "Days of traffic (30)")
      ->type_name("N")
      ->check(CLI::Range(1, 3650));
  command.add_option("--reads", options->reads_per_hour, "Reads in an hour (200)")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  command.add_option("--writes", options->writes_per_hour, "Writes in an hour (4)")
      ->type_name("N")
      ->check(CLI::Range(0, 1'000'000));
  command.add_option("--seed", options->seed, "Seed of the traffic")->type_name("N");
  command.add_flag("--replace", options->replace, "Remove the store of an earlier demo first");
  CostConfig& cost = options->cost;
  command.add_option("--hot-price", cost.hot_per_gb_month, "Dollars a GB and month")->type_name("PRICE");
  command.add_option("--cold-price", cost.cold_per_gb_month, "Dollars a GB and month")->type_name("PRICE");
  command.add_option("--put-price", cost.per_million_object_writes, "Dollars a million")->type_name("PRICE");
  command.add_option("--get-price", cost.per_million_object_reads, "Dollars a million")->type_name("PRICE");
}

void add_report(CommandTree& tree) {
  const auto options = std::make_shared<ReportRequest>();
  CLI::App& command = tree.add({.name = "report",
                                .group = "Look",
                                .summary = "Draw the store's figures over time, as one page for a browser",
                                .details = "Tiers, hit share, latency, moves and the bill, from the samples "
                                           "the store keeps. It needs no network.",
                                .examples = "db4 report\n"
                                            "db4 report --output shop.html"},
                               [options](Context& context) { return report(context, *options); });
  command.add_option("-o,--output", options->output, "File (report.html); -: standard output")
      ->type_name("FILE");
}

}  // namespace

void add_store_commands(CommandTree& tree) {
  add_init(tree);
  add_demo(tree);
  add_report(tree);
}

}  // namespace db4::cli
