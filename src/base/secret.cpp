#include <db4/secret.hpp>

#include <openssl/crypto.h>

#include <ostream>

namespace db4 {

void wipe(std::string& text) noexcept {
  text.resize(text.capacity());  // what a longer text left behind its end, too
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

Secret::Secret(std::string text) : text_(text) { wipe(text); }
Secret::Secret(std::string_view text) : text_(text) {}
Secret::Secret(const char* text) : text_(text == nullptr ? "" : text) {}
Secret::Secret(const Secret& other) = default;
// Not the text's own move: that of a short one copies the bytes, and leaves them where they were.
Secret::Secret(Secret&& other) noexcept {
  text_.swap(other.text_);
  wipe(other.text_);
}

Secret& Secret::operator=(const Secret& other) {
  if (this != &other) {
    wipe(text_);
    text_ = other.text_;
  }
  return *this;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe(text_);
    text_.swap(other.text_);
    wipe(other.text_);
  }
  return *this;
}

Secret::~Secret() { wipe(text_); }

bool operator==(const Secret& a, const Secret& b) noexcept {
  return a.text_.size() == b.text_.size() &&
         CRYPTO_memcmp(a.text_.data(), b.text_.data(), a.text_.size()) == 0;
}

std::ostream& operator<<(std::ostream& out, const Secret& secret) {
  return secret.empty() ? out : out << "***";
}

}  // namespace db4
