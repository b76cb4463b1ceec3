#include "base/file_descriptor.hpp"
#include "crypto/master_key_state.hpp"
#include "support/temporary_folder.hpp"
#include "support/transit_server.hpp"

#include <db4/encryption.hpp>
#include <db4/error.hpp>
#include <db4/master_key_source.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>

namespace db4 {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kKeyText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What the call throws; nullopt where it returns.
std::optional<Error> error_of(const std::string& source) {
  try {
    master_key_from_source(source);
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  }
}

ErrorCode code_of(const std::string& source) {
  const auto error = error_of(source);
  EXPECT_TRUE(error.has_value());
  return error ? error->code() : ErrorCode::internal;
}

std::string text_of(const MasterKey& key) { return std::string(reveal_master_key(key).reveal()); }

/// Of a passphrase.
std::string bytes_of(const MasterKey& key) {
  EXPECT_TRUE(key.state()->passphrase_cost().has_value());
  return std::string(as_text(key.state()->bytes()));
}

class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  }
  ~Variable() { ::unsetenv(name_); }  // NOLINT(concurrency-mt-unsafe)
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

/// The reading end of a pipe that holds a text and has ended.
FileDescriptor pipe_with(const std::string& text) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const FileDescriptor writing(ends[1]);
  EXPECT_EQ(::write(writing.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return FileDescriptor(ends[0]);
}

class MasterKeySourceTest : public ::testing::Test {
 protected:
  /// The path of a new file that only this user may read.
  std::string file_with(const std::string& text) {
    const std::string path = folder_.path() / std::to_string(++files_);
    std::ofstream(path) << text << std::flush;
    EXPECT_EQ(::chmod(path.c_str(), 0600), 0);
    return path;
  }

  testing::TemporaryFolder folder_;
  int files_ = 0;
};

TEST_F(MasterKeySourceTest, ReadsAKeyFromEachPlace) {
  EXPECT_EQ(text_of(master_key_from_source("file:" + file_with(kKeyText + std::string("\n")))), kKeyText);
  const Variable variable("DB4_TEST_SOURCE", kKeyText);
  EXPECT_EQ(text_of(master_key_from_source("env:DB4_TEST_SOURCE")), kKeyText);
  const FileDescriptor pipe = pipe_with(kKeyText);
  EXPECT_EQ(text_of(master_key_from_source("fd:" + std::to_string(pipe.get()))), kKeyText);
}

TEST_F(MasterKeySourceTest, ReadsAKeyFromStandardInput) {
  const FileDescriptor before(::fcntl(0, F_DUPFD_CLOEXEC, 3));
  for (const char* source : {"stdin", "fd:0"}) {
    const FileDescriptor pipe = pipe_with(kKeyText);
    ASSERT_EQ(::dup2(pipe.get(), 0), 0);
    EXPECT_EQ(text_of(master_key_from_source(source)), kKeyText);
  }
  if (before.open()) {
    ::dup2(before.get(), 0);
  } else {
    ::close(0);
  }
}

TEST_F(MasterKeySourceTest, ReadsAPassphraseFromEachPlace) {
  EXPECT_EQ(bytes_of(master_key_from_source("passphrase-file:" + file_with("correct horse\n"))),
            "correct horse");
  const Variable variable("DB4_TEST_SOURCE", "battery:staple");
  EXPECT_EQ(bytes_of(master_key_from_source("passphrase-env:DB4_TEST_SOURCE")), "battery:staple");
  const FileDescriptor pipe = pipe_with("through a pipe\r\n");
  EXPECT_EQ(bytes_of(master_key_from_source("passphrase-fd:" + std::to_string(pipe.get()))),
            "through a pipe");
}

TEST_F(MasterKeySourceTest, LeavesOutOneLineBreakOfAPassphraseAndNothingElse) {
  EXPECT_EQ(bytes_of(master_key_from_source("passphrase-file:" + file_with(" two \n\n"))), " two \n");
  EXPECT_EQ(bytes_of(master_key_from_source("passphrase-file:" + file_with("ends in\r"))), "ends in\r");
  const std::string longest(1'024, 'x');
  EXPECT_EQ(bytes_of(master_key_from_source("passphrase-file:" + file_with(longest + "\r\n"))), longest);
}

TEST_F(MasterKeySourceTest, PassphrasesHaveBounds) {
  for (const std::string& text : {std::string(), std::string("\n"), std::string(1'025, 'x'),
                                  std::string(1'025, 'x') + "\r\n", std::string(100'000, 'x')}) {
    EXPECT_EQ(code_of("passphrase-file:" + file_with(text)), ErrorCode::invalid_argument) << text.size();
  }
}

TEST_F(MasterKeySourceTest, WhatIsNotThereIsKeyUnavailable) {
  EXPECT_EQ(code_of("file:" + (folder_.path() / "none").string()), ErrorCode::key_unavailable);
  EXPECT_EQ(code_of("passphrase-file:" + (folder_.path() / "none").string()), ErrorCode::key_unavailable);
  EXPECT_EQ(code_of("env:DB4_TEST_NO_SUCH"), ErrorCode::key_unavailable);
  EXPECT_EQ(code_of("passphrase-env:DB4_TEST_NO_SUCH"), ErrorCode::key_unavailable);
}

TEST_F(MasterKeySourceTest, FilesMustBeClosedToOthers) {
  const std::string path = file_with(kKeyText);
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_EQ(code_of("file:" + path), ErrorCode::permission_denied);
  EXPECT_EQ(code_of("passphrase-file:" + path), ErrorCode::permission_denied);
}

TEST_F(MasterKeySourceTest, AnotherTextIsRefusedAndTheFormsAreListed) {
  for (const char* source : {"",
                             "file",
                             "file:",
                             "FILE:x",
                             "env:",
                             "env:1ABC",
                             "env:A B",
                             "fd:",
                             "fd:-1",
                             "fd:1x",
                             "fd:99999999999",
                             "fd: 1",
                             "stdin:",
                             "passphrase:hunter2",
                             "passphrase-env:",
                             "passphrase-fd:x",
                             "passphrase-file:",
                             "hunter2:and more",
                             ":",
                             "vault:",
                             "vault"}) {
    const auto error = error_of(source);
    ASSERT_TRUE(error) << source;
    EXPECT_EQ(error->code(), ErrorCode::invalid_argument) << source;
    for (const char* form : {"file:PATH", "env:NAME", "fd:NUMBER", "stdin", "passphrase-file:PATH",
                             "passphrase-env:NAME", "passphrase-fd:NUMBER", "vault:KEY", "vault:MOUNT/KEY"}) {
      EXPECT_THAT(error->what(), HasSubstr(form)) << source;
    }
    EXPECT_THAT(error->what(), Not(HasSubstr("hunter2")));
  }
  EXPECT_EQ(code_of(std::string("file:a\0b", 8)), ErrorCode::invalid_argument);
}

TEST_F(MasterKeySourceTest, AKeyOrPassphraseInItsPlaceIsNeverRepeated) {
  const std::string hexadecimal(64, 'a');
  for (const std::string& key : {std::string(kKeyText), hexadecimal}) {
    for (const char* form :
         {"", "file:", "env:", "fd:", "passphrase-file:", "passphrase-env:", "passphrase-fd:", "key:"}) {
      const auto error = error_of(form + key);
      ASSERT_TRUE(error) << form;
      EXPECT_EQ(error->code(), ErrorCode::invalid_argument) << form;
      EXPECT_THAT(error->what(), Not(HasSubstr(key.substr(0, 8)))) << form;
    }
  }
  for (const char* form : {"passphrase-file:", "passphrase-env:", "passphrase-fd:", "passphrase:", ""}) {
    const auto error = error_of(form + std::string("hunter2"));
    ASSERT_TRUE(error) << form;
    EXPECT_THAT(error->what(), Not(HasSubstr("hunter2"))) << form;
  }
}

TEST_F(MasterKeySourceTest, VaultIsFoundAsItsOwnClientFindsIt) {
  testing::TransitServer vault;
  vault.make_key("orders");
  vault.set_mount("deep/transit");
  vault.set_namespace("team");
  const Variable address("VAULT_ADDR", vault.url());
  const Variable name("VAULT_NAMESPACE", "team");
  EXPECT_EQ(code_of("vault:deep/transit/orders"), ErrorCode::key_unavailable) << "there is no token";
  const Variable token("VAULT_TOKEN_FILE", file_with(vault.token()));
  const auto store = std::make_shared<InMemoryKeyStore>();
  Bytes sealed;
  for (int time = 0; time < 2; ++time) {
    EncryptionManager manager(
        {.master_key = master_key_from_source("vault:deep/transit/orders"), .key_store = store});
    manager.initialize();
    if (time == 0) sealed = manager.seal(as_bytes("text"), {});
    EXPECT_EQ(as_text(manager.open(sealed, {})), "text");
  }
  EXPECT_EQ(vault.requests().size(), 3U);
  EXPECT_EQ(code_of("vault:deep//orders"), ErrorCode::invalid_argument);
}

TEST_F(MasterKeySourceTest, ATokenInThePlaceOfAKeysNameIsNeverRepeated) {
  const std::string token = "hvs.CAESIJ0123456789abcdefghijklmnop";
  const Variable variable("VAULT_TOKEN", "hvs.another");
  for (const char* form : {"vault:", "vault:transit/", "env:", "file:", ""}) {
    const auto error = error_of(form + token);
    ASSERT_TRUE(error) << form;
    EXPECT_EQ(error->code(), ErrorCode::invalid_argument) << form;
    EXPECT_THAT(error->what(), Not(HasSubstr("CAESIJ"))) << form;
  }
}

}  // namespace
}  // namespace db4
