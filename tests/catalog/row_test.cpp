// The bytes of a row: docs/formats/row.md, kept by example.
#include "catalog/row.hpp"

#include "base/hash.hpp"
#include "catalog/keys.hpp"

#include <db4/error.hpp>

#include <gtest/gtest.h>

namespace db4::catalog {
namespace {

const std::string kKey = document_key("users", "user-123");

Row example_row() {
  Row row;
  row.revision = 0x0102030405060708;
  row.version = 7;
  row.home = StorageTier::hot;
  row.body_place = BodyPlace::in_row;
  row.placed_by = PlacedBy::read;
  row.size = 5;
  row.created_at_us = 1'700'000'000'000'000;
  row.updated_at_us = 1'700'000'000'000'001;
  row.placed_at_us = 1'700'000'000'000'002;
  row.due_us = 1'700'003'600'000'002;
  row.content_type = "text/plain";
  row.cold = ColdPlace{.object = "name", .offset = 300, .length = 200, .in_segment = true};
  row.inline_body = "hello";
  return row;
}

ErrorCode code_of_decoding(std::string_view key, std::string_view bytes) {
  try {
    (void)decode_row(key, bytes);
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "it was decoded";
  return ErrorCode::internal;
}

TEST(Row, HasTheBytesThatItsFormatPageSays) {
  // Format, revision, version; live, hot, in the row, by a read, cold in a segment; four times; size, type,
  // cold place, body; and the checksum over the key and all of it.
  const std::string bytes = encode_row(kKey, example_row());
  const std::string hex = to_hex(as_bytes(bytes));
  EXPECT_EQ(hex.substr(0, 44), "01080706050403020107000000000000000102010603");
  EXPECT_EQ(hex.substr(108),
            "050a746578742f706c61696e046e616d65ac02c80168656c6c6f" + hex.substr(hex.size() - 8));
  EXPECT_EQ(load_fixed<std::int64_t>(bytes.data() + 22), 1'700'000'000'000'000);
  EXPECT_EQ(load_fixed<std::int64_t>(bytes.data() + 46), 1'700'003'600'000'002);
  const std::string_view content(bytes.data(), bytes.size() - 4);
  EXPECT_EQ(load_fixed<std::uint32_t>(bytes.data() + content.size()),
            crc32c(as_bytes(content), crc32c(as_bytes(kKey))));
}

TEST(Row, ComesBackAsItWas) {
  const Row row = decode_row(kKey, encode_row(kKey, example_row()));
  EXPECT_EQ(row.revision, example_row().revision);
  EXPECT_EQ(row.version, 7U);
  EXPECT_TRUE(row.hot());
  EXPECT_EQ(row.placed_by, PlacedBy::read);
  EXPECT_EQ(row.cold, example_row().cold);
  EXPECT_EQ(row.content_type, "text/plain");
  EXPECT_EQ(row.inline_body, "hello");
  EXPECT_EQ(row.due_us, example_row().due_us);
}

TEST(Row, StartsWithItsRevisionAndNoOther) {
  const std::string bytes = encode_row(kKey, example_row());
  EXPECT_TRUE(bytes.starts_with(revision_prefix(example_row().revision)));
  EXPECT_FALSE(bytes.starts_with(revision_prefix(example_row().revision + 1)));
}

TEST(Row, EveryFlippedBitAndEveryCutIsNoticed) {
  const std::string bytes = encode_row(kKey, example_row());
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(code_of_decoding(kKey, damaged), ErrorCode::corrupt) << "bit " << bit;
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(code_of_decoding(kKey, bytes.substr(0, size)), ErrorCode::corrupt) << size << " bytes";
  }
  EXPECT_EQ(code_of_decoding(kKey, bytes + '\0'), ErrorCode::corrupt);
}

TEST(Row, OfAnotherKeyIsADamagedRow) {
  EXPECT_EQ(code_of_decoding(document_key("users", "user-124"), encode_row(kKey, example_row())),
            ErrorCode::corrupt);
}

TEST(Row, OfANewerFormatIsRefusedAsSuch) {
  std::string bytes = encode_row(kKey, example_row());
  bytes.resize(bytes.size() - 4);
  bytes[0] = 2;
  put_fixed(bytes, crc32c(as_bytes(bytes), crc32c(as_bytes(kKey))));
  EXPECT_EQ(code_of_decoding(kKey, bytes), ErrorCode::unsupported);
}

TEST(Keys, KeepTheOrderOfIdsAndNeverMeet) {
  EXPECT_LT(document_key("c", "a"), document_key("c", "b"));
  EXPECT_LT(document_key("c", "a"), document_key("c", "aa"));
  EXPECT_NE(document_key("ab", "c"), document_key("a", "bc"));
  const std::string key = document_key("collection", std::string("i\xFF/d"));
  EXPECT_EQ(collection_of(key), "collection");
  EXPECT_EQ(id_of(key), "i\xFF/d");
  EXPECT_LT(timed_key(9, "b"), timed_key(10, "a")) << "time comes first, and 10 after 9";
  EXPECT_EQ(time_of(timed_key(10, "a")), 10);
  EXPECT_EQ(prefix_end("a\xFF"), "b");
  EXPECT_EQ(prefix_end("\xFF"), "") << "nothing comes after it";
}

}  // namespace
}  // namespace db4::catalog
