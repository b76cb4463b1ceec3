// init, demo and report: a store of one's own, one to look at, and a picture of either.
#include "context.hpp"
#include "demo.hpp"
#include "exit_code.hpp"
#include "key_place.hpp"
#include "master_key_commands.hpp"
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
  bool encrypt = false;
  MasterKeyOptions master_key;

  /// A key that is there is used from the first moment; a new one is made when the store stands.
  [[nodiscard]] bool makes_key() const { return encrypt && (master_key.place.empty() || master_key.create); }
};

struct Made {
  std::uint64_t documents = 0;
  bool encrypted = false;
  std::string master_key;  ///< where the new one is
};

/// The store's first opening, with the secrets that variables have and the file has not.
Made open_first(const Context& context, const std::filesystem::path& folder, const InitOptions& options) {
  Made made;
  Settings read = Settings::read(folder);
  read.apply_environment();
  const TieredStoreConfig& config = read.config();
  if (options.makes_key() && !config.sealing.master_key.empty()) {
    throw Error(ErrorCode::invalid_argument,
                "a new master key is to be made, and " + config.sealing.master_key + " is named as one",
                "leave --encrypt out to use that one, or unset DB4_ENCRYPTION_MASTER_KEY");
  }
  TieredStore store(config);
  for (const CollectionInfo& collection : store.collections()) made.documents += collection.documents;
  made.encrypted = store.encryption() != nullptr;
  store.close();
  if (!options.makes_key()) return made;
  made.master_key = turn_encryption_on(context, folder, options.master_key);
  made.encrypted = true;
  return made;
}

int init(Context& context, const InitOptions& options) {
  const std::filesystem::path folder =
      options.folder.empty() ? store_to_make(context.options().store) : std::filesystem::path(options.folder);
  TieredStoreConfig config = initial_config();
  config.hot.max_size = parse_bytes(options.max_size);
  for (const std::string& assignment : context.options().settings) set_in(config, assignment);
  if (options.encrypt && !options.makes_key())
    set_in(config, "encryption.master_key=" + options.master_key.place);
  // In the file it counts from the store's folder; here it was said from this one.
  config.sealing.master_key = place_from(config.sealing.master_key, std::filesystem::current_path());
  const std::filesystem::path settings = folder / kSettingsFile;
  // Documents without settings: a store whose db4.toml was lost.
  bool adopted = std::filesystem::exists(folder / "hot");
  std::string place = folder.string();
  write_settings(folder, config);
  Made made;
  try {
    made = open_first(context, folder, options);
    if (config.hot.type == HotType::postgres) {
      adopted = made.documents > 0;
      place = "the schema " + config.hot.schema;
    }
  } catch (...) {
    std::error_code ignored;  // there is no store: mend what was wrong, and try again
    std::filesystem::remove(settings, ignored);
    throw;
  }
  if (context.json()) {
    nlohmann::json out{{"store", folder.string()},
                       {"settings", settings.string()},
                       {"adopted", adopted},
                       {"documents", made.documents},
                       {"encrypted", made.encrypted}};
    if (!made.master_key.empty()) out["master_key"] = made.master_key;
    Context::print(out);
    return kOk;
  }
  if (adopted) {
    std::cout << "There was a store without settings in " << place << ", with "
              << describe_count(made.documents, "document") << ": it is kept; its settings are now in "
              << settings.string() << "\n";
  } else {
    std::cout << "Made a store in " << folder.string() << "; its settings are in " << settings.string()
              << "\n";
  }
  if (made.encrypted) std::cout << "What is written to it is sealed.\n";
  print_key_advice(context.terminal(), made.master_key, !made.master_key.empty());
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
  CLI::App& command = tree.add(
      {.name = "init",
       .group = "The store",
       .summary = "Make a store: a folder with db4.toml, every setting in it explained",
       .details = "With --encrypt what leaves memory is sealed. Unless --master-key says otherwise, a "
                  "new master key is made beside the folder: shop.master-key of shop. Keep a copy of "
                  "it elsewhere; without it the documents are lost.",
       .examples = "db4 init shop\n"
                   "db4 init shop --max-size 50MiB --set hot.durability=process\n"
                   "db4 init shop --encrypt\n"
                   "db4 init shop --encrypt --master-key env:SHOP_MASTER_KEY\n"
                   "db4 init --store shop"},
      [options](Context& context) { return init(context, *options); });
  add_folder_option(command, "folder", options->folder,
                    "Its folder; --store, DB4_STORE or this one where it is not given")
      ->type_name("");
  add_size_option(command, "--max-size", options->max_size,
                  "Bytes of documents that may live hot, such as 50MiB; 0B: no bound");
  CLI::Option* encrypt = command.add_flag("--encrypt", options->encrypt, "Seal what is written");
  add_master_key_options(command, options->master_key, "With --encrypt: where the master key is")
      ->needs(encrypt);
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
