#pragma once
// hiredis used directly against a server that somebody else started and filled.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace db4::bench {

/// Any call from any thread: each has a connection of its own. What is asked for must be there.
class RawRedis {
 public:
  virtual ~RawRedis() = default;
  /// One GET; reads the whole value (read_all).
  virtual std::uint64_t get(std::string_view key) = 0;
  /// One GET for each in one pipeline.
  virtual std::uint64_t get_all(std::span<const std::string_view> keys) = 0;
};

/// Null where hiredis was not found when the benchmarks were built.
std::unique_ptr<RawRedis> open_raw_redis(const std::string& socket);

}  // namespace db4::bench
