// Hits in the warm tier's caches, in memory, on disk and in Redis, beside hiredis that gets a value of the
// same size from the same server; and hits in caches of an encrypted store beside plain ones.
#include "harness/report.hpp"
#include "harness/workload.hpp"
#include "net/redis_client.hpp"
#include "peers/load.hpp"
#include "peers/raw_redis.hpp"
#include "peers/redis_server.hpp"
#include "warm/sealed_warm_cache.hpp"
#include "warm/warm_caches.hpp"

#include <db4/storage.hpp>

#include <functional>
#include <optional>
#include <stdexcept>

namespace db4::bench {
namespace {

constexpr std::size_t kPipelined = 32;

struct Workload {
  std::vector<std::string> ids;
  Zipf zipf;
  [[nodiscard]] const std::string& at(unsigned thread, std::size_t i) const {
    return ids[zipf.at(thread, i)];
  }
  [[nodiscard]] std::string copies() const {
    return format_figure(static_cast<double>(ids.size())) + " copies";
  }
};

void fill(WarmCache& cache, const Workload& work) {
  const Bodies bodies;
  const TimePoint end = system_clock()->now() + 24h;
  for (std::size_t i = 0; i < work.ids.size(); ++i) {
    cache.put(work.ids[i], {.version = 1,
                            .fresh_until = end,
                            .stale_until = end,
                            .record = std::make_shared<const std::string>(bodies.at(i))});
  }
}

/// The same bodies under the ids themselves.
void fill(net::RedisClient& client, const Workload& work) {
  const Bodies bodies;
  for (std::size_t i = 0; i < work.ids.size(); ++i) client.command({"SET", work.ids[i], bodies.at(i)});
}

std::uint64_t hit(WarmCache& cache, const std::string& id) {
  const std::optional<WarmEntry> entry = cache.get(id);
  if (!entry) throw std::runtime_error("a copy is gone");
  return read_all(*entry->record);
}

void compare_hits(const Options& options, Report& report, const Workload& work, const std::string& what,
                  WarmCache& cache, RawRedis& peer, const std::optional<Aim>& aim) {
  fill(cache, work);
  for (const unsigned threads : {1U, 8U}) {
    const Operation ours = [&](unsigned thread, std::size_t i) { return hit(cache, work.at(thread, i)); };
    const Operation theirs = [&](unsigned thread, std::size_t i) { return peer.get(work.at(thread, i)); };
    report.row({.what = what + ", " + thread_count(threads),
                .unit = "hits/s",
                .subject = "warm cache",
                .peer = "hiredis, one GET",
                .peer_in_process = true,
                .aim = aim},
               alternate_rates(options.rounds(), options.slice_seconds(), threads, ours, theirs));
  }
}

/// One call gets kPipelined values.
void compare_pipelines(const Options& options, Report& report, const Workload& work, net::RedisClient& client,
                       RawRedis& peer) {
  const auto keys_at = [&](unsigned thread, std::size_t i) {
    std::array<std::string_view, kPipelined> keys;
    for (std::size_t k = 0; k < keys.size(); ++k) keys[k] = work.at(thread, i * kPipelined + k);
    return keys;
  };
  const Operation ours = [&](unsigned thread, std::size_t i) {
    const auto keys = keys_at(thread, i);
    std::array<std::array<std::string_view, 2>, kPipelined> words;
    std::array<net::RedisWords, kPipelined> commands;
    for (std::size_t k = 0; k < keys.size(); ++k) {
      words[k] = {"GET", keys[k]};
      commands[k] = words[k];
    }
    std::uint64_t sum = 0;
    for (const net::RedisReply& reply : client.pipeline(commands)) sum += read_all(reply.text);
    return sum;
  };
  const Operation theirs = [&](unsigned thread, std::size_t i) { return peer.get_all(keys_at(thread, i)); };
  report.row({.what = "32 gets in one pipeline, " + thread_count(1),
              .unit = "pipelines/s",
              .subject = "db4's Redis client",
              .peer = "hiredis, the same pipeline",
              .aim = Aim{.bound = 0.9, .text = "0.9 of hiredis"}},
             alternate_rates(options.rounds(), options.slice_seconds(), 1, ours, theirs));
}

/// `make(name)` gives an empty cache, another for each name.
void compare_sealed(const Options& options, Report& report, const Workload& work, const std::string& what,
                    EncryptionManager& manager,
                    const std::function<std::shared_ptr<WarmCache>(const std::string&)>& make) {
  const auto sealed = warm::seal_warm_cache(make("sealed"), manager.keys(), "bench", nullptr, Padding::none);
  const auto plain = make("plain");
  fill(*sealed, work);
  fill(*plain, work);
  for (const unsigned threads : {1U, 8U}) {
    const Operation ours = [&](unsigned thread, std::size_t i) { return hit(*sealed, work.at(thread, i)); };
    const Operation theirs = [&](unsigned thread, std::size_t i) { return hit(*plain, work.at(thread, i)); };
    report.row({.what = what + ", " + thread_count(threads),
                .unit = "hits/s",
                .subject = "sealed",
                .peer = "the same cache, plain",
                .peer_in_process = true},
               alternate_rates(options.rounds(), options.slice_seconds(), threads, ours, theirs));
  }
  sealed->close();
  plain->close();
}

warm::RedisWarmCacheOptions redis_options(const RedisServer& server, const std::string& store_id) {
  warm::RedisWarmCacheOptions redis = warm::redis_options({.type = WarmType::redis,
                                                           .endpoint = "unix://" + server.socket(),
                                                           .timeout = 30s,
                                                           .connect_timeout = 30s});
  redis.store_id = store_id;
  return redis;
}

void run_plain(const Options& options, Report& report, const Workload& work, const std::filesystem::path& dir,
               const RedisServer& server) {
  const auto peer = open_raw_redis(server.socket());
  if (!peer) {
    report.skip("hiredis", "hiredis was not found when db4 was built (libhiredis-dev)");
    return;
  }
  report.section(
      "Hits in the warm caches, " + work.copies(),
      "ids, records of 512 B, Zipf 0.99; each reads the whole record; the same Redis, over a unix socket",
      "a copy in Redis has a trailer of 52 bytes, and its generation is asked for in the same command; "
      "the caches in memory and on disk are in the process");
  net::RedisClient client(redis_options(server, "bench").client);
  fill(client, work);
  const auto memory = warm::make_memory_warm_cache(1_GiB);
  compare_hits(options, report, work, "in memory", *memory, *peer, std::nullopt);
  const auto disk = warm::make_disk_warm_cache(dir / "disk", 1_GiB);
  compare_hits(options, report, work, "on disk", *disk, *peer, std::nullopt);
  const auto in_redis = warm::make_redis_warm_cache(redis_options(server, "bench"));
  compare_hits(options, report, work, "in Redis", *in_redis, *peer,
               Aim{.bound = 0.9, .text = "0.9 of hiredis"});
  compare_pipelines(options, report, work, client, *peer);
  disk->close();
}

void run_sealed(const Options& options, Report& report, const Workload& work,
                const std::filesystem::path& dir, const RedisServer* server) {
  EncryptionManager manager({.master_key = generate_master_key()});
  manager.initialize();
  report.section("Hits in sealed warm caches, " + work.copies(),
                 "ids, records of 512 B, Zipf 0.99; each reads the whole record; two caches of one kind",
                 "a sealed hit hides the key by an HMAC, derives the record's own key, and opens the record");
  compare_sealed(options, report, work, "on disk", manager, [&](const std::string& name) {
    return warm::make_disk_warm_cache(dir / ("disk " + name), 1_GiB);
  });
  if (server == nullptr) return;
  compare_sealed(options, report, work, "in Redis", manager, [&](const std::string& name) {
    return warm::make_redis_warm_cache(redis_options(*server, name));
  });
}

void run(const Options& options, Report& report) {
  const std::size_t keys = options.pick<std::size_t>(2'000, 20'000, 100'000);
  const Workload work{.ids = make_ids(keys), .zipf = Zipf(keys, 0.99, 13)};
  const Folder folder(options.dir());
  std::optional<RedisServer> server;
  if (RedisServer::find_program().empty()) {
    report.skip("Redis, unix socket",
                "there is no redis-server in the PATH (Debian: redis-tools or redis-server)");
  } else {
    server.emplace(folder.path() / "redis", Durability::none);
    run_plain(options, report, work, folder.path(), *server);
  }
  run_sealed(options, report, work, folder.path(), server ? &*server : nullptr);
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) { return db4::bench::run_program("warm_hits", argc, argv, db4::bench::run); }
