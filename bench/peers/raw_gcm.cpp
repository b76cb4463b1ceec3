#include "peers/raw_gcm.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

namespace db4::bench {
namespace {

constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;

void require(bool done) {
  if (!done) throw std::runtime_error("OpenSSL's AES-256-GCM failed");
}

unsigned char* as_uchar(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* as_uchar(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}

struct Context {
  explicit Context(int encrypt)
      : cipher(::EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)), evp(::EVP_CIPHER_CTX_new()) {
    const std::array<unsigned char, 32> key{1, 2, 3};
    require(cipher != nullptr && evp != nullptr &&
            ::EVP_CipherInit_ex2(evp, cipher, key.data(), nullptr, encrypt, nullptr) == 1);
  }
  ~Context() {
    ::EVP_CIPHER_CTX_free(evp);
    ::EVP_CIPHER_free(cipher);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void run(const std::byte* nonce, ByteView from, std::byte* to) {
    int written = 0;
    require(::EVP_CipherInit_ex2(evp, nullptr, nullptr, as_uchar(nonce), -1, nullptr) == 1);
    require(::EVP_CipherUpdate(evp, as_uchar(to), &written, as_uchar(from.data()),
                               static_cast<int>(from.size())) == 1);
  }

  EVP_CIPHER* cipher;
  EVP_CIPHER_CTX* evp;
};

}  // namespace

struct RawGcm::Contexts {
  Context sealing{1};
  Context opening{0};
  std::uint64_t sealed = 0;
};

RawGcm::RawGcm() : contexts_(std::make_unique<Contexts>()) {}
RawGcm::~RawGcm() = default;

void RawGcm::seal(ByteView plaintext, std::span<std::byte> sealed) {
  ++contexts_->sealed;
  std::ranges::fill(sealed.first(kNonceBytes), std::byte{0});
  std::memcpy(sealed.data(), &contexts_->sealed, sizeof contexts_->sealed);
  contexts_->sealing.run(sealed.data(), plaintext, sealed.data() + kNonceBytes);
  EVP_CIPHER_CTX* const evp = contexts_->sealing.evp;
  int written = 0;
  require(::EVP_CipherFinal_ex(evp, as_uchar(sealed.data()), &written) == 1);
  require(::EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_GET_TAG, kTagBytes,
                                sealed.data() + kNonceBytes + plaintext.size()) == 1);
}

void RawGcm::open(ByteView sealed, std::span<std::byte> plaintext) {
  contexts_->opening.run(sealed.data(), sealed.subspan(kNonceBytes, plaintext.size()), plaintext.data());
  EVP_CIPHER_CTX* const evp = contexts_->opening.evp;
  std::array<std::byte, kTagBytes> tag{};
  std::ranges::copy(sealed.last(kTagBytes), tag.begin());
  require(::EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1);
  int written = 0;
  require(::EVP_CipherFinal_ex(evp, as_uchar(tag.data()), &written) == 1);
}

}  // namespace db4::bench
