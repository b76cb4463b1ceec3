#include "crypto_fixtures.hpp"

#include <map>
#include <set>

namespace db4::crypto {
namespace {

class SealTest : public ::testing::Test {
 protected:
  Bytes seal(ByteView plaintext, const SealContext& context = kContext, Padding padding = Padding::none) {
    Bytes out(sealed_size(plaintext.size(), padding));
    seal_message(key_, context, plaintext, padding, *random_, out);
    return out;
  }
  Bytes open(ByteView sealed, const SealContext& context = kContext) {
    return open_with(key_, sealed, context);
  }
  static Bytes open_with(const SealKey& key, ByteView sealed, const SealContext& context = kContext) {
    Bytes out(sealed.size());
    out.resize(open_message(key, context, sealed, out));
    return out;
  }
  std::optional<ErrorCode> open_error(ByteView sealed, const SealContext& context = kContext) {
    return error_of([&] { open(sealed, context); });
  }

  SealKey key_{kFirstId, counting_key()};
  SealKey other_key_{kSecondId, counting_key(1)};
  std::shared_ptr<RandomSource> random_ = system_random();
};

TEST_F(SealTest, OpensWhatItSealed) {
  for (const std::size_t size : {0, 1, 15, 16, 17, 255, 256, 4'096, 100'000}) {
    for (const Padding padding : {Padding::none, Padding::padme}) {
      const Bytes sealed = seal(pattern(size), kContext, padding);
      EXPECT_EQ(open(sealed), pattern(size)) << size;
      EXPECT_EQ(sealed.size(), sealed_size(size, padding));
    }
  }
}

TEST_F(SealTest, AddsAKnownOverhead) { EXPECT_EQ(seal(pattern(1'000)).size(), 1'000 + 88); }

TEST_F(SealTest, NeverMakesTheSameBytesTwice) {
  std::set<Bytes> salts;
  std::set<Bytes> bodies;
  for (int i = 0; i < 1'000; ++i) {
    const Bytes sealed = seal(as_bytes("the same"));
    salts.emplace(sealed.begin() + 16, sealed.begin() + 40);
    bodies.emplace(sealed.begin() + kSealedHeaderBytes, sealed.end());
  }
  EXPECT_EQ(salts.size(), 1'000);
  EXPECT_EQ(bodies.size(), 1'000);
}

TEST_F(SealTest, ShowsNothingOfThePlaintext) {
  const std::string canary = "canary-of-the-plaintext";
  const Bytes sealed = seal(as_bytes(canary));
  EXPECT_EQ(as_text(sealed).find(canary.substr(0, 6)), std::string_view::npos);
}

TEST_F(SealTest, EveryFlippedBitIsRefused) {
  for (const Padding padding : {Padding::none, Padding::padme}) {
    const Bytes sealed = seal(pattern(100), kContext, padding);
    for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
      Bytes damaged = sealed;
      damaged[bit / 8] ^= std::byte{static_cast<std::uint8_t>(1U << (bit % 8))};
      const bool form = bit / 8 >= 4 && bit / 8 < 8;  // another format, suite, kind or padding
      const auto error = open_error(damaged);
      ASSERT_TRUE(error == ErrorCode::corrupt || (form && error == ErrorCode::unsupported)) << "bit " << bit;
    }
  }
}

TEST_F(SealTest, EveryTruncationIsRefused) {
  const Bytes sealed = seal(pattern(300));
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    // A copy of its own, so that AddressSanitizer sees a read past the end.
    const Bytes copy(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_EQ(open_error(copy), ErrorCode::corrupt) << size << " bytes";
  }
}

TEST_F(SealTest, EveryExtensionIsRefused) {
  const Bytes sealed = seal(pattern(300));
  for (const std::size_t more : {1, 16, 88, 4'096}) {
    Bytes longer = sealed;
    longer.resize(sealed.size() + more);
    EXPECT_EQ(open_error(longer), ErrorCode::corrupt);
  }
}

TEST_F(SealTest, LeavesNothingInTheBufferWhereItRefuses) {
  Bytes sealed = seal(pattern(1'000));
  sealed.back() ^= std::byte{1};
  Bytes out(1'000);
  EXPECT_EQ(error_of([&] { open_message(key_, kContext, sealed, out); }), ErrorCode::corrupt);
  EXPECT_TRUE(all_zero(out));
}

TEST_F(SealTest, OpensInItsContextOnly) {
  const Bytes sealed = seal(as_bytes("x"));
  std::map<std::string, SealContext> others;
  for (const char* changed :
       {"store", "collection", "id", "version", "older version", "codec", "no collection", "no id"}) {
    others[changed] = kContext;
  }
  others["store"].store_id = "storf";
  others["collection"].collection = "user";
  others["id"].id = "user-2";
  others["version"].version = 8;
  others["older version"].version = 6;
  others["codec"].codec = 1;
  others["no collection"].collection.reset();
  others["no id"].id.reset();
  for (const auto& [what, context] : others)
    EXPECT_EQ(open_error(sealed, context), ErrorCode::corrupt) << what;
}

TEST_F(SealTest, NamesCannotBeShiftedFromOneFieldToAnother) {
  const Bytes sealed = seal(as_bytes("x"), {.store_id = "ab", .collection = "cd", .id = "ef"});
  EXPECT_EQ(open_error(sealed, {.store_id = "a", .collection = "bcd", .id = "ef"}), ErrorCode::corrupt);
  EXPECT_EQ(open_error(sealed, {.store_id = "ab", .collection = "cde", .id = "f"}), ErrorCode::corrupt);
  const Bytes without = seal(as_bytes("x"), {.store_id = "ab", .collection = "cd"});
  EXPECT_EQ(open_error(without, {.store_id = "ab", .id = "cd"}), ErrorCode::corrupt);
  EXPECT_EQ(open_error(without, {.store_id = "ab", .collection = "cd", .id = ""}), ErrorCode::corrupt);
}

TEST_F(SealTest, OpensUnderItsKeyOnly) {
  const Bytes sealed = seal(as_bytes("x"));
  EXPECT_EQ(error_of([&] { open_with(other_key_, sealed); }), ErrorCode::corrupt);
  const SealKey same_id(kFirstId, counting_key(1));
  EXPECT_EQ(error_of([&] { open_with(same_id, sealed); }), ErrorCode::corrupt);
  const SealKey same_bytes(kSecondId, counting_key());
  EXPECT_EQ(error_of([&] { open_with(same_bytes, sealed); }), ErrorCode::corrupt);
}

TEST_F(SealTest, TheHeaderMustCommitToTheKeyEvenWhereTheTagIsRight) {
  std::array<std::byte, kSealedHeaderBytes> header{};
  WipedArray<kKeyBytes> record_key;
  make_header_and_key(key_, {}, header, record_key);
  const auto sealed_with = [&] {
    const EncodedContext context(kContext);
    const std::array<ByteView, 2> bound{ByteView(header), context.bytes()};
    const Bytes plaintext = pattern(20);
    const ByteView piece = plaintext;
    Bytes sealed(20 + kSealOverhead);
    std::ranges::copy(header, sealed.begin());
    aes_gcm_seal(record_key, std::array<std::byte, kNonceBytes>{}, bound, {&piece, 1},
                 std::span(sealed).subspan(kSealedHeaderBytes));
    return sealed;
  };
  EXPECT_EQ(open(sealed_with()), pattern(20));
  header.back() ^= std::byte{1};
  EXPECT_EQ(open_error(sealed_with()), ErrorCode::corrupt);
}

TEST_F(SealTest, PartsOfTwoMessagesMakeNoThird) {
  const Bytes first = seal(pattern(64));
  const Bytes second = seal(pattern(64));
  for (std::size_t cut = 1; cut < first.size(); ++cut) {
    Bytes mixed(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(cut));
    mixed.insert(mixed.end(), second.begin() + static_cast<std::ptrdiff_t>(cut), second.end());
    if (mixed == second) continue;  // what both begin with
    ASSERT_EQ(open_error(mixed), ErrorCode::corrupt) << cut;
  }
}

TEST_F(SealTest, PaddingHidesTheLength) {
  std::set<std::uint64_t> sizes;
  for (std::uint64_t size = 0; size < 256; ++size) sizes.insert(sealed_size(size, Padding::padme));
  EXPECT_EQ(sizes.size(), 1);
  sizes.clear();
  for (std::uint64_t size = 1; size < 1'000'000; size += 7) {
    const std::uint64_t sealed = sealed_size(size, Padding::padme);
    sizes.insert(sealed);
    ASSERT_GE(sealed, size + 1 + kSealOverhead);
    const double most = std::max(256.0, static_cast<double>(size + 1) * 1.12);
    ASSERT_LE(static_cast<double>(sealed - kSealOverhead), most);
  }
  EXPECT_LT(sizes.size(), 300) << "of 142,858";
}

TEST_F(SealTest, RefusesWrongBuffersAndNames) {
  Bytes small(10 + kSealOverhead - 1);
  EXPECT_EQ(error_of([&] { seal_message(key_, kContext, pattern(10), Padding::none, *random_, small); }),
            ErrorCode::invalid_argument);
  const Bytes sealed = seal(pattern(10));
  Bytes out(9);
  EXPECT_EQ(error_of([&] { open_message(key_, kContext, sealed, out); }), ErrorCode::invalid_argument);
  const std::string long_name(1'025, 'x');
  EXPECT_EQ(error_of([&] { seal({}, {.store_id = std::string_view(long_name).substr(0, 256)}); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { seal({}, {.collection = std::string_view(long_name).substr(0, 256)}); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { seal({}, {.id = long_name}); }), ErrorCode::invalid_argument);
}

TEST_F(SealTest, TakesTheLongestNames) {
  const std::string name(1'024, 'x');
  const SealContext context{.store_id = std::string_view(name).substr(0, 255),
                            .collection = std::string_view(name).substr(0, 255),
                            .id = name,
                            .version = ~Version{0},
                            .codec = 255};
  EXPECT_EQ(open(seal(pattern(5), context), context), pattern(5));
}

TEST_F(SealTest, KeyIdsAreSixteenHexadecimalDigits) {
  EXPECT_EQ(to_text(kFirstId), "a102030405060708");
  EXPECT_EQ(key_id_from_text("a102030405060708"), kFirstId);
  for (const char* wrong :
       {"", "a1020304050607", "a10203040506070g", "A102030405060708", "a1020304050607080"}) {
    EXPECT_EQ(key_id_from_text(wrong), std::nullopt) << wrong;
  }
}

}  // namespace
}  // namespace db4::crypto
