#pragma once
// Messages from one thread to another through a server, by its own client library: what a channel of db4 is
// compared with.

#include <memory>
#include <string>
#include <string_view>

namespace db4::bench {

/// Two connections: one thread sends, another one receives. Calls throw std::runtime_error.
class RawChannel {
 public:
  virtual ~RawChannel() = default;
  virtual void send(std::string_view message) = 0;
  /// Waits for the next one; hears what was sent after the channel was opened.
  virtual std::string receive() = 0;
};

/// XADD, and XREAD that blocks, by hiredis on a unix socket. Null where hiredis was not found when the
/// benchmarks were built.
std::unique_ptr<RawChannel> open_raw_stream(const std::string& socket, const std::string& key);
/// pg_notify, and LISTEN, by libpq. Messages are text.
std::unique_ptr<RawChannel> open_raw_notify(const std::string& url, const std::string& channel);

}  // namespace db4::bench
