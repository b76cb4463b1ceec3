// A process that writes into an encrypted store, rotates its keys, seals it anew, wraps it by another master
// key, and destroys keys, is killed at random moments. After each the store opens under one of the two master
// keys, everything that was acknowledged reads, and no key is gone that is needed.
#include "base/encoding.hpp"
#include "kv/child_process.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <sstream>
#include <thread>

namespace db4::testing {
namespace {

namespace fs = std::filesystem;
using kv::testing::ChildProcess;

constexpr std::uint64_t kKills = 50;  // DB4_TEST_KILLS overrides it
constexpr std::uint64_t kIds = 40;
constexpr std::string_view kCollection = "documents";

MasterKey master(unsigned which) {
  return master_key_from_bytes(as_bytes(std::string(32, static_cast<char>('A' + which))));
}

std::string body_of(std::uint64_t id, std::uint64_t number) {
  std::mt19937_64 random(number * kIds + id);
  std::string body = std::to_string(id) + ":" + std::to_string(number) + ":";
  body.append(random() % 3 * 1500, static_cast<char>('a' + random() % 26));
  return body;
}

/// Under whichever of the two master keys it is; which one.
struct Opened {
  std::unique_ptr<TieredStore> store;
  unsigned which = 0;
};

/// Each life begins nine days after the one before: what was to be destroyed is due.
Opened open_store(const fs::path& folder, std::uint64_t life) {
  const auto clock = std::make_shared<SimulatedClock>(TimePoint{1'700'000'000s} + life * 9 * 24h);
  for (const unsigned which : {0U, 1U}) {
    TieredStoreConfig config{
        .hot = {.type = kDiskEngine,
                .path = folder / "hot",
                .inline_body_size = 512,
                .durability = Durability::process},
        .warm = {.max_size = 0},
        .cold = {.type = ColdType::filesystem, .path = folder / "cold", .segment_size = 64 << 10},
        .tiering = {.hot_threshold = 10min, .promote_on_read = false, .interval = 0ms},
        .live = {.enabled = false}};
    config.encryption =
        std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = master(which)}, clock);
    try {
      return {std::make_unique<TieredStore>(config, Components{.clock = clock}), which};
    } catch (const Error& error) {
      if (error.code() != ErrorCode::key_unavailable) throw;
    }
  }
  throw std::runtime_error("neither master key opens the store");
}

TEST(EncryptedStoreKill, DISABLED_Child) {
  if (ChildProcess::argument() == nullptr) GTEST_SKIP() << "runs as a child only";
  std::istringstream in(ChildProcess::argument());
  std::string folder;
  std::uint64_t life = 0;
  in >> folder >> life;
  std::mt19937_64 random(life);
  Opened opened = open_store(folder, life);
  TieredStore& store = *opened.store;
  EncryptionManager& keys = *store.encryption();
  std::jthread writer([&store, life] {
    std::mt19937_64 choice(life * 31);
    for (std::uint64_t number = life << 32;; ++number) {
      const std::uint64_t id = choice() % kIds;
      store.write_bytes(kCollection, std::to_string(id), as_bytes(body_of(id, number)));
      std::string told;
      put_fixed(told, id);
      put_fixed(told, number);
      for (const char c : told) ChildProcess::tell_parent(static_cast<unsigned char>(c));
    }
  });
  for (;;) {
    switch (random() % 5) {
      case 0:
        keys.rotate_key();
        break;
      case 1:
        store.reencrypt({.max_documents = 1 + random() % 20});
        break;
      case 2:
        opened.which = 1 - opened.which;
        keys.rewrap(master(opened.which));
        break;
      case 3:
        for (const KeyInfo& key : keys.list_keys()) {
          if (key.state != KeyState::decrypt_only) continue;
          try {
            keys.schedule_destruction(key.id);
          } catch (const Error& error) {
            if (error.code() != ErrorCode::invalid_argument) throw;  // needed
          }
        }
        keys.process_expirations();
        break;
      default:
        try {
          store.demote(kCollection, std::to_string(random() % kIds), StorageTier::cold);
        } catch (const Error& error) {
          if (error.code() != ErrorCode::invalid_argument) throw;  // not written yet, or cold
        }
        break;
    }
  }
}

TEST(EncryptedStoreKill, NothingIsLostAndEverythingReads) {
  const char* kills_text = std::getenv("DB4_TEST_KILLS");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  const std::uint64_t kills = kills_text != nullptr ? std::strtoull(kills_text, nullptr, 10) : kKills;
  if (kills == 0) GTEST_SKIP() << "DB4_TEST_KILLS=0";
  const TemporaryFolder folder;
  std::mt19937_64 random(20'261'128);
  std::map<std::uint64_t, std::uint64_t> newest;  // id -> number of the last write that was acknowledged
  std::size_t destroyed = 0;
  std::size_t keys = 0;
  for (std::uint64_t life = 1; life <= kills; ++life) {
    SCOPED_TRACE("kill " + std::to_string(life));
    {
      ChildProcess child("EncryptedStoreKill.DISABLED_Child",
                         folder.path().string() + " " + std::to_string(life));
      std::string heard;
      const auto hear = [&] {
        const int byte = child.read();
        if (byte < 0) return false;
        heard.push_back(static_cast<char>(byte));
        return true;
      };
      for (std::uint64_t left = 16 * (1 + random() % 60); left > 0; --left) {
        ASSERT_TRUE(hear()) << "the child ended by itself";
      }
      system_clock()->sleep_for(std::chrono::microseconds{random() % 20'000}, {});
      child.kill();
      while (hear()) {
      }
      Reader reader(heard);
      for (std::size_t i = 0; i < heard.size() / 16; ++i) {
        const auto id = reader.fixed<std::uint64_t>();
        newest[id] = reader.fixed<std::uint64_t>();
      }
    }
    const Opened opened = open_store(folder.path(), life);
    for (const auto& [id, number] : newest) {
      const auto document = opened.store->read(kCollection, std::to_string(id), {.count_access = false});
      ASSERT_TRUE(document) << id;
      // The one after it may have happened without having been acknowledged.
      const std::string text(document->text());
      std::uint64_t at_least = 0;
      std::sscanf(text.c_str(), "%*u:%lu:", &at_least);  // NOLINT(cert-err34-c): checked by what follows
      ASSERT_GE(at_least, number);
      ASSERT_EQ(text, body_of(id, at_least));
    }
    destroyed = 0;
    const auto list = opened.store->encryption()->list_keys();
    for (const KeyInfo& key : list) destroyed += key.state == KeyState::destroyed ? 1 : 0;
    keys = list.size();
    opened.store->close();
  }
  EXPECT_GT(keys, 5U);
  EXPECT_GT(destroyed, 0U) << "of " << keys << " keys";
  // In the end all of it can be sealed anew.
  const Opened opened = open_store(folder.path(), kills);
  for (int i = 0; i < 100 && opened.store->reencrypt().more; ++i) {
  }
  EXPECT_EQ(opened.store->encryption_status().copies_on_old_keys, 0U);
}

}  // namespace
}  // namespace db4::testing
