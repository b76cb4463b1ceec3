#include "catalog/names.hpp"

#include "codec/json_check.hpp"

#include <db4/error.hpp>
#include <db4/limits.hpp>

#include <algorithm>
#include <string>

namespace db4::catalog {

void check_text(std::string_view what, std::string_view text, std::size_t max_bytes) {
  const auto refuse = [&](const std::string& problem) {
    throw Error(ErrorCode::invalid_argument, "the " + std::string(what) + problem,
                "use 1 to " + std::to_string(max_bytes) + " bytes of valid UTF-8 without NUL");
  };
  if (text.empty()) refuse(" is empty");
  if (text.size() > max_bytes) refuse(" has " + std::to_string(text.size()) + " bytes");
  if (!codec::is_clean_utf8(text)) refuse(" is not valid UTF-8 or has a NUL");
}

void check_collection(std::string_view collection) {
  check_text("collection", collection, kMaxCollectionBytes);
}

void check_key(std::string_view collection, std::string_view id) {
  check_collection(collection);
  check_text("id", id, kMaxIdBytes);
}

void check_content_type(std::string_view content_type) {
  const bool printable = std::ranges::all_of(content_type, [](char c) { return c >= 0x20 && c < 0x7F; });
  if (printable && content_type.size() <= kMaxContentTypeBytes) return;
  throw Error(ErrorCode::invalid_argument,
              "the content type is not printable ASCII of at most 255 characters",
              "use one such as application/json");
}

}  // namespace db4::catalog
