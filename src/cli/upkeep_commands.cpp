// gc, compact, doctor, rebuild: looking after what is in the cold tier.
#include "context.hpp"
#include "exit_code.hpp"
#include "page.hpp"
#include "parts.hpp"
#include "progress.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <algorithm>
#include <iostream>

namespace db4::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kGarbageAtOnce = 1000;
constexpr std::size_t kShown = 20;

struct GcFlags {
  std::size_t max_objects = std::numeric_limits<std::size_t>::max();
  bool list = false;
  bool remove = false;
  std::string min_age = "7d";
  double max_share = 5;
};

json collect_in_parts(Context& context, const GcFlags& flags) {
  Progress progress(context, "gc", {}, "object");
  json total;
  for (std::size_t left = flags.max_objects;;) {
    const json part = context.ask({{"op", "gc"}, {"max_objects", std::min(left, kGarbageAtOnce)}});
    if (total.is_null()) {
      total = part;
    } else {
      for (const char* figure : {"deleted_objects", "deleted_bytes", "expired_intents", "failed_objects"}) {
        total[figure] = total.at(figure).get<std::uint64_t>() + part.at(figure).get<std::uint64_t>();
      }
      if (total.at("first_error") == "") total["first_error"] = part.at("first_error");
      total["more"] = part.at("more");
    }
    const std::size_t deleted = part.at("deleted_objects");
    left -= std::min(left, std::max<std::size_t>(deleted, 1));
    progress.update({.documents = total.at("deleted_objects"),
                     .bytes = total.at("deleted_bytes"),
                     .total_documents = {},
                     .total_bytes = {},
                     .more = {}});
    // Where nothing can be deleted the next part would fail in the same way.
    const bool stuck = part.at("failed_objects") != 0;
    if (!part.at("more").get<bool>() || stuck || left == 0 || context.interrupted()) return total;
  }
}

int collect(Context& context, const GcFlags& flags) {
  const json result = collect_in_parts(context, flags);
  context.session().close();
  const std::uint64_t failed = result.at("failed_objects");
  if (context.json()) {
    Context::print(result);
  } else {
    std::cout << "deleted " << describe_count(result.at("deleted_objects"), "object") << " of "
              << describe_bytes(result.at("deleted_bytes"));
    if (result.at("expired_intents") != 0) {
      std::cout << "; " << describe_count(result.at("expired_intents"), "object")
                << " more that nobody named will follow";
    }
    std::cout << "\n";
    if (failed > 0) {
      std::cerr << "db4: " << describe_count(failed, "object")
                << " could not be deleted: " << escape(result.at("first_error").get<std::string>())
                << "; they are tried again later\n";
    }
  }
  if (context.interrupted()) {
    std::cerr << "db4: interrupted; what is deleted is deleted, the rest stays for the next run\n";
    return kInterrupted;
  }
  return failed == 0 ? kOk : kFailed;
}

json listing_json(const ListingGarbageResult& result) {
  json unnamed = json::array();
  for (const ObjectInfo& info : result.unnamed) {
    unnamed.push_back({{"object", info.name},
                       {"bytes", info.size},
                       {"modified", info.modified.time_since_epoch().count()}});
  }
  return {{"objects", result.objects},
          {"bytes", result.bytes},
          {"foreign", result.foreign},
          {"young", result.young},
          {"unnamed_objects", result.unnamed_objects},
          {"unnamed_bytes", result.unnamed_bytes},
          {"deleted_objects", result.deleted_objects},
          {"deleted_bytes", result.deleted_bytes},
          {"failed_objects", result.failed_objects},
          {"first_error", result.first_error},
          {"refused", result.refused},
          {"unnamed", unnamed}};
}

void print_listing(const GcFlags& flags, const ListingGarbageResult& result) {
  std::cout << describe_count(result.objects, "object") << " of " << describe_bytes(result.bytes) << "; "
            << describe_count(result.unnamed_objects) << " of " << describe_bytes(result.unnamed_bytes)
            << " that nothing names and that are older than " << flags.min_age << "\n";
  for (std::size_t i = 0; i < std::min(kShown, result.unnamed.size()); ++i) {
    const ObjectInfo& info = result.unnamed[i];
    std::cout << "  " << escape(info.name) << ", " << describe_bytes(info.size) << ", "
              << describe_time(info.modified) << "\n";
  }
  if (result.unnamed_objects > kShown)
    std::cout << "  ... and " << describe_count(result.unnamed_objects - kShown) << " more\n";
  if (result.young > 0)
    std::cout << "left alone: " << describe_count(result.young, "younger object") << " that nothing names\n";
  if (result.foreign > 0)
    std::cout << "left alone: " << describe_count(result.foreign, "object") << " of another form\n";
  if (result.deleted_objects > 0) {
    std::cout << "deleted " << describe_count(result.deleted_objects, "object") << " of "
              << describe_bytes(result.deleted_bytes) << "\n";
  } else if (!flags.remove && result.unnamed_objects > 0) {
    std::cout << "`db4 gc --list --delete` deletes what nothing names\n";
  }
}

int collect_listed(const Context& context, const GcFlags& flags) {
  const auto store = context.open_alone("a garbage collection by listing");
  const ListingGarbageResult result =
      store->cold_storage().collect_by_listing({.remove = flags.remove,
                                                .min_age = parse_duration(flags.min_age),
                                                .max_share = flags.max_share / 100,
                                                .stop = context.stop()});
  store->close();
  if (context.json()) {
    Context::print(listing_json(result));
  } else {
    print_listing(flags, result);
    if (result.failed_objects > 0) {
      std::cerr << "db4: " << describe_count(result.failed_objects, "object")
                << " could not be deleted: " << escape(result.first_error) << "\n";
    }
    if (result.refused) {
      std::cerr << "db4: nothing is deleted: it would be more than --max-share of what there is. Is this the "
                   "catalogue of these objects? Look at them first, then raise --max-share\n";
    }
  }
  return result.refused || result.failed_objects > 0 ? kFailed : kOk;
}

void add_gc(CommandTree& tree) {
  const auto flags = std::make_shared<GcFlags>();
  CLI::App& command = tree.add(
      {.name = "gc",
       .group = "The store",
       .summary = "Delete objects of the cold tier that are not needed any more",
       .details =
           "Tiering runs do it too, cold.garbage_grace after an object was freed.\n\n"
           "With --list all objects of the store are listed and compared with the catalogue, which finds "
           "what it "
           "does not know of: after a hot folder was restored from a backup, say. There should be none. That "
           "needs the store to itself, and deletes nothing without --delete.",
       .examples = "db4 gc\n"
                   "db4 gc --list\n"
                   "db4 gc --list --delete --min-age 30d"},
      [flags](Context& context) {
        return flags->list ? collect_listed(context, *flags) : collect(context, *flags);
      });
  CLI::Option* list =
      command.add_flag("--list", flags->list, "Look for objects that nothing names, by listing");
  command.add_option("--max-objects", flags->max_objects, "Objects deleted, about; else all that are due")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->excludes(list);
  command.add_flag("--delete", flags->remove, "With --list: delete them")->needs(list);
  add_duration_option(command, "--min-age", flags->min_age,
                      "With --list: younger ones are left alone, 1d or more (7d)")
      ->needs(list);
  command
      .add_option("--max-share", flags->max_share,
                  "With --list: delete nothing where it would be more than this many percent of all (5)")
      ->type_name("PERCENT")
      ->check(CLI::Range(0.0, 100.0))
      ->needs(list);
}

struct CompactFlags {
  std::size_t max_segments = std::numeric_limits<std::size_t>::max();
  std::string max_bytes;
};

constexpr std::size_t kSegmentsAtOnce = 20;

/// In parts, so that a stop that is asked for comes soon.
json compact_in_parts(Context& context, const CompactFlags& flags) {
  Progress progress(context, "compact", {}, "record");
  std::uint64_t bytes_left =
      flags.max_bytes.empty() ? std::numeric_limits<std::uint64_t>::max() / 2 : parse_bytes(flags.max_bytes);
  std::size_t left = flags.max_segments;
  json total;
  for (;;) {
    const json part = context.ask(
        {{"op", "compact"}, {"max_segments", std::min(left, kSegmentsAtOnce)}, {"max_bytes", bytes_left}});
    if (total.is_null()) {
      total = part;
    } else {
      for (const char* figure :
           {"segments", "new_segments", "records", "bytes", "freed_bytes", "damaged_records"}) {
        total[figure] = total.at(figure).get<std::uint64_t>() + part.at(figure).get<std::uint64_t>();
      }
      total["first_error"] = part.at("first_error");
      total["more"] = part.at("more");
    }
    progress.update({.documents = total.at("records"),
                     .bytes = total.at("bytes"),
                     .total_documents = {},
                     .total_bytes = {},
                     .more = {}});
    const std::size_t rewritten = part.at("segments");
    left -= std::min(left, rewritten);
    bytes_left -= std::min(bytes_left, part.at("bytes").get<std::uint64_t>());
    const bool stuck = rewritten == 0 || part.at("first_error") != "";
    if (!part.at("more").get<bool>() || stuck || left == 0 || bytes_left == 0 || context.interrupted())
      return total;
  }
}

int compact(Context& context, const CompactFlags& flags) {
  const json result = compact_in_parts(context, flags);
  context.session().close();
  const std::string error = result.at("first_error");
  if (context.json()) {
    Context::print(result);
  } else {
    std::cout << "rewrote " << describe_count(result.at("segments"), "segment") << " into "
              << describe_count(result.at("new_segments")) << ", copying "
              << describe_count(result.at("records"), "record") << " of "
              << describe_bytes(result.at("bytes")) << "; " << describe_bytes(result.at("freed_bytes"))
              << " will be deleted\n";
    if (!error.empty()) std::cerr << "db4: " << escape(error) << "\n";
  }
  if (context.interrupted()) {
    std::cerr << "db4: interrupted; what is rewritten is rewritten, the rest stays for the next run\n";
    return kInterrupted;
  }
  return error.empty() && result.at("damaged_records") == 0 ? kOk : kFailed;
}

void add_compact(CommandTree& tree) {
  const auto flags = std::make_shared<CompactFlags>();
  CLI::App& command = tree.add(
      {.name = "compact",
       .group = "The store",
       .summary = "Rewrite segments of the cold tier of which less than half is alive",
       .details =
           "Tiering runs do it too. The old segments are deleted by `db4 gc`, or a later tiering run, once "
           "twice cold.garbage_grace has passed.",
       .examples = "db4 compact\n"
                   "db4 compact --max-bytes 1GiB"},
      [flags](Context& context) { return compact(context, *flags); });
  command.add_option("--max-segments", flags->max_segments, "Segments rewritten at most; else all")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  add_size_option(command, "--max-bytes", flags->max_bytes, "Bytes of records copied at most, such as 1GiB");
}

std::string verdict_text(const Terminal& terminal, Soundness verdict) {
  const std::string word(to_string(verdict));
  const std::string pad(8 - word.size(), ' ');
  if (verdict == Soundness::sound) return terminal.paint(Emphasis::good, word) + pad;
  if (verdict == Soundness::unsound) return terminal.paint(Emphasis::bad, word) + pad;
  return (verdict == Soundness::skipped ? terminal.paint(Emphasis::faint, word) : word) + pad;
}

void print_findings(const Terminal& terminal, const DoctorReport& report) {
  std::size_t widest = 0;
  for (const DoctorFinding& finding : report.findings) widest = std::max(widest, finding.check.size());
  const std::size_t indent = 2 + 8 + 1 + widest + 2;
  const std::size_t width = std::max<std::size_t>(std::min<std::size_t>(Terminal::width(), 110), indent + 30);
  for (const DoctorFinding& finding : report.findings) {
    std::cout << "  " << verdict_text(terminal, finding.verdict) << " " << finding.check
              << std::string(widest - finding.check.size() + 2, ' ')
              << wrapped(escape(finding.found), width, indent, /*hanging=*/true);
    if (finding.meaning.empty() || finding.meaning == "nothing") continue;
    std::cout << terminal.paint(Emphasis::faint, wrapped("-> " + escape(finding.meaning), width, indent));
  }
  for (const std::string& name : report.left_over) std::cout << "  left over: " << escape(name) << "\n";
}

Soundness verdict_of(const std::string& word) {
  for (const Soundness verdict : {Soundness::sound, Soundness::noted, Soundness::unsound}) {
    if (word == to_string(verdict)) return verdict;
  }
  return Soundness::skipped;
}

/// How the store's encryption stands, also where another process holds it.
void examine_keys(Context& context, const TieredStoreConfig& config, DoctorReport& report) {
  // One whose hot folder is lost is not to be made by looking at it.
  if (config.hot.type != HotType::postgres && !std::filesystem::exists(config.hot.path)) return;
  try {
    const json reply = context.ask({{"op", "keys"}});
    context.session().close();
    for (const json& finding : reply.at("findings")) {
      report.findings.push_back({.check = finding.at("check"),
                                 .verdict = verdict_of(finding.at("verdict")),
                                 .found = finding.at("found"),
                                 .meaning = finding.at("meaning")});
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) throw;
    const bool keys = error.code() == ErrorCode::key_unavailable;
    report.findings.push_back({.check = "encryption",
                               .verdict = keys ? Soundness::unsound : Soundness::skipped,
                               .found = error.problem(),
                               .meaning = error.advice()});
  }
}

int doctor(Context& context, const DoctorOptions& asked) {
  DoctorOptions options = asked;
  options.stop = context.stop();
  const TieredStoreConfig config = context.settings().config();
  DoctorReport report = examine(config, options);
  const bool cold_sound = report.sound();
  for (DoctorFinding& finding : examine_master_key(config).findings)
    report.findings.push_back(std::move(finding));
  examine_keys(context, config, report);
  if (context.json()) {
    json out{{"cold_type", to_string(config.cold.type)},
             {"sound", report.sound()},
             {"findings", json::array()},
             {"left_over", report.left_over}};
    for (const DoctorFinding& finding : report.findings) {
      out["findings"].push_back({{"check", finding.check},
                                 {"verdict", to_string(finding.verdict)},
                                 {"found", finding.found},
                                 {"meaning", finding.meaning}});
    }
    Context::print(out);
  } else {
    print_findings(context.terminal(), report);
    std::cout << (cold_sound ? "the cold tier (" : "the cold tier is not to be trusted (")
              << to_string(config.cold.type) << (cold_sound ? ") does what db4 depends on\n" : ")\n");
    if (cold_sound && !report.sound()) std::cout << "keys and sealing are not in order, see above\n";
  }
  return report.sound() ? kOk : kFailed;
}

void add_doctor(CommandTree& tree) {
  const auto options = std::make_shared<DoctorOptions>();
  const auto no_uploads = std::make_shared<bool>(false);
  CLI::App& command = tree.add(
      {.name = "doctor",
       .group = "The store",
       .summary = "Try out what the cold tier really does, and see whether keys and sealing are in order",
       .details =
           "Writing, conditions, ranges, lists, checksums, the clock, and uploads in parts, under names of "
           "its "
           "own, which are removed again: some eighty requests and, with uploads, some 20 MiB. The store may "
           "be held by another process. Ends with 1 where documents would not be safe.\n\n"
           "Of an encrypted store also: keys that expired, documents that are plain, under older keys or "
           "under one that is to be destroyed, and a master key that others can read or that lies with the "
           "data.",
       .examples = "db4 doctor\n"
                   "db4 doctor --no-uploads --json | jq .sound"},
      [options, no_uploads](Context& context) {
        options->uploads = !*no_uploads;
        return doctor(context, *options);
      });
  command.add_flag("--no-uploads", *no_uploads, "Leave uploads in parts out, which send the most");
}

struct RebuildFlags {
  std::string store_id;
  std::size_t concurrency = RebuildOptions{}.concurrency;
  bool verify_large = false;
  bool without_keys = false;
};

json rebuild_json(const RebuildResult& result) {
  json doubts = json::array();
  for (const RebuildDoubt& doubt : result.doubts) {
    doubts.push_back(
        {{"object", doubt.object}, {"collection", doubt.collection}, {"id", doubt.id}, {"what", doubt.what}});
  }
  return {{"store_id", result.store_id},
          {"objects", result.objects},
          {"segments", result.segments},
          {"bytes", result.bytes},
          {"documents", result.documents},
          {"document_bytes", result.document_bytes},
          {"older_copies", result.older_copies},
          {"damaged", result.damaged},
          {"unknown", result.unknown},
          {"doubts_in_all", result.doubts_in_all},
          {"doubts", doubts}};
}

void print_rebuilt(const RebuildResult& result) {
  std::cout << "rebuilt " << describe_count(result.documents, "document") << " of "
            << describe_bytes(result.document_bytes) << " from " << describe_count(result.objects, "object")
            << " of store " << result.store_id << "\n"
            << "  passed over: " << describe_count(result.older_copies) << " older copies, "
            << describe_count(result.damaged) << " damaged, " << describe_count(result.unknown)
            << " of another form\n";
  for (std::size_t i = 0; i < std::min(kShown, result.doubts.size()); ++i) {
    const RebuildDoubt& doubt = result.doubts[i];
    std::cout << "  doubt: " << (doubt.collection.empty() ? "" : name_of({doubt.collection, doubt.id}) + ": ")
              << escape(doubt.what) << " (" << escape(doubt.object) << ")\n";
  }
  if (result.doubts_in_all > kShown)
    std::cout << "  ... and " << describe_count(result.doubts_in_all - kShown) << " more\n";
  std::cout << "What was removed, or only hot, is not known to cold: look before you rely on it.\n";
}

int rebuild(const Context& context, const RebuildFlags& flags) {
  Progress progress(context, "rebuild");
  const RebuildResult result = rebuild_catalog(context.settings().config(),
                                               {.store_id = flags.store_id,
                                                .concurrency = flags.concurrency,
                                                .verify_large = flags.verify_large,
                                                .without_keys = flags.without_keys,
                                                .on_progress =
                                                    [&](const RebuildProgress& now) {
                                                      progress.update({.documents = now.documents,
                                                                       .bytes = now.bytes,
                                                                       .total_documents = {},
                                                                       .total_bytes = {},
                                                                       .more = {{"objects", now.objects}}});
                                                    },
                                                .stop = context.stop()});
  progress.clear();
  if (context.json()) {
    Context::print(rebuild_json(result));
  } else {
    print_rebuilt(result);
  }
  return result.damaged == 0 ? kOk : kFailed;
}

void add_rebuild(CommandTree& tree) {
  const auto flags = std::make_shared<RebuildFlags>();
  CLI::App& command =
      tree.add({.name = "rebuild",
                .group = "The store",
                .summary = "Make a lost hot folder anew from the objects of the cold tier",
                .details = "For when hot/ is gone and there is no backup. Each document "
                           "comes back in the newest version that went to "
                           "cold; what was only hot is lost, and what was removed may come "
                           "back. The folder's db4.toml says where "
                           "the objects are; hot/ must be empty or absent: move away what is "
                           "left of it first. Of a store in PostgreSQL that is the schema. "
                           "An encrypted store's begins with the copy of its keys in cold, and "
                           "needs the master key; one that was made plain again is rebuilt with "
                           "--without-keys. Ends with 1 where something was damaged or left out.",
                .examples = "db4 rebuild  # in a folder whose hot/ was moved away\n"
                            "db4 rebuild --verify-large --json | jq .doubts"},
               [flags](Context& context) { return rebuild(context, *flags); });
  command
      .add_option("--store-id", flags->store_id, "Of several stores under one prefix, the one that is meant")
      ->type_name("HEX");
  command.add_option("--concurrency", flags->concurrency, "Objects read at once (4)")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, kMaxUploadConcurrency));
  command.add_flag("--verify-large", flags->verify_large, "Read large documents whole, to check all of them");
  command.add_flag("--without-keys", flags->without_keys,
                   "Take what is plain, and leave out, and list, what is sealed");
}

}  // namespace

void add_upkeep_commands(CommandTree& tree) {
  add_gc(tree);
  add_compact(tree);
  add_doctor(tree);
  add_rebuild(tree);
}

}  // namespace db4::cli
