#include "base/encoding.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace db4 {
namespace {

TEST(Encoding, ReadsBackWhatWasWritten) {
  std::string out;
  put_fixed<std::uint32_t>(out, 0xDEADBEEF);
  put_big_endian(out, 258);
  put_varint(out, 300);
  put_sized(out, std::string_view("a\0b", 3));
  put_fixed<std::uint8_t>(out, 7);

  Reader reader(out);
  EXPECT_EQ(reader.fixed<std::uint32_t>(), 0xDEADBEEF);
  EXPECT_EQ(reader.big_endian(), 258U);
  EXPECT_EQ(reader.varint(), 300U);
  EXPECT_EQ(reader.sized(), std::string_view("a\0b", 3));
  EXPECT_EQ(reader.rest(), "\7");
  EXPECT_FALSE(reader.done());
  EXPECT_EQ(reader.fixed<std::uint8_t>(), 7U);
  EXPECT_TRUE(reader.done());
}

TEST(Encoding, BytesOnDiskAreTheStatedOnes) {
  std::string out;
  put_fixed<std::uint32_t>(out, 0x01020304);
  put_big_endian(out, 0x0102030405060708);
  put_varint(out, 300);
  EXPECT_EQ(out, std::string_view("\4\3\2\1\1\2\3\4\5\6\7\10\xAC\2", 14));
}

TEST(Encoding, BigEndianSortsByValue) {
  std::string last;
  for (const std::uint64_t value : {0ULL, 1ULL, 255ULL, 256ULL, 1ULL << 32, ~0ULL}) {
    std::string key;
    put_big_endian(key, value);
    EXPECT_LT(last, key) << value;
    EXPECT_EQ(load_big_endian(key.data()), value);
    last = key;
  }
}

TEST(Encoding, VarintsKeepEveryMagnitude) {
  for (unsigned shift = 0; shift < 64; ++shift) {
    for (const std::uint64_t value : {1ULL << shift, (1ULL << shift) - 1, ~0ULL >> shift}) {
      std::string out;
      put_varint(out, value);
      Reader reader(out);
      EXPECT_EQ(reader.varint(), value);
      EXPECT_TRUE(reader.done());
    }
  }
}

TEST(Reader, FailsOnEveryCutAndStaysFailed) {
  std::string out;
  put_fixed<std::uint64_t>(out, 1);
  put_varint(out, std::numeric_limits<std::uint64_t>::max());
  put_sized(out, "hello");
  for (std::size_t size = 0; size < out.size(); ++size) {
    Reader reader(std::string_view(out).substr(0, size));
    static_cast<void>(reader.fixed<std::uint64_t>());
    static_cast<void>(reader.varint());
    static_cast<void>(reader.sized());
    EXPECT_FALSE(reader.ok()) << size;
    EXPECT_EQ(reader.fixed<std::uint8_t>(), 0U);
    EXPECT_FALSE(reader.done());
  }
}

TEST(Reader, RefusesVarintsOverSixtyFourBits) {
  Reader too_large(std::string_view("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 10));
  static_cast<void>(too_large.varint());
  EXPECT_FALSE(too_large.ok());
  Reader too_long(std::string_view("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11));
  static_cast<void>(too_long.varint());
  EXPECT_FALSE(too_long.ok());
}

TEST(Reader, RefusesSizesBeyondTheEnd) {
  std::string out;
  put_varint(out, std::numeric_limits<std::uint64_t>::max());
  out += "short";
  Reader reader(out);
  EXPECT_EQ(reader.sized(), "");
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace db4
