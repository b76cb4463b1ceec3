// Which pin holds a document, and the bytes of pins and histories: docs/formats/row.md, kept by example.
#include "catalog/pins.hpp"

#include "base/hash.hpp"
#include "catalog/history.hpp"
#include "catalog/keys.hpp"

#include <db4/error.hpp>
#include <db4/tiering.hpp>

#include <gtest/gtest.h>

#include <random>

namespace db4::catalog {
namespace {

StoredPin pin(PinScope scope, std::string id, StorageTier tier, std::string collection = "c") {
  return {.pin = {.collection = std::move(collection), .scope = scope, .id = std::move(id), .tier = tier},
          .applied_to = {}};
}

std::string found(const PinTable& table, std::string_view id, std::string_view collection = "c") {
  const Pin* held = table.find(document_key(collection, id));
  if (held == nullptr) return "(none)";
  return std::string(to_string(held->scope)) + " " + held->id;
}

TEST(PinTable, TheMostExactPinHolds) {
  const PinTable table(
      {pin(PinScope::collection, "", StorageTier::cold), pin(PinScope::prefix, "a", StorageTier::hot),
       pin(PinScope::prefix, "a/b", StorageTier::warm), pin(PinScope::prefix, "a/b/c/d", StorageTier::cold),
       pin(PinScope::document, "a/b/1", StorageTier::cold)});
  EXPECT_EQ(found(table, "a/b/1"), "document a/b/1");
  EXPECT_EQ(found(table, "a/b/2"), "prefix a/b");
  EXPECT_EQ(found(table, "a/b/c/z"), "prefix a/b");
  EXPECT_EQ(found(table, "a/b/c/d"), "prefix a/b/c/d");
  EXPECT_EQ(found(table, "a/zzz"), "prefix a");
  EXPECT_EQ(found(table, "b"), "collection ");
  EXPECT_EQ(found(table, "a", "other"), "(none)");
}

TEST(PinTable, AgreesWithTryingEveryPrefix) {
  std::mt19937_64 random(7);
  const auto word = [&] {
    std::string out;
    for (std::size_t n = random() % 6; out.size() <= n;) out.push_back("ab\xff"[random() % 3]);
    return out;
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<StoredPin> pins;
    std::map<std::string, int> prefixes;
    for (int i = 0; i < 12; ++i) {
      const std::string prefix = word();
      if (prefixes.emplace(prefix, i).second) pins.push_back(pin(PinScope::prefix, prefix, StorageTier::hot));
    }
    const PinTable table(std::move(pins));
    for (int i = 0; i < 50; ++i) {
      const std::string id = word();
      std::string expected = "(none)";
      for (std::size_t n = id.size(); n > 0; --n) {
        if (!prefixes.contains(id.substr(0, n))) continue;
        expected = "prefix " + id.substr(0, n);
        break;
      }
      ASSERT_EQ(found(table, id), expected) << "round " << round;
    }
  }
}

TEST(StoredPins, KeepTheirBytes) {
  const StoredPin stored{.pin = {.collection = "logs",
                                 .scope = PinScope::prefix,
                                 .id = "2024/",
                                 .tier = StorageTier::cold,
                                 .since = TimePoint{std::chrono::microseconds{0x0102030405060708}}},
                         .applied_to = "\x04logs2024/x"};
  const std::string key = pin_key("logs", PinScope::prefix, "2024/");
  EXPECT_EQ(to_hex(as_bytes(key)), "02046c6f6773323032342f");
  EXPECT_EQ(to_hex(as_bytes(encode_pin(stored))), "0100080706050403020101046c6f6773323032342f78");
  const StoredPin decoded = decode_pin(key, encode_pin(stored));
  EXPECT_EQ(decoded.pin.collection, "logs");
  EXPECT_EQ(decoded.pin.id, "2024/");
  EXPECT_EQ(decoded.pin.tier, StorageTier::cold);
  EXPECT_EQ(decoded.pin.since, stored.pin.since);
  EXPECT_EQ(decoded.applied_to, stored.applied_to);
  EXPECT_THROW((void)decode_pin(key, "\x01\x07"), Error);
  EXPECT_THROW((void)decode_pin(key.substr(0, 3), encode_pin(stored)), Error);
}

TEST(History, KeepsTheNewestMovesAndItsBytes) {
  std::string value;
  for (std::int64_t i = 1; i <= static_cast<std::int64_t>(kMaxPastMoves) + 2; ++i) {
    value = add_to_history(
        value,
        {.at_us = i,
         .placed_by = PlacedBy::policy,
         .note = {
             .from = StorageTier::hot, .to = StorageTier::warm, .unused_seconds = 300, .recent_reads = 2}});
  }
  const auto entries = decode_history(value);
  ASSERT_EQ(entries.size(), kMaxPastMoves);
  EXPECT_EQ(entries.front().at_us, static_cast<std::int64_t>(kMaxPastMoves) + 2);
  EXPECT_EQ(entries.back().at_us, 3);
  EXPECT_EQ(entries.front().note.unused_seconds, 300U);
  EXPECT_EQ(to_hex(as_bytes(value.substr(0, 15))),
            "01"
            "0700000000000000"
            "04"
            "02"
            "01"
            "ac02"
            "02");
  EXPECT_TRUE(decode_history("").empty());
  EXPECT_TRUE(decode_history("\x09garbage").empty());
  EXPECT_EQ(decode_history(value.substr(0, value.size() - 1)).size(), kMaxPastMoves - 1);
}

}  // namespace
}  // namespace db4::catalog
