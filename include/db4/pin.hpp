#pragma once
// Pins: documents that are held in a tier, whatever their use says.

#include <db4/tier.hpp>
#include <db4/types.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace db4 {

/// What a pin is about. Stored on disk: never renumber.
enum class PinScope : std::uint8_t { document = 1, prefix = 2, collection = 3 };

/// "document", "prefix" or "collection".
DB4_API std::string_view to_string(PinScope scope) noexcept;
/// The scope of that name; nullopt for any other text.
DB4_API std::optional<PinScope> pin_scope_from_string(std::string_view name) noexcept;

/// Holds a document, all ids of a collection that start with a prefix, or a whole collection in a tier. Of
/// several that fit, the most exact one holds: the document's, then the longest prefix, then the
/// collection's. One cannot lie across collections.
///
/// hot: tiering never demotes it, not for room either; what is colder is promoted by the next run, or by a
/// read before that, as far as hot.max_size has room below 90 % and hot.max_body_size allows. warm, cold:
/// what is hot is demoted by the next run, and no read promotes it; a write still lands in hot first. cold:
/// no copy is admitted to the warm cache either. A pin needs no document to exist, and holds those that come
/// later too.
struct Pin {
  std::string collection = {};
  PinScope scope = PinScope::document;
  std::string id = {};  ///< of the document, or the prefix of ids; empty for a collection
  StorageTier tier = StorageTier::hot;
  TimePoint since{};  ///< set by the store
};

inline constexpr std::size_t kMaxPins = 10'000;  ///< in one store: they are kept in memory

}  // namespace db4
