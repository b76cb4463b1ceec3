// The page: whole, harmless and bounded, whatever the store is called and however much there is to tell.
#include "cli/report_page.hpp"

#include "cli/report_style.hpp"
#include "report/report_fixtures.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <regex>

namespace db4::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

/// What opens is closed, in order; of the elements that the page uses.
void expect_balanced(const std::string& page) {
  std::vector<std::string> open;
  static const std::regex kTag("<(/?)([a-z0-9]+)([^>]*)>");
  for (std::sregex_iterator tag(page.begin(), page.end(), kTag), end; tag != end; ++tag) {
    const std::string name = (*tag)[2];
    if (name == "meta" || (*tag)[3].str().ends_with("/")) continue;
    if ((*tag)[1].length() == 0) {
      open.push_back(name);
    } else {
      ASSERT_FALSE(open.empty()) << name;
      ASSERT_EQ(open.back(), name) << "at " << tag->position();
      open.pop_back();
    }
  }
  EXPECT_TRUE(open.empty());
}

void expect_nothing_from_outside(const std::string& page) {
  for (const char* word : {"<script", "<img", "<link", "<iframe", "javascript:", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(word)));
}

TEST(ReportPage, WithoutSamplesItSaysSoAndTellsWhatStands) {
  const std::string page = report_html(testing::some_store());
  expect_balanced(page);
  expect_nothing_from_outside(page);
  EXPECT_THAT(page, HasSubstr("No samples yet."));
  EXPECT_THAT(page, HasSubstr("<strong>75.0 %</strong>of the bytes are cold"));
  EXPECT_THAT(page, HasSubstr("<strong>$2.00</strong>a month of storage"));
  EXPECT_THAT(page, HasSubstr("$8.00 if all were hot"));
  EXPECT_THAT(page, HasSubstr("<strong>75.0 %</strong>of reads are served hot"));
  EXPECT_EQ(count(page, "<figure>"), 0U);
}

TEST(ReportPage, AnEncryptedStoresKeysAreCounted) {
  ReportData data = testing::some_store();
  EXPECT_THAT(report_html(data), Not(HasSubstr("Encryption")));
  data.encryption = {.encrypted = true,
                     .writes = true,
                     .active_key_id = "00000000000000aa",
                     .uses = {{.key_id = "00000000000000aa", .copies = 1234}, {.key_id = "<b>", .copies = 5}},
                     .copies_on_old_keys = 5,
                     .plain_left = true};
  std::string page = report_html(data);
  expect_balanced(page);
  EXPECT_THAT(page, HasSubstr("00000000000000aa, which is active"));
  EXPECT_THAT(page, HasSubstr("1,234"));
  EXPECT_THAT(page, HasSubstr("there may be some"));
  EXPECT_THAT(page, Not(HasSubstr("<b>")));
  data.encryption.plain_left = false;
  EXPECT_THAT(report_html(data), Not(HasSubstr("there may be some")));
}

TEST(ReportPage, AnEmptyStoreHasAReportToo) {
  const std::string page = report_html({});
  expect_balanced(page);
  EXPECT_THAT(page, HasSubstr("<strong>–</strong>of the bytes are cold"));
  EXPECT_THAT(page, HasSubstr("There are no documents yet."));
}

TEST(ReportPage, SamplesThatAreSwitchedOffAreNotPromised) {
  ReportData data = testing::some_store();
  data.config.stats.sample_interval = 0ms;
  EXPECT_THAT(report_html(data), HasSubstr("switched off"));
}

TEST(ReportPage, OneSampleIsDrawn) {
  ReportData data = testing::some_store();
  testing::add_samples(data, 1);
  const std::string page = report_html(data);
  expect_balanced(page);
  EXPECT_EQ(count(page, "<figure>"), 10U);
  EXPECT_THAT(page, HasSubstr("1 sample from"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, HasSubstr("the samples cover less than a day"));
}

TEST(ReportPage, ThousandsOfSamplesAreThinnedAndAddUp) {
  ReportData data = testing::some_store();
  testing::add_samples(data, 2048);
  const std::string page = report_html(data);
  expect_balanced(page);
  expect_nothing_from_outside(page);
  EXPECT_LT(page.size(), 400U << 10);
  EXPECT_THAT(page, HasSubstr("2,048 samples from"));
  EXPECT_THAT(page, HasSubstr("cover 85.3 days"));
  EXPECT_THAT(page, HasSubstr("<strong>90.0 %</strong>of reads are served hot"));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">demoted to cold</th><td>4,096</td>"));
  // 0.001 an hour are 0.72 in thirty days.
  EXPECT_THAT(page, HasSubstr("<strong>$2.72</strong>a month, in tiers"));
  EXPECT_THAT(page, HasSubstr("class=\"spark\""));
  EXPECT_EQ(count(page, "<figure>"), count(page, "<desc "));
  EXPECT_EQ(count(page, "<svg role=\"img\""), count(page, "<svg"));
}

TEST(ReportPage, NamesAreTextWhereverTheyStand) {
  for (const std::string& name : testing::hostile_names()) {
    ReportData data = testing::some_store();
    testing::add_samples(data, 30);
    data.name = data.store_id = data.backends = name;
    data.collections[0].name = name;
    data.samples.back().collections[0].name = name;
    data.busiest = {{.collection = name, .id = name, .recent_access_count = 3}};
    const std::string page = report_html(data);
    expect_balanced(page);
    expect_nothing_from_outside(page);
    EXPECT_EQ(count(page, "<style>"), 1U);
    EXPECT_EQ(count(page, "</style>"), 1U);
    EXPECT_EQ(count(page, "<meta "), 4U);
    EXPECT_EQ(page.find("\xE2\x80\xAE"), std::string::npos);
    EXPECT_EQ(page.find('\x01'), std::string::npos);
  }
}

TEST(ReportPage, ManyLongNamesAreBounded) {
  ReportData data = testing::some_store();
  testing::add_samples(data, 2048);
  const std::string wide(255, '&');
  for (int i = 0; i < 5000; ++i)
    data.collections.push_back({.name = wide + std::to_string(i), .documents = 1, .bytes = 1});
  for (int i = 0; i < 1000; ++i) data.busiest.push_back({.collection = wide, .id = std::string(1024, '"')});
  const std::string page = report_html(data);
  EXPECT_LT(page.size(), 600U << 10);
  EXPECT_THAT(page, HasSubstr("and 4,961 smaller collections."));
}

TEST(ReportPage, FiguresBeyondAllMeasureBreakNothing) {
  ReportData data = testing::some_store();
  testing::add_samples(data, 40);
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max() / 64;
  for (StatsSample& sample : data.samples) {
    sample.hot.bytes = sample.cold.hits = sample.gets = kMost;
    sample.requests = sample.all_hot = 1e300;
    sample.hot.p99 = std::chrono::nanoseconds{std::numeric_limits<std::int64_t>::max()};
  }
  const std::string page = report_html(data);
  expect_balanced(page);
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_LT(page.size(), 1U << 20);
}

TEST(ReportPage, FewColumnsDoNotDwarfTheOthers) {
  ReportData data = testing::some_store();
  testing::add_samples(data, 90);
  EXPECT_THAT(report_html(data), Not(HasSubstr("↓")));
  data.samples[0].writes = 66'000;
  EXPECT_THAT(report_html(data), HasSubstr(">↓ 66,000</text>"));
}

TEST(ReportPage, LooksAfterPhonesTheDarkPaperAndHands) {
  const std::string page = report_html(testing::some_store());
  EXPECT_THAT(page, HasSubstr("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"));
  EXPECT_THAT(page, HasSubstr("@media (prefers-color-scheme: dark)"));
  EXPECT_THAT(page, HasSubstr("@media print"));
  EXPECT_THAT(page, HasSubstr("<html lang=\"en\">"));
  EXPECT_EQ(page.find(" style=\""), std::string::npos) << "the policy allows the one style alone";
}

TEST(ReportPage, ThePolicyNamesTheStyleByItsHash) {
  const std::string_view style = report_style();
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  ASSERT_EQ(EVP_Digest(style.data(), style.size(), digest.data(), &size, EVP_sha256(), nullptr), 1);
  std::array<unsigned char, 64> text{};
  EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest.size()));
  const std::string hash = reinterpret_cast<const char*>(text.data());
  EXPECT_THAT(std::string(report_policy()), HasSubstr("style-src 'sha256-" + hash + "';"));
  EXPECT_THAT(std::string(report_policy()), HasSubstr("default-src 'none'"));
}

}  // namespace
}  // namespace db4::cli
