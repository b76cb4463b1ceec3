// Pins hold documents in a tier, whatever their use says: what must be fast stays hot, what must be cheap
// cold.
#include <db4/storage.hpp>

#include <iostream>

int main() {
  using namespace std::chrono_literals;
  const auto clock = std::make_shared<db4::SimulatedClock>();
  db4::TieredStore store({.hot = {.type = db4::HotType::memory},
                          .cold = {.type = db4::ColdType::memory},
                          .tiering = {.interval = 0ms}},
                         {.clock = clock});

  store.pin({.collection = "config", .scope = db4::PinScope::collection, .tier = db4::StorageTier::hot});
  store.pin(
      {.collection = "logs", .scope = db4::PinScope::prefix, .id = "debug/", .tier = db4::StorageTier::cold});

  store.write("config", "prices", {{"vat", 19}});
  store.write("logs", "debug/1", {{"line", "x = 1"}});
  store.write("logs", "audit/1", {{"line", "Ada logged in"}});
  store.run_tiering();
  std::cout << "debug/1 at once: " << to_string(*store.get_tier("logs", "debug/1")) << "\n";

  clock->advance(72h);
  store.run_tiering();
  std::cout << "prices after three days: " << to_string(*store.get_tier("config", "prices")) << "\n";
  std::cout << "audit/1 after three days: " << to_string(*store.get_tier("logs", "audit/1")) << "\n";
  std::cout << "why: " << store.explain("config", "prices")->outlook << "\n";

  try {
    store.demote("config", "prices", db4::StorageTier::cold);
  } catch (const db4::Error& error) {
    std::cout << error.problem() << "\n";
  }
  store.unpin("config");  // it stays where it is until the policy moves it
  clock->advance(2h);
  store.run_tiering();
  std::cout << "unpinned, two hours later: " << to_string(*store.get_tier("config", "prices")) << "\n";
}

// Output:
//   debug/1 at once: cold
//   prices after three days: hot
//   audit/1 after three days: cold
//   why: pinned to hot by its collection: it stays until it is unpinned
//   the document is pinned to hot
//   unpinned, two hours later: cold
