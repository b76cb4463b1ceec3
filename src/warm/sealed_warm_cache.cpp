// Names. The cache below sees HMAC(naming key, key), where the naming key is derived from a data key: nobody
// without it can tell which documents are held, nor look whether a guessed one is. The naming key is kept for
// one data key at a time, that of the last seal, so that a hit derives nothing. A process that only reads
// learns of a rotation when it takes a lease or puts, which is what follows a miss.
//
// Binding. A record is sealed with its name for an id, which stands for the key as no other name does, and
// with its version. So no record passes for another's. That an old entry is put back as a whole, old version
// and all, cannot be told here: it is a copy of that version, which no reader asks for any more.
#include "warm/sealed_warm_cache.hpp"

#include "base/wiping.hpp"
#include "sealing/kinds.hpp"
#include "warm/warm_entry.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <initializer_list>
#include <mutex>
#include <utility>

namespace db4::warm {
namespace {

using crypto::SealKey;

constexpr auto kWarmRecord = static_cast<std::uint8_t>(sealing::Kind::warm_record);
constexpr std::string_view kNamesLabel = "db4 warm names";

/// Hides keys, for one data key.
class Naming {
 public:
  Naming(const SealKey& key, std::string_view store_id)
      : key_id_(key.id()), hmac_state_(crypto::kHmacStateBytes, [&](std::span<std::byte> out) {
          // Stores that share a key ring do not share names.
          const std::string info = std::string(kNamesLabel).append(store_id);
          crypto::WipedArray<crypto::kHashBytes> naming_key;
          crypto::hkdf_expand(key.pseudorandom_key(), as_bytes(info), naming_key);
          crypto::make_hmac_state(naming_key, out.first<crypto::kHmacStateBytes>());
        }) {}

  [[nodiscard]] const crypto::KeyId& key_id() const noexcept { return key_id_; }
  [[nodiscard]] crypto::HmacState hmac_state() const noexcept {
    return hmac_state_.view().first<crypto::kHmacStateBytes>();
  }

 private:
  crypto::KeyId key_id_;
  crypto::GuardedBytes hmac_state_;
};

/// What the cache below knows a key by.
class HiddenKey {
 public:
  HiddenKey(const Naming& naming, std::string_view key) {
    const ByteView piece = as_bytes(key);
    crypto::hmac_sha256(naming.hmac_state(), {&piece, 1}, bytes_);
  }
  [[nodiscard]] std::string_view text() const noexcept { return as_text(bytes_); }

 private:
  std::array<std::byte, crypto::kHashBytes> bytes_;
};

/// What `call` gives; an empty answer where it fails with one of the codes.
template <typename Call>
auto unless_failed(std::initializer_list<ErrorCode> codes, const Call& call) -> decltype(call()) {
  try {
    return call();
  } catch (const Error& error) {
    if (std::ranges::find(codes, error.code()) == codes.end()) throw;
    return {};
  }
}

/// The longest record whose sealed form has at most so many bytes; 0 where none has.
std::uint64_t max_unsealed(std::uint64_t sealed_bytes, Padding padding) noexcept {
  std::uint64_t fits = 0;
  std::uint64_t too_long = std::min(sealed_bytes, kMaxSealedMessageBytes) + 1;
  while (too_long - fits > 1) {
    const std::uint64_t middle = fits + (too_long - fits) / 2;
    (crypto::sealed_size(middle, padding) <= sealed_bytes ? fits : too_long) = middle;
  }
  return fits;
}

class SealedWarmCache final : public WarmCache, public WarmLeases {
 public:
  SealedWarmCache(std::shared_ptr<WarmCache> cache, crypto::KeySource& keys, std::string store_id,
                  std::shared_ptr<RandomSource> random, Padding padding)
      : cache_(std::move(cache)),
        leases_(cache_->leases()),
        keys_(keys),
        store_id_(std::move(store_id)),
        random_(std::move(random)),
        padding_(padding) {}

  std::optional<WarmEntry> get(std::string_view key) override {
    const HiddenKey name = name_of(key);
    std::optional<WarmEntry> entry = cache_->get(name.text());
    if (!entry) return std::nullopt;
    entry->record = unsealed(name, *entry);
    if (entry->record != nullptr) return entry;
    ++unreadable_;
    cache_->remove(name.text());
    return std::nullopt;
  }

  void put(std::string_view key, const WarmEntry& entry) override {
    const auto [name, sealed] = seal(key, entry);
    cache_->put(name.text(), sealed);
  }

  void remove(std::string_view key) override { cache_->remove(name_of(key).text()); }
  void clear() override { cache_->clear(); }
  bool contains(std::string_view key, Version version, TimePoint now) override {
    return cache_->contains(name_of(key).text(), version, now);
  }

  WarmCacheStats stats() const override {
    WarmCacheStats stats = cache_->stats();
    stats.unreadable += unreadable_;
    return stats;
  }

  void close() override {
    {
      const std::lock_guard lock(naming_mutex_);
      naming_.reset();
    }
    cache_->close();
  }

  WarmLeases* leases() noexcept override { return leases_ == nullptr ? nullptr : this; }

  std::optional<std::string> take(std::string_view key, std::chrono::milliseconds duration) override {
    require_key(key);
    // Who takes a lease is about to put: by the key that is active now, so that he meets the others.
    const HiddenKey name(*naming_by(*keys_.for_sealing()), key);
    return leases_->take(name.text(), duration);
  }

  bool put_leased(std::string_view key, const WarmEntry& entry, std::string_view token) override {
    const auto [name, sealed] = seal(key, entry);
    return leases_->put_leased(name.text(), sealed, token);
  }

  void release(std::string_view key, std::string_view token) override {
    leases_->release(name_of(key).text(), token);
  }

  [[nodiscard]] std::uint64_t max_record_bytes() const noexcept override {
    return max_unsealed(leases_->max_record_bytes(), padding_);
  }

 private:
  using SharedNaming = std::shared_ptr<const Naming>;

  [[nodiscard]] SharedNaming kept_naming() const {
    const std::lock_guard lock(naming_mutex_);
    return naming_;
  }

  /// That of a key to seal with, kept from now on.
  SharedNaming naming_by(const SealKey& key) {
    SharedNaming naming = kept_naming();
    if (naming != nullptr && naming->key_id() == key.id()) return naming;
    naming = std::make_shared<const Naming>(key, store_id_);
    const std::lock_guard lock(naming_mutex_);
    return naming_ = std::move(naming);
  }

  HiddenKey name_of(std::string_view key) {
    require_key(key);
    SharedNaming naming = kept_naming();
    if (naming == nullptr) naming = naming_by(*keys_.for_sealing());
    return {*naming, key};
  }

  [[nodiscard]] SealContext context_of(const HiddenKey& name, Version version) const {
    return {.store_id = store_id_, .id = name.text(), .version = version, .codec = kWarmRecord};
  }

  std::pair<HiddenKey, WarmEntry> seal(std::string_view key, const WarmEntry& entry) {
    require_key(key);
    require_record(entry);
    const auto seal_key = keys_.for_sealing();
    const HiddenKey name(*naming_by(*seal_key), key);
    std::string sealed(crypto::sealed_size(entry.record->size(), padding_), '\0');
    crypto::seal_message(*seal_key, context_of(name, entry.version), as_bytes(*entry.record), padding_,
                         *random_, std::as_writable_bytes(std::span(sealed)));
    WarmEntry out = entry;
    out.record = std::make_shared<const std::string>(std::move(sealed));
    return {name, std::move(out)};
  }

  /// The record; null where it can never be had from these bytes.
  std::shared_ptr<const std::string> unsealed(const HiddenKey& name, const WarmEntry& entry) {
    const ByteView sealed = as_bytes(*entry.record);
    const auto key = key_to_open(sealed);
    if (key == nullptr) return nullptr;
    return unless_failed({ErrorCode::corrupt, ErrorCode::unsupported}, [&] {
      std::string record(sealed.size() - std::min(sealed.size(), crypto::kSealOverhead), '\0');
      record.resize(crypto::open_message(*key, context_of(name, entry.version), sealed,
                                         std::as_writable_bytes(std::span(record))));
      return share_content(std::move(record));
    });
  }

  std::shared_ptr<const SealKey> key_to_open(ByteView sealed) {
    const auto id = unless_failed({ErrorCode::corrupt, ErrorCode::unsupported},
                                  [&] { return std::optional(crypto::parse_sealed_header(sealed).key_id); });
    if (!id) return nullptr;
    auto key = unless_failed({ErrorCode::key_unavailable, ErrorCode::key_destroyed},
                             [&] { return keys_.for_opening(*id); });
    // A ring that is of no use at all says key_unavailable as well, here too: then the entry is not to blame.
    if (key == nullptr) naming_by(*keys_.for_sealing());
    return key;
  }

  const std::shared_ptr<WarmCache> cache_;
  WarmLeases* const leases_;  ///< the cache's
  crypto::KeySource& keys_;
  const std::string store_id_;
  const std::shared_ptr<RandomSource> random_;
  const Padding padding_;

  mutable std::mutex naming_mutex_;
  SharedNaming naming_;  ///< of the last seal; null before the first
  std::atomic<std::uint64_t> unreadable_ = 0;
};

}  // namespace

std::shared_ptr<WarmCache> seal_warm_cache(std::shared_ptr<WarmCache> cache, crypto::KeySource& keys,
                                           std::string store_id, std::shared_ptr<RandomSource> random,
                                           Padding padding) {
  if (cache == nullptr || store_id.size() > kMaxStoreIdBytes) {
    throw Error(ErrorCode::invalid_argument, "no warm cache to seal, or too long a store id",
                "give a cache, and at most " + std::to_string(kMaxStoreIdBytes) + " bytes for the store");
  }
  if (random == nullptr) random = system_random();
  return std::make_shared<SealedWarmCache>(std::move(cache), keys, std::move(store_id), std::move(random),
                                           padding);
}

}  // namespace db4::warm
