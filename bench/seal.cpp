// Sealing and opening messages beside bare AES-256-GCM with a kept context: what the key for each record, its
// commitment and the associated data cost. Then uploads and downloads of a large document, and writes and
// moves of small ones, by a store that is encrypted beside one that is not.
#include "base/wiping.hpp"
#include "harness/report.hpp"
#include "peers/raw_gcm.hpp"

#include <db4/object_stores.hpp>
#include <db4/storage.hpp>

#include <stdexcept>
#include <vector>

namespace db4::bench {
namespace {

struct Message {
  std::size_t size;
  const char* name;
  std::optional<Aim> aim;
};

std::uint64_t last_of(ByteView bytes) { return std::to_integer<std::uint64_t>(bytes.back()); }

void compare(const Options& options, Report& report, EncryptionManager& manager, const Message& message) {
  const SealContext context{
      .store_id = "5f0c6a7e9b1d2438", .collection = "users", .id = "user-1234567", .version = 42, .codec = 1};
  Bytes plaintext(message.size);
  system_random()->fill(plaintext);
  Bytes sealed(EncryptionManager::sealed_size(message.size));
  Bytes opened(sealed.size());
  RawGcm raw;
  Bytes raw_sealed(message.size + RawGcm::kOverhead);
  Bytes raw_opened(message.size);

  const Operation seal = [&](unsigned, std::size_t) {
    manager.seal_into(sealed, plaintext, context);
    return last_of(sealed);
  };
  const Operation raw_seal = [&](unsigned, std::size_t) {
    raw.seal(plaintext, raw_sealed);
    return last_of(raw_sealed);
  };
  const Operation open = [&](unsigned, std::size_t) {
    return manager.open_into(opened, sealed, context) + last_of(opened);
  };
  const Operation raw_open = [&](unsigned, std::size_t) {
    raw.open(raw_sealed, raw_opened);
    return last_of(raw_opened);
  };
  const auto head = [&](const char* what) {
    return RowHead{.what = std::string(what) + " " + message.name,
                   .unit = "ops/s",
                   .subject = "EncryptionManager",
                   .peer = "EVP AES-256-GCM",
                   .aim = message.aim};
  };
  report.row(head("seal"), alternate_rates(options.rounds(), options.slice_seconds(), 1, seal, raw_seal));
  report.row(head("open"), alternate_rates(options.rounds(), options.slice_seconds(), 1, open, raw_open));
  if (!std::equal(plaintext.begin(), plaintext.end(), opened.begin())) {
    throw std::runtime_error("what was opened is not what was sealed");
  }
}

/// A store whose cold tier is memory, and one large document in it.
class LargeDocument {
 public:
  LargeDocument(std::shared_ptr<EncryptionManager> encryption, ByteView content)
      : content_(content),
        encrypted_(encryption != nullptr),
        store_({.hot = {.type = HotType::memory},
                .tiering = {.interval = 0ms},
                .encryption = std::move(encryption)},
               {.clock = clock_, .object_store = make_memory_object_store()}) {}

  double upload() {
    wipe_released_content(encrypted_);  // as in a process of its own
    const double time = time_milliseconds([&] {
      store_.cold_storage().write_large("videos", "v", ByteSource::bytes(content_), {.part_size = 8_MiB});
    });
    clock_->advance(24h);  // the object before it goes
    store_.cold_storage().collect_garbage();
    return time;
  }
  double download() {
    wipe_released_content(encrypted_);
    std::uint64_t size = 0;
    const double time = time_milliseconds([&] {
      store_.cold_storage().read_large("videos", "v", [&](ByteView piece) { size += piece.size(); });
    });
    if (size != content_.size()) throw std::runtime_error("what was read is not what was uploaded");
    return time;
  }

 private:
  const ByteView content_;
  const bool encrypted_;
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  TieredStore store_;
};

void large_documents(const Options& options, Report& report,
                     const std::shared_ptr<EncryptionManager>& manager) {
  const std::size_t size = options.pick<std::size_t>(4_MiB, 64_MiB, 256_MiB);
  const std::string name = std::to_string(size / 1_MiB) + " MiB";
  report.section("Large documents of an encrypted store, " + name,
                 "the same bytes, in parts of 8 MiB, four at once; the object store is memory: nothing hides "
                 "what sealing costs",
                 "the peer's frames have a CRC32C each; db4's are sealed, their salts made by HMAC-SHA256 of "
                 "the content");
  Bytes content(size);
  system_random()->fill(content);
  LargeDocument sealed(manager, content);
  LargeDocument plain(nullptr, content);
  const int rounds = options.pick(1, 3, 5);
  const auto head = [&](const char* what) {
    return RowHead{.what = std::string(what) + ", " + name,
                   .unit = "ms",
                   .better = Better::less,
                   .subject = "encrypted",
                   .peer = "not encrypted"};
  };
  report.row(head("upload"), alternate(
                                 rounds, Better::less, [&](int) { return sealed.upload(); },
                                 [&](int) { return plain.upload(); }));
  report.row(head("download"), alternate(
                                   rounds, Better::less, [&](int) { return sealed.download(); },
                                   [&](int) { return plain.download(); }));
}

/// A store on RocksDB whose cold tier is memory, with small documents.
class SmallDocuments {
 public:
  SmallDocuments(const std::filesystem::path& folder, std::shared_ptr<EncryptionManager> encryption,
                 std::size_t count)
      : count_(count),
        encrypted_(encryption != nullptr),
        store_({.hot = {.type = HotType::rocksdb,
                        .path = folder,
                        .max_size = 0,
                        .cache_size = 1_MiB,
                        .durability = Durability::process},
                .warm = {.max_size = 0},
                .cold = {.dictionaries = false},
                .tiering = {.promote_on_read = false, .interval = 0ms},
                .live = {.enabled = false},
                .sealing = {.reencrypt = false},
                .encryption = std::move(encryption)},
               {.clock = clock_, .object_store = make_memory_object_store()}) {}

  double write(int round) {
    wipe_released_content(encrypted_);
    const std::string body =
        R"({"customer":")" + std::string(470, 'x') + R"(","round":)" + std::to_string(round) + "}";
    return time_milliseconds([&] {
      for (std::size_t i = 0; i < count_; ++i) store_.write_json_text("orders", std::to_string(i), body);
    });
  }
  /// All of them, to cold.
  double move() {
    wipe_released_content(encrypted_);
    clock_->advance(30 * 24h);
    return time_milliseconds([&] {
      const TieringResult result = store_.run_tiering({.max_operations = 2 * count_});
      if (result.demoted != count_) throw std::runtime_error("not all documents went to cold");
    });
  }

 private:
  const std::size_t count_;
  const bool encrypted_;
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  TieredStore store_;
};

void small_documents(const Options& options, Report& report) {
  const std::size_t count = options.pick<std::size_t>(200, 5'000, 20'000);
  const std::string name = std::to_string(count) + " documents of 500 B";
  report.section(
      "Small documents of an encrypted store",
      "one thread; RocksDB, acknowledged writes survive a killed process; segments go to an object "
      "store in memory, compressed by zstd",
      "the same store without encryption");
  const Folder folder(options.dir());
  const auto manager =
      std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = generate_master_key()});
  SmallDocuments sealed(folder.path() / "sealed", manager, count);
  SmallDocuments plain(folder.path() / "plain", nullptr, count);
  // Each round writes all of them, and then moves them: timed apart.
  std::vector<double> moves[2];
  const int rounds = options.pick(1, 3, 5);
  const auto head = [&](const char* what) {
    return RowHead{.what = std::string(what) + " " + name,
                   .unit = "ms",
                   .better = Better::less,
                   .subject = "encrypted",
                   .peer = "not encrypted"};
  };
  report.row(head("write"), alternate(
                                rounds, Better::less,
                                [&](int round) {
                                  const double time = sealed.write(round);
                                  moves[0].push_back(sealed.move());
                                  return time;
                                },
                                [&](int round) {
                                  const double time = plain.write(round);
                                  moves[1].push_back(plain.move());
                                  return time;
                                }));
  std::size_t taken[2] = {0, 0};
  report.row(head("move to cold"), alternate(
                                       rounds, Better::less, [&](int) { return moves[0].at(taken[0]++); },
                                       [&](int) { return moves[1].at(taken[1]++); }));
}

void run(const Options& options, Report& report) {
  EncryptionManager manager({.master_key = generate_master_key()});
  manager.initialize();
  report.section(
      "Sealing messages", "plaintexts, one thread, buffers of the caller's that are in the caches",
      "db4 derives a key for each message, commits to the data key, counts the use, and binds store, "
      "collection, id, version and codec; the peer has one key, and a nonce that counts up");
  const Message messages[] = {
      {512, "512 B", std::nullopt},
      {4_KiB, "4 KiB", Aim{.bound = 0.5, .text = "half of bare AES-256-GCM"}},
      {1_MiB, "1 MiB", Aim{.bound = 0.9, .text = "0.9 of bare AES-256-GCM"}},
  };
  for (const Message& message : messages) compare(options, report, manager, message);
  large_documents(options, report,
                  std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = generate_master_key()}));
  small_documents(options, report);
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) { return db4::bench::run_program("seal", argc, argv, db4::bench::run); }
