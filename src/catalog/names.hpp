#pragma once
// What documents may be called; everything from outside is checked by these.

#include <cstddef>
#include <string_view>

namespace db4::catalog {

/// Throws invalid_argument, naming `what`, unless it is 1 to `max_bytes` bytes of UTF-8 without NUL.
void check_text(std::string_view what, std::string_view text, std::size_t max_bytes);
void check_collection(std::string_view collection);
/// The same for collection and id.
void check_key(std::string_view collection, std::string_view id);
/// Printable ASCII of at most kMaxContentTypeBytes.
void check_content_type(std::string_view content_type);

}  // namespace db4::catalog
