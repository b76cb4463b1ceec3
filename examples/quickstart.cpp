// The ten lines of the README, as a program: quickstart FOLDER
#include <db4/storage.hpp>

#include <filesystem>
#include <iostream>

int main(int argc, char** argv) {
  using namespace db4::literals;
  if (argc > 1) {
    std::filesystem::create_directories(argv[1]);
    std::filesystem::current_path(argv[1]);
  }

  db4::TieredStore store({.hot = {.path = "data/hot", .max_size = 50_MiB}, .cold = {.path = "data/cold"}});

  store.write("users", "user-123", {{"name", "Alice"}, {"email", "alice@example.com"}});
  store.write("archives", "report-2024", {{"pages", 412}}, {.tier = db4::StorageTier::cold});

  if (auto user = store.read("users", "user-123")) std::cout << user->text() << "\n";
  const auto result = store.run_tiering({.max_operations = 100});
  std::cout << result.demoted << " demoted\n";
  std::cout << store.explain("archives", "report-2024")->placed_by << "\n";
  store.close();
}
