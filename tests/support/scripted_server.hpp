#pragma once
// An HTTP server on the loopback that answers as a test says: what real servers do rarely, or never twice.

#include "base/file_descriptor.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace db4::testing {

/// What was asked.
struct ScriptedRequest {
  std::string method;
  std::string target;                          ///< path and query
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
  std::size_t connection = 0;  ///< from 1, in the order they were made
};

/// What is answered, byte by byte, and what happens to the connection then.
struct ScriptedReply {
  enum class Then {
    keep,   ///< the next request may come
    close,  ///< in order
    reset,  ///< as by a server that died
    hang,   ///< nothing more is sent, and nothing closed, until the server goes
  };
  std::string bytes;
  Then then = Then::keep;
  /// Before the request's body is read.
  bool early = false;
};

/// An answer with a length: "Content-Length" is added unless `headers` has one.
inline ScriptedReply answer(int status, const std::string& body = {},
                            const std::vector<std::string>& headers = {}) {
  std::string bytes = "HTTP/1.1 " + std::to_string(status) + " Scripted\r\n";
  bool length = false;
  for (const std::string& header : headers) {
    bytes += header + "\r\n";
    length = length || header.starts_with("Content-Length:");
  }
  if (!length) bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return {bytes + "\r\n" + body};
}

/// Answers the n-th request with the n-th reply, whichever connection it comes over; with the last one for
/// ever after. Or asks a function, which may be called in many threads at once.
class ScriptedServer {
 public:
  using Responder = std::function<ScriptedReply(const ScriptedRequest&)>;
  explicit ScriptedServer(Responder responder);
  explicit ScriptedServer(std::vector<ScriptedReply> replies = {});
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  /// "http://127.0.0.1:PORT".
  [[nodiscard]] std::string endpoint() const;
  [[nodiscard]] std::vector<ScriptedRequest> requests() const;
  [[nodiscard]] std::size_t connections() const;
  /// Until so many requests have come, whole.
  void wait_for_requests(std::size_t count);

 private:
  void listen();
  void accept_all();
  void serve(int descriptor, std::size_t connection);
  bool serve_one(int descriptor, std::size_t connection, std::string& buffer);
  ScriptedReply next_reply();

  FileDescriptor listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  const Responder responder_;
  std::vector<ScriptedReply> replies_;
  std::size_t next_ = 0;
  bool stopping_ = false;
  std::vector<ScriptedRequest> requests_;
  std::vector<FileDescriptor> connections_;
  std::vector<std::jthread> threads_;
  std::jthread acceptor_;
};

}  // namespace db4::testing
