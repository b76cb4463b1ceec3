#pragma once
// What nodes tell each other about documents that changed, and its bytes (docs/formats/invalidation.md).

#include <db4/tier.hpp>
#include <db4/types.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace db4 {

/// What an event is about. Sent between nodes: never renumber.
enum class InvalidationType : std::uint8_t {
  document = 1,    ///< one document
  collection = 2,  ///< every document of a collection
  flush = 3        ///< everything
};

/// "document", "collection" or "flush".
constexpr std::string_view to_string(InvalidationType type) noexcept {
  switch (type) {
    case InvalidationType::document:
      return "document";
    case InvalidationType::collection:
      return "collection";
    case InvalidationType::flush:
      return "flush";
  }
  return "unknown";
}

/// Copies that must not be served any more. A hint: the catalogue is the truth, so an event that comes late,
/// twice or out of order costs a read at most.
struct InvalidationEvent {
  InvalidationType type = InvalidationType::document;
  std::string collection = {};  ///< empty for a flush
  std::string id = {};          ///< of a document only
  /// Of a document: copies of lower versions are outdated. 0: whatever version they are.
  Version version = 0;
  /// Copies in this tier alone; nullopt: in all of them.
  std::optional<StorageTier> tier = {};
  std::string node_id = {};    ///< who said so
  std::uint64_t epoch = 0;     ///< which life of that node; never 0 once it is sent
  std::uint64_t sequence = 0;  ///< its number in that life, from 1

  friend bool operator==(const InvalidationEvent&, const InvalidationEvent&) = default;
};

/// What a message between nodes is. Sent between nodes: never renumber.
enum class InvalidationMessageKind : std::uint8_t {
  event = 1,
  /// Nothing happened: `sequence` is the number of the last event, so that a lost one is noticed.
  heartbeat = 2,
  /// The node ends in good order, after event `sequence`: its silence means nothing from now on.
  farewell = 3
};

/// One message. Of a heartbeat and a farewell only node_id, epoch and sequence of the event are used.
struct InvalidationMessage {
  InvalidationMessageKind kind = InvalidationMessageKind::event;
  InvalidationEvent event = {};

  friend bool operator==(const InvalidationMessage&, const InvalidationMessage&) = default;
};

inline constexpr std::size_t kMaxNodeIdBytes = 64;              ///< a node's name, 1 to so many bytes
inline constexpr std::size_t kMaxBroadcastMessageBytes = 2048;  ///< one message between nodes

/// The message's bytes, some 30 and the names: docs/formats/invalidation.md. Throws invalid_argument where
/// the fields do not fit the type, a name is over its limit (see limits.hpp), node or epoch is missing, or an
/// event has no sequence.
DB4_API std::string encode_invalidation(const InvalidationMessage& message);

/// The message of these bytes. Throws corrupt for what is damaged or cut short, unsupported for a newer
/// format.
DB4_API InvalidationMessage decode_invalidation(std::string_view bytes);

}  // namespace db4
