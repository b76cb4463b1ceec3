// Signatures: the published vectors, where they are at hand, and S3's rules by known answers.
#include "net/sigv4.hpp"

#include "base/hash.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace db4::net {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  EXPECT_TRUE(in) << file;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string url_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// What services other than S3 sign of a path, and db4 never does: without dot and empty segments.
std::string normalized(std::string_view path) {
  std::vector<std::string> segments;
  std::istringstream in{std::string(path)};
  for (std::string segment; std::getline(in, segment, '/');) {
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
  }
  std::string out;
  for (const std::string& segment : segments) out += "/" + segment;
  if (out.empty() || path.back() == '/') out += "/";
  return out;
}

/// One published case: request.txt is a request as it stands on the wire.
struct Case {
  std::string method;
  std::string path;
  std::vector<Parameter> parameters;
  std::vector<Header> headers;
  std::string body;

  explicit Case(const std::string& text) {
    const std::size_t end = text.find("\n\n");
    body = end == std::string::npos ? "" : text.substr(end + 2);
    std::istringstream lines(text.substr(0, end));
    std::string line;
    std::getline(lines, line);
    method = line.substr(0, line.find(' '));
    std::string target = line.substr(method.size() + 1);
    target.resize(target.rfind(" HTTP"));
    const std::size_t mark = target.find('?');
    path = target.substr(0, mark);
    if (mark != std::string::npos) take_query(target.substr(mark + 1));
    while (std::getline(lines, line)) {
      if (line.starts_with(" ") && !headers.empty()) {
        headers.back().second += "\n" + line;  // a value that goes on
        continue;
      }
      const std::size_t colon = line.find(':');
      if (colon != std::string::npos) headers.emplace_back(line.substr(0, colon), line.substr(colon + 1));
    }
  }

  void take_query(const std::string& query) {
    std::istringstream in(query);
    for (std::string each; std::getline(in, each, '&');) {
      const std::size_t equals = each.find('=');
      parameters.emplace_back(url_decoded(each.substr(0, equals)),
                              equals == std::string::npos ? "" : url_decoded(each.substr(equals + 1)));
    }
  }
};

std::string without_newline_at_end(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

void check_case(const fs::path& folder) {
  SCOPED_TRACE(folder.filename().string());
  const auto context = nlohmann::json::parse(read(folder / "context.json"));
  Case given(read(folder / "request.txt"));
  std::string date;
  for (const char c : context["timestamp"].get<std::string>()) {
    if (c != '-' && c != ':') date += c;
  }
  given.headers.emplace_back("X-Amz-Date", date);
  const auto& credentials = context["credentials"];
  if (credentials.contains("token") && !context.value("omit_session_token", false)) {
    given.headers.emplace_back("X-Amz-Security-Token", credentials["token"].get<std::string>());
  }
  const std::string payload = to_hex(sha256(as_bytes(given.body)));
  if (context.value("sign_body", false)) given.headers.emplace_back("X-Amz-Content-Sha256", payload);
  // Encoded once more than S3 does.
  const std::string path =
      uri_encode(context["normalize"].get<bool>() ? normalized(given.path) : given.path, /*keep_slash=*/true);
  const std::string query = canonical_query(given.parameters);
  const SigV4Request request{given.method, path, query, given.headers, payload};

  EXPECT_EQ(canonical_request(request),
            without_newline_at_end(read(folder / "header-canonical-request.txt")));
  SigV4Signer signer(credentials["access_key_id"],
                     Secret(credentials["secret_access_key"].get<std::string>()), context["region"],
                     context["service"]);
  EXPECT_EQ(signer.string_to_sign(canonical_request(request), date),
            without_newline_at_end(read(folder / "header-string-to-sign.txt")));
  const std::string authorization = signer.authorization(request, date);
  const std::string signed_request = read(folder / "header-signed-request.txt");
  EXPECT_NE(signed_request.find("Authorization:" + authorization + "\n"), std::string::npos) << authorization;
}

TEST(SigV4, PublishedVectors) {
  const fs::path folder = testing::vectors() / "sigv4";
  if (!fs::exists(folder)) GTEST_SKIP() << testing::kNoVectors;
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    check_case(entry.path());
    ++cases;
  }
  EXPECT_GE(cases, 38);
}

// The four examples of "Authenticating Requests: Using the Authorization Header" in the S3 reference, which
// have S3's path rule, the payload's hash among the headers, and known signatures.
class S3Example : public ::testing::Test {
 protected:
  std::string signature(std::string_view method, std::string_view path, std::string_view query,
                        std::vector<Header> headers, std::string_view payload) {
    headers.emplace_back("Host", "examplebucket.s3.amazonaws.com");
    headers.emplace_back("x-amz-content-sha256", payload);
    headers.emplace_back("x-amz-date", "20130524T000000Z");
    const std::string authorization =
        signer_.authorization({method, path, query, headers, payload}, "20130524T000000Z");
    return authorization.substr(authorization.rfind('=') + 1);
  }
  SigV4Signer signer_{"AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "us-east-1",
                      "s3"};
  const std::string nothing_ = to_hex(sha256({}));
};

TEST_F(S3Example, GetObjectWithRange) {
  EXPECT_EQ(signature("GET", "/test.txt", "", {{"Range", "bytes=0-9"}}, nothing_),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST_F(S3Example, PutObjectWhoseNameIsEncodedOnce) {
  const std::string path = uri_encode("/test$file.text", /*keep_slash=*/true);
  EXPECT_EQ(path, "/test%24file.text");
  EXPECT_EQ(
      signature("PUT", path, "",
                {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                to_hex(sha256(as_bytes("Welcome to Amazon S3.")))),
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST_F(S3Example, GetBucketLifecycleHasAParameterWithoutAValue) {
  const std::vector<Parameter> parameters = {{"lifecycle", ""}};
  EXPECT_EQ(signature("GET", "/", canonical_query(parameters), {}, nothing_),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST_F(S3Example, ListObjects) {
  const std::vector<Parameter> parameters = {{"prefix", "J"}, {"max-keys", "2"}};
  EXPECT_EQ(signature("GET", "/", canonical_query(parameters), {}, nothing_),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(SigV4, PathsKeepTheirDotsAndEmptySegments) {
  EXPECT_EQ(uri_encode("/b/a//../.%2f/ä b+", true), "/b/a//../.%252f/%C3%A4%20b%2B");
  EXPECT_EQ(uri_encode("a/b", false), "a%2Fb");
}

TEST(SigV4, QueriesAreSortedAsEncoded) {
  const std::vector<Parameter> parameters = {{"b", "2"}, {"a b", "x/y"}, {"a", "z"}, {"a", "y"}};
  EXPECT_EQ(canonical_query(parameters), "a=y&a=z&a%20b=x%2Fy&b=2");
}

TEST(SigV4, DatesAreWrittenInUtc) {
  EXPECT_EQ(amz_date(TimePoint(std::chrono::seconds(1'440'938'160))), "20150830T123600Z");
  EXPECT_EQ(amz_date(TimePoint(std::chrono::seconds(951'782'399))), "20000228T235959Z");
}

TEST(SigV4, KeysOfAnotherDayAreDerivedAnew) {
  SigV4Signer used("A", Secret("s"), "r", "s3");
  const std::vector<Header> headers = {{"Host", "h"}};
  const SigV4Request request{"GET", "/", "", headers, "x"};
  (void)used.authorization(request, "20130524T000000Z");
  SigV4Signer fresh("A", Secret("s"), "r", "s3");
  EXPECT_EQ(used.authorization(request, "20130525T000000Z"),
            fresh.authorization(request, "20130525T000000Z"));
}

}  // namespace
}  // namespace db4::net
