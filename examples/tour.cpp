// A tour of TieredStore: open, write, read, move, scan, ask. It checks what it shows: tour FOLDER
#include <db4/storage.hpp>

#include <cstdlib>
#include <filesystem>
#include <iostream>

namespace {

void expect(bool holds, const char* what) {
  std::cout << (holds ? "ok: " : "NOT SO: ") << what << "\n";
  if (!holds) std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  using namespace db4::literals;
  const std::filesystem::path folder = argc > 1 ? argv[1] : "tour-data";
  std::filesystem::remove_all(folder);

  db4::TieredStore store({
      .hot = {.type = db4::HotType::rocksdb, .path = folder / "hot", .max_size = 50_MiB},
      .warm =
          {.type = db4::WarmType::disk, .path = folder / "warm", .ttl = 1h, .stale_while_revalidate = 5min},
      .cold = {.type = db4::ColdType::filesystem,
               .path = folder / "cold",
               .prefix = "data/",
               .compression = db4::Compression::gzip},
      .tiering = {.hot_threshold = 1h,
                  .warm_threshold = 24h,
                  .access_count_threshold = 5,
                  .access_window = 1h,
                  .promote_on_read = true},
  });

  const db4::WriteResult written =
      store.write("users", "user-123", {{"name", "Alice"}, {"email", "alice@example.com"}});
  expect(written.version == 1 && written.tier == db4::StorageTier::hot, "a write goes to hot");

  std::optional<db4::Document> user = store.read("users", "user-123");
  expect(user && user->json()["name"] == "Alice", "and reads back");

  const nlohmann::json data = {{"pages", 412}};
  store.write("archives", "report-2024", data, {.tier = db4::StorageTier::cold});
  expect(store.get_tier("archives", "report-2024") == db4::StorageTier::cold, "or straight to cold");

  store.demote("users", "user-123", db4::StorageTier::cold);
  expect(store.get_tier("users", "user-123") == db4::StorageTier::cold, "a document can be moved by hand");
  user = store.read("users", "user-123");
  expect(user && user->served_from() == db4::StorageTier::cold, "and is read from where it is");
  expect(store.get_tier("users", "user-123") == db4::StorageTier::hot,
         "which promotes it, since promote_on_read is set");

  try {
    store.write("users", "user-123", {{"name", "Bob"}}, {.if_version = 7});
    expect(false, "a wrong if_version throws");
  } catch (const db4::Error& error) {
    expect(error.code() == db4::ErrorCode::conflict && error.current_version() == 1, error.what());
  }

  store.write_batch("users", {{.id = "a", .body = "{}"}, {.id = "b", .body = "[1,2]"}});
  expect(store.read_batch("users", {"a", "nobody", "b"})[1] == std::nullopt,
         "batches are read in the order asked");
  expect(store.scan("users", {.prefix = "user-"}).items.size() == 1, "a scan finds by prefix");

  const db4::TieringResult result = store.run_tiering({.max_operations = 100});
  std::cout << "tiering: " << result.promoted << " promoted, " << result.demoted << " demoted\n";
  std::cout << "why: " << store.explain("users", "user-123")->outlook << "\n";
  expect(store.remove("users", "a") && !store.read("users", "a"), "what is removed is gone");
  store.close();
}
