#include "harness/options.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace db4::bench {

Options::Options(int argc, char** argv) : dir_(std::filesystem::temp_directory_path()) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--quick") {
      size_ = Size::quick;
    } else if (word == "--tiny") {
      size_ = Size::tiny;
    } else if (word == "--dir" && i + 1 < argc) {
      dir_ = argv[++i];
    } else if (word == "--json" && i + 1 < argc) {
      json_ = argv[++i];
    } else {
      std::fprintf(stderr, "usage: %s [--quick | --tiny] [--dir FOLDER] [--json FILE]\n", argv[0]);
      std::exit(2);
    }
  }
}

Folder::Folder(const std::filesystem::path& parent) {
  std::filesystem::create_directories(parent);
  std::string name = (std::filesystem::absolute(parent) / "db4-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), "cannot make a folder in " + parent.string());
  }
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace db4::bench
