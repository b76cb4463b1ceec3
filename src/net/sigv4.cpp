#include "net/sigv4.hpp"

#include "base/hash.hpp"

#include <db4/error.hpp>

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstdio>

namespace db4::net {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::array<unsigned char, 32> hmac(std::span<const unsigned char> key, std::string_view text) {
  std::array<unsigned char, 32> out{};
  unsigned int size = 0;
  if (::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(),
             &size) == nullptr) {
    throw Error(ErrorCode::internal, "OpenSSL computes no HMAC", "check its configuration");
  }
  return out;
}

std::string hex_of(std::span<const unsigned char> bytes) {
  return to_hex({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
}

bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Without blanks at the ends, and one space for each run of them between.
std::string trimmed(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (!blank(c)) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string lower(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

/// Lower-case names in order; the values of one name joined by commas, in the order given.
std::vector<Header> canonical_headers(std::span<const Header> headers) {
  std::vector<Header> out;
  out.reserve(headers.size());
  for (const auto& [name, value] : headers) out.emplace_back(lower(name), trimmed(value));
  std::ranges::stable_sort(out, {}, &Header::first);
  std::vector<Header> joined;
  for (Header& header : out) {
    if (!joined.empty() && joined.back().first == header.first) {
      joined.back().second += "," + header.second;
    } else {
      joined.push_back(std::move(header));
    }
  }
  return joined;
}

std::string names_of(const std::vector<Header>& canonical) {
  std::string out;
  for (const auto& [name, value] : canonical) out += (out.empty() ? "" : ";") + name;
  return out;
}

std::string canonical_request(const SigV4Request& request, const std::vector<Header>& headers) {
  std::string out(request.method);
  out.append("\n").append(request.path).append("\n").append(request.query).append("\n");
  for (const auto& [name, value] : headers) out.append(name).append(":").append(value).append("\n");
  out.append("\n").append(names_of(headers)).append("\n").append(request.payload_sha256);
  return out;
}

}  // namespace

std::string uri_encode(std::string_view text, bool keep_slash) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size() + 16);
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

std::string canonical_query(std::span<const Parameter> parameters) {
  std::vector<Parameter> encoded;
  encoded.reserve(parameters.size());
  for (const auto& [name, value] : parameters) encoded.emplace_back(uri_encode(name), uri_encode(value));
  std::ranges::sort(encoded);
  std::string out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out += '&';
    out.append(name).append("=").append(value);
  }
  return out;
}

std::string amz_date(TimePoint at) {
  using namespace std::chrono;
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(floor<seconds>(at) - day);
  std::array<char, 32> out{};
  const int size =
      std::snprintf(out.data(), out.size(), "%04d%02u%02uT%02d%02d%02dZ", static_cast<int>(date.year()),
                    static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                    static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                    static_cast<int>(time.seconds().count()));
  return {out.data(), static_cast<std::size_t>(size)};
}

std::string canonical_request(const SigV4Request& request) {
  return canonical_request(request, canonical_headers(request.headers));
}

SigV4Signer::SigV4Signer(std::string access_key, Secret secret_key, std::string region, std::string service)
    : access_key_(std::move(access_key)),
      secret_key_(std::move(secret_key)),
      region_(std::move(region)),
      service_(std::move(service)) {}

SigV4Signer::~SigV4Signer() { OPENSSL_cleanse(key_.data(), key_.size()); }

std::string SigV4Signer::scope(std::string_view date) const {
  return std::string(date.substr(0, 8)) + "/" + region_ + "/" + service_ + "/aws4_request";
}

std::string SigV4Signer::string_to_sign(std::string_view canonical, std::string_view date) const {
  std::string out(kAlgorithm);
  out.append("\n").append(date).append("\n").append(scope(date)).append("\n");
  return out + to_hex(sha256(as_bytes(canonical)));
}

SigV4Signer::Key SigV4Signer::key_of(std::string_view day) {
  const std::lock_guard lock(mutex_);
  if (day_ != day) {
    std::string first("AWS4");
    first += secret_key_.reveal();
    key_ = hmac({reinterpret_cast<const unsigned char*>(first.data()), first.size()}, day);
    wipe(first);
    key_ = hmac(key_, region_);
    key_ = hmac(key_, service_);
    key_ = hmac(key_, "aws4_request");
    day_ = day;
  }
  return key_;
}

std::string SigV4Signer::authorization(const SigV4Request& request, std::string_view date) {
  const std::vector<Header> headers = canonical_headers(request.headers);
  const std::string text = string_to_sign(canonical_request(request, headers), date);
  Key key = key_of(date.substr(0, 8));
  const std::string signature = hex_of(hmac(key, text));
  OPENSSL_cleanse(key.data(), key.size());
  std::string out(kAlgorithm);
  out.append(" Credential=").append(access_key_).append("/").append(scope(date));
  out.append(", SignedHeaders=").append(names_of(headers)).append(", Signature=").append(signature);
  return out;
}

}  // namespace db4::net
