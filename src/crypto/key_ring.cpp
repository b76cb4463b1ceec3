#include "crypto/key_ring.hpp"

#include "base/encoding.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <set>

namespace db4::crypto {
namespace {

constexpr std::string_view kMagic = "DB4K";
constexpr std::uint8_t kFormat = 1;
constexpr std::string_view kWrapLabel = "db4 wrapped data key";

[[noreturn]] void throw_corrupt(std::string problem) {
  throw Error(ErrorCode::corrupt, std::move(problem),
              "put the key ring back from its newest copy; find out who or what changed it");
}

template <std::size_t kSize>
void put_array(std::string& out, const std::array<std::byte, kSize>& bytes) {
  out.append(as_text(bytes));
}

template <std::size_t kSize>
void read_array(Reader& in, std::array<std::byte, kSize>& bytes) {
  const std::string_view from = in.bytes(kSize);
  if (in.ok()) std::ranges::copy(as_bytes(from), bytes.begin());
}

void put_time(std::string& out, TimePoint time) {
  put_fixed(out, std::int64_t{time.time_since_epoch().count()});
}
TimePoint read_time(Reader& in) { return TimePoint(std::chrono::microseconds(in.fixed<std::int64_t>())); }

void put_key(std::string& out, const RingKey& key) {
  put_array(out, key.id);
  out.push_back(static_cast<char>(key.state));
  out.push_back(static_cast<char>(key.forced));
  put_time(out, key.created_at);
  put_time(out, key.expires_at);
  put_time(out, key.destroy_after);
  put_fixed(out, key.uses);
  put_array(out, key.wrapped);
}

RingKey read_key(Reader& in) {
  RingKey key;
  read_array(in, key.id);
  const auto state = in.fixed<std::uint8_t>();
  const auto forced = in.fixed<std::uint8_t>();
  if (in.ok() && (state < 1 || state > 4 || forced > 1))
    throw_corrupt("a key ring has a key in no known state");
  key.state = static_cast<KeyState>(state);
  key.forced = forced == 1;
  key.created_at = read_time(in);
  key.expires_at = read_time(in);
  key.destroy_after = read_time(in);
  key.uses = in.fixed<std::uint64_t>();
  read_array(in, key.wrapped);
  return key;
}

void put_passphrase(std::string& out, const PassphraseParameters& parameters) {
  put_array(out, parameters.salt);
  put_fixed(out, static_cast<std::uint32_t>(parameters.cost.memory_bytes >> 10));
  put_fixed(out, parameters.cost.passes);
}

PassphraseParameters read_passphrase(Reader& in) {
  PassphraseParameters parameters;
  read_array(in, parameters.salt);
  parameters.cost.memory_bytes = std::uint64_t{in.fixed<std::uint32_t>()} << 10;
  parameters.cost.passes = in.fixed<std::uint32_t>();
  return parameters;
}

/// Only a ring under a key service has this field, so that others stay what they were, byte for byte.
void put_wrapped_master(std::string& out, const std::string& wrapped) {
  put_fixed(out, static_cast<std::uint16_t>(wrapped.size()));
  out.append(wrapped);
}

std::string read_wrapped_master(Reader& in) {
  const auto size = in.fixed<std::uint16_t>();
  std::string wrapped(in.bytes(size));
  if (in.ok() && (size == 0 || size > kMaxWrappedKeyBytes))
    throw_corrupt("a key ring has a wrapped master key of a size out of range");
  return wrapped;
}

void check_keys(const KeyRing& ring) {
  std::set<KeyId> ids;
  for (const RingKey& key : ring.keys) ids.insert(key.id);
  const auto active = std::ranges::count(ring.keys, KeyState::active, &RingKey::state);
  if (active != 1 || ids.size() != ring.keys.size())
    throw_corrupt("a key ring has not exactly one active key");
}

std::string wrap_context(const RingId& ring, const KeyId& key) {
  std::string context(kWrapLabel);
  put_array(context, ring);
  put_array(context, key);
  return context;
}

template <typename Ring>
auto* find_in(Ring& ring, const KeyId& id) noexcept {
  const auto at = std::ranges::find(ring.keys, id, &RingKey::id);
  return at == ring.keys.end() ? nullptr : &*at;
}

template <typename Ring>
auto& active_in(Ring& ring) {
  return *std::ranges::find(ring.keys, KeyState::active, &RingKey::state);  // check_keys saw to it
}

bool is_known(std::uint8_t kind) {
  return kind >= static_cast<std::uint8_t>(MasterKeyKind::key) &&
         kind <= static_cast<std::uint8_t>(MasterKeyKind::service);
}

}  // namespace

MasterKeyKind master_kind(const KeyRing& ring) noexcept {
  if (!ring.wrapped_master.empty()) return MasterKeyKind::service;
  return ring.passphrase ? MasterKeyKind::passphrase : MasterKeyKind::key;
}

RingKey* find_key(KeyRing& ring, const KeyId& id) noexcept { return find_in(ring, id); }
const RingKey* find_key(const KeyRing& ring, const KeyId& id) noexcept { return find_in(ring, id); }
RingKey& active_key(KeyRing& ring) { return active_in(ring); }
const RingKey& active_key(const KeyRing& ring) { return active_in(ring); }

std::string encode_key_ring(const KeyRing& ring, const RingKeys& keys) {
  std::string out(kMagic);
  out.push_back(static_cast<char>(kFormat));
  out.push_back(static_cast<char>(master_kind(ring)));
  put_fixed(out, static_cast<std::uint16_t>(ring.keys.size()));
  put_array(out, ring.id);
  put_fixed(out, ring.generation);
  put_passphrase(out,
                 ring.passphrase.value_or(PassphraseParameters{.cost = {.memory_bytes = 0, .passes = 0}}));
  put_array(out, ring.master_check);
  if (master_kind(ring) == MasterKeyKind::service) put_wrapped_master(out, ring.wrapped_master);
  for (const RingKey& key : ring.keys) put_key(out, key);
  std::array<std::byte, kHashBytes> tag{};
  const ByteView all = as_bytes(out);
  hmac_sha256(keys.authenticating(), {&all, 1}, tag);
  put_array(out, tag);
  return out;
}

KeyRing parse_key_ring(std::string_view bytes) {
  Reader in(bytes);
  if (in.bytes(kMagic.size()) != kMagic) throw_corrupt("these bytes are no key ring");
  const auto format = in.fixed<std::uint8_t>();
  const auto master = in.fixed<std::uint8_t>();
  if (in.ok() && (format != kFormat || !is_known(master))) {
    throw Error(ErrorCode::unsupported, "the key ring is of a newer format",
                "use the release of db4 that wrote it");
  }
  const auto count = in.fixed<std::uint16_t>();
  KeyRing ring;
  read_array(in, ring.id);
  ring.generation = in.fixed<std::uint64_t>();
  const PassphraseParameters parameters = read_passphrase(in);
  const auto kind = static_cast<MasterKeyKind>(master);
  if (kind == MasterKeyKind::passphrase) {
    if (in.ok() && !is_legal(parameters.cost))
      throw_corrupt("a key ring wants a passphrase of a cost out of range");
    ring.passphrase = parameters;
  }
  read_array(in, ring.master_check);
  if (kind == MasterKeyKind::service) ring.wrapped_master = read_wrapped_master(in);
  for (std::size_t i = 0; i < count && in.ok(); ++i) ring.keys.push_back(read_key(in));
  std::ignore = in.bytes(kHashBytes);
  if (!in.done() || count > kMaxKeys) throw_corrupt("a key ring is cut short, extended or damaged");
  check_keys(ring);
  return ring;
}

void check_key_ring(const KeyRing& ring, std::string_view bytes, const RingKeys& keys) {
  if (!equal_in_constant_time(ring.master_check, keys.check())) {
    throw Error(ErrorCode::key_unavailable, "the key ring is under another master key than the one given",
                "give the one it was made with, or the one of its last rewrap");
  }
  std::array<std::byte, kHashBytes> tag{};
  const ByteView authenticated = as_bytes(bytes.substr(0, bytes.size() - kHashBytes));
  hmac_sha256(keys.authenticating(), {&authenticated, 1}, tag);
  if (!equal_in_constant_time(tag, as_bytes(bytes.substr(bytes.size() - kHashBytes)))) {
    throw_corrupt("the key ring is damaged, or was changed by somebody without the master key");
  }
}

void wrap_key(KeyView data_key, const RingId& ring, RingKey& into, const RingKeys& keys,
              RandomSource& random) {
  const std::span<std::byte> wrapped(into.wrapped);
  const auto nonce = wrapped.first<kNonceBytes>();
  random.fill(nonce);
  const std::string context = wrap_context(ring, into.id);
  const ByteView bound = as_bytes(context);
  const ByteView plaintext = data_key;
  aes_gcm_seal(keys.wrapping(), nonce, {&bound, 1}, {&plaintext, 1}, wrapped.subspan(kNonceBytes));
  aes_gcm_forget_key();
}

GuardedBytes unwrap_key(const RingKey& key, const RingId& ring, const RingKeys& keys) {
  const ByteView wrapped(key.wrapped);
  const std::string context = wrap_context(ring, key.id);
  const ByteView bound = as_bytes(context);
  return {kKeyBytes, [&](std::span<std::byte> out) {
            const bool right = aes_gcm_open(keys.wrapping(), wrapped.first<kNonceBytes>(), {&bound, 1},
                                            wrapped.subspan(kNonceBytes), out);
            aes_gcm_forget_key();
            if (!right) {
              throw_corrupt("the key " + to_text(key.id) + " in the key ring is damaged");
            }
          }};
}

}  // namespace db4::crypto
