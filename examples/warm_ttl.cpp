// The warm cache over time: fresh until its TTL, then stale while one refresh runs, then gone.
#include <db4/storage.hpp>

#include <iostream>

int main() {
  using namespace std::chrono_literals;
  const auto clock = std::make_shared<db4::SimulatedClock>();
  db4::TieredStore store({.hot = {.type = db4::HotType::memory},
                          .warm = {.ttl = 1h, .stale_while_revalidate = 5min},
                          .cold = {.type = db4::ColdType::memory},
                          // promotion off: it would make hot the document's home, and warm have nothing to do
                          .tiering = {.promote_on_read = false, .interval = 0ms}},
                         {.clock = clock});
  const auto read = [&](const char* when) {
    std::cout << when << ": from " << to_string(store.read("reports", "q1")->served_from()) << "\n";
  };

  store.write("reports", "q1", {{"revenue", 412}}, {.tier = db4::StorageTier::cold});
  read("first read");
  read("second read");
  clock->advance(50min);
  read("after 50 minutes");
  clock->advance(2h);
  read("two hours later");
  store.write("reports", "q1", {{"revenue", 413}}, {.tier = db4::StorageTier::cold});
  read("after a new version");

  clock->advance(62min);
  read("62 minutes on: past its TTL, so one refresh is begun, and meanwhile");

  const db4::WarmStats warm = store.warm_storage().stats();
  std::cout << "fresh hits " << warm.hits << ", stale hits " << warm.stale_hits << ", misses " << warm.misses
            << "\n";
}

// Output:
//   first read: from cold
//   second read: from warm
//   after 50 minutes: from warm
//   two hours later: from cold
//   after a new version: from cold
//   62 minutes on: past its TTL, so one refresh is begun, and meanwhile: from warm
//   fresh hits 2, stale hits 1, misses 3
