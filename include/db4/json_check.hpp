#pragma once
// Whether a text is JSON that db4 stores, and where it is not: what write_json_text checks.
//
//     if (auto fault = db4::find_json_fault(text)) std::cerr << fault->problem << " at " << fault->offset;

#include <db4/types.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace db4 {

/// What is wrong with a text.
struct JsonFault {
  std::size_t offset = 0;    ///< of the first byte that does not fit; the text's size where it ends too soon
  std::string problem = {};  ///< without the text itself, which may be long and nobody's business
  std::string advice = {};
  bool beyond_limits = false;  ///< no fault of grammar: it is nested too deeply, or has a number out of range
};

/// nullopt where `text` is one JSON value (RFC 8259, valid UTF-8, no byte order mark) that can be stored:
/// nested no deeper than kMaxJsonDepth, and readable by Document::json(), which takes no escape of half a
/// surrogate pair and no number past the range of a double. A name may stand twice in an object.
///
/// Any thread. Some 0.9 GB/s up to 1 MiB, by simdjson with a parser kept per thread; a tenth of that beyond.
[[nodiscard]] DB4_API std::optional<JsonFault> find_json_fault(std::string_view text);

}  // namespace db4
