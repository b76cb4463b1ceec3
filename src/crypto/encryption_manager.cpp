#include "crypto/key_lifecycle.hpp"
#include "crypto/key_ring_access.hpp"
#include "crypto/key_ring_owner.hpp"
#include "crypto/key_source.hpp"

#include <db4/encryption.hpp>
#include <db4/error.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace db4 {
namespace {

using crypto::KeyId;
using crypto::KeyRing;
using crypto::RingKey;
using crypto::RingKeys;
using crypto::SealKey;

void check(const EncryptionConfig& config) {
  constexpr std::chrono::seconds kLongest = std::chrono::hours{24 * 36'500};
  const bool times =
      config.default_key_expiration > std::chrono::seconds{0} && config.default_key_expiration <= kLongest &&
      config.destruction_grace_period >= std::chrono::seconds{0} &&
      config.destruction_grace_period <= kLongest && config.refresh_interval >= std::chrono::milliseconds{0};
  if (times && config.use_block >= 1 && config.use_block <= config.max_uses_per_key) return;
  throw Error(
      ErrorCode::invalid_argument, "a configuration of encryption that makes no sense",
      "use times from 0 (an expiration above 0) to 100 years, and use_block from 1 to max_uses_per_key");
}

KeyId id_of(std::string_view text) {
  const auto id = crypto::key_id_from_text(text);
  if (id) return *id;
  throw Error(ErrorCode::invalid_argument, "the id of a key is sixteen hexadecimal digits",
              "look at list_keys()");
}

RingKey& require_key(KeyRing& ring, const KeyId& id) {
  RingKey* const key = crypto::find_key(ring, id);
  if (key != nullptr) return *key;
  throw Error(ErrorCode::key_unavailable, "the key ring has no key " + crypto::to_text(id),
              "look at list_keys()");
}

void refuse_needed(std::uint64_t uses, const KeyId& id) {
  if (uses == 0) return;
  throw Error(ErrorCode::invalid_argument,
              "the key " + crypto::to_text(id) + " is needed by " + std::to_string(uses) +
                  " documents, which nobody could read any more",
              "re-encrypt them first, or force its destruction");
}

KeyInfo info_of(const RingKey& key) {
  KeyInfo info{.id = crypto::to_text(key.id),
               .state = key.state,
               .created_at = key.created_at,
               .expires_at = key.expires_at,
               .uses = key.uses};
  if (key.state == KeyState::pending_destruction) info.destroy_after = key.destroy_after;
  return info;
}

}  // namespace

std::string_view to_string(KeyState state) noexcept {
  switch (state) {
    case KeyState::active:
      return "active";
    case KeyState::decrypt_only:
      return "decrypt_only";
    case KeyState::pending_destruction:
      return "pending_destruction";
    case KeyState::destroyed:
      return "destroyed";
  }
  return "unknown";
}

// One mutex for all: what happens under it is counting, and now and then one small read or write of the ring.
// The sealing itself is outside.
class EncryptionManager::State final : public crypto::KeySource, public crypto::KeyRingOwner {
 public:
  State(EncryptionConfig config, std::shared_ptr<Clock> clock, std::shared_ptr<RandomSource> random)
      : config_(std::move(config)),
        clock_(std::move(clock)),
        random_(std::move(random)),
        keeps_alone_(config_.key_store == nullptr),
        access_(std::exchange(config_.master_key, {}),
                config_.key_store ? config_.key_store : std::make_shared<InMemoryKeyStore>(), random_) {}

  KeyRotation rotate(const RotationOptions& options);
  std::vector<KeyInfo> list();
  std::string active_id();
  TimePoint schedule_destruction(const KeyId& id, bool force);
  void cancel_destruction(const KeyId& id);
  ExpirationResult process_expirations();
  void rewrap(const MasterKey& master);

  std::shared_ptr<const SealKey> for_sealing() override;
  std::shared_ptr<const SealKey> for_opening(const KeyId& id) override;
  RandomSource& random() noexcept { return *random_; }
  void tell_key_gone() const;

  bool keep_in(std::shared_ptr<KeyStore> store) override;
  void initialize(bool may_create) override;
  crypto::RingId ring_id() override;
  std::uint64_t generation() override;
  Snapshot snapshot() override;
  std::uint64_t add_user(User user) override;
  void remove_user(std::uint64_t number) override;

 private:
  void require_initialized() const;
  bool has_users() const;
  void reload();
  void refresh_for_sealing();
  void refresh_for_opening();
  [[nodiscard]] bool is_stale() const;
  void change(const crypto::KeyRingAccess::Change& apply);
  void reserve_uses();
  KeyId add_key(KeyRing& ring, const RingKeys& keys);
  std::uint64_t count_uses(const KeyId& id) const;
  std::vector<KeyId> due_and_unforced();
  [[noreturn]] void refuse_to_open(const KeyId& id) const;

  EncryptionConfig config_;  // without the master key, which access_ has
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;
  const bool keeps_alone_;  // nobody said where the key ring is to be kept

  mutable std::mutex mutex_;
  crypto::KeyRingAccess access_;
  bool initialized_ = false;
  std::optional<MonotonicTime> read_at_;  // nullopt: to be read before it is used
  std::uint64_t uses_left_ = 0;           // of those reserved in the ring, for the key below
  KeyId uses_of_{};

  mutable std::mutex users_mutex_;  // may be taken while mutex_ is held, and not the other way round
  std::map<std::uint64_t, User> users_;
  std::uint64_t next_user_ = 1;
};

bool EncryptionManager::State::keep_in(std::shared_ptr<KeyStore> store) {
  const std::lock_guard lock(mutex_);
  if (!keeps_alone_) return false;
  if (!initialized_) {
    access_.keep_in(std::move(store));
    return true;
  }
  // The store that has its ring was closed, and is opened again, or was rebuilt.
  if (has_users() || !access_.move_to(std::move(store))) {
    throw Error(ErrorCode::invalid_argument,
                "the encryption manager keeps its key ring in memory, or in another store's database",
                "give it a key_store, or make one manager for each store and let that initialize it");
  }
  read_at_ = clock_->monotonic();
  uses_left_ = 0;
  return true;
}

crypto::RingId EncryptionManager::State::ring_id() {
  const std::lock_guard lock(mutex_);
  require_initialized();
  return access_.ring().id;
}

std::uint64_t EncryptionManager::State::generation() {
  const std::lock_guard lock(mutex_);
  require_initialized();
  return access_.ring().generation;
}

crypto::KeyRingOwner::Snapshot EncryptionManager::State::snapshot() {
  const std::lock_guard lock(mutex_);
  require_initialized();
  return {.generation = access_.ring().generation, .bytes = access_.bytes()};
}

std::uint64_t EncryptionManager::State::add_user(User user) {
  const std::lock_guard lock(users_mutex_);
  users_.emplace(next_user_, std::move(user));
  return next_user_++;
}

void EncryptionManager::State::remove_user(std::uint64_t number) {
  const std::lock_guard lock(users_mutex_);
  users_.erase(number);
}

bool EncryptionManager::State::has_users() const {
  const std::lock_guard lock(users_mutex_);
  return !users_.empty();
}

void EncryptionManager::State::tell_key_gone() const {
  const std::lock_guard lock(users_mutex_);
  for (const auto& [number, user] : users_) {
    if (user.on_key_gone) user.on_key_gone();
  }
}

void EncryptionManager::State::initialize(bool may_create) {
  const std::lock_guard lock(mutex_);
  if (initialized_) return;
  const auto fill = [&](KeyRing& ring, const RingKeys& keys) { add_key(ring, keys); };
  if (!access_.open()) {
    if (!config_.create_key_ring || !may_create) {
      throw Error(ErrorCode::key_unavailable, "there is no key ring", "put it where it is looked for");
    }
    // Where another process makes one at the same moment, that one holds.
    if (!access_.create(fill) && !access_.open()) {
      throw Error(ErrorCode::key_unavailable, "a key ring was made and removed again", "repeat");
    }
  }
  read_at_ = clock_->monotonic();
  initialized_ = true;
}

KeyId EncryptionManager::State::add_key(KeyRing& ring, const RingKeys& keys) {
  return crypto::add_active_key(ring, clock_->now(), config_.default_key_expiration, keys, *random_);
}

void EncryptionManager::State::require_initialized() const {
  if (initialized_) return;
  throw Error(ErrorCode::invalid_argument, "the encryption manager is not initialized",
              "call initialize() first");
}

void EncryptionManager::State::reload() {
  require_initialized();
  read_at_.reset();
  access_.reload();
  read_at_ = clock_->monotonic();
}

bool EncryptionManager::State::is_stale() const {
  return !read_at_ || clock_->monotonic() - *read_at_ >= config_.refresh_interval;
}

// A process that cannot learn of changes must not go on sealing: the key may be on its way to destruction.
void EncryptionManager::State::refresh_for_sealing() {
  require_initialized();
  if (is_stale()) reload();
}

// Opening with a key that was usable a moment ago does no harm: where the ring cannot be read now, it may go
// on.
void EncryptionManager::State::refresh_for_opening() {
  require_initialized();
  if (!is_stale()) return;
  try {
    reload();
  } catch (const Error& error) {
    if (!error.retryable()) throw;
  }
}

void EncryptionManager::State::change(const crypto::KeyRingAccess::Change& apply) {
  require_initialized();
  read_at_.reset();  // where this throws, what stands in the store is unknown
  access_.change(apply);
  read_at_ = clock_->monotonic();
}

std::shared_ptr<const SealKey> EncryptionManager::State::for_sealing() {
  const std::lock_guard lock(mutex_);
  refresh_for_sealing();
  if (uses_left_ == 0 || uses_of_ != access_.active()->id()) reserve_uses();
  --uses_left_;
  return access_.active();
}

// Ahead of time, so that a process that is killed has counted too many and never too few.
void EncryptionManager::State::reserve_uses() {
  change([&](KeyRing& ring, const RingKeys& keys) {
    if (crypto::active_key(ring).uses > config_.max_uses_per_key - config_.use_block) add_key(ring, keys);
    crypto::active_key(ring).uses += config_.use_block;
    return true;
  });
  uses_left_ = config_.use_block;
  uses_of_ = access_.active()->id();
}

std::shared_ptr<const SealKey> EncryptionManager::State::for_opening(const KeyId& id) {
  const std::lock_guard lock(mutex_);
  refresh_for_opening();
  if (auto key = access_.usable(id)) return key;
  // Made by another process since, perhaps.
  reload();
  if (auto key = access_.usable(id)) return key;
  refuse_to_open(id);
}

void EncryptionManager::State::refuse_to_open(const KeyId& id) const {
  const RingKey* const key = crypto::find_key(access_.ring(), id);
  const std::string name = "the key " + crypto::to_text(id);
  if (key == nullptr) {
    throw Error(ErrorCode::key_unavailable, name + " is not in the key ring",
                "open it with the key ring that it was sealed with");
  }
  if (key->state == KeyState::destroyed) {
    throw Error(ErrorCode::key_destroyed, name + " is destroyed", "nothing opens what was sealed with it");
  }
  throw Error(ErrorCode::key_unavailable, name + " awaits its destruction",
              "cancel_destruction() brings it back");
}

std::uint64_t EncryptionManager::State::count_uses(const KeyId& id) const {
  const std::string name = crypto::to_text(id);
  std::uint64_t uses = config_.use_counter ? config_.use_counter(name) : 0;
  // Held while they count: a store that closes waits for that.
  const std::lock_guard lock(users_mutex_);
  for (const auto& [number, user] : users_) uses += user.count(name);
  return uses;
}

KeyRotation EncryptionManager::State::rotate(const RotationOptions& options) {
  std::optional<KeyId> to_go;
  if (!options.keep_old_key) {
    to_go = id_of(active_id());
    if (!options.force) refuse_needed(count_uses(*to_go), *to_go);
  }
  const std::lock_guard lock(mutex_);
  KeyRotation rotation;
  change([&](KeyRing& ring, const RingKeys& keys) {
    const KeyId old = crypto::active_key(ring).id;
    if (to_go && *to_go != old) {
      throw Error(ErrorCode::conflict, "another process rotated the key at the same moment",
                  "look at list_keys(), then decide again");
    }
    rotation = {.old_key_id = crypto::to_text(old), .new_key_id = crypto::to_text(add_key(ring, keys))};
    if (to_go) {
      crypto::schedule_destruction(require_key(ring, old), clock_->now() + config_.destruction_grace_period,
                                   options.force);
    }
    return true;
  });
  return rotation;
}

std::vector<KeyInfo> EncryptionManager::State::list() {
  const std::lock_guard lock(mutex_);
  reload();
  std::vector<KeyInfo> keys;
  for (const RingKey& key : access_.ring().keys) keys.push_back(info_of(key));
  return keys;
}

std::string EncryptionManager::State::active_id() {
  const std::lock_guard lock(mutex_);
  refresh_for_sealing();
  return crypto::to_text(access_.active()->id());
}

TimePoint EncryptionManager::State::schedule_destruction(const KeyId& id, bool force) {
  if (!force) refuse_needed(count_uses(id), id);
  const std::lock_guard lock(mutex_);
  TimePoint when{};
  change([&](KeyRing& ring, const RingKeys&) {
    RingKey& key = require_key(ring, id);
    crypto::schedule_destruction(key, clock_->now() + config_.destruction_grace_period, force);
    when = key.destroy_after;
    return true;
  });
  return when;
}

void EncryptionManager::State::cancel_destruction(const KeyId& id) {
  const std::lock_guard lock(mutex_);
  change([&](KeyRing& ring, const RingKeys&) {
    crypto::cancel_destruction(require_key(ring, id));
    return true;
  });
}

std::vector<KeyId> EncryptionManager::State::due_and_unforced() {
  const std::lock_guard lock(mutex_);
  reload();
  std::vector<KeyId> due;
  for (const RingKey& key : access_.ring().keys) {
    if (!key.forced && crypto::is_due_for_destruction(key, clock_->now())) due.push_back(key.id);
  }
  return due;
}

ExpirationResult EncryptionManager::State::process_expirations() {
  std::vector<KeyId> unneeded;
  std::vector<std::string> still_needed;
  for (const KeyId& id : due_and_unforced()) {  // counted without the lock, since counting may take its time
    if (count_uses(id) == 0) {
      unneeded.push_back(id);
    } else {
      still_needed.push_back(crypto::to_text(id));
    }
  }
  const std::lock_guard lock(mutex_);
  ExpirationResult result;
  change([&](KeyRing& ring, const RingKeys& keys) {
    result = {.still_needed = still_needed};
    const TimePoint now = clock_->now();
    for (RingKey& key : ring.keys) {
      if (!crypto::is_due_for_destruction(key, now)) continue;
      if (!key.forced && std::ranges::find(unneeded, key.id) == unneeded.end()) continue;
      crypto::destroy(key);
      result.destroyed.push_back(crypto::to_text(key.id));
    }
    const RingKey active = crypto::active_key(ring);
    if (active.expires_at <= now) {
      result.rotated = {.old_key_id = crypto::to_text(active.id),
                        .new_key_id = crypto::to_text(add_key(ring, keys))};
    }
    return result.rotated || !result.destroyed.empty();
  });
  return result;
}

void EncryptionManager::State::rewrap(const MasterKey& master) {
  const std::lock_guard lock(mutex_);
  reload();
  read_at_.reset();
  access_.rewrap(master);
  read_at_ = clock_->monotonic();
}

EncryptionManager::EncryptionManager(EncryptionConfig config, std::shared_ptr<Clock> clock,
                                     std::shared_ptr<RandomSource> random) {
  check(config);
  state_ = std::make_unique<State>(std::move(config), std::move(clock), std::move(random));
}
EncryptionManager::~EncryptionManager() = default;

void EncryptionManager::initialize() { state_->initialize(/*may_create=*/true); }
KeyRotation EncryptionManager::rotate_key(RotationOptions options) {
  KeyRotation rotation = state_->rotate(options);
  if (!options.keep_old_key) state_->tell_key_gone();
  return rotation;
}
std::vector<KeyInfo> EncryptionManager::list_keys() { return state_->list(); }
std::string EncryptionManager::active_key_id() { return state_->active_id(); }
TimePoint EncryptionManager::schedule_destruction(std::string_view key_id, DestructionOptions options) {
  const TimePoint when = state_->schedule_destruction(id_of(key_id), options.force);
  state_->tell_key_gone();
  return when;
}
void EncryptionManager::cancel_destruction(std::string_view key_id) {
  state_->cancel_destruction(id_of(key_id));
}
ExpirationResult EncryptionManager::process_expirations() { return state_->process_expirations(); }
void EncryptionManager::rewrap(const MasterKey& new_master_key) { state_->rewrap(new_master_key); }

std::uint64_t EncryptionManager::sealed_size(std::uint64_t plaintext_bytes, Padding padding) noexcept {
  return crypto::sealed_size(plaintext_bytes, padding);
}

void EncryptionManager::seal_into(std::span<std::byte> out, ByteView plaintext, const SealContext& context,
                                  Padding padding) {
  crypto::seal_message(*state_->for_sealing(), context, plaintext, padding, state_->random(), out);
}

Bytes EncryptionManager::seal(ByteView plaintext, const SealContext& context, Padding padding) {
  Bytes sealed(crypto::sealed_size(plaintext.size(), padding));
  seal_into(sealed, plaintext, context, padding);
  return sealed;
}

std::size_t EncryptionManager::open_into(std::span<std::byte> out, ByteView sealed,
                                         const SealContext& context) {
  const KeyId id = crypto::parse_sealed_header(sealed).key_id;
  return crypto::open_message(*state_->for_opening(id), context, sealed, out);
}

Bytes EncryptionManager::open(ByteView sealed, const SealContext& context) {
  Bytes opened(sealed.size() - std::min(sealed.size(), crypto::kSealOverhead));
  opened.resize(open_into(opened, sealed, context));
  return opened;
}

std::string EncryptionManager::key_id_of(ByteView sealed) {
  return crypto::to_text(crypto::parse_sealed_header(sealed).key_id);
}

bool EncryptionManager::needs_reencryption(ByteView sealed) { return key_id_of(sealed) != active_key_id(); }

crypto::KeySource& EncryptionManager::keys() noexcept { return *state_; }
crypto::KeyRingOwner& EncryptionManager::owner() noexcept { return *state_; }

}  // namespace db4
