#pragma once
// The names of objects, as far as others read them; they are made in object_names.cpp.

#include <cstdint>
#include <optional>
#include <string_view>

namespace db4::cold {

/// Under the store's own folder. Before every name of documents and segments or behind it, never among them.
inline constexpr std::string_view kDictionaryFolder = "dictionary/";

struct DictionaryName {
  std::uint32_t id = 0;
  std::string_view sha256;  ///< of the bytes, 64 hex digits
};

/// What the name of a dictionary's object says, from behind the prefix and the store's id; nullopt where it
/// is the name of something else.
std::optional<DictionaryName> parse_dictionary_name(std::string_view rest) noexcept;

/// Lower-case hex digits, so many of them.
bool is_hex(std::string_view text, std::size_t digits) noexcept;

}  // namespace db4::cold
