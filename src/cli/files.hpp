#pragma once
// Whole files, and bytes as text.

#include <string>
#include <string_view>

namespace db4::cli {

/// The whole of a file, or of standard input for "-". Throws invalid_argument where it cannot be read,
/// too_large where it has more than kMaxBodyBytes.
std::string read_whole(const std::string& file);
/// Writes a file whole, or leaves what was there: it is written beside it and renamed. Throws
/// permission_denied.
void write_whole(const std::string& file, std::string_view bytes);
/// RFC 4648, with padding.
std::string base64(std::string_view bytes);

}  // namespace db4::cli
