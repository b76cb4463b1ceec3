#pragma once
// StreamPosition: how far a reader has come in a Redis stream, and whether it missed something.

#include "net/redis_reply.hpp"

#include <compare>
#include <optional>

namespace db4::invalidation {

/// An entry's id, `milliseconds-sequence`. Ids of one stream only rise.
struct EntryId {
  std::uint64_t milliseconds = 0;
  std::uint64_t sequence = 0;

  friend auto operator<=>(const EntryId&, const EntryId&) = default;  // NOLINT(modernize-use-nullptr)
};

/// "1700000000000-0".
std::string to_string(const EntryId& id);

/// What XINFO STREAM says of a stream at one moment.
struct StreamInfo {
  bool exists = false;
  std::uint64_t length = 0;
  EntryId last = {};                                ///< of the newest entry that ever was
  std::optional<EntryId> first = {};                ///< of the oldest entry that is; nullopt: it is empty
  std::optional<std::uint64_t> entries_added = {};  ///< ever; nullopt: older than Redis 7
};

/// Entries in order, as XREAD gives them.
struct StreamBatch {
  std::optional<EntryId> first = {};  ///< nullopt: there were none
  std::optional<EntryId> last = {};
  std::uint64_t entries = 0;
  std::vector<std::string> messages = {};  ///< of those entries that hold one
};

/// The field of an entry that holds the message.
inline constexpr std::string_view kMessageField = "m";

/// Both throw Error (unavailable) for what Redis does not answer.
StreamInfo stream_info(const net::RedisReply& reply);
StreamBatch stream_batch(const net::RedisReply& reply);
/// Whether an error says that there is no such stream.
bool says_no_stream(const net::RedisReply& reply);

/// The reader asks for what follows its position, and then, on the same connection, for XINFO STREAM. That
/// order is what makes the verdict sure: trimming takes the oldest entries first, so if what stands at the
/// position or before it is still there *after* reading, nothing behind it was gone at the time of reading.
/// Where it is not there any more, Redis 7 tells by counting: of `entries_added` entries all but `length` are
/// trimmed away, and the reader knows how many of them it had seen. Whoever has caught up must have counted
/// as many as the server, which finds a server that came back without its data, or as a replica that lacked
/// some. Before Redis 7 the first entry's id alone decides, on the safe side: what was trimmed exactly up to
/// the position looks like a loss. (Ids would not find a new stream whose ids are higher than ours
/// otherwise.)
///
/// One thread at a time.
class StreamPosition {
 public:
  StreamPosition() = default;
  /// At the end of a stream that is so.
  explicit StreamPosition(const StreamInfo& info) : last_(info.last), added_(info.entries_added) {
    if (!info.exists) added_ = 0;
  }

  /// Takes in what was read from here, and what the stream was after that. Whether something was lost
  /// between; then the position goes on from what there is.
  bool advance(const StreamBatch& batch, const StreamInfo& info);

  [[nodiscard]] const EntryId& last() const noexcept { return last_; }

 private:
  [[nodiscard]] bool missed_before(const StreamInfo& info) const;

  EntryId last_;  ///< seen
  std::optional<std::uint64_t>
      added_;  ///< entries up to last_, counted from the stream's first; nullopt: unknown
};

}  // namespace db4::invalidation
