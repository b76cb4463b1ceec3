#include "crypto_fixtures.hpp"

#include <db4/encryption.hpp>

#include <atomic>
#include <map>
#include <set>
#include <thread>

namespace db4::crypto {
namespace {

using namespace std::chrono_literals;

constexpr PassphraseCost kCheap{.memory_bytes = 8ULL << 20, .passes = 1};

/// Counts, and fails when told to.
class WatchedKeyStore final : public KeyStore {
 public:
  std::optional<std::string> load() override {
    ++loads;
    if (away) throw Error(ErrorCode::unavailable, "the key store is away", "repeat later");
    return inner.load();
  }
  bool replace(const std::optional<std::string>& expected, std::string_view ring) override {
    ++replaces;
    if (away) throw Error(ErrorCode::unavailable, "the key store is away", "repeat later");
    return inner.replace(expected, ring);
  }
  InMemoryKeyStore inner;
  std::atomic<int> loads = 0;
  std::atomic<int> replaces = 0;
  std::atomic<bool> away = false;
};

class EncryptionManagerTest : public ::testing::Test {
 protected:
  EncryptionConfig config() { return {.master_key = master_, .key_store = store_}; }
  std::unique_ptr<EncryptionManager> open(EncryptionConfig with) {
    auto manager = std::make_unique<EncryptionManager>(std::move(with), clock_);
    manager->initialize();
    return manager;
  }
  std::unique_ptr<EncryptionManager> open() { return open(config()); }
  static KeyState state_of(EncryptionManager& manager, std::string_view id) {
    for (const KeyInfo& key : manager.list_keys()) {
      if (key.id == id) return key.state;
    }
    throw std::runtime_error("no such key");
  }
  static std::optional<ErrorCode> open_error(EncryptionManager& manager, ByteView sealed) {
    return error_of([&] { std::ignore = manager.open(sealed, kContext); });
  }

  MasterKey master_ = generate_master_key();
  std::shared_ptr<WatchedKeyStore> store_ = std::make_shared<WatchedKeyStore>();
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
};

TEST_F(EncryptionManagerTest, StartsWithOneActiveKey) {
  const auto manager = open();
  const auto keys = manager->list_keys();
  ASSERT_EQ(keys.size(), 1);
  EXPECT_EQ(keys[0].state, KeyState::active);
  EXPECT_EQ(keys[0].created_at, clock_->now());
  EXPECT_EQ(keys[0].expires_at, clock_->now() + 90 * 24h);
  EXPECT_EQ(keys[0].destroy_after, std::nullopt);
  EXPECT_EQ(keys[0].id, manager->active_key_id());
}

TEST_F(EncryptionManagerTest, OpensWhatAnEarlierOneSealed) {
  const Bytes sealed = open()->seal(pattern(1'000), kContext);
  EXPECT_EQ(open()->open(sealed, kContext), pattern(1'000));
}

TEST_F(EncryptionManagerTest, SealsIntoTheCallersBuffer) {
  const auto manager = open();
  Bytes sealed(EncryptionManager::sealed_size(10));
  manager->seal_into(sealed, pattern(10), kContext);
  Bytes opened(sealed.size());
  EXPECT_EQ(manager->open_into(opened, sealed, kContext), 10);
  Bytes wrong(sealed.size() + 1);
  EXPECT_EQ(error_of([&] { manager->seal_into(wrong, pattern(10), kContext); }), ErrorCode::invalid_argument);
}

TEST_F(EncryptionManagerTest, WritesNothingWithoutTheRightMasterKey) {
  const auto refused = [&](MasterKey master) {
    EncryptionConfig with = config();
    with.master_key = std::move(master);
    const int before = store_->replaces;
    EXPECT_EQ(error_of([&] { open(with); }), ErrorCode::key_unavailable);
    EXPECT_EQ(store_->replaces, before);
  };
  refused(MasterKey());
  open();
  refused(MasterKey());
  refused(generate_master_key());
  refused(master_key_from_passphrase("a passphrase", kCheap));
}

TEST_F(EncryptionManagerTest, MayBeToldNotToMakeARing) {
  EncryptionConfig with = config();
  with.create_key_ring = false;
  EXPECT_EQ(error_of([&] { open(with); }), ErrorCode::key_unavailable);
  EXPECT_EQ(store_->inner.load(), std::nullopt);
  open();
  EXPECT_EQ(error_of([&] { open(with); }), std::nullopt);
}

TEST_F(EncryptionManagerTest, MustBeInitialized) {
  EncryptionManager manager(config(), clock_);
  EXPECT_EQ(error_of([&] { std::ignore = manager.seal({}, {}); }), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { manager.rotate_key(); }), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { std::ignore = manager.list_keys(); }), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { manager.rewrap(generate_master_key()); }), ErrorCode::invalid_argument);
  EXPECT_EQ(store_->loads, 0);
}

TEST_F(EncryptionManagerTest, RefusesASenselessConfiguration) {
  const auto refused = [&](auto change) {
    EncryptionConfig with = config();
    change(with);
    EXPECT_EQ(error_of([&] { EncryptionManager manager(with); }), ErrorCode::invalid_argument);
  };
  refused([](EncryptionConfig& with) { with.default_key_expiration = 0s; });
  refused([](EncryptionConfig& with) { with.default_key_expiration = std::chrono::seconds::max(); });
  refused([](EncryptionConfig& with) { with.destruction_grace_period = -1s; });
  refused([](EncryptionConfig& with) { with.refresh_interval = -1ms; });
  refused([](EncryptionConfig& with) { with.use_block = 0; });
  refused([](EncryptionConfig& with) { with.max_uses_per_key = with.use_block - 1; });
}

TEST_F(EncryptionManagerTest, RotationKeepsTheOldKeyReadable) {
  const auto manager = open();
  const Bytes sealed = manager->seal(pattern(10), kContext);
  EXPECT_FALSE(manager->needs_reencryption(sealed));
  const KeyRotation rotation = manager->rotate_key();
  EXPECT_EQ(EncryptionManager::key_id_of(sealed), rotation.old_key_id);
  EXPECT_EQ(state_of(*manager, rotation.old_key_id), KeyState::decrypt_only);
  EXPECT_EQ(state_of(*manager, rotation.new_key_id), KeyState::active);
  EXPECT_TRUE(manager->needs_reencryption(sealed));
  EXPECT_EQ(manager->open(sealed, kContext), pattern(10));
  EXPECT_EQ(EncryptionManager::key_id_of(manager->seal({}, kContext)), rotation.new_key_id);
}

TEST_F(EncryptionManagerTest, RotationMaySendTheOldKeyAway) {
  const auto manager = open();
  const Bytes sealed = manager->seal({}, kContext);
  const KeyRotation rotation = manager->rotate_key({.keep_old_key = false});
  EXPECT_EQ(state_of(*manager, rotation.old_key_id), KeyState::pending_destruction);
  EXPECT_EQ(open_error(*manager, sealed), ErrorCode::key_unavailable);
}

TEST_F(EncryptionManagerTest, DestructionComesAfterTheGracePeriodAndForGood) {
  const auto manager = open();
  const Bytes sealed = manager->seal(pattern(10), kContext);
  const std::string old = manager->rotate_key().old_key_id;
  EXPECT_EQ(manager->schedule_destruction(old), clock_->now() + 7 * 24h);
  EXPECT_EQ(open_error(*manager, sealed), ErrorCode::key_unavailable);
  clock_->advance(6 * 24h);
  EXPECT_TRUE(manager->process_expirations().destroyed.empty());
  EXPECT_EQ(manager->schedule_destruction(old), clock_->now() + 24h)
      << "scheduling again does not put it off";
  manager->cancel_destruction(old);
  EXPECT_EQ(manager->open(sealed, kContext), pattern(10));
  manager->schedule_destruction(old);
  clock_->advance(7 * 24h);
  EXPECT_EQ(manager->process_expirations().destroyed, std::vector{old});
  EXPECT_EQ(state_of(*manager, old), KeyState::destroyed);
  EXPECT_EQ(open_error(*manager, sealed), ErrorCode::key_destroyed);
  EXPECT_EQ(error_of([&] { manager->cancel_destruction(old); }), ErrorCode::key_destroyed);
  EXPECT_EQ(error_of([&] { manager->schedule_destruction(old); }), ErrorCode::key_destroyed);
  EXPECT_EQ(open_error(*open(), sealed), ErrorCode::key_destroyed);
}

TEST_F(EncryptionManagerTest, ADestroyedKeyLeavesNoBytesInTheRing) {
  const auto manager = open();
  const std::string before = store_->inner.load().value();
  const std::string old = manager->rotate_key({.keep_old_key = false}).old_key_id;
  clock_->advance(8 * 24h);
  ASSERT_EQ(manager->process_expirations().destroyed, std::vector{old});
  const std::string wrapped = before.substr(before.size() - kHashBytes - 60, 60);
  ASSERT_NE(before.find(wrapped), std::string::npos);
  EXPECT_EQ(store_->inner.load().value().find(wrapped.substr(0, 16)), std::string::npos);
}

TEST_F(EncryptionManagerTest, TheActiveKeyCannotBeDestroyed) {
  const auto manager = open();
  EXPECT_EQ(error_of([&] { manager->schedule_destruction(manager->active_key_id(), {.force = true}); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { manager->cancel_destruction(manager->active_key_id()); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { manager->schedule_destruction("0123456789abcdef"); }), ErrorCode::key_unavailable);
  EXPECT_EQ(error_of([&] { manager->schedule_destruction("not an id"); }), ErrorCode::invalid_argument);
}

TEST_F(EncryptionManagerTest, WhatIsNeededIsNotDestroyedUnlessForced) {
  std::map<std::string, std::uint64_t, std::less<>> needed;
  EncryptionConfig with = config();
  EncryptionManager* asked = nullptr;
  with.use_counter = [&](std::string_view id) {
    std::ignore = asked->list_keys();  // the counter may use the manager
    const auto at = needed.find(id);
    return at == needed.end() ? 0 : at->second;
  };
  const auto manager = open(with);
  asked = manager.get();
  needed[manager->active_key_id()] = 3;
  EXPECT_EQ(error_of([&] { manager->rotate_key({.keep_old_key = false}); }), ErrorCode::invalid_argument);
  EXPECT_EQ(manager->list_keys().size(), 1);
  const std::string old = manager->rotate_key().old_key_id;
  EXPECT_EQ(error_of([&] { manager->schedule_destruction(old); }), ErrorCode::invalid_argument);
  EXPECT_EQ(state_of(*manager, old), KeyState::decrypt_only);

  needed[old] = 0;
  manager->schedule_destruction(old);
  clock_->advance(7 * 24h);
  needed[old] = 1;  // a backup was restored meanwhile
  const ExpirationResult kept = manager->process_expirations();
  EXPECT_TRUE(kept.destroyed.empty());
  EXPECT_EQ(kept.still_needed, std::vector{old});
  EXPECT_EQ(state_of(*manager, old), KeyState::pending_destruction);

  manager->schedule_destruction(old, {.force = true});
  EXPECT_EQ(manager->process_expirations().destroyed, std::vector{old});
}

TEST_F(EncryptionManagerTest, ExpiryRotates) {
  const auto manager = open();
  const std::string first = manager->active_key_id();
  clock_->advance(90 * 24h - 1s);
  EXPECT_EQ(manager->process_expirations().rotated.has_value(), false);
  clock_->advance(1s);
  const ExpirationResult result = manager->process_expirations();
  ASSERT_TRUE(result.rotated.has_value());
  EXPECT_EQ(result.rotated->old_key_id, first);
  EXPECT_EQ(result.rotated->new_key_id, manager->active_key_id());
  EXPECT_EQ(manager->process_expirations().rotated.has_value(), false);
}

TEST_F(EncryptionManagerTest, ProcessingNothingWritesNothing) {
  const auto manager = open();
  const int before = store_->replaces;
  manager->process_expirations();
  EXPECT_EQ(store_->replaces, before);
}

TEST_F(EncryptionManagerTest, UsesAreCountedAheadAndRotateTheKey) {
  EncryptionConfig with = config();
  with.use_block = 10;
  with.max_uses_per_key = 25;
  const auto manager = open(with);
  const std::string first = manager->active_key_id();
  std::map<std::string, int> seals;
  for (int i = 0; i < 45; ++i) {
    ++seals[EncryptionManager::key_id_of(manager->seal({}, kContext))];
    const auto keys = manager->list_keys();
    ASSERT_GE(keys.back().uses, static_cast<std::uint64_t>(seals[keys.back().id]));
  }
  EXPECT_EQ(seals[first], 20);
  EXPECT_EQ(seals.size(), 3);
  for (const auto& [id, count] : seals) EXPECT_LE(count, 20);
  const auto again = open(with);
  std::ignore = again->seal({}, kContext);
  EXPECT_EQ(again->list_keys().back().uses, 20) << "what a process reserved and did not use is lost";
}

TEST_F(EncryptionManagerTest, SealingTouchesTheStoreOnceForManySeals) {
  const auto manager = open();
  std::ignore = manager->seal({}, kContext);
  const int loads = store_->loads;
  const int replaces = store_->replaces;
  for (int i = 0; i < 1'000; ++i) std::ignore = manager->open(manager->seal({}, kContext), kContext);
  EXPECT_EQ(store_->loads, loads);
  EXPECT_EQ(store_->replaces, replaces);
}

TEST_F(EncryptionManagerTest, ARotationIsSeenByOthers) {
  const auto first = open();
  const auto second = open();
  const KeyRotation rotation = first->rotate_key();
  EXPECT_EQ(second->active_key_id(), rotation.old_key_id) << "not yet looked at again";
  const Bytes sealed = first->seal(pattern(5), kContext);
  EXPECT_EQ(second->open(sealed, kContext), pattern(5)) << "an unknown key id makes it look";
  EXPECT_EQ(second->active_key_id(), rotation.new_key_id);
  first->rotate_key();
  clock_->advance(1min);
  EXPECT_EQ(second->active_key_id(), first->active_key_id());
}

TEST_F(EncryptionManagerTest, TwoThatChangeAtOnceLoseNothing) {
  const auto first = open();
  const auto second = open();
  std::jthread other([&] {
    for (int i = 0; i < 50; ++i) second->rotate_key();
  });
  for (int i = 0; i < 50; ++i) first->rotate_key();
  other.join();
  const auto keys = first->list_keys();
  EXPECT_EQ(keys.size(), 101);
  std::set<std::string> ids;
  for (const KeyInfo& key : keys) ids.insert(key.id);
  EXPECT_EQ(ids.size(), 101);
}

TEST_F(EncryptionManagerTest, WithoutItsStoreItOpensAndDoesNotSeal) {
  const auto manager = open();
  const Bytes sealed = manager->seal(pattern(5), kContext);
  store_->away = true;
  clock_->advance(1h);
  EXPECT_EQ(manager->open(sealed, kContext), pattern(5));
  EXPECT_EQ(error_of([&] { std::ignore = manager->seal({}, kContext); }), ErrorCode::unavailable);
  store_->away = false;
  EXPECT_EQ(error_of([&] { std::ignore = manager->seal({}, kContext); }), std::nullopt);
}

TEST_F(EncryptionManagerTest, RewrapChangesTheMasterKeyAlone) {
  const auto manager = open();
  const Bytes sealed = manager->seal(pattern(5), kContext);
  manager->rotate_key();
  const auto other = open();
  const MasterKey next = generate_master_key();
  manager->rewrap(next);
  EXPECT_EQ(manager->open(sealed, kContext), pattern(5));
  manager->rotate_key();
  EXPECT_EQ(error_of([&] { open(); }), ErrorCode::key_unavailable) << "the old master key opens nothing";
  clock_->advance(1h);
  EXPECT_EQ(error_of([&] { std::ignore = other->seal({}, kContext); }), ErrorCode::key_unavailable);
  EncryptionConfig with = config();
  with.master_key = next;
  EXPECT_EQ(open(with)->open(sealed, kContext), pattern(5));
  EXPECT_EQ(error_of([&] { manager->rewrap(MasterKey()); }), ErrorCode::key_unavailable);
}

TEST_F(EncryptionManagerTest, APassphraseDoesForAMasterKey) {
  EncryptionConfig with = config();
  with.master_key = master_key_from_passphrase("correct horse battery staple", kCheap);
  const auto manager = open(with);
  const Bytes sealed = manager->seal(pattern(5), kContext);
  EXPECT_EQ(open(with)->open(sealed, kContext), pattern(5));
  EncryptionConfig other_cost = with;  // the ring has its own
  other_cost.master_key =
      master_key_from_passphrase("correct horse battery staple", {.memory_bytes = 16ULL << 20, .passes = 2});
  EXPECT_EQ(open(other_cost)->open(sealed, kContext), pattern(5));
  EncryptionConfig wrong = with;
  wrong.master_key = master_key_from_passphrase("correct horse battery stable", kCheap);
  EXPECT_EQ(error_of([&] { open(wrong); }), ErrorCode::key_unavailable);
  EXPECT_EQ(error_of([&] { open(); }), ErrorCode::key_unavailable);
  manager->rewrap(master_);
  EXPECT_EQ(open()->open(sealed, kContext), pattern(5));
}

TEST_F(EncryptionManagerTest, EveryFlippedBitAndTruncationOfTheRingIsRefused) {
  const auto manager = open();
  manager->rotate_key({.keep_old_key = false});
  const std::string ring = store_->inner.load().value();
  const auto refused = [&](const std::string& damaged) {
    const auto store = std::make_shared<InMemoryKeyStore>();
    EXPECT_TRUE(store->replace(std::nullopt, damaged));
    EncryptionConfig with = config();
    with.key_store = store;
    const auto error = error_of([&] { open(with); });
    EXPECT_EQ(store->load(), damaged) << "nothing was written";
    // A ring that says that it is under another master key cannot be told from one that is.
    return error == ErrorCode::corrupt || error == ErrorCode::unsupported ||
           error == ErrorCode::key_unavailable;
  };
  for (std::size_t bit = 0; bit < ring.size() * 8; ++bit) {
    std::string damaged = ring;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_TRUE(refused(damaged)) << "bit " << bit;
  }
  for (std::size_t size = 0; size < ring.size(); ++size) ASSERT_TRUE(refused(ring.substr(0, size))) << size;
  EXPECT_TRUE(refused(ring + "x"));
}

TEST_F(EncryptionManagerTest, AnOlderRingIsRefusedWhileInUse) {
  const auto manager = open();
  const std::string older = store_->inner.load().value();
  manager->rotate_key();
  ASSERT_TRUE(store_->inner.replace(store_->inner.load(), older));
  EXPECT_EQ(error_of([&] { manager->rotate_key(); }), ErrorCode::corrupt);
}

TEST_F(EncryptionManagerTest, AKeyOfAnotherRingIsUnknown) {
  const Bytes sealed = open()->seal({}, kContext);
  EncryptionConfig with = config();
  with.key_store = std::make_shared<InMemoryKeyStore>();
  EXPECT_EQ(open_error(*open(with), sealed), ErrorCode::key_unavailable);
}

TEST_F(EncryptionManagerTest, ManyThreadsSealAndOpenWhileKeysRotate) {
  const auto manager = open();
  std::vector<std::jthread> threads;
  std::atomic<int> right{0};
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const Bytes sealed = manager->seal(pattern(100), kContext);
        if (manager->open(sealed, kContext) == pattern(100)) ++right;
      }
    });
  }
  for (int i = 0; i < 20; ++i) manager->rotate_key();
  threads.clear();
  EXPECT_EQ(right, 4 * 500);
}

}  // namespace
}  // namespace db4::crypto
