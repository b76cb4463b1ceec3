#include "import_journal.hpp"

#include "text.hpp"

#include <db4/error.hpp>

#include <sys/stat.h>

#include <fstream>

namespace db4::cli {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;

/// Tells one run of the machine from the next; empty where the system does not say.
std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

json to_json(const ImportState& state) {
  return {{"input", state.input},           {"byte", state.position.byte},  {"line", state.position.line},
          {"file", state.position.file},    {"records", state.records},     {"imported", state.imported},
          {"skipped", state.skipped},       {"conflicts", state.conflicts}, {"bytes", state.bytes},
          {"started_ms", state.started_ms}, {"seed", state.seed},           {"batch", state.batch}};
}

ImportState from_json(const json& in) {
  return {.input = in.at("input"),
          .position = {.byte = in.at("byte"), .line = in.at("line"), .file = in.at("file")},
          .records = in.at("records"),
          .imported = in.at("imported"),
          .skipped = in.at("skipped"),
          .conflicts = in.at("conflicts"),
          .bytes = in.at("bytes"),
          .started_ms = in.at("started_ms"),
          .seed = in.at("seed"),
          .batch = in.at("batch")};
}

/// Files that come, go, grow or are written again show in one of these.
json fingerprint_of_folder(const std::string& folder) {
  namespace fs = std::filesystem;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  auto newest = fs::file_time_type::min();
  std::error_code problem;
  for (auto at = fs::recursive_directory_iterator(folder, problem);
       !problem && at != fs::recursive_directory_iterator(); at.increment(problem)) {
    std::error_code gone;
    if (at->is_symlink(gone) || !at->is_regular_file(gone)) continue;
    ++files;
    bytes += at->file_size(gone);
    newest = std::max(newest, at->last_write_time(gone));
  }
  return {{"files", files}, {"bytes", bytes}, {"newest", newest.time_since_epoch().count()}};
}

/// A name of a file may be no UTF-8.
std::string text_of(const json& value) { return value.dump(-1, ' ', true, json::error_handler_t::replace); }

}  // namespace

ImportJournal::ImportJournal(const std::filesystem::path& folder, const json& what, json inputs, bool synced)
    : what_(text_of(what)), inputs_(std::move(inputs)), boot_(boot_id()), synced_(synced) {
  if (!folder.empty()) file_ = folder / "imports" / (hash_digits(what_) + ".json");
}

std::optional<ImportState> ImportJournal::load(std::string& why_not) const {
  if (file_.empty()) return std::nullopt;
  std::ifstream in(file_);
  if (!in) return std::nullopt;
  try {
    const json kept = json::parse(in);
    if (kept.at("format") != kFormat || kept.at("what") != what_) return std::nullopt;
    ImportState state = from_json(kept.at("state"));
    if (kept.at("inputs") != inputs_) {
      why_not = "what it reads has changed";
      // Other records than those: under their ids they would be taken for them.
      return ImportState{.records = state.records, .batch = state.batch};
    }
    if (!synced_ && kept.at("boot") != boot_) {
      why_not =
          "the machine was started anew, and hot.durability does not promise that documents outlive that";
      state.input = 0;
      state.position = {};
      state.imported = state.skipped = state.conflicts = state.bytes = 0;
    }
    return state;
  } catch (const json::exception&) {
    why_not = "its journal " + file_.string() + " is damaged";
    return std::nullopt;
  }
}

void ImportJournal::save(const ImportState& state) const {
  if (file_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  const std::filesystem::path temporary = file_.string() + ".part";
  std::ofstream out(temporary, std::ios::trunc);
  out << text_of({{"format", kFormat},
                  {"what", what_},
                  {"inputs", inputs_},
                  {"boot", boot_},
                  {"state", to_json(state)}})
      << "\n";
  out.close();
  std::error_code problem;
  if (out) std::filesystem::rename(temporary, file_, problem);
  if (out && !problem) return;
  throw Error(ErrorCode::permission_denied, "cannot write the import's journal " + file_.string(),
              "check space and permissions of the store's folder");
}

void ImportJournal::remove() const {
  if (file_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
  std::filesystem::remove(file_.parent_path(), ignored);  // where it was the last one
}

json fingerprint(const std::string& file) {
  struct stat info {};
  if (file == "-" || ::stat(file.c_str(), &info) != 0) return nullptr;
  if (S_ISDIR(info.st_mode)) return fingerprint_of_folder(file);
  if (!S_ISREG(info.st_mode)) return nullptr;
  return {{"size", info.st_size}, {"changed_s", info.st_mtim.tv_sec}, {"changed_ns", info.st_mtim.tv_nsec}};
}

}  // namespace db4::cli
