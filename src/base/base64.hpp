#pragma once
// Base64 (RFC 4648, section 4), with padding.

#include <db4/types.hpp>

#include <string>

namespace db4 {

std::string to_base64(ByteView data);

}  // namespace db4
