#pragma once
// What the tests of large documents in an encrypted store share.

#include "cold/upload_fixtures.hpp"
#include "objects/object_stores.hpp"
#include "support/fault_object_store.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>

#include <atomic>
#include <fstream>
#include <stdexcept>

namespace db4::testing {

class SealedLargeTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kFrame = 256U << 10;
  static constexpr std::uint64_t kPart = 400'000;  // no multiple of anything in the record

  SealedLargeTest() { open(); }

  enum class How : std::uint8_t { plain, sealed, no_longer_sealed };
  void open(How how = How::sealed) {
    store_.reset();
    manager_.reset();
    TieredStoreConfig config{
        .hot = {.type = kDiskEngine, .path = folder_.path() / hot_, .durability = Durability::process},
        .cold = {.max_attempts = 1},  // faults are to be seen, not retried
        .tiering = {.interval = 0ms}};
    if (how != How::plain) {
      manager_ = std::make_shared<EncryptionManager>(
          EncryptionConfig{.master_key = master_, .key_store = keys_, .destruction_grace_period = 1h},
          clock_);
      config.encryption = manager_;
      config.sealing.writes = how == How::sealed;
    }
    store_ = std::make_unique<TieredStore>(config, Components{.clock = clock_, .object_store = faulty_});
  }
  ColdStorage& cold() { return store_->cold_storage(); }

  UploadResult write(ByteView content, UploadOptions options = {}, std::string_view id = "v") {
    options.part_size = kPart;
    return cold().write_large("videos", id, ByteSource::bytes(content), options);
  }
  /// An upload that breaks off behind its third part.
  void break_off(ByteView content, const std::string& upload_id) {
    faulty_->fail_nth(ObjectOperation::put_part, 4, FaultPoint::before);
    EXPECT_EQ(error_of([&] { write(content, {.concurrency = 1, .upload_id = upload_id}); }).upload_id(),
              upload_id);
  }
  /// It ends as a killed process does: at its n-th request of that kind, and nothing is said any more.
  void die_at(ObjectOperation operation, int n) {
    auto left = std::make_shared<std::atomic<int>>(n);
    faulty_->set_hook([left, operation](ObjectOperation now, std::string_view) {
      if (now == operation && --*left == 0) throw std::runtime_error("killed");
    });
  }
  void open_after_death() {
    faulty_->set_hook({});
    open();
  }
  Bytes read(ByteRange range = {}, std::string_view id = "v") {
    Bytes out;
    const auto result = cold().read_large(
        "videos", id, [&](ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }, range);
    EXPECT_TRUE(result);
    return out;
  }
  /// The only object there is.
  ObjectInfo object() {
    const auto page = memory_->list("", "", 10);
    EXPECT_EQ(page.objects.size(), 1U);
    return page.objects.at(0);
  }
  Bytes bytes_of(const ObjectInfo& info) { return memory_->get(info.name, 1ULL << 30).value(); }
  Bytes read_again(const ObjectInfo& info, const Bytes& bytes) {
    memory_->put(info.name, bytes);
    return read();
  }
  bool begins_plain(const ObjectInfo& info) {
    const Bytes bytes = bytes_of(info);
    return as_text(bytes).substr(0, 200).find("videos") != std::string_view::npos;
  }
  /// Whether any file of the hot folder has it.
  [[nodiscard]] bool hot_has(std::string_view text) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path() / hot_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string bytes((std::istreambuf_iterator<char>(in)), {});
      if (bytes.find(text) != std::string::npos) return true;
    }
    return false;
  }
  /// One object for the document, and nothing else, at the object store.
  void expect_nothing_left() {
    clock_->advance(24h);
    cold().collect_garbage();
    EXPECT_EQ(memory_->list("", "", 10).objects.size(), 1U);
    EXPECT_TRUE(memory_->list_multipart("", {}, 10).uploads.empty());
  }
  std::string key_id() { return store_->explain("videos", "v").value().key_id; }

  const TemporaryFolder folder_;
  std::string hot_ = "hot";  ///< another name: another store
  const MasterKey master_ = generate_master_key();
  const std::shared_ptr<KeyStore> keys_ = std::make_shared<InMemoryKeyStore>();
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  const std::shared_ptr<ObjectStore> memory_ = objects::make_memory_object_store();
  const std::shared_ptr<FaultObjectStore> faulty_ = std::make_shared<FaultObjectStore>(memory_);
  const Bytes content_ = content_of(3'000'017);
  std::shared_ptr<EncryptionManager> manager_;
  std::unique_ptr<TieredStore> store_;
};

}  // namespace db4::testing
