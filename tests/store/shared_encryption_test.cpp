// An encrypted store that several nodes have open at once, over PostgreSQL: one key ring, in the database.
#include "objects/object_stores.hpp"
#include "support/error_of.hpp"
#include "support/postgres_server.hpp"

#include <db4/storage.hpp>

#include <gtest/gtest.h>

namespace db4::testing {
namespace {

class SharedEncryptionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    server_ = shared_postgres_server(&reason);
    if (server_ == nullptr) GTEST_SKIP() << reason;
  }
  [[nodiscard]] std::unique_ptr<TieredStore> open(const MasterKey& master) const {
    TieredStoreConfig config{.hot = {.type = HotType::postgres,
                                     .inline_body_size = 64,
                                     .durability = Durability::process,
                                     .url = server_->url(),
                                     .schema = schema_,
                                     .follow_server_clock = false},
                             .cold = {.max_attempts = 1},
                             .tiering = {.promote_on_read = false, .interval = 0ms}};
    config.sealing.reencrypt = false;
    config.encryption = std::make_shared<EncryptionManager>(
        EncryptionConfig{.master_key = master, .refresh_interval = 0ms}, clock_);
    return std::make_unique<TieredStore>(config, Components{.clock = clock_, .object_store = objects_});
  }
  static std::string body(int i) { return "body " + std::to_string(i) + std::string(i % 2 * 500, 'x'); }

  PostgresServer* server_ = nullptr;
  const std::string schema_ = PostgresServer::new_schema();
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>(system_clock()->now());
  const std::shared_ptr<ObjectStore> objects_ = make_memory_object_store();
  const MasterKey master_ = generate_master_key();
};

TEST_F(SharedEncryptionTest, NodesShareARingAndHearOfRotations) {
  const auto a = open(master_);
  const auto b = open(master_);
  for (int i = 0; i < 20; ++i) a->write_bytes("c", std::to_string(i), as_bytes(body(i)));
  for (int i = 0; i < 10; ++i) a->demote("c", std::to_string(i), StorageTier::cold);
  const std::string old = a->encryption()->active_key_id();
  EXPECT_EQ(b->encryption()->active_key_id(), old);
  a->encryption()->rotate_key();
  b->write_bytes("c", "after", as_bytes("written by another node"));
  EXPECT_NE(b->explain("c", "after")->key_id, old) << "it heard of the rotation";
  EXPECT_EQ(error_of([&] { b->encryption()->schedule_destruction(old); }), ErrorCode::invalid_argument);

  for (int i = 0; i < 20; ++i) {
    const ReencryptResult result = (i % 2 == 0 ? a : b)->reencrypt({.max_documents = 7});
    EXPECT_EQ(result.failed, 0U) << result.first_error;
    EXPECT_GT(result.documents, 0U) << "the node before has given its lease back";
    if (a->encryption_status().copies_on_old_keys == 0) break;
  }
  EXPECT_EQ(b->encryption_status().copies_on_old_keys, 0U);
  b->encryption()->schedule_destruction(old);
  clock_->advance(8 * 24h);
  EXPECT_EQ(a->encryption()->process_expirations().destroyed.size(), 1U);
  for (TieredStore* node : {a.get(), b.get()}) {
    for (int i = 0; i < 20; ++i) EXPECT_EQ(node->read("c", std::to_string(i))->text(), body(i));
    EXPECT_EQ(node->read("c", "after")->text(), "written by another node");
  }
  EXPECT_EQ(error_of([&] { (void)open(generate_master_key()); }), ErrorCode::key_unavailable);
}

TEST_F(SharedEncryptionTest, WhoComesSecondTakesTheRingAndARewrapShutsItOut) {
  const auto a = open(master_);
  const auto b = open(master_);
  EXPECT_EQ(a->encryption()->list_keys().size(), 1U);
  EXPECT_EQ(a->encryption()->active_key_id(), b->encryption()->active_key_id());
  a->encryption()->rewrap(generate_master_key());
  EXPECT_EQ(error_of([&] { b->write_bytes("c", "1", as_bytes("x")); }), ErrorCode::key_unavailable)
      << "it has the old master key";
}

}  // namespace
}  // namespace db4::testing
