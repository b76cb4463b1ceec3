#include "crypto/sealed_stream.hpp"

#include <db4/error.hpp>

#include <algorithm>

namespace db4::crypto {
namespace {

[[noreturn]] void throw_corrupt(std::string problem) {
  throw Error(ErrorCode::corrupt, std::move(problem),
              "take it from where it was stored again; where that is damaged, from another copy");
}

void check_shift(std::uint8_t shift) {
  if (shift >= kMinSegmentShift && shift <= kMaxSegmentShift) return;
  throw Error(ErrorCode::invalid_argument, "segments of a sealed stream cannot be that long or short",
              "use from 1 KiB to 16 MiB, a power of two");
}

// Seven zeros, the number in big-endian order, and 1 for the last segment.
std::array<std::byte, kNonceBytes> nonce_of(std::uint64_t number, bool last) noexcept {
  std::array<std::byte, kNonceBytes> nonce{};
  for (std::size_t i = 0; i < sizeof(std::uint32_t); ++i) {
    nonce[10 - i] = static_cast<std::byte>(number >> (8 * i));
  }
  nonce.back() = std::byte{static_cast<std::uint8_t>(last)};
  return nonce;
}

SealedHeader stream_header(ByteView bytes) {
  const SealedHeader header = parse_sealed_header(bytes);
  if (header.kind != SealedKind::stream || header.segment_shift < kMinSegmentShift ||
      header.segment_shift > kMaxSegmentShift) {
    throw_corrupt("sealed bytes are no stream");
  }
  return header;
}

}  // namespace

StreamLayout StreamLayout::of_plaintext(std::uint64_t plaintext_bytes, std::uint8_t segment_shift) {
  check_shift(segment_shift);
  const StreamLayout layout(plaintext_bytes, segment_shift);
  if (layout.segments() > kMaxStreamSegments) {
    throw Error(ErrorCode::too_large, "a sealed stream cannot have more than 2^32 segments",
                "seal it in longer segments, or in several streams");
  }
  return layout;
}

StreamLayout StreamLayout::of_sealed(std::uint64_t sealed_bytes, std::uint8_t segment_shift) {
  check_shift(segment_shift);
  const std::uint64_t whole = (std::uint64_t{1} << segment_shift) + kTagBytes;
  if (sealed_bytes < kSealedHeaderBytes + kTagBytes) throw_corrupt("a sealed stream was cut short");
  const std::uint64_t body = sealed_bytes - kSealedHeaderBytes;
  const std::uint64_t segments = (body - 1) / whole + 1;
  const std::uint64_t last = body - (segments - 1) * whole;
  // Only the first segment may be empty, and then it is the last.
  if (last < kTagBytes || (last == kTagBytes && segments > 1) || segments > kMaxStreamSegments) {
    throw_corrupt("no sealed stream has this length: it was cut short or extended");
  }
  return StreamLayout(body - segments * kTagBytes, segment_shift);
}

std::uint64_t StreamLayout::segments() const noexcept {
  return plaintext_bytes_ == 0 ? 1 : ((plaintext_bytes_ - 1) >> shift_) + 1;
}

std::uint64_t StreamLayout::size_of(std::uint64_t number) const noexcept {
  return std::min(segment_bytes(), plaintext_bytes_ - number * segment_bytes());
}

std::uint64_t StreamLayout::sealed_offset(std::uint64_t number) const noexcept {
  return kSealedHeaderBytes + number * (segment_bytes() + kTagBytes);
}

StreamSealer::StreamSealer(const SealKey& key, const SealContext& context, RandomSource& random,
                           std::uint8_t segment_shift)
    : context_(context), shift_(segment_shift) {
  check_shift(segment_shift);
  SealedHeader header{.kind = SealedKind::stream, .segment_shift = segment_shift};
  random.fill(header.salt);
  key_ = GuardedBytes(kKeyBytes, [&](std::span<std::byte> out) {
    WipedArray<kKeyBytes> stream_key;
    make_header_and_key(key, header, header_, stream_key);
    std::ranges::copy(stream_key, out.begin());
  });
}

void StreamSealer::seal_segment(ByteView plaintext, bool last, std::span<std::byte> out) {
  const bool ended = std::exchange(ended_, true);  // stays so where anything below throws
  const bool fits = last ? plaintext.size() <= segment_bytes() && (!plaintext.empty() || next_ == 0)
                         : plaintext.size() == segment_bytes();
  if (ended || !fits || out.size() != plaintext.size() + kTagBytes) {
    throw Error(ErrorCode::invalid_argument,
                "a segment of a sealed stream has a wrong size, or comes too late",
                "give whole segments, then one last one");
  }
  if (next_ == kMaxStreamSegments) {
    throw Error(ErrorCode::too_large, "a sealed stream cannot have more than 2^32 segments",
                "seal it in longer segments, or in several streams");
  }
  const std::array<ByteView, 2> bound{ByteView(header_), context_.bytes()};
  aes_gcm_seal(key_.key(), nonce_of(next_, last), bound, {&plaintext, 1}, out);
  ++next_;
  ended_ = last;
}

StreamOpener::StreamOpener(const SealKey& key, const SealContext& context, ByteView header,
                           std::uint64_t sealed_bytes)
    : context_(context), layout_(StreamLayout::of_sealed(sealed_bytes, stream_header(header).segment_shift)) {
  std::ranges::copy(header.first(kSealedHeaderBytes), header_.begin());
  key_ = GuardedBytes(kKeyBytes, [&](std::span<std::byte> out) {
    WipedArray<kKeyBytes> stream_key;
    key_of_header(key, header_, stream_key);
    std::ranges::copy(stream_key, out.begin());
  });
}

void StreamOpener::open_segment(std::uint64_t number, ByteView sealed, std::span<std::byte> out) const {
  if (number >= layout_.segments() || out.size() != layout_.size_of(number) ||
      sealed.size() != out.size() + kTagBytes) {
    throw Error(ErrorCode::invalid_argument, "a sealed stream has no such segment",
                "ask for the segments that its layout() has");
  }
  const std::array<ByteView, 2> bound{ByteView(header_), context_.bytes()};
  const bool last = number + 1 == layout_.segments();
  if (!aes_gcm_open(key_.key(), nonce_of(number, last), bound, sealed, out)) {
    throw_corrupt("segment " + std::to_string(number) +
                  " of a sealed stream is damaged, or is another one than asked for");
  }
}

void StreamOpener::read(std::uint64_t offset, std::span<std::byte> out, const Fetch& fetch) const {
  const std::uint64_t size = layout_.plaintext_bytes();
  if (offset > size || out.size() > size - offset) {
    throw Error(ErrorCode::invalid_argument, "a range past the end of a sealed stream was asked for",
                "ask within the " + std::to_string(size) + " bytes it has");
  }
  Bytes sealed;
  Bytes opened;
  while (!out.empty()) {
    const std::uint64_t number = offset >> layout_.segment_shift();
    sealed.resize(layout_.size_of(number) + kTagBytes);
    opened.resize(layout_.size_of(number));
    fetch(layout_.sealed_offset(number), sealed);
    open_segment(number, sealed, opened);
    const ByteView from = ByteView(opened).subspan(offset & (layout_.segment_bytes() - 1));
    const std::size_t taken = std::min(from.size(), out.size());
    std::ranges::copy(from.first(taken), out.begin());
    out = out.subspan(taken);
    offset += taken;
  }
}

}  // namespace db4::crypto
