// import: documents out of files and standard input.
#include "context.hpp"
#include "exit_code.hpp"
#include "import_inputs.hpp"
#include "importer.hpp"
#include "parts.hpp"
#include "progress.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <utility>

namespace db4::cli {
namespace {

using nlohmann::json;

struct ImportOptions {
  std::string collection = {};
  std::vector<std::string> files = {};
  std::string format = {};
  std::string on_conflict = "overwrite";
  std::string csv_separator = ",";
  bool csv_numbers = false;
  bool resume = false;
  bool restart = false;
  ImportRules rules = {};
};

/// One run of the command.
class Import {
 public:
  Import(Context& context, ImportOptions options);
  int run();

 private:
  /// Where a run that was broken off left it, or the start.
  ImportState begin();
  void read_all(Importer& importer);
  void read(Importer& importer, std::size_t input);
  void advance(Importer& importer, std::uint64_t position);
  int finish(const ImportState& state, bool interrupted);
  /// Keeps what an import that fails has done.
  void break_off(const ImportState& state, const Error& error);
  [[nodiscard]] std::string how_to_go_on() const;
  void say(const std::string& message);
  [[nodiscard]] json description() const;
  [[nodiscard]] ProgressFigures figures(const ImportState& state, std::uint64_t position) const;

  Context& context_;
  ImportOptions options_;
  Session& session_;
  std::optional<ImportJournal> journal_;
  ImportState start_;
  std::uint64_t maybe_there_ = 0;
  std::uint64_t saved_records_ = 0;
  bool keeps_journal_ = false;
  bool begun_ = false;
  std::optional<std::uint64_t> total_bytes_;
  std::uint64_t bytes_before_ = 0;  ///< of the inputs that are read
  std::optional<Progress> progress_;
};

bool looks_like_a_file(const std::string& word) {
  constexpr std::array<std::string_view, 4> kEndings{".jsonl", ".ndjson", ".json", ".csv"};
  return std::ranges::any_of(kEndings, [&](std::string_view ending) {
    return word.size() > ending.size() &&
           word.compare(word.size() - ending.size(), ending.size(), ending) == 0;
  });
}

/// The first argument is the collection, unless the documents name theirs.
ImportOptions settle_arguments(ImportOptions options) {
  const bool self_named = !options.rules.collection_field.empty() || options.format == "db4";
  // An export names its collections itself, unless it is the only thing named that is one.
  const bool exports = is_export(options.collection) && std::ranges::all_of(options.files, is_export);
  if (!options.collection.empty() && (self_named || exports)) {
    options.files.insert(options.files.begin(), std::exchange(options.collection, {}));
  }
  std::error_code problem;
  if (options.files.empty() &&
      (std::filesystem::exists(options.collection, problem) || looks_like_a_file(options.collection))) {
    throw Error(
        ErrorCode::invalid_argument, "no collection is named for " + escape(options.collection),
        "name COLLECTION in front of it; or - behind it, where it is one and standard input is to be read");
  }
  if (options.files.empty()) options.files.emplace_back("-");
  if (std::ranges::count(options.files, "-") > 1) {
    throw Error(ErrorCode::invalid_argument, "standard input is named twice", "name it once");
  }
  if (options.csv_separator.size() != 1 || options.csv_separator == "\"" || options.csv_separator == "\n") {
    throw Error(ErrorCode::invalid_argument, "--csv-separator is no single character",
                "use one such as ; or a tab");
  }
  options.rules.collection = options.collection;
  options.rules.on_conflict = options.on_conflict == "skip"   ? OnConflict::skip
                              : options.on_conflict == "fail" ? OnConflict::fail
                                                              : OnConflict::overwrite;
  return options;
}

Import::Import(Context& context, ImportOptions options)
    : context_(context),
      options_(settle_arguments(std::move(options))),
      session_(context.session(SessionKind::long_one)) {}

json Import::description() const {
  json inputs = json::array();
  for (const std::string& file : options_.files) {
    inputs.push_back(file == "-" ? file : std::filesystem::absolute(file).lexically_normal().string());
  }
  return {{"inputs", inputs},
          {"format", options_.format},
          {"collection", options_.rules.collection},
          {"collection_field", options_.rules.collection_field},
          {"id_field", options_.rules.id_field},
          {"generate_ids", options_.rules.generate_ids},
          {"csv_numbers", options_.csv_numbers},
          {"csv_separator", options_.csv_separator}};
}

ImportState Import::begin() {
  const json store = json::parse(session_.ask({{"op", "stats"}}).json).at("store");
  const std::string durability = store.at("durability");
  keeps_journal_ = store.at("hot_type") != "memory" && durability != "none";
  json what = description();
  what["store"] = store.at("id");
  json inputs = json::array();
  for (const std::string& file : options_.files) inputs.push_back(fingerprint(file));
  journal_.emplace(keeps_journal_ ? context_.folder() : std::filesystem::path(), what, std::move(inputs),
                   durability == "disk");

  ImportState fresh{.started_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                      system_clock()->now().time_since_epoch())
                                      .count(),
                    .seed = system_random()->next_u64(),
                    .batch = options_.rules.batch};
  const bool from_pipe = std::ranges::any_of(options_.files, is_stream);
  if (options_.restart || (from_pipe && !options_.resume)) return fresh;
  std::string why_not;
  std::optional<ImportState> kept = journal_->load(why_not);
  if (!why_not.empty() && (!kept || kept->records > 0))
    say("an import of this was broken off before; it begins anew: " + why_not);
  if (!kept) return fresh;
  maybe_there_ = kept->records + kept->batch;
  if (!why_not.empty()) kept->records = 0;
  if (kept->seed == 0) {
    kept->seed = fresh.seed;
    kept->started_ms = fresh.started_ms;
  }
  if (kept->records > 0) {
    say("an import of this was broken off; it goes on behind record " + describe_count(kept->records));
  }
  kept->batch = options_.rules.batch;
  return *kept;
}

void Import::say(const std::string& message) {
  if (progress_) progress_->clear();
  std::cerr << "db4: " << message << "\n";
}

int Import::run() {
  start_ = begin();
  saved_records_ = start_.records;
  total_bytes_ = 0;
  for (std::size_t i = 0; i < options_.files.size(); ++i) {
    const json print = fingerprint(options_.files[i]);
    const bool sized = print.is_object() && print.contains("size");
    total_bytes_ = sized && total_bytes_
                       ? std::optional(*total_bytes_ + print.at("size").get<std::uint64_t>())
                       : std::nullopt;
    if (i < start_.input && sized) bytes_before_ += print.at("size").get<std::uint64_t>();
  }
  progress_.emplace(context_, "import", figures(start_, start_.position.byte));
  Importer importer(session_, options_.rules, start_, maybe_there_,
                    [this](const std::string& message) { say("skipped " + message); });
  bool interrupted = false;
  try {
    read_all(importer);
    importer.flush();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::cancelled) {
      break_off(importer.state(), error);
      throw;
    }
    interrupted = true;
    importer.flush();
  }
  if (interrupted) {
    journal_->save(importer.state());
  } else {
    journal_->remove();
  }
  context_.session().close();
  return finish(importer.state(), interrupted);
}

void Import::break_off(const ImportState& state, const Error& error) {
  progress_.reset();
  if (!begun_) return;
  try {
    journal_->save(state);
  } catch (const Error&) {
    return;  // what is told is why the import ended; the journal before this one stands
  }
  if (keeps_journal_ && error.retryable()) {
    say(describe_count(state.imported, "document") + (state.imported == 1 ? " is" : " are") + " imported; " +
        how_to_go_on());
  }
}

std::string Import::how_to_go_on() const {
  if (!keeps_journal_) return "this store does not outlive its process: import it again";
  return std::ranges::any_of(options_.files, is_stream)
             ? "give it the same input with --resume, and it goes on from here"
             : "the same command goes on from here";
}

void Import::read_all(Importer& importer) {
  for (std::size_t input = start_.input; input < options_.files.size(); ++input) read(importer, input);
}

void Import::read(Importer& importer, std::size_t input) {
  const std::string& name = options_.files[input];
  const CsvOptions csv{.separator = options_.csv_separator.front(), .numbers = options_.csv_numbers};
  const OpenedInput opened = open_input(name, options_.format, csv, context_.stop());
  const ImportRules& rules = options_.rules;
  if (opened.format != InputFormat::db4 && rules.collection.empty() && rules.collection_field.empty()) {
    throw Error(ErrorCode::invalid_argument, "no collection is named",
                "name COLLECTION or --collection-field");
  }
  if (opened.format == InputFormat::files && !rules.collection_field.empty()) {
    throw Error(ErrorCode::invalid_argument, "files have no member that names a collection",
                "name COLLECTION");
  }
  // Before the first commit: the ids that are generated must be the same if this is broken off.
  if (!std::exchange(begun_, true)) journal_->save(start_);
  if (options_.files.size() == 1) total_bytes_ = opened.total_bytes;
  importer.begin_input(input, options_.files.size() > 1 ? escape(name) + ": " : "", opened.source->unit());
  if (input == start_.input && start_.records > 0) opened.source->go_to(start_.position);
  Record record;
  while (opened.source->next(record)) {
    SourcePosition behind = opened.source->position();
    const std::uint64_t position = behind.byte;
    importer.add(record, std::move(behind));
    advance(importer, position);
  }
  bytes_before_ += opened.source->position().byte;
}

void Import::advance(Importer& importer, std::uint64_t position) {
  const ImportState& state = importer.state();
  if (state.records != saved_records_) {
    journal_->save(state);
    saved_records_ = state.records;
  }
  progress_->update(figures(state, position));
  if (context_.interrupted()) throw Error(ErrorCode::cancelled, "interrupted", "run it again");
}

ProgressFigures Import::figures(const ImportState& state, std::uint64_t position) const {
  return {.documents = state.imported,
          .bytes = bytes_before_ + position,
          .total_documents = {},
          .total_bytes = total_bytes_,
          .more = {}};
}

int Import::finish(const ImportState& state, bool interrupted) {
  progress_.reset();
  if (context_.json()) {
    std::cout << json{{"imported", state.imported},
                      {"skipped", state.skipped},
                      {"conflicts", state.conflicts},
                      {"bytes", state.bytes},
                      {"resumed_at", start_.records > 0 ? json(start_.records) : json()},
                      {"interrupted", interrupted}}
                     .dump()
              << "\n";
  } else {
    std::cout << "imported " << describe_count(state.imported, "document");
    if (state.skipped > 0) std::cout << ", skipped " << describe_count(state.skipped, "bad record");
    if (state.conflicts > 0)
      std::cout << ", left " << describe_count(state.conflicts)
                << (state.conflicts == 1 ? " that was there" : " that were there");
    std::cout << "\n";
  }
  if (!interrupted) return kOk;
  say("interrupted; " + how_to_go_on());
  return kInterrupted;
}

void add_reading_options(CLI::App& command, ImportOptions& options) {
  command.add_option("--format", options.format, "jsonl, json (an array), csv, files or db4 (an export)")
      ->type_name("FORMAT")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kInputFormats), std::end(kInputFormats))));
  command.add_flag("--csv-numbers", options.csv_numbers, "Numbers in CSV become numbers, where exact");
  command.add_option("--csv-separator", options.csv_separator, "Between the fields of CSV (,)")
      ->type_name("CHARACTER");
}

void add_key_options(CLI::App& command, ImportRules& rules) {
  CLI::Option* id = command.add_option("--id-field", rules.id_field, "The member that holds the id (id)")
                        ->type_name("NAME");
  command.add_flag("--generate-ids", rules.generate_ids, "Make an id for each document, in their order")
      ->excludes(id);
  command
      .add_option("--collection-field", rules.collection_field,
                  "The member that holds the collection; then name files alone")
      ->type_name("NAME");
}

void add_writing_options(CLI::App& command, ImportOptions& options) {
  command.add_option("--on-conflict", options.on_conflict, "overwrite, skip or fail where an id is taken")
      ->type_name("RULE")
      ->check(CLI::IsMember({"overwrite", "skip", "fail"}));
  command.add_option("--batch", options.rules.batch, "Documents in one commit (1000)")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, kMaxBatchItems));
  command.add_flag("--skip-bad", options.rules.skip_bad, "Go past records that cannot be imported");
  add_tier_option(command, "--tier", options.rules.tier, "hot, warm or cold");
  CLI::Option* resume = command.add_flag("--resume", options.resume,
                                         "Go on also with standard input or a pipe: skip what was imported");
  command.add_flag("--restart", options.restart, "Begin anew after an import was broken off")
      ->excludes(resume);
}

}  // namespace

void add_import(CommandTree& tree) {
  const auto options = std::make_shared<ImportOptions>();
  CLI::App& command = tree.add(
      {.name = "import",
       .group = "Import and export",
       .summary = "Write documents from JSON lines, a JSON array, CSV, a folder of files or an export",
       .details = "The form is told by the name and the first byte. An import that is broken off goes "
                  "on where it stood when the same command is run again.",
       .examples = "db4 import orders orders.jsonl --id-field id\n"
                   "db4 import orders orders.csv --on-conflict skip\n"
                   "db4 import photos pictures/  # each file a document, its path the id\n"
                   "db4 import --collection-field kind everything.jsonl\n"
                   "db4 export --all | db4 import --store ../other"},
      [options](Context& context) { return Import(context, *options).run(); });
  command.add_option("collection", options->collection, "Collection; an export names its own")->type_name("");
  command.add_option("file", options->files, "Files or folders; -: standard input")->type_name("");
  add_reading_options(command, *options);
  add_key_options(command, options->rules);
  add_writing_options(command, *options);
}

}  // namespace db4::cli
