// Whether a reader of a stream missed something: the verdict, without a server.
#include "invalidation/stream_position.hpp"

#include <db4/broadcast_channel.hpp>

#include <gtest/gtest.h>

namespace db4::invalidation {
namespace {

using net::RedisReply;
using Type = RedisReply::Type;

RedisReply text(std::string value) { return {.type = Type::text, .text = std::move(value)}; }
RedisReply integer(std::int64_t value) { return {.type = Type::integer, .integer = value}; }
RedisReply array(std::vector<RedisReply> values) { return {.type = Type::array, .array = std::move(values)}; }

EntryId at(std::uint64_t milliseconds) { return {.milliseconds = milliseconds}; }

/// A stream whose entries `first` to `last` are there, one in each millisecond, of `added` ever.
StreamInfo stream(std::uint64_t first, std::uint64_t last, std::optional<std::uint64_t> added) {
  return {.exists = true,
          .length = last - first + 1,
          .last = at(last),
          .first = at(first),
          .entries_added = added};
}
StreamInfo emptied(std::uint64_t last, std::optional<std::uint64_t> added) {
  return {.exists = true, .length = 0, .last = at(last), .first = {}, .entries_added = added};
}
StreamBatch batch(std::uint64_t first, std::uint64_t last) {
  return {.first = at(first), .last = at(last), .entries = last - first + 1};
}

TEST(StreamPosition, NothingIsMissedInAStreamThatGrows) {
  StreamPosition position(stream(1, 5, 5));
  EXPECT_FALSE(position.advance({}, stream(1, 5, 5)));
  EXPECT_FALSE(position.advance(batch(6, 8), stream(1, 8, 8)));
  EXPECT_FALSE(position.advance(batch(9, 9), stream(1, 12, 12))) << "more came meanwhile";
  EXPECT_FALSE(position.advance(batch(10, 12), stream(1, 12, 12)));
  EXPECT_EQ(position.last(), at(12));
}

TEST(StreamPosition, AStreamThatIsNotYetThereStartsAtItsFirstEntry) {
  StreamPosition position{StreamInfo{}};
  EXPECT_FALSE(position.advance({}, {}));
  EXPECT_FALSE(position.advance(batch(1, 3), stream(1, 3, 3)));
  EXPECT_FALSE(position.advance({}, stream(1, 3, 3)));
}

TEST(StreamPosition, TrimmingBehindUsIsNoLoss) {
  StreamPosition position(stream(1, 5, 5));
  EXPECT_FALSE(position.advance(batch(6, 9), stream(5, 9, 9)));
  EXPECT_FALSE(position.advance(batch(10, 12), stream(10, 12, 12))) << "exactly up to where we were";
  EXPECT_FALSE(position.advance({}, emptied(12, 12))) << "all of it, when all was read";
  EXPECT_FALSE(position.advance(batch(13, 13), stream(13, 13, 13)));
}

TEST(StreamPosition, TrimmingPastUsIsALossAndToldOnce) {
  StreamPosition position(stream(1, 5, 5));
  EXPECT_TRUE(position.advance(batch(8, 9), stream(8, 12, 12)));
  EXPECT_FALSE(position.advance(batch(10, 12), stream(8, 12, 12)));
  EXPECT_TRUE(position.advance({}, emptied(14, 14))) << "13 and 14 came and went";
  EXPECT_FALSE(position.advance({}, emptied(14, 14)));
  EXPECT_EQ(position.last(), at(14));
}

TEST(StreamPosition, TrimmingWhileItIsReadIsALossOnlyWhereSomethingWasMissed) {
  StreamPosition read_before(stream(1, 5, 5));
  EXPECT_FALSE(read_before.advance(batch(6, 7), emptied(7, 7)));
  StreamPosition read_after(stream(1, 5, 5));
  EXPECT_TRUE(read_after.advance(batch(7, 7), emptied(7, 7)));
}

TEST(StreamPosition, AServerWithoutItsDataIsALoss) {
  StreamPosition gone(stream(1, 5, 5));
  EXPECT_TRUE(gone.advance({}, {}));
  EXPECT_FALSE(gone.advance({}, {}));
  EXPECT_FALSE(gone.advance(batch(9, 9), stream(9, 9, 1)));

  StreamPosition refilled(stream(1, 5, 5));
  EXPECT_TRUE(refilled.advance(batch(9, 10), stream(9, 10, 2))) << "a new stream, ids higher than ours";
  EXPECT_FALSE(refilled.advance(batch(11, 11), stream(9, 11, 3)));

  StreamPosition as_many(stream(1, 5, 5));
  EXPECT_TRUE(as_many.advance(batch(9, 13), stream(9, 13, 5)));
}

TEST(StreamPosition, AServerWithOlderDataIsALoss) {
  StreamPosition behind(stream(1, 5, 5));
  EXPECT_TRUE(behind.advance({}, stream(1, 4, 4)));
  EXPECT_EQ(behind.last(), at(4));
  EXPECT_FALSE(behind.advance(batch(5, 5), stream(1, 5, 5)));

  StreamPosition overtaken(stream(1, 5, 5));
  EXPECT_TRUE(overtaken.advance(
      batch(9, 9), {.exists = true, .length = 5, .last = at(9), .first = at(1), .entries_added = 5}))
      << "it had lost entry 5, which counting finds";
}

TEST(StreamPosition, OlderServersAreJudgedByTheFirstEntryOnTheSafeSide) {
  StreamPosition position(stream(1, 5, {}));
  EXPECT_FALSE(position.advance(batch(6, 9), stream(5, 9, {})));
  EXPECT_TRUE(position.advance(batch(11, 12), stream(11, 12, {})));
  EXPECT_FALSE(position.advance({}, stream(11, 12, {})));
  EXPECT_FALSE(position.advance({}, emptied(12, {})));
  EXPECT_TRUE(position.advance({}, {}));
}

TEST(StreamPosition, ReadsWhatServersSay) {
  const RedisReply entry = array({text("7-1"), array({text("m"), text("hello")})});
  const StreamInfo info = stream_info(
      array({text("length"), integer(3), text("groups"), integer(0), text("last-generated-id"), text("9-0"),
             text("entries-added"), integer(4), text("first-entry"), entry, text("last-entry"), entry}));
  EXPECT_TRUE(info.exists);
  EXPECT_EQ(info.length, 3U);
  EXPECT_EQ(info.last, at(9));
  EXPECT_EQ(info.first, (EntryId{.milliseconds = 7, .sequence = 1}));
  EXPECT_EQ(info.entries_added, 4U);
  EXPECT_FALSE(stream_info({.type = Type::error, .text = "ERR no such key"}).exists);

  const StreamBatch read = stream_batch(array({array({text("key"), array({entry})})}));
  EXPECT_EQ(read.entries, 1U);
  EXPECT_EQ(to_string(*read.last), "7-1");
  EXPECT_EQ(read.messages, std::vector<std::string>{"hello"});
  EXPECT_EQ(stream_batch({}).entries, 0U);
}

TEST(StreamPosition, WhatOthersPutThereIsCountedAndNotGivenOn) {
  const auto entry = [](const char* id, std::vector<RedisReply> fields) {
    return array({text(id), array(std::move(fields))});
  };
  const StreamBatch read = stream_batch(array({array(
      {text("key"),
       array({entry("1-0", {text("other"), text("x")}),
              entry("2-0", {text("m"), text("x"), text("n"), text("y")}), entry("3-0", {text("m"), text("")}),
              entry("4-0", {text("m"), text(std::string(kMaxBroadcastMessageBytes + 1, 'x'))}),
              entry("5-0", {text("m"), text("ours")})})})}));
  EXPECT_EQ(read.entries, 5U);
  EXPECT_EQ(read.messages, std::vector<std::string>{"ours"});
}

TEST(StreamPosition, StrangeAnswersAreRefused) {
  for (const char* id : {"", "1", "1-", "-1", "1-2-3", "x-1", "99999999999999999999-0"}) {
    EXPECT_THROW((void)stream_info(array({text("last-generated-id"), text(id)})), Error) << id;
  }
  EXPECT_THROW((void)stream_info(array({text("length"), integer(1)})), Error);
  EXPECT_THROW((void)stream_info(array({text("length"), integer(-1)})), Error);
  EXPECT_THROW((void)stream_info(text("OK")), Error);
  EXPECT_THROW((void)stream_batch(text("OK")), Error);
  EXPECT_THROW((void)stream_batch(array({array({text("key"), array({text("7-1")})})})), Error);
}

}  // namespace
}  // namespace db4::invalidation
