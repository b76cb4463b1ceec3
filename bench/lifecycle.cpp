// What a document's life costs: import, demotion to cold, reading back, and the memory it takes in each tier.
#include "base/document_block.hpp"
#include "harness/report.hpp"
#include "harness/workload.hpp"
#include "hot/document_cache.hpp"
#include "peers/load.hpp"
#include "warm/warm_caches.hpp"

#include <db4/storage.hpp>

#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

namespace db4::bench {
namespace {

using namespace db4::literals;

constexpr std::string_view kCollection = "docs";

std::vector<BatchItem> make_items(std::size_t count) {
  std::vector<BatchItem> items;
  for (std::size_t i = 0; i < count; ++i) {
    items.push_back({.id = "d" + std::to_string(i), .body = make_json_document(i)});
  }
  return items;
}

/// Calls `put` with kBatch items at a time; documents a second.
template <typename Put>
double import(const std::vector<BatchItem>& items, const Put& put) {
  const std::span<const BatchItem> all(items);
  const double milliseconds = time_milliseconds([&] {
    for (std::size_t at = 0; at < all.size(); at += kBatch) {
      put(all.subspan(at, std::min(kBatch, all.size() - at)));
    }
  });
  return static_cast<double>(items.size()) / milliseconds * 1000;
}

void imports(const Options& options, Report& report, const std::vector<BatchItem>& items) {
  report.section("Import, " + format_figure(static_cast<double>(items.size())) + " JSON documents of 1 KB",
                 "durability process, batches of 1,000, ascending ids, an empty database for every round",
                 "db4 checks that each body is JSON and files rows, due entries and counters");
  for (const PeerType& type : durable_peers()) {
    const Folder folder(options.dir());
    const auto sample = [&](const PeerType& contestant) {
      return [&](int round) {
        const Folder own(folder.path());
        const auto peer = open_peer(contestant, {.path = own.path() / ("r" + std::to_string(round))}, report);
        return import(items, [&](std::span<const BatchItem> batch) { peer->put_batch(batch); });
      };
    };
    const PeerOptions probe{.path = folder.path() / "probe"};
    if (!open_peer(type, probe, report)) continue;
    report.row(
        {.what = "import", .unit = "docs/s", .peer = type.name},
        alternate(options.pick(1, 2, 3), Better::more, sample(db4_type(HotType::rocksdb)), sample(type)));
  }
}

TieredStoreConfig config_in(const std::filesystem::path& dir) {
  return {.hot = {.path = dir / "hot", .durability = Durability::process},
          .warm = {.max_size = 0},
          .cold = {.path = dir / "cold"},
          .tiering = {.interval = 0ms}};
}

struct ColdRates {
  double demotion = 0;
  double reading = 0;
  ColdStats stats;
};

/// Demotes everything and reads it back.
ColdRates go_cold(const Options& options, const std::vector<BatchItem>& items, std::uint64_t pack_below) {
  const Folder folder(options.dir());
  const auto clock = std::make_shared<SimulatedClock>();
  TieredStoreConfig config = config_in(folder.path());
  config.cold.pack_below = pack_below;
  TieredStore store(config, {.clock = clock});
  import(items, [&](std::span<const BatchItem> batch) { store.write_batch(kCollection, batch);
});
clock->advance(48h);
const auto count = static_cast<double>(items.size());
ColdRates rates;
const double demotion = time_milliseconds([&] {
  if (store.run_tiering({.max_operations = items.size()}).demoted != items.size()) {
    throw std::runtime_error("not every document was demoted");
  }
});
const double reading = time_milliseconds([&] {
  for (std::size_t i = 0; i < items.size(); ++i) {
    const BatchItem& item = items[i * 7919 % items.size()];
    const auto document = store.read(kCollection, item.id, {.promote = false});
    if (!document || document->text() != item.body) throw std::runtime_error("a document did not come back");
  }
});
rates.demotion = count / demotion * 1000;
rates.reading = count / reading * 1000;
rates.stats = store.cold_storage().stats();
return rates;
}  // namespace

void demotions(const Options& options, Report& report, const std::vector<BatchItem>& items) {
  const std::vector<BatchItem> few(items.begin(),
                                   items.begin() + static_cast<std::ptrdiff_t>(items.size() / 20));
  report.section(
      "To cold and back, " + format_figure(static_cast<double>(items.size())) + " JSON documents of 1 KB",
      "documents, zstd, synced files in a folder, one thread; every document is read back and compared",
      "a twentieth of the documents where each is an object of its own");
  std::vector<ColdRates> packed;
  std::vector<ColdRates> single;
  for (int round = 0; round < options.pick(1, 2, 3); ++round) {
    packed.push_back(go_cold(options, items, 128_KiB));
    single.push_back(go_cold(options, few, 0));
  }
  const auto of = [](const std::vector<ColdRates>& rates, double ColdRates::*member) {
    return [&rates, member](int round) { return rates[static_cast<std::size_t>(round)].*member; };
  };
  const auto row = [&](const char* what, double ColdRates::*member) {
    report.row(
        {.what = what, .unit = "docs/s", .subject = "db4, segments", .peer = "db4, an object each"},
        alternate(static_cast<int>(packed.size()), Better::more, of(packed, member), of(single, member)));
  };
  row("demotion", &ColdRates::demotion);
  row("reading back", &ColdRates::reading);
  const ColdStats& stats = packed.back().stats;
  const auto count = static_cast<double>(items.size());
  report.row({.what = "puts for all of them",
              .unit = "requests",
              .better = Better::less,
              .aim = Aim{.of = Aim::Of::value, .bound = 200, .text = "under 200 for 100,000"}},
             summarize({static_cast<double>(stats.put_requests)}));
  report.row({.what = "bytes of objects by document", .unit = "B", .better = Better::less},
             summarize({static_cast<double>(stats.object_bytes) / count}));
  report.row({.what = "bytes of bodies by document", .unit = "B", .better = Better::less},
             summarize({static_cast<double>(stats.bytes) / count}));
}

/// Resident memory of this process or, where it is given, of a peer's.
double resident_bytes(pid_t pid = 0) {
  malloc_trim(0);
  std::ifstream statm("/proc/" + (pid == 0 ? "self" : std::to_string(pid)) + "/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// What `action` adds to resident memory, by document.
template <typename Action>
double growth(std::size_t count, pid_t pid, const Action& action) {
  const double before = resident_bytes(pid);
  action();
  return (resident_bytes(pid) - before) / static_cast<double>(count);
}

double hot_overhead(const std::vector<std::string>& ids) {
  const Bodies bodies;
  hot::DocumentCache cache({.max_bytes = ids.size() * 1024 + 64_MiB});
  const double bytes = growth(ids.size(), 0, [&] {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::string_view body = bodies.at(i);
      const detail::BlockRef block = detail::DocumentBlock::create(kCollection, ids[i], {}, body.size());
      std::copy(body.begin(), body.end(), block->mutable_body());
      cache.begin_change(block->hash);
      cache.put(block);
      cache.end_change(block->hash);
    }
  });
  return bytes - kIdBytes - kBodyBytes;
}

double warm_overhead(const std::vector<std::string>& ids) {
  const Bodies bodies;
  const auto cache = warm::make_memory_warm_cache(ids.size() * 1024 + 64_MiB);
  const double bytes = growth(ids.size(), 0, [&] {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      cache->put(ids[i], {.version = 1, .record = std::make_shared<const std::string>(bodies.at(i))});
    }
  });
  return bytes - kIdBytes - kBodyBytes;
}

/// Of a peer that holds everything in memory; nothing where it was skipped.
std::optional<double> peer_overhead(const PeerType& type, const Options& options, Report& report,
                                    const std::vector<std::string>& ids) {
  const Folder folder(options.dir());
  const auto peer = open_peer(type, {.path = folder.path() / "peer", .durability = Durability::none}, report);
  if (!peer) return std::nullopt;
  return growth(ids.size(), peer->process(), [&] { load(*peer, ids); }) - kIdBytes - kBodyBytes;
}

/// Resident memory that a store with `count` cold documents takes: opened, and its due index looked at.
double opened_cold_bytes(const Options& options, std::size_t count) {
  const Folder folder(options.dir());
  const auto clock = std::make_shared<SimulatedClock>();
  const auto opened = [&] {
    const double before = resident_bytes();
    TieredStore store(config_in(folder.path()), {.clock = clock});
    store.run_tiering({.dry_run = true});
    return resident_bytes() - before;
  };
  {
    TieredStore store(config_in(folder.path()), {.clock = clock});
    import(make_items(count), [&](std::span<const BatchItem> batch) { store.write_batch(kCollection, batch);
  });
  clock->advance(48h);
  store.run_tiering({.max_operations = count});
}
opened();  // replays the log, and flushes
return opened();
}  // namespace db4::bench

/// By document: what nine times as many more add. The engine's cache and tables of files have a bound of
/// their own, which a few documents reach as well as many.
double cold_memory(const Options& options, std::size_t count) {
  const double few = opened_cold_bytes(options, count / 10);
  const double many = opened_cold_bytes(options, count);
  return (many - few) / static_cast<double>(count - count / 10);
}

void memory(const Options& options, Report& report) {
  const std::size_t count = options.pick<std::size_t>(5'000, 50'000, 500'000);
  const std::vector<std::string> ids = make_ids(count);
  report.section(
      "Memory by document, beyond id and body, " + format_figure(static_cast<double>(count)) + " documents",
      "ids of 20 B, bodies of 512 B; resident memory before and after",
      "a hot document carries version, times and access figures; the peers' values carry nothing");
  const auto row = [&](const char* what, double ours, const PeerType& type) {
    const RowHead head{.what = what, .unit = "B", .better = Better::less, .peer = type.name};
    if (const std::optional<double> theirs = peer_overhead(type, options, report, ids)) {
      report.row(head, alternate(
                           1, Better::less, [&](int) { return ours; }, [&](int) { return *theirs; }));
    } else {
      report.row(head, summarize({ours}));
    }
  };
  row("hot, in the memory cache", hot_overhead(ids), tbb_copy_type());
  row("warm, in the memory cache", warm_overhead(ids), redis_type());
  report.row({.what = "cold",
              .unit = "B",
              .better = Better::less,
              .aim = Aim{.of = Aim::Of::value, .bound = 10, .text = "none (under 10 B, what this can tell)"}},
             summarize({cold_memory(options, count / 5)}));
}

void run(const Options& options, Report& report) {
  memory(options, report);  // first: what others leave behind in the heap would be taken for free
  const std::vector<BatchItem> items = make_items(options.pick<std::size_t>(2'000, 10'000, 100'000));
  imports(options, report, items);
  demotions(options, report, items);
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) { return db4::bench::run_program("lifecycle", argc, argv, db4::bench::run); }
