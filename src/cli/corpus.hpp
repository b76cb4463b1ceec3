#pragma once
// Documents for `db4 demo`: the machine's own Debian package index, or a JSON-lines file.

#include <filesystem>
#include <string>
#include <vector>

namespace db4::cli {

struct CorpusDocument {
  std::string collection;
  std::string id;
  std::string body;  ///< JSON
};

/// All packages that apt knows of, each as a JSON object of its fields; collection: the section; id: the
/// package, with its version where that comes again. Throws unavailable where apt has no list.
std::vector<CorpusDocument> read_package_index();

/// A document a line; collection: the file's name without its ending; id: the member "id", else the line's
/// number. Throws invalid_argument, naming the line.
std::vector<CorpusDocument> read_json_lines(const std::filesystem::path& file);

}  // namespace db4::cli
