// Much data, little to do: opening, and a tiering run with a hundred documents due among ten million.
#include "harness/report.hpp"
#include "harness/workload.hpp"
#include "peers/load.hpp"

#include <db4/storage.hpp>

#include <unistd.h>

#include <stdexcept>

namespace db4::bench {
namespace {

using namespace std::chrono_literals;
using namespace db4::literals;

constexpr std::size_t kDue = 100;

TieredStoreConfig config_in(const std::filesystem::path& dir) {
  return {.hot = {.path = dir / "hot", .cache_size = 1_MiB, .durability = Durability::process},
          .warm = {.max_size = 0},
          .cold = {.path = dir / "cold"},
          .tiering = {.interval = 0ms}};
}

void import_small(TieredStore& store, std::size_t from, std::size_t to) {
  std::vector<BatchItem> batch;
  for (std::size_t i = from; i < to; ++i) {
    batch.push_back({.id = "d" + std::to_string(i), .body = "{\"n\":" + std::to_string(i) + "}"});
    if (batch.size() < kBatch && i + 1 < to) continue;
    store.write_batch("docs", batch);
    batch.clear();
  }
}

/// Imports documents of which kDue come due fifty minutes before the others.
void fill(const TieredStoreConfig& config, const std::shared_ptr<SimulatedClock>& clock, std::size_t rows) {
  TieredStore store(config, {.clock = clock});
  import_small(store, 0, kDue);
  clock->advance(50min);
  import_small(store, kDue, rows);
  store.close();
}

void fill_few(const TieredStoreConfig& config, const std::shared_ptr<SimulatedClock>& clock) {
  TieredStore store(config, {.clock = clock});
  import_small(store, 0, 10);
  store.close();
}

double open_milliseconds(const TieredStoreConfig& config, const std::shared_ptr<Clock>& clock) {
  std::optional<TieredStore> store;
  return time_milliseconds([&] { store.emplace(config, Components{.clock = clock}); });
}

/// Of a dry run, which must find `expected` documents due.
Sample look(TieredStore& store, std::size_t expected) {
  return [&store, expected](int) {
    return time_milliseconds([&] {
      if (store.run_tiering({.dry_run = true}).demoted != expected) {
        throw std::runtime_error("a look found another number of documents due");
      }
    });
  };
}

/// Milliseconds of a run, which must move as many.
double move(TieredStore& store, std::size_t expected) {
  return time_milliseconds([&] {
    if (store.run_tiering().demoted != expected) {
      throw std::runtime_error("a run moved another number of documents");
    }
  });
}

Figure repeat(int rounds, const Sample& sample) {
  std::vector<double> values;
  for (int round = 0; round < rounds; ++round) values.push_back(sample(round));
  return summarize(std::move(values));
}

void run(const Options& options, Report& report) {
  const std::size_t rows = options.pick<std::size_t>(20'000, 300'000, 10'000'000);
  const std::string rows_text = format_figure(static_cast<double>(rows));
  const auto clock = std::make_shared<SimulatedClock>();
  const Folder folder(options.dir());
  const TieredStoreConfig much = config_in(folder.path() / "much");
  const TieredStoreConfig little = config_in(folder.path() / "little");

  report.section(
      "A store of " + rows_text + " documents",
      "one store that holds them and one that holds ten, in the same run, alternating",
      "the small one fits into any cache; its first opening finds next to nothing in the log to replay");
  const double seconds = time_milliseconds([&] { fill(much, clock, rows); }) / 1000;
  fill_few(little, clock);
  sync();  // what the import left for the disk to write is not the cost of what follows
  const auto open_much = [&](int) { return open_milliseconds(much, clock); };
  const auto open_little = [&](int) { return open_milliseconds(little, clock); };
  report.row({.what = "open once after the import",
              .unit = "ms",
              .better = Better::less,
              .peer = "db4 with 10 rows"},
             alternate(1, Better::less, open_much, open_little));
  report.row({.what = "open, " + rows_text + " rows",
              .unit = "ms",
              .better = Better::less,
              .peer = "db4 with 10 rows",
              .aim = Aim{.bound = 0.9, .text = "opens as fast as with ten (0.9)"}},
             alternate(3 * options.rounds(), Better::less, open_much, open_little));

  TieredStore store(much, {.clock = clock});
  const Figure idle = repeat(options.rounds(), look(store, 0));
  report.row({.what = "tiering looks, none due", .unit = "ms", .better = Better::less}, idle);
  report.row({.what = "first run after the import", .unit = "ms", .better = Better::less},
             summarize({move(store, 0)}));
  clock->advance(15min);
  const Figure due = repeat(options.rounds(), look(store, kDue));
  report.row({.what = "tiering looks, 100 due",
              .unit = "ms",
              .better = Better::less,
              .aim = Aim{.of = Aim::Of::value, .bound = 10, .text = "under 10 ms"}},
             due);
  report.row({.what = "tiering moves the 100", .unit = "ms", .better = Better::less},
             summarize({move(store, kDue)}));
  report.row({.what = "import, batches of 1,000", .unit = "docs/s"},
             summarize({static_cast<double>(rows) / seconds}));
  store.close();
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) {
  return db4::bench::run_program("ten_million", argc, argv, db4::bench::run);
}
