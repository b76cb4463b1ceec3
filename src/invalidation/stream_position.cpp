#include "invalidation/stream_position.hpp"

#include <db4/broadcast_channel.hpp>
#include <db4/error.hpp>

#include <charconv>

namespace db4::invalidation {
namespace {

using net::RedisReply;
using Type = RedisReply::Type;

[[noreturn]] void fail_strange(const char* what) {
  throw Error(ErrorCode::unavailable, std::string("the server answers with a strange ") + what,
              "check that it is Redis 5 or newer, or another server that has streams");
}

bool read_number(const char*& at, const char* end, std::uint64_t& out) {
  const auto [stopped, error] = std::from_chars(at, end, out);
  at = stopped;
  return error == std::errc();
}

EntryId entry_id(const RedisReply& reply) {
  EntryId id;
  const char* at = reply.text.data();
  const char* const end = at + reply.text.size();
  const bool whole = reply.is(Type::text) && read_number(at, end, id.milliseconds) && at != end &&
                     *at++ == '-' && read_number(at, end, id.sequence) && at == end;
  if (!whole) fail_strange("id of an entry");
  return id;
}

/// An entry is its id and its fields.
const RedisReply& id_of_entry(const RedisReply& entry) {
  if (!entry.is(Type::array) || entry.array.size() != 2) fail_strange("entry");
  return entry.array[0];
}

/// Entries that others put there hold none, or one that nobody could publish.
const std::string* message_of(const RedisReply& entry) {
  const auto& fields = entry.array[1].array;
  if (fields.size() != 2 || fields[0].text != kMessageField) return nullptr;
  const std::string& message = fields[1].text;
  return message.empty() || message.size() > kMaxBroadcastMessageBytes ? nullptr : &message;
}

std::uint64_t count_in(const RedisReply& reply) {
  if (!reply.is(Type::integer) || reply.integer < 0) fail_strange("count of entries");
  return static_cast<std::uint64_t>(reply.integer);
}

/// How many entries of the stream are no more; nullopt where the server does not tell.
std::optional<std::uint64_t> trimmed_of(const StreamInfo& info) {
  if (!info.entries_added || *info.entries_added < info.length) return std::nullopt;
  return *info.entries_added - info.length;
}

}  // namespace

std::string to_string(const EntryId& id) {
  return std::to_string(id.milliseconds) + "-" + std::to_string(id.sequence);
}

bool says_no_stream(const RedisReply& reply) {
  return reply.is(Type::error) && reply.text.starts_with("ERR no such key");
}

StreamInfo stream_info(const RedisReply& reply) {
  if (says_no_stream(reply)) return {};
  if (!reply.is(Type::array)) fail_strange("description of a stream");
  StreamInfo info{.exists = true};
  bool has_last = false;
  for (std::size_t i = 0; i + 1 < reply.array.size(); i += 2) {
    const std::string& name = reply.array[i].text;
    const RedisReply& value = reply.array[i + 1];
    if (name == "length") info.length = count_in(value);
    if (name == "entries-added") info.entries_added = count_in(value);
    if (name == "first-entry" && value.is(Type::array)) info.first = entry_id(id_of_entry(value));
    if (name == "last-generated-id") {
      info.last = entry_id(value);
      has_last = true;
    }
  }
  if (!has_last) fail_strange("description of a stream");
  return info;
}

StreamBatch stream_batch(const RedisReply& reply) {
  StreamBatch batch;
  if (reply.is(Type::nil)) return batch;  // nothing came in time
  if (!reply.is(Type::array) || reply.array.size() != 1 || reply.array[0].array.size() != 2) {
    fail_strange("answer to XREAD");
  }
  const auto& entries = reply.array[0].array[1].array;
  batch.messages.reserve(entries.size());
  for (const RedisReply& entry : entries) {
    batch.last = entry_id(id_of_entry(entry));
    if (!batch.first) batch.first = batch.last;
    ++batch.entries;
    if (const std::string* message = message_of(entry)) batch.messages.push_back(*message);
  }
  return batch;
}

bool StreamPosition::missed_before(const StreamInfo& info) const {
  if (info.first && *info.first <= last_) return false;
  if (info.entries_added && added_) {
    // Trimmed are those up to our position, and no more; a stream that is not ours counts otherwise.
    return trimmed_of(info) != added_;
  }
  return info.first.has_value() || info.last != last_;
}

bool StreamPosition::advance(const StreamBatch& batch, const StreamInfo& info) {
  const EntryId reached = batch.last.value_or(last_);
  if (!info.exists || info.last < reached) {
    const bool lost = info.exists || reached != EntryId{};
    *this = StreamPosition(info);
    return lost;
  }
  if (!info.first) {  // all is trimmed away: what was read is all that ever was, or not
    const bool all_read = info.last == reached;
    const bool counted = info.entries_added && added_;
    const bool lost =
        !all_read || (counted ? *info.entries_added != *added_ + batch.entries : batch.entries > 0);
    *this = StreamPosition(info);
    return lost;
  }
  bool lost = missed_before(info);
  if (lost) {
    // Counting goes on from the stream's first entry, where it was not trimmed while we read.
    const bool from_first = batch.entries == 0 || batch.first == info.first;
    added_ = from_first ? trimmed_of(info) : std::nullopt;
  }
  last_ = reached;
  if (added_) *added_ += batch.entries;
  if (info.last == reached) {
    if (added_ && info.entries_added) lost = lost || *added_ != *info.entries_added;
    added_ = info.entries_added;
  }
  return lost;
}

}  // namespace db4::invalidation
