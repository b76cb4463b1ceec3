#pragma once
// Base64 (RFC 4648, section 4), with padding.

#include <db4/types.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace db4 {

std::string to_base64(ByteView data);
/// What to_base64 made this text of; nullopt for a text that it never makes.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace db4
