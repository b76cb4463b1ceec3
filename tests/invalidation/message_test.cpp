// The bytes of a message between nodes.

#include "base/hash.hpp"
#include "invalidation/fixtures.hpp"

#include <db4/invalidation_event.hpp>
#include <db4/limits.hpp>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace db4::testing {
namespace {

InvalidationMessage example() {
  return {.kind = InvalidationMessageKind::event,
          .event = {.type = InvalidationType::document,
                    .collection = "users",
                    .id = "user-1",
                    .version = 300,
                    .tier = StorageTier::warm,
                    .node_id = "node-a",
                    .epoch = 1'700'000'000,
                    .sequence = 42}};
}

InvalidationEvent of_node(InvalidationEvent event) {
  event.node_id = "n";
  event.epoch = 1;
  event.sequence = 1;
  return event;
}

ErrorCode decode_code(std::string_view bytes) {
  try {
    (void)decode_invalidation(bytes);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::internal;
}

std::string with_right_checksum(std::string bytes) {
  const std::uint32_t crc = crc32c(as_bytes(std::string_view(bytes).substr(0, bytes.size() - 4)));
  std::memcpy(bytes.data() + bytes.size() - 4, &crc, sizeof crc);
  return bytes;
}

TEST(InvalidationMessageTest, WhatIsEncodedIsDecoded) {
  std::vector<InvalidationMessage> messages = {example()};
  for (const auto tier : {std::optional<StorageTier>{}, std::optional{StorageTier::cold},
                          std::optional{StorageTier::warm}, std::optional{StorageTier::hot}}) {
    messages.push_back(
        {.event = of_node({.type = InvalidationType::collection, .collection = "c", .tier = tier})});
    messages.push_back({.event = of_node({.type = InvalidationType::flush, .tier = tier})});
  }
  for (const auto kind : {InvalidationMessageKind::heartbeat, InvalidationMessageKind::farewell}) {
    messages.push_back({.kind = kind, .event = {.node_id = "n", .epoch = ~0ULL, .sequence = 0}});
  }
  messages.push_back({.event = {.collection = std::string(kMaxCollectionBytes, 'c'),
                                .id = std::string(kMaxIdBytes, '\xff'),
                                .version = ~0ULL,
                                .node_id = std::string(kMaxNodeIdBytes, 'n'),
                                .epoch = ~0ULL,
                                .sequence = ~0ULL}});
  for (const InvalidationMessage& message : messages) {
    const std::string bytes = encode_invalidation(message);
    EXPECT_LE(bytes.size(), kMaxBroadcastMessageBytes);
    EXPECT_EQ(decode_invalidation(bytes), message);
  }
}

TEST(InvalidationMessageTest, FieldsThatDoNotFitAreRefused) {
  const std::vector<InvalidationMessage> wrong = {
      {.event = {}},
      {.event = of_node({.collection = "c"})},
      {.event = of_node({.id = "i"})},
      {.event = of_node({.type = InvalidationType::collection})},
      {.event = of_node({.type = InvalidationType::collection, .collection = "c", .id = "i"})},
      {.event = of_node({.type = InvalidationType::collection, .collection = "c", .version = 1})},
      {.event = of_node({.type = InvalidationType::flush, .collection = "c"})},
      {.event = of_node({.collection = std::string(kMaxCollectionBytes + 1, 'c'), .id = "i"})},
      {.event = of_node({.collection = "c", .id = std::string(kMaxIdBytes + 1, 'i')})},
      {.event = {.type = InvalidationType::flush, .node_id = "n", .epoch = 0, .sequence = 1}},
      {.event = {.type = InvalidationType::flush, .node_id = "n", .epoch = 1, .sequence = 0}},
      {.event = {.type = InvalidationType::flush, .node_id = "", .epoch = 1, .sequence = 1}},
      {.kind = InvalidationMessageKind::heartbeat,
       .event = {.node_id = std::string(kMaxNodeIdBytes + 1, 'n'), .epoch = 1}}};
  for (const InvalidationMessage& message : wrong) EXPECT_THROW((void)encode_invalidation(message), Error);
}

TEST(InvalidationMessageTest, EveryChangedBitAndEveryCutIsNoticed) {
  const std::string bytes = encode_invalidation(example());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      EXPECT_EQ(decode_code(damaged), ErrorCode::corrupt) << i << " " << bit;
    }
    EXPECT_EQ(decode_code(bytes.substr(0, i)), ErrorCode::corrupt) << i;
    // A message that was cut before it was checksummed: its parts do not add up.
    if (i < 14) continue;
    EXPECT_EQ(decode_code(with_right_checksum(bytes.substr(0, i))), ErrorCode::corrupt) << i;
  }
  EXPECT_EQ(decode_code(bytes + "x"), ErrorCode::corrupt);
  EXPECT_EQ(decode_code(std::string(kMaxBroadcastMessageBytes + 1, 'x')), ErrorCode::corrupt);
}

TEST(InvalidationMessageTest, ANewerFormatOrKindIsUnsupported) {
  for (const std::size_t place : {4U, 5U}) {
    std::string bytes = encode_invalidation(example());
    bytes[place] = 9;
    EXPECT_EQ(decode_code(with_right_checksum(bytes)), ErrorCode::unsupported);
  }
}

const std::filesystem::path kGolden =
    std::filesystem::path(DB4_SOURCE_DIR) / "tests" / "golden" / "invalidation_v1.bin";

TEST(InvalidationMessageTest, MessagesOfFormat1AreWrittenAndReadAsEver) {
  std::ifstream in(kGolden, std::ios::binary);
  ASSERT_TRUE(in.is_open()) << kGolden;
  const std::string golden{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(encode_invalidation(example()), golden);
  EXPECT_EQ(decode_invalidation(golden), example());
}

TEST(InvalidationMessageTest, DISABLED_WriteGoldenFiles) {
  std::ofstream out(kGolden, std::ios::binary | std::ios::trunc);
  const std::string bytes = encode_invalidation(example());
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.flush().good());
}

}  // namespace
}  // namespace db4::testing
