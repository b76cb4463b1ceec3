// Keys of a store: their operations, what the doctor says of them, and the key ring of a store that is
// closed.
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/doctor.hpp>
#include <db4/key_recovery.hpp>
#include <db4/master_key_source.hpp>
#include <db4/operations.hpp>
#include <db4/storage.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

namespace db4 {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

enum class Way { direct, live };

/// Runs every test twice: on the store itself, and through its socket.
class KeyOperationsTest : public ::testing::TestWithParam<Way> {
 protected:
  KeyOperationsTest() {
    write_master_key_file(generate_master_key(), key_);
    config_ = {.hot = {.type = testing::kDiskEngine,
                       .path = folder_.path() / "data" / "hot",
                       .durability = Durability::process},
               .cold = {.path = folder_.path() / "data" / "cold"},
               .tiering = {.interval = 0ms},
               .sealing = {.master_key = "file:" + key_.string()}};
  }

  void open() {
    close();
    store_ = std::make_unique<TieredStore>(config_, Components{.clock = clock_});
    if (GetParam() == Way::live) {
      client_ = LiveClient::connect(config_.hot.path);
      ASSERT_NE(client_, nullptr);
    }
  }
  void close() {
    client_.reset();
    store_.reset();
  }
  json ask(const json& request, std::string_view body = {}) {
    return json::parse(
        (client_ ? client_->run(request.dump(), body) : run_operation(*store_, request.dump(), body)).json);
  }
  std::optional<Error> error_of(const json& request) {
    try {
      ask(request);
      return std::nullopt;
    } catch (const Error& error) {
      return error;
    }
  }
  void put(std::string_view id) {
    ask({{"op", "put"}, {"collection", "docs"}, {"id", id}, {"json", true}}, R"({"n": 1})");
  }
  std::string key_id_of(std::string_view id) {
    return ask({{"op", "stat"}, {"collection", "docs"}, {"id", id}}).at("key_id");
  }
  std::string state_of(std::string_view key_id) {
    const json keys = ask({{"op", "keys"}}).at("keys");
    const auto key = std::ranges::find_if(keys, [&](const json& entry) { return entry.at("id") == key_id; });
    return key == keys.end() ? "" : key->at("state").get<std::string>();
  }
  /// What is said of a check; empty where it is sound.
  std::string warning(const std::string& check) {
    const json reply = ask({{"op", "keys"}});
    for (const json& finding : reply.at("findings")) {
      if (finding.at("check") != check) continue;
      if (finding.at("verdict") == "sound") return "";
      return finding.at("verdict").get<std::string>() + ": " + finding.at("found").get<std::string>();
    }
    return "there is no such check";
  }

  testing::TemporaryFolder folder_;
  std::filesystem::path key_ = folder_.path() / "master-key";
  TieredStoreConfig config_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::unique_ptr<TieredStore> store_;
  std::unique_ptr<LiveClient> client_;
};

INSTANTIATE_TEST_SUITE_P(Ways, KeyOperationsTest, ::testing::Values(Way::direct, Way::live),
                         [](const auto& given) { return given.param == Way::direct ? "direct" : "live"; });

TEST_P(KeyOperationsTest, AKeyIsRotatedReplacedDestroyedAndKept) {
  open();
  for (const char* id : {"1", "2", "3"}) put(id);
  const std::string first = ask({{"op", "keys"}}).at("active_key_id");
  EXPECT_EQ(key_id_of("1"), first);

  const json rotation = ask({{"op", "key_rotate"}});
  EXPECT_EQ(rotation.at("old_key_id"), first);
  const std::string second = rotation.at("new_key_id");
  EXPECT_EQ(state_of(first), "decrypt_only");
  EXPECT_EQ(state_of(second), "active");
  put("4");
  EXPECT_EQ(key_id_of("4"), second);
  EXPECT_EQ(warning("older keys"), "noted: 3 copies are under one");
  EXPECT_EQ(error_of({{"op", "key_destroy"}, {"key_id", first}})->code(), ErrorCode::invalid_argument);

  const json request{{"op", "reencrypt_document"}, {"collection", "docs"}, {"id", "1"}};
  EXPECT_TRUE(ask(request).at("reencrypted").get<bool>());
  EXPECT_FALSE(ask(request).at("reencrypted").get<bool>());
  EXPECT_FALSE(
      ask({{"op", "reencrypt_document"}, {"collection", "docs"}, {"id", "9"}}).at("found").get<bool>());
  json reply = ask({{"op", "reencrypt"}, {"max_documents", 1}});
  EXPECT_EQ(reply.at("documents"), 1);
  EXPECT_TRUE(reply.at("more").get<bool>());
  reply = ask({{"op", "reencrypt"}});
  EXPECT_EQ(reply.at("documents"), 1);
  EXPECT_FALSE(reply.at("more").get<bool>());
  EXPECT_EQ(warning("older keys"), "");

  const json scheduled = ask({{"op", "key_destroy"}, {"key_id", first}});
  EXPECT_GT(scheduled.at("destroy_after"), clock_->now().time_since_epoch().count());
  EXPECT_EQ(state_of(first), "pending_destruction");
  EXPECT_TRUE(ask({{"op", "key_cancel"}, {"key_id", first}}).at("cancelled").get<bool>());
  EXPECT_EQ(state_of(first), "decrypt_only");
  EXPECT_EQ(error_of({{"op", "key_cancel"}, {"key_id", first}})->code(), ErrorCode::invalid_argument);
}

TEST_P(KeyOperationsTest, AKeyThatDocumentsNeedIsGivenUpOnlyByForce) {
  open();
  put("1");
  const std::string first = key_id_of("1");
  EXPECT_EQ(error_of({{"op", "key_rotate"}, {"destroy_old", true}})->code(), ErrorCode::invalid_argument);
  EXPECT_EQ(state_of(first), "active");
  EXPECT_TRUE(ask({{"op", "key_rotate"}, {"destroy_old", true}, {"force", true}}).contains("destroy_after"));
  EXPECT_EQ(warning("keys to be destroyed"), "unsound: 1 copy of a document needs one");
}

TEST_P(KeyOperationsTest, WhatExpiredIsPlainOrIsWrittenPlainIsSaid) {
  config_.sealing.master_key.clear();
  open();
  put("plain");
  EXPECT_EQ(key_id_of("plain"), "");
  EXPECT_THAT(ask({{"op", "keys"}}).at("findings"), IsEmpty());
  EXPECT_FALSE(ask({{"op", "stats"}}).at("encryption").at("encrypted").get<bool>());

  config_.sealing.master_key = "file:" + key_.string();
  open();
  EXPECT_EQ(warning("plain documents"), "noted: there may be some");
  EXPECT_EQ(warning("active key"), "");
  ask({{"op", "reencrypt"}});
  EXPECT_EQ(warning("plain documents"), "");
  clock_->advance(91 * 24h);
  EXPECT_THAT(warning("active key"), HasSubstr("expired on"));
  EXPECT_EQ(warning("keys in the ring"), "");

  config_.sealing.writes = false;
  open();
  EXPECT_EQ(warning("new documents"), "noted: are written plain, although there are keys");
  put("plain again");
  EXPECT_EQ(key_id_of("plain again"), "");
}

TEST_P(KeyOperationsTest, AStoreWithoutKeysSaysHowToGetThem) {
  config_.sealing.master_key.clear();
  open();
  for (const json& request : {json{{"op", "key_rotate"}}, json{{"op", "reencrypt"}},
                              json{{"op", "key_destroy"}, {"key_id", "0123456789abcdef"}}}) {
    const auto error = error_of(request);
    ASSERT_TRUE(error.has_value()) << request;
    EXPECT_EQ(error->code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error->what(), HasSubstr("not encrypted"));
  }
}

TEST_P(KeyOperationsTest, TheRingOfAClosedStoreIsSavedAndPutBack) {
  if (GetParam() == Way::live) GTEST_SKIP() << "no store is open";
  open();
  put("1");
  EXPECT_THROW(open_key_ring(config_), Error);  // the store has it
  close();
  const auto file = folder_.path() / "saved";
  const MasterKey recovery = generate_master_key();
  const MasterKey master = master_key_from_source(config_.sealing.master_key);
  export_key_ring(*open_key_ring(config_), master, file, recovery);

  // The master key is lost, and another one takes its place.
  std::filesystem::remove(key_);
  const MasterKey other = generate_master_key();
  write_master_key_file(other, key_);
  EXPECT_THROW(open(), Error);
  EXPECT_TRUE(import_key_ring(file, recovery, *open_key_ring(config_), other).imported);
  open();
  EXPECT_EQ(ask({{"op", "get"}, {"collection", "docs"}, {"id", "1"}}).at("found"), true);
  close();

  // A copy of another store's ring opens none of its documents, and is not taken.
  TieredStoreConfig config = config_;
  config.hot.path = folder_.path() / "another" / "hot";
  config.cold.path = folder_.path() / "another" / "cold";
  TieredStore(config, {.clock = clock_}).close();
  const auto foreign = folder_.path() / "foreign";
  export_key_ring(*open_key_ring(config), other, foreign, recovery);
  std::filesystem::remove(key_);
  const MasterKey third = generate_master_key();
  write_master_key_file(third, key_);
  try {
    import_key_ring(foreign, recovery, *open_key_ring(config_), third, {.force = true});
    FAIL() << "another store's key ring was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::conflict);
  }
  config.hot.path = folder_.path() / "nowhere";
  EXPECT_THROW(open_key_ring(config), Error);
  EXPECT_FALSE(std::filesystem::exists(config.hot.path));
}

TEST_P(KeyOperationsTest, WhoMayReadTheMasterKeyAndWhereItLiesIsSaid) {
  if (GetParam() == Way::live) GTEST_SKIP() << "no store is asked";
  const auto verdict = [&](const std::string& check) {
    const DoctorReport report = examine_master_key(config_);
    const auto finding = std::ranges::find(report.findings, check, &DoctorFinding::check);
    return finding == report.findings.end() ? "nothing" : std::string(to_string(finding->verdict));
  };
  std::filesystem::create_directories(config_.hot.path);
  EXPECT_EQ(verdict("master key's file"), "sound");
  EXPECT_EQ(verdict("master key's place"), "sound");
  ASSERT_EQ(::chmod(key_.c_str(), 0640), 0);
  EXPECT_EQ(verdict("master key's file"), "unsound");
  for (const char* place : {"data/key", "data/hot/key", "data/cold/../key"}) {
    config_.sealing.master_key = "passphrase-file:" + (folder_.path() / place).string();
    EXPECT_EQ(verdict("master key's place"), "noted") << place;
    EXPECT_EQ(verdict("master key's file"), "unsound") << place;  // it is not there
  }
  // Where hot and cold are not beside each other, what lies above them is nobody's.
  config_.cold.path = folder_.path() / "elsewhere" / "cold";
  config_.sealing.master_key = "file:" + (folder_.path() / "data" / "key").string();
  EXPECT_EQ(verdict("master key's place"), "sound");
  for (const char* place : {"", "env:KEY", "stdin", "vault:key"}) {
    config_.sealing.master_key = place;
    EXPECT_THAT(examine_master_key(config_).findings, IsEmpty()) << place;
  }
}

}  // namespace
}  // namespace db4
