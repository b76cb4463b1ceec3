// The bytes of a message between nodes: docs/formats/invalidation.md.

#include "invalidation/message.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"

#include <db4/error.hpp>
#include <db4/invalidation_event.hpp>
#include <db4/limits.hpp>

namespace db4 {
namespace {

constexpr std::string_view kMagic = "DB4I";
constexpr std::uint8_t kFormat = 1;
constexpr std::size_t kChecksumBytes = 4;
/// What every message has at least: magic, format, kind, epoch, sequence, node's length and a byte of it,
/// CRC.
constexpr std::size_t kMinBytes = 14;

/// What is wrong with a message; nullptr where nothing is. The same rules for both directions.
const char* fault_of(const InvalidationMessage& message) {
  const InvalidationEvent& event = message.event;
  if (event.node_id.empty() || event.node_id.size() > kMaxNodeIdBytes)
    return "its node has no name, or too long a one";
  if (event.epoch == 0) return "it has no epoch";
  if (message.kind != InvalidationMessageKind::event) return nullptr;
  if (event.sequence == 0) return "it has no sequence number";
  if (event.collection.size() > kMaxCollectionBytes || event.id.size() > kMaxIdBytes)
    return "a name in it is too long";
  const bool has_collection = event.type != InvalidationType::flush;
  const bool has_id = event.type == InvalidationType::document;
  if (event.collection.empty() == has_collection || event.id.empty() == has_id)
    return "its names do not fit its type";
  if (!has_id && event.version != 0) return "it has a version, and is not about one document";
  return nullptr;
}

[[noreturn]] void fail_decode(ErrorCode code, const char* problem) {
  throw Error(code, std::string("a message between nodes cannot be read: ") + problem,
              code == ErrorCode::unsupported ? "run the same release of db4 on all nodes"
                                             : "take it as lost: flush, or ask the catalogue");
}

std::uint8_t tier_byte(std::optional<StorageTier> tier) {
  return tier ? static_cast<std::uint8_t>(static_cast<std::uint8_t>(*tier) + 1) : std::uint8_t{0};
}

void decode_event(Reader& in, InvalidationEvent& event) {
  const auto type = in.fixed<std::uint8_t>();
  const auto tier = in.fixed<std::uint8_t>();
  event.version = in.varint();
  event.collection = in.sized();
  event.id = in.sized();
  if (type < 1 || type > 3) fail_decode(ErrorCode::corrupt, "its type is unknown");
  if (tier > 3) fail_decode(ErrorCode::corrupt, "its tier is unknown");
  event.type = static_cast<InvalidationType>(type);
  if (tier != 0) event.tier = static_cast<StorageTier>(tier - 1);
}

}  // namespace

void invalidation::require_sendable(const InvalidationMessage& message) {
  if (const char* fault = fault_of(message)) {
    throw Error(ErrorCode::invalid_argument, std::string("this is no message between nodes: ") + fault,
                "see the rules at InvalidationEvent");
  }
}

std::string encode_invalidation(const InvalidationMessage& message) {
  invalidation::require_sendable(message);
  const InvalidationEvent& event = message.event;
  std::string out(kMagic);
  out.push_back(static_cast<char>(kFormat));
  out.push_back(static_cast<char>(message.kind));
  put_varint(out, event.epoch);
  put_varint(out, event.sequence);
  put_sized(out, event.node_id);
  if (message.kind == InvalidationMessageKind::event) {
    out.push_back(static_cast<char>(event.type));
    out.push_back(static_cast<char>(tier_byte(event.tier)));
    put_varint(out, event.version);
    put_sized(out, event.collection);
    put_sized(out, event.id);
  }
  put_fixed(out, crc32c(as_bytes(out)));
  return out;
}

InvalidationMessage decode_invalidation(std::string_view bytes) {
  if (bytes.size() < kMinBytes || bytes.size() > kMaxBroadcastMessageBytes) {
    fail_decode(ErrorCode::corrupt, "its length is none that a message has");
  }
  if (!bytes.starts_with(kMagic)) fail_decode(ErrorCode::corrupt, "it does not begin with DB4I");
  const std::string_view checked = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (load_fixed<std::uint32_t>(bytes.data() + checked.size()) != crc32c(as_bytes(checked))) {
    fail_decode(ErrorCode::corrupt, "its checksum is wrong");
  }
  Reader in(checked.substr(kMagic.size()));
  if (in.fixed<std::uint8_t>() != kFormat) fail_decode(ErrorCode::unsupported, "its format is newer");
  const auto kind = in.fixed<std::uint8_t>();
  if (kind < 1 || kind > 3) fail_decode(ErrorCode::unsupported, "its kind is newer");
  InvalidationMessage message{.kind = static_cast<InvalidationMessageKind>(kind), .event = {}};
  message.event.epoch = in.varint();
  message.event.sequence = in.varint();
  message.event.node_id = in.sized();
  if (message.kind == InvalidationMessageKind::event) decode_event(in, message.event);
  if (!in.done()) fail_decode(ErrorCode::corrupt, "its parts do not add up");
  if (const char* fault = fault_of(message)) fail_decode(ErrorCode::corrupt, fault);
  return message;
}

}  // namespace db4
