// What a document's life costs: import, demotion, reading back, a tiering run that finds little among much,
// opening, and memory in each tier.
//
//     build/release/bin/db4_bench_store_lifecycle [--quick] [--documents N] [--rows N] [--dir FOLDER]
//
// --documents: for import, demotion and reading back (100,000); --rows: for the look at what is due
// (10,000,000).
#include "objects/object_stores.hpp"
#include "support.hpp"

#include <db4/storage.hpp>

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include <fstream>

namespace {

using namespace std::chrono_literals;
using namespace db4::literals;
namespace bench = db4::bench;

constexpr std::size_t kBatch = 1000;

/// Some 1 KB of JSON that compresses as real documents do.
std::string make_document(std::size_t i) {
  nlohmann::json document{
      {"id", i}, {"name", "document number " + std::to_string(i)}, {"tags", nlohmann::json::array()}};
  std::mt19937_64 random(i);
  for (int tag = 0; tag < 24; ++tag) {
    document["tags"].push_back({{"key", "property-" + std::to_string(tag)}, {"value", random() % 1'000'000}});
  }
  return document.dump();
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

db4::TieredStoreConfig config_in(const std::filesystem::path& dir) {
  return {.hot = {.path = dir / "hot", .durability = db4::Durability::process},
          .warm = {.max_size = 0},
          .cold = {.path = dir / "cold"},
          .tiering = {.interval = 0ms}};
}

/// Writes documents `from` to `to` in batches; documents a second.
double import(db4::TieredStore& store, std::size_t from, std::size_t to,
              const std::function<std::string(std::size_t)>& body) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<db4::BatchItem> batch;
  for (std::size_t i = from; i < to; ++i) {
    batch.push_back({.id = "d" + std::to_string(i), .body = body(i)});
    if (batch.size() == kBatch || i + 1 == to) {
      store.write_batch("docs", batch);
      batch.clear();
    }
  }
  return static_cast<double>(to - from) / bench::elapsed_seconds(start);
}

double import_rocksdb(const std::filesystem::path& path, std::size_t count) {
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* raw = nullptr;
  if (!rocksdb::DB::Open(options, path, &raw).ok()) throw std::runtime_error("cannot open RocksDB");
  const std::unique_ptr<rocksdb::DB> db(raw);
  const auto start = std::chrono::steady_clock::now();
  rocksdb::WriteBatch batch;
  for (std::size_t i = 0; i < count; ++i) {
    batch.Put("d" + std::to_string(i), make_document(i));
    if (batch.Count() == static_cast<int>(kBatch) || i + 1 == count) {
      db->Write({}, &batch);
      batch.Clear();
    }
  }
  return static_cast<double>(count) / bench::elapsed_seconds(start);
}

void print_rate(const char* what, double ours, const char* peer, double peers) {
  std::printf("  %-44s %12.0f docs/s   %s: %.0f   ratio %.2f\n", what, ours, peer, peers, ours / peers);
  std::fflush(stdout);
}

/// Demotes everything and reads it back; documents a second of each.
struct ColdRates {
  double demotion = 0;
  double reading = 0;
  double raw_reading = 0;
  db4::ColdStats stats;
};

ColdRates go_cold(const std::filesystem::path& dir, std::size_t count, std::uint64_t pack_below) {
  const auto clock = std::make_shared<db4::SimulatedClock>();
  db4::TieredStoreConfig config = config_in(dir);
  config.cold.pack_below = pack_below;
  ColdRates rates;
  {
    db4::TieredStore store(config, {.clock = clock});
    import(store, 0, count, make_document);
    clock->advance(48h);
    const auto start = std::chrono::steady_clock::now();
    const db4::TieringResult result = store.run_tiering({.max_operations = count});
    rates.demotion = static_cast<double>(result.demoted) / bench::elapsed_seconds(start);
    const auto read_start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      if (!store.read("docs", "d" + std::to_string(i * 7919 % count), {.promote = false})) std::abort();
    }
    rates.reading = static_cast<double>(count) / bench::elapsed_seconds(read_start);
    rates.stats = store.cold_storage().stats();
    store.close();
  }
  // The floor under a cold read: ranged gets of the same size from the same objects, nothing checked or
  // unpacked.
  const auto objects = db4::objects::make_filesystem_object_store(dir / "cold");
  const db4::ObjectPage page = objects->list("", "", 1000);
  const std::uint64_t record = rates.stats.record_bytes / std::max<std::uint64_t>(rates.stats.documents, 1);
  std::mt19937_64 random(1);
  const auto raw_start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < count; ++i) {
    const db4::ObjectInfo& object = page.objects[random() % page.objects.size()];
    const std::uint64_t room = object.size > record ? object.size - record : 1;
    if (!objects->get_range(object.name, random() % room, record)) std::abort();
  }
  rates.raw_reading = static_cast<double>(count) / bench::elapsed_seconds(raw_start);
  return rates;
}

void lifecycle(const bench::Arguments& arguments, const std::filesystem::path& dir) {
  const std::size_t count = arguments.number("documents", arguments.quick() ? 10'000 : 100'000);
  const std::size_t alone = std::max<std::size_t>(count / 20, 500);
  std::printf("a document's life: %zu documents of %zu B of JSON, Durability::process on both sides\n", count,
              make_document(1).size());
  {
    db4::TieredStore store(config_in(dir / "import"));
    print_rate("import (write_batch of 1,000)", import(store, 0, count, make_document), "RocksDB WriteBatch",
               import_rocksdb(dir / "import-rocksdb", count));
  }
  const ColdRates packed = go_cold(dir / "packed", count, 128_KiB);
  const ColdRates single = go_cold(dir / "single", alone, 0);
  print_rate("demotion, packed into segments", packed.demotion, "an object each", single.demotion);
  print_rate("cold reads from segments, checked", packed.reading, "raw ranged gets", packed.raw_reading);
  std::printf(
      "  %zu documents in %llu objects: %llu puts, %.0f %% of the bodies' bytes\n\n", count,
      static_cast<unsigned long long>(packed.stats.objects),
      static_cast<unsigned long long>(packed.stats.put_requests),
      100.0 * static_cast<double>(packed.stats.object_bytes) / static_cast<double>(packed.stats.bytes));
}

double open_milliseconds(const db4::TieredStoreConfig& config, const std::shared_ptr<db4::Clock>& clock) {
  const auto start = std::chrono::steady_clock::now();
  db4::TieredStore store(config, {.clock = clock});
  return bench::elapsed_seconds(start) * 1000;
}

void look_at_due(const bench::Arguments& arguments, const std::filesystem::path& dir) {
  const std::size_t rows = arguments.number("rows", arguments.quick() ? 200'000 : 10'000'000);
  const auto clock = std::make_shared<db4::SimulatedClock>();
  db4::TieredStoreConfig config = config_in(dir / "due");
  config.hot.cache_size = 1_MiB;
  const auto small = [](std::size_t i) { return "{\"n\":" + std::to_string(i) + "}"; };
  std::printf("what is due: a hundred among %zu\n", rows);
  {
    db4::TieredStore store(config, {.clock = clock});
    import(store, 0, 100, small);
    clock->advance(50min);
    import(store, 100, rows, small);
    store.close();
  }
  db4::TieredStoreConfig tiny = config_in(dir / "tiny");
  {
    db4::TieredStore store(tiny, {.clock = clock});
    import(store, 0, 10, small);
  }
  std::vector<double> opened_tiny;
  std::vector<double> opened_full;
  for (int round = 0; round < 5; ++round) {
    opened_tiny.push_back(open_milliseconds(tiny, clock));
    opened_full.push_back(open_milliseconds(config, clock));
  }
  std::printf("  open: %.1f ms with 10 rows, %.1f ms with %zu\n", bench::median(opened_tiny),
              bench::median(opened_full), rows);

  db4::TieredStore store(config, {.clock = clock});
  std::vector<double> idle;
  for (int round = 0; round < 7; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const db4::TieringResult look = store.run_tiering({.dry_run = true});
    idle.push_back(bench::elapsed_seconds(start) * 1000);
    if (look.demoted != 0) std::abort();
  }
  clock->advance(15min);
  std::vector<double> looks;
  for (int round = 0; round < 7; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const db4::TieringResult look = store.run_tiering({.dry_run = true});
    looks.push_back(bench::elapsed_seconds(start) * 1000);
    if (look.demoted != 100) std::abort();
  }
  const auto start = std::chrono::steady_clock::now();
  const db4::TieringResult run = store.run_tiering();
  std::printf("  looking with nothing due %.2f ms, with 100 due %.2f ms; moving the %zu: %.1f ms\n\n",
              bench::median(idle), bench::median(looks), run.demoted, bench::elapsed_seconds(start) * 1000);
}

void memory(const bench::Arguments& arguments, const std::filesystem::path& dir) {
  const std::size_t count = arguments.number("documents", arguments.quick() ? 20'000 : 100'000);
  const std::string body(512, 'b');
  const auto clock = std::make_shared<db4::SimulatedClock>();
  db4::TieredStoreConfig config = config_in(dir / "memory");
  config.hot.cache_size = 1_GiB;
  config.warm.max_size = 1_GiB;
  std::printf("memory for a document of 512 B (beyond those bytes), over %zu documents\n", count);
  {
    db4::TieredStore store(config, {.clock = clock});
    for (std::size_t i = 0; i < count; ++i)
      store.write_bytes("docs", "d" + std::to_string(i), db4::as_bytes(body));
    const db4::HotStats hot = store.hot_storage().stats();
    std::printf("  hot:  %.0f B\n",
                static_cast<double>(hot.cache_bytes) / static_cast<double>(hot.cache_entries) - 512);
    clock->advance(2h);
    store.run_tiering({.max_operations = count});
    const db4::WarmStats warm = store.warm_storage().stats();
    std::printf("  warm: %.0f B\n",
                static_cast<double>(warm.bytes) / static_cast<double>(warm.entries) - 512);
    clock->advance(48h);
    store.run_tiering({.max_operations = count});
    store.close();
  }
  // Cold costs no memory: what grows between an empty store and one that looked at every cold row is the
  // engine's block cache, which has a bound of its own.
  const std::size_t before = resident_bytes();
  db4::TieredStore store(config, {.clock = clock});
  const std::size_t opened = resident_bytes();
  std::printf(
      "  cold: %.1f B (resident memory of an open store with %zu cold documents less that before opening, "
      "each)\n",
      static_cast<double>(opened > before ? opened - before : 0) / static_cast<double>(count), count);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const bench::Folder folder(arguments.text("dir", ""));
  lifecycle(arguments, folder.path());
  look_at_due(arguments, folder.path());
  memory(arguments, folder.path());
}
