// A cold object opens without db4: by zcat where cold.compression is gzip: zcat FOLDER
// No store is locked in: what is in the bucket can be read with the tools everybody has.
#include <db4/storage.hpp>

#include <cstdlib>
#include <filesystem>
#include <iostream>

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "zcat-data";
  db4::TieredStore store({.hot = {.path = folder / "hot"},
                          .cold = {.path = folder / "cold",
                                   .compression = db4::Compression::gzip,
                                   .pack_below = 0,  // an object for each document
                                   .readable_names = true}});
  store.write("users", "ada", {{"name", "Ada"}, {"visits", 12}}, {.tier = db4::StorageTier::cold});
  store.close();

  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "cold")) {
    if (!entry.is_regular_file() || entry.path().string().find("ada") == std::string::npos) continue;
    std::cout << "an object whose name ends in " << entry.path().filename().string().substr(99) << std::endl;
    const std::string command = "zcat < '" + entry.path().string() + "'";
    if (std::system(command.c_str()) != 0) return 1;
    std::cout << std::endl;
  }
}

// Output:
//   an object whose name ends in users.ada.obj
//   {"name":"Ada","visits":12}
