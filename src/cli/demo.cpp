#include "demo.hpp"

#include "corpus.hpp"
#include "report_command.hpp"
#include "settings.hpp"
#include "text.hpp"

#include <db4/storage.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <iostream>
#include <map>
#include <random>

namespace db4::cli {
namespace {

/// A file in the folder that says it may be replaced.
constexpr const char* kMark = "made-by-db4-demo";
constexpr std::size_t kImportBatch = 500;
constexpr double kZipfExponent = 0.99;
/// The popular documents move on by this share of all of them each day.
constexpr double kDriftPerDay = 0.002;
/// The hot tier holds this share of the documents' bytes.
constexpr std::uint64_t kHotShare = 4;

/// Simulated wall time over real monotonic time: a month passes in seconds, and latencies are true.
class DemoClock final : public Clock {
 public:
  explicit DemoClock(TimePoint start) : wall_us_(start.time_since_epoch().count()) {}
  [[nodiscard]] TimePoint now() const override {
    return TimePoint{std::chrono::microseconds{wall_us_.load()}};
  }
  [[nodiscard]] MonotonicTime monotonic() const override { return system_->monotonic(); }
  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  MonotonicTime deadline, const std::function<bool()>& ready) override {
    return system_->wait_until(lock, condition, deadline, ready);
  }
  void advance(std::chrono::microseconds by) { wall_us_ += by.count(); }

 private:
  const std::shared_ptr<Clock> system_ = system_clock();
  std::atomic<std::int64_t> wall_us_;
};

/// Which documents are asked for: a few of them most of the time, and others tomorrow than today.
class Traffic {
 public:
  Traffic(std::size_t documents, std::uint64_t seed) : random_(seed), order_(documents) {
    double sum = 0;
    cumulative_.reserve(documents);
    for (std::size_t rank = 0; rank < documents; ++rank) {
      sum += 1.0 / std::pow(static_cast<double>(rank + 1), kZipfExponent);
      cumulative_.push_back(sum);
      order_[rank] = rank;
    }
    std::shuffle(order_.begin(), order_.end(), random_);
  }
  std::size_t next(int day) {
    std::uniform_real_distribution<double> uniform(0, cumulative_.back());
    const auto rank =
        std::lower_bound(cumulative_.begin(), cumulative_.end(), uniform(random_)) - cumulative_.begin();
    const auto drift = static_cast<std::size_t>(static_cast<double>(day) * kDriftPerDay *
                                                static_cast<double>(order_.size()));
    return order_[(static_cast<std::size_t>(rank) + drift) % order_.size()];
  }

 private:
  std::mt19937_64 random_;
  std::vector<double> cumulative_;
  std::vector<std::size_t> order_;
};

class Demo {
 public:
  explicit Demo(const DemoOptions& options) : options_(options) {}

  int run() {
    prepare_folder();
    load();
    configure();
    open();
    import();
    replay();
    const StoreStats stats = store_->stats();
    draw();
    // What counts is what is on disk, not what this process remembers.
    store_->close();
    // Nor is the check a use of the documents: with room to track but one of them, and no sample of its
    // reads, their figures and the store's stay as the month left them.
    config_.tracker.max_keys = 1;
    config_.stats.sample_interval = 0ms;
    open();
    const std::size_t good = verify();
    report(stats, good);
    store_->close();
    suggest();
    return good == documents_.size() ? 0 : 1;
  }

 private:
  void say(const std::string& text) const {
    if (!options_.json) std::cout << text << std::endl;
  }
  void progress(const std::string& text) const {
    if (!options_.json && ::isatty(STDERR_FILENO) != 0) std::cerr << "\r\033[K" << text << std::flush;
  }

  void check_stop() const {
    if (!options_.stop.stop_requested()) return;
    throw Error(ErrorCode::cancelled,
                "interrupted; the store in " + options_.folder.string() + " is whole, up to here",
                "look into it, or start over with --replace");
  }

  void prepare_folder();
  void load();
  void thin_out();
  void configure();
  void open();
  void import();
  void replay();
  void rewrite(std::size_t index, int hour);
  void draw() const;
  [[nodiscard]] std::filesystem::path page() const { return options_.folder / "report.html"; }
  std::size_t verify();
  void report(const StoreStats& stats, std::size_t good) const;
  void report_bill(const StoreStats& stats) const;
  void suggest() const;

  const DemoOptions& options_;
  std::vector<CorpusDocument> documents_;
  std::uint64_t bytes_ = 0;
  TieredStoreConfig config_;
  std::shared_ptr<DemoClock> clock_;
  std::unique_ptr<TieredStore> store_;
};

void Demo::prepare_folder() {
  if (!std::filesystem::exists(options_.folder)) return;
  if (!options_.replace) {
    throw Error(ErrorCode::conflict, options_.folder.string() + " exists already",
                "name another with --dir, or replace it with --replace");
  }
  // Only what a demo made: a mistyped --dir must not cost anybody a store, or any other folder.
  if (!std::filesystem::exists(options_.folder / kMark)) {
    throw Error(ErrorCode::conflict,
                options_.folder.string() + " was not made by a demo, so --replace does not remove it",
                "name another folder with --dir");
  }
  std::filesystem::remove_all(options_.folder);
}

void Demo::load() {
  say(options_.input.empty() ? "Reading the Debian package index of this machine ..."
                             : "Reading " + options_.input + " ...");
  documents_ = options_.input.empty() ? read_package_index() : read_json_lines(options_.input);
  if (options_.documents != 0 && options_.documents < documents_.size()) thin_out();
  for (const CorpusDocument& document : documents_) bytes_ += document.body.size();
  say("  " + describe_count(documents_.size(), "document") + ", " + describe_bytes(bytes_) + " of JSON");
}

void Demo::thin_out() {
  for (std::size_t i = 0; i < options_.documents; ++i) {
    documents_[i] = documents_[i * documents_.size() / options_.documents];
  }
  documents_.resize(options_.documents);
}

void Demo::configure() {
  config_.hot.max_size = std::max<std::uint64_t>(bytes_ / kHotShare, 4_MiB);
  config_.hot.cache_size = 32_MiB;
  config_.hot.durability = Durability::process;
  config_.warm = {.type = WarmType::disk, .ttl = 48h, .max_size = std::max<std::uint64_t>(bytes_ / 8, 4_MiB)};
  config_.tiering.hot_threshold = 72h;
  config_.tiering.warm_threshold = 240h;
  config_.tiering.access_window = 24h;
  config_.cost = options_.cost;
  write_settings(options_.folder, config_);
  if (!(std::ofstream(options_.folder / kMark) << "`db4 demo --replace` may remove this folder.\n")) {
    throw Error(ErrorCode::permission_denied, "cannot write to " + options_.folder.string(),
                "check space and permissions there");
  }
  config_ = Settings::read(options_.folder).config();
  // So that the month ends about now, and the commands that follow see sensible ages.
  const TimePoint now = system_clock()->now();
  clock_ = std::make_shared<DemoClock>(now - std::chrono::hours{24} * options_.days);
}

void Demo::open() { store_ = std::make_unique<TieredStore>(config_, Components{.clock = clock_}); }

void Demo::import() {
  say("Importing (Durability::process; hot holds at most " + describe_bytes(config_.hot.max_size) +
      ", so the oldest make room as we go) ...");
  std::map<std::string, std::vector<BatchItem>> batches;
  const auto write = [&](const std::string& collection, std::vector<BatchItem>& items) {
    store_->write_batch(collection, items, {.timeout = 60s});
    items.clear();
  };
  const MonotonicTime started = clock_->monotonic();
  std::size_t done = 0;
  for (const CorpusDocument& document : documents_) {
    check_stop();
    std::vector<BatchItem>& items = batches[document.collection];
    items.push_back({.id = document.id, .body = document.body});
    if (items.size() == kImportBatch) write(document.collection, items);
    if (++done % 5000 == 0) progress(describe_count(done) + " imported");
  }
  for (auto& [collection, items] : batches) {
    if (!items.empty()) write(collection, items);
  }
  progress("");
  const double seconds = std::chrono::duration<double>(clock_->monotonic() - started).count();
  say("  " + describe_count(static_cast<std::uint64_t>(static_cast<double>(documents_.size()) / seconds)) +
      " documents/s");
}

void Demo::replay() {
  const int hours = options_.days * 24;
  say("Replaying " + std::to_string(options_.days) + " days of skewed, drifting traffic: each hour " +
      std::to_string(options_.reads_per_hour) + " reads, " + std::to_string(options_.writes_per_hour) +
      " writes, one tiering run ...");
  Traffic traffic(documents_.size(), options_.seed);
  const int operations = std::max(options_.reads_per_hour + options_.writes_per_hour, 1);
  const std::chrono::microseconds step = std::chrono::microseconds{std::chrono::hours{1}} / operations;
  for (int hour = 0; hour < hours; ++hour) {
    check_stop();
    for (int i = 0; i < operations; ++i) {
      const std::size_t index = traffic.next(hour / 24);
      // The writes spread over the hour.
      const bool writes = options_.writes_per_hour > 0 && i % (operations / options_.writes_per_hour) == 0 &&
                          i / (operations / options_.writes_per_hour) < options_.writes_per_hour;
      if (writes) {
        rewrite(index, hour);
      } else if (!store_->read(documents_[index].collection, documents_[index].id)) {
        throw Error(ErrorCode::corrupt, "a document is gone: " + documents_[index].id, "report this");
      }
      clock_->advance(step);
    }
    clock_->advance(std::chrono::microseconds{std::chrono::hours{1}} - step * operations);
    store_->run_tiering({.max_operations = 200'000});
    if (hour % 24 == 23)
      progress("day " + std::to_string(hour / 24 + 1) + " of " + std::to_string(options_.days));
  }
  progress("");
}

void Demo::rewrite(std::size_t index, int hour) {
  CorpusDocument& document = documents_[index];
  nlohmann::json changed = nlohmann::json::parse(document.body);
  if (!changed.is_object()) changed = {{"value", changed}};
  changed["Demo-Rewritten-In-Hour"] = hour;
  document.body = changed.dump();
  store_->write_json_text(document.collection, document.id, document.body, {.timeout = 60s});
}

void Demo::draw() const {
  ReportData data = gather_report([this](std::string_view asked) { return run_operation(*store_, asked); });
  data.name = report_name(options_.folder);
  data.config = config_;
  write_report({.output = page()}, data);
}

std::size_t Demo::verify() {
  say("Closing the store, opening it again and reading every document back ...");
  std::size_t good = 0;
  for (const CorpusDocument& document : documents_) {
    const auto read = store_->read(document.collection, document.id, {.promote = false});
    if (read && read->text() == document.body) {
      ++good;
    } else {
      std::cerr << "db4: " << escape(document.collection) << "/" << escape(document.id)
                << (read ? " reads back changed" : " is gone") << "\n";
    }
  }
  return good;
}

void Demo::report(const StoreStats& stats, std::size_t good) const {
  if (options_.json) {
    const auto tier = [](const TierStats& t) {
      return nlohmann::json{{"documents", t.documents},
                            {"bytes", t.bytes},
                            {"reads", t.hits},
                            {"p50_ns", t.latency.p50.count()},
                            {"p99_ns", t.latency.p99.count()}};
    };
    std::cout << nlohmann::json{{"documents", documents_.size()},
                                {"read_back", good},
                                {"tiers",
                                 {{"hot", tier(stats.hot)},
                                  {"warm", tier(stats.warm)},
                                  {"cold", tier(stats.cold)}}},
                                {"moves",
                                 {{"promoted", stats.moves.promoted},
                                  {"demoted", stats.moves.demoted},
                                  {"failed", stats.moves.failed}}},
                                {"report", page().string()},
                                {"objects", stats.cold_storage.objects},
                                {"object_bytes", stats.cold_storage.object_bytes},
                                {"bill", {{"tiered", stats.cost.total}, {"all_hot", stats.cost.all_hot}}}}
                     .dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
              << "\n";
    return;
  }
  Table tiers({"tier", "documents", "bytes", "reads", "share", "p50", "p99"});
  const auto row = [&](const char* name, const TierStats& tier) {
    const double share =
        100.0 * static_cast<double>(tier.hits) / static_cast<double>(std::max<std::uint64_t>(stats.reads, 1));
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%.1f %%", share);
    tiers.add({name, describe_count(tier.documents), describe_bytes(tier.bytes), describe_count(tier.hits),
               text.data(), describe_latency(tier.latency.p50), describe_latency(tier.latency.p99)});
  };
  row("hot", stats.hot);
  row("warm (copies)", stats.warm);
  row("cold", stats.cold);
  const ColdStats& cold = stats.cold_storage;
  say("\n" + tiers.text());
  say("  moves     " + describe_count(stats.moves.promoted) + " promoted, " +
      describe_count(stats.moves.demoted) + " demoted, " + describe_count(stats.moves.failed) + " failed");
  say("  objects   " + describe_count(cold.objects) + " (" + describe_bytes(cold.object_bytes) + ") hold " +
      describe_count(cold.documents, "document") + " of " + describe_bytes(cold.bytes));
  say("  requests  " + describe_count(cold.put_requests, "put") + ", " +
      describe_count(cold.get_requests, "get") + ", " + describe_count(cold.delete_requests, "delete"));
  report_bill(stats);
  say("  " + describe_count(good) + " of " + describe_count(documents_.size(), "document") +
      " read back byte for byte");
}

void Demo::report_bill(const StoreStats& stats) const {
  // Requests were made in the simulated days; storage is what stands at the end.
  const double requests = stats.cost.requests * 30.0 / std::max(options_.days, 1);
  // Storage grows with what is kept, requests with the traffic: the same traffic over a terabyte of such
  // documents.
  const double scale =
      1e12 / static_cast<double>(std::max<std::uint64_t>(stats.hot.bytes + stats.cold.bytes, 1));
  const double storage = stats.cost.hot_storage + stats.cost.cold_storage;
  Table bill({"a month", "this store", "1 TB, same traffic"});
  const auto row = [&](const char* what, double here, double at_scale) {
    bill.add({what, describe_dollars(here, 6), describe_dollars(at_scale, 2)});
  };
  row("hot storage", stats.cost.hot_storage, stats.cost.hot_storage * scale);
  row("cold storage", stats.cost.cold_storage, stats.cost.cold_storage * scale);
  row("requests", requests, requests);
  row("in three tiers", storage + requests, storage * scale + requests);
  row("all hot", stats.cost.all_hot, stats.cost.all_hot * scale);
  say("\n" + bill.text());
}

void Demo::suggest() const {
  if (options_.json) return;
  const CorpusDocument& some = documents_[documents_.size() / 2];
  const std::string db4 = "  db4 --store " + shell_quoted(options_.folder.string()) + " ";
  say("\nThe store is in " + options_.folder.string() + ". Try on it:\n");
  say(db4 + "stat");
  say(db4 + "ls");
  const std::string key = shell_quoted(some.collection) + " " + shell_quoted(some.id);
  say(db4 + "ls " + shell_quoted(some.collection) + " --limit 5");
  say(db4 + "get " + key);
  say(db4 + "explain " + key);
  say(db4 + "tier plan");
  say("\nThe month as a picture, for a browser: " + page().string());
}

}  // namespace

int run_demo(const DemoOptions& options) { return Demo(options).run(); }

}  // namespace db4::cli
