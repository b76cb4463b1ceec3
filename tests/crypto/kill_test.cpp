// A process that rotates, rewraps and seals over a key ring in a file is killed at random moments. After
// each, the ring opens under one of the two master keys, every change that was acknowledged is in it, and
// every document that was ever sealed opens.

#include "base/encoding.hpp"
#include "crypto_fixtures.hpp"
#include "kv/child_process.hpp"
#include "support/in_memory_key_service.hpp"
#include "support/temporary_folder.hpp"

#include <db4/encryption.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

namespace db4::crypto {
namespace {

using kv::testing::ChildProcess;

constexpr std::uint64_t kKills = 50;  // DB4_TEST_KILLS overrides it

/// A key, or a service that has the same key in every process.
MasterKey master(unsigned which) {
  if (which == 0) return master_key_from_bytes(counting_key());
  return master_key_from_service(std::make_shared<testing::InMemoryKeyService>(
      std::make_shared<testing::ServiceKeys>(counting_key(which))));
}

/// Under whichever of the two master keys it is; which one.
struct Opened {
  std::unique_ptr<EncryptionManager> manager;
  unsigned which = 0;
};
Opened open_ring(const std::filesystem::path& folder) {
  for (const unsigned which : {0U, 1U}) {
    auto manager = std::make_unique<EncryptionManager>(
        EncryptionConfig{.master_key = master(which),
                         .key_store = std::make_shared<FileKeyStore>(folder / "ring"),
                         .use_block = 3});
    const auto error = error_of([&] { manager->initialize(); });
    if (!error) return {std::move(manager), which};
    if (error != ErrorCode::key_unavailable) throw std::runtime_error("the ring does not open");
  }
  throw std::runtime_error("neither master key opens the ring");
}

void append_document(const std::filesystem::path& folder, ByteView sealed) {
  std::string entry;
  put_fixed(entry, static_cast<std::uint32_t>(sealed.size()));
  entry.append(as_text(sealed));
  std::ofstream out(folder / "documents", std::ios::binary | std::ios::app);
  out << entry << std::flush;
}

std::vector<Bytes> read_documents(const std::filesystem::path& folder) {
  std::ifstream in(folder / "documents", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(in), {}};
  std::vector<Bytes> documents;
  for (Reader reader(all);;) {
    const std::string_view sealed = reader.bytes(reader.fixed<std::uint32_t>());
    if (!reader.ok() || sealed.empty()) return documents;  // the last one may be half there
    documents.push_back(to_bytes(sealed));
  }
}

TEST(KeyRingKill, DISABLED_Child) {
  if (ChildProcess::argument() == nullptr) GTEST_SKIP() << "runs as a child only";
  std::istringstream in(ChildProcess::argument());
  std::string folder;
  std::uint64_t seed = 0;
  in >> folder >> seed;
  std::mt19937_64 random(seed);
  Opened opened = open_ring(folder);
  for (;;) {
    append_document(folder, opened.manager->seal(pattern(30), kContext));
    if (random() % 2 == 0) {
      opened.manager->rotate_key();
      ChildProcess::tell_parent('r');
    } else {
      // From the service to the key, from the key to the service, or by the service to itself.
      if (opened.which == 0 || random() % 2 == 0) opened.which = 1 - opened.which;
      opened.manager->rewrap(master(opened.which));
      ChildProcess::tell_parent('w');
    }
  }
}

/// How many rotations the child acknowledged before it was killed at some moment.
std::size_t run_and_kill(const std::filesystem::path& folder, std::mt19937_64& random) {
  ChildProcess child("KeyRingKill.DISABLED_Child", folder.string() + " " + std::to_string(random()));
  std::size_t rotations = 0;
  const auto hear = [&] {
    const int said = child.read();
    if (said == 'r') ++rotations;
    return said >= 0;
  };
  for (std::uint64_t left = random() % 8; left > 0; --left) {
    if (!hear()) throw std::runtime_error("the child ended by itself");
  }
  // Anywhere within what it does next.
  volatile std::uint64_t spin = random() % 2'000'000;
  while (spin > 0) spin = spin - 1;
  child.kill();
  while (hear()) {
  }
  return rotations;
}

TEST(KeyRingKill, NothingAcknowledgedIsLost) {
  const char* kills_text = std::getenv("DB4_TEST_KILLS");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  const std::uint64_t kills = kills_text != nullptr ? std::strtoull(kills_text, nullptr, 10) : kKills;
  if (kills == 0) GTEST_SKIP() << "DB4_TEST_KILLS=0";
  const testing::TemporaryFolder folder;
  std::mt19937_64 random(20'261'127);
  std::size_t keys = open_ring(folder.path()).manager->list_keys().size();
  std::size_t documents = 0;
  for (std::uint64_t kill = 0; kill < kills; ++kill) {
    SCOPED_TRACE("kill " + std::to_string(kill));
    const std::size_t rotations = run_and_kill(folder.path(), random);
    const Opened opened = open_ring(folder.path());
    const std::size_t now = opened.manager->list_keys().size();
    ASSERT_GE(now, keys + rotations);
    ASSERT_LE(now, keys + rotations + 1) << "of what was not acknowledged at most one rotation happened";
    keys = now;
    const std::vector<Bytes> all = read_documents(folder.path());
    ASSERT_GE(all.size(), documents + rotations);
    documents = all.size();
    for (const Bytes& sealed : all) ASSERT_EQ(opened.manager->open(sealed, kContext), pattern(30));
    EncryptionManager other({.master_key = master(1 - opened.which),
                             .key_store = std::make_shared<FileKeyStore>(folder.path() / "ring")});
    ASSERT_EQ(error_of([&] { other.initialize(); }), ErrorCode::key_unavailable);
  }
  EXPECT_GT(documents, kills / 2);
}

}  // namespace
}  // namespace db4::crypto
