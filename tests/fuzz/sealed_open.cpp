// Any bytes as a sealed message, a sealed stream and a key ring: refused, or, where the key holders
// themselves made them, opened. Since a fuzzer cannot guess tags, each input is also used as what an honest
// sealer seals, damaged by what the input says: nothing that was changed opens.

#include "crypto/key_ring.hpp"
#include "crypto/sealed_stream.hpp"
#include "fuzz_target.hpp"

#include <algorithm>

namespace {

using namespace db4;
using namespace db4::crypto;

constexpr SealContext kContext{.store_id = "store", .collection = "users", .id = "user-1", .version = 7};

const SealKey& key() {
  static const std::array<std::byte, kKeyBytes> bytes{std::byte{1}};
  static const SealKey made(KeyId{std::byte{2}}, bytes);
  return made;
}

bool opens_as_message(ByteView sealed) {
  Bytes out(sealed.size());
  std::size_t size = 0;
  const bool opened = fuzz::succeeds([&] { size = open_message(key(), kContext, sealed, out); },
                                     {ErrorCode::corrupt, ErrorCode::unsupported});
  fuzz::require(size <= sealed.size(), "what was opened is within what was sealed");
  if (!opened) {
    fuzz::require(std::ranges::all_of(out, [](std::byte b) { return b == std::byte{0}; }),
                  "what was not checked is not given");
  }
  return opened;
}

bool opens_as_stream(ByteView sealed) {
  const auto open = [&] {
    const StreamOpener opener(key(), kContext, sealed.first(std::min(sealed.size(), kSealedHeaderBytes)),
                              sealed.size());
    const StreamLayout& layout = opener.layout();
    fuzz::require(layout.sealed_bytes() == sealed.size(), "a layout accounts for every byte");
    Bytes out(layout.plaintext_bytes());
    opener.read(0, out, [&](std::uint64_t at, std::span<std::byte> into) {
      fuzz::require(at + into.size() <= sealed.size(), "only what is there is fetched");
      std::ranges::copy(sealed.subspan(at, into.size()), into.begin());
    });
    if (out.empty()) opener.open_segment(0, sealed.subspan(kSealedHeaderBytes), out);
  };
  return fuzz::succeeds(open, {ErrorCode::corrupt, ErrorCode::unsupported});
}

void parse_ring(std::string_view bytes) {
  KeyRing ring;
  if (!fuzz::succeeds([&] { ring = parse_key_ring(bytes); }, {ErrorCode::corrupt, ErrorCode::unsupported}))
    return;
  fuzz::require(ring.keys.size() <= kMaxKeys, "keys are bounded");
  fuzz::require(active_key(ring).state == KeyState::active, "a ring has an active key");
}

/// The input sealed, then one bit of it flipped, as the input's last bytes say.
void damage(ByteView input) {
  Bytes sealed(sealed_size(input.size(), Padding::none));
  seal_message(key(), kContext, input, Padding::none, *seeded_random(1), sealed);
  fuzz::require(opens_as_message(sealed), "what was sealed opens");
  std::size_t at = 0;
  for (const std::byte byte : input.last(std::min<std::size_t>(input.size(), 4))) {
    at = at << 8 | std::to_integer<std::size_t>(byte);
  }
  sealed[at / 8 % sealed.size()] ^= std::byte{static_cast<std::uint8_t>(1U << (at % 8))};
  fuzz::require(!opens_as_message(sealed), "what was changed does not open");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = fuzz::as_input(data, size);
  opens_as_message(as_bytes(input));
  opens_as_stream(as_bytes(input));
  parse_ring(input);
  damage(as_bytes(input));
  return 0;
}
