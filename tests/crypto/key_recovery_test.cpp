// Recovery: copies of a key ring, and what they may and may not replace.
#include "crypto/key_ring.hpp"
#include "crypto_fixtures.hpp"
#include "support/temporary_folder.hpp"

#include <db4/key_recovery.hpp>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

namespace db4::crypto {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr PassphraseCost kCheap{.memory_bytes = 8ULL << 20, .passes = 1};

class KeyRecoveryTest : public ::testing::Test {
 protected:
  std::unique_ptr<EncryptionManager> open(const MasterKey& key, bool create = true) {
    auto manager = std::make_unique<EncryptionManager>(
        EncryptionConfig{.master_key = key, .key_store = ring_, .create_key_ring = create});
    manager->initialize();
    return manager;
  }
  std::vector<KeyInfo> save() { return export_key_ring(*ring_, master_, file_, recovery_); }
  KeyRingImport put_back(KeyRingImportOptions options = {}) {
    return import_key_ring(file_, recovery_, *ring_, master_, options);
  }
  /// Whatever is there is replaced by `bytes`, as a disk that was restored does it.
  void set_ring(const std::optional<std::string>& bytes) {
    ring_ = std::make_shared<InMemoryKeyStore>();
    if (bytes) {
      ASSERT_TRUE(ring_->replace(std::nullopt, *bytes));
    }
  }
  [[nodiscard]] std::string file_bytes() const {
    std::ifstream in(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  testing::TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "recovery";
  std::shared_ptr<InMemoryKeyStore> ring_ = std::make_shared<InMemoryKeyStore>();
  MasterKey master_ = generate_master_key();
  MasterKey recovery_ = master_key_from_passphrase("correct horse battery staple", kCheap);
};

TEST_F(KeyRecoveryTest, ALostRingComesBackUnderTheMasterKeyOfNow) {
  const auto manager = open(master_);
  const Bytes old = manager->seal(as_bytes("first"), kContext);
  manager->rotate_key();
  const Bytes sealed = manager->seal(as_bytes("second"), kContext);
  EXPECT_EQ(save().size(), 2U);

  set_ring(std::nullopt);
  master_ = generate_master_key();
  const KeyRingImport result = put_back();
  EXPECT_TRUE(result.imported);
  EXPECT_EQ(result.keys.size(), 2U);
  EXPECT_THAT(result.lost_key_ids, IsEmpty());
  const auto again = open(master_, /*create=*/false);
  EXPECT_EQ(as_text(again->open(old, kContext)), "first");
  EXPECT_EQ(as_text(again->open(sealed, kContext)), "second");
  EXPECT_EQ(again->active_key_id(), result.keys.back().id);
}

TEST_F(KeyRecoveryTest, SavingChangesNothingAndTheFileIsOnlyOurs) {
  const auto manager = open(master_);
  const auto before = ring_->load();
  save();
  EXPECT_EQ(ring_->load(), before);
  EXPECT_NE(file_bytes(), *before);
  struct stat info {};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(error_of([&] { save(); }), ErrorCode::conflict);
  // The file is not opened by the store's master key.
  EXPECT_EQ(error_of([&] { import_key_ring(file_, master_, *ring_, master_); }), ErrorCode::key_unavailable);
}

TEST_F(KeyRecoveryTest, NothingIsWrittenWhereTheRingCannotBeOpened) {
  EXPECT_EQ(error_of([&] { save(); }), ErrorCode::key_unavailable);  // there is none
  open(master_);
  EXPECT_EQ(error_of([&] { export_key_ring(*ring_, generate_master_key(), file_, recovery_); }),
            ErrorCode::key_unavailable);
  EXPECT_EQ(error_of([&] { export_key_ring(*ring_, master_, file_, MasterKey()); }),
            ErrorCode::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(KeyRecoveryTest, ALostMasterKeyIsReplaced) {
  const Bytes sealed = open(master_)->seal(as_bytes("text"), kContext);
  save();
  master_ = generate_master_key();
  EXPECT_EQ(error_of([&] { open(master_); }), ErrorCode::key_unavailable);
  EXPECT_TRUE(put_back().imported);
  EXPECT_EQ(as_text(open(master_)->open(sealed, kContext)), "text");
}

TEST_F(KeyRecoveryTest, KeysThatOnlyTheRingHasAreNotLostUnlessForced) {
  open(master_);
  save();
  const std::string newer = open(master_)->rotate_key().new_key_id;
  const auto before = ring_->load();
  master_ = generate_master_key();
  EXPECT_EQ(error_of([&] { put_back(); }), ErrorCode::conflict);
  EXPECT_EQ(ring_->load(), before);
  const KeyRingImport result = put_back({.force = true});
  EXPECT_THAT(result.lost_key_ids, ElementsAre(newer));
  EXPECT_EQ(open(master_, /*create=*/false)->list_keys().size(), 1U);
}

TEST_F(KeyRecoveryTest, TheSameRingThatWorksAndIsAsNewStays) {
  open(master_);
  save();
  const auto as_saved = ring_->load();
  KeyRingImport result = put_back();
  EXPECT_FALSE(result.imported);
  EXPECT_EQ(result.keys.size(), 1U);
  EXPECT_EQ(ring_->load(), as_saved);
  open(master_)->rotate_key();
  const auto newer = ring_->load();
  result = put_back({.force = true});
  EXPECT_FALSE(result.imported);
  EXPECT_EQ(result.keys.size(), 2U);
  EXPECT_EQ(ring_->load(), newer);
}

TEST_F(KeyRecoveryTest, AnOlderStateOfTheSameRingIsBroughtForward) {
  open(master_);
  const auto old = ring_->load();
  open(master_)->rotate_key();
  save();
  set_ring(old);
  EXPECT_TRUE(put_back().imported);
  EXPECT_EQ(open(master_)->list_keys().size(), 2U);
}

TEST_F(KeyRecoveryTest, AnotherRingThatWorksIsNeverReplaced) {
  open(master_);
  save();
  set_ring(std::nullopt);
  open(master_);
  const auto before = ring_->load();
  EXPECT_EQ(error_of([&] { put_back({.force = true}); }), ErrorCode::conflict);
  EXPECT_EQ(ring_->load(), before);
}

TEST_F(KeyRecoveryTest, AnotherRingThatDoesNotWorkIsReplacedOnlyByForce) {
  open(master_);
  save();
  set_ring(std::nullopt);
  open(generate_master_key());
  EXPECT_EQ(error_of([&] { put_back(); }), ErrorCode::conflict);
  EXPECT_EQ(put_back({.force = true}).lost_key_ids.size(), 1U);
  open(master_, /*create=*/false);
}

TEST_F(KeyRecoveryTest, ARingThatIsPutBackIsNewerThanAllBefore) {
  open(master_);
  save();
  for (int i = 0; i < 5; ++i) open(master_)->rotate_key();
  const std::uint64_t newest = parse_key_ring(*ring_->load()).generation;
  set_ring(std::nullopt);
  put_back();
  EXPECT_GT(parse_key_ring(*ring_->load()).generation, newest);
  // Also than one that was put back before.
  const std::uint64_t first = parse_key_ring(*ring_->load()).generation;
  master_ = generate_master_key();
  put_back();
  EXPECT_GT(parse_key_ring(*ring_->load()).generation, first);
}

TEST_F(KeyRecoveryTest, ADamagedRingIsReplacedAndADamagedCopyReplacesNothing) {
  const Bytes sealed = open(master_)->seal(as_bytes("text"), kContext);
  save();
  std::string damaged = *ring_->load();
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  for (const std::string& ring : {damaged, damaged.substr(0, 50), std::string("x")}) {
    set_ring(ring);
    EXPECT_EQ(error_of([&] { open(master_); }), ErrorCode::corrupt);
    EXPECT_TRUE(put_back().imported);
    EXPECT_EQ(as_text(open(master_)->open(sealed, kContext)), "text");
  }
  const std::string whole = file_bytes();
  set_ring(std::nullopt);
  for (std::size_t i = 0; i < whole.size(); i += 7) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 4);
    std::ofstream(file_, std::ios::binary) << changed;
    EXPECT_TRUE(error_of([&] { put_back(); }).has_value()) << "byte " << i;
    EXPECT_EQ(ring_->load(), std::nullopt);
  }
  std::filesystem::remove(file_);
  EXPECT_EQ(error_of([&] { put_back(); }), ErrorCode::key_unavailable);
}

}  // namespace
}  // namespace db4::crypto
