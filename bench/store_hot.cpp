// Hot reads and synced writes through TieredStore, against tbb::concurrent_hash_map and RocksDB used
// directly, in the same run, alternating.
//
//     build/release/bin/db4_bench_store_hot [--quick] [--keys N] [--dir FOLDER]
//
// Documents of 512 bytes, ids of 20 bytes, scrambled Zipf 0.99. Every peer is asked for the same ids in the
// same order and touches the first and the last byte of what it gets. Durability is equal: a synced db4 write
// (Durability::disk) stands against a RocksDB Put with sync on, on the same file system.
#include <db4/storage.hpp>

#include <rocksdb/db.h>
#include <rocksdb/table.h>
#ifdef DB4_BENCH_TBB
#include <tbb/concurrent_hash_map.h>
#endif

#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using namespace db4::literals;
namespace bench = db4::bench;

constexpr std::size_t kBodyBytes = 512;

std::unique_ptr<rocksdb::DB> open_rocksdb(const std::filesystem::path& path) {
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(1_GiB);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, path, &db);
  if (!status.ok()) throw std::runtime_error(status.ToString());
  return std::unique_ptr<rocksdb::DB>(db);
}

db4::TieredStoreConfig store_config(const std::filesystem::path& dir, db4::Durability durability) {
  return {.hot = {.type = db4::HotType::rocksdb,
                  .path = dir / "hot",
                  .cache_size = 2_GiB,
                  .durability = durability},
          .warm = {.max_size = 0},
          .cold = {.path = dir / "cold"},
          .tiering = {.interval = 0ms}};
}

std::uint64_t touch(std::string_view body) {
  return static_cast<unsigned char>(body.front()) + static_cast<unsigned char>(body.back());
}

void read_rounds(const bench::Arguments& arguments, const std::filesystem::path& dir) {
  const std::size_t keys = arguments.number("keys", arguments.quick() ? 100'000 : 1'000'000);
  const std::string body(kBodyBytes, 'b');
  const std::vector<std::string> ids = bench::make_ids(keys);
  const bench::Zipf zipf(keys, 0.99, 7);

  std::printf("hot reads: %zu documents of %zu B, Zipf 0.99\n", keys, kBodyBytes);
  db4::TieredStore store(store_config(dir / "reads", db4::Durability::process));
  const auto db = open_rocksdb(dir / "reads-rocksdb");
#ifdef DB4_BENCH_TBB
  tbb::concurrent_hash_map<std::string, std::string> map;
#endif
  std::vector<db4::BatchItem> batch;
  for (const std::string& id : ids) {
    batch.push_back({.id = id, .body = body, .content_type = "text/plain"});
    if (batch.size() == 1000 || &id == &ids.back()) {
      store.write_batch("docs", batch);
      batch.clear();
    }
    db->Put({}, id, body);
#ifdef DB4_BENCH_TBB
    map.emplace(id, body);
#endif
  }

  const auto seconds = arguments.quick() ? 0.3 : 1.5;
  bench::Table table({"hot read", "threads", "db4 ops/s", "peer ops/s", "ratio", "spread"});
  for (const unsigned threads : {1U, 2U, 8U}) {
    const auto db4_read = [&](unsigned thread, std::size_t i) {
      const auto document = store.read("docs", ids[zipf.at(thread, i)]);
      return touch(document->text());
    };
    const auto compare = [&](const char* name, const bench::Operation& peer) {
      table.add(name, threads, bench::alternate(arguments.rounds(), seconds, threads, db4_read, peer));
    };
#ifdef DB4_BENCH_TBB
    compare("tbb::concurrent_hash_map, copied out", [&](unsigned thread, std::size_t i) {
      decltype(map)::const_accessor found;
      map.find(found, ids[zipf.at(thread, i)]);
      const std::string copy = found->second;
      return touch(copy);
    });
    compare("tbb::concurrent_hash_map, under its lock", [&](unsigned thread, std::size_t i) {
      decltype(map)::const_accessor found;
      map.find(found, ids[zipf.at(thread, i)]);
      return touch(found->second);
    });
#endif
    compare("RocksDB Get", [&](unsigned thread, std::size_t i) {
      std::string value;
      db->Get({}, ids[zipf.at(thread, i)], &value);
      return touch(value);
    });
  }
  table.print();
  const db4::HotStats hot = store.hot_storage().stats();
  std::printf("in memory: %llu of %zu documents, %.0f B each beyond the %zu B of the body\n\n",
              static_cast<unsigned long long>(hot.cache_entries), keys,
              static_cast<double>(hot.cache_bytes) /
                      static_cast<double>(std::max<std::uint64_t>(hot.cache_entries, 1)) -
                  static_cast<double>(kBodyBytes),
              kBodyBytes);
  store.close();
}

void write_rounds(const bench::Arguments& arguments, const std::filesystem::path& dir) {
  const std::size_t keys = arguments.number("keys", arguments.quick() ? 100'000 : 1'000'000);
  const std::string body(kBodyBytes, 'b');
  const std::vector<std::string> ids = bench::make_ids(keys);
  const bench::Zipf zipf(keys, 0.99, 11);
  db4::TieredStore store(store_config(dir / "writes", db4::Durability::disk));
  const auto db = open_rocksdb(dir / "writes-rocksdb");
  rocksdb::WriteOptions synced;
  synced.sync = true;

  std::printf("synced writes: %zu B, Zipf 0.99 over %zu ids; both synced to disk before they return\n",
              kBodyBytes, keys);
  bench::Table table({"synced write", "threads", "db4 ops/s", "peer ops/s", "ratio", "spread"});
  for (const unsigned threads : {1U, 2U, 8U}) {
    const auto db4_write = [&](unsigned thread, std::size_t i) {
      return store.write_bytes("docs", ids[zipf.at(thread, i)], db4::as_bytes(body)).version;
    };
    const auto peer = [&](unsigned thread, std::size_t i) -> std::uint64_t {
      return db->Put(synced, ids[zipf.at(thread, i)], body).ok() ? 1 : 0;
    };
    table.add("RocksDB Put, sync", threads,
              bench::alternate(arguments.rounds(), arguments.quick() ? 0.5 : 2.0, threads, db4_write, peer));
  }
  table.print();
  store.close();
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const bench::Folder folder(arguments.text("dir", ""));
  read_rounds(arguments, folder.path());
  write_rounds(arguments, folder.path());
}
