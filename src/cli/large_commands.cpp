// upload, uploads, download: documents of any size.
#include "content_types.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "files.hpp"
#include "parts.hpp"
#include "progress.hpp"
#include "suggest.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <charconv>
#include <iostream>

namespace db4::cli {
namespace {

using nlohmann::json;

constexpr const char* kGroup = "Large documents";

struct UploadFlags {
  Key key;
  std::string file;
  std::string content_type;
  std::string part_size = "8MiB";
  std::size_t concurrency = UploadOptions{}.concurrency;
  std::optional<std::uint64_t> if_version;
  std::string upload_id;
};

ByteSource open_source(const std::string& file) {
  if (file == "-") {
    throw Error(ErrorCode::invalid_argument,
                "standard input cannot be uploaded: a part may have to be read again",
                "write it to a file first; `db4 put` takes up to 64 MiB from standard input");
  }
  std::error_code unknown;
  if (!std::filesystem::exists(file, unknown) && !unknown)
    throw Error(ErrorCode::invalid_argument, "there is no file " + file, "check its name");
  return ByteSource::file(file);
}

/// Sends, shows how far it is, and says how an upload that broke off goes on.
template <typename Send>
UploadResult watched(const Context& context, const std::string& file, std::uint64_t bytes_before,
                     const UploadFlags& flags, const Send& send) {
  Progress progress(
      context, "upload",
      {.documents = 0, .bytes = bytes_before, .total_documents = {}, .total_bytes = {}, .more = {}}, "");
  UploadOptions options{.concurrency = flags.concurrency, .stop = context.stop(), .keep_when_stopped = true};
  options.on_progress = [&](const UploadProgress& now) {
    progress.update({.documents = 0,
                     .bytes = now.bytes_sent,
                     .total_documents = {},
                     .total_bytes = now.bytes_total,
                     .more = {{"upload_id", now.upload_id},
                              {"parts_done", now.parts_done},
                              {"parts_total", now.parts_total}}});
  };
  try {
    return send(options);
  } catch (const Error& error) {
    if (error.upload_id().empty() || error.code() == ErrorCode::conflict) throw;
    if (error.code() == ErrorCode::cancelled && !context.interrupted()) {
      throw Error(ErrorCode::cancelled, "the upload " + error.upload_id() + " was aborted",
                  "begin another one");
    }
    const std::string& store = context.options().store;
    const std::string way_on = "`db4 " + (store.empty() ? "" : "--store " + shell_quoted(store) + " ") +
                               "uploads resume " + error.upload_id() + " " + shell_quoted(file) +
                               "` goes on from there";
    const bool stopped = error.code() == ErrorCode::cancelled;
    throw Error(error.code(), stopped ? "interrupted" : error.problem(),
                stopped ? way_on : error.advice() + "; " + way_on)
        .with_upload_id(error.upload_id());
  }
}

int report_upload(const Context& context, const Key& key, const UploadResult& result) {
  if (context.json()) {
    Context::print({{"upload_id", result.upload_id},
                    {"version", result.version},
                    {"size", result.size},
                    {"parts", result.parts}});
  } else {
    std::cout << "uploaded " << name_of(key) << " version " << result.version << ", "
              << describe_bytes(result.size) << " in " << describe_count(result.parts, "part") << "\n";
  }
  return kOk;
}

int upload(const Context& context, const UploadFlags& flags) {
  const ByteSource source = open_source(flags.file);
  const auto store = context.open_alone("an upload");
  const UploadResult result = watched(context, flags.file, 0, flags, [&](UploadOptions& options) {
    options.part_size = parse_bytes(flags.part_size);
    options.upload_id = flags.upload_id;
    options.content_type = flags.content_type.empty() ? content_type_of(flags.file) : flags.content_type;
    options.if_version = flags.if_version;
    return store->cold_storage().write_large(flags.key.collection, flags.key.id, source, options);
  });
  store->close();
  return report_upload(context, flags.key, result);
}

/// Says that no upload has that id, and which may have been meant.
int report_no_upload(const Context& context, const std::string& upload_id,
                     const std::vector<std::string>& ids) {
  if (context.json()) {
    Context::print({{"found", false}});
    return kNotFound;
  }
  const std::string near = nearest(upload_id, ids);
  std::cerr << "db4: there is no upload " << escape(upload_id) << "; "
            << (near.empty() ? "`db4 uploads list` lists them" : "did you mean " + near + "?") << "\n";
  return kNotFound;
}

int resume(const Context& context, const UploadFlags& flags) {
  const ByteSource source = open_source(flags.file);
  const auto store = context.open_alone("an upload");
  ColdStorage& cold = store->cold_storage();
  const auto session = cold.get_upload_status(flags.upload_id);
  if (!session) {
    std::vector<std::string> ids;
    for (const UploadSession& other : cold.list_uploads()) ids.push_back(other.upload_id);
    return report_no_upload(context, flags.upload_id, ids);
  }
  const UploadResult result = watched(
      context, flags.file, session->bytes_sent, flags,
      [&](const UploadOptions& options) { return cold.resume_upload(flags.upload_id, source, options); });
  store->close();
  return report_upload(context, {session->collection, session->id}, result);
}

/// Whether nobody sends it, though that was not said: this process has the store, and has just opened it, and
/// no other node that has it open too works on the upload.
bool broke_off(const json& entry, bool live) {
  const std::string state = entry.at("state");
  return !live && entry.at("owner") == "" && (state == "in_progress" || state == "pending");
}

std::string upload_state(const Terminal& terminal, const json& entry, bool live) {
  std::string state = entry.at("state");
  if (state == "completed") return terminal.paint(Emphasis::good, state);
  if (state == "failed") return terminal.paint(Emphasis::bad, state);
  if (broke_off(entry, live)) return terminal.paint(Emphasis::bad, "broken off");
  return state;
}

/// What the table has no room for: what an upload broke off with, and which node has it.
void print_remarks(const json& uploads) {
  for (const json& entry : uploads) {
    const std::string id = entry.at("upload_id");
    const std::string error = entry.at("error");
    const std::string owner = entry.at("owner");
    if (!error.empty()) std::cout << "  " << id << " broke off: " << escape(error) << "\n";
    if (!owner.empty()) {
      const TimePoint until{std::chrono::microseconds{entry.at("owned_until").get<std::int64_t>()}};
      std::cout << "  " << id << " is being sent by node " << owner << ", which has it until "
                << describe_time(until) << "\n";
    }
  }
}

int list(Context& context) {
  const json reply = context.ask({{"op", "uploads"}});
  const bool live = context.session().live();
  context.session().close();
  if (context.json()) {
    Context::print(reply);
    return kOk;
  }
  Table table({"upload", "document", "state", "sent", "size", "parts", "updated"});
  bool resumable = false;
  for (const json& entry : reply.at("uploads")) {
    resumable = resumable || entry.at("state") == "failed" || broke_off(entry, live);
    table.add(
        {entry.at("upload_id"), name_of({entry.at("collection"), entry.at("id")}),
         upload_state(context.terminal(), entry, live), describe_bytes(entry.at("bytes_sent")),
         describe_bytes(entry.at("size")),
         entry.at("parts_done").dump() + "/" + entry.at("parts_total").dump(),
         describe_time(TimePoint{std::chrono::microseconds{entry.at("updated_at").get<std::int64_t>()}})});
  }
  std::cout << table.text(context.terminal());
  print_remarks(reply.at("uploads"));
  if (resumable) {
    std::cout << context.terminal().paint(
                     Emphasis::faint, "  `db4 uploads resume UPLOAD FILE` goes on with one that broke off")
              << "\n";
  }
  return kOk;
}

/// The process that sends the upload may end with it, before it has answered: then whoever has the store next
/// is asked, which is so at once.
json ask_to_abort(Context& context, const std::string& upload_id) {
  constexpr int kMostAsked = 50;
  constexpr std::chrono::milliseconds kPause{100};
  const std::shared_ptr<Clock> clock = system_clock();
  const json request{{"op", "upload_abort"}, {"upload_id", upload_id}};
  for (int asked = 1;; ++asked) {
    try {
      json reply = context.ask(request);
      if (asked > 1 && reply.value("state", "") == "aborted") reply["aborted"] = true;
      return reply;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unavailable || !context.session().live() || asked == kMostAsked) throw;
    }
    context.end_session();
    if (!clock->sleep_for(kPause, context.stop())) {
      throw Error(ErrorCode::cancelled, "interrupted while waiting for the upload to end", "run it again");
    }
  }
}

int abort(Context& context, const std::string& upload_id) {
  const json reply = ask_to_abort(context, upload_id);
  if (!reply.at("found").get<bool>()) {
    std::vector<std::string> ids;
    const json known = context.ask({{"op", "uploads"}});
    for (const json& entry : known.at("uploads")) ids.push_back(entry.at("upload_id"));
    return report_no_upload(context, upload_id, ids);
  }
  context.session().close();
  if (context.json()) {
    Context::print(reply);
  } else if (reply.at("aborted").get<bool>()) {
    std::cout << "aborted " << upload_id << "\n";
  } else {
    std::cout << upload_id << " is " << reply.at("state").get<std::string>()
              << ": there is nothing to abort\n";
  }
  return kOk;
}

int clean(Context& context, const std::string& older_than) {
  const json reply =
      context.ask({{"op", "upload_clean"}, {"older_than_ms", parse_duration(older_than).count()}});
  context.session().close();
  const std::uint64_t failed = reply.at("failed");
  if (context.json()) {
    Context::print(reply);
  } else {
    std::cout << "forgot " << describe_count(reply.at("removed"), "ended upload") << ", aborted "
              << describe_count(reply.at("aborted")) << " that nobody resumed\n";
    for (const json& name : reply.at("unknown")) {
      std::cout << "  unfinished and unknown to this store, so left alone: "
                << escape(name.get<std::string>()) << "\n";
    }
    if (failed > 0) {
      std::cerr << "db4: " << describe_count(failed, "upload")
                << " could not be aborted: " << escape(reply.at("first_error").get<std::string>())
                << "; run it again later\n";
    }
  }
  return failed == 0 ? kOk : kFailed;
}

void add_sending_options(CLI::App& command, UploadFlags& flags) {
  command.add_option("--concurrency", flags.concurrency, "Parts sent at once (4)")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, kMaxUploadConcurrency));
}

void add_upload(CommandTree& tree) {
  const auto flags = std::make_shared<UploadFlags>();
  CLI::App& command = tree.add(
      {.name = "upload",
       .group = kGroup,
       .summary = "Write a document of any size from a file, in parts",
       .details =
           "It goes straight to cold, and is never held in memory. Ctrl-C and errors leave it to be "
           "resumed: `db4 uploads resume`. It needs the store to itself: no other process may hold it.",
       .examples = "db4 upload videos intro intro.mp4\n"
                   "db4 upload videos intro intro.mp4 --part-size 16MiB --concurrency 8\n"
                   "db4 upload videos new intro.mp4 --if-version 0  # only if there is no videos/new"},
      [flags](Context& context) { return upload(context, *flags); });
  add_key(command, flags->key);
  command.add_option("file", flags->file, "File")->required()->type_name("");
  command.add_option("--content-type", flags->content_type, "Its type; else by the file's name")
      ->type_name("TYPE");
  add_size_option(command, "--part-size", flags->part_size,
                  "Of each part but the last; raised to what the object store takes, 5MiB at S3 (8MiB)");
  add_sending_options(command, *flags);
  add_version_option(command, flags->if_version, "Only if it stands at this version; 0: only if it is new");
  command.add_option("--upload-id", flags->upload_id, "The upload's id; drawn where it is not given")
      ->type_name("TEXT");
}

void add_resume(CommandTree& tree, CLI::App& uploads) {
  const auto flags = std::make_shared<UploadFlags>();
  CLI::App& command =
      tree.add(uploads,
               {.name = "resume",
                .group = kGroup,
                .summary = "Go on with an upload that broke off",
                .details = "The file must be the same. What has arrived is compared with it, not sent again.",
                .examples = "db4 uploads resume intro-1 intro.mp4"},
               [flags](Context& context) { return resume(context, *flags); });
  command.add_option("upload", flags->upload_id, "Id of the upload")->required()->type_name("");
  command.add_option("file", flags->file, "File")->required()->type_name("");
  add_sending_options(command, *flags);
}

void add_uploads(CommandTree& tree) {
  CLI::App& uploads = tree.add({.name = "uploads",
                                .group = kGroup,
                                .summary = "List, resume, abort and clean up uploads",
                                .examples = "db4 uploads list\n"
                                            "db4 uploads clean"},
                               nullptr);
  tree.add(uploads,
           {.name = "list",
            .group = kGroup,
            .summary = "List the uploads that the store remembers",
            .examples = "db4 uploads list\n"
                        "db4 uploads list --json | jq .uploads"},
           [](Context& context) { return list(context); });
  add_resume(tree, uploads);
  const auto upload_id = std::make_shared<std::string>();
  CLI::App& abort_command = tree.add(
      uploads,
      {.name = "abort",
       .group = kGroup,
       .summary = "Give an upload up, and free what the object store has of it",
       .details =
           "One that another process sends is stopped, unless it is another node's (docs/postgres.md): "
           "that is refused while the node lives.",
       .examples = "db4 uploads abort intro-2"},
      [upload_id](Context& context) { return abort(context, *upload_id); });
  abort_command.add_option("upload", *upload_id, "Id of the upload")->required()->type_name("");
  const auto older_than = std::make_shared<std::string>("1d");
  CLI::App& clean_command = tree.add(
      uploads,
      {.name = "clean",
       .group = kGroup,
       .summary = "Forget uploads that ended, and abort those that nobody resumed",
       .details =
           "Tiering runs do it too, with cold.upload_expiry. This also tells of unfinished uploads at the "
           "object store that this store does not know.",
       .examples = "db4 uploads clean\n"
                   "db4 uploads clean --older-than 7d"},
      [older_than](Context& context) { return clean(context, *older_than); });
  add_duration_option(clean_command, "--older-than", *older_than,
                      "Those that nobody touched for this long (1d)");
}

}  // namespace

void add_large_commands(CommandTree& tree) {
  add_upload(tree);
  add_download(tree);
  add_uploads(tree);
}

}  // namespace db4::cli
