// Any text as JSON: what check_json takes, nlohmann can parse, to no more than the depth allowed; what it
// refuses is wrong for nlohmann too, but for the depth and for what nlohmann lets pass (byte order mark,
// NUL).

#include "codec/json_check.hpp"

#include "fuzz_target.hpp"

#include <db4/limits.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace {

using namespace db4;

/// The depth of a text that is known to be valid.
std::size_t depth_of(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  const auto count = [&](int /*depth*/, nlohmann::json::parse_event_t event, nlohmann::json& /*value*/) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) deepest = std::max(deepest, ++depth);
    if (event == Event::object_end || event == Event::array_end) --depth;
    return true;
  };
  const nlohmann::json parsed = nlohmann::json::parse(text, count);
  fuzz::require(!parsed.is_discarded(), "a valid text parses");
  return deepest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_input(data, size);
  const bool taken = fuzz::succeeds([&] { codec::check_json(text); }, {ErrorCode::invalid_argument});
  const bool parsable = nlohmann::json::accept(text);
  if (taken) {
    fuzz::require(parsable, "what is taken can be parsed");
    fuzz::require(codec::is_clean_utf8(text), "what is taken is UTF-8 without NUL");
    fuzz::require(depth_of(text) <= kMaxJsonDepth, "what is taken is not too deep");
  } else if (parsable) {
    fuzz::require(text.find('\0') != std::string_view::npos || text.starts_with("\xef\xbb\xbf") ||
                      depth_of(text) > kMaxJsonDepth,
                  "what can be parsed is taken");
  }
  return 0;
}
