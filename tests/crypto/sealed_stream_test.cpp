#include "crypto_fixtures.hpp"

#include <cstring>

namespace db4::crypto {
namespace {

constexpr std::uint8_t kShift = kMinSegmentShift;
constexpr std::size_t kSegment = std::size_t{1} << kShift;

class SealedStreamTest : public ::testing::Test {
 protected:
  Bytes seal(ByteView plaintext, const SealContext& context = kContext) {
    StreamSealer sealer(key_, context, *random_, kShift);
    Bytes out(sealer.header().begin(), sealer.header().end());
    do {
      const ByteView piece = plaintext.first(std::min(plaintext.size(), kSegment));
      plaintext = plaintext.subspan(piece.size());
      const std::size_t at = out.size();
      out.resize(at + piece.size() + kTagBytes);
      sealer.seal_segment(piece, plaintext.empty(), std::span(out).subspan(at));
    } while (!plaintext.empty());
    return out;
  }

  Bytes open(ByteView sealed, const SealContext& context = kContext) {
    const StreamOpener opener(key_, context, sealed.first(std::min(sealed.size(), kSealedHeaderBytes)),
                              sealed.size());
    return read(opener, sealed, 0, opener.layout().plaintext_bytes());
  }
  static Bytes read(const StreamOpener& opener, ByteView sealed, std::uint64_t offset, std::uint64_t size) {
    Bytes out(size);
    const auto fetch = [&](std::uint64_t at, std::span<std::byte> into) {
      std::ranges::copy(sealed.subspan(at, into.size()), into.begin());
    };
    opener.read(offset, out, fetch);
    // Reading all includes the last segment even where that is empty: what says that the stream ends here.
    if (size == 0) {
      opener.open_segment(0, sealed.subspan(kSealedHeaderBytes), out);
    }
    return out;
  }
  std::optional<ErrorCode> open_error(ByteView sealed, const SealContext& context = kContext) {
    return error_of([&] { open(sealed, context); });
  }

  SealKey key_{kFirstId, counting_key()};
  std::shared_ptr<RandomSource> random_ = system_random();
};

TEST_F(SealedStreamTest, OpensWhatItSealed) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kSegment - 1, kSegment, kSegment + 1,
                                 2 * kSegment, 5 * kSegment + 17}) {
    const Bytes sealed = seal(pattern(size));
    EXPECT_EQ(sealed.size(), StreamLayout::of_plaintext(size, kShift).sealed_bytes());
    EXPECT_EQ(open(sealed), pattern(size)) << size;
  }
}

TEST_F(SealedStreamTest, ReadsAnyRange) {
  const Bytes plaintext = pattern(3 * kSegment + 100);
  const Bytes sealed = seal(plaintext);
  const StreamOpener opener(key_, kContext, ByteView(sealed).first(kSealedHeaderBytes), sealed.size());
  for (std::size_t offset = 0; offset < plaintext.size(); offset += 97) {
    for (const std::size_t wanted : {std::size_t{1}, std::size_t{100}, kSegment, 2 * kSegment + 3}) {
      const std::size_t size = std::min(wanted, plaintext.size() - offset);
      const ByteView expected = ByteView(plaintext).subspan(offset, size);
      ASSERT_TRUE(std::ranges::equal(read(opener, sealed, offset, size), expected)) << offset << " " << size;
    }
  }
  Bytes out(2);
  EXPECT_EQ(error_of([&] { opener.read(plaintext.size() - 1, out, {}); }), ErrorCode::invalid_argument);
}

TEST_F(SealedStreamTest, ARangeFetchesTheSegmentsItTouchesAndNoOthers) {
  const Bytes sealed = seal(pattern(10 * kSegment));
  const StreamOpener opener(key_, kContext, ByteView(sealed).first(kSealedHeaderBytes), sealed.size());
  std::vector<std::uint64_t> fetched;
  Bytes out(kSegment);
  opener.read(4 * kSegment + 1, out, [&](std::uint64_t at, std::span<std::byte> into) {
    fetched.push_back(at);
    std::ranges::copy(ByteView(sealed).subspan(at, into.size()), into.begin());
  });
  EXPECT_EQ(fetched, (std::vector{opener.layout().sealed_offset(4), opener.layout().sealed_offset(5)}));
}

TEST_F(SealedStreamTest, EveryFlippedBitIsRefused) {
  const Bytes sealed = seal(pattern(kSegment + 40));
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes damaged = sealed;
    damaged[bit / 8] ^= std::byte{static_cast<std::uint8_t>(1U << (bit % 8))};
    const auto error = open_error(damaged);
    const bool form = bit / 8 >= 4 && bit / 8 < 8;
    ASSERT_TRUE(error == ErrorCode::corrupt || (form && error == ErrorCode::unsupported)) << "bit " << bit;
  }
}

TEST_F(SealedStreamTest, EveryTruncationIsRefused) {
  const Bytes sealed = seal(pattern(2 * kSegment + 40));
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    const Bytes copy(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_EQ(open_error(copy), ErrorCode::corrupt) << size << " bytes";
  }
}

TEST_F(SealedStreamTest, ExtensionsAreRefused) {
  const Bytes sealed = seal(pattern(2 * kSegment));
  Bytes longer = sealed;
  longer.insert(longer.end(), sealed.end() - (kSegment + kTagBytes), sealed.end());
  EXPECT_EQ(open_error(longer), ErrorCode::corrupt) << "the last segment twice";
  longer = sealed;
  longer.resize(sealed.size() + 1);
  EXPECT_EQ(open_error(longer), ErrorCode::corrupt);
  longer.resize(sealed.size() + kTagBytes);
  EXPECT_EQ(open_error(longer), ErrorCode::corrupt);
}

TEST_F(SealedStreamTest, SwappedAndRepeatedSegmentsAreRefused) {
  const Bytes sealed = seal(pattern(4 * kSegment));
  const StreamLayout layout = StreamLayout::of_sealed(sealed.size(), kShift);
  for (std::uint64_t to = 0; to < 4; ++to) {
    for (std::uint64_t from = 0; from < 4; ++from) {
      if (to == from) continue;
      Bytes mixed = sealed;
      std::memcpy(mixed.data() + layout.sealed_offset(to), sealed.data() + layout.sealed_offset(from),
                  kSegment + kTagBytes);
      ASSERT_EQ(open_error(mixed), ErrorCode::corrupt) << from << " at " << to;
    }
  }
}

TEST_F(SealedStreamTest, SegmentsOfAnotherStreamAreRefused) {
  const Bytes first = seal(pattern(2 * kSegment));
  Bytes mixed = seal(pattern(2 * kSegment));
  std::ranges::copy(ByteView(first).subspan(kSealedHeaderBytes, kSegment + kTagBytes),
                    mixed.begin() + kSealedHeaderBytes);
  EXPECT_EQ(open_error(mixed), ErrorCode::corrupt);
}

TEST_F(SealedStreamTest, OpensInItsContextOnly) {
  const Bytes sealed = seal(pattern(10));
  SealContext older = kContext;
  older.version = 6;
  EXPECT_EQ(open_error(sealed, older), ErrorCode::corrupt);
  SealContext other = kContext;
  other.id = "user-2";
  EXPECT_EQ(open_error(sealed, other), ErrorCode::corrupt);
}

TEST_F(SealedStreamTest, AStreamIsNoMessageAndAMessageNoStream) {
  const Bytes stream = seal(pattern(10));
  Bytes out(stream.size());
  EXPECT_EQ(error_of([&] { open_message(key_, kContext, stream, out); }), ErrorCode::corrupt);
  Bytes message(sealed_size(10, Padding::none));
  seal_message(key_, kContext, pattern(10), Padding::none, *random_, message);
  EXPECT_EQ(open_error(message), ErrorCode::corrupt);
}

TEST_F(SealedStreamTest, LeavesNothingUncheckedInTheBuffer) {
  Bytes sealed = seal(pattern(2 * kSegment));
  sealed.back() ^= std::byte{1};
  const StreamOpener opener(key_, kContext, ByteView(sealed).first(kSealedHeaderBytes), sealed.size());
  Bytes out(2 * kSegment, std::byte{0xEE});
  const auto fetch = [&](std::uint64_t at, std::span<std::byte> into) {
    std::ranges::copy(ByteView(sealed).subspan(at, into.size()), into.begin());
  };
  EXPECT_EQ(error_of([&] { opener.read(0, out, fetch); }), ErrorCode::corrupt);
  const ByteView second = ByteView(out).subspan(kSegment);
  EXPECT_TRUE(std::ranges::all_of(second, [](std::byte b) { return b == std::byte{0xEE}; }))
      << "of the damaged segment nothing was written";
}

TEST_F(SealedStreamTest, ASealerCannotBeMadeToSealWrongly) {
  const auto sealer = [&] { return StreamSealer(key_, kContext, *random_, kShift); };
  Bytes out(kSegment + kTagBytes);
  const auto seal_with = [&](StreamSealer& with, std::size_t size, bool last) {
    return error_of([&] { with.seal_segment(pattern(size), last, std::span(out).first(size + kTagBytes)); });
  };
  StreamSealer short_segment = sealer();
  EXPECT_EQ(seal_with(short_segment, kSegment - 1, false), ErrorCode::invalid_argument);
  EXPECT_EQ(seal_with(short_segment, kSegment, false), ErrorCode::invalid_argument)
      << "it goes on after an error";
  StreamSealer ended = sealer();
  EXPECT_EQ(seal_with(ended, 5, true), std::nullopt);
  EXPECT_EQ(seal_with(ended, 5, true), ErrorCode::invalid_argument);
  StreamSealer empty_last = sealer();
  EXPECT_EQ(seal_with(empty_last, kSegment, false), std::nullopt);
  EXPECT_EQ(seal_with(empty_last, 0, true), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { StreamSealer(key_, kContext, *random_, kMinSegmentShift - 1); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { StreamSealer(key_, kContext, *random_, kMaxSegmentShift + 1); }),
            ErrorCode::invalid_argument);
}

TEST(StreamLayoutTest, BothWaysAgree) {
  for (const std::uint8_t shift : {kMinSegmentShift, kDefaultSegmentShift, kMaxSegmentShift}) {
    const std::uint64_t segment = std::uint64_t{1} << shift;
    for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, segment - 1, segment, segment + 1,
                                     1'000 * segment, segment << 31}) {
      const StreamLayout there = StreamLayout::of_plaintext(size, shift);
      const StreamLayout back = StreamLayout::of_sealed(there.sealed_bytes(), shift);
      EXPECT_EQ(back.plaintext_bytes(), size);
      EXPECT_EQ(back.segments(), there.segments());
    }
    const auto too_large = [&] { StreamLayout::of_plaintext((segment << 32) + 1, shift); };
    EXPECT_EQ(error_of(too_large), ErrorCode::too_large);
  }
}

}  // namespace
}  // namespace db4::crypto
