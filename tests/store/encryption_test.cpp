// An encrypted store: nothing readable outside of memory, opened by nobody without its keys, and sealed anew
// without losing a write.
#include "codec/record.hpp"
#include "objects/object_stores.hpp"
#include "store/encryption_fixture.hpp"
#include "support/fault_object_store.hpp"

#include <db4/rebuild.hpp>

#include <random>
#include <thread>

namespace db4::testing {
namespace {

using namespace db4::literals;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

INSTANTIATE_TEST_SUITE_P(Engines, EncryptionTest, ::testing::ValuesIn(disk_engines()),
                         [](const auto& suite) { return std::string(to_string(suite.param)); });

TEST_P(EncryptionTest, NothingReadableLeavesMemory) {
  open();
  write(0, 60);
  demote_all();
  write(60, 100);
  demote(60, 65);
  for (int i = 0; i < 10; ++i) {
    store_->promote("users", std::to_string(i), StorageTier::warm);
    store_->promote("users", std::to_string(20 + i), StorageTier::hot);
  }
  EXPECT_GT(store_->warm_storage().stats().entries, 0U);
  EXPECT_GT(store_->cold_storage().stats().objects, 0U);
  expect_all();
  close();
  EXPECT_THAT(files_with(kCanary), ::testing::IsEmpty());
  // The search finds what is there: ids of documents stand in the hot folder, and in no object.
  open();
  store_->write_bytes("users", "an-id-to-look-for", as_bytes(kCanary));
  store_->demote("users", "an-id-to-look-for", StorageTier::cold);
  close();
  for (const std::string& file : files_with("an-id-to-look-for")) EXPECT_THAT(file, HasSubstr("/hot/"));
  EXPECT_THAT(files_with("an-id-to-look-for"), ::testing::Not(::testing::IsEmpty()));
  open();
  expect_all();
}

TEST_P(EncryptionTest, WithoutTheKeyNobodyOpensItAndNothingIsWritten) {
  open();
  write(0, 10);
  close();
  encrypted_ = false;
  EXPECT_EQ(error_of([&] { open(); }), ErrorCode::key_unavailable);
  encrypted_ = true;
  const MasterKey right = std::exchange(master_, generate_master_key());
  EXPECT_EQ(error_of([&] { open(); }), ErrorCode::key_unavailable);
  master_ = {};
  EXPECT_EQ(error_of([&] { open(); }), ErrorCode::key_unavailable);
  master_ = right;
  open();
  expect_all();
  EXPECT_EQ(store_->encryption()->list_keys().size(), 1U) << "nobody made another key";
}

TEST_P(EncryptionTest, AStoreThatCannotGetItsKeyIsNotMade) {
  master_ = {};
  EXPECT_EQ(error_of([&] { open(); }), ErrorCode::key_unavailable);
  encrypted_ = false;
  open();  // no trace of a key ring
  EXPECT_EQ(store_->encryption(), nullptr);
}

TEST_P(EncryptionTest, DocumentsAreSealedAnewAndTheOldKeyIsUnused) {
  open();
  write(0, 60);
  demote_all();
  write(60, 100);
  store_->promote("users", "3", StorageTier::hot);  // hot, and with a copy in cold
  const std::string old = store_->encryption()->active_key_id();
  EXPECT_EQ(key_of("3"), old);
  EXPECT_EQ(key_of("70"), old);
  const auto before = store_->explain("users", "5")->meta;

  store_->encryption()->rotate_key();
  const EncryptionStatus rotated = store_->encryption_status();
  EXPECT_EQ(rotated.copies_on_old_keys, 101U);
  EXPECT_FALSE(rotated.plain_left);
  EXPECT_EQ(error_of([&] { store_->encryption()->schedule_destruction(old); }), ErrorCode::invalid_argument);

  EXPECT_TRUE(store_->reencrypt_document("users", "5"));
  EXPECT_FALSE(store_->reencrypt_document("users", "5"));
  const auto after = store_->explain("users", "5")->meta;
  EXPECT_EQ(after.version, before.version);
  EXPECT_EQ(after.updated_at, before.updated_at);
  EXPECT_EQ(after.created_at, before.created_at);
  EXPECT_EQ(after.tier, before.tier);

  std::size_t calls = 0;
  std::uint64_t documents = 0;
  for (bool more = true; more && calls < 100; ++calls) {
    const ReencryptResult result = store_->reencrypt({.max_documents = 20});
    EXPECT_EQ(result.failed, 0U) << result.first_error;
    EXPECT_LE(result.documents, 20U);
    documents += result.documents;
    more = result.more;
    if (calls == 2) {  // the next one goes on where this one stopped
      close();
      open();
    }
  }
  EXPECT_EQ(documents, 99U);
  EXPECT_EQ(store_->encryption_status().copies_on_old_keys, 0U);
  EXPECT_EQ(store_->reencrypt().documents, 0U);
  expect_all();
  store_->encryption()->schedule_destruction(old);
  clock_->advance(8 * 24h);
  EXPECT_THAT(store_->encryption()->process_expirations().destroyed, ::testing::ElementsAre(old));
  store_->cold_storage().collect_garbage();
  close();
  open();
  expect_all();
}

TEST_P(EncryptionTest, ABackgroundRunRotatesAnExpiredKeyAndSealsAnew) {
  reencrypts_ = true;
  open();
  write(0, 30);
  const std::string old = store_->encryption()->active_key_id();
  clock_->advance(91 * 24h);
  const TieringResult result = store_->run_tiering();
  EXPECT_TRUE(result.errors.empty()) << result.errors[0];
  EXPECT_NE(store_->encryption()->active_key_id(), old);
  EXPECT_EQ(store_->encryption_status().copies_on_old_keys, 0U);
  expect_all();
}

TEST_P(EncryptionTest, ForcedDestructionShredsAndSaysSo) {
  open();
  write(0, 4);
  demote(0, 2);
  const std::string old = store_->encryption()->active_key_id();
  store_->encryption()->rotate_key({.keep_old_key = false, .force = true});
  write(4, 6);
  close();
  open();
  EXPECT_EQ(error_of([&] { store_->read("users", "0"); }), ErrorCode::key_unavailable);
  EXPECT_EQ(error_of([&] { store_->read("users", "3"); }), ErrorCode::key_unavailable);
  store_->encryption()->cancel_destruction(old);
  expect_all();
  store_->encryption()->schedule_destruction(old, {.force = true});
  clock_->advance(8 * 24h);
  store_->encryption()->process_expirations();
  for (const char* id : {"0", "1", "2", "3"}) {
    EXPECT_EQ(error_of([&] { store_->read("users", id); }), ErrorCode::key_destroyed) << id;
  }
  // The rest is sealed anew, and nobody comes back to what is lost in every run.
  reencrypts_ = true;
  close();
  open();
  store_->encryption()->rotate_key();
  TieringResult run = store_->run_tiering();
  for (const char* id : {"4", "5"}) EXPECT_EQ(key_of(id), store_->encryption()->active_key_id());
  EXPECT_THAT(run.errors, ::testing::ElementsAre(HasSubstr("destroyed")));
  EXPECT_FALSE(store_->reencrypt().more);
  EXPECT_EQ(store_->reencrypt().failed, 0U) << "there is nothing that could be done";
  run = store_->run_tiering();
  EXPECT_TRUE(run.errors.empty()) << run.errors[0];
  EXPECT_TRUE(store_->read("users", "4"));
  EXPECT_TRUE(store_->remove("users", "0")) << "what nobody can read can be removed";
  store_->write_bytes("users", "1", as_bytes("anew"));
  EXPECT_EQ(store_->read("users", "1")->text(), "anew");
}

TEST_P(EncryptionTest, ABodyIsNotGivenUpForACopyThatNobodyCanOpen) {
  open();
  write(0, 4);
  demote(0, 4);
  const std::string old = store_->encryption()->active_key_id();
  store_->encryption()->rotate_key();
  for (const char* id : {"0", "1", "2", "3"}) store_->promote("users", id, StorageTier::hot);
  store_->encryption()->schedule_destruction(old, {.force = true});  // of the copies in cold
  expect_all();
  store_->demote("users", "0", StorageTier::cold);
  expect_all();
  clock_->advance(8 * 24h);
  store_->encryption()->process_expirations();
  store_->demote("users", "1", StorageTier::cold);
  store_->encryption()->rotate_key();
  const ReencryptResult result = store_->reencrypt();
  EXPECT_EQ(result.failed, 0U) << result.first_error;
  EXPECT_FALSE(result.more);
  EXPECT_EQ(store_->encryption_status().copies_on_old_keys, 0U);
  demote(2, 4);
  expect_all();
}

TEST_P(EncryptionTest, OneKeyThatIsToGoDoesNotKeepTheRestFromARebuild) {
  open();
  write(0, 3);
  demote(0, 3);
  const std::string old = store_->encryption()->active_key_id();
  store_->encryption()->rotate_key();
  write(3, 6);
  store_->encryption()->schedule_destruction(old, {.force = true});
  demote(3, 6);
  close();
  fs::remove_all(folder_.path() / "hot");
  const RebuildResult result = rebuild_catalog(config(), {}, {.clock = clock_});
  EXPECT_EQ(result.documents, 3U);
  EXPECT_EQ(result.doubts_in_all, 3U);
  open();
  for (int i = 3; i < 6; ++i) EXPECT_EQ(store_->read("users", std::to_string(i))->text(), body(i));
}

TEST_P(EncryptionTest, ARebuildTakesNoPlainRecordForASealedOne) {
  open();
  write(0, 1);
  demote(0, 1);
  close();
  std::string object;
  for (const auto& entry : fs::recursive_directory_iterator(folder_.path() / "cold")) {
    if (entry.is_regular_file() && entry.path().parent_path().filename().string().size() == 2) {
      object = entry.path().string();
    }
  }
  // A newer version, as somebody makes it who can write to the object store alone.
  std::ofstream(object.substr(0, object.size() - 20) + "0123456789abcdef.obj", std::ios::binary)
      << codec::encode_record({.collection = "users", .id = "0", .version = 99}, "forged", {});
  fs::remove_all(folder_.path() / "hot");
  fs::remove_all(folder_.path() / "warm");
  const RebuildResult result = rebuild_catalog(config(), {}, {.clock = clock_});
  EXPECT_EQ(result.documents, 1U);
  EXPECT_EQ(result.objects, 2U);
  ASSERT_EQ(result.doubts_in_all, 2U) << "that it is plain, and that it would have been newer";
  EXPECT_THAT(result.doubts[1].what, HasSubstr("version 99 is plain"));
  open();
  expect_all();
}

TEST_P(EncryptionTest, TheCopyOfTheRingFollowsAChangeOfTheMasterKey) {
  open();
  write(0, 3);
  demote(0, 3);
  const MasterKey next = generate_master_key();
  store_->encryption()->rewrap(next);
  master_ = next;
  store_->reencrypt({.max_documents = 0});
  close();
  fs::remove_all(folder_.path() / "hot");
  fs::remove_all(folder_.path() / "warm");
  EXPECT_EQ(rebuild_catalog(config(), {}, {.clock = clock_}).documents, 3U);
  open();
  expect_all();
}

TEST_P(EncryptionTest, AnotherStoresRingIsRefused) {
  open();
  write(0, 3);
  close();
  TieredStoreConfig other = config();
  other.encryption = std::make_shared<EncryptionManager>(
      EncryptionConfig{.master_key = master_, .key_store = std::make_shared<InMemoryKeyStore>()});
  EXPECT_EQ(error_of([&] { TieredStore(other, Components{.clock = clock_}); }), ErrorCode::key_unavailable);
  open();
  expect_all();
}

TEST_P(EncryptionTest, AManagerThatKeepsItsRingInMemoryIsRefused) {
  TieredStoreConfig given = config();
  given.encryption->initialize();
  EXPECT_EQ(error_of([&] { TieredStore(given, Components{.clock = clock_}); }), ErrorCode::invalid_argument);
}

TEST_P(EncryptionTest, OneManagerOpensItsStoreAgainAndNoOther) {
  TieredStoreConfig given = config();
  TieredStoreConfig other = given;
  other.hot.path = folder_.path() / "other hot";
  other.warm.max_size = 0;
  other.cold.path = folder_.path() / "other cold";
  const auto open_given = [&] { store_ = std::make_unique<TieredStore>(given, Components{.clock = clock_}); };
  open_given();
  write(0, 20);
  EXPECT_EQ(error_of([&] { TieredStore(other, Components{.clock = clock_}); }), ErrorCode::invalid_argument);
  close();
  EXPECT_EQ(error_of([&] { TieredStore(other, Components{.clock = clock_}); }), ErrorCode::invalid_argument)
      << "its key ring is in the first one's database";
  open_given();
  given.encryption->rotate_key();
  write(20, 30);
  demote_all();
  close();
  open_given();
  expect_all();
  close();
  // Meanwhile somebody else rotated.
  open();
  store_->encryption()->rotate_key();
  write(30, 40);
  demote_all();
  close();
  open_given();
  expect_all();
  EXPECT_EQ(given.encryption->list_keys().size(), 3U);
  close();

  fs::remove_all(folder_.path() / "hot");
  rebuild_catalog(given, {}, {.clock = clock_});
  open_given();
  expect_all();
  write(0, 5, "second");
  expect_all();
}

TEST_P(EncryptionTest, WhoLosesTheHotFolderRebuildsItWithTheMasterKeyAlone) {
  open();
  write(0, 60);
  demote_all();
  store_->encryption()->rotate_key();
  write(60, 70);
  demote(60, 70);
  const std::string large(3 << 20, 'L');
  store_->cold_storage().write_large("users", "large", ByteSource::bytes(as_bytes(large)));
  expected_["large"] = large;
  close();
  fs::remove_all(folder_.path() / "hot");
  fs::remove_all(folder_.path() / "warm");

  encrypted_ = false;
  EXPECT_EQ(error_of([&] { rebuild_catalog(config(), {}, {.clock = clock_}); }), ErrorCode::key_unavailable);
  encrypted_ = true;
  const MasterKey right = std::exchange(master_, generate_master_key());
  EXPECT_EQ(error_of([&] { rebuild_catalog(config(), {}, {.clock = clock_}); }), ErrorCode::key_unavailable);
  master_ = right;
  const RebuildResult result = rebuild_catalog(config(), {.verify_large = true}, {.clock = clock_});
  EXPECT_EQ(result.documents, expected_.size());
  EXPECT_EQ(result.doubts_in_all, 0U) << result.doubts.front().what;
  open();
  EXPECT_EQ(store_->encryption()->list_keys().size(), 2U);
  expect_all();
  const std::string old = store_->encryption()->list_keys().front().id;
  EXPECT_EQ(error_of([&] { store_->encryption()->schedule_destruction(old); }), ErrorCode::invalid_argument)
      << "what needs it was counted";
  EXPECT_EQ(store_->reencrypt().failed, 0U);
  store_->encryption()->schedule_destruction(old);
  expect_all();
}

TEST_P(EncryptionTest, DestroyedKeysAreInNoCopyOfTheRing) {
  open();
  write(0, 5);
  demote(0, 5);
  const auto rings = [&] {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path() / "cold")) {
      if (entry.path().parent_path().filename() == "keys") names.push_back(entry.path().filename().string());
    }
    return names;
  };
  const auto first = rings();
  ASSERT_EQ(first.size(), 1U);
  const std::string old = store_->encryption()->active_key_id();
  store_->encryption()->rotate_key();
  ASSERT_EQ(store_->reencrypt().failed, 0U);
  store_->encryption()->schedule_destruction(old);
  clock_->advance(8 * 24h);
  const TieringResult run = store_->run_tiering();
  EXPECT_TRUE(run.errors.empty()) << run.errors[0];
  EXPECT_EQ(store_->encryption()->list_keys().front().state, KeyState::destroyed);
  const auto last = rings();
  EXPECT_EQ(last.size(), 1U);
  EXPECT_NE(last, first);
  const ListingGarbageResult listed = store_->cold_storage().collect_by_listing();
  EXPECT_EQ(listed.foreign, 0U);
  EXPECT_EQ(listed.unnamed_objects, 0U);
}

TEST_P(EncryptionTest, BytesOfAnotherDocumentOrVersionAreRefused) {
  open();
  write(0, 2);
  demote(0, 2);
  const auto objects = [&] {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path() / "cold")) {
      if (!entry.is_regular_file() || entry.path().parent_path().filename().string().size() != 2) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      out[entry.path().string()] = std::string((std::istreambuf_iterator<char>(in)), {});
    }
    return out;
  };
  const auto put = [](const std::string& path, std::string_view bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  };
  const auto held = objects();
  ASSERT_EQ(held.size(), 2U);
  const std::string& first = held.begin()->first;
  const std::string& first_bytes = held.begin()->second;
  const std::string& second = std::next(held.begin())->first;
  const std::string& second_bytes = std::next(held.begin())->second;
  put(first, second_bytes);
  put(second, first_bytes);
  EXPECT_EQ(error_of([&] { store_->read("users", "0"); }), ErrorCode::corrupt);
  EXPECT_EQ(error_of([&] { store_->read("users", "1"); }), ErrorCode::corrupt);
  put(first, first_bytes);
  put(second, second_bytes);
  expect_all();

  // A plain record of the very document, as anybody can make one: not served, and not sealed anew as if it
  // were db4's.
  for (const char* id : {"0", "1"}) {
    const std::string forged =
        codec::encode_record({.collection = "users", .id = id, .version = 1}, "forged", {});
    put(first, forged);
    put(second, forged);
    store_->remove("users", id, {.tier = StorageTier::warm});
    EXPECT_EQ(error_of([&] { store_->read("users", id); }), ErrorCode::corrupt);
    store_->encryption()->rotate_key();
    EXPECT_EQ(error_of([&] { store_->reencrypt_document("users", id); }), ErrorCode::corrupt);
  }
  put(first, first_bytes);
  put(second, second_bytes);
  expect_all();

  // An older version of the same document in the newest one's place.
  const std::string old = held.contains(first) ? first_bytes : std::string();
  const std::string id = [&] {
    put(first, "gone");
    const bool is_zero = error_of([&] { store_->read("users", "0"); }).has_value();
    put(first, old);
    return std::string(is_zero ? "0" : "1");
  }();
  store_->write_bytes("users", id, as_bytes("a newer version"), {.tier = StorageTier::cold});
  for (const auto& [path, bytes] : objects()) {
    if (!held.contains(path)) put(path, old);
  }
  EXPECT_EQ(error_of([&] { store_->read("users", id); }), ErrorCode::corrupt);
}

TEST_P(EncryptionTest, WritersLoseNothingToAReencryption) {
  open();
  write(0, 200);
  demote_all();
  std::atomic<bool> stop{false};
  std::map<std::string, std::string> written;
  std::thread writer([&] {
    std::mt19937_64 random(7);
    for (std::size_t round = 0; !stop; ++round) {
      const std::size_t i = random() % 200;
      const std::string id = std::to_string(i);
      if (round % 5 == 4 && store_->get_tier("users", id) == StorageTier::hot) {
        store_->demote("users", id, StorageTier::cold);
      } else {
        const std::string text = body(i, "round " + std::to_string(round));
        store_->write_bytes("users", id, as_bytes(text));
        written[id] = text;
      }
    }
  });
  for (int rotation = 0; rotation < 5; ++rotation) {
    store_->encryption()->rotate_key();
    for (int i = 0; i < 50 && store_->reencrypt().more; ++i) {
    }
  }
  stop = true;
  writer.join();
  for (int i = 0; i < 50 && store_->reencrypt().more; ++i) {
  }
  EXPECT_EQ(store_->encryption_status().copies_on_old_keys, 0U);
  for (const auto& [id, text] : written) expected_[id] = text;
  expect_all();
}

}  // namespace
}  // namespace db4::testing
