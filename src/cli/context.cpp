#include "context.hpp"

#include "exit_code.hpp"
#include "suggest.hpp"
#include "text.hpp"

#include <charconv>
#include <iostream>

namespace db4::cli {

Context::Context(const GlobalOptions& options, Terminal terminal) : options_(options), terminal_(terminal) {}

std::filesystem::path Context::folder() const { return find_store(options_.store); }

Settings Context::settings_of(const std::filesystem::path& folder) const {
  Settings settings = Settings::read(folder);
  settings.apply_environment();
  for (const std::string& setting : options_.settings) settings.apply_flag(setting);
  return settings;
}

std::chrono::milliseconds Context::wait() const { return parse_duration(options_.wait); }

Session& Context::session(SessionKind kind) {
  if (session_) return *session_;
  session_ = std::make_unique<Session>(settings().config(), wait(), stop(), kind);
  if (session_->live()) refuse_settings();
  return *session_;
}

void Context::refuse_settings() const {
  if (options_.settings.empty()) return;
  throw Error(ErrorCode::invalid_argument,
              "another process holds the store, with settings of its own: --set has no effect there",
              "leave --set out, or end that process first");
}

nlohmann::json Context::ask(const nlohmann::json& request, std::string_view body) {
  return nlohmann::json::parse(session().ask(request, body).json);
}

std::unique_ptr<TieredStore> Context::open_store() const {
  return open_waiting(settings().config(), wait(), stop());
}

void Context::refuse_held(const TieredStoreConfig& config, const std::string& work) const {
  // A shared one is opened beside whoever has it.
  if (config.hot.type == HotType::postgres) return;
  if (const auto live = LiveClient::connect(config.hot.path)) {
    const auto stats = nlohmann::json::parse(live->run(R"({"op":"stats"})", {}, stop()).json);
    throw Error(ErrorCode::locked,
                "process " + stats.at("store").at("pid").dump() + " holds the store, and " + work +
                    " does not go through its socket",
                "let that process do it, by the call of the same name in C++, or end it first");
  }
}

std::unique_ptr<TieredStore> Context::open_alone(const std::string& work) const {
  const TieredStoreConfig config = settings().config();
  refuse_held(config, work);
  return open_waiting(config, wait(), stop());
}

std::shared_ptr<KeyStore> Context::open_ring(const TieredStoreConfig& config, const std::string& work) const {
  refuse_held(config, work);
  return open_ring_waiting(config, wait(), stop());
}

void Context::print(const nlohmann::json& json) { std::cout << json.dump(2) << "\n"; }

void add_key(CLI::App& command, Key& key) {
  command.add_option("collection", key.collection, "Collection")->required()->type_name("");
  command.add_option("id", key.id, "Id of the document")->required()->type_name("");
}

std::string name_of(const Key& key) { return escape(key.collection) + "/" + escape(key.id); }

int report_not_found(const Context& context, const Key& key, const nlohmann::json& reply) {
  if (context.json()) {
    Context::print(reply);
  } else {
    std::cerr << "db4: there is no document " << name_of(key) << "; `db4 ls "
              << escape(shell_quoted(key.collection)) << "` lists what there is\n";
  }
  return kNotFound;
}

int report_no_collection(const Context& context, const std::string& collection,
                         const std::vector<std::string>& names) {
  if (context.json()) return kNotFound;
  const std::string near = nearest(collection, names);
  std::cerr << "db4: there is no collection " << escape(collection) << "; "
            << (near.empty() ? "`db4 ls` lists them" : "did you mean " + escape(near) + "?") << "\n";
  return kNotFound;
}

namespace {

template <typename Parse>
CLI::Option* add_measure(CLI::App& command, const char* name, std::string& value, const char* what,
                         const Parse& parse) {
  const auto check = [parse](const std::string& word) {
    try {
      parse(word);
      return std::string();
    } catch (const Error& error) {
      return error.problem() + "; " + error.advice();
    }
  };
  return command.add_option(name, value, what)->check(CLI::Validator(check, ""));
}

}  // namespace

CLI::Option* add_duration_option(CLI::App& command, const char* name, std::string& duration,
                                 const char* what) {
  return add_measure(command, name, duration, what, parse_duration)->type_name("DURATION");
}

void add_version_option(CLI::App& command, std::optional<std::uint64_t>& version, const char* what) {
  // The parser would take -1 for the largest number.
  const auto check = [](const std::string& word) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    const bool whole = error == std::errc() && end == word.data() + word.size();
    return whole ? "" : "'" + escape(word) + "' is no version: write a whole number from 0 on";
  };
  command.add_option("--if-version", version, what)->type_name("VERSION")->check(CLI::Validator(check, ""));
}

CLI::Option* add_folder_option(CLI::App& command, const char* name, std::string& folder, const char* what) {
  const auto check = [](const std::string& word) {
    return word.empty() ? std::string("the folder's name is empty") : std::string();
  };
  return command.add_option(name, folder, what)->type_name("FOLDER")->check(CLI::Validator(check, ""));
}

CLI::Option* add_size_option(CLI::App& command, const char* name, std::string& size, const char* what) {
  return add_measure(command, name, size, what, parse_bytes)->type_name("SIZE");
}

CLI::Option* add_tier_option(CLI::App& command, const char* name, std::string& tier, const char* what) {
  const auto check = [](const std::string& word) {
    if (tier_from_string(word)) return std::string();
    const std::string near = nearest(word, {"hot", "warm", "cold"});
    return "'" + escape(word) + "' is no tier: " +
           (near.empty() ? "use hot, warm or cold"
                         : "did you mean " + near + "? There are hot, warm and cold");
  };
  return command.add_option(name, tier, what)->type_name("TIER")->check(CLI::Validator(check, ""));
}

std::string paint_tier(const Terminal& terminal, const std::string& tier) {
  if (tier == "hot") return terminal.paint(Emphasis::hot, tier);
  return terminal.paint(tier == "warm" ? Emphasis::warm : Emphasis::cold, tier);
}

nlohmann::json request_for(const char* op, const Key& key) {
  return {{"op", op}, {"collection", key.collection}, {"id", key.id}};
}

}  // namespace db4::cli
