#include "codec/json_check.hpp"

#include <db4/error.hpp>
#include <db4/limits.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <random>
#include <thread>

namespace db4::codec {

namespace {

using namespace std::string_literals;

/// The message for a refused text; empty where it is taken.
std::string refusal(std::string_view text) {
  try {
    check_json(text);
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
}

void expect_refused_at(std::string_view text, std::size_t offset) {
  EXPECT_NE((refusal(text) + ";").find("at byte offset " + std::to_string(offset) + ";"), std::string::npos)
      << "text: " << text << "\nmessage: " << refusal(text);
}

std::string nested(std::size_t depth, std::string_view open, std::string_view inside,
                   std::string_view close) {
  std::string text;
  for (std::size_t i = 0; i < depth; ++i) text += open;
  text += inside;
  for (std::size_t i = 0; i < depth; ++i) text += close;
  return text;
}

TEST(JsonCheckTest, ValidTextsAreTaken) {
  for (const std::string_view text :
       {"1", "null", "\"\"", "{}", "[]", " \t\r\n[1, 2.5e-7, true, {\"a\": [\"\\u0000\\ud83d\\ude00\"]}] ",
        "{\"a\":1,\"a\":2}", "-0", "\"\xc3\xa4\xf0\x9f\x98\x80\"", "1e-400"}) {
    EXPECT_EQ(refusal(text), "") << text;
  }
}

TEST(JsonCheckTest, IntegersPast64BitsAreTaken) {
  for (const std::string_view text :
       {"18446744073709551616", "-9223372036854775809", "[1,{\"n\":123456789012345678901234567890}]"}) {
    EXPECT_EQ(refusal(text), "") << text;
  }
}

TEST(JsonCheckTest, RefusalNamesTheByteOffset) {
  expect_refused_at("", 0);
  expect_refused_at("  ", 2);
  expect_refused_at("[1,]", 3);
  expect_refused_at("1 2", 2);
  expect_refused_at("[1]]", 3);
  expect_refused_at("{\"a\" 1}", 5);
  expect_refused_at("\"abc", 4);
  expect_refused_at("01", 1);
  expect_refused_at("[\"a\nb\"]", 3);
  expect_refused_at("\"\xff\"", 1);
  expect_refused_at("\"\xed\xa0\x80\"", 2);
  expect_refused_at("\xef\xbb\xbf{}", 0);
  expect_refused_at("1\0 "s, 1);
  expect_refused_at("\"\0\""s, 1);
}

TEST(JsonCheckTest, HalfASurrogatePairAndNumbersPastADoubleAreRefused) {
  for (const std::string_view text :
       {"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800x\"", "\"\\ud800\\u0041\"", "1e400", "-1e400"}) {
    EXPECT_NE(refusal(text), "") << text;
  }
  EXPECT_NE(refusal(std::string(400, '9')), "");
}

TEST(JsonCheckTest, RefusalDoesNotQuoteTheText) {
  const std::string secret = "hush hush";
  EXPECT_EQ(refusal("[\"" + secret + "\" 5]").find(secret), std::string::npos);
  EXPECT_EQ(refusal("[\"" + secret + "\n\"]").find(secret), std::string::npos);
  EXPECT_EQ(refusal("9876543210e9999").find("9876"), std::string::npos);
}

TEST(JsonCheckTest, ExactlyTheDeepestNestingIsTaken) {
  for (const std::string_view inside : {"", "1", "\"]}\"", "1,2"}) {
    EXPECT_EQ(refusal(nested(kMaxJsonDepth, "[", inside, "]")), "");
    EXPECT_NE(refusal(nested(kMaxJsonDepth + 1, "[", inside, "]")), "");
  }
  EXPECT_EQ(refusal(nested(kMaxJsonDepth, "{\"a\":", "1", "}")), "");
  EXPECT_EQ(refusal(nested(kMaxJsonDepth - 1, "{\"a\":", "{}", "}")), "");
  EXPECT_NE(refusal(nested(kMaxJsonDepth, "{\"a\":", "{}", "}")), "");
  // Siblings do not add up, brackets inside strings do not count.
  EXPECT_EQ(refusal("[" + nested(kMaxJsonDepth - 1, "[", "", "]") + "," +
                    nested(kMaxJsonDepth - 1, "[", "", "]") + "]"),
            "");
  expect_refused_at("[\"[[\\\"{\"," + nested(kMaxJsonDepth, "[", "", "]") + "]", 9 + kMaxJsonDepth - 1);
  expect_refused_at(nested(1'000'000, "[", "", ""), kMaxJsonDepth);
}

TEST(JsonCheckTest, TextsOfAnyLengthAreChecked) {
  for (const std::size_t size :
       {1UL << 10, 256UL << 10, (256UL << 10) + 1, 1UL << 20, (1UL << 20) + 1, 3UL << 20}) {
    std::string text = "[\"" + std::string(size - 4, 'x') + "\"]";
    EXPECT_EQ(refusal(text), "") << size;
    text[size / 2] = '"';
    expect_refused_at(text, size / 2 + 1);
    EXPECT_EQ(refusal("1"), "") << "after a giant";
  }
}

TEST(JsonCheckTest, WhatIsTakenCanBeParsedAndWhatIsRefusedCannot) {
  constexpr std::uint64_t kSeed = 99;
  std::mt19937_64 random(kSeed);
  const std::string_view pieces[] = {"{", "}", "[", "]", ",",    ":",    "\"", "\\",    "\\u",  "d800", "1",
                                     "-", "0", ".", "e", "true", "null", " ",  "\"a\"", "\xc3", "\xa4", "\t"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::size_t n = 1 + random() % 7; n > 0; --n) text += pieces[random() % std::size(pieces)];
    ASSERT_EQ(refusal(text).empty(), nlohmann::json::accept(text)) << "seed " << kSeed << ": " << text;
  }
}

TEST(JsonCheckTest, ThreadsDoNotShareAParser) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 1; i < 200; ++i) {
        const std::string text = "[" + std::string(static_cast<std::size_t>(i * (t + 1)), ' ') + "1]";
        EXPECT_EQ(refusal(text), "");
        EXPECT_NE(refusal(text + "]"), "");
      }
    });
  }
}

TEST(Utf8CheckTest, CleanTextIsValidUtf8WithoutNul) {
  EXPECT_TRUE(is_clean_utf8(""));
  EXPECT_TRUE(is_clean_utf8("user/1 \n\x7f"));
  EXPECT_TRUE(is_clean_utf8("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"));
  EXPECT_FALSE(is_clean_utf8("a\0b"s));
  EXPECT_FALSE(is_clean_utf8("\xff"));
  EXPECT_FALSE(is_clean_utf8("\xc3")) << "cut short";
  EXPECT_FALSE(is_clean_utf8("\xc0\x80")) << "overlong NUL";
  EXPECT_FALSE(is_clean_utf8("\xe0\x80\xaf")) << "overlong slash";
  EXPECT_FALSE(is_clean_utf8("\xed\xa0\x80")) << "a surrogate";
  EXPECT_FALSE(is_clean_utf8("\xf4\x90\x80\x80")) << "past U+10FFFF";
}

}  // namespace

}  // namespace db4::codec
