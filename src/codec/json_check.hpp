#pragma once
// Checks of what comes from outside: JSON and UTF-8.

#include <string_view>

namespace db4::codec {

/// Throws invalid_argument, naming the byte offset, where find_json_fault (<db4/json_check.hpp>) finds one.
void check_json(std::string_view text);

/// Whether `text` is valid UTF-8 (RFC 3629: no surrogates, nothing overlong) and has no NUL.
bool is_clean_utf8(std::string_view text) noexcept;

}  // namespace db4::codec
