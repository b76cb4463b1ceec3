#pragma once
// AES-256-GCM by OpenSSL used directly: one key for everything, a context that is kept, a nonce that counts
// up.

#include <db4/types.hpp>

#include <memory>
#include <span>

namespace db4::bench {

/// One thread at a time. No salt, no key of its own for each message, no commitment, no associated data.
class RawGcm {
 public:
  RawGcm();
  ~RawGcm();
  RawGcm(const RawGcm&) = delete;
  RawGcm& operator=(const RawGcm&) = delete;

  /// What a message gets on top: nonce and tag.
  static constexpr std::size_t kOverhead = 12 + 16;

  /// `sealed` is kOverhead longer than `plaintext`.
  void seal(ByteView plaintext, std::span<std::byte> sealed);
  /// Throws where the tag is wrong.
  void open(ByteView sealed, std::span<std::byte> plaintext);

 private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace db4::bench
