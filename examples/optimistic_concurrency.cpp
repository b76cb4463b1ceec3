// Two clerks sell the same stock: each reads, decides, and writes only if nobody else wrote meanwhile.
#include <db4/storage.hpp>

#include <iostream>
#include <thread>

namespace {

/// Takes one piece of stock, or none where it is sold out. Repeats when somebody else was faster.
bool sell_one(db4::TieredStore& store, std::string_view id) {
  for (;;) {
    const auto stock = store.read("stock", id);
    nlohmann::json item = stock->json();
    if (item["left"] == 0) return false;
    item["left"] = item["left"].get<int>() - 1;
    try {
      store.write("stock", id, item, {.if_version = stock->version()});
      return true;
    } catch (const db4::Error& error) {
      if (error.code() != db4::ErrorCode::conflict) throw;  // read again and decide
    }
  }
}

}  // namespace

int main() {
  db4::TieredStore store({.hot = {.type = db4::HotType::memory}, .cold = {.type = db4::ColdType::memory}});
  store.write("stock", "lamp", {{"left", 100}}, {.if_version = 0});  // 0: only if there is none

  int first = 0;
  int second = 0;
  {
    const std::jthread one([&] {
      while (sell_one(store, "lamp")) ++first;
    });
    const std::jthread other([&] {
      while (sell_one(store, "lamp")) ++second;
    });
  }
  std::cout << "sold " << first + second << ", left " << store.read("stock", "lamp")->json()["left"] << "\n";

  try {
    store.write("stock", "lamp", {{"left", 5}}, {.if_version = 1});
  } catch (const db4::Error& error) {
    std::cout << to_string(error.code()) << ": it stands at version " << error.current_version() << "\n";
  }
}

// Output:
//   sold 100, left 0
//   conflict: it stands at version 101
