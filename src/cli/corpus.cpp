#include "corpus.hpp"

#include <db4/error.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <unordered_set>

namespace db4::cli {
namespace {

/// Reads a command's output line by line; 0 where the command succeeded.
template <typename Line>
int for_each_line_of(const char* command, const Line& take) {
  std::FILE* pipe = ::popen(command, "r");
  if (pipe == nullptr) return -1;
  std::array<char, 65'536> buffer{};
  std::string line;
  while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
    line += buffer.data();
    if (line.back() != '\n') continue;
    line.pop_back();
    take(line);
    line.clear();
  }
  return ::pclose(pipe);
}

/// Gathers the fields of one package ("Name: value", continued by lines that start with a space; RFC 822's
/// manner).
class Stanza {
 public:
  void add(const std::string& line) {
    if (line.front() == ' ' && !last_.empty()) {
      fields_[last_] = fields_[last_].get<std::string>() + "\n" + line.substr(1);
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) return;
    last_ = line.substr(0, colon);
    // A field may begin on the line after its name.
    const std::size_t value = line.find_first_not_of(' ', colon + 1);
    fields_[last_] = value == std::string::npos ? "" : line.substr(value);
  }
  [[nodiscard]] bool complete() const { return fields_.contains("Package"); }
  [[nodiscard]] std::string field(const char* name, const char* otherwise) const {
    return fields_.value(name, std::string(otherwise));
  }
  [[nodiscard]] std::string json() const {
    // What is not UTF-8 in a description becomes U+FFFD: JSON has no other text.
    return fields_.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

 private:
  nlohmann::json fields_ = nlohmann::json::object();
  std::string last_;
};

}  // namespace

std::vector<CorpusDocument> read_package_index() {
  std::vector<CorpusDocument> documents;
  std::unordered_set<std::string> seen;
  Stanza stanza;
  const auto finish = [&] {
    if (stanza.complete()) {
      std::string collection = stanza.field("Section", "none");
      std::string id = stanza.field("Package", "");
      bool is_new = seen.insert(collection + "\n" + id).second;
      if (!is_new) {
        id += "=" + stanza.field("Version", "") + ":" + stanza.field("Architecture", "");
        is_new = seen.insert(collection + "\n" + id).second;
      }
      if (is_new) documents.push_back({std::move(collection), std::move(id), stanza.json()});
    }
    stanza = {};
  };
  const int status = for_each_line_of("apt-cache dumpavail 2>/dev/null", [&](const std::string& line) {
    if (line.empty()) {
      finish();
    } else {
      stanza.add(line);
    }
  });
  finish();
  if (status != 0 || documents.empty()) {
    throw Error(ErrorCode::unavailable, "apt-cache gave no list of packages",
                "run `apt-get update`, or name a file of JSON lines with --input");
  }
  return documents;
}

std::vector<CorpusDocument> read_json_lines(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in)
    throw Error(ErrorCode::invalid_argument, "cannot read " + file.string(),
                "check its name and permissions");
  std::vector<CorpusDocument> documents;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    const nlohmann::json parsed = nlohmann::json::parse(line, nullptr, false);
    if (parsed.is_discarded()) {
      throw Error(ErrorCode::invalid_argument, file.string() + ":" + std::to_string(number) + " is no JSON",
                  "mend it");
    }
    std::string id = std::to_string(number);
    if (parsed.is_object() && parsed.contains("id")) {
      id = parsed["id"].is_string() ? parsed["id"].get<std::string>() : parsed["id"].dump();
    }
    documents.push_back({file.stem().string(), std::move(id), line});
  }
  if (documents.empty())
    throw Error(ErrorCode::invalid_argument, file.string() + " has no documents", "name another");
  return documents;
}

}  // namespace db4::cli
