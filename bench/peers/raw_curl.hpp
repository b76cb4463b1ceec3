#pragma once
// libcurl used directly: one easy handle, its connection kept, nothing else.

#include "net/sigv4.hpp"

#include <memory>
#include <string>
#include <vector>

namespace db4::bench {

/// For one thread.
class RawCurl {
 public:
  RawCurl();
  ~RawCurl();
  RawCurl(const RawCurl&) = delete;
  RawCurl& operator=(const RawCurl&) = delete;

  /// The bytes that came. Throws std::runtime_error unless it succeeded.
  std::size_t get(const std::string& url, const std::vector<net::Header>& headers = {});
  void put(const std::string& url, std::string_view body, const std::vector<net::Header>& headers = {});

 private:
  struct State;
  void perform(const std::string& url, const std::vector<net::Header>& headers);
  std::unique_ptr<State> state_;
};

}  // namespace db4::bench
