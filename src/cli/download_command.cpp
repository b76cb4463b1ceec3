// download: a document of any size into a file, whole or a part of it.
#include "context.hpp"
#include "exit_code.hpp"
#include "files.hpp"
#include "parts.hpp"
#include "progress.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <algorithm>
#include <charconv>
#include <iostream>

namespace db4::cli {
namespace {

using nlohmann::json;

/// "0-1023", "1048576-" or "-100", as HTTP has it (RFC 9110, 14.1.2): both ends belong to it.
struct WantedRange {
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> last;  ///< without a first one: so many from the end
};

std::optional<std::uint64_t> parse_offset(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<WantedRange> parse_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos || text == "-") return std::nullopt;
  WantedRange range{.first = parse_offset(text.substr(0, dash)), .last = parse_offset(text.substr(dash + 1))};
  const bool broken = (dash > 0 && !range.first) || (dash + 1 < text.size() && !range.last);
  if (broken || (range.first && range.last && *range.last < *range.first)) return std::nullopt;
  return range;
}

/// Within a document of that size.
ByteRange within(const WantedRange& wanted, std::uint64_t size) {
  if (!wanted.first && wanted.last) {
    const std::uint64_t length = std::min(*wanted.last, size);
    return {.offset = size - length, .length = length};
  }
  ByteRange range{.offset = wanted.first.value_or(0)};
  if (wanted.last) range.length = *wanted.last - range.offset + 1;
  return range;
}

struct DownloadFlags {
  Key key;
  std::string file;
  std::string range;
  std::size_t concurrency = ReadLargeOptions{}.concurrency;
};

class Download {
 public:
  Download(Context& context, const DownloadFlags& flags)
      : context_(context),
        flags_(flags),
        session_(context.session(SessionKind::long_one)),
        progress_(context, "download", {}, "") {}

  int run() {
    const json found = json::parse(session_.ask(request_for("stat", flags_.key)).json);
    if (!found.at("found").get<bool>()) return report_not_found(context_, flags_.key, found);
    const ByteRange range =
        within(flags_.range.empty() ? WantedRange{} : *parse_range(flags_.range), found.at("size"));
    // Nothing of it is written before the first piece was read and checked.
    const auto result = session_.live() ? read_through_socket(range) : read_here(range);
    if (!result) return report_not_found(context_, flags_.key, {{"found", false}});
    session_.close();
    if (flags_.file == "-") {
      if (!std::cout.flush()) return kOk;  // main says so
    } else {
      output().finish();
    }
    progress_.clear();
    report(*result);
    return kOk;
  }

 private:
  OutputFile& output() {
    if (!output_) output_.emplace(flags_.file);
    return *output_;
  }

  void write(ByteView bytes) {
    if (flags_.file != "-") {
      output().write(as_text(bytes));
    } else if (!(std::cout << as_text(bytes))) {
      std::cout.clear();
      throw Error(ErrorCode::permission_denied, "cannot write to standard output",
                  "check space there, and that its reader is still there");
    }
  }

  void tell(std::uint64_t done, std::uint64_t total) {
    progress_.update(
        {.documents = 0, .bytes = done, .total_documents = {}, .total_bytes = total, .more = {}});
  }

  std::optional<ReadLargeResult> read_here(const ByteRange& range) {
    return session_.store()->cold_storage().read_large(
        flags_.key.collection, flags_.key.id, [this](ByteView bytes) { write(bytes); }, range,
        {.concurrency = flags_.concurrency,
         .on_progress = [this](std::uint64_t done, std::uint64_t total) { tell(done, total); },
         .stop = context_.stop()});
  }

  /// Piece by piece. A document that is written meanwhile ends it: half of each version is none.
  std::optional<ReadLargeResult> read_through_socket(const ByteRange& range) {
    json request = request_for("read", flags_.key);
    std::optional<ReadLargeResult> whole;
    std::uint64_t done = 0;
    for (std::uint64_t total = range.length; done < total || !whole;) {
      if (context_.interrupted())
        throw Error(ErrorCode::cancelled, "interrupted; nothing is written", "run it again");
      request["offset"] = range.offset + done;
      request["length"] = std::min(total - done, kMaxReadOperationBytes);
      const OperationReply reply = session_.ask(request);
      const json piece = json::parse(reply.json);
      if (!piece.at("found").get<bool>() && !whole) return std::nullopt;
      if (whole && (!piece.at("found").get<bool>() || piece.at("version") != whole->version)) {
        throw Error(ErrorCode::conflict, name_of(flags_.key) + " was written or removed meanwhile",
                    "run it again");
      }
      if (!whole) {
        whole = ReadLargeResult{.version = piece.at("version"),
                                .size = piece.at("size"),
                                .bytes = 0,
                                .content_type = piece.at("content_type")};
        total = std::min(range.length, whole->size - range.offset);
      }
      write(as_bytes(reply.body));
      done += reply.body.size();
      whole->bytes = done;
      tell(done, total);
    }
    return whole;
  }

  void report(const ReadLargeResult& result) const {
    if (context_.json()) {
      // Standard output may have the document.
      (flags_.file == "-" ? std::cerr : std::cout) << json{{"found", true},
                                                           {"version", result.version},
                                                           {"size", result.size},
                                                           {"bytes", result.bytes},
                                                           {"content_type", result.content_type}}
                                                          .dump()
                                                   << "\n";
    } else if (flags_.file != "-") {
      std::cout << "downloaded " << name_of(flags_.key) << " version " << result.version << ", "
                << describe_bytes(result.bytes)
                << (result.bytes == result.size ? "" : " of " + describe_bytes(result.size)) << "\n";
    }
  }

  Context& context_;
  const DownloadFlags& flags_;
  Session& session_;
  Progress progress_;
  std::optional<OutputFile> output_;
};

}  // namespace

void add_download(CommandTree& tree) {
  const auto flags = std::make_shared<DownloadFlags>();
  CLI::App& command = tree.add(
      {.name = "download",
       .group = "Large documents",
       .summary = "Read a document of any size into a file, or a part of it",
       .details =
           "Every byte is checked. It is no access: nothing counts as read, nothing is promoted. The file is "
           "there whole or not at all.",
       .examples = "db4 download videos intro intro.mp4\n"
                   "db4 download videos intro start.mp4 --range 0-1048575  # the first MiB\n"
                   "db4 download videos intro - --range -100 | wc -c  # the last 100 bytes"},
      [flags](Context& context) { return Download(context, *flags).run(); });
  add_key(command, flags->key);
  command.add_option("file", flags->file, "File; -: standard output")->required()->type_name("");
  const auto check = [](const std::string& word) {
    return parse_range(word) ? std::string()
                             : "'" + escape(word) + "' is no range: write 0-1023, 1024- or -100";
  };
  command.add_option("--range", flags->range, "Bytes FIRST-LAST from 0 on, FIRST-, or -LAST of them")
      ->type_name("RANGE")
      ->check(CLI::Validator(check, ""));
  command.add_option("--concurrency", flags->concurrency, "Pieces of 8 MiB read at once (4)")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, kMaxUploadConcurrency));
}

}  // namespace db4::cli
