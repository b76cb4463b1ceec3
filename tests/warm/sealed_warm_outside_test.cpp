// What is outside of memory where warm caches are sealed: the disk cache's files, and all that a Redis server
// holds and saves. Plain caches show that what must not be there would be found.

#include "net/redis_client.hpp"
#include "warm/sealed_warm_cache.hpp"
#include "warm/warm_cache_factories.hpp"

#include <db4/encryption.hpp>

#include <fstream>
#include <sstream>

namespace db4::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::uint64_t kMaxBytes = 1ULL << 20;

std::shared_ptr<EncryptionManager> new_manager() {
  auto manager = std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = generate_master_key()});
  manager->initialize();
  return manager;
}

std::string held(WarmCache& cache, std::string_view key) {
  const auto entry = cache.get(key);
  return entry ? *entry->record : "(absent)";
}

/// What must not be found outside of memory. Random, so that nothing that compresses hides it.
struct Canaries {
  static std::string draw(std::size_t size, unsigned seed) {
    std::string out(size, '\0');
    seeded_random(seed)->fill(std::as_writable_bytes(std::span(out)));
    return out;
  }
  const std::string key = draw(40, 1);
  const std::string record = draw(400, 2);

  void put_into(WarmCache& cache) const {
    for (const char* const end : {"", "/1", "/2"}) cache.put(key + end, warm_entry(3, record + end));
    if (cache.leases() != nullptr) (void)cache.leases()->take(key + "/lease", 1h);
  }
  /// Any sixteen bytes of either.
  static bool found(const std::string& canary, const std::string& bytes) {
    for (std::size_t at = 0; at + 16 <= canary.size(); ++at) {
      if (bytes.find(canary.substr(at, 16)) != std::string::npos) return true;
    }
    return false;
  }
  void expect_in(const std::string& bytes, bool wanted) const {
    EXPECT_EQ(found(key, bytes), wanted) << "the key";
    EXPECT_EQ(found(record, bytes), wanted) << "the record";
  }
};

std::string bytes_of(const fs::path& file) {
  std::ostringstream out;
  out << std::ifstream(file, std::ios::binary).rdbuf();
  return out.str();
}

TEST(SealedDisk, NothingOfRecordsAndKeysIsInItsFiles) {
  if (kThreadSanitizer) GTEST_SKIP() << kRocksDbUnderThreadSanitizer;
  const Canaries canaries;
  const auto manager = new_manager();
  for (const bool plain : {true, false}) {
    const TemporaryFolder folder;
    std::shared_ptr<WarmCache> cache = warm::make_disk_warm_cache(folder.path(), kMaxBytes);
    if (!plain) {
      cache = warm::seal_warm_cache(cache, manager->keys(), "store", nullptr, Padding::none);
    }
    canaries.put_into(*cache);
    cache->close();
    std::string all;
    for (const auto& file : fs::recursive_directory_iterator(folder.path())) {
      all += file.path().string();
      if (file.is_regular_file()) all += bytes_of(file.path());
    }
    canaries.expect_in(all, plain);
  }
}

class SealedRedisTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string absence = RedisServer::absence(); !absence.empty()) GTEST_SKIP() << absence;
    server_ = std::make_unique<RedisServer>();
    options_ = redis_options_for(server_->unix_endpoint(), "store", kMaxBytes);
    raw_ = std::make_unique<net::RedisClient>(options_.client);
    raw_->command({"CONFIG", "SET", "rdbcompression", "no"});
  }
  std::shared_ptr<WarmCache> open_sealed() {
    return warm::seal_warm_cache(warm::make_redis_warm_cache(options_), manager_->keys(), "store", nullptr,
                                 Padding::none);
  }
  std::vector<std::string> names() {
    std::vector<std::string> out;
    std::string cursor = "0";
    do {
      const net::RedisReply reply = raw_->command({"SCAN", cursor});
      for (const net::RedisReply& name : reply.array[1].array) out.push_back(name.text);
      cursor = reply.array[0].text;
    } while (cursor != "0");
    return out;
  }
  std::vector<std::string> entry_names() {
    std::vector<std::string> out;
    for (std::string& name : names()) {
      if (name.starts_with("db4:store:e:")) out.push_back(std::move(name));
    }
    return out;
  }
  std::string value(const std::string& name) { return raw_->command({"GET", name}).text; }
  void set(const std::string& name, const std::string& value) {
    raw_->command({"SET", name, value, "KEEPTTL"});
  }
  /// All names and values, as the server gives them and as it saves them.
  std::string everything() {
    std::string all;
    for (const std::string& name : names()) all += name + "\n" + raw_->command({"DUMP", name}).text + "\n";
    raw_->command({"SAVE"});
    return all + bytes_of(fs::path(server_->socket()).parent_path() / "dump.rdb");
  }

  const std::shared_ptr<EncryptionManager> manager_ = new_manager();
  std::unique_ptr<RedisServer> server_;
  warm::RedisWarmCacheOptions options_;
  std::unique_ptr<net::RedisClient> raw_;
};

TEST_F(SealedRedisTest, NothingOfRecordsAndKeysIsInTheServer) {
  const Canaries canaries;
  canaries.put_into(*open_sealed());
  const std::vector<std::string> sealed_names = entry_names();
  ASSERT_EQ(sealed_names.size(), 3U);
  for (const std::string& name : sealed_names) {
    EXPECT_EQ(name.size(), std::string("db4:store:e:").size() + 32);
    EXPECT_EQ(value(name).substr(0, 4), "DB4S");
  }
  canaries.expect_in(everything(), false);
  canaries.put_into(*warm::make_redis_warm_cache(options_));
  canaries.expect_in(everything(), true);
}

// The server's own checksum does not cover the record, and its key's trailer is made anew here by a put, as
// by somebody who knows the format.
TEST_F(SealedRedisTest, WhoWritesToTheServerBringsNoWrongRecord) {
  const auto cache = open_sealed();
  constexpr std::size_t kTrailer = 52;
  const auto record_of = [](const std::string& value) { return value.substr(0, value.size() - kTrailer); };
  const auto trailer_of = [](const std::string& value) { return value.substr(value.size() - kTrailer); };
  cache->put("a", warm_entry(1, "old"));
  ASSERT_EQ(entry_names().size(), 1U);
  const std::string a = entry_names()[0];
  const std::string old = value(a);
  cache->put("a", warm_entry(2, "new"));
  const std::string good = value(a);
  cache->put("b", warm_entry(2, "of b"));
  std::vector<std::string> both = entry_names();
  ASSERT_EQ(both.size(), 2U);
  const std::string b = both[0] == a ? both[1] : both[0];

  const std::string others[] = {record_of(old) + trailer_of(good), record_of(value(b)) + trailer_of(good),
                                "new" + trailer_of(good), trailer_of(good)};
  for (const std::string& other : others) {
    set(a, other);
    const std::uint64_t before = cache->stats().unreadable;
    EXPECT_EQ(held(*cache, "a"), "(absent)");
    EXPECT_EQ(cache->stats().unreadable, before + 1);
    EXPECT_EQ(raw_->command({"EXISTS", a}).integer, 0);
    raw_->command({"SET", a, good, "PX", "100000"});
  }
  EXPECT_EQ(held(*cache, "a"), "new");
  set(a, old);
  EXPECT_EQ(cache->get("a")->version, 1U) << "which no reader asks for any more";
}

}  // namespace
}  // namespace db4::testing
