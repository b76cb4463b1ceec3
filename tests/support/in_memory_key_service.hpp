#pragma once
// A key service in memory, with versions: for tests of what stands on one. Any number of clients share its
// keys.

#include "base/base64.hpp"
#include "crypto/aes_gcm.hpp"

#include <db4/error.hpp>
#include <db4/key_service.hpp>
#include <db4/random.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <mutex>
#include <vector>

namespace db4::testing {

/// What the service keeps. Thread-safe.
class ServiceKeys {
 public:
  using Version = std::array<std::byte, crypto::kKeyBytes>;
  ServiceKeys() { rotate(); }
  /// With that one first: for services of several processes.
  explicit ServiceKeys(const Version& first) : versions_{first} {}
  void rotate() {
    const std::lock_guard lock(mutex_);
    system_random()->fill(versions_.emplace_back());
  }
  /// Puts all versions but the newest away.
  void retire_old() {
    const std::lock_guard lock(mutex_);
    oldest_ = versions_.size();
  }

  /// "memory:v1:..." by the newest version.
  std::string encrypt(ByteView plaintext) {
    const std::lock_guard lock(mutex_);
    Bytes out(crypto::kNonceBytes + plaintext.size() + crypto::kTagBytes);
    const std::span<std::byte> all(out);
    const auto nonce = all.first<crypto::kNonceBytes>();
    system_random()->fill(nonce);
    crypto::aes_gcm_seal(versions_.back(), nonce, {}, {&plaintext, 1}, all.subspan(crypto::kNonceBytes));
    return kPrefix + std::to_string(versions_.size()) + ":" + to_base64(out);
  }

  std::string decrypt(std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (!text.starts_with(kPrefix)) refuse("is none of this service");
    text.remove_prefix(kPrefix.size());
    const std::size_t colon = std::min(text.find(':'), text.size());
    std::size_t version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + colon, version);
    if (error != std::errc{} || end != text.data() + colon || version > versions_.size() || version == 0)
      refuse("has no version");
    if (version < oldest_) refuse("is of a version that was put away");
    const auto bytes = from_base64(text.substr(std::min(colon + 1, text.size())));
    if (!bytes || bytes->size() < crypto::kNonceBytes + crypto::kTagBytes) refuse("is damaged");
    const ByteView sealed = as_bytes(*bytes);
    std::string out(sealed.size() - crypto::kNonceBytes - crypto::kTagBytes, '\0');
    if (!crypto::aes_gcm_open(versions_[version - 1], sealed.first<crypto::kNonceBytes>(), {},
                              sealed.subspan(crypto::kNonceBytes), std::as_writable_bytes(std::span(out)))) {
      refuse("is damaged, or another key's");
    }
    return out;
  }

 private:
  [[noreturn]] static void refuse(const std::string& why) {
    throw Error(ErrorCode::key_unavailable, "what the ring carries " + why,
                "use the service that wrapped it");
  }

  const std::string kPrefix = "memory:v";
  std::mutex mutex_;
  std::vector<Version> versions_;
  std::size_t oldest_ = 1;
};

/// A client of them. Counts, and fails when told to.
class InMemoryKeyService final : public KeyService {
 public:
  explicit InMemoryKeyService(std::shared_ptr<ServiceKeys> keys = std::make_shared<ServiceKeys>())
      : keys_(std::move(keys)) {}

  std::string wrap(ByteView key) override {
    count(wraps);
    return keys_->encrypt(key);
  }
  Secret unwrap(std::string_view wrapped) override {
    count(unwraps);
    return keys_->decrypt(wrapped);
  }
  std::string rewrap(std::string_view wrapped) override {
    count(rewraps);
    std::string key = keys_->decrypt(wrapped);
    std::string out = keys_->encrypt(as_bytes(key));
    wipe(key);
    return out;
  }
  [[nodiscard]] ServiceKeys& keys() noexcept { return *keys_; }
  [[nodiscard]] int calls() const noexcept { return wraps + unwraps + rewraps; }

  std::atomic<int> wraps = 0;
  std::atomic<int> unwraps = 0;
  std::atomic<int> rewraps = 0;
  std::atomic<bool> away = false;

 private:
  void count(std::atomic<int>& calls) const {
    ++calls;
    if (away) throw Error(ErrorCode::unavailable, "the key service is away", "repeat later");
  }

  const std::shared_ptr<ServiceKeys> keys_;
};

}  // namespace db4::testing
