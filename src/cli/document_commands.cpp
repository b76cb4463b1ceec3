// put, get, rm, cp: one document at a time.
#include "context.hpp"
#include "exit_code.hpp"
#include "files.hpp"
#include "parts.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <algorithm>
#include <iostream>

namespace db4::cli {
namespace {

using nlohmann::json;

struct WriteFlags {
  std::string tier;
  std::optional<std::uint64_t> if_version;
};

void add_write_flags(CLI::App& command, WriteFlags& flags,
                     const char* what = "Only if it stands at this version; 0: only if it is new") {
  add_version_option(command, flags.if_version, what);
}

void set_write_flags(json& request, const WriteFlags& flags) {
  if (!flags.tier.empty()) request["tier"] = flags.tier;
  if (flags.if_version) request["if_version"] = *flags.if_version;
}

struct PutOptions {
  Key key;
  std::string file = "-";
  std::string content_type;
  bool bytes = false;
  WriteFlags flags;
};

int put(Context& context, const PutOptions& options) {
  const std::string body = read_whole(options.file, context.stop());
  json request = request_for("put", options.key);
  set_write_flags(request, options.flags);
  // A type of its own says that it is no JSON.
  const bool other = !options.content_type.empty() && options.content_type.find("json") == std::string::npos;
  request["json"] = !options.bytes && !other;
  if (!options.content_type.empty()) request["content_type"] = options.content_type;
  const json reply = context.ask(request, body);
  context.session().close();
  if (context.json()) {
    Context::print(reply);
  } else {
    std::cout << name_of(options.key) << " version " << reply.at("version") << " in "
              << paint_tier(context.terminal(), reply.at("tier")) << "\n";
  }
  return kOk;
}

struct GetOptions {
  Key key;
  std::string output = "-";
  bool meta = false;
};

/// The figures of a document with its body: as JSON where it is JSON, else in base 64.
json with_body(json reply, const std::string& body) {
  json parsed = reply.at("content_type") == "application/json"
                    ? json::parse(body, nullptr, /*allow_exceptions=*/false)
                    : json(json::value_t::discarded);
  if (parsed.is_discarded()) {
    reply["body_base64"] = base64(body);
  } else {
    reply["body"] = std::move(parsed);
  }
  return reply;
}

bool is_for_a_terminal(std::string_view body) {
  return std::none_of(body.begin(), body.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\n' && c != '\t' && c != '\r') || byte == 0x7F;
  });
}

int get(Context& context, const GetOptions& options) {
  const OperationReply found = context.session().ask(request_for("get", options.key));
  const json reply = json::parse(found.json);
  context.session().close();
  if (!reply.at("found").get<bool>()) return report_not_found(context, options.key, reply);
  if (context.json() || options.meta) {
    Context::print(with_body(reply, found.body));
    return kOk;
  }
  if (options.output != "-") {
    write_whole(options.output, found.body);
    return kOk;
  }
  if (context.terminal().output_is_terminal() && !is_for_a_terminal(found.body)) {
    throw Error(ErrorCode::invalid_argument,
                name_of(options.key) + " holds bytes that are not for a terminal",
                "use --output FILE, or a pipe");
  }
  std::cout << found.body;
  return kOk;
}

struct RmOptions {
  Key key;
  WriteFlags flags;
};

int rm(Context& context, const RmOptions& options) {
  json request = request_for("rm", options.key);
  set_write_flags(request, options.flags);
  const json reply = context.ask(request);
  context.session().close();
  if (!reply.at("removed").get<bool>()) {
    if (context.json() || options.flags.tier.empty()) return report_not_found(context, options.key, reply);
    std::cerr << "db4: there is no copy of " << name_of(options.key) << " in " << options.flags.tier
              << "; `db4 explain` says where it is\n";
    return kNotFound;
  }
  if (context.json()) {
    Context::print(reply);
  } else {
    std::cout << "removed " << name_of(options.key) << "\n";
  }
  return kOk;
}

struct CpOptions {
  Key from;
  Key to;
  std::string to_store;
  WriteFlags flags;
};

bool is_same_store(const Context& context, const CpOptions& options) {
  std::error_code ignored;
  return options.to_store.empty() || std::filesystem::equivalent(options.to_store, context.folder(), ignored);
}

/// A document of a store, read piece by piece as it stands at one version.
class StoredSource final : public ByteSource::Reader {
 public:
  StoredSource(ColdStorage& cold, const Key& key, const json& stat)
      : cold_(cold), key_(key), size_(stat.at("size")), version_(stat.at("version")) {}

  std::uint64_t size() const override { return size_; }
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    const auto sink = [&, done = std::size_t{0}](ByteView piece) mutable {
      std::ranges::copy(piece, out.subspan(done).begin());
      done += piece.size();
    };
    const auto read = cold_.read_large(key_.collection, key_.id, sink,
                                       {.offset = offset, .length = out.size()}, {.concurrency = 1});
    if (read && read->version == version_ && read->bytes == out.size()) return;
    throw Error(ErrorCode::conflict, name_of(key_) + " was changed while it was copied", "copy it again");
  }

 private:
  ColdStorage& cold_;
  const Key key_;
  const std::uint64_t size_;
  const Version version_;
};

/// A document over what fits into memory goes from cold to cold, in parts. Nothing of it is left where it
/// breaks off: the file that would resume it does not exist.
json copy_large(TieredStore& from, TieredStore& to, const Context& context, const CpOptions& options,
                const Key& target) {
  if (!options.flags.tier.empty() && options.flags.tier != to_string(StorageTier::cold)) {
    throw Error(ErrorCode::invalid_argument,
                name_of(options.from) + " is over 64 MiB, and lives in cold alone", "leave --tier out");
  }
  const json stat = json::parse(run_operation(from, request_for("stat", options.from).dump(), {}, {}).json);
  const ByteSource source(std::make_shared<StoredSource>(from.cold_storage(), options.from, stat));
  try {
    const UploadResult result = to.cold_storage().write_large(target.collection, target.id, source,
                                                              {.stop = context.stop(),
                                                               .content_type = stat.at("content_type"),
                                                               .if_version = options.flags.if_version});
    return {{"version", result.version}, {"tier", to_string(StorageTier::cold)}};
  } catch (const Error& error) {
    if (!error.upload_id().empty()) to.cold_storage().abort_upload(error.upload_id());
    throw;
  }
}

/// Where the copy goes: settings given for this store by --set or DB4_* are not that one's.
Session open_target(const Context& context, const CpOptions& options) {
  return {Settings::read(options.to_store).config(), context.wait(), context.stop()};
}

/// nullopt where it is no larger than what `get` takes, or a store that is held by another process.
std::optional<json> copy_if_large(Context& context, const CpOptions& options, const Key& to) {
  TieredStore* from = context.session().store();
  if (from == nullptr) return std::nullopt;
  const json stat = context.ask(request_for("stat", options.from));
  if (!stat.at("found").get<bool>() || stat.at("size") <= kMaxBodyBytes) return std::nullopt;
  if (options.to_store.empty()) return copy_large(*from, *from, context, options, to);
  Session other = open_target(context, options);
  if (other.store() == nullptr) {
    throw Error(ErrorCode::locked, "a document over 64 MiB is copied into a store that no process holds",
                "end the process that holds it");
  }
  json reply = copy_large(*from, *other.store(), context, options, to);
  other.close();
  return reply;
}

int report_copy(const Context& context, const Key& from, const Key& to, const json& reply) {
  if (context.json()) {
    Context::print(reply);
  } else {
    std::cout << "copied " << name_of(from) << " to " << name_of(to) << ", version " << reply.at("version")
              << " in " << paint_tier(context.terminal(), reply.at("tier")) << "\n";
  }
  return kOk;
}

int cp(Context& context, const CpOptions& options) {
  const Key to{options.to.collection, options.to.id.empty() ? options.from.id : options.to.id};
  if (to.collection == options.from.collection && to.id == options.from.id && is_same_store(context, options))
    throw Error(ErrorCode::invalid_argument, name_of(to) + " would be copied onto itself",
                "name another collection or id, or another store with --to-store");
  if (const auto reply = copy_if_large(context, options, to)) {
    context.session().close();
    return report_copy(context, options.from, to, *reply);
  }
  const OperationReply found = context.session().ask(request_for("get", options.from));
  const json source = json::parse(found.json);
  if (!source.at("found").get<bool>()) return report_not_found(context, options.from, source);
  json request = request_for("put", to);
  set_write_flags(request, options.flags);
  request["content_type"] = source.at("content_type");
  json reply;
  if (options.to_store.empty()) {
    reply = context.ask(request, found.body);
    context.session().close();
  } else {
    context.session().close();
    Session other = open_target(context, options);
    reply = json::parse(other.ask(request, found.body).json);
    other.close();
  }
  return report_copy(context, options.from, to, reply);
}

void add_put(CommandTree& tree) {
  const auto options = std::make_shared<PutOptions>();
  CLI::App& command =
      tree.add({.name = "put",
                .group = "Documents",
                .summary = "Write a document from a file or standard input",
                .details = "JSON is checked; --bytes, or a type that is not JSON, takes any bytes. A "
                           "document is at most 64 MiB.",
                .examples = "db4 put users 1 alice.json\n"
                            "echo '{\"name\": \"Alice\"}' | db4 put users 1\n"
                            "db4 put users 1 alice.json --if-version 3  # only if nobody wrote since\n"
                            "db4 put photos cat cat.png --bytes --content-type image/png --tier cold"},
               [options](Context& context) { return put(context, *options); });
  add_key(command, options->key);
  command.add_option("file", options->file, "File; -: standard input (the default)")->type_name("");
  command.add_flag("--bytes", options->bytes, "Any bytes, not JSON");
  command.add_option("--content-type", options->content_type, "Its type, such as text/plain")
      ->type_name("TYPE");
  add_write_flags(command, options->flags);
  add_tier_option(command, "--tier", options->flags.tier, "Where it goes: hot (the default), warm or cold");
}

void add_get(CommandTree& tree) {
  const auto options = std::make_shared<GetOptions>();
  CLI::App& command =
      tree.add({.name = "get",
                .group = "Documents",
                .summary = "Print a document",
                .details = "It is an access: it counts, and may promote (tiering.promote_on_read).",
                .examples = "db4 get users 1\n"
                            "db4 get photos cat --output cat.png\n"
                            "db4 get users 1 --json | jq .tier"},
               [options](Context& context) { return get(context, *options); });
  add_key(command, options->key);
  command.add_option("-o,--output", options->output, "File to write to; -: standard output")
      ->type_name("FILE");
  command.add_flag("--meta", options->meta,
                   "With its version, tier and figures, as JSON (what --json prints)");
}

void add_rm(CommandTree& tree) {
  const auto options = std::make_shared<RmOptions>();
  CLI::App& command = tree.add({.name = "rm",
                                .group = "Documents",
                                .summary = "Remove a document",
                                .examples = "db4 rm users 1\n"
                                            "db4 rm users 1 --if-version 3\n"
                                            "db4 rm users 1 --tier warm  # only the copy there"},
                               [options](Context& context) { return rm(context, *options); });
  add_key(command, options->key);
  add_write_flags(command, options->flags, "Only if it stands at this version");
  add_tier_option(command, "--tier", options->flags.tier, "Drop the copy in this tier alone");
}

void add_cp(CommandTree& tree) {
  const auto options = std::make_shared<CpOptions>();
  CLI::App& command =
      tree.add({.name = "cp",
                .group = "Documents",
                .summary = "Copy a document to another key, or to another store",
                .details = "For whole collections use `db4 export` and `db4 import`. A document over 64 MiB "
                           "is copied into cold, and only while no other process holds the stores.",
                .examples = "db4 cp users 1 backup\n"
                            "db4 cp users 1 users 2 --if-version 0  # only if there is no users/2\n"
                            "db4 cp users 1 users --to-store ../other"},
               [options](Context& context) { return cp(context, *options); });
  add_key(command, options->from);
  command.add_option("to-collection", options->to.collection, "Collection of the copy")
      ->required()
      ->type_name("");
  command.add_option("to-id", options->to.id, "Id of the copy; the same where it is not given")
      ->type_name("");
  add_folder_option(command, "--to-store", options->to_store, "Folder of another store");
  add_write_flags(command, options->flags);
  add_tier_option(command, "--tier", options->flags.tier, "Where the copy goes");
}

}  // namespace

void add_document_commands(CommandTree& tree) {
  add_put(tree);
  add_get(tree);
  add_rm(tree);
  add_cp(tree);
}

}  // namespace db4::cli
