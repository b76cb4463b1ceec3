#include "crypto/aes_gcm.hpp"

#include <db4/error.hpp>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

namespace db4::crypto {
namespace {

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const noexcept { ::EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

void require(bool done) {
  if (done) return;
  throw Error(ErrorCode::unavailable, "OpenSSL computed no AES-256-GCM",
              "check that OpenSSL's configuration offers AES-256-GCM and that memory is left, then repeat");
}

// Fetching costs as much as sealing some KiB. Never freed, so that threads that outlive main() may use it.
const EVP_CIPHER* fetched_cipher() {
  static const EVP_CIPHER* const cipher = ::EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return cipher;
}

Context make_context(int encrypt) {
  Context context(::EVP_CIPHER_CTX_new());
  require(context != nullptr && fetched_cipher() != nullptr &&
          ::EVP_CipherInit_ex2(context.get(), fetched_cipher(), nullptr, nullptr, encrypt, nullptr) == 1);
  return context;
}

// One for each direction: turning a context around makes OpenSSL build it anew. What a key leaves in it is
// the schedule of a key that serves one record; it is overwritten by the next and wiped when the thread ends.
EVP_CIPHER_CTX* context_for(bool encrypt) {
  thread_local const Context sealing = make_context(1);
  thread_local const Context opening = make_context(0);
  return (encrypt ? sealing : opening).get();
}

unsigned char* as_uchar(std::byte* bytes) noexcept { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* as_uchar(const std::byte* bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes);
}

/// Passes a piece through the cipher, into `out` or (nullptr) as associated data.
void update(EVP_CIPHER_CTX* context, ByteView piece, std::byte* out) {
  constexpr std::size_t kMaxUpdate = std::size_t{1} << 30;  // OpenSSL counts in int
  while (!piece.empty()) {
    const std::size_t size = std::min(piece.size(), kMaxUpdate);
    int written = 0;
    require(::EVP_CipherUpdate(context, out == nullptr ? nullptr : as_uchar(out), &written,
                               as_uchar(piece.data()), static_cast<int>(size)) == 1);
    if (out != nullptr) out += size;
    piece = piece.subspan(size);
  }
}

EVP_CIPHER_CTX* begin(bool encrypt, KeyView key, NonceView nonce, Pieces associated) {
  EVP_CIPHER_CTX* const context = context_for(encrypt);
  require(::EVP_CipherInit_ex2(context, nullptr, as_uchar(key.data()), as_uchar(nonce.data()), -1, nullptr) ==
          1);
  for (const ByteView piece : associated) update(context, piece, nullptr);
  return context;
}

}  // namespace

void aes_gcm_seal(KeyView key, NonceView nonce, Pieces associated, Pieces plaintext,
                  std::span<std::byte> out) {
  EVP_CIPHER_CTX* const context = begin(true, key, nonce, associated);
  std::byte* at = out.data();
  for (const ByteView piece : plaintext) {
    update(context, piece, at);
    at += piece.size();
  }
  int written = 0;
  require(::EVP_CipherFinal_ex(context, as_uchar(at), &written) == 1);
  require(::EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, at) == 1);
}

bool aes_gcm_open(KeyView key, NonceView nonce, Pieces associated, ByteView sealed,
                  std::span<std::byte> out) {
  EVP_CIPHER_CTX* const context = begin(false, key, nonce, associated);
  const ByteView ciphertext = sealed.first(sealed.size() - kTagBytes);
  std::array<std::byte, kTagBytes> tag{};  // OpenSSL wants to be able to write to it
  std::ranges::copy(sealed.last(kTagBytes), tag.begin());
  update(context, ciphertext, out.data());
  require(::EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1);
  std::array<std::byte, kTagBytes> rest{};  // GCM leaves nothing for it; an empty `out` may be nullptr
  int written = 0;
  const bool right = ::EVP_CipherFinal_ex(context, as_uchar(rest.data()), &written) == 1;
  if (!right) ::OPENSSL_cleanse(out.data(), out.size());
  return right;
}

void aes_gcm_forget_key() {
  const std::array<std::byte, kKeyBytes> no_key{};
  const std::array<std::byte, kNonceBytes> nonce{};
  for (const bool encrypt : {true, false}) begin(encrypt, no_key, nonce, {});
}

}  // namespace db4::crypto
