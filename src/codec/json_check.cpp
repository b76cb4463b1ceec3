#include "codec/json_check.hpp"

#include "base/wiping.hpp"

#include <db4/error.hpp>
#include <db4/json_check.hpp>
#include <db4/limits.hpp>

#include <nlohmann/json.hpp>
#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <cstring>

// simdjson decides nearly always. What it refuses, and texts too long for it, go to nlohmann's streaming
// parser, which does not recurse either and knows more: the byte offset and the reason, integers past 64 bits
// (which are valid), and the exact depth. It is ten times slower and nearly only runs where the caller gets
// an error.
//
// Both refuse an escape of half a surrogate pair ("\ud800"), which RFC 8259's grammar has but calls
// unpredictable, and a number past the range of a double: Document::json() could not read them back.

namespace db4 {
namespace {

using Json = nlohmann::json;

/// simdjson's memory is some fourteen times the text. A thread keeps its parser up to this length of text;
/// longer texts get one that goes away with them ...
constexpr std::size_t kKeptParserTextBytes = 256ULL << 10;
/// ... and past this the pages it touches for the first time cost more (60 to 130 MB/s from 4 MiB on) than
/// the second parser, which needs next to no memory (95 MB/s).
constexpr std::size_t kMaxSimdjsonTextBytes = 1ULL << 20;

/// What the parser made of `size` bytes of text: strings, and the tape, on which numbers are. Its length
/// stands in its first entry where the parser came to the end; it has no more entries than the text has
/// bytes, and three.
void release_parsed(simdjson::dom::document& parsed, std::size_t size, bool whole) noexcept {
  constexpr std::uint64_t kTapeLength = (std::uint64_t{1} << 56) - 1;
  if (parsed.string_buf == nullptr || parsed.tape == nullptr) return;
  const std::size_t used = std::min(size, parsed.capacity());
  release_content(parsed.string_buf.get(), used * 5 / 3);
  const std::uint64_t entries = whole ? parsed.tape[0] & kTapeLength : used + 3;
  release_content(parsed.tape.get(), entries * sizeof parsed.tape[0]);
}

/// As parse() does with a copy that it keeps, and nobody can wipe.
bool simdjson_accepts_and_wipes(simdjson::dom::parser& parser, std::string_view text) {
  std::string padded;
  padded.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  padded.append(text).append(simdjson::SIMDJSON_PADDING, ' ');
  const ReleasedAtEnd released(padded);
  const bool accepted =
      parser.parse(padded.data(), text.size(), /*realloc_if_needed=*/false).error() == simdjson::SUCCESS;
  release_parsed(parser.doc, text.size(), accepted);
  return accepted;
}

bool simdjson_accepts(simdjson::dom::parser& parser, std::size_t capacity, std::string_view text) {
  // simdjson counts an innermost array or object that is not empty as one level more: a limit of
  // kMaxJsonDepth never lets too much through, and what it wrongly refuses at just that depth the second
  // parser accepts.
  if (parser.allocate(capacity, kMaxJsonDepth) != simdjson::SUCCESS) return false;
  if (wipes_released_content()) return simdjson_accepts_and_wipes(parser, text);
  return parser.parse(text.data(), text.size()).error() == simdjson::SUCCESS;
}

bool simdjson_accepts(std::string_view text) {
  if (text.empty() || text.size() > kMaxSimdjsonTextBytes) return false;
  if (text.size() > kKeptParserTextBytes) {
    simdjson::dom::parser parser;
    return simdjson_accepts(parser, text.size(), text);
  }
  thread_local simdjson::dom::parser parser;
  return simdjson_accepts(parser, std::max(parser.capacity(), std::bit_ceil(text.size())), text);
}

/// Takes nlohmann's events, keeps nothing of them but the depth and the first error.
class Checker final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
  bool string(string_t& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool key(string_t& /*value*/) override { return true; }
  bool start_object(std::size_t /*size*/) override { return open(); }
  bool start_array(std::size_t /*size*/) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const Json::exception& error) override {
    constexpr int kNumberOverflow = 406;
    position_ = position;
    out_of_range_ = error.id == kNumberOverflow;
    reason_ = short_reason(error);
    return false;
  }

  [[nodiscard]] bool too_deep() const noexcept { return depth_ > kMaxJsonDepth; }
  /// How many bytes were read when the parser gave up.
  [[nodiscard]] std::size_t position() const noexcept { return position_; }
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  [[nodiscard]] bool out_of_range() const noexcept { return out_of_range_; }

 private:
  bool open() noexcept { return ++depth_ <= kMaxJsonDepth; }
  bool close() noexcept {
    --depth_;
    return true;
  }

  /// "... while parsing value - REASON; last read: 'TEXT'; expected ...": the reason alone, since the text is
  /// the caller's document, of any length, and has no place in a log.
  static std::string short_reason(const Json::exception& error) {
    std::string_view message = error.what();
    if (const std::size_t dash = message.find(" - "); dash != std::string_view::npos) {
      message.remove_prefix(dash + 3);
    }
    return std::string(message.substr(0, message.find(';')));
  }

  std::size_t depth_ = 0;
  std::size_t position_ = 0;
  std::string reason_;
  bool out_of_range_ = false;
};

/// Where the array or object opens that is one level too deep. The text before it is known to be valid.
std::size_t too_deep_offset(std::string_view text) noexcept {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return i;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return text.size();
}

std::optional<JsonFault> find_slowly(std::string_view text) {
  constexpr const char* kAdvice = "write one JSON value, or bytes under a content type of their own";
  // nlohmann skips a byte order mark, which RFC 8259 forbids to send, and takes NUL for the end.
  if (text.starts_with("\xef\xbb\xbf")) {
    return JsonFault{.offset = 0, .problem = "a byte order mark", .advice = "leave it out"};
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return JsonFault{.offset = nul, .problem = "a NUL byte", .advice = kAdvice};
  }
  Checker checker;
  if (Json::sax_parse(text.begin(), text.end(), &checker)) return std::nullopt;
  if (checker.too_deep()) {
    return JsonFault{.offset = too_deep_offset(text),
                     .problem = "nested deeper than " + std::to_string(kMaxJsonDepth) + " levels",
                     .advice = "nest it less deeply, or store it as bytes",
                     .beyond_limits = true};
  }
  // The byte read last is the one that does not fit; at the end the parser counts one that is not there.
  const std::size_t offset = std::min(checker.position() == 0 ? 0 : checker.position() - 1, text.size());
  if (checker.out_of_range()) {
    return JsonFault{.offset = offset,
                     .problem = "a number is out of range (of a double, some 1.8e308)",
                     .advice = "write it as text, or store the document as bytes",
                     .beyond_limits = true};
  }
  return JsonFault{.offset = offset, .problem = checker.reason(), .advice = kAdvice};
}

}  // namespace

std::optional<JsonFault> find_json_fault(std::string_view text) {
  return simdjson_accepts(text) ? std::nullopt : find_slowly(text);
}

namespace codec {

void check_json(std::string_view text) {
  const auto fault = find_json_fault(text);
  if (!fault) return;
  throw Error(
      ErrorCode::invalid_argument,
      (fault->beyond_limits ? "the text cannot be stored as JSON: " : "the text is not valid JSON: ") +
          fault->problem + " at byte offset " + std::to_string(fault->offset),
      fault->advice);
}

bool is_clean_utf8(std::string_view text) noexcept {
  if (text.empty()) return true;
  return std::memchr(text.data(), 0, text.size()) == nullptr &&
         simdjson::validate_utf8(text.data(), text.size());
}

}  // namespace codec
}  // namespace db4
