// The process's own memory is searched for key material: it is there while it is in use, which shows that the
// search finds it, and gone afterwards.

#include "crypto/key_ring.hpp"
#include "crypto_fixtures.hpp"
#include "support/in_memory_key_service.hpp"
#include "support/own_memory.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/encryption.hpp>

#include <optional>

namespace db4::crypto {
namespace {

using testing::count_in_memory;
using testing::Needle;

/// Half of a key would be bad enough.
Needle half_of(ByteView key) { return Needle(key.first(kKeyBytes / 2)); }

TEST(KeyMemoryTest, KeysAreGoneFromMemoryWithTheirOwners) {
  if (testing::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer's own memory takes minutes to search";
  const auto store = std::make_shared<InMemoryKeyStore>();
  std::optional<Needle> master_bytes;
  std::optional<Needle> data_key;
  std::optional<Needle> wrapping_key;
  {
    const MasterKey master = generate_master_key();
    master_bytes = half_of(master.state()->bytes());
    EncryptionManager manager({.master_key = master, .key_store = store});
    manager.initialize();
    EXPECT_EQ(manager.open(manager.seal(pattern(100), kContext), kContext), pattern(100));
    const KeyRing ring = parse_key_ring(store->load().value());
    const RingKeys keys(*master.state(), ring.id, std::nullopt);
    const GuardedBytes unwrapped = unwrap_key(ring.keys[0], ring.id, keys);
    data_key = half_of(unwrapped.view());
    wrapping_key = half_of(keys.wrapping());
    EXPECT_GE(count_in_memory(*master_bytes), 1) << "the search finds what is there";
    EXPECT_GE(count_in_memory(*data_key), 1);
    EXPECT_GE(count_in_memory(*wrapping_key), 1);
  }
  EXPECT_EQ(count_in_memory(*master_bytes), 0);
  EXPECT_EQ(count_in_memory(*data_key), 0);
  EXPECT_EQ(count_in_memory(*wrapping_key), 0);
}

TEST(KeyMemoryTest, AKeyThatAServiceWrapsIsGoneOnceTheRingIsOpen) {
  if (testing::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer's own memory takes minutes to search";
  const auto store = std::make_shared<InMemoryKeyStore>();
  const auto service = std::make_shared<testing::InMemoryKeyService>();
  const EncryptionConfig config{.master_key = master_key_from_service(service), .key_store = store};
  EncryptionManager maker(config);
  maker.initialize();
  EncryptionManager opener(config);
  opener.initialize();
  maker.rewrap(config.master_key);
  std::optional<Needle> key;
  {
    const Secret unwrapped = service->unwrap(parse_key_ring(store->load().value()).wrapped_master);
    key = half_of(as_bytes(unwrapped.reveal()));
    EXPECT_GE(count_in_memory(*key), 1) << "the search finds what is there";
  }
  EXPECT_EQ(count_in_memory(*key), 0);
}

}  // namespace
}  // namespace db4::crypto
