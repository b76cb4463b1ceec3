// The audit of an encrypted store: clean where the store is, and blind to nothing that was planted.
#include "catalog/counters.hpp"
#include "catalog/keys.hpp"
#include "catalog/row.hpp"
#include "catalog/spaces.hpp"
#include "objects/object_stores.hpp"
#include "support/audit.hpp"
#include "support/temporary_folder.hpp"

#include <db4/storage.hpp>

#include <gmock/gmock.h>

namespace db4::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

/// Some of everything: bodies in rows and beside them, records alone and in segments, under two keys, and a
/// large document.
class EncryptionAuditTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TieredStoreConfig config{.hot = {.type = HotType::sqlite,
                                     .path = folder_.path() / "hot",
                                     .inline_body_size = 256,
                                     .durability = Durability::process},
                             .warm = {.max_size = 0},
                             .cold = {.pack_below = 4096, .max_attempts = 1},
                             .tiering = {.promote_on_read = false, .interval = 0ms},
                             .live = {.enabled = false}};
    config.sealing.reencrypt = false;
    config.encryption = keys();
    TieredStore store(config, {.clock = clock_, .object_store = objects_});
    write(store, 0, 20);
    clock_->advance(48h);
    ASSERT_TRUE(store.run_tiering().errors.empty());
    store.encryption()->rotate_key();
    write(store, 20, 30);
    store.demote("c", "29", StorageTier::cold);
    store.cold_storage().write_large("c", "large", ByteSource::bytes(as_bytes(std::string(700'000, 'L'))));
    for (const KeyUse& use : store.encryption_status().uses) uses_.push_back(use.copies);
    store.close();
  }
  static void write(TieredStore& store, int from, int until) {
    for (int i = from; i < until; ++i) {
      store.write_bytes("c", std::to_string(i), as_bytes(std::string(1 + i % 3 * 400, 'x')));
    }
  }
  [[nodiscard]] std::shared_ptr<EncryptionManager> keys() const {
    return std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = master_}, clock_);
  }
  [[nodiscard]] AuditReport look(bool with_keys = true) const {
    return audit_closed_store(HotType::sqlite, folder_.path() / "hot", *objects_, {},
                              with_keys ? keys() : nullptr);
  }
  /// Changes the database behind the store's back.
  template <typename Change>
  void plant(const Change& change) const {
    const auto engine = kv::open_engine(
        HotType::sqlite, {.path = folder_.path() / "hot", .spaces = catalog::catalog_spaces()});
    kv::Batch batch;
    change(*engine, batch);
    const kv::Batch* const one = &batch;
    ASSERT_TRUE(engine->commit({&one, 1}, Durability::process).front().committed());
    engine->close();
  }
  void plant_row(std::string_view id, const std::function<void(catalog::Row&)>& change) const {
    plant([&](const kv::Engine& engine, kv::Batch& batch) {
      const std::string key = catalog::document_key("c", id);
      catalog::Row row = catalog::decode_row(key, engine.get(catalog::kRows, key).value());
      change(row);
      batch.put(catalog::kRows, key, catalog::encode_row(key, row));
    });
  }
  [[nodiscard]] std::string object_with(std::string_view part) const {
    for (const ObjectInfo& info : objects_->list("", "", 1000).objects) {
      if (info.name.find(part) != std::string::npos) return info.name;
    }
    return {};
  }

  const TemporaryFolder folder_;
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  const std::shared_ptr<ObjectStore> objects_ = make_memory_object_store();
  const MasterKey master_ = generate_master_key();
  std::vector<std::uint64_t> uses_;
};

TEST_F(EncryptionAuditTest, ASoundStoreIsClean) {
  const AuditReport report = look();
  EXPECT_TRUE(report.clean()) << report;
  EXPECT_TRUE(report.needs_keys);
  EXPECT_EQ(report.documents, 31U);
  EXPECT_EQ(report.sealed_copies, 31U);
  EXPECT_EQ(report.plain_copies, 0U);
  EXPECT_EQ(report.key_rings, 1U);
  EXPECT_GT(report.segments, 0U);
  EXPECT_THAT(uses_, ::testing::UnorderedElementsAre(20U, 11U));
}

TEST_F(EncryptionAuditTest, WithoutKeysWhatIsSealedIsAProblem) {
  EXPECT_GE(look(/*with_keys=*/false).problems.size(), 31U);
}

TEST_F(EncryptionAuditTest, AWrongCounterIsSeen) {
  plant([](const kv::Engine& engine, kv::Batch& batch) {
    batch.add(catalog::kCounters, catalog::sealed_key(catalog::read_sealed(engine).front().key, 0), 1);
  });
  EXPECT_THAT(look().problems, ::testing::ElementsAre(HasSubstr("copies are counted for the key")));
}

TEST_F(EncryptionAuditTest, ABodyOfAnotherDocumentOrUnderAnotherKeyIsSeen) {
  std::string body;
  plant_row("21", [&](catalog::Row& row) { body = row.inline_body; });
  plant_row("24", [&](catalog::Row& row) { row.inline_body = body; });
  EXPECT_THAT(look().problems, ::testing::ElementsAre(HasSubstr("c/24: its hot body: ")));
  plant_row("27", [](catalog::Row& row) { ++row.body_key; });
  EXPECT_THAT(look().problems, Contains(HasSubstr("not in the key ring")));
}

TEST_F(EncryptionAuditTest, ARecordUnderAnotherKeyOrDamagedIsSeen) {
  plant_row("29", [](catalog::Row& row) { ++row.cold->key; });
  plant_row("large", [](catalog::Row& row) { ++row.cold->key; });
  EXPECT_THAT(look().problems, Contains(HasSubstr("c/29: its cold record: ")));
  EXPECT_THAT(look().problems, Contains(HasSubstr("c/large: its large record has another key")));
}

TEST_F(EncryptionAuditTest, ASegmentsIndexThatDoesNotOpenIsSeen) {
  const std::string object = object_with("segment.");
  ASSERT_FALSE(object.empty());
  Bytes bytes = objects_->get(object, 1 << 20).value();
  bytes[bytes.size() - 60] ^= std::byte{1};
  objects_->put(object, bytes);
  EXPECT_THAT(look().problems, ::testing::Each(HasSubstr("its segment's index: ")));
  EXPECT_FALSE(look().clean());
}

TEST_F(EncryptionAuditTest, AMissingOrForeignKeyRingInColdIsSeen) {
  const std::string object = object_with("/keys/");
  const Bytes ring = objects_->get(object, 1 << 20).value();
  objects_->remove(object);
  EXPECT_THAT(look().problems, Contains(HasSubstr("no copy of the key ring in cold")));
  Bytes changed = ring;
  changed[8] ^= std::byte{1};  // its id
  objects_->put(object, changed);
  EXPECT_THAT(look().problems, Contains(HasSubstr("is another store's")));
}

TEST_F(EncryptionAuditTest, APlainBodyWhereAllIsSealedIsSeen) {
  plant_row("21", [](catalog::Row& row) {
    row.inline_body = std::string(row.size, 'x');
    row.body_key = 0;
  });
  EXPECT_THAT(look().problems,
              Contains(HasSubstr("nothing is plain, as the catalogue has it, and 1 copies")));
}

}  // namespace
}  // namespace db4::testing
