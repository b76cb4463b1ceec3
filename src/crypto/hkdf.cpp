#include "crypto/hkdf.hpp"

#include <db4/error.hpp>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>

namespace db4::crypto {
namespace {

constexpr std::size_t kBlockBytes = 64;  // of SHA-256

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const noexcept { ::EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

void require(bool done) {
  if (done) return;
  throw Error(ErrorCode::unavailable, "OpenSSL computed no SHA-256",
              "check that OpenSSL's configuration offers SHA-256 and that memory is left, then repeat");
}

Context make_context() {
  static const EVP_MD* const digest = ::EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Context context(::EVP_MD_CTX_new());
  require(context != nullptr && digest != nullptr &&
          ::EVP_DigestInit_ex2(context.get(), digest, nullptr) == 1);
  return context;
}

EVP_MD_CTX* thread_context() {
  thread_local const Context context = make_context();
  return context.get();
}

void hash(Pieces first, Pieces then, std::byte* out) {
  EVP_MD_CTX* const context = thread_context();
  require(::EVP_DigestInit_ex2(context, nullptr, nullptr) == 1);
  for (const Pieces pieces : {first, then}) {
    for (const ByteView piece : pieces) {
      require(::EVP_DigestUpdate(context, piece.data(), piece.size()) == 1);
    }
  }
  require(::EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(out), nullptr) == 1);
}

void fill_pad(WipedArray<kBlockBytes>& pad, ByteView key, std::byte with) {
  std::ranges::fill(pad, with);
  for (std::size_t i = 0; i < key.size(); ++i) pad[i] ^= key[i];
}

}  // namespace

void wipe(std::span<std::byte> bytes) noexcept { ::OPENSSL_cleanse(bytes.data(), bytes.size()); }

bool equal_in_constant_time(ByteView a, ByteView b) noexcept {
  return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void hmac_sha256(ByteView key, Pieces pieces, std::span<std::byte, kHashBytes> out) {
  WipedArray<kHashBytes> hashed_key;
  if (key.size() > kBlockBytes) {
    hash({&key, 1}, {}, hashed_key.data());
    key = hashed_key;
  }
  WipedArray<kBlockBytes> pad;
  WipedArray<kHashBytes> inner;
  fill_pad(pad, key, std::byte{0x36});
  const ByteView inner_pad(pad);
  hash({&inner_pad, 1}, pieces, inner.data());
  fill_pad(pad, key, std::byte{0x5C});
  const ByteView inner_hash(inner);
  hash({&inner_pad, 1}, {&inner_hash, 1}, out.data());
}

void hkdf_extract(ByteView salt, ByteView secret, std::span<std::byte, kHashBytes> out) {
  hmac_sha256(salt, {&secret, 1}, out);  // a key of no bytes is one of zeros
}

void hkdf_expand(ByteView pseudorandom_key, ByteView info, std::span<std::byte> out) {
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
