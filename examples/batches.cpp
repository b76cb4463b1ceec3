// A batch is all or nothing and costs one sync: an order and its lines are there together, or not at all.
#include <db4/storage.hpp>

#include <iostream>

int main() {
  db4::TieredStore store({.hot = {.type = db4::HotType::memory}, .cold = {.type = db4::ColdType::memory}});

  const auto written = store.write_batch("orders", {{.id = "7", .body = R"({"customer": "Ada"})"},
                                                    {.id = "7/line-1", .body = R"({"lamp": 2})"},
                                                    {.id = "7/line-2", .body = R"({"bulb": 4})"}});
  std::cout << "written: " << written.size() << "\n";

  // One line fails (somebody made order 8 meanwhile, say), and nothing of the batch is written.
  store.write("orders", "8", {{"customer", "Grace"}});
  try {
    store.write_batch("orders",
                      {{.id = "8", .body = "{}", .if_version = 0}, {.id = "8/line-1", .body = "{}"}});
  } catch (const db4::Error& error) {
    std::cout << error.problem() << "\n";
  }
  std::cout << "8/line-1 exists: " << store.read("orders", "8/line-1").has_value() << "\n";

  // Reading in batches keeps the order asked; what is not there is nullopt.
  for (const auto& document : store.read_batch("orders", {"7", "nobody", "7/line-2"})) {
    std::cout << (document ? document->text() : "(none)") << "\n";
  }
}

// Output:
//   written: 3
//   if_version is 0, but it stands at 1
//   8/line-1 exists: 0
//   {"customer": "Ada"}
//   (none)
//   {"bulb": 4}
