// A full hot tier: writers wait for demotion, and are told when it does not help. Nothing is dropped.
#include <db4/storage.hpp>

#include <iostream>

int main() {
  using namespace std::chrono_literals;
  using namespace db4::literals;
  db4::TieredStore store({.hot = {.type = db4::HotType::memory, .max_size = 1_MiB, .full_timeout = 10s},
                          .cold = {.type = db4::ColdType::memory}});

  // Eight times what hot may hold: the oldest is demoted meanwhile, whether it is due or not.
  const std::string body(64'000, 'x');
  for (int i = 0; i < 128; ++i) store.write_bytes("feed", std::to_string(i), db4::as_bytes(body));
  const db4::StoreStats stats = store.stats();
  std::cout << "hot within its bound: " << std::boolalpha << (stats.hot_storage.bytes <= 1_MiB) << "\n";
  std::cout << "documents in all: " << stats.hot.documents + stats.cold.documents << "\n";
  std::cout << "refused: " << stats.hot_storage.refusals << "\n";

  // What can never fit is said at once; a single large document would have gone to cold by itself.
  std::vector<db4::BatchItem> batch;
  for (int i = 0; i < 20; ++i) {
    batch.push_back({.id = std::to_string(i), .body = body, .content_type = "text/plain"});
  }
  try {
    store.write_batch("too-much", batch);
  } catch (const db4::Error& error) {
    std::cout << to_string(error.code()) << ": " << error.advice() << "\n";
  }
}

// Output:
//   hot within its bound: true
//   documents in all: 128
//   refused: 0
//   too_large: write them in smaller batches, to another tier, or raise hot.max_size
