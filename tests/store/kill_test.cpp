// A process that writes, moves and removes is killed at random moments. After each, everything that it
// acknowledged is there, what was under way happened entirely or not at all, and the audit finds no fault.

#include "base/encoding.hpp"
#include "kv/child_process.hpp"
#include "support/audit.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/object_stores.hpp>
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

constexpr std::uint64_t kKills = 50;  // for each engine; DB4_TEST_KILLS overrides it
constexpr std::uint8_t kKeys = 60;
constexpr std::size_t kMaxBatch = 8;
constexpr std::string_view kCollection = "documents";

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string id_of(std::uint8_t key) { return "id-" + std::to_string(key); }

/// The body that operation `operation` of a life writes under a key: says where it comes from, and is as long
/// and as random as that implies.
std::string body_of(std::uint8_t key, std::uint64_t operation) {
  std::mt19937_64 random(operation * 256 + key);
  std::string body = std::to_string(operation) + ":" + std::to_string(key) + ":";
  const std::uint64_t kind = random() % 10;
  const std::size_t filler = kind < 6 ? random() % 800 : kind < 9 ? random() % 6'000 : random() % 40'000;
  for (std::size_t i = 0; i < filler; ++i) body.push_back(static_cast<char>('a' + random() % 26));
  return body;
}

/// What a life is told, and how both sides open the store.
struct Life {
  HotType type = HotType::rocksdb;
  Durability durability = Durability::process;
  std::uint64_t number = 0;
  fs::path folder;

  [[nodiscard]] std::string to_text() const {
    std::ostringstream out;
    out << static_cast<int>(type) << ' ' << static_cast<int>(durability) << ' ' << number << ' '
        << folder.string();
    return out.str();
  }
  static Life from_text(const std::string& text) {
    std::istringstream in(text);
    int type = 0;
    int durability = 0;
    Life life;
    std::string folder;
    in >> type >> durability >> life.number >> folder;
    life.type = static_cast<HotType>(type);
    life.durability = static_cast<Durability>(durability);
    life.folder = folder;
    return life;
  }

  /// Each life begins a day after the one before.
  [[nodiscard]] std::shared_ptr<SimulatedClock> clock() const {
    return std::make_shared<SimulatedClock>(TimePoint{1'700'000'000s} + number * 24h);
  }
  [[nodiscard]] TieredStoreConfig config() const {
    return {.hot = {.type = type, .path = folder / "hot", .max_body_size = 20_KiB, .durability = durability},
            .warm = {.type = WarmType::disk, .path = folder / "warm", .ttl = 30min, .max_size = 1_MiB},
            .cold = {.path = folder / "cold",
                     .pack_below = 4_KiB,
                     .segment_size = 64_KiB,
                     .garbage_grace = 10min,
                     .intent_deadline = 2h},
            .tiering = {
                .hot_threshold = 10min, .warm_threshold = 1h, .interval = 0ms, .tombstone_retention = 3h}};
  }
};

// -- in the child --

void tell(std::string_view bytes) {
  for (const char c : bytes) ChildProcess::tell_parent(static_cast<unsigned char>(c));
}

/// Before an operation: its number, whether it removes, and the keys that it changes.
void announce(std::uint64_t operation, bool removes, const std::vector<std::uint8_t>& keys) {
  std::string out;
  put_fixed(out, operation);
  out.push_back(static_cast<char>(removes));
  out.push_back(static_cast<char>(keys.size()));
  for (const std::uint8_t key : keys) out.push_back(static_cast<char>(key));
  tell(out);
}

/// After it: the version of each.
void acknowledge(const std::vector<WriteResult>& results) {
  std::string out;
  for (const WriteResult& result : results) put_fixed(out, result.version);
  tell(out);
}

/// Moves what it can while the other thread writes.
void keep_moving(TieredStore& store, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  while (true) {
    const std::string id = id_of(static_cast<std::uint8_t>(random() % kKeys));
    try {
      switch (random() % 7) {
        case 0:
          store.cold_storage().collect_garbage();
          store.cold_storage().compact();
          break;
        case 1:
          store.demote(kCollection, id, StorageTier::cold, {.keep_in_source = random() % 2 == 0});
          break;
        case 2:
          store.promote(kCollection, id, StorageTier::hot);
          break;
        case 3:
          store.demote(kCollection, id, StorageTier::warm);
          break;
        case 4:
          (void)store.read(kCollection, id, {.promote = true});
          break;
        default:
          store.run_tiering({.max_operations = random() % 40});
      }
    } catch (const Error& error) {
      // There is no such document, or it is there already.
      if (error.code() != ErrorCode::invalid_argument) {
        std::cerr << "moving failed: " << error.what() << std::endl;
        std::_Exit(3);
      }
    }
  }
}

[[noreturn]] void write_until_killed(const Life& life) {
  const auto clock = life.clock();
  TieredStore store(life.config(), {.clock = clock});
  const std::jthread mover([&] { keep_moving(store, life.number + 1); });
  std::mt19937_64 random(life.number);
  try {
    for (std::uint64_t operation = (life.number + 1) << 32;; ++operation) {
      const std::uint64_t kind = random() % 100;
      std::vector<std::uint8_t> keys;
      for (std::size_t i = kind < 25 ? 2 + random() % (kMaxBatch - 1) : 1; i > 0; --i) {
        const auto key = static_cast<std::uint8_t>(random() % kKeys);
        if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
      }
      // Here, so that none of our own operations takes half an hour.
      if (random() % 16 == 0) clock->advance(std::chrono::minutes(random() % 30));
      announce(operation, kind >= 90, keys);
      WriteOptions options{.content_type = "text/plain"};
      if (random() % 4 == 0) options.tier = static_cast<StorageTier>(random() % 3);
      if (kind >= 90) {
        store.remove(kCollection, id_of(keys[0]));
        acknowledge({{}});
      } else if (kind < 25) {
        std::vector<BatchItem> items;
        for (const std::uint8_t key : keys) {
          items.push_back({.id = id_of(key), .body = body_of(key, operation), .content_type = "text/plain"});
        }
        acknowledge(store.write_batch(kCollection, items, options));
      } else {
        const std::string body = body_of(keys[0], operation);
        acknowledge({store.write_bytes(kCollection, id_of(keys[0]), as_bytes(body), options)});
      }
    }
  } catch (const Error& error) {
    std::cerr << "writing failed: " << error.what() << std::endl;
    std::_Exit(3);
  }
}

// -- in the parent --

class Killing {
 public:
  explicit Killing(HotType type) : type_(type) {}

  void run(std::uint64_t kills, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::uint64_t acknowledged = 0;
    for (std::uint64_t number = 0; number < kills && !::testing::Test::HasFailure(); ++number) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << ", kill " << number);
      const Life life = life_of(number);
      {
        ChildProcess child("Kill.DISABLED_Child", life.to_text());
        // Some die while they open the store, most in the middle of something.
        const std::uint64_t operations = random() % 10 == 0 ? 0 : random() % 250;
        std::uint64_t done = 0;
        while (done < operations && listen(child)) ++done;
        EXPECT_EQ(done, operations) << "the child ended by itself";
        acknowledged += done;
        child.kill();
        while (listen(child)) ++acknowledged;
      }
      audit(life);
      check_documents(life);
    }
    ::testing::Test::RecordProperty("acknowledged", std::to_string(acknowledged));
    if (!::testing::Test::HasFailure()) check_after_all_grace(kills);
  }

 private:
  struct Standing {
    Version version = 0;
    std::uint64_t operation = 0;  ///< that wrote it; 0: absent
  };
  struct Announced {
    std::uint64_t operation = 0;
    bool removes = false;
    std::vector<std::uint8_t> keys = {};
  };

  [[nodiscard]] Life life_of(std::uint64_t number) const {
    return {.type = type_,
            .durability = number % 5 == 4 ? Durability::disk : Durability::process,
            .number = number,
            .folder = folder_.path()};
  }

  static bool hear(ChildProcess& child, std::string& out, std::size_t bytes) {
    for (; bytes > 0; --bytes) {
      const int byte = child.read();
      if (byte < 0) return false;
      out.push_back(static_cast<char>(byte));
    }
    return true;
  }

  /// One operation's announcement and acknowledgement; false where the child is gone. What was announced and
  /// not acknowledged stays in `under_way_`.
  bool listen(ChildProcess& child) {
    if (!under_way_) {
      if (!hear(child, heard_, 10 - std::min<std::size_t>(heard_.size(), 10))) return false;
      const auto keys = static_cast<std::size_t>(heard_[9]);
      if (!hear(child, heard_, 10 + keys - heard_.size())) return false;
      under_way_ =
          Announced{.operation = load_fixed<std::uint64_t>(heard_.data()), .removes = heard_[8] != 0};
      for (std::size_t i = 0; i < keys; ++i)
        under_way_->keys.push_back(static_cast<std::uint8_t>(heard_[10 + i]));
      heard_.clear();
    }
    if (!hear(child, heard_, under_way_->keys.size() * 8 - heard_.size())) return false;
    for (std::size_t i = 0; i < under_way_->keys.size(); ++i) {
      Standing& standing = standing_[under_way_->keys[i]];
      const auto version = load_fixed<Version>(heard_.data() + 8 * i);
      if (under_way_->removes) {
        standing.operation = 0;
      } else {
        EXPECT_GT(version, standing.version);
        standing = {.version = version, .operation = under_way_->operation};
      }
    }
    heard_.clear();
    under_way_.reset();
    return true;
  }

  void audit(const Life& life) {
    if (!fs::exists(life.folder / "hot" / "ENGINE")) return;  // killed before there was anything
    const auto objects = make_filesystem_object_store(life.folder / "cold");
    const AuditReport report = audit_closed_store(type_, life.folder / "hot", *objects);
    EXPECT_TRUE(report.clean()) << report;
  }

  void check_documents(const Life& life) {
    TieredStore store(life.config(), {.clock = life.clock()});
    std::size_t happened = 0;
    for (std::uint8_t key = 0; key < kKeys; ++key) {
      const auto document = store.read(kCollection, id_of(key), {.promote = false});
      const bool pending = under_way_ && std::ranges::find(under_way_->keys, key) != under_way_->keys.end();
      happened += check_document(key, document, pending) ? 1 : 0;
    }
    if (under_way_ && !under_way_->removes) {
      EXPECT_TRUE(happened == 0 || happened == under_way_->keys.size())
          << happened << " of a batch of " << under_way_->keys.size() << " happened";
    }
    under_way_.reset();
    heard_.clear();
    store.close();
  }

  /// Whether the operation that was under way took place for this key.
  bool check_document(std::uint8_t key, const std::optional<Document>& document, bool pending) {
    Standing& standing = standing_[key];
    if (document) {
      const auto operation = std::strtoull(std::string(document->text()).c_str(), nullptr, 10);
      EXPECT_TRUE(document->text() == body_of(key, operation)) << id_of(key) << " is garbled";
      if (operation == standing.operation) {
        EXPECT_EQ(document->version(), standing.version) << id_of(key);
        return false;
      }
      EXPECT_TRUE(pending && !under_way_->removes && operation == under_way_->operation)
          << id_of(key) << " stands at an operation that nobody did: " << operation;
      EXPECT_GT(document->version(), standing.version) << id_of(key);
      standing = {.version = document->version(), .operation = operation};
      return true;
    }
    const bool removed = pending && under_way_->removes && standing.operation != 0;
    EXPECT_TRUE(standing.operation == 0 || removed) << id_of(key) << " is lost";
    standing.operation = 0;
    return removed;
  }

  void check_after_all_grace(std::uint64_t kills) {
    const Life life = life_of(kills + 100);
    const auto clock = life.clock();
    TieredStore store(life.config(), {.clock = clock});
    for (int round = 0; round < 4; ++round) {
      clock->advance(3h);
      while (store.cold_storage().collect_garbage().more) {
      }
    }
    store.close();
    const auto objects = make_filesystem_object_store(life.folder / "cold");
    const AuditReport report = audit_closed_store(type_, life.folder / "hot", *objects);
    EXPECT_TRUE(report.clean()) << report;
    EXPECT_EQ(report.intents + report.garbage + report.empty_segments, 0U) << report;
  }

  const HotType type_;
  TemporaryFolder folder_;
  std::map<std::uint8_t, Standing> standing_;
  std::optional<Announced> under_way_;
  std::string heard_;
};

void kill_again_and_again(HotType type) {
  if (kThreadSanitizer) GTEST_SKIP() << kRocksDbUnderThreadSanitizer;
  Killing(type).run(from_environment("DB4_TEST_KILLS", kKills), from_environment("DB4_TEST_SEED", 7));
}

TEST(Kill, RocksDbStoreLosesNothingItAcknowledged) { kill_again_and_again(HotType::rocksdb); }
TEST(Kill, SqliteStoreLosesNothingItAcknowledged) { kill_again_and_again(HotType::sqlite); }

TEST(Kill, DISABLED_Child) {
  if (ChildProcess::argument() == nullptr) GTEST_SKIP() << "the child of the tests above";
  write_until_killed(Life::from_text(ChildProcess::argument()));
}

}  // namespace
}  // namespace db4::testing
