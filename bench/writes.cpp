// Writes one by one and in batches, at each durability, against engines that promise the same.
#include "harness/report.hpp"
#include "harness/workload.hpp"
#include "peers/load.hpp"

namespace db4::bench {
namespace {

constexpr std::uint64_t kCacheBytes = 256ULL << 20;

struct Workload {
  std::vector<std::string> ids;
  Zipf zipf;
  Bodies bodies;
};

Operation puts(Peer& peer, const Workload& work) {
  return [&](unsigned thread, std::size_t i) -> std::uint64_t {
    const std::size_t draw = work.zipf.at(thread, i);
    peer.put(work.ids[draw], work.bodies.at(i));
    return draw;
  };
}

/// Batches of `size` ids that follow each other in `ids`, which are in random order.
Operation batches(Peer& peer, const Workload& work, std::size_t size) {
  return [&, size](unsigned, std::size_t i) -> std::uint64_t {
    std::vector<BatchItem> items;
    for (std::size_t at = i * size; at < (i + 1) * size; ++at) {
      items.push_back({.id = work.ids[at % work.ids.size()],
                       .body = std::string(work.bodies.at(at)),
                       .content_type = "text/plain"});
    }
    peer.put_batch(items);
    return items.size();
  };
}

std::string promise(Durability durability) {
  switch (durability) {
    case Durability::none:
      return "durability none: nothing survives the process";
    case Durability::process:
      return "durability process: survives a killed process";
    case Durability::disk:
      return "durability disk: survives a power cut";
  }
  return {};
}

std::string modes(Durability durability) {
  switch (durability) {
    case Durability::none:
      return "RocksDB without its log, SQLite with its journal in memory, Redis without a log; LevelDB and "
             "LMDB "
             "have no such mode";
    case Durability::process:
      return "RocksDB and LevelDB without sync, LMDB with NOSYNC, SQLite in WAL mode with synchronous=OFF, "
             "Redis "
             "with appendfsync no";
    case Durability::disk:
      return "RocksDB and LevelDB with sync, LMDB's default, SQLite in WAL mode with synchronous=FULL, Redis "
             "with "
             "appendfsync always";
  }
  return {};
}

void compare(const Options& options, Report& report, HotType engine, const PeerType& type,
             Durability durability, const Workload& work) {
  const Folder folder(options.dir());
  const PeerType ours_type = db4_type(engine);
  const auto open = [&](const PeerType& which, const char* name) {
    return open_peer(
        which, {.path = folder.path() / name, .durability = durability, .cache_bytes = kCacheBytes}, report);
  };
  const auto peer = open(type, "peer");
  if (!peer) return;
  const auto ours = open(ours_type, "db4");
  RowHead head{.subject = ours_type.name, .peer = type.name, .peer_in_process = peer->process() == 0};
  for (const unsigned threads : {1U, 8U}) {
    head.what = "write, " + thread_count(threads);
    head.unit = "writes/s";
    head.aim.reset();
    if (durability == Durability::disk && threads == 8 && type.name == "RocksDB") {
      head.aim = Aim{.bound = 1.5, .text = "1.5 times RocksDB"};
    }
    // A disk that others use too makes rounds differ most: what is aimed at gets more of them.
    const int rounds = options.rounds() * (head.aim ? 3 : 1);
    report.row(head, alternate_rates(rounds, options.slice_seconds(), threads, puts(*ours, work),
                                     puts(*peer, work)));
  }
  head.what = "batches of 1,000";
  head.unit = "batches/s";
  head.aim.reset();
  report.row(head, alternate_rates(options.rounds(), options.slice_seconds(), 1, batches(*ours, work, kBatch),
                                   batches(*peer, work, kBatch)));
}

void run(const Options& options, Report& report) {
  const std::size_t keys = options.pick<std::size_t>(5'000, 100'000, 1'000'000);
  const Workload work{.ids = make_shuffled_ids(keys), .zipf = Zipf(keys, 0.99, 11), .bodies = {}};
  for (const Durability durability : {Durability::disk, Durability::process, Durability::none}) {
    report.section(
        "Writes, " + promise(durability),
        "durability (" + modes(durability) + "), file system, ids, bodies of 512 B, order; Zipf 0.99 over " +
            format_figure(static_cast<double>(keys)) + " ids, batches in random order; both begin empty",
        "db4 also keeps a version, times, a due entry and counters of each document, and reads the row "
        "that it replaces");
    std::vector<PeerType> types = durable_peers();
    types.push_back(raw_file_type());
    for (const PeerType& type : types) {
      if (!type.supports(durability)) continue;
      compare(options, report, HotType::rocksdb, type, durability, work);
      if (type.name == "SQLite" && durability == Durability::disk) {
        compare(options, report, HotType::sqlite, type, durability, work);
      }
    }
  }
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) { return db4::bench::run_program("writes", argc, argv, db4::bench::run); }
