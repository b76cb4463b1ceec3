// Sealed records and indexes: every bit that is flipped, every end that is cut off or added, and every part
// that comes from elsewhere is refused.
#include "sealing/sealed_record.hpp"

#include "codec/segment.hpp"
#include "support/error_of.hpp"

#include <db4/error.hpp>
#include <db4/key_store.hpp>

#include <gtest/gtest.h>

namespace db4::sealing {
namespace {

using testing::error_of;

bool refused(const std::optional<ErrorCode>& code) {
  return code == ErrorCode::corrupt || code == ErrorCode::unsupported || code == ErrorCode::key_unavailable;
}

class SealedRecordTest : public ::testing::Test {
 protected:
  static std::shared_ptr<EncryptionManager> make_manager() {
    auto manager = std::make_shared<EncryptionManager>(EncryptionConfig{
        .master_key = generate_master_key(), .key_store = std::make_shared<InMemoryKeyStore>()});
    manager->initialize();
    return manager;
  }
  Sealer make_sealer(const std::string& store, Padding padding = Padding::none) const {
    Sealer sealer(manager_, /*writes=*/true, padding);
    sealer.set_store_id(store);
    return sealer;
  }
  static std::string plain(Compression compression, std::string_view id = "user-1", Version version = 7) {
    return codec::encode_record(
        {.collection = "users", .id = id, .version = version, .content_type = "text/plain"}, kBody,
        {.compression = compression});
  }
  std::string read(std::string_view record, std::string_view id = "user-1", Version version = 7) const {
    const auto block =
        decode_record(sealer_, record, {}, {.collection = "users", .id = id, .version = version});
    return std::string(block->body());
  }

  static constexpr std::string_view kBody = "a body to be sealed, a body to be sealed, a body";
  const std::shared_ptr<EncryptionManager> manager_ = make_manager();
  const Sealer sealer_ = make_sealer("0123456789abcdef");
};

TEST_F(SealedRecordTest, ReadsBackInEveryCompressionAndPadded) {
  for (const Compression compression : {Compression::none, Compression::gzip, Compression::zstd}) {
    const Sealer::Sealed sealed = seal_record(sealer_, plain(compression));
    EXPECT_EQ(read(sealed.bytes), kBody);
    EXPECT_EQ(open_record(sealer_, sealed.bytes), plain(compression));
    EXPECT_EQ(to_text(sealed.key), manager_->active_key_id());
    EXPECT_TRUE(codec::is_intact_record(sealed.bytes)) << "without a key";
    EXPECT_EQ(sealed.bytes.find("user"), std::string::npos) << "the names are sealed too";
    const Sealer padding = make_sealer("0123456789abcdef", Padding::padme);
    EXPECT_GT(seal_record(padding, plain(compression)).bytes.size(), sealed.bytes.size());
    EXPECT_EQ(read(seal_record(padding, plain(compression)).bytes), kBody);
  }
}

TEST_F(SealedRecordTest, EveryFlippedBitIsRefused) {
  for (const Compression compression : {Compression::none, Compression::zstd}) {
    const std::string sealed = seal_record(sealer_, plain(compression)).bytes;
    for (std::size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
      std::string changed = sealed;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      ASSERT_TRUE(refused(error_of([&] { read(changed); }))) << "bit " << bit;
    }
  }
}

/// As somebody does it who knows how checksums are made: the record's own are right, and what is sealed is
/// not.
TEST_F(SealedRecordTest, EveryFlippedBitIsRefusedWhateverTheChecksumsSay) {
  const std::string sealed = seal_record(sealer_, plain(Compression::none)).bytes;
  const codec::ParsedHeader header = codec::parse_record_header(sealed);
  const std::string sealed_header(header.sealed_header);
  const std::string payload = sealed.substr(header.payload_offset);
  const auto flipped = [](std::string bytes, std::size_t bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    return bytes;
  };
  for (std::size_t bit = 0; bit < 8 * sealed_header.size(); ++bit) {
    const std::string forged = codec::encode_sealed_record(flipped(sealed_header, bit), payload);
    ASSERT_TRUE(codec::is_intact_record(forged));
    ASSERT_TRUE(refused(error_of([&] { read(forged); }))) << "header, bit " << bit;
  }
  for (std::size_t bit = 0; bit < 8 * payload.size(); ++bit) {
    const std::string forged = codec::encode_sealed_record(sealed_header, flipped(payload, bit));
    ASSERT_TRUE(refused(error_of([&] { read(forged); }))) << "payload, bit " << bit;
  }
  for (std::size_t size = 0; size < payload.size(); ++size) {
    const std::string forged = codec::encode_sealed_record(sealed_header, payload.substr(0, size));
    ASSERT_TRUE(refused(error_of([&] { read(forged); }))) << "payload cut to " << size;
  }
  ASSERT_TRUE(refused(error_of([&] { read(codec::encode_sealed_record(sealed_header, payload + 'x')); })));
}

TEST_F(SealedRecordTest, EveryTruncationAndWhatIsAddedIsRefused) {
  const std::string sealed = seal_record(sealer_, plain(Compression::gzip)).bytes;
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    ASSERT_TRUE(refused(error_of([&] { read(sealed.substr(0, size)); }))) << size;
  }
  EXPECT_TRUE(refused(error_of([&] { read(sealed + '\0'); })));
}

TEST_F(SealedRecordTest, PartsOfOtherRecordsAreRefused) {
  const auto header_of = [](const std::string& sealed) {
    return std::string(codec::parse_record_header(sealed).sealed_header);
  };
  const auto payload_of = [](const std::string& sealed) {
    return sealed.substr(codec::parse_record_header(sealed).payload_offset);
  };
  const std::string record = seal_record(sealer_, plain(Compression::none)).bytes;
  const std::string other = seal_record(sealer_, plain(Compression::none, "user-2")).bytes;
  const std::string newer = seal_record(sealer_, plain(Compression::none, "user-1", 8)).bytes;
  const std::string header = header_of(record);
  const std::string payload = payload_of(record);
  const std::string other_header = header_of(other);
  const std::string other_payload = payload_of(other);
  const std::string newer_header = header_of(newer);
  const std::string newer_payload = payload_of(newer);
  EXPECT_EQ(read(codec::encode_sealed_record(header, payload)), kBody);
  for (const std::string* wrong : {&other_payload, &newer_payload, &header}) {
    EXPECT_EQ(error_of([&] { read(codec::encode_sealed_record(header, *wrong)); }), ErrorCode::corrupt);
  }
  for (const std::string* wrong : {&other_header, &newer_header, &payload}) {
    EXPECT_EQ(error_of([&] { read(codec::encode_sealed_record(*wrong, payload)); }), ErrorCode::corrupt);
  }
  EXPECT_EQ(error_of([&] { read(codec::encode_sealed_record(other_header, other_payload)); }),
            ErrorCode::corrupt)
      << "another document";
  EXPECT_EQ(error_of([&] { read(codec::encode_sealed_record(header, payload), "user-1", 8); }),
            ErrorCode::corrupt)
      << "an older version";
  const Sealer elsewhere = make_sealer("fedcba9876543210");
  EXPECT_EQ(error_of([&] { read(seal_record(elsewhere, plain(Compression::none)).bytes); }),
            ErrorCode::corrupt)
      << "another store";
}

TEST_F(SealedRecordTest, TheKeyMustBeTheOneThatTheRowNames) {
  const Sealer::Sealed sealed = seal_record(sealer_, plain(Compression::none));
  EXPECT_EQ(open_record(sealer_, sealed.bytes, sealed.key), plain(Compression::none));
  EXPECT_EQ(error_of([&] { open_record(sealer_, sealed.bytes, 0); }), ErrorCode::corrupt);
  EXPECT_EQ(error_of([&] { open_record(sealer_, sealed.bytes, sealed.key + 1); }), ErrorCode::corrupt);
  EXPECT_EQ(error_of([&] { open_record(sealer_, plain(Compression::none), sealed.key); }),
            ErrorCode::corrupt);
  EXPECT_EQ(error_of([&] { open_record(Sealer(), sealed.bytes); }), ErrorCode::key_unavailable);
}

TEST_F(SealedRecordTest, ASealedIndexIsReadWithTheKeysAlone) {
  codec::SegmentWriter writer;
  const std::string record = seal_record(sealer_, plain(Compression::none)).bytes;
  for (const char* id : {"user-1", "user-2"}) writer.add("users", id, 7, record);
  const std::string segment = writer.finish([&](std::string_view index) {
    return sealer_.seal(Kind::segment_index, {}, as_bytes(index), Padding::none).bytes;
  });
  EXPECT_EQ(segment.find("user"), std::string::npos);
  const auto place = codec::parse_segment_footer(
      std::string_view(segment).substr(segment.size() - codec::kSegmentFooterBytes), segment.size());
  EXPECT_TRUE(place.sealed);
  const std::string index = segment.substr(place.offset, place.length);
  EXPECT_EQ(error_of([&] { (void)codec::parse_segment_index(index, place); }), ErrorCode::key_unavailable);
  const auto open = [&](std::string_view sealed) { return sealer_.open(Kind::segment_index, {}, sealed); };
  const auto entries = codec::parse_segment_index(index, place, open);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1].id, "user-2");
  EXPECT_EQ(entries[1].offset, record.size());
  for (std::size_t bit = 0; bit < 8 * index.size(); ++bit) {
    std::string changed = index;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    ASSERT_TRUE(refused(error_of([&] { (void)open(changed); }))) << "bit " << bit;
    ASSERT_EQ(error_of([&] { (void)codec::parse_segment_index(changed, place, open); }), ErrorCode::corrupt);
  }
  EXPECT_EQ(error_of([&] { (void)sealer_.open(Kind::body, {}, index); }), ErrorCode::corrupt)
      << "one kind is not taken for another";
}

}  // namespace
}  // namespace db4::sealing
