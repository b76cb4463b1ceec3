// Trained dictionaries: smaller records that only their own dictionary opens.
#include "codec/dictionary.hpp"

#include "record_fixtures.hpp"

#include <zstd.h>

namespace db4::codec {
namespace {

std::string order(int i) {
  return R"({"order_id":"order-)" + std::to_string(i * 7919) + R"(","customer":{"name":"customer )" +
         std::to_string(i % 97) + R"(","country":"DE","newsletter":false},"status":")" +
         (i % 3 == 0 ? "shipped" : "open") + R"(","total_cents":)" + std::to_string(i * 31 % 10'000) +
         R"(,"currency":"EUR","items":[{"sku":"sku-)" + std::to_string(i % 41) + R"(","quantity":1}]})";
}

std::string trained(int from, int until) {
  std::vector<std::string> bodies;
  for (int i = from; i < until; ++i) bodies.push_back(order(i));
  return train_dictionary(std::vector<std::string_view>(bodies.begin(), bodies.end()));
}

/// One dictionary, and whether it was asked for.
struct OneDictionary final : DictionarySource {
  explicit OneDictionary(std::shared_ptr<const Dictionary> held) : dictionary(std::move(held)) {}
  std::shared_ptr<const Dictionary> find_dictionary(std::uint32_t id) override {
    ++asked;
    return dictionary && dictionary->id() == id ? dictionary : nullptr;
  }
  std::shared_ptr<const Dictionary> dictionary;
  int asked = 0;
};

class DictionaryTest : public ::testing::Test {
 protected:
  std::string encode(std::string_view body) const {
    return encode_record(example_header(), body,
                         {.compression = Compression::zstd, .dictionary = dictionary_.get()});
  }
  const std::string bytes_ = trained(0, 1000);
  const std::shared_ptr<const Dictionary> dictionary_ = std::make_shared<const Dictionary>(bytes_, 0);
};

TEST_F(DictionaryTest, MakesSmallJsonMuchSmaller) {
  const std::string body = order(5000);  // not among those it was trained by
  const std::size_t with = compressed_size(Compression::zstd, 0, body, dictionary_.get());
  EXPECT_LT(with * 2, compressed_size(Compression::zstd, 0, body, nullptr));
}

TEST_F(DictionaryTest, OpensWhatItMade) {
  const std::string body = order(5000);
  const std::string record = encode(body);
  EXPECT_EQ(parse_record_header(record).dictionary_id, dictionary_->id());
  // For reading, one without a level is enough.
  OneDictionary source(std::make_shared<const Dictionary>(bytes_));
  const auto block = decode_record(record, identity_of(example_header()), {.dictionaries = &source});
  EXPECT_EQ(block->body(), body);
  EXPECT_EQ(source.asked, 1);
}

TEST_F(DictionaryTest, IsAskedForOnlyWhereARecordNamesOne) {
  OneDictionary source(dictionary_);
  for (const Compression compression : kCodecs) {
    const auto block =
        decode_record(example_record(compression), identity_of(example_header()), {.dictionaries = &source});
    EXPECT_EQ(block->body(), kExampleBody);
  }
  EXPECT_EQ(source.asked, 0);
}

TEST_F(DictionaryTest, LeavesTheOtherCodecsAlone) {
  for (const Compression compression : {Compression::none, Compression::gzip}) {
    const std::string record = encode_record(example_header(), kExampleBody,
                                             {.compression = compression, .dictionary = dictionary_.get()});
    EXPECT_EQ(record, example_record(compression));
  }
}

TEST_F(DictionaryTest, TheNextBodyOfThePlainKindIsPlainAgain) {
  (void)encode(order(1));  // the thread's context must forget the dictionary
  const std::string record = example_record(Compression::zstd);
  EXPECT_EQ(parse_record_header(record).dictionary_id, 0U);
  EXPECT_EQ(decode_error(record), std::nullopt);
}

TEST_F(DictionaryTest, WithoutItARecordIsRefused) {
  const std::string record = encode(order(5000));
  EXPECT_EQ(decode_error(record), ErrorCode::unsupported);
  OneDictionary none(nullptr);
  EXPECT_EQ(decode_error(record, {.dictionaries = &none}), ErrorCode::corrupt);
}

TEST_F(DictionaryTest, AnotherOneUnderItsIdIsNoticed) {
  struct Liar final : DictionarySource {
    std::shared_ptr<const Dictionary> find_dictionary(std::uint32_t) override { return other; }
    std::shared_ptr<const Dictionary> other = std::make_shared<const Dictionary>(trained(2000, 3000));
  } liar;
  ASSERT_NE(liar.other->id(), dictionary_->id());
  EXPECT_EQ(decode_error(encode(order(5000)), {.dictionaries = &liar}), ErrorCode::corrupt);
}

TEST_F(DictionaryTest, AFrameThatNamesOneUnderAHeaderThatDoesNotIsCorrupt) {
  const std::string record = encode(kExampleBody);
  const std::string_view payload =
      std::string_view(record).substr(parse_record_header(record).payload_offset);
  const auto forged = [&](std::uint32_t id) {
    return forged_record(Compression::zstd, payload, [&](ParsedHeader& header) {
      header.content_length = kExampleBody.size();
      header.content_crc32c = crc32c(as_bytes(kExampleBody));
      header.dictionary_id = id;
    });
  };
  OneDictionary source(dictionary_);
  EXPECT_EQ(decode_error(forged(dictionary_->id()), {.dictionaries = &source}), std::nullopt)
      << "the forger must do the rest right";
  EXPECT_EQ(decode_error(forged(0), {.dictionaries = &source}), ErrorCode::corrupt);
}

TEST_F(DictionaryTest, GoesWithZstdAlone) {
  for (const Compression compression : {Compression::none, Compression::gzip}) {
    const std::string record =
        forged_record(compression, kExampleBody, [](ParsedHeader& header) { header.dictionary_id = 77'777; });
    EXPECT_EQ(error_of([&] { (void)parse_record_header(record); }), ErrorCode::corrupt);
  }
}

TEST_F(DictionaryTest, EveryDamagedByteOfARecordIsNoticed) {
  const std::string record = encode(order(5000));
  OneDictionary source(dictionary_);
  ASSERT_EQ(decode_error(record, {.dictionaries = &source}), std::nullopt);
  for (std::size_t i = 0; i < record.size(); ++i) {
    std::string damaged = record;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_NE(decode_error(damaged, {.dictionaries = &source}), std::nullopt) << i;
  }
}

TEST(DictionaryBytesTest, WhatIsNoDictionaryIsRefused) {
  for (const std::string& bytes : {std::string(), std::string("no dictionary"), std::string(100'000, 'x')}) {
    EXPECT_EQ(error_of([&] { const Dictionary dictionary(bytes); }), ErrorCode::corrupt);
  }
  std::string damaged = trained(0, 1000);
  for (std::size_t i = 8; i < 200; ++i) damaged[i] = '\xff';  // its tables
  EXPECT_EQ(error_of([&] { const Dictionary dictionary(damaged, 0); }), ErrorCode::corrupt);
}

TEST(DictionaryBytesTest, IsOfZstdsOwnFormat) {
  const std::string bytes = trained(0, 1000);
  const Dictionary dictionary(bytes, 3);
  EXPECT_GE(dictionary.id(), 32'768U) << "RFC 8878: lower ones are registered";
  EXPECT_EQ(ZSTD_getDictID_fromDict(bytes.data(), bytes.size()), dictionary.id());
  EXPECT_LE(bytes.size(), kMaxDictionaryBytes);
  // As `zstd -d -D` does it, to a whole record with its carrier.
  const std::string body = order(4711);
  const std::string record =
      encode_record(example_header(), body, {.compression = Compression::zstd, .dictionary = &dictionary});
  std::string out(body.size(), '\0');
  ZSTD_DCtx* context = ZSTD_createDCtx();
  const std::size_t size = ZSTD_decompress_usingDict(context, out.data(), out.size(), record.data(),
                                                     record.size(), bytes.data(), bytes.size());
  ZSTD_freeDCtx(context);
  EXPECT_EQ(size, body.size());
  EXPECT_EQ(out, body);
}

TEST(DictionaryBytesTest, TooFewOrTooLittleSamplesMakeNone) {
  EXPECT_EQ(train_dictionary({}), "");
  EXPECT_EQ(trained(0, 3), "");
}

}  // namespace
}  // namespace db4::codec
