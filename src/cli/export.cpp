// export: documents to a file, a folder or standard output, so that import gives them back.
#include "context.hpp"
#include "exit_code.hpp"
#include "export_writers.hpp"
#include "parts.hpp"
#include "progress.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <algorithm>
#include <iostream>
#include <limits>

namespace db4::cli {
namespace {

using nlohmann::json;

struct ExportOptions {
  std::vector<std::string> collections = {};
  bool all = false;
  std::string output = "-";
  std::string folder = {};
  std::string prefix = {};
  std::string tier = {};
  std::size_t limit = std::numeric_limits<std::size_t>::max();
  bool plain = false;
  std::string id_field = "id";
};

/// One run of the command.
class Export {
 public:
  Export(Context& context, ExportOptions options)
      : context_(context),
        options_(std::move(options)),
        session_(context.session(SessionKind::long_one)),
        progress_(context, "export") {}
  int run();

 private:
  /// False where one that is named does not exist; that is said.
  bool choose_collections();
  [[nodiscard]] std::unique_ptr<ExportWriter> make_writer() const;
  void write_collection(const std::string& collection, ExportWriter& writer);
  void write_document(const std::string& collection, const std::string& id, ExportWriter& writer);
  void report() const;

  Context& context_;
  ExportOptions options_;
  Session& session_;
  Progress progress_;
  ProgressFigures done_;
};

int Export::run() {
  if (!choose_collections()) {
    // Nothing went to standard output: the summary may.
    if (context_.json()) report();
    return kNotFound;
  }
  const std::unique_ptr<ExportWriter> writer = make_writer();
  for (const std::string& collection : options_.collections) write_collection(collection, *writer);
  session_.close();
  writer->finish();
  progress_.clear();
  report();
  return kOk;
}

bool Export::choose_collections() {
  const json reply = json::parse(session_.ask({{"op", "ls"}}).json);
  const json& there = reply.at("collections");
  std::uint64_t documents = 0;
  std::uint64_t bytes = 0;
  const auto chosen = [&](const json& entry) {
    const std::string name = entry.at("name");
    return options_.all || std::ranges::find(options_.collections, name) != options_.collections.end();
  };
  std::vector<std::string> found;
  for (const json& entry : there) {
    if (!chosen(entry)) continue;
    found.push_back(entry.at("name"));
    documents += entry.at("documents").get<std::uint64_t>();
    bytes += entry.at("bytes").get<std::uint64_t>();
  }
  for (const std::string& name : options_.collections) {
    if (std::ranges::find(found, name) != found.end()) continue;
    std::vector<std::string> names;
    for (const json& entry : there) names.push_back(entry.at("name"));
    report_no_collection(context_, name, names);
    return false;
  }
  options_.collections = std::move(found);
  if (options_.prefix.empty() && options_.tier.empty()) {
    done_.total_documents = std::min<std::uint64_t>(documents, options_.limit);
    if (documents <= options_.limit) done_.total_bytes = bytes;
  }
  return true;
}

std::unique_ptr<ExportWriter> Export::make_writer() const {
  if (!options_.folder.empty()) return make_folder_writer(options_.folder);
  if (options_.plain) return make_plain_writer(options_.output, options_.id_field);
  return make_envelope_writer(options_.output);
}

void Export::write_collection(const std::string& collection, ExportWriter& writer) {
  json request{{"op", "ls"}, {"collection", collection}, {"prefix", options_.prefix}, {"cursor", ""}};
  if (!options_.tier.empty()) request["tier"] = options_.tier;
  do {
    const std::size_t left = options_.limit - static_cast<std::size_t>(done_.documents);
    if (left == 0) return;
    request["limit"] = std::min(left, kMaxOperationListed);
    const json page = json::parse(session_.ask(request).json);
    for (const json& document : page.at("documents")) write_document(collection, document.at("id"), writer);
    request["cursor"] = page.at("cursor");
  } while (request["cursor"] != "");
}

void Export::write_document(const std::string& collection, const std::string& id, ExportWriter& writer) {
  if (context_.interrupted()) {
    throw Error(ErrorCode::cancelled, "interrupted; the export is not complete", "run it again");
  }
  const OperationReply reply =
      session_.ask({{"op", "get"}, {"collection", collection}, {"id", id}, {"peek", true}});
  const json meta = json::parse(reply.json);
  if (!meta.at("found").get<bool>()) return;  // removed since it was listed
  const std::string content_type = meta.at("content_type");
  writer.write({.collection = collection, .id = id, .content_type = content_type}, reply.body);
  ++done_.documents;
  done_.bytes += reply.body.size();
  progress_.update(done_);
}

void Export::report() const {
  // Standard output has the documents, and may be read by a program: then a summary is for who asked for it.
  const bool to_output = options_.folder.empty() && options_.output == "-";
  if (to_output && !context_.json() && !context_.terminal().error_is_terminal()) return;
  std::ostream& out = to_output ? std::cerr : std::cout;
  if (context_.json()) {
    out << json{{"exported", done_.documents},
                {"bytes", done_.bytes},
                {"collections", options_.collections.size()}}
               .dump()
        << "\n";
  } else {
    out << "exported " << describe_count(done_.documents, "document") << " of " << describe_bytes(done_.bytes)
        << "\n";
  }
}

}  // namespace

void add_export(CommandTree& tree) {
  const auto options = std::make_shared<ExportOptions>();
  CLI::App& command = tree.add(
      {.name = "export",
       .group = "Import and export",
       .summary = "Write documents to a file, a folder or standard output",
       .details = "Every line gives its document back byte for byte by `db4 import`: id, type and body. "
                  "It is no access: nothing counts as read, nothing is promoted.",
       .examples = "db4 export orders --output orders.jsonl\n"
                   "db4 export --all | db4 import --store ../other\n"
                   "db4 export orders --plain | jq .total  # the bodies themselves\n"
                   "db4 export photos --folder photos  # a file for each document"},
      [options](Context& context) {
        if (options->collections.empty() != options->all) {
          throw Error(ErrorCode::invalid_argument, "what to export is not clear",
                      "name collections, or use --all");
        }
        return Export(context, *options).run();
      });
  command.add_option("collection", options->collections, "Collections")->type_name("");
  command.add_flag("--all", options->all, "All collections");
  CLI::Option* output =
      command.add_option("-o,--output", options->output, "File to write to; -: standard output")
          ->type_name("FILE");
  CLI::Option* folder =
      command.add_option("--folder", options->folder, "A file for each document, in this new folder")
          ->type_name("FOLDER")
          ->excludes(output);
  command.add_flag("--plain", options->plain, "Lines that are the bodies themselves")->excludes(folder);
  command.add_option("--id-field", options->id_field, "With --plain: the member that holds the id (id)")
      ->type_name("NAME");
  command.add_option("--prefix", options->prefix, "Only ids that start so")->type_name("TEXT");
  add_tier_option(command, "--tier", options->tier, "Only documents in this tier");
  command.add_option("--limit", options->limit, "Documents at most")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
}

}  // namespace db4::cli
