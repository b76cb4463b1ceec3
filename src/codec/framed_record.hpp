#pragma once
// A record of something large: its body in frames with a checksum each, so that any part of it can be written
// and read alone. The byte table is in docs/formats/large.md.

#include "codec/record.hpp"

namespace db4::codec {

/// Of the frames that db4 writes; readers take kMinFrameBytes to kMaxFrameBytes.
inline constexpr std::uint64_t kFrameBytes = 256ULL << 10;
inline constexpr std::uint64_t kMinFrameBytes = 4ULL << 10;
inline constexpr std::uint64_t kMaxFrameBytes = 16ULL << 20;
inline constexpr std::uint64_t kFrameChecksumBytes = 4;

/// Where everything is in a framed record. A value; the views of `parsed` point into `header`.
class FramedLayout {
 public:
  /// Of a new record. Throws as encode_record does.
  FramedLayout(const RecordHeader& header, std::uint64_t content_length,
               std::uint64_t frame_bytes = kFrameBytes);
  /// Of a stored one, from its first kMaxHeaderBytes bytes. Throws corrupt, also where it is not the record
  /// expected or not in frames, and unsupported.
  FramedLayout(std::string_view start, const RecordIdentity& expected);
  /// Of a record that is stored behind `stored_header`, and says of itself what `record` does. Each frame is
  /// `frame_overhead` bytes longer than its content.
  FramedLayout(std::string_view stored_header, const ParsedHeader& record, std::uint64_t frame_overhead);

  /// The record's first bytes, up to the first frame.
  [[nodiscard]] const std::string& header() const noexcept { return header_; }
  [[nodiscard]] std::uint64_t content_length() const noexcept { return content_length_; }
  [[nodiscard]] std::uint64_t frame_bytes() const noexcept { return frame_bytes_; }
  /// What is stored with each frame's content: its checksum, or what sealing adds.
  [[nodiscard]] std::uint64_t frame_overhead() const noexcept { return frame_overhead_; }
  [[nodiscard]] std::uint64_t frames() const noexcept {
    return content_length_ / frame_bytes_ + (content_length_ % frame_bytes_ != 0 ? 1 : 0);
  }
  [[nodiscard]] std::uint64_t record_length() const noexcept { return frame_offset(frames()); }

  /// Of frame `index`, in the record; of one past the last: the record's end.
  [[nodiscard]] std::uint64_t frame_offset(std::uint64_t index) const noexcept {
    const std::uint64_t content = std::min(index * frame_bytes_, content_length_);
    return header_.size() + content + index * frame_overhead_;
  }
  /// Bytes of content in it.
  [[nodiscard]] std::uint64_t frame_content(std::uint64_t index) const noexcept {
    return std::min(frame_bytes_, content_length_ - index * frame_bytes_);
  }

  /// CRC32C of the header's checksum, the frame's index and its content: a frame of another record, or in
  /// another place, is a damaged one. Sealed frames have none.
  [[nodiscard]] std::uint32_t checksum(std::uint64_t index, ByteView content) const noexcept;

  /// What the header says.
  [[nodiscard]] const std::string& content_type() const noexcept { return content_type_; }
  [[nodiscard]] TimePoint created_at() const noexcept { return created_at_; }
  [[nodiscard]] TimePoint updated_at() const noexcept { return updated_at_; }

 private:
  std::string header_;
  std::uint64_t content_length_ = 0;
  std::uint64_t frame_bytes_ = 0;
  std::uint64_t frame_overhead_ = kFrameChecksumBytes;
  std::string content_type_;
  TimePoint created_at_{};
  TimePoint updated_at_{};
};

/// Checks the frames from `first` on, with checksums, that `stored` consists of, and writes their content to
/// `out`. Throws corrupt.
void decode_frames(const FramedLayout& layout, std::uint64_t first, ByteView stored,
                   std::span<std::byte> out);

}  // namespace db4::codec
