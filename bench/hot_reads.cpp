// Reads of documents in memory: TieredStore against maps in memory, engines with a cache that holds
// everything, and Redis.
#include "harness/report.hpp"
#include "harness/workload.hpp"
#include "peers/load.hpp"

namespace db4::bench {
namespace {

/// Holds all documents with whatever a contestant adds to each.
constexpr std::uint64_t kCacheBytes = 2ULL << 30;

Operation reads(Peer& peer, const std::vector<std::string>& ids, const Zipf& zipf) {
  return [&](unsigned thread, std::size_t i) { return peer.get(ids[zipf.at(thread, i)]); };
}

void run(const Options& options, Report& report) {
  const Folder folder(options.dir());
  const std::vector<std::string> ids = make_ids(options.pick<std::size_t>(10'000, 100'000, 1'000'000));
  const Zipf zipf(ids.size(), 0.99, 7);
  report.section(
      "Hot reads: " + format_figure(static_cast<double>(ids.size())) + " documents in memory, Zipf 0.99",
      "ids, bodies of 512 B, order of reads; all is in memory; each reads the whole body; caches of 2 GiB",
      "db4, RocksDB, LevelDB, LMDB and SQLite keep the documents on disk too, the maps do not, and Redis is "
      "another process; LMDB and SQLite (by its map) cache in the system's memory");
  const auto ours =
      db4_type(HotType::rocksdb).open({.path = folder.path() / "db4", .cache_bytes = kCacheBytes});
  load(*ours, ids);

  std::vector<PeerType> types{tbb_copy_type(), tbb_locked_type()};
  for (PeerType& type : durable_peers()) types.push_back(std::move(type));
  for (std::size_t at = 0; at < types.size(); ++at) {
    const PeerType& type = types[at];
    const bool is_map = at < 2;
    const auto peer = open_peer(type,
                                {.path = folder.path() / ("peer-" + std::to_string(at)),
                                 .durability = is_map ? Durability::none : Durability::process,
                                 .cache_bytes = kCacheBytes},
                                report);
    if (!peer) continue;
    load(*peer, ids);
    for (const unsigned threads : {1U, 2U, 8U}) {
      RowHead head{.what = "read, " + thread_count(threads),
                   .unit = "reads/s",
                   .peer = type.name,
                   .peer_in_process = peer->process() == 0};
      if (is_map) head.aim = Aim{.bound = 1.0, .text = "no slower than the map"};
      report.row(head, alternate_rates(options.rounds(), options.slice_seconds(), threads,
                                       reads(*ours, ids, zipf), reads(*peer, ids, zipf)));
    }
  }
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) { return db4::bench::run_program("hot_reads", argc, argv, db4::bench::run); }
