#include "base/base64.hpp"

#include <db4/random.hpp>

#include <gtest/gtest.h>

namespace db4 {
namespace {

std::string encoded(std::string_view text) { return to_base64(std::as_bytes(std::span(text))); }

TEST(Base64Test, KnowsTheExamplesOfTheStandard) {
  // RFC 4648, section 10.
  const std::vector<std::pair<std::string, std::string>> examples = {{"", ""},
                                                                     {"f", "Zg=="},
                                                                     {"fo", "Zm8="},
                                                                     {"foo", "Zm9v"},
                                                                     {"foob", "Zm9vYg=="},
                                                                     {"fooba", "Zm9vYmE="},
                                                                     {"foobar", "Zm9vYmFy"}};
  for (const auto& [text, base64] : examples) {
    EXPECT_EQ(encoded(text), base64);
    EXPECT_EQ(from_base64(base64), text);
  }
}

TEST(Base64Test, GivesBackWhatItWasMadeOf) {
  const auto random = seeded_random(1);
  for (std::size_t size = 0; size < 200; ++size) {
    std::string text(size, '\0');
    random->fill(std::as_writable_bytes(std::span(text)));
    EXPECT_EQ(from_base64(encoded(text)), text);
  }
}

TEST(Base64Test, ReadsNothingElse) {
  for (const char* text : {"Zg", "Zg=", "Z===", "====", "=", "Zm9=v", "Zg==Zg==", "Zh==", "Zm9=", " Zm9",
                           "Zm9v\n", "Zm-_", "Zm9\xff"}) {
    EXPECT_EQ(from_base64(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace db4
