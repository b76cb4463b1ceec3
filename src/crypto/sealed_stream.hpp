#pragma once
// Sealed streams: objects of any size, sealed in segments that can be read one by one.
//
// The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, "Online authenticated encryption and its
// nonce-reuse misuse-resistance", CRYPTO 2015) as age and Tink have it: each segment's nonce is its number
// and whether it is the last. So segments cannot be swapped, repeated or left out, and an object that was cut
// short or extended has no right last segment. The byte tables are in docs/formats/sealed.md.

#include "crypto/seal.hpp"

#include <functional>

namespace db4::crypto {

inline constexpr std::uint8_t kMinSegmentShift = 10;
inline constexpr std::uint8_t kMaxSegmentShift = 24;
inline constexpr std::uint8_t kDefaultSegmentShift = 16;  ///< 64 KiB: 0.02 % of overhead
/// Numbers of segments are 32 bits wide.
inline constexpr std::uint64_t kMaxStreamSegments = std::uint64_t{1} << 32;

/// Where things stand in a sealed stream of one size.
class StreamLayout {
 public:
  /// Of a stream that will hold so many bytes. Throws invalid_argument for a shift out of range, too_large
  /// for more than kMaxStreamSegments.
  static StreamLayout of_plaintext(std::uint64_t plaintext_bytes, std::uint8_t segment_shift);
  /// Of sealed bytes so many. Throws corrupt where no stream has that size.
  static StreamLayout of_sealed(std::uint64_t sealed_bytes, std::uint8_t segment_shift);

  [[nodiscard]] std::uint64_t plaintext_bytes() const noexcept { return plaintext_bytes_; }
  [[nodiscard]] std::uint64_t sealed_bytes() const noexcept {
    return kSealedHeaderBytes + plaintext_bytes_ + segments() * kTagBytes;
  }
  [[nodiscard]] std::uint64_t segment_bytes() const noexcept { return std::uint64_t{1} << shift_; }
  [[nodiscard]] std::uint8_t segment_shift() const noexcept { return shift_; }
  /// At least one: nothing is sealed as one segment of no bytes.
  [[nodiscard]] std::uint64_t segments() const noexcept;
  /// Plaintext bytes of segment `number`, below segments().
  [[nodiscard]] std::uint64_t size_of(std::uint64_t number) const noexcept;
  /// Where sealed segment `number` begins.
  [[nodiscard]] std::uint64_t sealed_offset(std::uint64_t number) const noexcept;

 private:
  StreamLayout(std::uint64_t plaintext_bytes, std::uint8_t shift) noexcept
      : plaintext_bytes_(plaintext_bytes), shift_(shift) {}
  std::uint64_t plaintext_bytes_;
  std::uint8_t shift_;
};

/// Seals one stream from its beginning to its end. It cannot be taken up again: what is sent anew is sealed
/// anew, under another salt, so that no two plaintexts ever share key and nonce. Move-only. Thread rule: one
/// at a time.
class StreamSealer {
 public:
  /// Throws invalid_argument for a shift out of range or a context over its limits.
  StreamSealer(const SealKey& key, const SealContext& context, RandomSource& random,
               std::uint8_t segment_shift = kDefaultSegmentShift);

  [[nodiscard]] ByteView header() const noexcept { return header_; }
  [[nodiscard]] std::uint64_t segment_bytes() const noexcept { return std::uint64_t{1} << shift_; }

  /// Seals the next segment into `out`, which has kTagBytes more than it. Every segment but the last has
  /// exactly segment_bytes(); the last has fewer or as many, and none only where it is the first. Throws
  /// invalid_argument for other sizes and after the last, too_large past kMaxStreamSegments. After an error
  /// nothing more is sealed.
  void seal_segment(ByteView plaintext, bool last, std::span<std::byte> out);

 private:
  std::array<std::byte, kSealedHeaderBytes> header_{};
  EncodedContext context_;
  GuardedBytes key_;
  std::uint64_t next_ = 0;
  std::uint8_t shift_;
  bool ended_ = false;
};

/// Opens segments of one stream, in any order. Immutable; safe to share between threads.
///
/// The size is what the caller says; that the stream really ends there is known once its last segment was
/// opened.
class StreamOpener {
 public:
  /// `header`: the first kSealedHeaderBytes. `sealed_bytes`: of the whole. Throws corrupt, unsupported,
  /// invalid_argument as open_message does.
  StreamOpener(const SealKey& key, const SealContext& context, ByteView header, std::uint64_t sealed_bytes);

  [[nodiscard]] const StreamLayout& layout() const noexcept { return layout_; }

  /// Opens one sealed segment into `out`, which has kTagBytes less. Throws corrupt, with `out` wiped, where
  /// it is not this segment of this stream; invalid_argument for sizes that layout() does not give.
  void open_segment(std::uint64_t number, ByteView sealed, std::span<std::byte> out) const;

  /// Gives sealed bytes from `offset`, as many as `out` has.
  using Fetch = std::function<void(std::uint64_t offset, std::span<std::byte> out)>;
  /// Plaintext from `offset` into `out`. Fetches the segments it touches, one after another, and no others.
  /// Nothing is written to `out` but what was checked. Throws invalid_argument for what is past the end, and
  /// what `fetch` throws.
  void read(std::uint64_t offset, std::span<std::byte> out, const Fetch& fetch) const;

 private:
  std::array<std::byte, kSealedHeaderBytes> header_{};
  EncodedContext context_;
  StreamLayout layout_;
  GuardedBytes key_;
};

}  // namespace db4::crypto
