// The interface of OpenSSL 3 hides SHA-256's state, and copies of its contexts allocate: for the texts of one
// block that are hashed here that would cost more than hashing them.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/hkdf.hpp"

#include <db4/error.hpp>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

namespace db4::crypto {
namespace {

constexpr std::size_t kBlockBytes = SHA256_CBLOCK;
static_assert(kHmacStateBytes == 2 * sizeof(SHA256_CTX));

void require(int done) {
  if (done == 1) return;
  throw Error(ErrorCode::unavailable, "OpenSSL computed no SHA-256",
              "check that memory is left and that OpenSSL is whole, then repeat");
}

/// SHA-256 from its beginning, or from a state that was kept. Wiped when it goes.
class Sha256 {
 public:
  Sha256() { require(::SHA256_Init(&state_)); }
  explicit Sha256(const std::byte* from) noexcept { std::memcpy(&state_, from, sizeof state_); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  ~Sha256() { ::OPENSSL_cleanse(&state_, sizeof state_); }

  void add(ByteView bytes) { require(::SHA256_Update(&state_, bytes.data(), bytes.size())); }
  void finish(std::span<std::byte, kHashBytes> out) {
    require(::SHA256_Final(reinterpret_cast<unsigned char*>(out.data()), &state_));
  }
  void keep(std::byte* out) const noexcept { std::memcpy(out, &state_, sizeof state_); }

 private:
  SHA256_CTX state_;
};

void keep_padded_key(ByteView key, std::byte with, std::byte* out) {
  WipedArray<kBlockBytes> pad;
  std::ranges::fill(pad, with);
  for (std::size_t i = 0; i < key.size(); ++i) pad[i] ^= key[i];
  Sha256 hash;
  hash.add(pad);
  hash.keep(out);
}

}  // namespace

void wipe(std::span<std::byte> bytes) noexcept { ::OPENSSL_cleanse(bytes.data(), bytes.size()); }

bool equal_in_constant_time(ByteView a, ByteView b) noexcept {
  return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void make_hmac_state(ByteView key, std::span<std::byte, kHmacStateBytes> out) {
  WipedArray<kHashBytes> hashed_key;
  if (key.size() > kBlockBytes) {
    Sha256 hash;
    hash.add(key);
    hash.finish(hashed_key);
    key = hashed_key;
  }
  keep_padded_key(key, std::byte{0x36}, out.data());
  keep_padded_key(key, std::byte{0x5C}, out.data() + sizeof(SHA256_CTX));
}

void hmac_sha256(HmacState key, Pieces pieces, std::span<std::byte, kHashBytes> out) {
  WipedArray<kHashBytes> inner;
  Sha256 first(key.data());
  for (const ByteView piece : pieces) first.add(piece);
  first.finish(inner);
  Sha256 second(key.data() + sizeof(SHA256_CTX));
  second.add(inner);
  second.finish(out);
}

void hmac_sha256(ByteView key, Pieces pieces, std::span<std::byte, kHashBytes> out) {
  WipedArray<kHmacStateBytes> state;
  make_hmac_state(key, state);
  hmac_sha256(HmacState(state), pieces, out);
}

void hkdf_extract(ByteView salt, ByteView secret, std::span<std::byte, kHashBytes> out) {
  hmac_sha256(salt, {&secret, 1}, out);  // a key of no bytes is one of zeros
}

void hkdf_expand(ByteView pseudorandom_key, ByteView info, std::span<std::byte> out) {
  WipedArray<kHmacStateBytes> state;
  make_hmac_state(pseudorandom_key, state);
  hkdf_expand(HmacState(state), info, out);
}

void hkdf_expand(HmacState pseudorandom_key, ByteView info, std::span<std::byte> out) {
  if (out.size() > 255 * kHashBytes) {
    throw Error(ErrorCode::invalid_argument, "HKDF was asked for more than 8,160 bytes", "ask for less");
  }
  WipedArray<kHashBytes> block;
  std::size_t have = 0;  // of the block before: none for the first
  for (std::uint8_t counter = 1; !out.empty(); ++counter) {
    const std::byte number{counter};
    const std::array<ByteView, 3> pieces{ByteView(block).first(have), info, ByteView(&number, 1)};
    hmac_sha256(pseudorandom_key, pieces, block);
    have = kHashBytes;
    const std::size_t size = std::min(out.size(), kHashBytes);
    std::ranges::copy(ByteView(block).first(size), out.begin());
    out = out.subspan(size);
  }
}

}  // namespace db4::crypto
