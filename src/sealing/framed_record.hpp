#pragma once
// Records in frames, plain or sealed: large documents. The byte tables are in docs/formats/large.md.
//
// A sealed one has a content key of its own, in its header, which is sealed with a data key. Each frame is a
// message under that key, whose salt is a pseudorandom function of the frame (as SIV has it; Rogaway,
// Shrimpton, "A provable-security treatment of the key-wrap problem", EUROCRYPT 2006). So a record can be
// made again, from any place on, without memory of what was sealed before: the same content gives the same
// bytes, and other content another key. A frame is bound to the record, to its number, and to whether it is
// the last one.

#include "codec/framed_record.hpp"
#include "sealing/sealer.hpp"

#include <functional>
#include <optional>

namespace db4::sealing {

/// What a new sealed record in frames begins with: its header, with a content key that is drawn, sealed with
/// the active key. Throws as encode_record and sealing do.
std::string begin_sealed_frames(const Sealer& sealer, const codec::RecordHeader& header,
                                std::uint64_t content_length, std::uint64_t frame_bytes = codec::kFrameBytes);

/// The key that a record's header names; 0: it is plain. Of its first bytes; opens nothing.
KeyNumber key_of_record(std::string_view start);

/// Which sealed record in frames it is: the first 16 bytes of the SHA-256 of its header as it is stored, up
/// to the first frame. No two have the same, since each has a content key that was drawn for it.
using HeaderDigest = std::array<std::byte, 16>;
HeaderDigest digest_of_header(std::string_view header);

/// One record in frames, for whoever writes it and whoever reads it. Immutable; safe to share between
/// threads.
class FramedRecord {
 public:
  /// A plain one.
  explicit FramedRecord(codec::FramedLayout plain) : layout_(std::move(plain)) {}
  /// One that is stored, or was begun, from its first bytes (kMaxHeaderBytes are always enough). Throws
  /// corrupt, also where it is not the record expected or not in frames, unsupported, and what opening its
  /// header throws.
  FramedRecord(const Sealer& sealer, std::string_view start, const codec::RecordIdentity& expected);

  [[nodiscard]] const codec::FramedLayout& layout() const noexcept { return layout_; }
  /// The one that sealed its header; 0: it is plain.
  [[nodiscard]] KeyNumber key() const noexcept { return key_; }
  /// digest_of_header; zeros for a plain one, whose header anybody can make.
  [[nodiscard]] HeaderDigest digest() const {
    return key_ == 0 ? HeaderDigest{} : digest_of_header(layout_.header());
  }

  /// Gives the content of frame `index`, which is as long as `out`.
  using Content = std::function<void(std::uint64_t index, std::span<std::byte> out)>;
  /// The record's bytes from `offset` into `out`, of content that is asked for frame by frame, in order; the
  /// same bytes whenever the content is the same. Holds one frame or two. Throws what `content` throws.
  void encode(std::uint64_t offset, std::span<std::byte> out, const Content& content) const;

  /// The content of the frames from `first` on that `stored` consists of, into `out`, which is exactly as
  /// large. Throws corrupt; `out` then holds nothing that was not checked.
  void decode(std::uint64_t first, ByteView stored, std::span<std::byte> out) const;

 private:
  /// What its frames are sealed with.
  class Frames {
   public:
    Frames(crypto::KeyView content_key, std::string store_id, const codec::RecordIdentity& identity);
    void seal(const crypto::FramePlace& place, ByteView content, std::span<std::byte> out) const;
    void open(const crypto::FramePlace& place, ByteView sealed, std::span<std::byte> out) const;

   private:
    [[nodiscard]] crypto::EncodedContext context(const crypto::FramePlace& place) const;

    std::string store_id_;
    std::string collection_;
    std::string id_;
    Version version_;
    crypto::SealKey key_;
    crypto::GuardedBytes salt_key_;
  };

  [[nodiscard]] crypto::FramePlace place_of(std::uint64_t index) const noexcept {
    return {.index = index, .last = index + 1 == layout_.frames()};
  }
  void encode_frame(std::uint64_t index, std::span<std::byte> out, const Content& content,
                    Bytes& buffer) const;

  codec::FramedLayout layout_;
  KeyNumber key_ = 0;
  std::optional<Frames> frames_ = {};
};

}  // namespace db4::sealing
