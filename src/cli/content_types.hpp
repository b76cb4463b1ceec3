#pragma once
// Content types of files, by their names.

#include <string>
#include <string_view>

namespace db4::cli {

/// "image/png" for "cat.PNG", "application/octet-stream" for an ending that says nothing.
std::string content_type_of(std::string_view file_name);
/// ".png" for "image/png"; empty where there is none.
std::string_view extension_of(std::string_view content_type);

}  // namespace db4::cli
