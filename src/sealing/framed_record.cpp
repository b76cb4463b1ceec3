#include "sealing/framed_record.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "base/wiping.hpp"
#include "codec/record_header.hpp"
#include "sealing/sealed_record.hpp"

#include <algorithm>

namespace db4::sealing {
namespace {

/// Of the key that salts are made with. As long as no other label under a sealing key, with what follows it.
constexpr std::string_view kSaltLabel = "db4 frame salt";
/// No key of a ring: the key ring never draws it.
constexpr crypto::KeyId kContentKeyId{};

codec::FramedLayout layout_of(const OpenedHeader& opened, std::string_view start) {
  const codec::ParsedHeader& header = opened.header();
  const bool sealed = opened.key() != 0;
  // What is sealed is what this release wrote, unless somebody has the keys and another mind.
  if (sealed != !header.content_key.empty() || !header.sealed_header.empty() ||
      header.frame_bytes != opened.stored().frame_bytes) {
    codec::throw_corrupt_record("its header is not that of a record in frames");
  }
  return {start.substr(0, opened.stored().payload_offset), header,
          sealed ? crypto::kSealOverhead : codec::kFrameChecksumBytes};
}

}  // namespace

std::string begin_sealed_frames(const Sealer& sealer, const codec::RecordHeader& header,
                                std::uint64_t content_length, std::uint64_t frame_bytes) {
  crypto::WipedArray<codec::kContentKeyBytes> content_key;
  sealer.random().fill(content_key);
  codec::ParsedHeader fields;
  fields.header = header;
  fields.content_length = content_length;
  fields.frame_bytes = frame_bytes;
  fields.content_key = content_key;
  std::string plain = codec::encode_record_header(fields);
  const auto wiped = [&] { crypto::wipe(std::as_writable_bytes(std::span(plain))); };
  try {
    const Sealer::Sealed sealed = sealer.seal(Kind::record_header, {}, as_bytes(plain), Padding::none);
    wiped();
    return codec::encode_sealed_frames_header(sealed.bytes, frame_bytes);
  } catch (...) {
    wiped();
    throw;
  }
}

KeyNumber key_of_record(std::string_view start) {
  const codec::ParsedHeader stored = codec::parse_record_header(start);
  return stored.sealed_header.empty() ? 0 : key_of(stored.sealed_header);
}

HeaderDigest digest_of_header(std::string_view header) {
  const auto hash = sha256(as_bytes(header));
  HeaderDigest digest{};
  std::ranges::copy(std::span(hash).first<digest.size()>(), digest.begin());
  return digest;
}

FramedRecord::Frames::Frames(crypto::KeyView content_key, std::string store_id,
                             const codec::RecordIdentity& identity)
    : store_id_(std::move(store_id)),
      collection_(identity.collection),
      id_(identity.id),
      version_(identity.version),
      key_(kContentKeyId, content_key),
      salt_key_(crypto::kHmacStateBytes, [this](std::span<std::byte> out) {
        crypto::WipedArray<crypto::kHashBytes> key;
        crypto::hkdf_expand(key_.pseudorandom_key(), as_bytes(kSaltLabel), key);
        crypto::make_hmac_state(key, out.first<crypto::kHmacStateBytes>());
      }) {}

crypto::EncodedContext FramedRecord::Frames::context(const crypto::FramePlace& place) const {
  return crypto::EncodedContext({.store_id = store_id_,
                                 .collection = collection_,
                                 .id = id_,
                                 .version = version_,
                                 .codec = static_cast<std::uint8_t>(Kind::frame)},
                                place);
}

void FramedRecord::Frames::seal(const crypto::FramePlace& place, ByteView content,
                                std::span<std::byte> out) const {
  std::string where;
  put_fixed(where, place.index);
  put_fixed(where, static_cast<std::uint8_t>(place.last));
  const std::array<ByteView, 2> pieces{as_bytes(where), content};
  std::array<std::byte, crypto::kHashBytes> hash{};
  crypto::hmac_sha256(salt_key_.view().first<crypto::kHmacStateBytes>(), pieces, hash);
  crypto::Salt salt{};
  std::ranges::copy(std::span(hash).first<crypto::kSaltBytes>(), salt.begin());
  crypto::seal_message(key_, context(place), content, Padding::none, salt, out);
}

void FramedRecord::Frames::open(const crypto::FramePlace& place, ByteView sealed,
                                std::span<std::byte> out) const {
  if (crypto::open_message(key_, context(place), sealed, out) == out.size()) return;
  crypto::wipe(out);
  codec::throw_corrupt_record("a frame is padded");
}

FramedRecord::FramedRecord(const Sealer& sealer, std::string_view start,
                           const codec::RecordIdentity& expected)
    : FramedRecord([&] {
        const OpenedHeader opened(sealer, start);
        codec::check_record_identity(opened.header(), expected);
        FramedRecord record(layout_of(opened, start));
        record.key_ = opened.key();
        if (record.key_ != 0) {
          record.frames_.emplace(opened.header().content_key.first<crypto::kKeyBytes>(), sealer.store_id(),
                                 expected);
        }
        return record;
      }()) {}

void FramedRecord::encode(std::uint64_t offset, std::span<std::byte> out, const Content& content) const {
  const std::string_view header = layout_.header();
  if (offset < header.size()) {
    const ByteView rest = as_bytes(header.substr(offset));
    const std::size_t size = std::min(rest.size(), out.size());
    std::ranges::copy(rest.first(size), out.begin());
    out = out.subspan(size);
    offset += size;
  }
  const std::uint64_t stride = layout_.frame_bytes() + layout_.frame_overhead();
  Bytes frame;
  Bytes buffer;
  const ReleasedAtEnd released(buffer);
  while (!out.empty()) {
    const std::uint64_t index = (offset - header.size()) / stride;
    const std::uint64_t skip = (offset - header.size()) % stride;
    const std::uint64_t stored = layout_.frame_content(index) + layout_.frame_overhead();
    std::size_t size = stored;
    if (skip == 0 && out.size() >= stored) {  // made where it is wanted
      encode_frame(index, out.first(stored), content, buffer);
    } else {
      frame.resize(stored);
      encode_frame(index, frame, content, buffer);
      size = std::min<std::uint64_t>(stored - skip, out.size());
      std::ranges::copy(ByteView(frame).subspan(skip, size), out.begin());
    }
    out = out.subspan(size);
    offset += size;
  }
}

void FramedRecord::encode_frame(std::uint64_t index, std::span<std::byte> out, const Content& content,
                                Bytes& buffer) const {
  if (frames_) {
    buffer.resize(layout_.frame_content(index));
    content(index, buffer);
    frames_->seal(place_of(index), buffer, out);
    return;
  }
  const std::span<std::byte> plain = out.first(out.size() - codec::kFrameChecksumBytes);
  content(index, plain);
  const std::uint32_t checksum = layout_.checksum(index, plain);
  std::memcpy(out.data() + plain.size(), &checksum, sizeof checksum);
}

void FramedRecord::decode(std::uint64_t first, ByteView stored, std::span<std::byte> out) const {
  if (!frames_) return codec::decode_frames(layout_, first, stored, out);
  for (std::uint64_t index = first; !stored.empty(); ++index) {
    const std::uint64_t size = index < layout_.frames() ? layout_.frame_content(index) : 0;
    if (size == 0 || stored.size() < size + crypto::kSealOverhead || out.size() < size) {
      codec::throw_corrupt_record("a frame is cut short");
    }
    frames_->open(place_of(index), stored.first(size + crypto::kSealOverhead), out.first(size));
    out = out.subspan(size);
    stored = stored.subspan(size + crypto::kSealOverhead);
  }
  if (!out.empty()) codec::throw_corrupt_record("a frame is missing");
}

}  // namespace db4::sealing
