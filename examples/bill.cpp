// What a store costs, and what it would cost all hot: the figures of stats(), at your own prices.
#include <db4/storage.hpp>

#include <cstdio>

int main() {
  using namespace std::chrono_literals;
  using namespace db4::literals;
  const auto clock = std::make_shared<db4::SimulatedClock>();
  db4::TieredStore store({.hot = {.type = db4::HotType::memory},
                          .cold = {.type = db4::ColdType::memory, .compression = db4::Compression::none},
                          .tiering = {.interval = 0ms},
                          .cost = {.hot_per_gb_month = 0.15,
                                   .cold_per_gb_month = 0.015,
                                   .per_million_object_writes = 4.50,
                                   .per_million_object_reads = 0.36}},
                         {.clock = clock});

  const std::string body(10'000, 'x');
  for (int i = 0; i < 1000; ++i) {
    store.write_bytes("archive", "entry-" + std::to_string(i), db4::as_bytes(body));
  }
  clock->advance(48h);
  store.run_tiering();
  for (int i = 0; i < 100; ++i) {  // a tenth of them is needed again
    std::ignore = store.read("archive", "entry-" + std::to_string(i), {.promote = true});
  }

  const db4::StoreStats stats = store.stats();
  std::printf("hot: %llu documents, cold: %llu in %llu objects\n",
              static_cast<unsigned long long>(stats.hot.documents),
              static_cast<unsigned long long>(stats.cold.documents),
              static_cast<unsigned long long>(stats.cold_storage.objects));
  std::printf("storage a month: $%.6f in tiers, $%.6f all hot\n",
              stats.cost.hot_storage + stats.cost.cold_storage, stats.cost.all_hot);
  std::printf("requests so far: %llu puts, %llu gets\n",
              static_cast<unsigned long long>(stats.cold_storage.put_requests),
              static_cast<unsigned long long>(stats.cold_storage.get_requests));
}

// Output:
//   hot: 100 documents, cold: 900 in 2 objects
//   storage a month: $0.000302 in tiers, $0.001500 all hot
//   requests so far: 2 puts, 102 gets
