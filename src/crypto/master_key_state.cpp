#include "crypto/master_key_state.hpp"

#include <db4/error.hpp>

#include <sodium.h>

#include <algorithm>

namespace db4::crypto {
namespace {

static_assert(kPassphraseSaltBytes == crypto_pwhash_argon2id_SALTBYTES);

void run_argon2id(const MasterKeyState& master, const PassphraseParameters& parameters,
                  std::span<std::byte, kKeyBytes> out) {
  prepare_sodium();
  if (::crypto_pwhash_argon2id(reinterpret_cast<unsigned char*>(out.data()), out.size(),
                               reinterpret_cast<const char*>(master.bytes().data()), master.bytes().size(),
                               reinterpret_cast<const unsigned char*>(parameters.salt.data()),
                               parameters.cost.passes, parameters.cost.memory_bytes,
                               crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0) {
    throw Error(ErrorCode::resource_exhausted,
                "Argon2id got no " + std::to_string(parameters.cost.memory_bytes >> 20) +
                    " MiB of memory to make a key of the passphrase",
                "free memory, or raise the process's limits, then repeat");
  }
}

void derive_ring_keys(ByteView master, const RingId& ring, std::span<std::byte> keys,
                      std::span<std::byte> check) {
  WipedArray<kHashBytes> pseudorandom_key;
  hkdf_extract(ring, master, pseudorandom_key);
  hkdf_expand(pseudorandom_key, as_bytes("db4 key ring wrap"), keys.first(kKeyBytes));
  hkdf_expand(pseudorandom_key, as_bytes("db4 key ring authenticate"), keys.last(kKeyBytes));
  hkdf_expand(pseudorandom_key, as_bytes("db4 key ring check"), check);
}

std::string_view text_of(MasterKeyKind kind) {
  switch (kind) {
    case MasterKeyKind::key:
      return "a key";
    case MasterKeyKind::passphrase:
      return "a passphrase";
    case MasterKeyKind::service:
      break;
  }
  return "a key service";
}

}  // namespace

void check_kind(MasterKeyKind ring, MasterKeyKind given) {
  if (ring == given) return;
  throw Error(ErrorCode::key_unavailable,
              "the key ring is under " + std::string(text_of(ring)) + ", and " + std::string(text_of(given)) +
                  " was given",
              "give what it was made with, or what its last rewrap was given");
}

bool is_legal(const PassphraseCost& cost) noexcept {
  constexpr std::uint64_t kMinMemory = 8ULL << 20;
  constexpr std::uint64_t kMaxMemory = 4ULL << 30;
  return cost.memory_bytes >= kMinMemory && cost.memory_bytes <= kMaxMemory &&
         cost.memory_bytes % 1024 == 0 && cost.passes >= 1 && cost.passes <= 64;
}

RingKeys::RingKeys(const MasterKeyState& master, const RingId& ring,
                   const std::optional<PassphraseParameters>& parameters) {
  check_kind(parameters ? MasterKeyKind::passphrase : MasterKeyKind::key, master.kind());
  keys_ = GuardedBytes(2 * kKeyBytes, [&](std::span<std::byte> out) {
    if (!parameters) return derive_ring_keys(master.bytes(), ring, out, check_);
    WipedArray<kKeyBytes> stretched;
    run_argon2id(master, *parameters, stretched);
    derive_ring_keys(stretched, ring, out, check_);
  });
}

RingKeys::RingKeys(KeyView master, const RingId& ring) {
  keys_ = GuardedBytes(2 * kKeyBytes,
                       [&](std::span<std::byte> out) { derive_ring_keys(master, ring, out, check_); });
}

}  // namespace db4::crypto
