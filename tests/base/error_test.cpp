#include <db4/error.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace db4 {
namespace {

constexpr int kCodes = static_cast<int>(ErrorCode::internal) + 1;

TEST(Error, SaysWhatIsWrongAndThenWhatToDo) {
  const Error error(ErrorCode::resource_exhausted, "the hot tier is full", "raise hot.max_size");
  EXPECT_STREQ(error.what(), "the hot tier is full; raise hot.max_size");
  EXPECT_EQ(error.problem(), "the hot tier is full");
  EXPECT_EQ(error.advice(), "raise hot.max_size");
  EXPECT_EQ(error.code(), ErrorCode::resource_exhausted);
}

TEST(Error, ContextNamesOperationAndDocumentInFront) {
  const Error error(ErrorCode::corrupt, "checksum mismatch", "restore a backup");
  EXPECT_STREQ(error.with_context("get", "users", "42").what(),
               "get users/42: checksum mismatch; restore a backup");
  EXPECT_STREQ(error.with_context("scan", "users").what(), "scan users: checksum mismatch; restore a backup");
  EXPECT_STREQ(error.with_context("open").what(), "open: checksum mismatch; restore a backup");
}

TEST(Error, ContextKeepsEverythingElse) {
  const Error error =
      Error(ErrorCode::invalid_argument, "p", "a").with_current_version(7).with_context("put", "c", "i");
  EXPECT_EQ(error.code(), ErrorCode::conflict);
  EXPECT_EQ(error.current_version(), 7U);
  EXPECT_EQ(error.problem(), "p");
  EXPECT_EQ(error.advice(), "a");
}

TEST(Error, IdsCannotForgeLinesOfALog) {
  const Error error = Error(ErrorCode::internal, "p", "a").with_context("get", "c", "x\nFATAL: y\x7F");
  EXPECT_STREQ(error.what(), "get c/x\\x0aFATAL: y\\x7f: p; a");
}

TEST(Error, IdsInOtherScriptsStayReadable) {
  const Error error = Error(ErrorCode::internal, "p", "a").with_context("get", "städte", "東京");
  EXPECT_STREQ(error.what(), "get städte/東京: p; a");
}

TEST(Error, CurrentVersionMakesAConflict) {
  const Error error(ErrorCode::invalid_argument, "p", "a");
  EXPECT_EQ(error.current_version(), 0U);
  const Error conflict = error.with_context("put", "c", "i").with_current_version(3);
  EXPECT_EQ(conflict.code(), ErrorCode::conflict);
  EXPECT_EQ(conflict.current_version(), 3U);
  EXPECT_STREQ(conflict.what(), "put c/i: p; a");
}

TEST(Error, OnlyWhatMaySucceedLaterIsRetryable) {
  const std::set<ErrorCode> retryable = {ErrorCode::resource_exhausted, ErrorCode::unavailable,
                                         ErrorCode::deadline_exceeded, ErrorCode::locked};
  for (int n = 0; n < kCodes; ++n) {
    const auto code = static_cast<ErrorCode>(n);
    EXPECT_EQ(Error(code, "p", "a").retryable(), retryable.contains(code)) << to_string(code);
  }
}

TEST(Error, EveryCodeHasANameOfItsOwn) {
  std::set<std::string> names;
  for (int n = 0; n < kCodes; ++n) names.emplace(to_string(static_cast<ErrorCode>(n)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kCodes));
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_EQ(to_string(ErrorCode::key_destroyed), "key_destroyed");
}

TEST(Error, IsCaughtAsARuntimeError) {
  EXPECT_THROW(throw Error(ErrorCode::locked, "p", "a"), std::runtime_error);
}

}  // namespace
}  // namespace db4
