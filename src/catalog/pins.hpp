#pragma once
// PinTable: which pin holds a document. Keys and values of the pins space: docs/formats/row.md.

#include <db4/pin.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace db4::catalog {

/// A pin and how far its documents were brought to its tier: the last row looked at; nullopt: all were.
struct StoredPin {
  Pin pin;
  std::optional<std::string> applied_to;
};

/// One byte of scope, one of the collection's length, the collection, the id or prefix.
std::string pin_key(std::string_view collection, PinScope scope, std::string_view id);
std::string encode_pin(const StoredPin& stored);
/// Throws corrupt: a pin that is passed over would let a document go that somebody wanted held.
StoredPin decode_pin(std::string_view key, std::string_view value);

/// Immutable, so that readers share it without a lock: a change makes a new one. A lookup costs nothing
/// without pins, else a map lookup for the collection and two for the id (its longest prefix by bisection
/// over the sorted prefixes, then back over those that it starts with).
class PinTable {
 public:
  PinTable() = default;
  explicit PinTable(std::vector<StoredPin> pins);
  PinTable(const PinTable&) = delete;  ///< it points into itself
  PinTable& operator=(const PinTable&) = delete;
  [[nodiscard]] bool empty() const noexcept { return pins_.empty(); }
  [[nodiscard]] const std::vector<StoredPin>& all() const noexcept { return pins_; }
  /// The pin that holds the document of this key; nullptr where none does.
  [[nodiscard]] const Pin* find(std::string_view key) const;

 private:
  struct Collection {
    const Pin* whole = nullptr;
    std::map<std::string, const Pin*, std::less<>> documents;
    std::map<std::string, const Pin*, std::less<>> prefixes;
  };
  std::vector<StoredPin> pins_;
  std::map<std::string, Collection, std::less<>> collections_;
};

}  // namespace db4::catalog
