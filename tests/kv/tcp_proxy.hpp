#pragma once
// Stands between a client and a server on loopback, and breaks connections where a test wants it.

#include "base/file_descriptor.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace db4::kv::testing {

/// What becomes of bytes that a client sends and that hold the text watched for.
enum class Cut {
  none,
  before,  ///< they do not reach the server; the client is hung up on
  after,   ///< they reach the server, its answer does not reach the client, which is hung up on
  hold,    ///< the client is hung up on; the server gets them once release() is called
  leave,   ///< they reach the server, and the client is hung up on before that has answered
  let_by,  ///< what is held reaches the server first, and has its effect or none; then these do
};

class TcpProxy {
 public:
  explicit TcpProxy(int server_port) : server_port_(server_port) {
    listener_ = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_.get(), 16) != 0) {
      throw std::runtime_error("the proxy cannot listen");
    }
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TcpProxy() {
    stop_ = true;
    release();
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    for (std::thread& connection : connections_) connection.join();
  }
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  [[nodiscard]] int port() const { return port_; }
  /// For the next bytes from a client that hold `text`; and for those after them where there are several.
  void cut_at(std::string text, Cut cut) { cut_at(std::move(text), std::deque<Cut>{cut}); }
  void cut_at(std::string text, std::deque<Cut> cuts) {
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
    to_cut_ = std::move(cuts);
  }
  [[nodiscard]] int cuts() const { return cuts_; }
  /// In all that clients send from now on; both of one length.
  void rewrite(std::string from, std::string to) {
    const std::lock_guard lock(mutex_);
    rewritten_.emplace_back(std::move(from), std::move(to));
  }
  /// What the server sends and holds `text` does not reach the client; empty: all of it does again.
  void swallow(std::string text) {
    const std::lock_guard lock(mutex_);
    swallowed_ = std::move(text);
  }
  void release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }
  /// Waits until a server has had what was held, and ended the session.
  void wait_until_delivered() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return delivered_; });
  }

 private:
  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }
  static bool send_all(int to, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  Cut take_cut(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    if (to_cut_.empty() || bytes.find(text_) == std::string_view::npos) return Cut::none;
    const Cut cut = to_cut_.front();
    to_cut_.pop_front();
    if (cut == Cut::none) return cut;
    ++cuts_;
    released_ = cut == Cut::let_by;
    changed_.notify_all();
    return cut;
  }
  void rewrite_in(char* bytes, std::size_t size) {
    const std::lock_guard lock(mutex_);
    const std::string_view text(bytes, size);
    for (const auto& [from, to] : rewritten_) {
      for (std::size_t at = 0; (at = text.find(from, at)) != std::string_view::npos;) {
        at += to.copy(bytes + at, to.size());
      }
    }
  }
  bool swallows(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    return !swallowed_.empty() && bytes.find(swallowed_) != std::string_view::npos;
  }
  void accept_all() {
    while (!stop_) {
      const int client = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      connections_.emplace_back([this, client] { serve(FileDescriptor(client)); });
    }
  }
  void serve(FileDescriptor client) {
    const FileDescriptor server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(server_port_);
    if (::connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
    char buffer[65536];
    while (!stop_) {
      pollfd ends[2] = {{client.get(), POLLIN, 0}, {server.get(), POLLIN, 0}};
      if (::poll(ends, 2, 50) <= 0) continue;
      if ((ends[1].revents & (POLLIN | POLLHUP)) != 0) {
        const ssize_t got = ::recv(server.get(), buffer, sizeof buffer, 0);
        if (got <= 0) return;
        const std::string_view bytes(buffer, static_cast<std::size_t>(got));
        if (!swallows(bytes) && !send_all(client.get(), bytes)) return;
      }
      if ((ends[0].revents & (POLLIN | POLLHUP)) == 0) continue;
      const ssize_t got = ::recv(client.get(), buffer, sizeof buffer, 0);
      if (got <= 0) return;
      rewrite_in(buffer, static_cast<std::size_t>(got));
      const std::string_view bytes(buffer, static_cast<std::size_t>(got));
      const Cut cut = take_cut(bytes);
      if (cut == Cut::before) return;
      if (cut == Cut::hold) {
        client = FileDescriptor();
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return released_; });
      }
      if (cut == Cut::let_by) wait_until_delivered();
      if (!send_all(server.get(), bytes)) return;
      if (cut == Cut::none || cut == Cut::let_by) continue;
      if (cut == Cut::leave) client = FileDescriptor();
      // The answer has come, so that it took effect; or, once the session is told to end, it has ended.
      ::recv(server.get(), buffer, sizeof buffer, 0);
      if (cut == Cut::hold) {
        ::shutdown(server.get(), SHUT_WR);
        while (::recv(server.get(), buffer, sizeof buffer, 0) > 0) {
        }
        const std::lock_guard lock(mutex_);
        delivered_ = true;
        changed_.notify_all();
      }
      return;
    }
  }

  const int server_port_;
  int port_ = 0;
  FileDescriptor listener_;
  std::atomic<bool> stop_{false};
  std::atomic<int> cuts_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  std::deque<Cut> to_cut_;
  std::vector<std::pair<std::string, std::string>> rewritten_;
  std::string swallowed_;
  bool released_ = false;
  bool delivered_ = false;
  std::thread acceptor_;
  std::vector<std::thread> connections_;
};

}  // namespace db4::kv::testing
