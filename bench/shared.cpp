// The PostgreSQL engine, through its commit queue, against plain libpq touching the same rows of the same
// server, and a store on several nodes. Wants DB4_TEST_POSTGRES_URL, which scripts/bench.sh sets.
#include "harness/report.hpp"
#include "harness/workload.hpp"
#include "kv/commit_queue.hpp"
#include "kv/engine.hpp"
#include "peers/load.hpp"
#include "peers/raw_libpq.hpp"

#include <db4/storage.hpp>

namespace db4::bench {
namespace {

constexpr std::uint8_t kRows = 1;
constexpr std::uint8_t kDue = 2;
constexpr std::uint8_t kChanges = 3;
constexpr std::uint8_t kCounters = 4;
constexpr std::size_t kSessions = 8;

std::vector<kv::SpaceSpec> spaces() {
  using enum kv::SpaceKind;
  return {{kRows, "rows", keys},
          {kDue, "due", keys},
          {kChanges, "changes", keys},
          {kCounters, "counters", counters}};
}

/// What one write of a document touches: its row, checked first, an entry each of two indexes, two counters.
kv::Batch write_of(const std::string& id, std::string_view body, std::size_t i) {
  kv::Batch batch;
  batch.require_present(kRows, id);
  batch.put(kRows, id, std::string(body));
  batch.put(kDue, id, {});
  batch.append(kChanges, "node", id);
  batch.add(kCounters, "a" + std::to_string(i % 16), 1);
  batch.add(kCounters, "b" + std::to_string(i % 16), 1);
  return batch;
}

void compare(const Options& options, Report& report, const std::string& url, Durability durability) {
  const std::vector<std::string> ids = make_shuffled_ids(options.pick<std::size_t>(500, 5'000, 50'000));
  const Bodies bodies;
  const auto engine = kv::open_engine(
      HotType::postgres,
      {.spaces = spaces(), .postgres = {.url = url, .schema = "bench", .max_connections = kSessions}});
  kv::CommitQueue queue(*engine);
  for (std::size_t from = 0; from < ids.size(); from += 1000) {
    kv::Batch batch;
    for (std::size_t i = from; i < std::min(from + 1000, ids.size()); ++i)
      batch.put(kRows, ids[i], std::string(bodies.at(i)));
    queue.commit(batch, Durability::process);
  }
  std::vector<std::unique_ptr<RawLibpq>> sessions;
  for (std::size_t i = 0; i < kSessions; ++i) sessions.push_back(std::make_unique<RawLibpq>(url, "bench"));

  report.section(
      "Rows in PostgreSQL, " + format_figure(static_cast<double>(ids.size())) + " of 512 B",
      "server, tables, rows, statements prepared, binary values, one round trip for a write; " +
          std::string(durability == Durability::disk ? "synchronous commits" : "commits not synced"),
      "db4 commits what waits together, and notes each commit in its session's row; with plain "
      "libpq each thread has a connection and commits by itself");
  const auto pick = [&](unsigned thread, std::size_t i) -> const std::string& {
    return ids[(i * 7919 + thread * 104'729) % ids.size()];
  };
  for (const unsigned threads : {1U, 8U}) {
    const auto row = [&](const char* what, const Operation& our, const Operation& their) {
      report.row({.what = what + thread_count(threads),
                  .unit = "ops/s",
                  .subject = "PostgreSQL engine",
                  .peer = "libpq",
                  .aim = Aim{.bound = 0.8, .text = "0.8 of plain libpq"}},
                 alternate_rates(options.rounds(), options.slice_seconds(), threads, our, their));
    };
    row(
        "read a row, ",
        [&](unsigned thread, std::size_t i) { return read_all(engine->get(kRows, pick(thread, i)).value()); },
        [&](unsigned thread, std::size_t i) { return read_all(sessions[thread]->get(pick(thread, i))); });
    row(
        "write a document's rows, ",
        [&](unsigned thread, std::size_t i) -> std::uint64_t {
          return queue.commit(write_of(pick(thread, i), bodies.at(i), i), durability).committed() ? 1 : 0;
        },
        [&](unsigned thread, std::size_t i) -> std::uint64_t {
          sessions[thread]->write(pick(thread, i), bodies.at(i), i, durability == Durability::disk);
          return 1;
        });
  }
  engine->close();
}

/// Nodes as in processes of their own, each with its connections; here in one, which is harder on memory
/// alone.
void scale(const Options& options, Report& report, const std::string& url) {
  report.section("A store on several nodes", "server, documents of 512 B, two threads a node, max_stale 0",
                 "compared with one node; all share the machine's cores with the server");
  const std::vector<std::string> ids = make_shuffled_ids(options.pick<std::size_t>(200, 2'000, 20'000));
  const Bodies bodies;
  const Folder folder(options.dir());
  std::vector<std::unique_ptr<TieredStore>> nodes;
  for (int node = 0; node < 4; ++node) {
    nodes.push_back(std::make_unique<TieredStore>(TieredStoreConfig{.hot = {.type = HotType::postgres,
                                                                            .durability = Durability::process,
                                                                            .url = url,
                                                                            .schema = "bench_store"},
                                                                    .cold = {.path = folder.path() / "cold"},
                                                                    .tiering = {.interval = 0ms}}));
  }
  for (std::size_t i = 0; i < ids.size(); ++i) nodes[0]->write_bytes("c", ids[i], as_bytes(bodies.at(i)));
  const auto on = [&](unsigned count, bool writes) -> Operation {
    return [&, count, writes](unsigned thread, std::size_t i) -> std::uint64_t {
      TieredStore& node = *nodes[thread % count];
      const std::string& id = ids[(i * 7919 + thread * 104'729) % ids.size()];
      if (writes) return node.write_bytes("c", id, as_bytes(bodies.at(i))).version;
      return read_all(node.read("c", id)->text());
    };
  };
  for (const bool writes : {false, true}) {
    for (const unsigned count : {2U, 4U}) {
      report.row({.what = (writes ? "write, " : "read, ") + std::to_string(count) + " nodes",
                  .unit = "ops/s",
                  .peer = "one node"},
                 alternate_rates(options.rounds(), options.slice_seconds(), 2 * count, on(count, writes),
                                 on(1, writes)));
    }
  }
}

void run(const Options& options, Report& report) {
  const char* url = std::getenv("DB4_TEST_POSTGRES_URL");
  if (url == nullptr) {
    report.skip("libpq", "DB4_TEST_POSTGRES_URL names no server");
    return;
  }
  compare(options, report, url, Durability::disk);
  compare(options, report, url, Durability::none);
  scale(options, report, url);
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) { return db4::bench::run_program("shared", argc, argv, db4::bench::run); }
