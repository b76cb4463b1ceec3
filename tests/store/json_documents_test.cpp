// docs/json.md and docs/json-figures.md against what the operations take and give: every operation and
// argument is described, every member of a reply too, and every member that is described comes.
#include "live/protocol.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/operations.hpp>
#include <db4/storage.hpp>

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>

namespace db4 {
namespace {

using nlohmann::json;

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + separator.size();
  }
  return out;
}

std::set<std::string> names_in(const std::string& text) {
  static const std::regex quoted("`([^`]+)`");
  std::set<std::string> out;
  for (std::sregex_iterator at(text.begin(), text.end(), quoted), end; at != end; ++at) out.insert((*at)[1]);
  return out;
}

/// A heading with what stands under it: an operation's, or that of a shape that replies have.
struct Section {
  std::set<std::string> arguments;
  std::map<std::string, std::string> members;  ///< with the kind of their values
  std::vector<json> examples;                  ///< an operation's request first, then its reply
};

/// Both pages, by heading: "ls", "META". A heading "promote, demote" counts for each.
class Pages {
 public:
  Pages() {
    for (const char* page : {"json.md", "json-figures.md", "json-cold.md", "json-keys.md"})
      read(std::string(DB4_SOURCE_DIR "/docs/") + page);
  }
  [[nodiscard]] const Section& at(const std::string& name) const { return sections_.at(name); }
  [[nodiscard]] const std::map<std::string, Section>& all() const { return sections_; }
  [[nodiscard]] static bool is_shape(const std::string& name) {
    return std::isupper(static_cast<unsigned char>(name.front())) != 0;
  }

 private:
  void read(const std::string& path) {
    std::ifstream in(path);
    std::vector<std::string> names;
    bool arguments = false;
    std::string line;
    while (std::getline(in, line)) {
      if (line.starts_with("## ") || line.starts_with("### ")) {
        names = split(line.substr(line.find(' ') + 1), ", ");
        for (const std::string& name : names) sections_[name];
      } else if (line == "```json") {
        std::string text;
        while (std::getline(in, line) && line != "```") text += line + "\n";
        for (const std::string& name : names) sections_[name].examples.push_back(json::parse(text));
      } else if (line.starts_with("Arguments: ")) {
        for (const std::string& name : names) sections_[name].arguments = names_in(line);
      } else if (line.starts_with("| argument |") || line.starts_with("| member |")) {
        arguments = line.starts_with("| argument |");
      } else if (line.starts_with("| `")) {
        for (const std::string& name : names) add_row(sections_[name], arguments, line);
      } else if (line.starts_with("The members of ")) {
        static const std::regex shape("[A-Z_]{2,}");
        std::smatch found;
        ASSERT_TRUE(std::regex_search(line, found, shape)) << line;
        for (const std::string& name : names) sections_[name].members["..."] = found.str();
      }
    }
  }
  static void add_row(Section& section, bool arguments, const std::string& line) {
    const std::vector<std::string> cells = split(line, " | ");
    ASSERT_GE(cells.size(), 2U) << line;
    for (const std::string& name : names_in(cells[0])) {
      if (arguments) {
        section.arguments.insert(name);
      } else {
        section.members[name] = cells[1];
      }
    }
  }
  std::map<std::string, Section> sections_;
};

/// Compares values with what the pages say of them, and remembers which members came.
class Checker {
 public:
  explicit Checker(const Pages& pages) : pages_(pages) {}

  /// `whole`: every member must be there that need not be absent.
  void check(const json& value, const std::string& section, const std::string& where, bool whole = true) {
    std::map<std::string, std::string> members;
    collect(section, members);
    ASSERT_TRUE(value.is_object()) << where;
    for (const auto& [name, member] : value.items()) {
      const auto described = members.find(name);
      if (described == members.end()) {
        ADD_FAILURE() << where << "." << name << " is not described; the reply: " << value.dump();
        continue;
      }
      seen_.insert(section + "." + name);
      check_kind(member, described->second, where + "." + name, whole);
    }
    for (const auto& [name, kind] : members) {
      EXPECT_TRUE(!whole || kind.ends_with(", or absent") || value.contains(name))
          << where << "." << name << " is described and did not come";
    }
  }
  [[nodiscard]] bool came(const std::string& section, const std::string& name) const {
    return seen_.contains(section + "." + name);
  }

 private:
  void collect(const std::string& section, std::map<std::string, std::string>& members) const {
    for (const auto& [name, kind] : pages_.at(section).members) {
      if (name == "...") {
        collect(kind, members);
      } else {
        members[name] = kind;
      }
    }
  }
  void check_kind(const json& value, std::string kind, const std::string& where, bool whole) {
    kind = kind.substr(0, kind.find(", or absent"));
    if (kind.starts_with("list of ")) {
      ASSERT_TRUE(value.is_array()) << where;
      for (const json& entry : value) check_kind(entry, kind.substr(8), where + "[]", whole);
    } else if (kind == "text") {
      EXPECT_TRUE(value.is_string()) << where;
    } else if (kind == "number" || kind == "time") {
      EXPECT_TRUE(value.is_number_integer()) << where;
    } else if (kind == "dollars") {
      EXPECT_TRUE(value.is_number()) << where;
    } else if (kind == "true or false") {
      EXPECT_TRUE(value.is_boolean()) << where;
    } else {
      check(value, kind, where, whole);
    }
  }

  const Pages& pages_;
  std::set<std::string> seen_;
};

class JsonDocumentsTest : public ::testing::Test {
 protected:
  Error error_of(const json& request) {
    try {
      run_operation(store_, request.dump());
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << request << " gave no error";
    return {ErrorCode::internal, "", ""};
  }
  json ask(const json& request, std::string_view body = {}) {
    return json::parse(run_operation(store_, request.dump(), body).json);
  }

  std::string new_master_key() {
    const std::filesystem::path file = folder_.path() / "master-key";
    write_master_key_file(generate_master_key(), file);
    return file.string();
  }

  const Pages pages_;
  Checker checker_{pages_};
  testing::TemporaryFolder folder_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  TieredStore store_{{.hot = {.type = testing::kDiskEngine,
                              .path = folder_.path() / "hot",
                              .durability = Durability::process},
                      .cold = {.path = folder_.path() / "cold"},
                      .tiering = {.interval = 0ms},
                      .live = {.enabled = false},
                      .sealing = {.master_key = "file:" + new_master_key()}},
                     {.clock = clock_, .random = seeded_random(1)}};
};

TEST_F(JsonDocumentsTest, EveryOperationAndArgumentIsDescribedAndNoOther) {
  std::set<std::string> described;
  for (const auto& [name, section] : pages_.all()) {
    if (!Pages::is_shape(name)) described.insert(name);
  }
  const std::string advice = error_of({{"op", "?"}}).advice();  // "use one of ls, stat, ..."
  const std::vector<std::string> known = split(advice.substr(std::string("use one of ").size()), ", ");
  EXPECT_EQ(described, std::set<std::string>(known.begin(), known.end()));
  for (const std::string& name : known) {
    const std::string words = error_of({{"op", name}, {"?", 1}}).advice();
    std::set<std::string> arguments;
    if (const std::string prefix = "use of these: "; words.starts_with(prefix)) {
      for (const std::string& argument : split(words.substr(prefix.size()), " ")) arguments.insert(argument);
    }
    EXPECT_EQ(pages_.at(name).arguments, arguments) << name;
  }
}

TEST_F(JsonDocumentsTest, EveryReplyIsAsDescribedAndEveryDescribedMemberComes) {
  const auto play = [&](const std::string& section, const json& request, std::string_view body = {}) {
    const json reply = ask(request, body);
    if (std::getenv("DB4_PRINT_REPLIES") != nullptr)  // to renew the examples
      std::cout << section << "\n" << reply.dump(1) << "\n";
    checker_.check(reply, section, section);
  };
  const auto example = [&](const std::string& section, std::string_view body = {}) {
    ASSERT_EQ(pages_.at(section).examples.size(), 2U) << section;
    play(section, pages_.at(section).examples[0], body);
    checker_.check(pages_.at(section).examples[1], section, "the example of " + section, /*whole=*/false);
  };
  example("put", R"({"name":"Ada"})");
  std::string batch;
  append_batch_item(batch, "1", "", R"({"name":"hammer"})");
  append_batch_item(batch, "2", "text/plain", "a saw");
  example("put_batch", batch);
  example("get");
  play("get", {{"op", "get"}, {"collection", "users"}, {"id", "ada"}, {"peek", true}});
  example("stat");
  example("tier");
  example("ls");
  play("ls", {{"op", "ls"}, {"collection", "users"}, {"limit", 1}});
  example("demote");
  play("promote", {{"op", "promote"}, {"collection", "users"}, {"id", "ada"}, {"to", "hot"}});
  example("pin");
  example("pins");
  example("explain");
  ask({{"op", "put"}, {"collection", "orders"}, {"id", "2024-1"}}, "bytes");
  clock_->advance(48h);
  example("tier_run");
  ask({{"op", "tier_run"}});
  for (const char* id : {"ada", "ada"}) ask({{"op", "get"}, {"collection", "users"}, {"id", id}});
  ask({{"op", "get"}, {"collection", "orders"}, {"id", "2024-1"}});
  example("stats");
  example("top");
  example("samples");
  example("read");
  store_.cold_storage().write_large("videos", "v", ByteSource::owned(Bytes(9)), {.upload_id = "video-1"});
  example("uploads");
  example("upload_abort");
  example("upload_clean");
  example("gc");
  example("compact");
  example("keys");
  const std::string first_key = ask({{"op", "keys"}}).at("active_key_id");
  example("key_rotate");
  play("key_rotate", {{"op", "key_rotate"}, {"destroy_old", true}});
  example("reencrypt");
  example("reencrypt_document");
  for (const char* op : {"key_destroy", "key_cancel"}) {
    checker_.check(pages_.at(op).examples.at(1), op, std::string("the example of ") + op, /*whole=*/false);
    play(op, {{"op", op}, {"key_id", first_key}});
    play("keys", {{"op", "keys"}});
  }
  example("unpin");
  example("rm");
  const json error = json::parse(live::encode_error(error_of({{"op", "lss"}})));
  checker_.check(error.at("error"), "ERROR", "ERROR");
  checker_.check(pages_.at("ERROR").examples.at(0).at("error"), "ERROR", "the example of ERROR");

  for (const auto& [name, section] : pages_.all()) {
    for (const auto& [member, kind] : section.members) {
      EXPECT_TRUE(member == "..." || checker_.came(name, member)) << name << "." << member << " never came";
    }
  }
}

}  // namespace
}  // namespace db4
