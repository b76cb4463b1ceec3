#pragma once
// Secret: a text that is not to be seen.

#include <db4/types.hpp>

#include <iosfwd>
#include <string>
#include <string_view>

namespace db4 {

/// A key or token. Its bytes are wiped when it goes, is assigned to or moved from; streamed, it is `***`
/// (nothing where it is empty). What a caller made it of is the caller's to wipe.
///
///     config.cold.secret_key = db4::Secret(std::getenv("MY_SECRET"));
///
/// Thread rule: as a std::string.
class DB4_API Secret {
 public:
  Secret() noexcept = default;
  Secret(std::string text);       // NOLINT: wanted conversion
  Secret(std::string_view text);  // NOLINT: wanted conversion
  Secret(const char* text);       // NOLINT: wanted conversion; nullptr (no such variable) is empty
  Secret(const Secret& other);
  Secret(Secret&& other) noexcept;
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  /// The text itself: for the call that needs it, never for a log or a message. Valid as long as this is.
  [[nodiscard]] std::string_view reveal() const noexcept { return text_; }

  /// Takes as long for every text of the same length.
  friend DB4_API bool operator==(const Secret& a, const Secret& b) noexcept;
  friend DB4_API std::ostream& operator<<(std::ostream& out, const Secret& secret);

 private:
  std::string text_;
};

/// Overwrites the bytes of a text, in a way that the compiler keeps, and empties it.
DB4_API void wipe(std::string& text) noexcept;

}  // namespace db4
