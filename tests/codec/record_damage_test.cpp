#include "allocation_watch.hpp"
#include "codec/compress.hpp"
#include "record_fixtures.hpp"

namespace db4::codec {

namespace {

class RecordDamageTest : public ::testing::TestWithParam<Compression> {};

TEST_P(RecordDamageTest, EveryFlippedBitIsCorrupt) {
  const std::string record = example_record(GetParam());
  ASSERT_EQ(decode_error(record), std::nullopt);
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    std::string damaged = record;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_EQ(decode_error(damaged), ErrorCode::corrupt) << "bit " << bit;
  }
}

TEST_P(RecordDamageTest, EveryOverwrittenByteIsCorrupt) {
  const std::string record = example_record(GetParam());
  for (std::size_t at = 0; at < record.size(); ++at) {
    for (const char value : {'\0', '\xff', 'D'}) {
      if (record[at] == value) continue;
      std::string damaged = record;
      damaged[at] = value;
      ASSERT_EQ(decode_error(damaged), ErrorCode::corrupt) << "byte " << at;
    }
  }
}

TEST_P(RecordDamageTest, EveryTruncationIsCorrupt) {
  const std::string record = example_record(GetParam());
  for (std::size_t size = 0; size < record.size(); ++size) {
    // A copy of its own, so that AddressSanitizer sees a read past the end.
    const std::vector<char> copy(record.begin(), record.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_EQ(decode_error({copy.data(), copy.size()}), ErrorCode::corrupt) << size << " bytes";
  }
}

TEST_P(RecordDamageTest, EveryExtensionIsCorrupt) {
  const std::string record = example_record(GetParam());
  for (const std::string& tail : {std::string(1, '\0'), std::string("x"), std::string(4096, '\0'), record}) {
    EXPECT_EQ(decode_error(record + tail), ErrorCode::corrupt);
    EXPECT_EQ(decode_error(tail + record), ErrorCode::corrupt);
  }
}

TEST_P(RecordDamageTest, HeaderOfATruncatedRecordStillParses) {
  const std::string record = example_record(GetParam());
  const std::size_t header_size = parse_record_header(record).payload_offset;
  const std::string_view header = std::string_view(record).substr(0, header_size);
  EXPECT_EQ(record_length(parse_record_header(header)), record.size());
  EXPECT_EQ(error_of([&] { (void)parse_record_header(header.substr(0, header_size - 1)); }),
            ErrorCode::corrupt);
}

INSTANTIATE_TEST_SUITE_P(Codecs, RecordDamageTest, ::testing::ValuesIn(kCodecs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

/// A record that is sealed rightly, but whose compressed payload does not keep what the header promises.
class LyingRecordTest : public ::testing::TestWithParam<Compression> {
 protected:
  template <typename Forge>
  std::string lying_record(std::string_view payload, const Forge& forge) const {
    return forged_record(GetParam(), payload, [&](ParsedHeader& header) {
      header.content_length = kExampleBody.size();
      header.content_crc32c = crc32c(as_bytes(kExampleBody));
      forge(header);
    });
  }
  std::string lying_record(std::string_view payload) const {
    return lying_record(payload, [](ParsedHeader&) {});
  }
  std::string payload_of(std::string_view body) const {
    return std::string(compress(GetParam(), GetParam() == Compression::gzip ? 6 : 3, body).view());
  }
};

TEST_P(LyingRecordTest, HonestOneIsTaken) {
  EXPECT_EQ(decode_error(lying_record(payload_of(kExampleBody))), std::nullopt);
}

TEST_P(LyingRecordTest, ShorterOrLongerContentThanPromisedIsCorrupt) {
  const std::string longer = std::string(kExampleBody) + "!";
  EXPECT_EQ(decode_error(lying_record(payload_of(longer))), ErrorCode::corrupt);
  EXPECT_EQ(decode_error(lying_record(payload_of(kExampleBody.substr(1)))), ErrorCode::corrupt);
  EXPECT_EQ(decode_error(lying_record(payload_of(""))), ErrorCode::corrupt);
}

TEST_P(LyingRecordTest, OtherContentOfTheSameLengthIsCorrupt) {
  const std::string other(kExampleBody.size(), 'x');
  EXPECT_EQ(decode_error(lying_record(payload_of(other))), ErrorCode::corrupt);
}

TEST_P(LyingRecordTest, MoreOrLessThanOneStreamIsCorrupt) {
  const std::string payload = payload_of(kExampleBody);
  EXPECT_EQ(decode_error(lying_record("")), ErrorCode::corrupt);
  EXPECT_EQ(decode_error(lying_record("1234567")), ErrorCode::corrupt);
  EXPECT_EQ(decode_error(lying_record(payload + payload)), ErrorCode::corrupt);
  EXPECT_EQ(decode_error(lying_record(payload + payload_of(""))), ErrorCode::corrupt);
  EXPECT_EQ(decode_error(lying_record(payload_of("") + payload)), ErrorCode::corrupt);
  EXPECT_EQ(decode_error(lying_record(payload + '\0')), ErrorCode::corrupt);
  EXPECT_EQ(decode_error(lying_record(payload.substr(0, payload.size() - 1))), ErrorCode::corrupt);
}

TEST_P(LyingRecordTest, WrongChecksumInsideThePayloadIsCorrupt) {
  std::string payload = payload_of(kExampleBody);
  // zstd ends with its checksum; gzip's stands before the length.
  const std::size_t at = payload.size() - (GetParam() == Compression::gzip ? 8 : 4);
  payload[at] = static_cast<char>(payload[at] ^ 1);
  EXPECT_EQ(decode_error(lying_record(payload)), ErrorCode::corrupt);
}

TEST_P(LyingRecordTest, PayloadCarriesAChecksumOfTheCodec) {
  // So that zcat and zstd -d, which know nothing of db4's checksums, notice damage as well.
  const std::string payload = payload_of(kExampleBody);
  if (GetParam() == Compression::zstd) {
    EXPECT_NE(payload[4] & 0x04, 0) << "the frame header's Content_Checksum_flag (RFC 8878)";
  } else {
    EXPECT_EQ(load_fixed<std::uint32_t>(payload.data() + payload.size() - 4), kExampleBody.size());
  }
}

TEST_P(LyingRecordTest, BombThatClaimsItsSizeIsTooLargeAndAllocatesNothing) {
  const std::string record =
      lying_record(std::string(1000, 'x'), [](ParsedHeader& header) { header.content_length = 1ULL << 30; });
  const testing::AllocationWatch watch;
  EXPECT_EQ(decode_error(record), ErrorCode::too_large);
  EXPECT_LT(watch.largest(), 64U << 10);
  EXPECT_EQ(decode_error(record, {.max_body_bytes = ~0ULL}), ErrorCode::too_large)
      << "no caller can raise the limit past what a block can hold";
}

TEST_P(LyingRecordTest, BombThatHidesItsSizeIsCorruptAndAllocatesNoMoreThanItClaims) {
  const std::string record = lying_record(payload_of(std::string(kMaxBodyBytes, '\0')));
  const testing::AllocationWatch watch;
  EXPECT_EQ(decode_error(record), ErrorCode::corrupt);
  EXPECT_LT(watch.largest(), 64U << 10);
}

INSTANTIATE_TEST_SUITE_P(Codecs, LyingRecordTest, ::testing::Values(Compression::gzip, Compression::zstd),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST(PlainRecordDamageTest, ContentAndPayloadThatDifferAreCorrupt) {
  EXPECT_EQ(decode_error(forged_record(Compression::none, "body", [](ParsedHeader&) {})), std::nullopt);
  EXPECT_EQ(decode_error(forged_record(Compression::none, "body",
                                       [](ParsedHeader& header) { header.content_length = 3; })),
            ErrorCode::corrupt);
  EXPECT_EQ(decode_error(forged_record(Compression::none, "body",
                                       [](ParsedHeader& header) { header.content_crc32c ^= 1; })),
            ErrorCode::corrupt);
}

}  // namespace

}  // namespace db4::codec
