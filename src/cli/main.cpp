// db4: documents in three tiers, from the shell.
#include "commands.hpp"
#include "demo.hpp"
#include "report_command.hpp"
#include "store_folder.hpp"
#include "text.hpp"
#include "version.hpp"

#include <CLI/CLI.hpp>

#include <functional>
#include <iostream>
#include <utility>

namespace db4::cli {
namespace {

constexpr const char* kFooter = R"(
Examples:
  db4 init --store shop
  echo '{"total": 12}' | db4 --store shop put orders 1001
  db4 --store shop get orders 1001
  db4 --store shop import orders orders.jsonl --id-field id
  db4 --store shop import --collection-field kind everything.jsonl
  db4 --store shop tier orders 1001          (in which tier it is)
  db4 --store shop tier run --dry-run        (what tiering would move; also: db4 run)
  db4 --store shop explain orders 1001
  db4 --store shop report --output shop.html
  db4 demo

The store is --store FOLDER, else DB4_STORE, else this folder where it has a db4.toml.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 conflict, 4 no such document, 5 busy, locked, full or away.)";

/// The command line: what is typed goes into `request`, and what is to be done into `action`.
class CommandLine {
 public:
  CommandLine() {
    app_.footer(kFooter);
    app_.require_subcommand(1);
    app_.set_version_flag("--version", [this] { return version_text(app_.count("--json") > 0); });
    app_.fallthrough();
    app_.add_option("--store", request_.store, "The store's folder");
    app_.add_flag("--json", request_.json, "Print JSON for programs");
    add_documents();
    add_moves();
    add_whole_store();
    add_demo();
  }

  int run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app_.exit(error) == 0 ? kOk : kUsage;
    }
    return action_();
  }

 private:
  CLI::App* command(CLI::App& parent, const char* name, const char* what, std::function<int()> action) {
    CLI::App* sub = parent.add_subcommand(name, what);
    sub->callback([this, action = std::move(action)] { action_ = action; });
    return sub;
  }
  void key(CLI::App* sub) {
    sub->add_option("collection", request_.collection, "Collection")->required();
    sub->add_option("id", request_.id, "Id")->required();
  }
  void if_version(CLI::App* sub) {
    sub->add_option("--if-version", request_.if_version,
                    "Only if it stands at this version; 0: only if it is new");
  }
  void tier(CLI::App* sub, const char* name, const char* what) { sub->add_option(name, request_.tier, what); }

  void add_documents() {
    CLI::App* put = command(app_, "put", "Write a document from a file or standard input",
                            [this] { return run_put(request_); });
    key(put);
    put->add_option("file", request_.file, "File; -: standard input");
    put->add_flag("--bytes", request_.bytes, "Any bytes, not JSON");
    put->add_option("--content-type", request_.content_type, "Content type");
    if_version(put);
    tier(put, "--tier", "hot, warm or cold");
    CLI::App* get = command(app_, "get", "Print a document", [this] { return run_get(request_); });
    key(get);
    get->add_flag("--meta", request_.meta, "With id, tier and _meta");
    CLI::App* rm = command(app_, "rm", "Remove a document", [this] { return run_rm(request_); });
    key(rm);
    if_version(rm);
    tier(rm, "--tier", "Drop the copy in this tier alone");
  }

  void add_moves() {
    for (const bool promote : {true, false}) {
      CLI::App* move =
          command(app_, promote ? "promote" : "demote",
                  promote ? "Move a document to a hotter tier" : "Move a document to a colder tier",
                  [this, promote] { return run_move(request_, promote); });
      key(move);
      tier(move, "--to", promote ? "hot (the default) or warm" : "cold (the default) or warm");
      if (!promote) move->add_flag("--keep", request_.keep, "Keep the copy where it is, too");
    }
    CLI::App* explain = command(app_, "explain", "Say why a document is where it is",
                                [this] { return run_explain(request_); });
    key(explain);
    CLI::App* tier_of_one = app_.add_subcommand("tier", "Print a document's tier; or: tier run");
    CLI::Option* collection = tier_of_one->add_option("collection", request_.collection, "Collection");
    CLI::Option* id = tier_of_one->add_option("id", request_.id, "Id");
    collection->needs(id);
    add_tiering_run(*tier_of_one);
    // It runs after the callback of `run` where that was given.
    tier_of_one->final_callback([this, tier_of_one, id] {
      if (!tier_of_one->get_subcommands().empty()) return;
      if (id->empty()) throw CLI::RequiredError("COLLECTION ID, or run");
      action_ = [this] { return run_tier(request_); };
    });
    add_tiering_run(app_);
  }
  void add_tiering_run(CLI::App& parent) {
    CLI::App* run = command(parent, "run", "Move what is due", [this] { return run_tiering(request_); });
    run->add_option("--max-operations", request_.max_operations, "Documents moved at most");
    run->add_option("--max-bytes", request_.max_bytes, "Bytes moved at most, such as 100MiB");
    run->add_flag("--dry-run", request_.dry_run, "Say what would move, and move nothing");
  }

  void add_whole_store() {
    CLI::App* init = command(app_, "init", "Make a store", [this] { return run_init(request_, config_); });
    init->add_option("--max-size", hot_size_,
                     "Bytes of documents that may live hot, such as 50MiB; 0B: no bound");
    init->parse_complete_callback([this] { config_.hot.max_size = parse_bytes(hot_size_); });
    CLI::App* ls =
        command(app_, "ls", "List collections, or the documents of one", [this] { return run_ls(request_); });
    ls->add_option("collection", request_.collection, "Collection");
    ls->add_option("--prefix", request_.prefix, "Only ids that start so");
    tier(ls, "--tier", "Only documents in this tier");
    ls->add_option("--limit", request_.limit, "Documents at most")->check(CLI::PositiveNumber);
    CLI::App* stat = command(app_, "stat", "Figures of the store, or of one document",
                             [this] { return run_stat(request_); });
    CLI::Option* collection = stat->add_option("collection", request_.collection, "Collection");
    collection->needs(stat->add_option("id", request_.id, "Id"));
    CLI::App* report = command(app_, "report", "Draw the store's figures over time, as a page for a browser",
                               [this] { return report_on_store(); });
    report->add_option("--output", report_.output, "File (report.html); -: standard output");
    add_import();
  }

  int report_on_store() {
    const std::filesystem::path folder = find_store(request_.store);
    report_.name = report_name(folder);
    report_.config = read_config(folder);
    report_.json = request_.json;
    // Of the process that holds the store, where there is one.
    if (const auto live = LiveClient::connect(report_.config.hot.path))
      return run_report(report_, [&](std::string_view asked) { return live->run(asked); });
    TieredStore store(report_.config);
    return run_report(report_, [&](std::string_view asked) { return run_operation(store, asked); });
  }

  void add_import() {
    CLI::App* lines = command(app_, "import", "Write documents from JSON lines", [this] {
      if (request_.collection.empty() && request_.collection_field.empty()) {
        throw Error(ErrorCode::invalid_argument, "no collection is named",
                    "name COLLECTION or --collection-field");
      }
      // With --collection-field the file is the only thing left to name.
      if (!request_.collection_field.empty() && !request_.collection.empty())
        request_.file = std::exchange(request_.collection, {});
      return run_import(request_);
    });
    lines->add_option("collection", request_.collection, "Collection");
    CLI::Option* file = lines->add_option("file", request_.file, "File; -: standard input");
    CLI::Option* field = lines->add_option("--collection-field", request_.collection_field,
                                           "The member that holds the collection; then name the file alone");
    field->excludes(file);
    lines->add_option("--id-field", request_.id_field, "The member that holds the id");
    lines->add_option("--batch", request_.batch, "Documents in one commit")
        ->check(CLI::Range(std::size_t{1}, kMaxBatchItems));
    lines->add_flag("--skip-bad", request_.skip_bad, "Go past lines that cannot be imported");
    tier(lines, "--tier", "hot, warm or cold");
  }

  void add_demo() {
    CLI::App* demo =
        command(app_, "demo", "A month of a store's life on real documents, in a minute", [this] {
          demo_.json = request_.json;
          if (!request_.store.empty()) demo_.folder = request_.store;
          return run_demo(demo_);
        });
    demo->add_option("--dir", demo_.folder, "Where the store goes (db4-demo)");
    demo->add_option("--input", demo_.input, "JSON lines instead of the Debian package index");
    demo->add_option("--documents", demo_.documents, "Only so many of the documents")
        ->check(CLI::PositiveNumber);
    demo->add_option("--days", demo_.days, "Days of traffic")->check(CLI::Range(1, 3650));
    demo->add_option("--reads", demo_.reads_per_hour, "Reads in an hour")->check(CLI::Range(1, 1'000'000));
    demo->add_option("--writes", demo_.writes_per_hour, "Writes in an hour")->check(CLI::Range(0, 1'000'000));
    demo->add_option("--seed", demo_.seed, "Seed of the traffic");
    demo->add_flag("--replace", demo_.replace, "Remove the store of an earlier demo first");
    demo->add_option("--hot-price", demo_.cost.hot_per_gb_month, "Dollars a GB and month");
    demo->add_option("--cold-price", demo_.cost.cold_per_gb_month, "Dollars a GB and month");
    demo->add_option("--put-price", demo_.cost.per_million_object_writes, "Dollars a million");
    demo->add_option("--get-price", demo_.cost.per_million_object_reads, "Dollars a million");
  }

  CLI::App app_{"db4 storage: documents in three tiers, moved by how they are used"};
  Request request_;
  DemoOptions demo_;
  ReportRequest report_;
  TieredStoreConfig config_;
  std::string hot_size_ = "0B";
  std::function<int()> action_;
};  // namespace

}  // namespace
}  // namespace db4::cli

int main(int argc, char** argv) {
  try {
    const int code = db4::cli::CommandLine().run(argc, argv);
    // A full disk behind standard output must not look like success.
    if (std::cout.flush()) return code;
    std::cerr << "db4: cannot write to standard output\n";
    return db4::cli::kFailed;
  } catch (const db4::Error& error) {
    std::cerr << "db4: " << error.what() << "\n";
    return db4::cli::exit_code(error);
  } catch (const std::exception& error) {
    std::cerr << "db4: " << error.what() << "\n";
    return db4::cli::kFailed;
  }
}
