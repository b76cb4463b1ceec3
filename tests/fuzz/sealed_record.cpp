// Any bytes as a record of an encrypted store, whole or in frames: refused, or opened to exactly what was
// sealed. Since a fuzzer can guess neither tags nor checksums, each input is used in three more ways: as what
// an honest store seals, damaged by what the input says and with the checksums put right; as what somebody
// seals who has the keys and another mind; and as it is with the checksums put right.

#include "sealing/sealed_record.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "codec/record_header.hpp"
#include "fuzz_target.hpp"
#include "sealing/framed_record.hpp"

#include <algorithm>

namespace {

using namespace db4;
using namespace db4::sealing;

constexpr codec::DecodeOptions kLimits{.max_body_bytes = 1U << 20};
constexpr codec::RecordIdentity kIdentity{.collection = "users", .id = "user-1", .version = 7};
constexpr std::initializer_list<ErrorCode> kRefused{ErrorCode::corrupt, ErrorCode::unsupported,
                                                    ErrorCode::key_unavailable};
constexpr std::initializer_list<ErrorCode> kRefusedOrLarge{ErrorCode::corrupt, ErrorCode::unsupported,
                                                           ErrorCode::key_unavailable, ErrorCode::too_large};
constexpr std::uint64_t kFrame = codec::kMinFrameBytes;

/// Of the same keys and, from input to input, the same salts.
Sealer make_sealer() {
  static const auto manager = [] {
    auto made = std::make_shared<EncryptionManager>(
        EncryptionConfig{.master_key = master_key_from_bytes(
                             as_bytes(std::string_view("0123456789abcdef0123456789abcdef"))),
                         .key_store = std::make_shared<InMemoryKeyStore>()},
        std::make_shared<SimulatedClock>(), seeded_random(1));
    made->initialize();
    return made;
  }();
  Sealer sealer(manager, /*writes=*/true, Padding::none, seeded_random(2));
  sealer.set_store_id("store");
  return sealer;
}

codec::RecordHeader header_of(const codec::RecordIdentity& identity) {
  return {.collection = identity.collection,
          .id = identity.id,
          .version = identity.version,
          .content_type = "text/plain"};
}

// -- any bytes --

void try_whole(const Sealer& sealer, std::string_view record) {
  std::string plain;
  if (!fuzz::succeeds([&] { plain = open_record(sealer, record); }, kRefused)) return;
  codec::ParsedHeader header;
  if (!fuzz::succeeds([&] { header = codec::parse_record_header(plain); }, kRefused)) return;
  const codec::RecordIdentity identity{header.header.collection, header.header.id, header.header.version};
  detail::BlockRef block;
  if (!fuzz::succeeds([&] { block = decode_record(sealer, record, {}, identity, kLimits); },
                      kRefusedOrLarge)) {
    return;
  }
  fuzz::require(block->body().size() == header.content_length, "the body has the length that was stated");
  const KeyNumber key = key_of_record(record);
  fuzz::require(decode_record(sealer, record, key, identity, kLimits)->body() == block->body(),
                "the key that a record names is the one that it is under");
  fuzz::require(
      !fuzz::succeeds([&] { (void)decode_record(sealer, record, key + 1, identity, kLimits); }, kRefused),
      "a record under another key than the row names is refused");
}

/// The content, where all of it opens.
std::optional<Bytes> open_frames(const Sealer& sealer, std::string_view record,
                                 const codec::RecordIdentity& identity) {
  std::optional<FramedRecord> framed;
  const std::string_view start = record.substr(0, codec::kMaxHeaderBytes);
  if (!fuzz::succeeds([&] { framed.emplace(sealer, start, identity); }, kRefused)) return std::nullopt;
  const codec::FramedLayout& layout = framed->layout();
  fuzz::require(layout.header().size() <= start.size(), "the header is within what was given");
  if (layout.record_length() != record.size()) return std::nullopt;  // as every caller looks
  Bytes content(layout.content_length());
  const auto decode = [&] { framed->decode(0, as_bytes(record.substr(layout.header().size())), content); };
  if (!fuzz::succeeds(decode, kRefused)) return std::nullopt;
  return content;
}

void try_frames(const Sealer& sealer, std::string_view record) {
  open_frames(sealer, record, kIdentity);
  std::optional<OpenedHeader> opened;
  if (!fuzz::succeeds([&] { opened.emplace(sealer, record); }, kRefused)) return;
  const codec::RecordHeader& header = opened->header().header;
  open_frames(sealer, record, {header.collection, header.id, header.version});
}

// -- checksums --

/// Where the field of this type stands in a header in the plain carrier; 0: nowhere.
std::size_t value_of_field(std::string_view record, std::size_t end, codec::FieldType wanted) {
  std::size_t at = 8;
  while (at + 2 <= end) {
    const auto type = static_cast<std::uint8_t>(record[at]);
    Reader reader(record.substr(at + 1, end - at - 1));
    const std::string_view value = reader.sized();
    if (!reader.ok()) return 0;
    const auto begin = static_cast<std::size_t>(value.data() - record.data());
    if (type == static_cast<std::uint8_t>(wanted)) return begin;
    at = begin + value.size();
  }
  return 0;
}

void put_checksum(std::string& record, std::size_t begin, std::size_t end, std::size_t at) {
  const std::uint32_t crc = crc32c(as_bytes(std::string_view(record).substr(begin, end - begin)));
  std::memcpy(record.data() + at, &crc, sizeof crc);
}

/// Those of a sealed record, which is always in the plain carrier.
std::string with_right_checksums(std::string record) {
  if (record.size() < 12 || !record.starts_with("DB4R")) return record;
  const std::size_t length = load_fixed<std::uint16_t>(record.data() + 6);
  if (length < 12 || length > record.size()) return record;
  const std::size_t end = length - 4;
  const std::size_t payload = value_of_field(record, end, codec::FieldType::payload_crc32c);
  if (payload != 0 && payload + 4 <= end) put_checksum(record, length, record.size(), payload);
  put_checksum(record, 0, end, end);
  return record;
}

// -- damage --

/// Takes what is to be done from the end of the input.
class Orders {
 public:
  explicit Orders(std::string_view input) : rest_(input) {}
  std::size_t below(std::size_t bound) {
    std::size_t number = 0;
    for (int i = 0; i < 3 && !rest_.empty(); ++i) {
      number = number << 8 | static_cast<unsigned char>(rest_.back());
      rest_.remove_suffix(1);
    }
    return bound == 0 ? 0 : number % bound;
  }

 private:
  std::string_view rest_;
};

/// `other`: honest bytes too, of something else.
std::string damaged(std::string bytes, std::string_view other, Orders& orders) {
  const std::size_t at = orders.below(bytes.size());
  switch (orders.below(5)) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << orders.below(8)));
      break;
    case 1:
      bytes.resize(at);
      break;
    case 2:
      bytes.append(other.substr(0, 1 + orders.below(other.size())));
      break;
    case 3:  // the beginning of one, the end of the other
      bytes = bytes.substr(0, at) + std::string(other.substr(std::min(at, other.size())));
      break;
    default: {
      const std::size_t size = std::min(orders.below(bytes.size() - at), other.size());
      bytes.replace(at, size, other.substr(other.size() - size));
      break;
    }
  }
  return bytes;
}

void damage_whole(const Sealer& sealer, std::string_view body) {
  Orders orders(body);
  const auto compression = static_cast<Compression>(orders.below(3));
  const auto seal = [&](const codec::RecordIdentity& identity, std::string_view text) {
    return seal_record(sealer, codec::encode_record(header_of(identity), text, {.compression = compression}));
  };
  const Sealer::Sealed sealed = seal(kIdentity, body);
  fuzz::require(decode_record(sealer, sealed.bytes, sealed.key, kIdentity, {})->body() == body,
                "what was sealed opens");
  fuzz::require(key_of_record(sealed.bytes) == sealed.key, "a record says which key sealed it");
  constexpr codec::RecordIdentity kOlder{.collection = "users", .id = "user-1", .version = 6};
  const std::string older = seal(kOlder, std::string(body) + " of before").bytes;
  fuzz::require(!fuzz::succeeds([&] { (void)decode_record(sealer, older, sealed.key, kIdentity); }, kRefused),
                "another version is refused");

  const std::string record = with_right_checksums(damaged(sealed.bytes, older, orders));
  detail::BlockRef block;
  const auto decode = [&] { block = decode_record(sealer, record, sealed.key, kIdentity); };
  if (fuzz::succeeds(decode, kRefused)) {
    fuzz::require(block->body() == body && block->content_type() == "text/plain",
                  "what opens is what was sealed");
  }
  try_whole(sealer, record);
}

void damage_frames(const Sealer& sealer, std::string_view input) {
  Orders orders(input);
  Bytes content(orders.below(4) * kFrame + orders.below(kFrame));
  for (std::size_t i = 0; i < content.size(); ++i) {
    content[i] = input.empty() ? std::byte{0} : static_cast<std::byte>(input[i % input.size()]);
  }
  const auto make = [&] {
    const FramedRecord record(
        sealer, begin_sealed_frames(sealer, header_of(kIdentity), content.size(), kFrame), kIdentity);
    std::string bytes(record.layout().record_length(), '\0');
    const auto frame = [&](std::uint64_t index, std::span<std::byte> out) {
      std::ranges::copy(ByteView(content).subspan(index * kFrame, out.size()), out.begin());
    };
    const auto writable = [](std::string& text) {
      return std::as_writable_bytes(std::span(text.data(), text.size()));
    };
    record.encode(0, writable(bytes), frame);
    const std::size_t from = orders.below(bytes.size());
    std::string end(bytes.size() - from, '\0');
    record.encode(from, writable(end), frame);
    fuzz::require(bytes.substr(from) == end, "from any place on the same bytes are made");
    return bytes;
  };
  const std::string honest = make();
  const std::string other = make();  // of the same document and content, under another content key
  fuzz::require(open_frames(sealer, honest, kIdentity) == content, "what was sealed opens");
  fuzz::require(!open_frames(sealer, honest, {.collection = "users", .id = "user-2", .version = 7}),
                "the record of another document is refused");

  std::string record = honest;
  const std::size_t header = codec::parse_record_header(honest).payload_offset;
  const std::size_t stride = kFrame + crypto::kSealOverhead;
  const std::size_t frames = (honest.size() - header + stride - 1) / stride;
  if (frames > 1 && orders.below(2) == 0) {
    // Whole frames: one in the place of another, or of the same place in the other record.
    const std::size_t to = header + orders.below(frames - 1) * stride;
    const std::size_t from = header + orders.below(frames - 1) * stride;
    record.replace(to, stride, (orders.below(2) == 0 ? honest : other).substr(from, stride));
  } else {
    record = with_right_checksums(damaged(record, other, orders));
  }
  const auto opened = open_frames(sealer, record, kIdentity);
  fuzz::require(!opened || *opened == content, "what opens is what was sealed");
  fuzz::require(!opened || record.substr(header) == honest.substr(header) || record == other,
                "no frame that was changed opens");
  try_whole(sealer, record);
}

/// Sealed with the right key: nothing but parsers stands in its way.
void forge(const Sealer& sealer, std::string_view input) {
  const std::size_t most = codec::kMaxHeaderBytes - 200;
  const std::string_view header = input.substr(0, most);
  const auto seal = [&](Kind kind, const Identity& identity, std::string_view text) {
    return sealer.seal(kind, identity, as_bytes(text), Padding::none).bytes;
  };
  const std::string sealed = seal(Kind::record_header, {}, header);
  const std::string payload = seal(
      Kind::record_payload, {.collection = kIdentity.collection, .id = kIdentity.id, .version = 7}, input);
  try_whole(sealer, codec::encode_sealed_record(sealed, payload));
  const std::string frames = codec::encode_sealed_frames_header(sealed, kFrame);
  try_frames(sealer, frames);
  try_frames(sealer, frames + std::string(input));
  // A record in frames may say of itself what the header outside does not.
  try_whole(sealer, frames + payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = fuzz::as_input(data, size);
  const Sealer sealer = make_sealer();
  for (const std::string& record : {std::string(input), with_right_checksums(std::string(input))}) {
    try_whole(sealer, record);
    try_frames(sealer, record);
  }
  damage_whole(sealer, input);
  damage_frames(sealer, input);
  forge(sealer, input);
  return 0;
}
