// stats: everything the store says about itself, now and over time.
#include "context.hpp"
#include "exit_code.hpp"
#include "parts.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <iostream>

namespace db4::cli {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 3> kTiers{"hot", "warm", "cold"};

std::string count(const json& figures, const char* name) { return describe_count(figures.at(name)); }
/// Of a figure that a process of an older release, asked through its socket, does not tell.
std::string newer_count(const json& figures, const char* name) {
  return describe_count(figures.value(name, std::uint64_t{0}));
}
std::string bytes(const json& figures, const char* name) { return describe_bytes(figures.at(name)); }

std::string latency(const json& nanoseconds) {
  return describe_latency(std::chrono::nanoseconds{nanoseconds.get<std::int64_t>()});
}

/// "-" where nothing was measured, so that 0 ns is not taken for fast.
std::vector<std::string> latency_cells(const json& figures) {
  std::vector<std::string> cells;
  for (const char* name : {"p50_ns", "p90_ns", "p99_ns", "max_ns"}) {
    cells.push_back(figures.at("count") == 0 ? "-" : latency(figures.at(name)));
  }
  return cells;
}

class StatsText {
 public:
  StatsText(const json& stats, const Terminal& terminal) : stats_(stats), terminal_(terminal) {}

  std::string make() {
    add_tiers();
    add_use();
    add_copies();
    add_cold();
    add_moves_and_cost();
    add_encryption();
    add_engine();
    return out_;
  }

 private:
  using Rows = std::vector<std::pair<std::string, std::string>>;

  void add_group(const std::string& name, const Rows& rows) {
    constexpr std::size_t kColumn = 26;
    out_ += "\n" + terminal_.paint(Emphasis::heading, name) + "\n";
    for (const auto& [what, value] : rows)
      out_ += "  " + what + std::string(kColumn - what.size(), ' ') + value + "\n";
  }

  void add_tiers() {
    std::uint64_t hits = 0;
    for (const char* tier : kTiers) hits += stats_.at("tiers").at(tier).at("hits").get<std::uint64_t>();
    Table table({"tier", "documents", "bytes", "hits", "share", "p50", "p90", "p99", "max"});
    for (const char* tier : kTiers) {
      const json& figures = stats_.at("tiers").at(tier);
      std::vector<std::string> row{
          paint_tier(terminal_, tier) + (std::string(tier) == "warm" ? " (copies)" : ""),
          count(figures, "documents"), bytes(figures, "bytes"), count(figures, "hits"),
          describe_share(figures.at("hits"), hits)};
      for (std::string& cell : latency_cells(figures.at("latency"))) row.push_back(std::move(cell));
      table.add(std::move(row));
    }
    std::vector<std::string> writes{"writes", "", "", count(stats_, "writes"), ""};
    for (std::string& cell : latency_cells(stats_.at("write_latency"))) writes.push_back(std::move(cell));
    table.add(std::move(writes));
    out_ += table.text(terminal_);
  }

  void add_use() {
    add_group(
        "Use since it was opened, " +
            describe_age(std::chrono::milliseconds{stats_.at("uptime_ms").get<std::int64_t>()}) + " ago",
        {{"reads", count(stats_, "reads") + ", of them " + count(stats_, "read_misses") + " of no document"},
         {"writes", count(stats_, "writes") + " in " + count(stats_, "commits") + " commits, " +
                        count(stats_, "syncs") + " syncs"},
         {"removes", count(stats_, "removes")},
         {"conflicts", count(stats_, "conflicts")},
         {"damaged copies", count(stats_, "damaged_copies")},
         {"lost access figures", count(stats_, "lost_access_figures")}});
  }

  void add_copies() {
    const json& hot = stats_.at("hot");
    const json& warm = stats_.at("warm");
    const bool bounded = hot.at("max_size") != 0;
    add_group("Hot", {{"room", bounded ? bytes(hot, "max_size") : "not bounded"},
                      {"copies in memory", count(hot, "cache_entries") + ", " + bytes(hot, "cache_bytes") +
                                               ", " + count(hot, "cache_hits") + " hits, " +
                                               count(hot, "cache_evictions") + " evicted"},
                      {"writes for want of room",
                       count(hot, "waits") + " waited, " + count(hot, "refusals") + " refused"}});
    Rows rows{{"copies", count(warm, "entries") + ", " + bytes(warm, "bytes")},
              {"hits", count(warm, "hits") + " fresh, " + count(warm, "stale_hits") + " stale"},
              {"misses", count(warm, "misses") + ", of them " + newer_count(warm, "expired") + " expired"},
              {"refreshes", count(warm, "refreshes") + ", " + count(warm, "failed_refreshes") + " failed"},
              {"evicted", count(warm, "evictions")},
              {"errors of the cache", count(warm, "cache_errors")}};
    if (stats_.at("store").value("warm_type", "") == "redis") {
      rows.emplace_back("left to other nodes", newer_count(warm, "refused_refreshes") + " refreshes");
      rows.emplace_back("fetches agreed upon", newer_count(warm, "waits") + " waited for another node, " +
                                                   newer_count(warm, "shared_fills") + " were spared, " +
                                                   newer_count(warm, "lost_leases") + " were not stored");
    }
    // A process of an older release, asked through its socket, does not tell it.
    if (const std::string error = warm.value("last_error", ""); !error.empty()) {
      rows.emplace_back("last error of the cache", terminal_.paint(Emphasis::bad, escape(error)));
    }
    add_group("Warm", rows);
  }

  void add_cold() {
    const json& cold = stats_.at("cold");
    std::uint64_t failures = 0;
    std::uint64_t retries = 0;
    for (const json& request : cold.at("requests")) {
      failures += request.at("failures").get<std::uint64_t>();
      retries += request.at("retries").get<std::uint64_t>();
    }
    add_group(
        "Cold",
        {{"records", bytes(cold, "record_bytes") + " for " + bytes(cold, "bytes") + " of documents"},
         {"objects", count(cold, "objects") + ", " + bytes(cold, "object_bytes")},
         {"requests", count(cold, "put_requests") + " put, " + count(cold, "get_requests") + " get, " +
                          count(cold, "delete_requests") + " delete"},
         {"of these", describe_count(failures) + " failed, " + describe_count(retries) + " repeated another"},
         {"reads that joined another", count(cold, "shared_reads")}});
  }

  void add_moves_and_cost() {
    const json& moves = stats_.at("moves");
    add_group("Moves",
              {{"promoted", count(moves, "promoted")},
               {"demoted", count(moves, "demoted")},
               {"failed", count(moves, "failed")},
               {"moved", bytes(moves, "bytes") + " in " + count(moves, "runs") + " runs"},
               {"not promoted", count(moves, "promotions_skipped") + " reads, for want of room in hot"}});
    add_nodes(moves);
    const json& cost = stats_.at("cost");
    const int digits = cost.at("all_hot").get<double>() < 1 ? 6 : 2;
    const auto dollars = [&](const char* name) { return describe_dollars(cost.at(name), digits); };
    add_group("A month as it stands now", {{"hot storage", dollars("hot_storage")},
                                           {"cold storage", dollars("cold_storage")},
                                           {"requests so far", dollars("requests")},
                                           {"together", dollars("total")},
                                           {"all of it hot", dollars("all_hot")}});
  }

  /// Of a store that has others beside it.
  void add_nodes(const json& moves) {
    const json& news = stats_.at("invalidation");
    Rows rows;
    if (stats_.at("store").value("hot_type", "") == "postgres") {
      rows.push_back(
          {"claims", count(moves, "claims") + ", others had " + count(moves, "lost_claims") + " before"});
    }
    if (const std::string channel = news.value("channel", ""); !channel.empty()) {
      rows.push_back({"channel", escape(channel) + (news.value("polls", false) ? ", polled" : "") + ", " +
                                     count(news, "nodes") + " others heard of"});
      rows.push_back({"events", count(news, "sent") + " sent, " + count(news, "received") + " received, " +
                                    count(news, "waiting") + " waiting"});
      rows.push_back({"missed", count(news, "missed") + ", " + count(news, "recovered") + " recovered"});
      rows.push_back({"copies dropped", count(news, "dropped_copies")});
    }
    if (!rows.empty()) add_group("Nodes", rows);
  }

  void add_encryption() {
    const json encryption = stats_.value("encryption", json::object());
    if (!encryption.value("encrypted", false)) return;
    Rows rows{{"new documents", encryption.at("writes").get<bool>() ? "are sealed" : "are written plain"},
              {"active key", encryption.at("active_key_id").get<std::string>()},
              {"copies on other keys", count(encryption, "copies_on_old_keys")},
              {"plain documents", encryption.at("plain_left").get<bool>() ? "there may be some" : "none"}};
    for (const json& key : encryption.at("keys"))
      rows.emplace_back("  " + key.at("key_id").get<std::string>(), count(key, "copies") + " copies");
    add_group("Encryption", rows);
  }

  void add_engine() {
    const json& store = stats_.at("store");
    const auto word = [&](const char* name) { return store.at(name).get<std::string>(); };
    Rows rows{{"hot, warm, cold", word("hot_type") + ", " + word("warm_type") + ", " + word("cold_type")},
              {"durability", word("durability")},
              {"compression", word("compression")},
              {"format", store.at("format").dump()},
              {"store id", escape(word("id"))},
              {"process", store.at("pid").dump()},
              {"tombstones", count(stats_, "tombstones")}};
    const std::string trouble = stats_.at("last_background_error");
    if (!trouble.empty())
      rows.emplace_back("last error in background", terminal_.paint(Emphasis::bad, escape(trouble)));
    add_group("Store", rows);
  }

  const json& stats_;
  const Terminal& terminal_;
  std::string out_;
};

/// Samples next to each other as one: where documents stand at the last, what happened in all of them.
struct Stretch {
  json last;
  std::array<std::uint64_t, 3> hits{};
  std::uint64_t misses = 0;
  std::uint64_t writes = 0;
  std::uint64_t promoted = 0;
  std::uint64_t demoted = 0;
  std::chrono::milliseconds length{0};

  void add(const json& sample) {
    for (std::size_t i = 0; i < kTiers.size(); ++i)
      hits[i] += sample.at("tiers").at(kTiers[i]).at("hits").get<std::uint64_t>();
    misses += sample.at("read_misses").get<std::uint64_t>();
    writes += sample.at("writes").get<std::uint64_t>();
    promoted += sample.at("promoted").get<std::uint64_t>();
    demoted += sample.at("demoted").get<std::uint64_t>();
    length += std::chrono::milliseconds{sample.at("interval_ms").get<std::int64_t>()};
    last = sample;
  }

  [[nodiscard]] std::vector<std::string> row() const {
    const std::uint64_t reads = hits[0] + hits[1] + hits[2];
    const json& hot = last.at("tiers").at("hot");
    const json& cold = last.at("tiers").at("cold");
    const json& cost = last.at("cost");
    const double month = cost.at("hot_storage").get<double>() + cost.at("cold_storage").get<double>();
    return {describe_time(TimePoint{std::chrono::microseconds{last.at("at").get<std::int64_t>()}}),
            describe_age(length),
            count(hot, "documents"),
            bytes(hot, "bytes"),
            count(cold, "documents"),
            bytes(cold, "bytes"),
            describe_count(reads + misses),
            describe_share(hits[0], reads),
            describe_count(writes),
            describe_count(promoted),
            describe_count(demoted),
            describe_dollars(month, month < 1 ? 4 : 2)};
  }
};

std::string history_text(const json& samples, std::size_t lines, const Terminal& terminal) {
  Table table({"until", "for", "hot", "bytes", "cold", "bytes", "reads", "hot hits", "writes", "promoted",
               "demoted", "a month"});
  lines = std::max<std::size_t>(lines, 1);
  const std::size_t each = (samples.size() + lines - 1) / lines;
  for (std::size_t i = 0; i < samples.size(); i += each) {
    Stretch stretch;
    for (std::size_t k = i; k < std::min(i + each, samples.size()); ++k) stretch.add(samples[k]);
    table.add(stretch.row());
  }
  std::string out = table.text(terminal);
  if (each > 1) {
    out += terminal.paint(Emphasis::faint, "  each line stands for up to " + describe_count(each) + " of " +
                                               describe_count(samples.size()) +
                                               " samples: --lines, or --json for all") +
           "\n";
  }
  return out;
}

struct StatsOptions {
  bool history = false;
  std::string since;
  std::size_t lines = 0;
};

int history(Context& context, const StatsOptions& options) {
  json request{{"op", "samples"}};
  if (!options.since.empty()) {
    const TimePoint since = system_clock()->now() - parse_duration(options.since);
    request["since"] = std::max<std::int64_t>(since.time_since_epoch().count(), 0);
  }
  const json reply = context.ask(request);
  context.session().close();
  if (context.json()) {
    Context::print(reply);
    return kOk;
  }
  const json& samples = reply.at("samples");
  if (samples.empty()) {
    std::cout << "no samples yet: one is kept about every stats.sample_interval, and when the store closes\n";
    return kOk;
  }
  // All of them away from a terminal; on one, what it shows with the head and the prompt.
  constexpr std::size_t kAround = 4;
  std::size_t lines = options.lines;
  if (lines == 0) {
    lines = context.terminal().output_is_terminal() ? std::max(Terminal::height(), kAround + 1) - kAround
                                                    : samples.size();
  }
  std::cout << history_text(samples, lines, context.terminal());
  return kOk;
}

int stats(Context& context, const StatsOptions& options) {
  if (options.history) return history(context, options);
  const json reply = context.ask({{"op", "stats"}});
  const bool live = context.session().live();
  context.session().close();
  if (context.json()) {
    Context::print(reply);
    return kOk;
  }
  std::cout << StatsText(reply, context.terminal()).make();
  if (!live) {
    std::cout << context.terminal().paint(
                     Emphasis::faint,
                     "\n  Nobody holds the store: hits, requests and latencies are of this command alone; "
                     "see --history.")
              << "\n";
  }
  return kOk;
}

}  // namespace

void add_stats_command(CommandTree& tree) {
  const auto options = std::make_shared<StatsOptions>();
  CLI::App& command = tree.add(
      {.name = "stats",
       .group = "Look",
       .summary = "Everything the store says about itself, now or over time",
       .details =
           "Counts are of the process that holds the store, since it opened it. --history has what was "
           "kept of all processes, a line for each interval.",
       .examples = "db4 stats\n"
                   "db4 stats --history\n"
                   "db4 stats --history --since 7d --lines 40\n"
                   "db4 stats --json | jq .tiers.hot"},
      [options](Context& context) { return stats(context, *options); });
  CLI::Option* past =
      command.add_flag("--history", options->history, "What the figures were, from the kept samples");
  add_duration_option(command, "--since", options->since, "With --history: no further back than this")
      ->needs(past);
  command
      .add_option("--lines", options->lines,
                  "With --history: so many lines; else what the terminal shows, or all")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->needs(past);
}

}  // namespace db4::cli
