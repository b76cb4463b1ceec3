#pragma once
// What `db4 --version` prints.

#include <string>

namespace db4::cli {

/// "db4 0.1.0" and, on the lines after it, how this db4 was built; or all of it as one JSON object.
std::string version_text(bool json);

}  // namespace db4::cli
