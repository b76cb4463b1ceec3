#include "sealing/sealer.hpp"

#include "base/encoding.hpp"
#include "base/wiping.hpp"
#include "crypto/seal.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <cstring>

namespace db4::sealing {
namespace {

[[noreturn]] void throw_no_keys() {
  throw Error(ErrorCode::key_unavailable, "this is sealed, and the store was opened without its master key",
              "set encryption.master_key, or TieredStoreConfig::encryption");
}

std::span<std::byte> writable(std::string& text) noexcept {
  return {reinterpret_cast<std::byte*>(text.data()), text.size()};
}

}  // namespace

KeyNumber number_of(const crypto::KeyId& id) noexcept {
  KeyNumber out = 0;
  static_assert(sizeof out == crypto::kKeyIdBytes);
  std::memcpy(&out, id.data(), sizeof out);
  return out;
}

std::string to_text(KeyNumber key) {
  if (key == 0) return {};
  crypto::KeyId id{};
  std::memcpy(id.data(), &key, sizeof key);
  return crypto::to_text(id);
}

KeyNumber key_of(std::string_view sealed) {
  return number_of(crypto::parse_sealed_header(as_bytes(sealed)).key_id);
}

Sealer::Sealer(std::shared_ptr<EncryptionManager> manager, bool writes, Padding padding,
               std::shared_ptr<RandomSource> random)
    : manager_(std::move(manager)), writes_(writes), padding_(padding), random_(std::move(random)) {}

crypto::KeySource& Sealer::keys() const {
  if (!manager_) throw_no_keys();
  return manager_->keys();
}

void Sealer::check_key(KeyNumber key) const {
  if (key == 0) return;
  crypto::KeyId id{};
  std::memcpy(id.data(), &key, sizeof key);
  (void)keys().for_opening(id);
}

KeyNumber Sealer::wanted_key() const {
  if (!seals()) return 0;
  const auto id = crypto::key_id_from_text(manager_->active_key_id());
  return id ? number_of(*id) : 0;
}

SealContext Sealer::context(std::uint8_t codec, const Identity& identity) const noexcept {
  return {.store_id = store_id_,
          .collection = identity.collection,
          .id = identity.id,
          .version = identity.version,
          .codec = codec};
}

Sealer::Sealed Sealer::seal(std::uint8_t codec, const Identity& identity, ByteView plaintext,
                            Padding padding) const {
  return seal(*keys().for_sealing(), codec, identity, plaintext, padding);
}

Sealer::Sealed Sealer::seal(const crypto::SealKey& key, std::uint8_t codec, const Identity& identity,
                            ByteView plaintext, Padding padding) const {
  Sealed out{.bytes = std::string(crypto::sealed_size(plaintext.size(), padding), '\0'),
             .key = number_of(key.id())};
  crypto::seal_message(key, context(codec, identity), plaintext, padding, *random_, writable(out.bytes));
  return out;
}

std::string Sealer::open(std::uint8_t codec, const Identity& identity, std::string_view sealed) const {
  crypto::KeySource& source = keys();
  const auto key = source.for_opening(crypto::parse_sealed_header(as_bytes(sealed)).key_id);
  std::string out(sealed.size() - std::min(sealed.size(), crypto::kSealOverhead), '\0');
  out.resize(crypto::open_message(*key, context(codec, identity), as_bytes(sealed), writable(out)));
  return out;
}

void Sealer::open_into(Kind kind, const Identity& identity, std::string_view sealed,
                       std::span<std::byte> out) const {
  if (sealed.size() != crypto::sealed_size(out.size(), Padding::none)) {
    std::string opened = open(kind, identity, sealed);
    const ReleasedAtEnd released(opened);
    if (opened.size() != out.size()) {
      throw Error(ErrorCode::corrupt, "sealed bytes have another length than they should have",
                  "restore them from a backup");
    }
    std::ranges::copy(as_bytes(opened), out.begin());
    return;
  }
  crypto::KeySource& source = keys();
  const auto key = source.for_opening(crypto::parse_sealed_header(as_bytes(sealed)).key_id);
  const std::size_t size =
      crypto::open_message(*key, context(static_cast<std::uint8_t>(kind), identity), as_bytes(sealed), out);
  if (size == out.size()) return;
  crypto::wipe(out);
  throw Error(ErrorCode::corrupt, "sealed bytes have another length than they should have",
              "restore them from a backup");
}

}  // namespace db4::sealing
