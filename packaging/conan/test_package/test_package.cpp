// Whether the package holds a db4 that works: writes a document and reads it back, in memory.

#include <db4/storage.hpp>

#include <iostream>

int main() {
  db4::TieredStore store({.hot = {.type = db4::HotType::memory}, .cold = {.type = db4::ColdType::memory}});
  store.write("packages", "db4", {{"version", db4::version()}});
  const auto read = store.read("packages", "db4");
  store.close();
  if (!read) return 1;
  std::cout << read->text() << "\n";
  return 0;
}
