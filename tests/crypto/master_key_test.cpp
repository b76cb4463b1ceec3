#include "base/file_descriptor.hpp"
#include "crypto/master_key_state.hpp"
#include "crypto_fixtures.hpp"
#include "support/temporary_folder.hpp"

#include <db4/master_key.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace db4::crypto {
namespace {

constexpr PassphraseCost kCheap{.memory_bytes = 8ULL << 20, .passes = 1};

std::string text_of(const MasterKey& key) { return std::string(reveal_master_key(key).reveal()); }

TEST(MasterKeyTest, EachNewOneIsAnother) {
  EXPECT_NE(text_of(generate_master_key()), text_of(generate_master_key()));
}

TEST(MasterKeyTest, IsMadeOfBytesAndOfText) {
  const MasterKey key = master_key_from_bytes(counting_key());
  EXPECT_EQ(text_of(key), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
  EXPECT_EQ(text_of(master_key_from_text(" AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")), text_of(key));
}

TEST(MasterKeyTest, RefusesWhatIsNone) {
  for (const std::size_t size : {0, 16, 31, 33}) {
    EXPECT_EQ(error_of([&] { master_key_from_bytes(Bytes(size)); }), ErrorCode::invalid_argument);
  }
  for (const char* text :
       {"", "short", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "AAECAwQFBgcICQoLDA0ODw=="}) {
    EXPECT_EQ(error_of([&] { master_key_from_text(text); }), ErrorCode::invalid_argument) << text;
  }
  EXPECT_EQ(error_of([] { reveal_master_key(MasterKey()); }), ErrorCode::invalid_argument);
}

TEST(MasterKeyTest, IsNeverPrintedAndInNoError) {
  std::ostringstream out;
  out << generate_master_key() << "," << MasterKey();
  EXPECT_EQ(out.str(), "***,");
  const std::string nearly = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NQ==";  // 31 bytes
  try {
    master_key_from_text(nearly);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find(nearly.substr(0, 4)), std::string::npos);
  }
}

class MasterKeyFileTest : public ::testing::Test {
 protected:
  testing::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "master";
};

TEST_F(MasterKeyFileTest, IsReadAsItWasWritten) {
  const MasterKey key = generate_master_key();
  write_master_key_file(key, path_);
  EXPECT_EQ(text_of(master_key_from_file(path_)), text_of(key));
  struct stat found {};
  ASSERT_EQ(::stat(path_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0600U);
  EXPECT_EQ(error_of([&] { write_master_key_file(generate_master_key(), path_); }), ErrorCode::conflict);
  EXPECT_EQ(text_of(master_key_from_file(path_)), text_of(key));
}

TEST_F(MasterKeyFileTest, MustBeClosedToOthers) {
  write_master_key_file(generate_master_key(), path_);
  for (const ::mode_t mode : {0640U, 0604U, 0620U, 0602U, 0644U, 0777U}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    EXPECT_EQ(error_of([&] { master_key_from_file(path_); }), ErrorCode::permission_denied)
        << std::oct << mode;
  }
  ASSERT_EQ(::chmod(path_.c_str(), 0400), 0);
  EXPECT_EQ(error_of([&] { master_key_from_file(path_); }), std::nullopt);
}

TEST_F(MasterKeyFileTest, MustBeAFileAndThere) {
  EXPECT_EQ(error_of([&] { master_key_from_file(path_); }), ErrorCode::key_unavailable);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { master_key_from_file(path_); }), ErrorCode::permission_denied);
}

TEST_F(MasterKeyFileTest, MustHoldAKey) {
  std::ofstream(path_) << std::string(10'000, 'A');
  ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { master_key_from_file(path_); }), ErrorCode::invalid_argument);
}

TEST(MasterKeyTest, ComesFromTheEnvironment) {
  EXPECT_EQ(error_of([] { master_key_from_environment("DB4_TEST_NO_SUCH_KEY"); }),
            ErrorCode::key_unavailable);
  const MasterKey key = generate_master_key();
  ASSERT_EQ(::setenv("DB4_TEST_MASTER_KEY", text_of(key).c_str(), 1), 0);  // NOLINT(concurrency-mt-unsafe)
  EXPECT_EQ(text_of(master_key_from_environment("DB4_TEST_MASTER_KEY")), text_of(key));
  ::unsetenv("DB4_TEST_MASTER_KEY");  // NOLINT(concurrency-mt-unsafe)
}

TEST(MasterKeyTest, ComesThroughADescriptor) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const FileDescriptor reading(ends[0]);
  const MasterKey key = generate_master_key();
  {
    const FileDescriptor writing(ends[1]);
    const std::string text = text_of(key) + "\n";
    ASSERT_EQ(::write(writing.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  EXPECT_EQ(text_of(master_key_from_descriptor(reading.get())), text_of(key));
  EXPECT_EQ(error_of([] { master_key_from_descriptor(-1); }), ErrorCode::unavailable);
}

TEST(MasterKeyTest, PassphrasesHaveBounds) {
  EXPECT_EQ(error_of([] { master_key_from_passphrase("", kCheap); }), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([] { master_key_from_passphrase(std::string(1'025, 'x'), kCheap); }),
            ErrorCode::invalid_argument);
  for (const PassphraseCost cost :
       {PassphraseCost{.memory_bytes = 1 << 20}, PassphraseCost{.memory_bytes = 8ULL << 30},
        PassphraseCost{.memory_bytes = (8ULL << 20) + 1}, PassphraseCost{.passes = 0},
        PassphraseCost{.passes = 65}}) {
    EXPECT_EQ(error_of([&] { master_key_from_passphrase("x", cost); }), ErrorCode::invalid_argument);
  }
  EXPECT_EQ(error_of([] { reveal_master_key(master_key_from_passphrase("x", kCheap)); }),
            ErrorCode::invalid_argument);
}

TEST(RingKeysTest, DifferByMasterRingAndSalt) {
  const MasterKey key = master_key_from_bytes(counting_key());
  const MasterKey passphrase = master_key_from_passphrase("correct horse", kCheap);
  const RingId ring{};
  const RingId other_ring{std::byte{1}};
  const PassphraseParameters salt{.cost = kCheap};
  const PassphraseParameters other_salt{.salt = {std::byte{1}}, .cost = kCheap};
  const RingKeys plain(*key.state(), ring, std::nullopt);
  EXPECT_EQ(plain.check(), RingKeys(*key.state(), ring, std::nullopt).check());
  EXPECT_NE(plain.check(), RingKeys(*key.state(), other_ring, std::nullopt).check());
  const RingKeys stretched(*passphrase.state(), ring, salt);
  EXPECT_EQ(stretched.check(), RingKeys(*passphrase.state(), ring, salt).check());
  EXPECT_NE(stretched.check(), RingKeys(*passphrase.state(), ring, other_salt).check());
  EXPECT_EQ(error_of([&] { RingKeys(*key.state(), ring, salt); }), ErrorCode::key_unavailable);
  EXPECT_EQ(error_of([&] { RingKeys(*passphrase.state(), ring, std::nullopt); }), ErrorCode::key_unavailable);
}

}  // namespace
}  // namespace db4::crypto
