// A stranger's program, by whichever way it has got db4: all it knows of it are the public headers.

#include <db4/storage.hpp>

#include <cstdlib>
#include <filesystem>
#include <iostream>

using namespace db4::literals;

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "failed: " << what << "\n";
  std::exit(1);
}

}  // namespace

// The one argument is an empty folder to keep the store in.
int main(int count, char** arguments) {
  require(count == 2, "usage: stranger FOLDER");
  const std::filesystem::path folder = arguments[1];
  const db4::TieredStoreConfig config{.hot = {.path = folder / "hot", .max_size = 50_MiB},
                                      .cold = {.path = folder / "cold"}};
  try {
    {
      db4::TieredStore store(config);
      store.write("users", "user-123", {{"name", "Alice"}});
      store.write("archives", "report-2024", {{"pages", 412}}, {.tier = db4::StorageTier::cold});
      store.close();
    }
    db4::TieredStore store(config);
    const auto user = store.read("users", "user-123");
    require(user.has_value() && user->json()["name"] == "Alice", "the hot document is there after reopening");
    const auto report = store.read("archives", "report-2024");
    require(report.has_value() && report->json()["pages"] == 412, "the cold document is there too");
    require(!store.read("users", "nobody").has_value(), "an absent document is absent");
    store.close();
  } catch (const db4::Error& error) {
    std::cerr << to_string(error.code()) << ": " << error.what() << "\n";
    return 1;
  }

  // An exception crosses the library's border as itself, whether the library is static or shared.
  try {
    db4::TieredStore store(config);
    store.write("", "id", {{"a", 1}});
    require(false, "an empty collection is refused");
  } catch (const db4::Error& error) {
    require(error.code() == db4::ErrorCode::invalid_argument, "the error says what is wrong");
  }
  std::cout << "db4 " << db4::version() << ", " << (db4::build_info().shared ? "shared" : "static")
            << ", works for a stranger\n";
  return 0;
}
