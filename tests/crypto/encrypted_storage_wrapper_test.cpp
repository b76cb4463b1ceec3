#include "crypto_fixtures.hpp"

#include <db4/encrypted_storage_wrapper.hpp>

#include <map>

namespace db4::crypto {
namespace {

class WrapperTest : public ::testing::Test {
 protected:
  WrapperTest() { manager_->initialize(); }
  EncryptedStorageWrapper wrapper(EncryptedStorageWrapperConfig config = {}) {
    config.encryption_manager = manager_;
    return EncryptedStorageWrapper(std::move(config));
  }
  std::shared_ptr<EncryptionManager> manager_ =
      std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = generate_master_key()});
};

TEST_F(WrapperTest, OpensTheDocumentsItSealed) {
  const auto with = wrapper();
  const nlohmann::json user = {{"name", "Alice"}, {"tags", {1, 2, 3}}};
  EXPECT_EQ(with.decrypt_document("users", "user-1", with.encrypt_document("users", "user-1", user)), user);
  const Bytes braced = with.encrypt_document("users", "user-1", {{"name", "Alice"}});
  EXPECT_EQ(with.decrypt_document("users", "user-1", braced), nlohmann::json({{"name", "Alice"}}));
  const Bytes bytes = with.encrypt_bytes("users", "user-1", pattern(100));
  EXPECT_EQ(with.decrypt_bytes("users", "user-1", bytes), pattern(100));
  EXPECT_EQ(error_of([&] { std::ignore = with.decrypt_document("users", "user-1", bytes); }),
            ErrorCode::unsupported);
}

TEST_F(WrapperTest, ADocumentIsNoOther) {
  const auto with = wrapper();
  const Bytes sealed = with.encrypt_document("users", "user-1", {{"a", 1}}, {.version = 2});
  const auto refused = [&](const EncryptedStorageWrapper& by, const char* collection, const char* id,
                           Version version) {
    return error_of([&] {
             std::ignore = by.decrypt_document(collection, id, sealed, {.version = version});
           }) == ErrorCode::corrupt;
  };
  EXPECT_TRUE(refused(with, "users", "user-2", 2));
  EXPECT_TRUE(refused(with, "admins", "user-1", 2));
  EXPECT_TRUE(refused(with, "users", "user-1", 3)) << "an older version as the newest";
  EXPECT_TRUE(refused(wrapper({.store_id = "other"}), "users", "user-1", 2));
  EXPECT_FALSE(refused(with, "users", "user-1", 2));
}

TEST_F(WrapperTest, TheSwitchesLeaveNamesOut) {
  const auto any_id = wrapper({.include_id_in_aad = false});
  const Bytes sealed = any_id.encrypt_document("users", "user-1", {{"a", 1}});
  EXPECT_EQ(any_id.decrypt_document("users", "user-2", sealed), nlohmann::json({{"a", 1}}));
  EXPECT_EQ(error_of([&] { std::ignore = any_id.decrypt_document("admins", "user-1", sealed); }),
            ErrorCode::corrupt);
  const auto any_collection = wrapper({.include_collection_in_aad = false});
  const Bytes other = any_collection.encrypt_document("users", "user-1", {{"a", 1}});
  EXPECT_EQ(any_collection.decrypt_document("admins", "user-1", other), nlohmann::json({{"a", 1}}));
  EXPECT_EQ(error_of([&] { std::ignore = wrapper().decrypt_document("users", "user-1", other); }),
            ErrorCode::corrupt)
      << "whether names are bound is bound itself";
}

TEST_F(WrapperTest, EverySwapOfTwoDocumentsIsRefused) {
  const auto with = wrapper();
  std::map<std::string, Bytes> stored;
  for (int i = 0; i < 10; ++i) {
    const std::string id = "user-" + std::to_string(i);
    stored[id] = with.encrypt_document("users", id, {{"i", i}});
  }
  for (const auto& [id, own] : stored) {
    for (const auto& [from, bytes] : stored) {
      const auto error = error_of(
          [&, &id = id, &bytes = bytes] { std::ignore = with.decrypt_document("users", id, bytes); });
      ASSERT_EQ(error == ErrorCode::corrupt, id != from) << from << " as " << id;
    }
  }
}

TEST_F(WrapperTest, ReencryptionFollowsARotation) {
  const auto with = wrapper({.padding = Padding::padme});
  Bytes sealed = with.encrypt_document("users", "user-1", {{"a", 1}}, {.version = 5});
  EXPECT_FALSE(with.needs_reencryption(sealed));
  const auto rotation = manager_->rotate_key();
  EXPECT_TRUE(with.needs_reencryption(sealed));
  EXPECT_EQ(
      error_of([&] { std::ignore = with.reencrypt_document("users", "user-2", sealed, {.version = 5}); }),
      ErrorCode::corrupt)
      << "nothing is sealed anew that was not checked";
  sealed = with.reencrypt_document("users", "user-1", sealed, {.version = 5});
  EXPECT_FALSE(with.needs_reencryption(sealed));
  EXPECT_EQ(EncryptionManager::key_id_of(sealed), rotation.new_key_id);
  EXPECT_EQ(sealed.size(), 256 + kSealOverhead) << "padded as before";
  manager_->schedule_destruction(rotation.old_key_id);
  EXPECT_EQ(with.decrypt_document("users", "user-1", sealed, {.version = 5}), nlohmann::json({{"a", 1}}));
}

TEST_F(WrapperTest, RefusesWhatMakesNoSense) {
  const auto with = wrapper();
  for (const auto& [collection, id] : {std::pair<std::string, std::string>{"", "x"},
                                       {"x", ""},
                                       {std::string(256, 'x'), "x"},
                                       {"x", std::string(1'025, 'x')}}) {
    EXPECT_EQ(error_of([&, &collection = collection, &id = id] {
                std::ignore = with.encrypt_bytes(collection, id, {});
              }),
              ErrorCode::invalid_argument);
  }
  EXPECT_EQ(error_of([] { EncryptedStorageWrapper({}); }), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { wrapper({.store_id = std::string(256, 'x')}); }), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { std::ignore = with.encrypt_document("a", "b", nlohmann::json("\xff")); }),
            ErrorCode::invalid_argument);
}

TEST_F(WrapperTest, ErrorsNameTheDocumentAndNotItsContent) {
  const auto with = wrapper();
  Bytes sealed = with.encrypt_document("users", "user-1", {{"secret", "canary"}});
  sealed.back() ^= std::byte{1};
  try {
    std::ignore = with.decrypt_document("users", "user-1", sealed);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("users/user-1"), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find("canary"), std::string::npos);
  }
}

}  // namespace
}  // namespace db4::crypto
