// An object that holds a compressed record opens with the tools everybody has, and they show the document.

#include "record_fixtures.hpp"
#include "support/temporary_folder.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace db4::codec {

namespace {

class RecordToolsTest : public ::testing::Test {
 protected:
  /// What `command` prints with `input` on its standard input; it must succeed.
  std::string output_of(const std::string& command, std::string_view input) {
    const std::filesystem::path file = folder_.path() / "record";
    std::ofstream(file, std::ios::binary).write(input.data(), static_cast<std::streamsize>(input.size()));
    std::FILE* pipe = ::popen((command + " < '" + file.string() + "'").c_str(), "r");
    if (pipe == nullptr) return {};
    std::string output;
    std::array<char, 4096> buffer{};
    for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
      output.append(buffer.data(), n);
    }
    EXPECT_EQ(::pclose(pipe), 0) << command;
    return output;
  }

  static bool installed(const std::string& program) {
    return std::system(("command -v " + program + " > /dev/null").c_str()) == 0;
  }

 private:
  testing::TemporaryFolder folder_;
};

TEST_F(RecordToolsTest, ZcatShowsTheDocumentOfAGzipRecord) {
  if (!installed("zcat")) GTEST_SKIP() << "zcat is not installed";
  EXPECT_EQ(output_of("zcat", example_record(Compression::gzip)), kExampleBody);
  EXPECT_EQ(output_of("zcat", encode_record(example_header(), "", {.compression = Compression::gzip})), "");
}

TEST_F(RecordToolsTest, ZstdShowsTheDocumentOfAZstdRecord) {
  if (!installed("zstd")) GTEST_SKIP() << "zstd is not installed";
  EXPECT_EQ(output_of("zstd -q -dc", example_record(Compression::zstd)), kExampleBody);
  EXPECT_EQ(output_of("zstd -q -dc", encode_record(example_header(), "", {.compression = Compression::zstd})),
            "");
}

TEST_F(RecordToolsTest, TheyShowEveryDocumentOfRecordsOneAfterAnother) {
  const std::string twice = std::string(kExampleBody) + std::string(kExampleBody);
  if (!installed("zcat") || !installed("zstd")) GTEST_SKIP() << "zcat or zstd is not installed";
  const std::string gzip = example_record(Compression::gzip);
  EXPECT_EQ(output_of("zcat", gzip + gzip), twice);
  const std::string zstd = example_record(Compression::zstd);
  EXPECT_EQ(output_of("zstd -q -dc", zstd + zstd), twice);
}

}  // namespace

}  // namespace db4::codec
