#pragma once
// A Redis server of our own on a unix socket.

#include <db4/config.hpp>

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace db4::bench {

/// Started by the constructor, which waits until it answers, and stopped by its process id. It listens on a
/// unix socket in `folder` alone. Throws std::runtime_error where it does not come up.
class RedisServer {
 public:
  RedisServer(const std::filesystem::path& folder, Durability durability);
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] const std::string& socket() const noexcept { return socket_; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  /// The server's program; empty where there is none. Debian's redis-tools has it under another name, so that
  /// the package redis-server, which starts a service, is not needed.
  static std::filesystem::path find_program();

 private:
  void stop() noexcept;
  std::string socket_;
  pid_t pid_ = 0;
};

}  // namespace db4::bench
