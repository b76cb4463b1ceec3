// The engines under the catalogue at equal durability: SQLite against RocksDB, and both against RocksDB used
// directly. This is the measurement behind docs/decisions/0001-default-engine.md.
//
//     build/release/bin/db4_bench_engines [--quick] [--documents N] [--dir FOLDER]
#include "kv/commit_queue.hpp"
#include "kv/engine.hpp"
#include "support.hpp"

#include <rocksdb/db.h>

#include <memory>

namespace {

using db4::Durability;
namespace bench = db4::bench;
namespace kv = db4::kv;

constexpr std::uint8_t kRows = 1;
constexpr std::size_t kBodyBytes = 512;
constexpr std::size_t kBatch = 1000;

/// An engine with its queue.
struct Subject {
  Subject(db4::HotType type, const std::filesystem::path& path, Durability durability)
      : engine(kv::open_engine(
            type,
            {.path = path, .spaces = {{kRows, "rows", kv::SpaceKind::keys}}, .durability = durability})),
        queue(*engine) {}
  std::unique_ptr<kv::Engine> engine;
  kv::CommitQueue queue;
};

/// Documents a second, imported in random order in batches.
double import(Subject& subject, const std::vector<std::string>& ids, Durability durability) {
  const std::string body(kBodyBytes, 'b');
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t at = 0; at < ids.size(); at += kBatch) {
    kv::Batch batch;
    for (std::size_t i = at; i < std::min(at + kBatch, ids.size()); ++i) batch.put(kRows, ids[i], body);
    subject.queue.commit(batch, durability);
  }
  return static_cast<double>(ids.size()) / bench::elapsed_seconds(start);
}

bench::Operation puts(Subject& subject, const std::vector<std::string>& ids) {
  return [&subject, &ids](unsigned thread, std::size_t i) -> std::uint64_t {
    kv::Batch batch;
    batch.put(kRows, ids[(i * 7919 + thread * 104'729) % ids.size()], std::string(kBodyBytes, 'c'));
    return subject.queue.commit(batch, Durability::disk).committed() ? 1 : 0;
  };
}

bench::Operation gets(Subject& subject, const std::vector<std::string>& ids) {
  return [&subject, &ids](unsigned thread, std::size_t i) -> std::uint64_t {
    return subject.engine->get(kRows, ids[(i * 7919 + thread * 104'729) % ids.size()])->size();
  };
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const bench::Folder folder(arguments.text("dir", ""));
  const std::size_t count = arguments.number("documents", arguments.quick() ? 20'000 : 200'000);
  std::vector<std::string> ids = bench::make_ids(count);
  std::shuffle(ids.begin(), ids.end(), std::mt19937_64(1));

  bench::Table imports({"import, docs/s", "RocksDB", "SQLite", "ratio"});
  for (const Durability durability : {Durability::process, Durability::disk}) {
    const std::string name(to_string(durability));
    Subject rocksdb(db4::HotType::rocksdb, folder.path() / ("rocksdb-" + name), durability);
    Subject sqlite(db4::HotType::sqlite, folder.path() / ("sqlite-" + name), durability);
    const double first = import(rocksdb, ids, durability);
    const double second = import(sqlite, ids, durability);
    imports.add({"batches of 1,000, Durability::" + name, bench::Table::format("%.0f", first),
                 bench::Table::format("%.0f", second), bench::Table::format("%.2f", first / second)});
  }
  imports.print();

  Subject rocksdb(db4::HotType::rocksdb, folder.path() / "rocksdb", Durability::disk);
  Subject sqlite(db4::HotType::sqlite, folder.path() / "sqlite", Durability::disk);
  import(rocksdb, ids, Durability::process);
  import(sqlite, ids, Durability::process);
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* opened = nullptr;
  if (!rocksdb::DB::Open(options, (folder.path() / "direct").string(), &opened).ok()) return 1;
  const std::unique_ptr<rocksdb::DB> direct(opened);
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const auto direct_put = [&](unsigned thread, std::size_t i) -> std::uint64_t {
    return direct->Put(synced, ids[(i * 7919 + thread * 104'729) % ids.size()], std::string(kBodyBytes, 'c'))
                   .ok()
               ? 1
               : 0;
  };

  const double seconds = arguments.quick() ? 0.4 : 2.0;
  bench::Table table({"RocksDB engine against", "threads", "ours ops/s", "peer ops/s", "ratio", "spread"});
  for (const unsigned threads : {1U, 8U}) {
    table.add("synced put: RocksDB used directly", threads,
              bench::alternate(arguments.rounds(), seconds, threads, puts(rocksdb, ids), direct_put));
    table.add("synced put: SQLite engine", threads,
              bench::alternate(arguments.rounds(), seconds, threads, puts(rocksdb, ids), puts(sqlite, ids)));
    table.add("get: SQLite engine", threads,
              bench::alternate(arguments.rounds(), seconds, threads, gets(rocksdb, ids), gets(sqlite, ids)));
  }
  table.print();
}
