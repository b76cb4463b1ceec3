// Records in frames: where everything is, and that no damage goes unnoticed.
#include "codec/framed_record.hpp"

#include <gtest/gtest.h>

#include <random>

namespace db4::codec {
namespace {

constexpr std::uint64_t kFrame = kMinFrameBytes;

const RecordHeader kHeader{.collection = "videos",
                           .id = "v",
                           .version = 7,
                           .content_type = "video/mp4",
                           .created_at = TimePoint{std::chrono::microseconds{5}},
                           .updated_at = TimePoint{std::chrono::microseconds{6}}};
const RecordIdentity kIdentity{.collection = "videos", .id = "v", .version = 7};

Bytes random_bytes(std::size_t size) {
  Bytes out(size);
  std::mt19937_64 random(size);
  for (std::byte& byte : out) byte = static_cast<std::byte>(random());
  return out;
}

/// The whole record, frame by frame.
Bytes record_of(const FramedLayout& layout, ByteView content) {
  Bytes out(as_bytes(layout.header()).begin(), as_bytes(layout.header()).end());
  for (std::uint64_t i = 0; i < layout.frames(); ++i) {
    const ByteView frame = content.subspan(i * layout.frame_bytes(), layout.frame_content(i));
    EXPECT_EQ(out.size(), layout.frame_offset(i));
    out.insert(out.end(), frame.begin(), frame.end());
    const std::uint32_t checksum = layout.checksum(i, frame);
    const auto* const bytes = reinterpret_cast<const std::byte*>(&checksum);
    out.insert(out.end(), bytes, bytes + sizeof checksum);
  }
  EXPECT_EQ(out.size(), layout.record_length());
  return out;
}

std::optional<ErrorCode> error_of(const Bytes& record, std::size_t size) {
  try {
    const FramedLayout layout(as_text(ByteView(record).first(std::min(record.size(), kMaxHeaderBytes))),
                              kIdentity);
    if (layout.record_length() != record.size()) return ErrorCode::corrupt;  // as the row would tell
    Bytes content(layout.content_length());
    decode_frames(layout, 0, ByteView(record).subspan(layout.header().size()), content);
    EXPECT_EQ(content.size(), size);
    return std::nullopt;
  } catch (const Error& error) {
    return error.code();
  }
}

TEST(FramedRecord, GivesBackEverySizeAroundItsFrames) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, kFrame - 1, kFrame, kFrame + 1, 3 * kFrame, 3 * kFrame + 17}) {
    const Bytes content = random_bytes(size);
    const Bytes record = record_of({kHeader, size, kFrame}, content);
    const FramedLayout layout(as_text(record), kIdentity);
    EXPECT_EQ(layout.content_length(), size);
    EXPECT_EQ(layout.record_length(), record.size());
    EXPECT_EQ(layout.content_type(), "video/mp4");
    EXPECT_EQ(layout.updated_at(), kHeader.updated_at);
    Bytes got(size);
    decode_frames(layout, 0, ByteView(record).subspan(layout.header().size()), got);
    EXPECT_TRUE(got == content);
    EXPECT_EQ(record_length(parse_record_header(as_text(record))), record.size());
  }
}

TEST(FramedRecord, AnyFrameIsReadAlone) {
  const Bytes content = random_bytes(3 * kFrame + 17);
  const FramedLayout layout(kHeader, content.size(), kFrame);
  const Bytes record = record_of(layout, content);
  for (std::uint64_t i = 0; i < layout.frames(); ++i) {
    const auto begin = layout.frame_offset(i);
    Bytes got(layout.frame_content(i));
    decode_frames(layout, i, ByteView(record).subspan(begin, layout.frame_offset(i + 1) - begin), got);
    EXPECT_TRUE(std::ranges::equal(got, ByteView(content).subspan(i * kFrame, got.size())));
  }
}

TEST(FramedRecord, EveryFlippedBitTruncationAndExtensionIsRefused) {
  const std::size_t size = kFrame + 40;
  const Bytes record = record_of({kHeader, size, kFrame}, random_bytes(size));
  EXPECT_EQ(error_of(record, size), std::nullopt);
  for (std::size_t bit = 0; bit < record.size() * 8; bit += bit < 2000 ? 1 : 37) {
    Bytes damaged = record;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_NE(error_of(damaged, size), std::nullopt) << "bit " << bit;
  }
  for (std::size_t cut = 0; cut < record.size(); cut += 13) {
    EXPECT_NE(error_of(Bytes(record.begin(), record.begin() + static_cast<std::ptrdiff_t>(cut)), size),
              std::nullopt);
  }
  Bytes longer = record;
  longer.push_back(std::byte{0});
  EXPECT_NE(error_of(longer, size), std::nullopt);
}

TEST(FramedRecord, AFrameOfAnotherPlaceOrRecordIsDamage) {
  const Bytes content(2 * kFrame, std::byte{5});  // two frames of equal content
  const FramedLayout layout(kHeader, content.size(), kFrame);
  const Bytes record = record_of(layout, content);
  const std::uint64_t stored = kFrame + kFrameChecksumBytes;
  Bytes swapped = record;
  std::ranges::copy(ByteView(record).subspan(layout.frame_offset(1), stored),
                    swapped.begin() + static_cast<std::ptrdiff_t>(layout.frame_offset(0)));
  EXPECT_EQ(error_of(swapped, content.size()), ErrorCode::corrupt);

  RecordHeader other = kHeader;
  other.updated_at += std::chrono::microseconds{1};  // the same document and version, written anew
  const Bytes another = record_of({other, content.size(), kFrame}, content);
  Bytes mixed = record;
  std::ranges::copy(ByteView(another).subspan(layout.frame_offset(0), stored),
                    mixed.begin() + static_cast<std::ptrdiff_t>(layout.frame_offset(0)));
  EXPECT_EQ(error_of(mixed, content.size()), ErrorCode::corrupt);
}

TEST(FramedRecord, OtherDocumentsVersionsAndKindsAreRefused) {
  const FramedLayout layout(kHeader, 10, kFrame);
  const auto refused = [](std::string_view start, const RecordIdentity& identity) {
    try {
      const FramedLayout parsed(start, identity);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  EXPECT_EQ(refused(layout.header(), {.collection = "videos", .id = "w", .version = 7}), ErrorCode::corrupt);
  EXPECT_EQ(refused(layout.header(), {.collection = "videos", .id = "v", .version = 8}), ErrorCode::corrupt);
  const std::string plain = encode_record(kHeader, "body", {});
  EXPECT_EQ(refused(plain, kIdentity), ErrorCode::corrupt);
  const Bytes framed = record_of(layout, random_bytes(10));
  try {
    decode_record(as_text(framed), kIdentity);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
  }
}

/// The format is on disk: these bytes never change.
TEST(FramedRecord, IsByteForByteWhatTheFormatSays) {
  const FramedLayout layout(kHeader, 3, kFrame);
  const Bytes record = record_of(layout, as_bytes("abc"));
  std::string hex;
  for (const std::byte byte : record) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[static_cast<unsigned>(byte) >> 4];
    hex += kDigits[static_cast<unsigned>(byte) & 15];
  }
  EXPECT_EQ(hex,
            "44423452010043000106766964656f730201760301070401000609766964656f2f6d7034070805000000000000000808"
            "06000000"
            "000000000901030d0280205c76b7e06162630749e4eb");
}

}  // namespace
}  // namespace db4::codec
