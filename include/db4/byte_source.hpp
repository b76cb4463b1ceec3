#pragma once
// ByteSource: the bytes of something large, read in pieces, by several threads, more than once.

#include <db4/types.hpp>

#include <filesystem>
#include <memory>
#include <optional>

namespace db4 {

/// What an upload reads. Cheap to copy; copies share what is read. Thread-safe.
///
///     auto video = db4::ByteSource::file("video.mp4");
class DB4_API ByteSource {
 public:
  /// What a source of your own has to do. Calls come from several threads at once.
  class Reader {
   public:
    virtual ~Reader() = default;
    [[nodiscard]] virtual std::uint64_t size() const = 0;
    /// Fills all of `out` from `offset`; offset + out.size() is at most size(). Throws unavailable where it
    /// cannot.
    virtual void read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
    /// When the bytes last changed, where that is known: a resumed upload refuses a source that says another
    /// time.
    [[nodiscard]] virtual std::optional<TimePoint> modified() const { return std::nullopt; }
  };

  explicit ByteSource(std::shared_ptr<const Reader> reader) : reader_(std::move(reader)) {}

  /// A regular file, kept open. Throws unavailable or permission_denied, and invalid_argument for what is no
  /// regular file: a pipe cannot be read twice. A file that shrinks meanwhile fails the read.
  static ByteSource file(const std::filesystem::path& path);
  /// Bytes that the caller keeps alive and does not change meanwhile.
  static ByteSource bytes(ByteView bytes);
  static ByteSource owned(Bytes bytes);

  [[nodiscard]] std::uint64_t size() const { return reader_->size(); }
  void read_at(std::uint64_t offset, std::span<std::byte> out) const { reader_->read_at(offset, out); }
  [[nodiscard]] std::optional<TimePoint> modified() const { return reader_->modified(); }

 private:
  std::shared_ptr<const Reader> reader_;
};

}  // namespace db4
