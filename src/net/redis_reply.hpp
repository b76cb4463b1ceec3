#pragma once
// Redis's protocol (RESP2): commands into bytes, bytes into replies, by hiredis's formatter and reader.

#include <db4/error.hpp>
#include <db4/types.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace db4::net {

/// What a server answers to one command.
struct RedisReply {
  enum class Type { nil, integer, status, text, error, array };
  Type type = Type::nil;
  std::int64_t integer = 0;
  std::string text = {};               ///< of status, text and error; any bytes
  std::vector<RedisReply> array = {};  ///< of array

  [[nodiscard]] bool is(Type wanted) const noexcept { return type == wanted; }
};

/// The words of a command; any bytes. They are the caller's until the call is over.
using RedisWords = std::span<const std::string_view>;

/// Appends the command's bytes.
void append_command(std::string& out, RedisWords words);

/// Makes replies of the bytes that come. One thread at a time; after it threw it is of no more use.
class ReplyReader {
 public:
  /// A reply of more bytes than `max_bytes` is refused as soon as so many have come.
  explicit ReplyReader(std::size_t max_bytes);
  ~ReplyReader();
  ReplyReader(ReplyReader&&) noexcept;
  ReplyReader& operator=(ReplyReader&&) = delete;
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  void feed(std::string_view bytes);
  /// nullopt: it is not all there. Throws Error: too_large, or unavailable where this is not the protocol.
  std::optional<RedisReply> next();
  /// Whether nothing is left of what was fed.
  [[nodiscard]] bool empty() const noexcept;

 private:
  std::unique_ptr<void, void (*)(void*)> reader_;
  std::size_t max_bytes_;
  std::size_t fed_ = 0;  ///< since the last whole reply
};

}  // namespace db4::net
