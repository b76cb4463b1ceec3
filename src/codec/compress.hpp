#pragma once
// gzip and zstd over whole bodies, with contexts kept per thread. Private to codec.

#include "base/wiping.hpp"
#include "codec/dictionary.hpp"

#include <db4/config.hpp>

#include <memory>
#include <string_view>

namespace db4::codec {

/// Compressed bytes, in memory that was not zeroed first.
struct Payload {
  std::unique_ptr<char[], ReleasingDelete> bytes;
  std::size_t size = 0;
  [[nodiscard]] std::string_view view() const noexcept { return {bytes.get(), size}; }
};

/// A thread keeps what it compresses and decompresses with. Where content is wiped it does so only as long as
/// one of these is there in that thread: what works on many documents in a row makes one.
class KeptContexts {
 public:
  KeptContexts() noexcept;
  ~KeptContexts();
  KeptContexts(const KeptContexts&) = delete;
  KeptContexts& operator=(const KeptContexts&) = delete;
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
