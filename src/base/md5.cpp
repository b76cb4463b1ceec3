#include "base/md5.hpp"

#include <db4/error.hpp>

#include <openssl/evp.h>

namespace db4 {
namespace {

void require(bool done) {
  if (done) return;
  throw Error(ErrorCode::unsupported, "OpenSSL computes no MD5, by which object stores name their objects",
              "let its configuration offer MD5");
}

}  // namespace

struct Md5::Context {
  Context() : digest(::EVP_MD_CTX_new()) {}
  ~Context() { ::EVP_MD_CTX_free(digest); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  EVP_MD_CTX* digest;
};

Md5::Md5() : context_(std::make_unique<Context>()) { restart(); }
Md5::~Md5() = default;

void Md5::restart() { require(::EVP_DigestInit_ex(context_->digest, ::EVP_md5(), nullptr) == 1); }

void Md5::update(ByteView piece) {
  require(::EVP_DigestUpdate(context_->digest, piece.data(), piece.size()) == 1);
}

Md5Digest Md5::finish() {
  Md5Digest out{};
  require(::EVP_DigestFinal_ex(context_->digest, reinterpret_cast<unsigned char*>(out.data()), nullptr) == 1);
  return out;
}

Md5Digest md5(ByteView data) {
  Md5 digest;
  digest.update(data);
  return digest.finish();
}

}  // namespace db4
