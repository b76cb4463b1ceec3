#pragma once
// gzip and zstd over whole bodies, with contexts kept per thread. Private to codec.

#include "codec/dictionary.hpp"

#include <db4/config.hpp>

#include <memory>
#include <string_view>

namespace db4::codec {

/// Compressed bytes, in memory that was not zeroed first.
struct Payload {
  std::unique_ptr<char[]> bytes;
  std::size_t size = 0;
  [[nodiscard]] std::string_view view() const noexcept { return {bytes.get(), size}; }
};

/// Compresses by gzip (everything of a member that follows its header: deflate, CRC-32, length) or zstd (one
/// frame with content size and checksum). `level` is one that check_compression_level accepts.
/// A `dictionary`, which must be one for writing, goes with zstd alone, and its level counts then.
Payload compress(Compression compression, int level, std::string_view body,
                 const Dictionary* dictionary = nullptr);

/// The inverse, into exactly `size` bytes at `out`. Throws corrupt where `payload` is not exactly one such
/// stream, was made with another dictionary (or one, where none is given), or does not give exactly `size`
/// bytes; never writes past them.
void decompress(Compression compression, std::string_view payload, char* out, std::size_t size,
                const Dictionary* dictionary = nullptr);

}  // namespace db4::codec
