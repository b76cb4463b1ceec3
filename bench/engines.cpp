// The engines under the catalogue at equal durability: RocksDB against SQLite, both through the commit queue,
// and against RocksDB used directly. This is the measurement behind docs/decisions/0001-default-engine.md.
#include "harness/report.hpp"
#include "harness/workload.hpp"
#include "kv/commit_queue.hpp"
#include "kv/engine.hpp"
#include "peers/load.hpp"

namespace db4::bench {
namespace {

constexpr std::uint8_t kRows = 1;

/// An engine with its queue, and nothing above them.
class EnginePeer final : public Peer {
 public:
  EnginePeer(HotType type, const PeerOptions& options)
      : durability_(options.durability),
        engine_(kv::open_engine(type, {.path = options.path,
                                       .spaces = {{kRows, "rows", kv::SpaceKind::keys}},
                                       .durability = options.durability,
                                       .cache_bytes = options.cache_bytes})),
        queue_(*engine_) {}
  std::uint64_t get(const std::string& id) override { return read_all(engine_->get(kRows, id).value()); }
  void put(const std::string& id, std::string_view body) override {
    kv::Batch batch;
    batch.put(kRows, id, std::string(body));
    queue_.commit(batch, durability_);
  }
  void put_batch(std::span<const BatchItem> items) override {
    kv::Batch batch;
    for (const BatchItem& item : items) batch.put(kRows, item.id, item.body);
    queue_.commit(batch, durability_);
  }

 private:
  Durability durability_;
  std::unique_ptr<kv::Engine> engine_;
  kv::CommitQueue queue_;
};

struct Contestant {
  std::string name;
  Peer& peer;
};

void compare(const Options& options, Report& report, const std::vector<std::string>& ids,
             const Contestant& ours, const Contestant& theirs) {
  const Bodies bodies;
  const auto put = [&](Peer& peer) {
    return [&](unsigned thread, std::size_t i) -> std::uint64_t {
      peer.put(ids[(i * 7919 + thread * 104'729) % ids.size()], bodies.at(i));
      return i;
    };
  };
  const auto get = [&](Peer& peer) {
    return [&](unsigned thread, std::size_t i) {
      return peer.get(ids[(i * 7919 + thread * 104'729) % ids.size()]);
    };
  };
  for (const unsigned threads : {1U, 8U}) {
    const auto row = [&](const char* what, const char* unit, const Operation& our, const Operation& their) {
      report.row(
          {.what = what + thread_count(threads), .unit = unit, .subject = ours.name, .peer = theirs.name},
          alternate_rates(options.rounds(), options.slice_seconds(), threads, our, their));
    };
    row("put, ", "puts/s", put(ours.peer), put(theirs.peer));
    row("get, ", "gets/s", get(ours.peer), get(theirs.peer));
  }
}

void run(const Options& options, Report& report) {
  const std::vector<std::string> ids = make_shuffled_ids(options.pick<std::size_t>(3'000, 20'000, 200'000));
  const Folder folder(options.dir());
  const auto at = [&](const char* name) {
    return PeerOptions{
        .path = folder.path() / name, .durability = Durability::disk, .cache_bytes = 64ULL << 20};
  };
  EnginePeer rocksdb(HotType::rocksdb, at("rocksdb"));
  EnginePeer sqlite(HotType::sqlite, at("sqlite"));
  const auto direct = rocksdb_type().open(at("direct"));

  report.section("Engines under the catalogue, " + format_figure(static_cast<double>(ids.size())) + " keys",
                 "durability disk (every put and every batch is synced), values of 512 B, caches of 64 MiB",
                 "an engine of db4's goes through the commit queue");
  const auto import = [&](Peer& peer) {
    return [&](int) {
      return static_cast<double>(ids.size()) / (time_milliseconds([&] { load(peer, ids); }) / 1000);
    };
  };
  report.row({.what = "import, batches of 1,000",
              .unit = "docs/s",
              .subject = "RocksDB engine",
              .peer = "SQLite engine"},
             alternate(1, Better::more, import(rocksdb), import(sqlite)));
  load(*direct, ids);
  compare(options, report, ids, {"RocksDB engine", rocksdb}, {"SQLite engine", sqlite});
  compare(options, report, ids, {"RocksDB engine", rocksdb}, {"RocksDB directly", *direct});
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) { return db4::bench::run_program("engines", argc, argv, db4::bench::run); }
