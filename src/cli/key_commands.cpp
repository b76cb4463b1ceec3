// keys list, rotate, reencrypt, destroy, cancel: the data keys of an encrypted store, also through the socket
// of the process that holds it.
#include "context.hpp"
#include "exit_code.hpp"
#include "master_key_commands.hpp"
#include "parts.hpp"
#include "progress.hpp"
#include "suggest.hpp"
#include "text.hpp"

#include <algorithm>
#include <iostream>
#include <limits>

namespace db4::cli {
namespace {

using nlohmann::json;

constexpr const char* kGroup = "Encryption";

std::string time_text(const json& microseconds) {
  return describe_time(TimePoint{std::chrono::microseconds{microseconds.get<std::int64_t>()}});
}
std::string day_text(const json& microseconds) {
  constexpr std::size_t kDay = 10;  // "2026-11-28"
  return time_text(microseconds).substr(0, kDay);
}

std::string painted_state(const Terminal& terminal, const std::string& state) {
  if (state == "active") return terminal.paint(Emphasis::good, state);
  if (state == "pending_destruction") return terminal.paint(Emphasis::bad, state);
  return state == "destroyed" ? terminal.paint(Emphasis::faint, state) : state;
}

/// What happens to it by itself.
std::string next_of(const json& key) {
  const std::string state = key.at("state");
  if (state == "active") return "expires " + day_text(key.at("expires_at"));
  if (key.contains("destroy_after")) return "destroyed after " + day_text(key.at("destroy_after"));
  return "-";
}

void print_warnings(const Terminal& terminal, const json& findings) {
  for (const json& finding : findings) {
    if (finding.at("verdict") == "sound") continue;
    std::cout << "  " << terminal.paint(Emphasis::bad, finding.at("check").get<std::string>() + ":") << " "
              << escape(finding.at("found").get<std::string>()) << "; "
              << escape(finding.at("meaning").get<std::string>()) << "\n";
  }
}

int list(Context& context) {
  const json reply = context.ask({{"op", "keys"}});
  context.session().close();
  if (context.json()) {
    Context::print(reply);
    return kOk;
  }
  if (!reply.at("encrypted").get<bool>()) {
    std::cout << "The store is not encrypted; `db4 keys init` turns encryption on.\n";
    return kOk;
  }
  Table table({"key", "state", "created", "next", "copies"});
  for (const json& key : reply.at("keys")) {
    table.add({key.at("id"), painted_state(context.terminal(), key.at("state")),
               day_text(key.at("created_at")), next_of(key), describe_count(key.at("copies"))});
  }
  std::cout << table.text(context.terminal());
  print_warnings(context.terminal(), reply.at("findings"));
  return kOk;
}

struct RotateFlags {
  bool destroy_old = false;
  bool force = false;
};

int rotate(Context& context, const RotateFlags& flags) {
  const json reply =
      context.ask({{"op", "key_rotate"}, {"destroy_old", flags.destroy_old}, {"force", flags.force}});
  context.session().close();
  if (context.json()) {
    Context::print(reply);
    return kOk;
  }
  const std::string old = reply.at("old_key_id");
  std::cout << "the key " << reply.at("new_key_id").get<std::string>() << " seals from now on\n";
  if (reply.contains("destroy_after")) {
    std::cout << "the key " << old << " opens nothing any more, and is destroyed after "
              << time_text(reply.at("destroy_after")) << "; `db4 keys cancel " << old << "` until then\n";
  } else {
    std::cout << "the key " << old << " still opens what it sealed; `db4 keys reencrypt` seals that anew\n";
  }
  return kOk;
}

/// The id of the one key that begins as typed; nullopt where there is none, or there are several.
std::optional<std::string> find_key(Context& context, const std::string& typed,
                                    std::vector<std::string>& ids) {
  const json known = context.ask({{"op", "keys"}});
  if (!known.at("encrypted").get<bool>()) {
    throw Error(ErrorCode::invalid_argument, "the store is not encrypted, and has no keys",
                "`db4 keys init` turns encryption on");
  }
  std::vector<std::string> found;
  for (const json& key : known.at("keys")) {
    const std::string id = key.at("id");
    if (!typed.empty() && id.starts_with(typed)) found.push_back(id);
    ids.push_back(id);
  }
  return found.size() == 1 ? std::optional(found.front()) : std::nullopt;
}

int report_no_key(const Context& context, const std::string& typed, const std::vector<std::string>& ids) {
  if (context.json()) {
    Context::print({{"found", false}});
    return kNotFound;
  }
  const std::string near = nearest(typed, ids);
  std::cerr << "db4: there is no key " << escape(typed) << ", or more than one; "
            << (near.empty() ? "`db4 keys list` lists them" : "did you mean " + near + "?") << "\n";
  return kNotFound;
}

struct KeyFlags {
  std::string key;
  bool force = false;
};

int destroy(Context& context, const KeyFlags& flags) {
  std::vector<std::string> ids;
  const auto id = find_key(context, flags.key, ids);
  if (!id) return report_no_key(context, flags.key, ids);
  json reply = context.ask({{"op", "key_destroy"}, {"key_id", *id}, {"force", flags.force}});
  context.session().close();
  if (context.json()) {
    reply["found"] = true;
    Context::print(reply);
  } else {
    std::cout << "the key " << *id << " opens nothing any more, and is destroyed after "
              << time_text(reply.at("destroy_after")) << "; `db4 keys cancel " << *id << "` until then\n";
  }
  return kOk;
}

int cancel(Context& context, const KeyFlags& flags) {
  std::vector<std::string> ids;
  const auto id = find_key(context, flags.key, ids);
  if (!id) return report_no_key(context, flags.key, ids);
  json reply = context.ask({{"op", "key_cancel"}, {"key_id", *id}});
  context.session().close();
  if (context.json()) {
    reply["found"] = true;
    Context::print(reply);
  } else {
    std::cout << "the key " << *id << " stays, and opens what it sealed\n";
  }
  return kOk;
}

struct ReencryptFlags {
  std::string collection;
  std::vector<std::string> ids;
  std::uint64_t max_documents = std::numeric_limits<std::uint64_t>::max();
  std::string max_bytes;
};

/// In parts, so that a stop that is asked for comes soon and others may ask the store meanwhile.
json reencrypt_in_parts(Context& context, const ReencryptFlags& flags) {
  constexpr std::uint64_t kDocumentsAtOnce = 500;
  constexpr std::uint64_t kBytesAtOnce = 64ULL << 20;
  Progress progress(context, "reencrypt");
  std::uint64_t documents_left = flags.max_documents;
  std::uint64_t bytes_left =
      flags.max_bytes.empty() ? std::numeric_limits<std::uint64_t>::max() : parse_bytes(flags.max_bytes);
  json total;
  for (;;) {
    const json part = context.ask({{"op", "reencrypt"},
                                   {"max_documents", std::min(documents_left, kDocumentsAtOnce)},
                                   {"max_bytes", std::min(bytes_left, kBytesAtOnce)}});
    if (total.is_null()) {
      total = part;
    } else {
      for (const char* figure : {"documents", "bytes", "failed"})
        total[figure] = total.at(figure).get<std::uint64_t>() + part.at(figure).get<std::uint64_t>();
      if (total.at("first_error") == "") total["first_error"] = part.at("first_error");
      total["more"] = part.at("more");
    }
    progress.update({.documents = total.at("documents"),
                     .bytes = total.at("bytes"),
                     .total_documents = {},
                     .total_bytes = {},
                     .more = {}});
    const std::uint64_t done = part.at("documents");
    documents_left -= std::min(documents_left, done);
    bytes_left -= std::min(bytes_left, part.at("bytes").get<std::uint64_t>());
    // Where nothing can be done the next part would fail in the same way.
    const bool stuck = done == 0 || part.at("failed") != 0;
    if (!part.at("more").get<bool>() || stuck || documents_left == 0 || bytes_left == 0 ||
        context.interrupted())
      return total;
  }
}

void print_left(const json& result) {
  const std::uint64_t copies = result.at("copies_on_old_keys");
  const bool plain = result.at("plain_left");
  if (copies == 0 && !plain) {
    std::cout << "nothing is left: all is sealed with the active key\n";
    return;
  }
  std::cout << "left: " << describe_count(copies, "copy on another key")
            << (plain ? ", and perhaps plain ones" : "") << "; run again to go on\n";
}

int reencrypt_all(Context& context, const ReencryptFlags& flags) {
  json result = reencrypt_in_parts(context, flags);
  const json now = context.ask({{"op", "keys"}});
  for (const char* name : {"copies_on_old_keys", "plain_left"}) result[name] = now.at(name);
  context.session().close();
  const std::uint64_t failed = result.at("failed");
  const std::string error = result.at("first_error");
  if (context.json()) {
    Context::print(result);
  } else {
    std::cout << (now.at("writes").get<bool>() ? "sealed anew " : "made plain ")
              << describe_count(result.at("documents"), "document") << " of "
              << describe_bytes(result.at("bytes")) << "\n";
    if (now.at("writes").get<bool>()) print_left(result);
    if (failed > 0) std::cerr << "db4: " << describe_count(failed, "document") << " stayed as they were\n";
    if (!error.empty()) std::cerr << "db4: " << escape(error) << "\n";
  }
  if (context.interrupted()) {
    std::cerr << "db4: interrupted; what is sealed anew is, and the next run goes on from there\n";
    return kInterrupted;
  }
  return failed == 0 && error.empty() ? kOk : kFailed;
}

int reencrypt_some(Context& context, const ReencryptFlags& flags) {
  json out{{"reencrypted", 0}, {"unchanged", 0}, {"missing", json::array()}};
  for (const std::string& id : flags.ids) {
    const Key key{flags.collection, id};
    const json reply = context.ask(request_for("reencrypt_document", key));
    const bool found = reply.at("found");
    const bool done = found && reply.at("reencrypted").get<bool>();
    if (found) {
      const char* figure = done ? "reencrypted" : "unchanged";
      out[figure] = out.at(figure).get<std::uint64_t>() + 1;
    } else {
      out["missing"].push_back(id);
    }
    if (!context.json() && found) {
      std::cout << name_of(key) << (done ? " is sealed anew\n" : " is as it should be\n");
    } else if (!context.json()) {
      std::cerr << "db4: there is no document " << name_of(key) << "\n";
    }
    if (context.interrupted()) break;
  }
  context.session().close();
  if (context.json()) Context::print(out);
  if (context.interrupted()) return kInterrupted;
  return out.at("missing").empty() ? kOk : kNotFound;
}

void add_rotate(CommandTree& tree, CLI::App& keys) {
  const auto flags = std::make_shared<RotateFlags>();
  CLI::App& command = tree.add(
      keys,
      {.name = "rotate",
       .group = kGroup,
       .summary = "Make a new key, with which all is sealed from now on",
       .details =
           "The key before it still opens what it sealed. With --destroy-old it opens nothing from now "
           "on and is destroyed after encryption.destruction_grace_period, which is refused while "
           "documents need it.",
       .examples = "db4 keys rotate\n"
                   "db4 keys rotate --json | jq -r .new_key_id"},
      [flags](Context& context) { return rotate(context, *flags); });
  CLI::Option* old = command.add_flag("--destroy-old", flags->destroy_old, "Destroy the key before it");
  command
      .add_flag("--force", flags->force,
                "With --destroy-old: although documents need it, which nobody can ever read again then")
      ->needs(old);
}

void add_reencrypt(CommandTree& tree, CLI::App& keys) {
  const auto flags = std::make_shared<ReencryptFlags>();
  CLI::App& command = tree.add(
      keys,
      {.name = "reencrypt",
       .group = kGroup,
       .summary = "Seal anew what is plain or under an older key",
       .details =
           "All of the store, or the documents that are named. Versions, times and tiers stay. It goes on "
           "where it was stopped, also by Ctrl-C or a bound. With encryption.writes = false it makes plain "
           "what is sealed: the way out of encryption. A process that holds the store does all this in the "
           "background.",
       .examples = "db4 keys reencrypt\n"
                   "db4 keys reencrypt --max-documents 1000 --max-bytes 1GiB\n"
                   "db4 keys reencrypt orders 1001 2024-1"},
      [flags](Context& context) {
        return flags->ids.empty() ? reencrypt_all(context, *flags) : reencrypt_some(context, *flags);
      });
  CLI::Option* collection =
      command.add_option("collection", flags->collection, "Collection of the documents named")->type_name("");
  CLI::Option* ids =
      command.add_option("id", flags->ids, "Documents; all of the store without")->type_name("");
  collection->needs(ids);
  command.add_option("--max-documents", flags->max_documents, "Documents sealed at most; else all")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->excludes(ids);
  add_size_option(command, "--max-bytes", flags->max_bytes, "Bytes of documents at most, such as 1GiB; about")
      ->excludes(ids);
}

void add_destroy(CommandTree& tree, CLI::App& keys) {
  const auto flags = std::make_shared<KeyFlags>();
  CLI::App& command = tree.add(
      keys,
      {.name = "destroy",
       .group = kGroup,
       .summary = "Destroy a key that is not needed any more, after a time of grace",
       .details =
           "It opens nothing from now on, and is destroyed after encryption.destruction_grace_period; "
           "`db4 keys cancel` brings it back until then. Refused for the active key, and while documents "
           "need it: `db4 keys reencrypt` first.\n\n"
           "With --force what it sealed can never be read again, wherever copies of it are, as far as the "
           "copies of the key ring go too.",
       .examples = "db4 keys destroy 4f8a1c92e07b35d6\n"
                   "db4 keys destroy 4f8a  # so much of the id that it is the only one"},
      [flags](Context& context) { return destroy(context, *flags); });
  command.add_option("key", flags->key, "Id of the key, or how it begins")->required()->type_name("");
  command.add_flag("--force", flags->force, "Although documents need it, which are lost then");
}

void add_cancel(CommandTree& tree, CLI::App& keys) {
  const auto flags = std::make_shared<KeyFlags>();
  CLI::App& command = tree.add(keys,
                               {.name = "cancel",
                                .group = kGroup,
                                .summary = "Keep a key that was to be destroyed",
                                .details = "It opens again what it sealed.",
                                .examples = "db4 keys cancel 4f8a1c92e07b35d6"},
                               [flags](Context& context) { return cancel(context, *flags); });
  command.add_option("key", flags->key, "Id of the key, or how it begins")->required()->type_name("");
}

}  // namespace

void add_key_commands(CommandTree& tree) {
  CLI::App& keys = tree.add(
      {.name = "keys",
       .group = kGroup,
       .summary = "Encryption: turn it on, rotate keys, and keep a way back",
       .details =
           "Documents are sealed with data keys, which stand in the store's key ring, wrapped by one master "
           "key, which is yours. `db4 keys init` makes one. What is printed never holds a key.",
       .examples = "db4 keys init\n"
                   "db4 keys list\n"
                   "db4 keys rotate"},
      {});
  add_keys_init(tree, keys);
  tree.add(keys,
           {.name = "list",
            .group = kGroup,
            .summary = "List the keys, what becomes of them, and what is sealed with each",
            .details = "With what there is to be done: an expired key, plain documents, and so on.",
            .examples = "db4 keys list\n"
                        "db4 keys list --json | jq '.keys[] | select(.state == \"active\") | .id'"},
           [](Context& context) { return list(context); });
  add_rotate(tree, keys);
  add_reencrypt(tree, keys);
  add_destroy(tree, keys);
  add_cancel(tree, keys);
  add_master_key_commands(tree, keys);
}

}  // namespace db4::cli
