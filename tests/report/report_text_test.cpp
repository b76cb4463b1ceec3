// Text of a report: names stay harmless, figures say what they are.
#include "cli/report_text.hpp"

#include "report/report_fixtures.hpp"

#include <gtest/gtest.h>

namespace db4::cli {
namespace {

using namespace std::chrono_literals;

TEST(ReportText, NothingThatMeansSomethingToABrowserIsLeft) {
  EXPECT_EQ(html("<b> & \"c\" 'd'"), "&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  for (const std::string& name : testing::hostile_names()) {
    const std::string safe = html(name);
    EXPECT_EQ(safe.find_first_of("<>\"'"), std::string::npos) << safe;
    for (const char c : safe) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) << safe;
  }
}

TEST(ReportText, WhatIsNotSeenIsShown) {
  EXPECT_EQ(html("a\nb\\c\x01"), "a\\nb\\\\c\\x01");
  EXPECT_EQ(html(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(html("\xE2\x80\xAE"), "\\u202e");
  EXPECT_EQ(html("\xC2\x9B"), "\\x9b");
  EXPECT_EQ(html("\xEF\xBB\xBF"), "\\ufeff");
  EXPECT_EQ(html("é 🦆 👩‍🚀"), "é 🦆 👩‍🚀");
}

TEST(ReportText, BytesThatAreNoUtf8AreReplaced) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(html("\xFF"), bad);
  EXPECT_EQ(html("\xC3("), bad + "(");                    // cut short
  EXPECT_EQ(html("\xC0\xBC"), bad + bad);                 // "<", written too long
  EXPECT_EQ(html("\xED\xA0\x80"), bad + bad + bad);       // half of a surrogate pair
  EXPECT_EQ(html("\xF4\x90\x80\x80").substr(0, 3), bad);  // beyond the last character
}

TEST(ReportText, ALongNameIsCutBetweenCharactersAndKeptInItsTitle) {
  EXPECT_EQ(name_html("orders"), "<bdi>orders</bdi>");
  EXPECT_EQ(name_html("ééé", 3), "<bdi>ééé</bdi>");
  EXPECT_EQ(name_html("ééé<", 3), "<bdi title=\"ééé&lt;\">ééé…</bdi>");
  EXPECT_EQ(name_html(""), "<bdi></bdi>");
}

TEST(ReportText, FiguresAreNotRoundedToWhatTheyAreNot) {
  EXPECT_EQ(share_text(0.724), "72.4 %");
  EXPECT_EQ(share_text(1), "100 %");
  EXPECT_EQ(share_text(0.99999), "99.99 %");
  EXPECT_EQ(share_text(0.000001), "0.01 %");
  EXPECT_EQ(share_text(0), "0 %");
  EXPECT_EQ(share_text(std::numeric_limits<double>::quiet_NaN()), "–");
  EXPECT_EQ(dollars_text(0), "$0.00");
  EXPECT_EQ(dollars_text(0.00427), "$0.0043");
  EXPECT_EQ(dollars_text(0.25), "$0.25");
  EXPECT_EQ(dollars_text(12.3), "$12.30");
  EXPECT_EQ(dollars_text(12345.6), "$12,346");
  EXPECT_EQ(dollars_text(1e-30), "$0.000000000000");
  EXPECT_EQ(latency_text(1234), "1.2 µs");
  EXPECT_EQ(latency_text(0), "–");
}

TEST(ReportText, SpansReadAsPeopleSayThem) {
  EXPECT_EQ(span_text(1s), "1 second");
  EXPECT_EQ(span_text(5min), "5 minutes");
  EXPECT_EQ(span_text(1h), "1 hour");
  EXPECT_EQ(span_text(36h), "36 hours");
  EXPECT_EQ(span_text(60h), "2.5 days");
  EXPECT_EQ(span_text(720h), "30 days");
  EXPECT_EQ(span_text(0s), "0 seconds");
}

}  // namespace
}  // namespace db4::cli
