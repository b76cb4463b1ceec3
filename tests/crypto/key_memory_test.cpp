// The process's own memory is searched for key material: it is there while it is in use, which shows that the
// search finds it, and gone afterwards.

#include "base/file_descriptor.hpp"
#include "crypto/key_ring.hpp"
#include "crypto_fixtures.hpp"
#include "support/in_memory_key_service.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/encryption.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace db4::crypto {
namespace {

/// Key bytes that are not in memory themselves: inverted.
using Masked = std::array<std::byte, kKeyBytes>;
Masked masked(ByteView key) {
  Masked out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = ~key[i];
  return out;
}

bool is_here(const std::byte* at, const Masked& key) {
  for (std::size_t i = 0; i < kKeyBytes / 2; ++i) {  // half of it would be bad enough
    if (at[i] != ~key[i]) return false;
  }
  return true;
}

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// What this process can write to and read; not the terabytes that a sanitizer reserves.
std::vector<Mapping> own_memory() {
  constexpr std::uint64_t kTooLarge = 1ULL << 32;
  std::vector<Mapping> out;
  std::ifstream in("/proc/self/maps");
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    Mapping mapping;
    char dash = 0;
    std::string rights;
    words >> std::hex >> mapping.begin >> dash >> mapping.end >> rights;
    if (rights.starts_with("r") && rights.ends_with("p") && mapping.end - mapping.begin < kTooLarge &&
        line.find("[v") == std::string::npos) {
      out.push_back(mapping);
    }
  }
  return out;
}

int count_in_memory(const Masked& key) {
  constexpr std::size_t kChunk = std::size_t{1} << 20;
  const FileDescriptor memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(memory.open());
  std::vector<std::byte> chunk(kChunk + kKeyBytes);
  int found = 0;
  for (const Mapping& mapping : own_memory()) {
    for (std::uint64_t at = mapping.begin; at < mapping.end; at += kChunk) {
      const ssize_t got = ::pread(memory.get(), chunk.data(), std::min(chunk.size(), mapping.end - at),
                                  static_cast<off_t>(at));
      for (ssize_t i = 0; i + static_cast<ssize_t>(kKeyBytes) <= got; ++i)
        found += is_here(chunk.data() + i, key) ? 1 : 0;
      wipe(chunk);  // so that the copy is not found in its turn
    }
  }
  return found;
}

TEST(KeyMemoryTest, KeysAreGoneFromMemoryWithTheirOwners) {
  if (testing::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer's own memory takes minutes to search";
  const auto store = std::make_shared<InMemoryKeyStore>();
  Masked master_bytes{};
  Masked data_key{};
  Masked wrapping_key{};
  {
    const MasterKey master = generate_master_key();
    master_bytes = masked(master.state()->bytes());
    EncryptionManager manager({.master_key = master, .key_store = store});
    manager.initialize();
    EXPECT_EQ(manager.open(manager.seal(pattern(100), kContext), kContext), pattern(100));
    const KeyRing ring = parse_key_ring(store->load().value());
    const RingKeys keys(*master.state(), ring.id, std::nullopt);
    const GuardedBytes unwrapped = unwrap_key(ring.keys[0], ring.id, keys);
    data_key = masked(unwrapped.view());
    wrapping_key = masked(keys.wrapping());
    EXPECT_GE(count_in_memory(master_bytes), 1) << "the search finds what is there";
    EXPECT_GE(count_in_memory(data_key), 1);
    EXPECT_GE(count_in_memory(wrapping_key), 1);
  }
  EXPECT_EQ(count_in_memory(master_bytes), 0);
  EXPECT_EQ(count_in_memory(data_key), 0);
  EXPECT_EQ(count_in_memory(wrapping_key), 0);
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
  Masked key{};
  {
    const Secret unwrapped = service->unwrap(parse_key_ring(store->load().value()).wrapped_master);
    key = masked(as_bytes(unwrapped.reveal()));
    EXPECT_GE(count_in_memory(key), 1) << "the search finds what is there";
  }
  EXPECT_EQ(count_in_memory(key), 0);
}

}  // namespace
}  // namespace db4::crypto
