#pragma once
// Sealed messages: bytes encrypted and authenticated as a whole, with who they are. docs/formats/sealed.md
// has the byte tables, sealed_stream.hpp the form for large objects.
//
// Each message has a key of its own, by HKDF-SHA256 from the data key and a random salt of 24 bytes. So its
// nonce may be fixed, and no number of messages wears a data key out. The header commits to the data key: a
// message opens under one key only, whatever keys somebody else may have chosen.

#include "crypto/guarded_bytes.hpp"
#include "crypto/hkdf.hpp"

#include <db4/limits.hpp>
#include <db4/random.hpp>
#include <db4/sealing.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace db4::crypto {

inline constexpr std::size_t kKeyIdBytes = 8;
inline constexpr std::size_t kSaltBytes = 24;
inline constexpr std::size_t kSealedHeaderBytes = 72;
/// What sealing adds to a message that is not padded.
inline constexpr std::size_t kSealOverhead = kSealedHeaderBytes + kTagBytes;

/// Names a data key; random, and never used again. As text it is sixteen hexadecimal digits.
using KeyId = std::array<std::byte, kKeyIdBytes>;
std::string to_text(const KeyId& id);
/// nullopt for a text that to_text never makes.
std::optional<KeyId> key_id_from_text(std::string_view text);

/// A data key as sealing takes it. Immutable; safe to share between threads.
class SealKey {
 public:
  /// Takes nothing of `data_key` but what HKDF-Extract makes of it.
  SealKey(const KeyId& id, KeyView data_key);
  [[nodiscard]] const KeyId& id() const noexcept { return id_; }
  [[nodiscard]] HmacState pseudorandom_key() const noexcept {
    return pseudorandom_key_.view().first<kHmacStateBytes>();
  }

 private:
  KeyId id_;
  GuardedBytes pseudorandom_key_;
};

enum class SealedKind : std::uint8_t { message = 1, stream = 2 };

/// The first kSealedHeaderBytes of everything sealed.
struct SealedHeader {
  SealedKind kind = SealedKind::message;
  bool padded = false;             ///< of a message
  std::uint8_t segment_shift = 0;  ///< of a stream: its segments hold 1 << so many bytes
  KeyId key_id{};
  std::array<std::byte, kSaltBytes> salt{};
  std::array<std::byte, kHashBytes> commitment{};
};

/// Reads a header, unchecked by any key yet. Throws corrupt for what is none, unsupported for a newer format.
SealedHeader parse_sealed_header(ByteView sealed);

/// Which of the messages that belong together one is, and whether it is the last of them.
struct FramePlace {
  std::uint64_t index = 0;
  bool last = false;
};

/// The context as associated data, in a buffer of its own. Throws invalid_argument for names over their
/// limits.
class EncodedContext {
 public:
  explicit EncodedContext(const SealContext& context, const std::optional<FramePlace>& frame = {});
  [[nodiscard]] ByteView bytes() const noexcept { return {bytes_.data(), size_}; }

 private:
  static constexpr std::size_t kMaxBytes = 2 + 3 * sizeof(std::uint32_t) + kMaxStoreIdBytes +
                                           kMaxCollectionBytes + kMaxIdBytes + sizeof(Version) +
                                           sizeof(std::uint64_t) + 1;
  void append(const void* from, std::size_t size) noexcept;
  void append_sized(std::string_view text);

  std::array<std::byte, kMaxBytes> bytes_;  // not cleared: it would cost more than what is written to it
  std::size_t size_ = 0;
};

/// Writes the header that `header` describes into `out`, with commitment, and gives the record's key.
void make_header_and_key(const SealKey& key, const SealedHeader& header,
                         std::span<std::byte, kSealedHeaderBytes> out, WipedArray<kKeyBytes>& record_key);

/// The record's key of a header that was read. Throws corrupt where the header does not commit to this key.
void key_of_header(const SealKey& key, ByteView header, WipedArray<kKeyBytes>& record_key);

/// How long the sealed message will be.
std::uint64_t sealed_size(std::uint64_t plaintext_bytes, Padding padding) noexcept;

/// Seals into the caller's buffer, which has exactly sealed_size() bytes and overlaps nothing else. Copies
/// nothing. Throws invalid_argument for another size or a context over its limits. Thread rule: any.
void seal_message(const SealKey& key, const SealContext& context, ByteView plaintext, Padding padding,
                  RandomSource& random, std::span<std::byte> out);

/// The same with a salt that the caller made. One that comes twice under one key must come with the same
/// context and plaintext: it is random, or a pseudorandom function of both.
using Salt = std::array<std::byte, kSaltBytes>;
void seal_message(const SealKey& key, const EncodedContext& context, ByteView plaintext, Padding padding,
                  const Salt& salt, std::span<std::byte> out);

/// Opens into the caller's buffer, which has at least sealed.size() - kSealOverhead bytes; the plaintext's
/// size. Throws corrupt, with `out` wiped, for whatever was not sealed just so, under this key and with this
/// context; unsupported for a newer format, invalid_argument for a buffer that is too small. Thread rule:
/// any.
std::size_t open_message(const SealKey& key, const SealContext& context, ByteView sealed,
                         std::span<std::byte> out);
std::size_t open_message(const SealKey& key, const EncodedContext& context, ByteView sealed,
                         std::span<std::byte> out);

}  // namespace db4::crypto
