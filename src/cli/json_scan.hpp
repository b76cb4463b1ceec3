#pragma once
// JSON texts as they stand: where a member's value begins and ends, without building anything. Whether a text
// is valid JSON is for the store to say when it is written; these say where a member is, if it is.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace db4::cli {

/// Goes over the members of an object, in their order.
///
///     JsonMembers members(line);
///     while (members.next()) if (members.name_is("id")) id = members.value();
///     if (!members.complete()) ...  // the text is no object
class JsonMembers {
 public:
  explicit JsonMembers(std::string_view text) noexcept;
  /// False behind the last member, and where the text is no object.
  bool next() noexcept;
  [[nodiscard]] bool name_is(std::string_view name) const;
  /// The member's value as it is written, without space around it.
  [[nodiscard]] std::string_view value() const noexcept { return value_; }
  /// All of the text was one object.
  [[nodiscard]] bool complete() const noexcept { return complete_; }

 private:
  void skip_space() noexcept;
  /// Behind the string that begins here; false where it does not end.
  bool skip_string() noexcept;
  bool skip_value() noexcept;
  bool skip_nested() noexcept;
  [[nodiscard]] bool at(char c) const noexcept { return at_ < text_.size() && text_[at_] == c; }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string_view name_ = {};  ///< between its quotes, escapes as they are
  std::string_view value_ = {};
  bool first_ = true;
  bool complete_ = false;
};

/// What a JSON string's text with its quotes stands for; nullopt where it is no string.
std::optional<std::string> decode_json_string(std::string_view text);
/// Appends text as a JSON string, quotes and all. Other bytes than valid UTF-8 are passed on.
void append_json_string(std::string& out, std::string_view text);
/// Why a text that begins at that byte of an input is no JSON that can be stored; nullopt where it is.
std::optional<std::string> describe_json_fault(std::string_view text, std::uint64_t begins_at);
/// Whether it is valid UTF-8. A NUL is.
bool is_utf8(std::string_view text) noexcept;

}  // namespace db4::cli
