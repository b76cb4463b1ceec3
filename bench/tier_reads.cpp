// Reads of documents that are not in memory: rows in the engine, copies in the warm caches, records in cold
// objects; each against what one would use directly for the same.
#include "harness/report.hpp"
#include "harness/workload.hpp"
#include "peers/load.hpp"
#include "peers/redis_server.hpp"

#include <db4/object_stores.hpp>
#include <db4/storage.hpp>

#include <stdexcept>

namespace db4::bench {
namespace {

using namespace db4::literals;

constexpr std::string_view kCollection = "docs";
constexpr std::uint64_t kCacheBytes = 256_MiB;

/// A store with a simulated clock, whose documents tiering has moved to one tier.
class Store {
 public:
  Store(TieredStoreConfig config, const std::vector<std::string>& ids, StorageTier tier)
      : clock_(std::make_shared<SimulatedClock>()), store_(std::move(config), {.clock = clock_}) {
    const Bodies bodies;
    for (std::size_t begin = 0; begin < ids.size(); begin += kBatch) {
      std::vector<BatchItem> batch;
      for (std::size_t i = begin; i < std::min(begin + kBatch, ids.size()); ++i) {
        batch.push_back({.id = ids[i], .body = std::string(bodies.at(i)), .content_type = "text/plain"});
      }
      store_.write_batch(kCollection, batch);
    }
    clock_->advance(tier == StorageTier::hot ? 0h : tier == StorageTier::warm ? 2h : 48h);
    store_.run_tiering({.max_operations = ids.size()});
    for (const std::string& id : {ids.front(), ids.back()}) {
      const std::optional<Document> document = store_.read(kCollection, id, {.promote = false});
      if (!document || document->served_from() != tier)
        throw std::runtime_error("a document is in another tier");
    }
  }
  /// Leaves every document where it is.
  std::uint64_t get(const std::string& id) {
    const std::optional<Document> document = store_.read(kCollection, id, {.promote = false});
    if (!document) throw std::runtime_error("db4 lacks " + id);
    return read_all(document->text());
  }
  [[nodiscard]] TieredStore& store() noexcept { return store_; }

 private:
  std::shared_ptr<SimulatedClock> clock_;
  TieredStore store_;
};

TieredStoreConfig config_in(const std::filesystem::path& dir) {
  return {.hot = {.path = dir / "hot", .cache_size = 0, .durability = Durability::process},
          .warm = {.type = WarmType::memory, .path = dir / "warm", .max_size = 2_GiB},
          .cold = {.path = dir / "cold"},
          .tiering = {.interval = 0ms}};
}

struct Workload {
  std::vector<std::string> ids;
  Zipf zipf;
};

/// `head` names what is read, from where, and the peer.
void compare(const Options& options, Report& report, const Workload& work, const RowHead& head, Store& ours,
             const Operation& peer) {
  const Operation read = [&](unsigned thread, std::size_t i) {
    return ours.get(work.ids[work.zipf.at(thread, i)]);
  };
  for (const unsigned threads : {1U, 8U}) {
    RowHead row = head;
    row.what += ", " + thread_count(threads);
    row.unit = "reads/s";
    report.row(row, alternate_rates(options.rounds(), options.slice_seconds(), threads, read, peer));
  }
}

void compare_with(const Options& options, Report& report, const Workload& work, const std::string& what,
                  Store& ours, const PeerType& type, const std::filesystem::path& path) {
  const auto peer = open_peer(type, {.path = path, .cache_bytes = kCacheBytes}, report);
  if (!peer) return;
  load(*peer, work.ids);
  compare(options, report, work, {.what = what, .peer = type.name, .peer_in_process = peer->process() == 0},
          ours, [&](unsigned thread, std::size_t i) { return peer->get(work.ids[work.zipf.at(thread, i)]); });
}

/// The floor under a cold read: ranged gets of the same size from the same objects, in random places, nothing
/// found, checked or unpacked.
void compare_with_raw(const Options& options, Report& report, const Workload& work, const std::string& what,
                      Store& ours, const std::filesystem::path& objects_path) {
  const ColdStats cold = ours.store().cold_storage().stats();
  const std::uint64_t record = cold.record_bytes / std::max<std::uint64_t>(cold.documents, 1);
  const auto objects = make_filesystem_object_store(objects_path);
  const ObjectPage page = objects->list("", "", 1000);
  compare(options, report, work, {.what = what, .peer = "raw ranged gets"}, ours,
          [&](unsigned thread, std::size_t i) -> std::uint64_t {
            const std::size_t draw = work.zipf.at(thread, i) * 7919;
            const ObjectInfo& object = page.objects[draw % page.objects.size()];
            const std::uint64_t room = object.size > record ? object.size - record : 1;
            const auto bytes = objects->get_range(object.name, draw % room, record);
            if (!bytes) throw std::runtime_error("an object is gone");
            return bytes->size();
          });
}

void run(const Options& options, Report& report) {
  const std::size_t keys = options.pick<std::size_t>(2'000, 20'000, 200'000);
  const Workload work{.ids = make_ids(keys), .zipf = Zipf(keys, 0.99, 13)};
  const Folder folder(options.dir());
  const std::filesystem::path& dir = folder.path();

  report.section(
      "Reads past the memory cache, " + format_figure(static_cast<double>(keys)) + " documents",
      "ids, bodies of 512 B, Zipf 0.99, files in the system's memory; each reads the whole body",
      "engines: the peer's cache is 256 MiB, db4's engine has 32 MiB; db4 checks version and checksum of "
      "every copy");
  {
    Store ours(config_in(dir / "row"), work.ids, StorageTier::hot);
    compare_with(options, report, work, "hot, from the engine", ours, rocksdb_type(), dir / "rocksdb");
    compare_with(options, report, work, "hot, from the engine", ours, lmdb_type(), dir / "lmdb");
  }
  {
    Store ours(config_in(dir / "memory"), work.ids, StorageTier::warm);
    compare_with(options, report, work, "warm, in memory", ours, redis_type(), dir / "redis");
  }
  {
    TieredStoreConfig config = config_in(dir / "disk");
    config.warm.type = WarmType::disk;
    Store ours(config, work.ids, StorageTier::warm);
    compare_with(options, report, work, "warm, on disk", ours, rocksdb_type(), dir / "rocksdb-warm");
  }
  if (RedisServer::find_program().empty()) {
    report.skip("warm, in Redis",
                "there is no redis-server in the PATH (Debian: redis-tools or redis-server)");
  } else {
    const RedisServer server(dir / "redis-warm", Durability::none);
    TieredStoreConfig config = config_in(dir / "with-redis");
    config.warm.type = WarmType::redis;
    config.warm.endpoint = "unix://" + server.socket();
    config.warm.timeout = config.warm.connect_timeout = 30s;  // what is measured is the usual case
    Store ours(config, work.ids, StorageTier::warm);
    compare_with(options, report, work, "warm, in Redis", ours, redis_type(), dir / "redis-peer");
  }
  {
    TieredStoreConfig config = config_in(dir / "cold");
    config.warm.max_size = 0;
    Store ours(config, work.ids, StorageTier::cold);
    compare_with_raw(options, report, work, "cold, from the system's memory", ours, dir / "cold" / "cold");
  }
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) { return db4::bench::run_program("tier_reads", argc, argv, db4::bench::run); }
