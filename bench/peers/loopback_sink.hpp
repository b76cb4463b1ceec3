#pragma once
// A server on the loopback that takes whatever is sent and gives as many bytes as the path asks for: the
// floor under any client of HTTP.

#include "base/file_descriptor.hpp"

#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace db4::bench {

/// GET /BYTES/... gives that many bytes; the body of a PUT is read and forgotten. One thread a connection.
class LoopbackSink {
 public:
  LoopbackSink();
  ~LoopbackSink();
  LoopbackSink(const LoopbackSink&) = delete;
  LoopbackSink& operator=(const LoopbackSink&) = delete;

  /// "http://127.0.0.1:PORT".
  [[nodiscard]] std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  void accept_all();
  static void serve(int descriptor);

  FileDescriptor listener_;
  int port_ = 0;
  std::mutex mutex_;
  std::vector<FileDescriptor> connections_;
  std::vector<std::jthread> threads_;
  std::jthread acceptor_;
};

}  // namespace db4::bench
