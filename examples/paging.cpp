// Pages of a listing, with a cursor that stays good while documents come and go.
#include <db4/storage.hpp>

#include <iostream>

int main() {
  db4::TieredStore store({.hot = {.type = db4::HotType::memory}, .cold = {.type = db4::ColdType::memory}});
  for (const char* id : {"2024-01-03", "2024-01-17", "2024-02-05", "2024-02-20", "2024-03-01"}) {
    store.write("invoices", id, {{"total", 12}});
  }

  // A client asks page by page and may take days between two: the cursor is all that is kept.
  std::string cursor;
  int page_number = 0;
  do {
    const db4::ScanPage page = store.scan("invoices", {.cursor = cursor, .limit = 2});
    std::cout << "page " << ++page_number << ":";
    for (const db4::ScanItem& item : page.items) std::cout << " " << item.id;
    std::cout << "\n";
    cursor = page.cursor;
    // Even the document the cursor stands on may go.
    if (page_number == 1) store.remove("invoices", "2024-01-17");
  } while (!cursor.empty());

  // A prefix of the id is the only index there is: choose ids that sort as you list.
  std::cout << "in February: " << store.scan("invoices", {.prefix = "2024-02"}).items.size() << "\n";
  std::cout << "in cold: " << store.scan("invoices", {.tier = db4::StorageTier::cold}).items.size() << "\n";
}

// Output:
//   page 1: 2024-01-03 2024-01-17
//   page 2: 2024-02-05 2024-02-20
//   page 3: 2024-03-01
//   in February: 2
//   in cold: 0
