// The document cache against other maps in memory, in the same run, alternating.
//
//     build/release/bin/db4_bench_hot_cache [--quick] [--json] [--keys N] [--body BYTES]
//
// Ids of 20 bytes, bodies of 512, scrambled Zipf 0.99. Every peer is asked for the same ids in the same
// order, starts from the id as a std::string (db4 builds its key from it and hashes it each time) and reads
// the whole body: through a counted reference, except the map that copies it out. A put brings a body of its
// own. Memory is what malloc handed out for all documents, by document, less the id and the body.
#include "base/document_block.hpp"
#include "base/hash.hpp"
#include "hot/document_cache.hpp"

#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <mutex>
#include <unordered_map>
#ifdef DB4_BENCH_TBB
#include <tbb/concurrent_hash_map.h>
#endif

#include "support.hpp"

namespace {

namespace bench = db4::bench;
using db4::detail::BlockRef;
using db4::detail::DocumentBlock;

std::uint64_t read_all(std::string_view body) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i + sizeof sum <= body.size(); i += sizeof sum) {
    std::uint64_t word;
    std::memcpy(&word, body.data() + i, sizeof word);
    sum += word;
  }
  return sum;
}

class Peer {
 public:
  virtual ~Peer() = default;
  virtual std::uint64_t get(const std::string& id, std::size_t i) = 0;
  virtual void put(const std::string& id, std::string_view body) = 0;
};

class DocumentCachePeer final : public Peer {
 public:
  explicit DocumentCachePeer(std::uint64_t max_bytes) : cache_({.max_bytes = max_bytes}) {}

  std::uint64_t get(const std::string& id, std::size_t i) override {
    std::array<char, 64> buffer;
    buffer[0] = static_cast<char>(kCollection.size());
    std::memcpy(buffer.data() + 1, kCollection.data(), kCollection.size());
    std::memcpy(buffer.data() + 1 + kCollection.size(), id.data(), id.size());
    const std::string_view key(buffer.data(), 1 + kCollection.size() + id.size());
    const BlockRef block = cache_.find(db4::hash_key(key), key, static_cast<std::int64_t>(i / 1'000));
    return block ? read_all(block->body()) : 0;
  }
  void put(const std::string& id, std::string_view body) override {
    const BlockRef block = DocumentBlock::create(kCollection, id, {}, body.size());
    std::copy(body.begin(), body.end(), block->mutable_body());
    cache_.begin_change(block->hash);
    cache_.put(block);
    cache_.end_change(block->hash);
  }
  [[nodiscard]] db4::hot::DocumentCacheStats stats() const { return cache_.stats(); }

 private:
  static constexpr std::string_view kCollection = "things";
  db4::hot::DocumentCache cache_;
};

using SharedBody = std::shared_ptr<const std::string>;

class ShardedMapPeer final : public Peer {
 public:
  std::uint64_t get(const std::string& id, std::size_t) override {
    SharedBody body;
    {
      Shard& shard = shard_of(id);
      const std::lock_guard lock(shard.mutex);
      if (const auto found = shard.map.find(id); found != shard.map.end()) body = found->second;
    }
    return body ? read_all(*body) : 0;
  }
  void put(const std::string& id, std::string_view body) override {
    SharedBody made = std::make_shared<const std::string>(body);
    Shard& shard = shard_of(id);
    const std::lock_guard lock(shard.mutex);
    std::swap(shard.map[id], made);
  }

 private:
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<std::string, SharedBody> map;
  };
  Shard& shard_of(const std::string& id) { return shards_[std::hash<std::string>()(id) >> 32 & 63]; }
  std::array<Shard, 64> shards_;
};

#ifdef DB4_BENCH_TBB
class TbbSharedPeer final : public Peer {
 public:
  std::uint64_t get(const std::string& id, std::size_t) override {
    SharedBody body;
    if (Map::const_accessor found; map_.find(found, id)) body = found->second;
    return body ? read_all(*body) : 0;
  }
  void put(const std::string& id, std::string_view body) override {
    SharedBody made = std::make_shared<const std::string>(body);
    Map::accessor found;
    map_.insert(found, id);
    std::swap(found->second, made);
    found.release();
  }

 private:
  using Map = tbb::concurrent_hash_map<std::string, SharedBody>;
  Map map_;
};

class TbbCopyPeer final : public Peer {
 public:
  std::uint64_t get(const std::string& id, std::size_t) override {
    thread_local std::string body;
    body.clear();
    if (Map::const_accessor found; map_.find(found, id)) body = found->second;
    return read_all(body);
  }
  void put(const std::string& id, std::string_view body) override {
    Map::accessor found;
    map_.insert(found, id);
    found->second.assign(body);
  }

 private:
  using Map = tbb::concurrent_hash_map<std::string, std::string>;
  Map map_;
};
#endif

struct Contender {
  std::string name;
  std::unique_ptr<Peer> peer;
  double overhead = 0;  ///< bytes by document
};

/// Resident memory: TBB brings an allocator of its own, so that malloc's figures would not do.
double resident_bytes() {
  malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

std::vector<Contender> make_contenders(std::size_t keys, std::size_t body_bytes) {
  std::vector<Contender> out;
  const std::uint64_t enough = keys * (body_bytes + 400) + (64ULL << 20);
  out.push_back({"db4 document cache", std::make_unique<DocumentCachePeer>(enough)});
#ifdef DB4_BENCH_TBB
  out.push_back({"tbb hash map, shared_ptr", std::make_unique<TbbSharedPeer>()});
  out.push_back({"tbb hash map, copied out", std::make_unique<TbbCopyPeer>()});
#endif
  out.push_back({"64 unordered_map + mutex", std::make_unique<ShardedMapPeer>()});
  return out;
}

double cpu_seconds() {
  struct timespec time {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// By round. On a machine that does other things as well, processor time by operation tells more than the
/// rate.
struct Rounds {
  std::vector<double> rates;
  std::vector<double> cpu_ns;
};

/// Every contender in every round: they take turns.
std::vector<Rounds> run_rounds(const bench::Arguments& arguments, unsigned threads,
                               std::vector<Contender>& contenders,
                               const std::function<bench::Operation(Peer&)>& operation) {
  const double seconds = arguments.quick() ? 0.25 : 1.0;
  std::vector<Rounds> out(contenders.size());
  for (int round = -1; round < arguments.rounds(); ++round) {  // the first to warm up
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      const double cpu_start = cpu_seconds();
      const double rate = bench::measure(seconds, threads, operation(*contenders[i].peer));
      const double operations = rate * bench::elapsed_seconds(start);
      if (round < 0) continue;
      out[i].rates.push_back(rate);
      out[i].cpu_ns.push_back((cpu_seconds() - cpu_start) / operations * 1e9);
    }
  }
  return out;
}

class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  void add(const std::string& what, unsigned threads, const std::vector<Contender>& contenders,
           const std::vector<Rounds>& rounds) {
    const auto text = [](double value) { return bench::Table::format("%.2f", value); };
    const double our_cpu_ns = bench::median(rounds[0].cpu_ns);
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      std::vector<double> ratios;
      for (std::size_t round = 0; round < rounds[i].rates.size(); ++round) {
        ratios.push_back(rounds[0].rates[round] / rounds[i].rates[round]);
      }
      const auto [lowest, highest] = std::minmax_element(ratios.begin(), ratios.end());
      const double rate = bench::median(rounds[i].rates);
      const double cpu_ns = bench::median(rounds[i].cpu_ns);
      if (json_) {
        std::printf(
            "{\"what\":\"%s\",\"threads\":%u,\"contender\":\"%s\",\"per_second\":%.0f,\"cpu_ns\":%.1f,"
            "\"db4_ratio\":%.3f,\"lowest\":%.3f,\"highest\":%.3f,\"db4_cpu_ratio\":%.3f}\n",
            what.c_str(), threads, contenders[i].name.c_str(), rate, cpu_ns, bench::median(ratios), *lowest,
            *highest, cpu_ns / our_cpu_ns);
        continue;
      }
      table_.add({what, std::to_string(threads), contenders[i].name, text(rate / 1e6),
                  bench::Table::format("%.0f", cpu_ns), i == 0 ? "" : text(bench::median(ratios)),
                  i == 0 ? "" : text(*lowest) + " to " + text(*highest),
                  i == 0 ? "" : text(cpu_ns / our_cpu_ns)});
    }
  }
  void print() const {
    if (!json_) table_.print();
  }

 private:
  bool json_;
  bench::Table table_{{"", "threads", "", "M/s", "CPU ns each", "db4 is times", "spread", "by CPU time"}};
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const bool json = arguments.has("json");
  const std::size_t keys = arguments.number("keys", arguments.quick() ? 200'000 : 1'000'000);
  const std::size_t body_bytes = arguments.number("body", 512);
  const std::vector<std::string> ids = bench::make_ids(keys);
  const bench::Zipf zipf(keys, 0.99, 1);
  const std::string body(body_bytes, 'x');

  std::vector<Contender> contenders = make_contenders(keys, body_bytes);
  for (Contender& contender : contenders) {
    const double before = resident_bytes();
    for (const std::string& id : ids) contender.peer->put(id, body);
    contender.overhead = (resident_bytes() - before) / static_cast<double>(keys) -
                         static_cast<double>(body_bytes + ids.front().size());
  }

  Report report(json);
  for (const unsigned threads : {1U, 2U, 8U}) {
    report.add("get", threads, contenders, run_rounds(arguments, threads, contenders, [&](Peer& peer) {
                 return [&](unsigned thread, std::size_t i) { return peer.get(ids[zipf.at(thread, i)], i); };
               }));
  }
  for (const unsigned threads : {1U, 2U, 8U}) {
    report.add("put", threads, contenders, run_rounds(arguments, threads, contenders, [&](Peer& peer) {
                 return [&](unsigned thread, std::size_t i) {
                   peer.put(ids[zipf.at(thread, i)], body);
                   return std::uint64_t{0};
                 };
               }));
  }
  report.print();

  bench::Table memory({"", "overhead, bytes by document"});
  for (const Contender& contender : contenders) {
    if (json) {
      std::printf("{\"what\":\"overhead\",\"contender\":\"%s\",\"bytes\":%.1f}\n", contender.name.c_str(),
                  contender.overhead);
    } else {
      memory.add({contender.name, bench::Table::format("%.1f", contender.overhead)});
    }
  }
  if (!json) {
    std::printf("\n");
    memory.print();
    std::printf(
        "\n  Of db4's overhead %zu bytes are the header of a block (version, times, access figures).\n",
        sizeof(DocumentBlock));
  }
  return 0;
}
