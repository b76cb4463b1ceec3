// Two days of a document's life in a moment: a simulated clock, tiering, and explain().
#include <db4/storage.hpp>

#include <iostream>

namespace {

void show(db4::TieredStore& store, const char* when) {
  const auto report = store.explain("reports", "q1");
  std::cout << when << ": " << to_string(report->meta.tier) << "\n"
            << "  placed by: " << report->placed_by << "\n"
            << "  outlook: " << report->outlook << "\n";
}

}  // namespace

int main() {
  using namespace std::chrono_literals;
  const auto clock = std::make_shared<db4::SimulatedClock>();
  db4::TieredStore store({.hot = {.type = db4::HotType::memory},
                          .cold = {.type = db4::ColdType::memory},
                          // 0: no run but those we ask for, so that the output is always the same
                          .tiering = {.hot_threshold = 1h, .warm_threshold = 24h, .interval = 0ms}},
                         {.clock = clock});

  store.write("reports", "q1", {{"revenue", 412}});
  show(store, "just written");

  clock->advance(2h);
  for (const db4::Move& move : store.run_tiering({.dry_run = true}).moves) {
    std::cout << "a run would move " << move.id << " to " << to_string(move.to) << ": " << move.reason
              << "\n";
  }
  store.run_tiering();
  show(store, "two hours later");

  clock->advance(40h);
  store.run_tiering();
  show(store, "on the second day");
  std::ignore = store.read("reports", "q1");
  std::ignore = store.read("reports", "q1");  // the second read within access_window promotes
  show(store, "read twice");
}

// Output:
//   just written: hot
//     placed by: written: writes go to hot
//     outlook: unless it is used, tiering demotes it 1 h after its last use
//   a run would move q1 to warm: not used for 2 h (hot_threshold 1 h)
//   two hours later: warm
//     placed by: a tiering run, by the policy
//     outlook: it stays until it is written, or read often enough (promote_on_read, access_count_threshold)
//   on the second day: cold
//     placed by: a tiering run, by the policy
//     outlook: it stays until it is written, or read often enough (promote_on_read, access_count_threshold)
//   read twice: hot
//     placed by: a read (promote_on_read)
//     outlook: unless it is used, tiering demotes it 1 h after its last use
