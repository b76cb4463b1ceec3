// top: what a store does just now, looked at again and again.
#include "context.hpp"
#include "exit_code.hpp"
#include "parts.hpp"
#include "screen.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <algorithm>
#include <iostream>

namespace db4::cli {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 3> kTiers{"hot", "warm", "cold"};
constexpr std::size_t kListed = 10;
/// How soon a stop and another size of the terminal are noticed.
constexpr std::chrono::milliseconds kGlance{100};

struct TopOptions {
  std::string interval = "2s";
  std::size_t count = 0;
  bool once = false;
};

/// The store that is looked at: the one another process holds, or else opened here, for others to use.
class Watched {
 public:
  explicit Watched(const Context& context)
      : stop_(context.stop()),
        config_(context.settings().config()),
        live_(LiveClient::connect(config_.hot.path)) {
    if (live_) {
      context.refuse_settings();
    } else {
      store_ = context.open_store();
    }
  }

  [[nodiscard]] bool live() const noexcept { return live_ != nullptr; }

  json look() {
    const std::string request = json{{"op", "top"}, {"limit", kListed}}.dump();
    if (!live_) return json::parse(run_operation(*store_, request).json);
    try {
      return json::parse(live_->run(request, {}, stop_).json);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unavailable) throw;
      throw Error(ErrorCode::unavailable, "the process that held the store has closed it",
                  "run it again to watch whoever opens it next");
    }
  }

  void close() {
    if (store_) store_->close();
  }

 private:
  std::stop_token stop_;
  TieredStoreConfig config_;
  std::unique_ptr<LiveClient> live_;
  std::unique_ptr<TieredStore> store_;
};

std::int64_t figure(const json& stats, const char* name) { return stats.at(name).get<std::int64_t>(); }

/// What happened between two looks, a second.
json rates_between(const json& before, const json& now) {
  const json& old = before.at("stats");
  const json& stats = now.at("stats");
  const double seconds = static_cast<double>(figure(now, "at") - figure(before, "at")) / 1e6;
  const auto rate = [&](std::int64_t earlier, std::int64_t later) {
    return seconds > 0 ? std::max(static_cast<double>(later - earlier) / seconds, 0.0) : 0.0;
  };
  const auto moves = [](const json& of) {
    return figure(of.at("moves"), "promoted") + figure(of.at("moves"), "demoted");
  };
  json hits;
  for (const char* tier : kTiers) {
    hits[tier] = rate(figure(old.at("tiers").at(tier), "hits"), figure(stats.at("tiers").at(tier), "hits"));
  }
  return {{"seconds", std::max(seconds, 0.0)},
          {"reads", rate(figure(old, "reads"), figure(stats, "reads"))},
          {"writes", rate(figure(old, "writes"), figure(stats, "writes"))},
          {"removes", rate(figure(old, "removes"), figure(stats, "removes"))},
          {"moves", rate(moves(old), moves(stats))},
          {"hits", std::move(hits)}};
}

std::string per_second(const json& rate) {
  const double value = rate;
  return value < 10 ? std::to_string(value).substr(0, 3) + "/s"
                    : describe_count(static_cast<std::uint64_t>(value + 0.5)) + "/s";
}

std::string latency_cell(const json& latency, const char* name) {
  if (latency.at("count") == 0) return "-";
  return describe_latency(std::chrono::nanoseconds{latency.at(name).get<std::int64_t>()});
}

std::string tiers_text(const json& look, const Terminal& terminal) {
  const json& tiers = look.at("stats").at("tiers");
  const json& hits = look.at("rates").at("hits");
  double all = 0;
  for (const char* tier : kTiers) all += hits.at(tier).get<double>();
  Table table({"tier", "documents", "bytes", "hits", "share", "p50", "p99"});
  for (const char* tier : kTiers) {
    const json& figures = tiers.at(tier);
    const auto share = static_cast<std::uint64_t>(hits.at(tier).get<double>() * 1000);
    table.add({paint_tier(terminal, tier), describe_count(figures.at("documents")),
               describe_bytes(figures.at("bytes")), per_second(hits.at(tier)),
               describe_share(share, static_cast<std::uint64_t>(all * 1000)),
               latency_cell(figures.at("latency"), "p50_ns"), latency_cell(figures.at("latency"), "p99_ns")});
  }
  return table.text(terminal);
}

/// An id may be longer than a line.
std::string shortened(const std::string& name) {
  constexpr std::size_t kLongest = 60;
  return name.size() <= kLongest ? name : name.substr(0, kLongest - 3) + "...";
}

std::string busy_text(const json& look, const Terminal& terminal) {
  std::string out;
  if (!look.at("busiest").empty()) {
    Table table({"busiest documents", "recent reads"});
    for (const json& busy : look.at("busiest")) {
      const Key key{.collection = busy.at("collection"), .id = busy.at("id")};
      table.add({shortened(name_of(key)), describe_count(busy.at("recent_access_count"))});
    }
    out += "\n" + table.text(terminal);
  }
  if (!look.at("prefixes").empty()) {
    Table table({"busiest prefixes", "documents", "recent reads"});
    for (const json& busy : look.at("prefixes")) {
      const Key key{.collection = busy.at("collection"), .id = busy.at("prefix")};
      table.add({shortened(name_of(key)) + "...", describe_count(busy.at("documents")),
                 describe_count(busy.at("recent_access_count"))});
    }
    out += "\n" + table.text(terminal);
  }
  return out;
}

std::string text_of(const json& look, bool live, const Terminal& terminal) {
  const json& rates = look.at("rates");
  const json& store = look.at("stats").at("store");
  const TimePoint at{std::chrono::microseconds{figure(look, "at")}};
  std::string out = terminal.paint(Emphasis::heading, "db4 top") + "  " + describe_time(at);
  out += live ? "  held by process " + store.at("pid").dump()
              : "  nobody holds the store: rates are of this process only";
  out += "\n  " + per_second(rates.at("reads")) + " reads, " + per_second(rates.at("writes")) + " writes, " +
         per_second(rates.at("removes")) + " removes, " + per_second(rates.at("moves")) + " moves\n\n";
  return out + tiers_text(look, terminal) + busy_text(look, terminal);
}

/// Redraws until q, Ctrl-C, or as often as --count says.
void watch_on_screen(Context& context, Watched& store, std::chrono::milliseconds interval,
                     std::size_t count) {
  const std::shared_ptr<Clock> clock = system_clock();
  Screen screen;
  json before = store.look();
  for (std::size_t shown = 0;;) {
    json look = store.look();
    look["rates"] = rates_between(before, look);
    const std::string text = text_of(look, store.live(), context.terminal()) + "\n  q ends it\n";
    screen.draw(text);
    ++shown;
    if (count != 0 && shown > count) return;
    const MonotonicTime until = clock->monotonic() + interval;
    for (MonotonicTime now = clock->monotonic(); now < until; now = clock->monotonic()) {
      if (context.interrupted()) return;
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - now);
      const Screen::Event event = screen.wait(std::min(kGlance, left + std::chrono::milliseconds{1}));
      if (event == Screen::Event::quit) return;
      if (event == Screen::Event::resized) screen.draw(text);
    }
    before = std::move(look);
  }
}

/// One JSON line, or one table, for each interval.
void watch_in_lines(Context& context, Watched& store, std::chrono::milliseconds interval, std::size_t count) {
  const std::shared_ptr<Clock> clock = system_clock();
  json before = store.look();
  for (std::size_t shown = 0; count == 0 || shown < count; ++shown) {
    if (!clock->sleep_for(interval, context.stop())) return;
    json look = store.look();
    look["rates"] = rates_between(before, look);
    look["live"] = store.live();
    if (context.json()) {
      std::cout << look.dump() << "\n" << std::flush;
    } else {
      std::cout << (shown == 0 ? "" : "\n") << text_of(look, store.live(), context.terminal()) << std::flush;
    }
    if (!std::cout) return;
    before = std::move(look);
  }
}

int top(Context& context, const TopOptions& options) {
  const std::chrono::milliseconds interval = parse_duration(options.interval);
  if (interval < kGlance) {
    throw Error(ErrorCode::invalid_argument, "--interval " + options.interval + " is too short",
                "use 100ms or more");
  }
  Watched store(context);
  if (options.once || context.json() || !context.terminal().output_is_terminal()) {
    watch_in_lines(context, store, interval, options.once ? 1 : options.count);
  } else {
    watch_on_screen(context, store, interval, options.count);
  }
  store.close();
  return kOk;
}

}  // namespace

void add_top_command(CommandTree& tree) {
  const auto options = std::make_shared<TopOptions>();
  CLI::App& command = tree.add(
      {.name = "top",
       .group = "Look",
       .summary = "Watch what a store does: rates, tiers, the busiest documents and prefixes",
       .details =
           "On a terminal it is redrawn until q or Ctrl-C; elsewhere, and with --json, there is a table or a "
           "line "
           "for each interval. Latencies are since the store was opened. Where nobody holds the store it is "
           "opened here, for others to use through its socket.",
       .examples = "db4 top\n"
                   "db4 top --once\n"
                   "db4 top --json --interval 10s --count 6 | jq .rates.reads"},
      [options](Context& context) { return top(context, *options); });
  add_duration_option(command, "--interval", options->interval, "Time between two looks, 100ms or more (2s)");
  command.add_option("--count", options->count, "End after so many intervals")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command.add_flag("--once", options->once, "Print one interval, and end");
}

}  // namespace db4::cli
