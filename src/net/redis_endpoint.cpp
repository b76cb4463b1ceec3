#include "net/redis_endpoint.hpp"

#include <db4/error.hpp>

#include <algorithm>
#include <charconv>
#include <fstream>

namespace db4::net {
namespace {

constexpr unsigned kMaxDatabase = 1'000'000;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// What stands before the last '@' is not to be seen.
std::string without_password(std::string_view text) {
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos) return std::string(text);
  const std::size_t scheme = text.find("://");
  const std::size_t begin = scheme == std::string_view::npos || scheme > at ? 0 : scheme + 3;
  return std::string(text.substr(0, begin)) + "***" + std::string(text.substr(at));
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view setting) : text_(text), setting_(setting) {}

  RedisEndpoint parse() {
    std::string_view rest = text_;
    const auto printable = [](char c) { return c > ' ' && c < 0x7F; };
    if (rest.starts_with('/')) {
      read_path(rest);
      return out_;
    }
    if (!std::ranges::all_of(rest, printable)) bad("has a blank or another illegal character");
    if (take(rest, "unix://")) {
      const std::size_t query = rest.rfind("?db=");
      if (query != std::string_view::npos) read_database(rest.substr(query + 4));
      read_path(rest.substr(0, query));
    } else if (take(rest, "rediss://")) {
      out_.tls = true;
      read_server(rest);
    } else if (take(rest, "redis://")) {
      read_server(rest);
    } else {
      bad("is neither redis://, rediss:// nor unix://");
    }
    return out_;
  }

 private:
  [[noreturn]] void bad(const char* why) const {
    throw Error(ErrorCode::invalid_argument,
                std::string(setting_) + " \"" + without_password(text_) + "\" " + why,
                "write redis://HOST:PORT, rediss://HOST:PORT for TLS, or unix:///PATH of a socket");
  }

  static bool take(std::string_view& from, std::string_view start) {
    if (!from.starts_with(start)) return false;
    from.remove_prefix(start.size());
    return true;
  }

  void read_path(std::string_view path) {
    if (!path.starts_with('/') || path.ends_with('/')) bad("has no absolute path of a socket");
    if (path.find('\0') != std::string_view::npos) bad("has an illegal character");
    out_.socket_path = path;
  }

  void read_server(std::string_view rest) {
    const std::size_t at = rest.rfind('@');
    if (at != std::string_view::npos) {
      read_user(rest.substr(0, at));
      rest.remove_prefix(at + 1);
    }
    if (rest.find_first_of("?#\\") != std::string_view::npos)
      bad("has more in it than a host and a database");
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    if (slash + 1 < rest.size()) read_database(rest.substr(slash + 1));
    read_host(rest.substr(0, slash));
  }

  void read_user(std::string_view user) {
    const std::size_t colon = std::min(user.find(':'), user.size());
    out_.username = decoded(user.substr(0, colon));
    if (colon < user.size()) {
      std::string password = decoded(user.substr(colon + 1));
      out_.password = Secret(std::string_view(password));
      wipe(password);
    }
  }

  void read_host(std::string_view authority) {
    std::string_view port = kDefaultRedisPort;
    std::size_t colon = authority.rfind(':');
    if (authority.starts_with('[')) {
      const std::size_t bracket = authority.find(']');
      if (bracket == std::string_view::npos) bad("has a bracket that is not closed");
      out_.host = authority.substr(1, bracket - 1);
      authority.remove_prefix(bracket + 1);
      if (!authority.empty() && authority.front() != ':') bad("has more than a port after the bracket");
      colon = authority.empty() ? std::string_view::npos : 0;
    } else {
      out_.host = authority.substr(0, colon);
      if (out_.host.find(':') != std::string::npos) bad("has an IPv6 address without brackets");
    }
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
    if (out_.host.empty()) bad("names no host");
    if (out_.host.size() > 253) bad("names a host of more than 253 characters");
    unsigned number = 0;
    if (!read_number(port, number) || number == 0 || number > 65'535) {
      bad("has no port from 1 to 65535 after the colon");
    }
    out_.port = port;
  }

  void read_database(std::string_view digits) {
    if (!read_number(digits, out_.database) || out_.database > kMaxDatabase) {
      bad("has something else than the number of a database at its end");
    }
  }

  static bool read_number(std::string_view digits, unsigned& out) {
    const char* const end = digits.data() + digits.size();
    const auto [stopped, error] = std::from_chars(digits.data(), end, out);
    return error == std::errc() && stopped == end;
  }

  [[nodiscard]] std::string decoded(std::string_view text) const {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '%') {
        out += text[i];
        continue;
      }
      const bool whole = i + 2 < text.size();
      const int high = whole ? hex_digit(text[i + 1]) : -1;
      const int low = whole ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) bad("has a % that no two hexadecimal digits follow");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
    return out;
  }

  const std::string_view text_;
  const std::string_view setting_;
  RedisEndpoint out_;
};

}  // namespace

std::string RedisEndpoint::shown() const {
  if (!socket_path.empty()) return "unix://" + socket_path;
  const bool brackets = host.find(':') != std::string::npos;
  return (tls ? "rediss://" : "redis://") + (brackets ? "[" + host + "]" : host) + ":" + port;
}

RedisEndpoint parse_redis_endpoint(std::string_view text, std::string_view setting) {
  if (text.empty()) {
    throw Error(
        ErrorCode::invalid_argument, std::string(setting) + " is empty",
        "name the server: redis://HOST:PORT, rediss://HOST:PORT for TLS, or unix:///PATH of a socket");
  }
  return Parser(text, setting).parse();
}

RedisEndpoint read_redis_endpoint(const RedisServerSettings& settings) {
  const std::string& names = settings.names;
  const auto refuse = [](std::string problem, std::string advice) {
    throw Error(ErrorCode::invalid_argument, std::move(problem), std::move(advice));
  };
  RedisEndpoint endpoint = parse_redis_endpoint(settings.endpoint, names + "endpoint");
  if ((!settings.username.empty() && !endpoint.username.empty()) ||
      (!settings.password.empty() && !endpoint.password.empty())) {
    refuse(names + "endpoint names a user or password, and " + names + "username or " + names +
               "password does too",
           "name each in one place");
  }
  if (endpoint.username.empty()) endpoint.username = settings.username;
  if (endpoint.password.empty()) endpoint.password = settings.password;
  if (!endpoint.username.empty() && endpoint.password.empty()) {
    refuse(names + "username is set, and " + names + "password is empty", "set " + names + "password too");
  }
  if (settings.ca_file.empty()) return endpoint;
  if (!endpoint.tls) {
    refuse(names + "ca_file is set, and " + names + "endpoint does not ask for TLS",
           "write rediss:// in " + names + "endpoint, or leave " + names + "ca_file empty");
  }
  if (!std::ifstream(settings.ca_file)) {
    refuse(names + "ca_file " + settings.ca_file + " cannot be read", "name a file in PEM format");
  }
  return endpoint;
}

}  // namespace db4::net
