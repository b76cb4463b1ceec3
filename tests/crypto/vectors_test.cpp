// AES-GCM and HKDF by the vectors of Wycheproof, where they are at hand, and by known answers.
#include "support/vectors.hpp"

#include "crypto_fixtures.hpp"

#include <nlohmann/json.hpp>

#include <fstream>

namespace db4::crypto {
namespace {

nlohmann::json read_json(const std::filesystem::path& file) {
  std::ifstream in(file);
  EXPECT_TRUE(in) << file;
  return nlohmann::json::parse(in);
}

Bytes member(const nlohmann::json& test, const char* name) {
  return from_hex(test.at(name).get_ref<const std::string&>());
}

void check_gcm(const nlohmann::json& test) {
  const Bytes key = member(test, "key");
  const Bytes nonce = member(test, "iv");
  const Bytes associated = member(test, "aad");
  const Bytes message = member(test, "msg");
  Bytes sealed = member(test, "ct");
  std::ranges::copy(member(test, "tag"), std::back_inserter(sealed));
  const bool valid = test.at("result") == "valid";
  const ByteView bound = associated;
  const ByteView plaintext = message;

  Bytes opened(sealed.size() - kTagBytes, std::byte{0xEE});
  EXPECT_EQ(aes_gcm_open(KeyView(key), NonceView(nonce), {&bound, 1}, sealed, opened), valid);
  Bytes made(message.size() + kTagBytes);
  aes_gcm_seal(KeyView(key), NonceView(nonce), {&bound, 1}, {&plaintext, 1}, made);
  if (valid) {
    EXPECT_EQ(opened, message);
    EXPECT_EQ(made, sealed);
  } else {
    EXPECT_TRUE(all_zero(opened)) << "what was not checked must not be given";
    EXPECT_NE(made, sealed);
  }
}

TEST(Vectors, AesGcmAgreesWithWycheproof) {
  const auto file = testing::vectors() / "aes_gcm_test.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << testing::kNoVectors;
  int cases = 0;
  const nlohmann::json vectors = read_json(file);
  for (const auto& group : vectors.at("testGroups")) {
    if (group.at("keySize") != 256 || group.at("ivSize") != 96) continue;
    for (const auto& test : group.at("tests")) {
      SCOPED_TRACE(test.at("tcId").dump() + " " + test.at("comment").dump());
      check_gcm(test);
      ++cases;
    }
  }
  EXPECT_GE(cases, 66);
}

TEST(Vectors, HkdfAgreesWithWycheproof) {
  const auto file = testing::vectors() / "hkdf_sha256_test.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << testing::kNoVectors;
  int cases = 0;
  const nlohmann::json vectors = read_json(file);
  for (const auto& group : vectors.at("testGroups")) {
    for (const auto& test : group.at("tests")) {
      SCOPED_TRACE(test.at("tcId").dump() + " " + test.at("comment").dump());
      std::array<std::byte, kHashBytes> extracted{};
      hkdf_extract(member(test, "salt"), member(test, "ikm"), extracted);
      Bytes out(test.at("size").get<std::size_t>());
      const auto failed = error_of([&] { hkdf_expand(extracted, member(test, "info"), out); });
      if (test.at("result") == "valid") {
        EXPECT_EQ(to_hex(out), test.at("okm").get<std::string>());
      } else {
        EXPECT_EQ(failed, ErrorCode::invalid_argument);
      }
      ++cases;
    }
  }
  EXPECT_GE(cases, 86);
}

// RFC 5869, appendix A.1, so that one answer is checked without the vectors.
TEST(Vectors, HkdfGivesTheFirstExampleOfItsRfc) {
  std::array<std::byte, kHashBytes> extracted{};
  hkdf_extract(from_hex("000102030405060708090a0b0c"), Bytes(22, std::byte{0x0B}), extracted);
  EXPECT_EQ(to_hex(extracted), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  Bytes out(42);
  hkdf_expand(extracted, from_hex("f0f1f2f3f4f5f6f7f8f9"), out);
  EXPECT_EQ(to_hex(out),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

// RFC 4231, test case 6: a key longer than a block.
TEST(Vectors, HmacHashesALongKey) {
  std::array<std::byte, kHashBytes> out{};
  const ByteView text = as_bytes("Test Using Larger Than Block-Size Key - Hash Key First");
  hmac_sha256(Bytes(131, std::byte{0xAA}), {&text, 1}, out);
  EXPECT_EQ(to_hex(out), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

// Test case 14 of McGrew and Viega, "The Galois/Counter Mode of operation".
TEST(Vectors, GcmGivesAKnownAnswer) {
  const std::array<std::byte, kKeyBytes> key{};
  const std::array<std::byte, kNonceBytes> nonce{};
  const Bytes zeros(16);
  const ByteView plaintext = zeros;
  Bytes sealed(32);
  aes_gcm_seal(key, nonce, {}, {&plaintext, 1}, sealed);
  EXPECT_EQ(to_hex(sealed), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

}  // namespace
}  // namespace db4::crypto
