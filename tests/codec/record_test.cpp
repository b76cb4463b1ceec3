#include "codec/record.hpp"

#include "record_fixtures.hpp"

#include <random>

namespace db4::codec {

namespace {

class RecordTest : public ::testing::TestWithParam<Compression> {};

void expect_round_trip(const RecordHeader& header, std::string_view body, const EncodeOptions& options) {
  const std::string record = encode_record(header, body, options);
  const detail::BlockRef block = decode_record(record, identity_of(header));
  EXPECT_TRUE(block->body() == body) << "a body of " << body.size() << " bytes came back changed";
  EXPECT_EQ(block->collection(), header.collection);
  EXPECT_EQ(block->id(), header.id);
  EXPECT_EQ(block->content_type(), header.content_type);
  EXPECT_EQ(block->version, header.version);
  EXPECT_EQ(block->created_at_us, header.created_at.time_since_epoch().count());
  EXPECT_EQ(block->updated_at_us, header.updated_at.time_since_epoch().count());
  const ParsedHeader parsed = parse_record_header(std::string_view(record).substr(0, kMaxHeaderBytes));
  EXPECT_EQ(record_length(parsed), record.size());
  EXPECT_EQ(parsed.compression, options.compression);
  EXPECT_EQ(parsed.content_length, body.size());
}

TEST_P(RecordTest, BodiesOfAnySizeComeBack) {
  for (const std::size_t size : {0U, 1U, 2U, 127U, 128U, 4096U, 70'000U, 1U << 20}) {
    expect_round_trip(example_header(), std::string(size, 'x'), {.compression = GetParam()});
  }
  expect_round_trip(example_header(), {}, {.compression = GetParam()});
}

TEST_P(RecordTest, RandomDocumentsComeBack) {
  constexpr std::uint64_t kSeed = 20'240'601;
  std::mt19937_64 random(kSeed);
  const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
  const auto random_text = [&](std::size_t size, unsigned alphabet) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(random() % alphabet);
    return text;
  };
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(round));
    const std::string collection = random_text(below(kMaxCollectionBytes + 1), 256);
    const std::string id = random_text(below(kMaxIdBytes + 1), 256);
    const std::string content_type = random_text(below(kMaxContentTypeBytes + 1), 128);
    const std::string body = random_text(below(1ULL << below(17)), round % 2 == 0 ? 256 : 3);
    const RecordHeader header{
        .collection = collection,
        .id = id,
        .version = (random() >> below(64)) | 1,
        .content_type = content_type,
        .created_at = TimePoint{std::chrono::microseconds{static_cast<std::int64_t>(random())}},
        .updated_at = TimePoint{std::chrono::microseconds{static_cast<std::int64_t>(random())}}};
    expect_round_trip(header, body, {.compression = GetParam()});
  }
}

TEST_P(RecordTest, LongestAndOddestNamesComeBack) {
  const std::string collection(kMaxCollectionBytes, '\xff');
  const std::string id(kMaxIdBytes, '/');
  const std::string content_type(kMaxContentTypeBytes, '~');
  const std::string odd_id("\0DB4R\x1f\x8b\x08\x04/../\n", 15);
  RecordHeader header{.collection = collection, .id = id, .version = ~0ULL, .content_type = content_type};
  expect_round_trip(header, "body", {.compression = GetParam()});
  EXPECT_LE(parse_record_header(encode_record(header, "", {.compression = GetParam()})).payload_offset,
            kMaxHeaderBytes);
  header = {.collection = {}, .id = odd_id, .version = 1, .content_type = {}};
  expect_round_trip(header, "body", {.compression = GetParam()});
}

TEST_P(RecordTest, LargestBodyComesBackAndOneByteMoreIsTooLarge) {
  std::string body(kMaxBodyBytes, 'z');
  expect_round_trip(example_header(), body, {.compression = GetParam()});
  body.push_back('z');
  EXPECT_EQ(error_of([&] { (void)encode_record(example_header(), body, {.compression = GetParam()}); }),
            ErrorCode::too_large);
}

TEST_P(RecordTest, SameDocumentGivesSameBytes) {
  EXPECT_EQ(example_record(GetParam()), example_record(GetParam()));
}

TEST_P(RecordTest, AnotherIdentityIsCorrupt) {
  const std::string record = example_record(GetParam());
  const auto error = [&](const RecordIdentity& expected) {
    return error_of([&] { decode_record(record, expected); });
  };
  EXPECT_EQ(error({"users", "user-1", 300}), std::nullopt);
  EXPECT_EQ(error({"users", "user-2", 300}), ErrorCode::corrupt);
  EXPECT_EQ(error({"user", "suser-1", 300}), ErrorCode::corrupt);
  EXPECT_EQ(error({"", "user-1", 300}), ErrorCode::corrupt);
  EXPECT_EQ(error({"users", "user-1", 299}), ErrorCode::corrupt);
}

TEST_P(RecordTest, BodyOverTheCallersLimitIsTooLarge) {
  const std::string record = example_record(GetParam());
  EXPECT_EQ(decode_error(record, {.max_body_bytes = kExampleBody.size()}), std::nullopt);
  EXPECT_EQ(decode_error(record, {.max_body_bytes = kExampleBody.size() - 1}), ErrorCode::too_large);
}

INSTANTIATE_TEST_SUITE_P(Codecs, RecordTest, ::testing::ValuesIn(kCodecs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

class CompressionLevelTest : public ::testing::TestWithParam<Compression> {
 protected:
  int highest() const { return GetParam() == Compression::gzip ? 12 : 19; }
  EncodeOptions at(int level) const { return {.compression = GetParam(), .level = level}; }
};

TEST_P(CompressionLevelTest, EveryLevelRoundTrips) {
  for (int level = 0; level <= highest(); ++level)
    expect_round_trip(example_header(), kExampleBody, at(level));
}

TEST_P(CompressionLevelTest, OtherLevelsAreRefusedWithTheRange) {
  for (const int level : {-1, highest() + 1, 1000}) {
    try {
      (void)encode_record(example_header(), kExampleBody, at(level));
      ADD_FAILURE() << "level " << level << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_NE(error.advice().find("1 to " + std::to_string(highest())), std::string::npos) << error.what();
    }
  }
}

TEST_P(CompressionLevelTest, HigherLevelCompressesBetterAndZeroIsTheDefault) {
  std::string body;
  std::mt19937 random(1);
  while (body.size() < 100'000) body += "value " + std::to_string(random() % 5000) + ", ";
  const auto size = [&](int level) { return encode_record(example_header(), body, at(level)).size(); };
  EXPECT_LT(size(highest()), size(1));
  EXPECT_EQ(size(0), size(GetParam() == Compression::gzip ? 6 : 3));
}

INSTANTIATE_TEST_SUITE_P(Codecs, CompressionLevelTest,
                         ::testing::Values(Compression::gzip, Compression::zstd),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST(RecordHeaderTest, NamesOverTheirLimitsAndVersionZeroAreRefused) {
  const auto error = [](const RecordHeader& header) {
    return error_of([&] { (void)encode_record(header, "", {}); });
  };
  const std::string longest(kMaxIdBytes + 1, 'x');
  const std::string_view text = longest;
  EXPECT_EQ(error({.collection = text.substr(0, kMaxCollectionBytes + 1), .id = "i", .version = 1}),
            ErrorCode::too_large);
  EXPECT_EQ(error({.collection = "c", .id = text, .version = 1}), ErrorCode::too_large);
  EXPECT_EQ(error({.collection = "c",
                   .id = "i",
                   .version = 1,
                   .content_type = text.substr(0, kMaxContentTypeBytes + 1)}),
            ErrorCode::too_large);
  EXPECT_EQ(error({.collection = "c", .id = "i", .version = 0}), ErrorCode::invalid_argument);
}

TEST(RecordHeaderTest, UnknownOptionalFieldIsSkipped) {
  const std::string record = resealed_record([](std::string& header) {
    header.push_back(static_cast<char>(kFirstOptionalField));
    put_sized(header, "a later db4's remark");
  });
  EXPECT_EQ(decode_error(record), std::nullopt);
}

TEST(RecordHeaderTest, UnknownMandatoryFieldIsUnsupported) {
  for (const std::uint8_t type : {15, 18, 23, 24, 31, 32, 127}) {
    const std::string record = resealed_record([&](std::string& header) {
      header.push_back(static_cast<char>(type));
      put_sized(header, "?");
    });
    EXPECT_EQ(decode_error(record), ErrorCode::unsupported) << "type " << int{type};
  }
}

TEST(RecordHeaderTest, NewerFormatVersionIsUnsupportedAndZeroIsCorrupt) {
  EXPECT_EQ(decode_error(resealed_record([](std::string& header) { header[4] = 2; })),
            ErrorCode::unsupported);
  EXPECT_EQ(decode_error(resealed_record([](std::string& header) { header[4] = 0; })), ErrorCode::corrupt);
}

TEST(RecordHeaderTest, ASealedRecordSaysNothingButThatItIsSealed) {
  const std::string record = encode_sealed_record("the header, sealed", "the payload, sealed");
  const ParsedHeader header = parse_record_header(record);
  EXPECT_EQ(header.sealed_header, "the header, sealed");
  EXPECT_TRUE(header.header.collection.empty());
  EXPECT_EQ(record_length(header), record.size());
  EXPECT_TRUE(is_intact_record(record));
  EXPECT_EQ(decode_error(record), ErrorCode::key_unavailable);
  std::string damaged = record;
  damaged.back() ^= 1;
  EXPECT_FALSE(is_intact_record(damaged));
}

TEST(RecordHeaderTest, ASealedRecordWithPlainFieldsIsCorrupt) {
  const std::string frames = encode_sealed_frames_header("sealed", 4096);
  EXPECT_EQ(parse_record_header(frames).frame_bytes, 4096U);
  // As if somebody had put the fields of a sealed record behind those of a plain one.
  EXPECT_EQ(decode_error(resealed_record([](std::string& header) { header.append("\x10\x01x", 3); })),
            ErrorCode::corrupt);
}

TEST(RecordHeaderTest, UnknownCodecIsUnsupportedAndOneThatTheCarrierContradictsIsCorrupt) {
  const auto with_codec = [](char codec) {
    return resealed_record([&](std::string& header) {
      const std::size_t at = header.find(std::string("\x04\x01\x00", 3));
      ASSERT_NE(at, std::string::npos);
      header[at + 2] = codec;
    });
  };
  EXPECT_EQ(decode_error(with_codec(0)), std::nullopt);
  EXPECT_EQ(decode_error(with_codec(2)), ErrorCode::corrupt);
  EXPECT_EQ(decode_error(with_codec(3)), ErrorCode::unsupported);
}

TEST(RecordHeaderTest, SealedButMalformedFieldsAreCorrupt) {
  const auto appended = [](std::string_view fields) {
    return decode_error(resealed_record([&](std::string& header) { header.append(fields); }));
  };
  EXPECT_EQ(appended("\x0c"), ErrorCode::corrupt) << "a type without length";
  EXPECT_EQ(appended("\x80\x05x"), ErrorCode::corrupt) << "a value that ends outside";
  EXPECT_EQ(appended("\x0c\x04xxxx"), ErrorCode::corrupt) << "a field twice";
  EXPECT_EQ(appended(std::string_view("\x81\x00\x80\x00", 4)), ErrorCode::corrupt) << "falling types";
  EXPECT_EQ(appended(std::string_view("\x80\x00\x80\x00", 4)), ErrorCode::corrupt) << "a type twice";
  EXPECT_EQ(decode_error(resealed_record([](std::string& header) { header.resize(8); })), ErrorCode::corrupt)
      << "no field at all";
}

TEST(RecordHeaderTest, EveryFieldButTheKeyIdIsRequired) {
  const std::string record = example_record(Compression::none);
  std::size_t removed = 0;
  for (std::size_t at = 8; at + 4 < parse_record_header(record).payload_offset;) {
    const std::size_t field_size = 2 + static_cast<std::uint8_t>(record[at + 1]);
    const std::string without = resealed_record([&](std::string& header) { header.erase(at, field_size); });
    EXPECT_EQ(error_of([&] { (void)parse_record_header(without); }), ErrorCode::corrupt)
        << "without field " << int{record[at]};
    at += field_size;
    ++removed;
  }
  EXPECT_EQ(removed, 11U);
}

TEST(RecordHeaderTest, LengthsThatWouldOverflowAreCorrupt) {
  for (const std::uint64_t length : {~0ULL, ~0ULL - 100, (1ULL << 62) + 1}) {
    EXPECT_EQ(decode_error(forged_record(Compression::none, "body",
                                         [&](ParsedHeader& header) { header.payload_length = length; })),
              ErrorCode::corrupt);
    EXPECT_EQ(decode_error(forged_record(Compression::none, "body",
                                         [&](ParsedHeader& header) { header.content_length = length; })),
              ErrorCode::corrupt);
  }
}

}  // namespace

}  // namespace db4::codec
