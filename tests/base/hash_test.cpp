#include "base/hash.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <set>

namespace db4 {
namespace {

std::string random_text(std::mt19937_64& random, std::size_t size) {
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

std::string ascending(int from, int step) {
  std::string out;
  for (int n = 0; n < 32; ++n) out += static_cast<char>(from + n * step);
  return out;
}

struct CrcVector {
  std::string data;
  std::uint32_t crc;
};

// The check value of the polynomial, and the examples of RFC 3720, appendix B.4.
std::vector<CrcVector> crc_vectors() {
  std::string read_command(48, '\0');
  read_command[0] = 0x01;
  read_command[1] = static_cast<char>(0xC0);
  read_command[16] = 0x14;
  read_command[22] = 0x04;
  read_command[27] = 0x14;
  read_command[31] = 0x18;
  read_command[32] = 0x28;
  read_command[40] = 0x02;
  return {{"", 0},
          {"123456789", 0xE3069283},
          {std::string(32, '\0'), 0x8A9136AA},
          {std::string(32, '\xFF'), 0x62A8AB43},
          {ascending(0, 1), 0x46DD794E},
          {ascending(31, -1), 0x113FDB5C},
          {read_command, 0xD9963A56}};
}

TEST(Crc32c, GivesTheKnownAnswers) {
  for (const auto& [data, crc] : crc_vectors()) {
    EXPECT_EQ(crc32c(as_bytes(data)), crc) << data.size();
    EXPECT_EQ(crc32c_portable(as_bytes(data)), crc) << data.size();
  }
}

TEST(Crc32c, HardwareAgreesWithTheTablesOnAnyLengthAndOffset) {
  std::mt19937_64 random(1);
  const std::string text = random_text(random, 20'000);
  const auto check = [&](std::size_t offset, std::size_t size) {
    const ByteView data = as_bytes(std::string_view(text).substr(offset, size));
    const auto seed = static_cast<std::uint32_t>(random());
    ASSERT_EQ(crc32c(data, seed), crc32c_portable(data, seed)) << "offset " << offset << ", size " << size;
  };
  for (std::size_t size = 0; size < 1300; ++size) check(size % 17, size);
  for (int n = 0; n < 500; ++n) check(random() % 64, random() % 19'000);
}

TEST(Crc32c, SeedContinuesWhatCameBefore) {
  std::mt19937_64 random(2);
  const std::string text = random_text(random, 9000);
  const ByteView all = as_bytes(text);
  for (const std::size_t split : {0U, 1U, 8U, 500U, 3072U, 8999U, 9000U}) {
    EXPECT_EQ(crc32c(all.subspan(split), crc32c(all.first(split))), crc32c(all)) << split;
    EXPECT_EQ(crc32c_portable(all.subspan(split), crc32c_portable(all.first(split))), crc32c(all)) << split;
  }
}

// Every size takes the text from an allocation of just that size, so that a read past either end is caught
// under AddressSanitizer.
TEST(HashKey, DependsOnEveryBitOfEverySize) {
  std::mt19937_64 random(3);
  for (std::size_t size = 1; size < 150; ++size) {
    std::vector<char> key(size);
    for (char& c : key) c = static_cast<char>(random());
    const std::string_view view(key.data(), size);
    const std::uint64_t before = hash_key(view);
    int flipped = 0;
    for (std::size_t bit = 0; bit < 8 * size; ++bit) {
      key[bit / 8] = static_cast<char>(key[bit / 8] ^ (1 << (bit % 8)));
      const int changed = std::popcount(before ^ hash_key(view));
      EXPECT_GT(changed, 8) << "size " << size << ", bit " << bit;
      flipped += changed;
      key[bit / 8] = static_cast<char>(key[bit / 8] ^ (1 << (bit % 8)));
    }
    const double average = static_cast<double>(flipped) / (8.0 * static_cast<double>(size));
    EXPECT_NEAR(average, 32.0, 6.0) << size;
  }
}

TEST(HashKey, TellsSizesOfZeroesApart) {
  const std::string zeroes(200, '\0');
  std::set<std::uint64_t> hashes;
  for (std::size_t size = 0; size <= zeroes.size(); ++size) {
    hashes.insert(hash_key(std::string_view(zeroes).substr(0, size)));
  }
  EXPECT_EQ(hashes.size(), zeroes.size() + 1);
}

// Tables take their slot from some bits and their shard from others: numbered keys, the usual kind, must
// spread over the low and the high ones. The squared deviations over 1,024 buckets have a mean of 1,023 and a
// standard deviation of 45.
TEST(HashKey, SpreadsNumberedKeysOverLowAndHighBits) {
  constexpr int kKeys = 102'400;
  constexpr int kBuckets = 1024;
  std::vector<int> low(kBuckets);
  std::vector<int> high(kBuckets);
  for (int n = 0; n < kKeys; ++n) {
    const std::uint64_t hash = hash_key("\5users" + std::to_string(1'000'000'000 + n));
    ++low[hash % kBuckets];
    ++high[hash >> 54];
  }
  for (const auto& buckets : {low, high}) {
    double squares = 0;
    for (const int count : buckets) squares += (count - 100.0) * (count - 100.0) / 100.0;
    EXPECT_LT(squares, 1023 + 6 * 45);
    EXPECT_GT(squares, 1023 - 6 * 45);
  }
}

// FIPS 180-4's examples, and the empty text.
TEST(Sha256, GivesTheKnownAnswers) {
  const auto hex = [](std::string_view text) { return to_hex(sha256(as_bytes(text))); };
  EXPECT_EQ(hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(ToHex, WritesTwoLowerCaseDigitsForAByte) {
  EXPECT_EQ(to_hex({}), "");
  EXPECT_EQ(to_hex(as_bytes(std::string_view("\x00\x0F\xA5\xFF", 4))), "000fa5ff");
}

}  // namespace
}  // namespace db4
