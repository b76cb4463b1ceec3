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

using namespace db4::literals;
using nlohmann::json;

/// Read together where the store is opened here: so many documents, and bodies of so many bytes, or one.
constexpr std::size_t kBatchDocuments = 256;
constexpr std::uint64_t kBatchBytes = 16_MiB;

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
  /// Of those that were listed, in their order.
  void write_page(const std::string& collection, const json& documents, ExportWriter& writer);
  void write_batch(const std::string& collection, const std::vector<std::string>& ids, ExportWriter& writer);
  void write_large(const std::string& collection, const json& listed, ExportWriter& writer);
  /// Throws too_large where one over 64 MiB cannot be written.
  void refuse_where_it_must(const std::string& collection, const std::string& id,
                            const ExportWriter& writer) const;
  void write_asked(const std::string& collection, const std::string& id, ExportWriter& writer);
  void count(std::uint64_t bytes);
  void check_interrupted() const;
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
    write_page(collection, page.at("documents"), writer);
    request["cursor"] = page.at("cursor");
  } while (request["cursor"] != "");
}

void Export::check_interrupted() const {
  if (!context_.interrupted()) return;
  throw Error(ErrorCode::cancelled, "interrupted; the export is not complete", "run it again");
}

void Export::count(std::uint64_t bytes) {
  ++done_.documents;
  done_.bytes += bytes;
  progress_.update(done_);
}

void Export::write_page(const std::string& collection, const json& documents, ExportWriter& writer) {
  std::vector<std::string> batch;
  std::uint64_t batch_bytes = 0;
  const auto write_gathered = [&] {
    write_batch(collection, batch, writer);
    batch.clear();
    batch_bytes = 0;
  };
  for (const json& listed : documents) {
    const std::uint64_t size = listed.at("size");
    if (size > kMaxBodyBytes) {
      refuse_where_it_must(collection, listed.at("id"), writer);
      write_gathered();
      write_large(collection, listed, writer);
    } else if (session_.store() == nullptr) {
      write_asked(collection, listed.at("id"), writer);
    } else {
      if (batch.size() == kBatchDocuments || batch_bytes + size > kBatchBytes) write_gathered();
      batch.push_back(listed.at("id"));
      batch_bytes += size;
    }
  }
  write_gathered();
}

void Export::write_batch(const std::string& collection, const std::vector<std::string>& ids,
                         ExportWriter& writer) {
  if (ids.empty()) return;
  check_interrupted();
  for (const auto& document : session_.store()->read_batch(collection, ids, {.count_access = false})) {
    if (!document) continue;  // removed since it was listed
    writer.write(
        {.collection = collection, .id = document->id(), .content_type = document->meta().content_type},
        document->text());
    count(document->text().size());
  }
}

void Export::refuse_where_it_must(const std::string& collection, const std::string& id,
                                  const ExportWriter& writer) const {
  const std::string problem = name_of({collection, id}) + " is over 64 MiB";
  if (!writer.takes_files()) {
    throw Error(ErrorCode::too_large, problem + ", more than a line holds",
                "use --folder, or `db4 download` for that one");
  }
  if (session_.store() == nullptr) {
    throw Error(ErrorCode::too_large, problem + ", and another process holds the store",
                "export it when no process does, or use `db4 download` for that one");
  }
}

/// One that is not to be held in memory.
void Export::write_large(const std::string& collection, const json& listed, ExportWriter& writer) {
  check_interrupted();
  const std::string id = listed.at("id");
  const std::string content_type = listed.at("content_type");
  writer.write_file({.collection = collection, .id = id, .content_type = content_type},
                    [&](const std::filesystem::path& file) -> std::optional<std::string> {
                      const auto result = session_.store()->cold_storage().read_large(
                          collection, id, file, {}, {.stop = context_.stop()});
                      if (!result) return std::nullopt;
                      count(result->bytes);
                      return result->content_type;
                    });
}

/// Through the socket of the process that holds the store.
void Export::write_asked(const std::string& collection, const std::string& id, ExportWriter& writer) {
  check_interrupted();
  const OperationReply reply =
      session_.ask({{"op", "get"}, {"collection", collection}, {"id", id}, {"peek", true}});
  const json meta = json::parse(reply.json);
  if (!meta.at("found").get<bool>()) return;  // removed since it was listed
  const std::string content_type = meta.at("content_type");
  writer.write({.collection = collection, .id = id, .content_type = content_type}, reply.body);
  count(reply.body.size());
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
