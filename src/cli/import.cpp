#include "context.hpp"
#include "exit_code.hpp"
#include "parts.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <unistd.h>

#include <fstream>
#include <iostream>
#include <map>

namespace db4::cli {
namespace {

struct Request {
  std::string collection;
  std::string file = "-";
  std::string tier;
  std::string id_field = "id";
  std::string collection_field;
  std::size_t batch = 1000;
  bool skip_bad = false;
};

/// Where a document came from, for messages.
struct Place {
  std::size_t line = 0;
  std::uint64_t byte = 0;  ///< of the line's first byte in the input
};

struct Item {
  std::string collection;
  std::string id;
  std::string body;
  Place place;
};

/// One document a line, written in batches bounded in documents and bytes.
class Importer {
 public:
  Importer(TieredStore& store, const Request& request) : store_(store), request_(request) {
    if (!request.tier.empty()) options_.tier = tier_from_string(request.tier);
  }

  void add(std::string line, Place place) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) return;
    // A batch's bytes are bounded; what alone is too large is told so by the store.
    if (bytes_ + line.size() > kMaxBatchBytes) flush();
    try {
      const nlohmann::json parsed = nlohmann::json::parse(line);
      Item item;
      item.collection =
          request_.collection_field.empty() ? request_.collection : member(parsed, request_.collection_field);
      item.id = member(parsed, request_.id_field);
      item.place = place;
      bytes_ += line.size();
      item.body = std::move(line);
      items_.push_back(std::move(item));
    } catch (const nlohmann::json::parse_error& error) {
      bad(place, "it is no valid JSON at byte " + std::to_string(place.byte + error.byte - 1));
    } catch (const Error& error) {
      bad(place, error.problem() + "; " + error.advice());
    }
    if (items_.size() >= request_.batch) flush();
  }

  void flush() {
    std::vector<Item> items = std::exchange(items_, {});
    bytes_ = 0;
    // By collection and id: of two lines with one id the later holds, as it would in batches of their own.
    std::map<std::string, std::map<std::string, const Item*>> collections;
    for (const Item& item : items) collections[item.collection][item.id] = &item;
    for (const auto& [collection, documents] : collections) write(collection, documents);
    if (!items.empty() && ::isatty(STDERR_FILENO) != 0) {
      std::cerr << "\r" << describe_count(imported_) << " imported" << std::flush;
      progress_shown_ = true;
    }
  }

  void end_progress() {
    if (std::exchange(progress_shown_, false)) std::cerr << "\r\033[K";
  }

  [[nodiscard]] std::size_t imported() const noexcept { return imported_; }
  [[nodiscard]] std::size_t skipped() const noexcept { return skipped_; }

 private:
  static std::string member(const nlohmann::json& document, const std::string& name) {
    const auto found = document.is_object() ? document.find(name) : document.end();
    if (found == document.end()) {
      throw Error(ErrorCode::invalid_argument, "it has no member '" + name + "'",
                  "name one with --id-field or --collection-field");
    }
    if (found->is_string()) return found->get<std::string>();
    if (found->is_number_integer()) return found->dump();
    throw Error(ErrorCode::invalid_argument, "its member '" + name + "' is neither text nor a whole number",
                "name another with --id-field or --collection-field");
  }

  void write(const std::string& collection, const std::map<std::string, const Item*>& documents) {
    std::vector<BatchItem> batch;
    batch.reserve(documents.size());
    for (const auto& [id, item] : documents) batch.push_back({.id = id, .body = item->body});
    try {
      store_.write_batch(collection, batch, options_);
      imported_ += batch.size();
    } catch (const Error& error) {
      if (!is_of_one_line(error)) throw;
      write_one_by_one(documents);
    }
  }

  /// A batch is all or nothing: to find the line at fault, and to save the others, each goes alone.
  void write_one_by_one(const std::map<std::string, const Item*>& documents) {
    std::map<std::size_t, const Item*> in_order;
    for (const auto& [id, item] : documents) in_order[item->place.line] = item;
    for (const auto& [line, item] : in_order) {
      try {
        store_.write_json_text(item->collection, item->id, item->body, options_);
        ++imported_;
      } catch (const Error& error) {
        if (!is_of_one_line(error)) throw;
        bad(item->place, error.problem() + "; " + error.advice());
      }
    }
  }

  static bool is_of_one_line(const Error& error) {
    return error.code() == ErrorCode::invalid_argument || error.code() == ErrorCode::too_large;
  }

  void bad(const Place& place, const std::string& problem) {
    const std::string message =
        "line " + std::to_string(place.line) + " (from byte " + std::to_string(place.byte) + "): " + problem;
    if (!request_.skip_bad) {
      flush();  // what came before it stays imported
      throw Error(ErrorCode::invalid_argument,
                  message + " (" + describe_count(imported_) + " documents were imported)",
                  "mend it and import again, or go past such lines with --skip-bad");
    }
    ++skipped_;
    end_progress();
    std::cerr << "db4: skipped " << message << "\n";
  }

  TieredStore& store_;
  const Request& request_;
  WriteOptions options_;
  std::vector<Item> items_;
  std::uint64_t bytes_ = 0;
  std::size_t imported_ = 0;
  std::size_t skipped_ = 0;
  bool progress_shown_ = false;
};

int run_import(Context& context, const Request& request) {
  std::ifstream file;
  if (request.file != "-") {
    file.open(request.file, std::ios::binary);
    if (!file) {
      throw Error(ErrorCode::invalid_argument, "cannot read " + request.file,
                  "check its name and permissions");
    }
  }
  std::istream& in = request.file == "-" ? std::cin : file;
  const std::unique_ptr<TieredStore> store = context.open_store();
  Importer importer(*store, request);
  std::string line;
  std::uint64_t byte = 0;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    const std::uint64_t length = line.size() + 1;
    importer.add(std::move(line), {.line = number, .byte = byte});
    byte += length;
  }
  importer.flush();
  importer.end_progress();
  store->close();
  if (in.bad()) {
    throw Error(
        ErrorCode::unavailable,
        "reading " + request.file + " failed after " + describe_count(importer.imported()) + " documents",
        "check that it is a file that can be read, and import it again");
  }
  if (context.json()) {
    std::cout << nlohmann::json{{"imported", importer.imported()}, {"skipped", importer.skipped()}}.dump()
              << "\n";
    return kOk;
  }
  std::cout << "imported " << describe_count(importer.imported()) << " documents";
  if (importer.skipped() > 0) std::cout << ", skipped " << describe_count(importer.skipped()) << " lines";
  std::cout << "\n";
  return kOk;
}

}  // namespace

void add_data_commands(CommandTree& tree) {
  const auto options = std::make_shared<Request>();
  CLI::App& command = tree.add({.name = "import",
                                .group = "Import and export",
                                .summary = "Write documents from JSON lines",
                                .examples = "db4 import orders orders.jsonl --id-field id\n"
                                            "db4 import --collection-field kind everything.jsonl"},
                               [options](Context& context) {
                                 if (options->collection.empty() && options->collection_field.empty()) {
                                   throw Error(ErrorCode::invalid_argument, "no collection is named",
                                               "name COLLECTION or --collection-field");
                                 }
                                 // With --collection-field the file is the only thing left to name.
                                 if (!options->collection_field.empty() && !options->collection.empty())
                                   options->file = std::exchange(options->collection, {});
                                 return run_import(context, *options);
                               });
  command.add_option("collection", options->collection, "Collection")->type_name("");
  CLI::Option* file = command.add_option("file", options->file, "File; -: standard input")->type_name("");
  command
      .add_option("--collection-field", options->collection_field,
                  "The member that holds the collection; then name the file alone")
      ->type_name("NAME")
      ->excludes(file);
  command.add_option("--id-field", options->id_field, "The member that holds the id")->type_name("NAME");
  command.add_option("--batch", options->batch, "Documents in one commit")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, kMaxBatchItems));
  command.add_flag("--skip-bad", options->skip_bad, "Go past lines that cannot be imported");
  add_tier_option(command, "--tier", options->tier, "hot, warm or cold");
}

}  // namespace db4::cli
