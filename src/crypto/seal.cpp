#include "crypto/seal.hpp"

#include "base/hash.hpp"

#include <db4/error.hpp>
#include <db4/limits.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

namespace db4::crypto {
namespace {

constexpr std::string_view kMagic = "DB4S";
constexpr std::byte kFormat{1};
constexpr std::byte kSuite{1};  // HKDF-SHA256, AES-256-GCM
constexpr std::string_view kExtractSalt = "db4 sealed data key";
constexpr std::string_view kKeyLabel = "db4 sealed key";
constexpr std::string_view kCommitmentLabel = "db4 commitment";
static_assert(kKeyLabel.size() == kCommitmentLabel.size());

// Where the header's fields stand.
constexpr std::size_t kFormatAt = 4;
constexpr std::size_t kSuiteAt = 5;
constexpr std::size_t kKindAt = 6;
constexpr std::size_t kDetailAt = 7;
constexpr std::size_t kKeyIdAt = 8;
constexpr std::size_t kSaltAt = kKeyIdAt + kKeyIdBytes;
constexpr std::size_t kCommitmentAt = kSaltAt + kSaltBytes;
static_assert(kCommitmentAt + kHashBytes == kSealedHeaderBytes);

constexpr std::uint64_t kMinPadded = 256;  // whatever is shorter is padded to this
constexpr std::byte kPaddingMark{0x80};
// One key for each message, so that one nonce does for all.
constexpr std::array<std::byte, kNonceBytes> kMessageNonce{};

[[noreturn]] void throw_corrupt(std::string problem) {
  throw Error(ErrorCode::corrupt, std::move(problem),
              "take it from where it was stored again; where that is damaged, from another copy");
}

// HKDF-Expand for one block: `label`, what the header says of the form (format to detail), the salt.
void derive(HmacState pseudorandom_key, std::string_view label, ByteView header,
            std::span<std::byte, kHashBytes> out) {
  constexpr std::size_t kFormBytes = kKeyIdAt - kFormatAt;
  std::array<std::byte, kKeyLabel.size() + kFormBytes + kSaltBytes> info{};
  auto at = std::ranges::copy(as_bytes(label), info.begin()).out;
  at = std::ranges::copy(header.subspan(kFormatAt, kFormBytes), at).out;
  std::ranges::copy(header.subspan(kSaltAt, kSaltBytes), at);
  hkdf_expand(pseudorandom_key, info, out);
}

// Padmé (Nikitin and others, "Reducing metadata leakage from encrypted files and communication with PURBs",
// PETS 2019): the length keeps as many significant bits as its exponent has, so that it gives away O(log log
// n) bits and grows by 12 % at most.
std::uint64_t padme(std::uint64_t size) noexcept {
  const auto exponent = static_cast<unsigned>(std::bit_width(size) - 1);
  const auto kept = static_cast<unsigned>(std::bit_width(exponent));
  const std::uint64_t mask = exponent > kept ? (std::uint64_t{1} << (exponent - kept)) - 1 : 0;
  return (size + mask) & ~mask;
}

std::uint64_t padded_size(std::uint64_t plaintext_bytes, Padding padding) noexcept {
  if (padding == Padding::none) return plaintext_bytes;
  return std::max(kMinPadded, padme(plaintext_bytes + 1));  // the mark
}

/// The plaintext's size within what was padded. What was opened has the right tag, so that a caller learns
/// nothing by how long this takes.
std::size_t size_without_padding(std::span<std::byte> padded) {
  std::size_t size = padded.size();
  while (size > 0 && padded[size - 1] == std::byte{0}) --size;
  if (size == 0 || padded[size - 1] != kPaddingMark ||
      padded_size(size - 1, Padding::padme) != padded.size()) {
    wipe(padded);
    throw_corrupt("sealed bytes are padded in no known way");
  }
  return size - 1;
}

}  // namespace

std::string to_text(const KeyId& id) { return to_hex(id); }

std::optional<KeyId> key_id_from_text(std::string_view text) {
  KeyId id{};
  if (text.size() != 2 * id.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return std::nullopt;
    const auto value = static_cast<unsigned>(digit ? c - '0' : c - 'a' + 10);
    id[i / 2] = (id[i / 2] << 4) | std::byte(value);
  }
  return id;
}

SealKey::SealKey(const KeyId& id, KeyView data_key)
    : id_(id), pseudorandom_key_(kHmacStateBytes, [&](std::span<std::byte> out) {
        WipedArray<kHashBytes> extracted;
        hkdf_extract(as_bytes(kExtractSalt), data_key, extracted);
        make_hmac_state(extracted, out.first<kHmacStateBytes>());
      }) {}

EncodedContext::EncodedContext(const SealContext& context, const std::optional<FramePlace>& frame) {
  constexpr unsigned kStoreId = 1;
  constexpr unsigned kCollection = 2;
  constexpr unsigned kId = 4;
  constexpr unsigned kVersion = 8;
  constexpr unsigned kCodec = 16;
  constexpr unsigned kFrame = 32;
  if (context.store_id.size() > kMaxStoreIdBytes ||
      (context.collection && context.collection->size() > kMaxCollectionBytes) ||
      (context.id && context.id->size() > kMaxIdBytes)) {
    throw Error(ErrorCode::invalid_argument, "a name to be sealed with is too long",
                "use at most 255 bytes for store and collection, 1,024 for an id");
  }
  const std::byte present{static_cast<std::uint8_t>(kStoreId | kVersion | kCodec |
                                                    (context.collection ? kCollection : 0) |
                                                    (context.id ? kId : 0) | (frame ? kFrame : 0))};
  append(&present, sizeof present);
  append_sized(context.store_id);
  if (context.collection) append_sized(*context.collection);
  if (context.id) append_sized(*context.id);
  append(&context.version, sizeof context.version);
  append(&context.codec, sizeof context.codec);
  if (!frame) return;
  const std::byte last{static_cast<std::uint8_t>(frame->last)};
  append(&frame->index, sizeof frame->index);
  append(&last, sizeof last);
}

void EncodedContext::append(const void* from, std::size_t size) noexcept {
  if (size > 0) std::memcpy(bytes_.data() + size_, from, size);
  size_ += size;
}

void EncodedContext::append_sized(std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  append(&size, sizeof size);
  append(text.data(), text.size());
}

void make_header_and_key(const SealKey& key, const SealedHeader& header,
                         std::span<std::byte, kSealedHeaderBytes> out, WipedArray<kKeyBytes>& record_key) {
  std::ranges::copy(as_bytes(kMagic), out.begin());
  out[kFormatAt] = kFormat;
  out[kSuiteAt] = kSuite;
  out[kKindAt] = static_cast<std::byte>(header.kind);
  out[kDetailAt] = header.kind == SealedKind::stream ? std::byte{header.segment_shift}
                                                     : std::byte{static_cast<std::uint8_t>(header.padded)};
  std::ranges::copy(key.id(), out.begin() + kKeyIdAt);
  std::ranges::copy(header.salt, out.begin() + kSaltAt);
  derive(key.pseudorandom_key(), kCommitmentLabel, out, out.last<kHashBytes>());
  derive(key.pseudorandom_key(), kKeyLabel, out, record_key);
}

SealedHeader parse_sealed_header(ByteView sealed) {
  if (sealed.size() < kSealedHeaderBytes || as_text(sealed.first(kMagic.size())) != kMagic) {
    throw_corrupt("these bytes are not sealed, or their beginning is damaged");
  }
  const auto kind = std::to_integer<std::uint8_t>(sealed[kKindAt]);
  const auto detail = std::to_integer<std::uint8_t>(sealed[kDetailAt]);
  const bool message = kind == static_cast<std::uint8_t>(SealedKind::message);
  const bool stream = kind == static_cast<std::uint8_t>(SealedKind::stream);
  if (sealed[kFormatAt] != kFormat || sealed[kSuiteAt] != kSuite || (!message && !stream) ||
      (message && detail > 1)) {
    throw Error(ErrorCode::unsupported, "these bytes are sealed in a form that this release does not know",
                "open them with the release of db4 that sealed them, or a newer one");
  }
  SealedHeader header{.kind = static_cast<SealedKind>(kind), .padded = message && detail == 1};
  if (stream) header.segment_shift = detail;
  std::ranges::copy(sealed.subspan(kKeyIdAt, kKeyIdBytes), header.key_id.begin());
  std::ranges::copy(sealed.subspan(kSaltAt, kSaltBytes), header.salt.begin());
  std::ranges::copy(sealed.subspan(kCommitmentAt, kHashBytes), header.commitment.begin());
  return header;
}

void key_of_header(const SealKey& key, ByteView header, WipedArray<kKeyBytes>& record_key) {
  std::array<std::byte, kHashBytes> commitment{};
  derive(key.pseudorandom_key(), kCommitmentLabel, header, commitment);
  if (!std::ranges::equal(header.subspan(kKeyIdAt, kKeyIdBytes), key.id()) ||
      !equal_in_constant_time(commitment, header.subspan(kCommitmentAt, kHashBytes))) {
    throw_corrupt("sealed bytes do not belong to the key " + to_text(key.id()) + ", or are damaged");
  }
  derive(key.pseudorandom_key(), kKeyLabel, header, record_key);
}

std::uint64_t sealed_size(std::uint64_t plaintext_bytes, Padding padding) noexcept {
  return kSealOverhead + padded_size(plaintext_bytes, padding);
}

void seal_message(const SealKey& key, const SealContext& context, ByteView plaintext, Padding padding,
                  RandomSource& random, std::span<std::byte> out) {
  Salt salt{};
  random.fill(salt);
  seal_message(key, EncodedContext(context), plaintext, padding, salt, out);
}

void seal_message(const SealKey& key, const EncodedContext& context, ByteView plaintext, Padding padding,
                  const Salt& salt, std::span<std::byte> out) {
  if (plaintext.size() > kMaxSealedMessageBytes || out.size() != sealed_size(plaintext.size(), padding)) {
    throw Error(ErrorCode::invalid_argument, "the buffer to seal into, or what to seal, has a wrong size",
                "give a buffer of sealed_size() bytes, and a message within kMaxSealedMessageBytes");
  }
  const SealedHeader header{.padded = padding != Padding::none, .salt = salt};
  WipedArray<kKeyBytes> record_key;
  const auto header_bytes = out.first<kSealedHeaderBytes>();
  make_header_and_key(key, header, header_bytes, record_key);

  const std::array<ByteView, 2> bound{ByteView(header_bytes), context.bytes()};
  const std::uint64_t fill = padded_size(plaintext.size(), padding) - plaintext.size();
  if (fill == 0) {
    return aes_gcm_seal(record_key, kMessageNonce, bound, {&plaintext, 1}, out.subspan(kSealedHeaderBytes));
  }
  Bytes tail(fill);
  tail.front() = kPaddingMark;
  const std::array<ByteView, 2> padded{plaintext, ByteView(tail)};
  aes_gcm_seal(record_key, kMessageNonce, bound, padded, out.subspan(kSealedHeaderBytes));
}

std::size_t open_message(const SealKey& key, const SealContext& context, ByteView sealed,
                         std::span<std::byte> out) {
  return open_message(key, EncodedContext(context), sealed, out);
}

std::size_t open_message(const SealKey& key, const EncodedContext& context, ByteView sealed,
                         std::span<std::byte> out) {
  const SealedHeader header = parse_sealed_header(sealed);
  if (header.kind != SealedKind::message || sealed.size() < kSealOverhead) {
    throw_corrupt("sealed bytes are no whole message");
  }
  const std::size_t size = sealed.size() - kSealOverhead;
  if (out.size() < size) {
    throw Error(ErrorCode::invalid_argument, "the buffer to open into is too small",
                "give one as long as what is sealed");
  }
  const ByteView header_bytes = sealed.first(kSealedHeaderBytes);
  WipedArray<kKeyBytes> record_key;
  key_of_header(key, header_bytes, record_key);
  const std::array<ByteView, 2> bound{header_bytes, context.bytes()};
  if (!aes_gcm_open(record_key, kMessageNonce, bound, sealed.subspan(kSealedHeaderBytes), out.first(size))) {
    throw_corrupt("sealed bytes are damaged, or are another document or version than the one asked for");
  }
  return header.padded ? size_without_padding(out.first(size)) : size;
}

}  // namespace db4::crypto
