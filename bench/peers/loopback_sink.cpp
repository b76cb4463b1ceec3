#include "peers/loopback_sink.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdlib>
#include <stdexcept>

namespace db4::bench {
namespace {

constexpr std::size_t kPiece = std::size_t{256} << 10U;

bool send_all(int descriptor, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = ::send(descriptor, bytes, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

std::size_t content_length(const std::string& head) {
  const std::size_t at = head.find("Content-Length: ");
  return at == std::string::npos ? 0 : std::strtoull(head.c_str() + at + 16, nullptr, 10);
}

}  // namespace

LoopbackSink::LoopbackSink() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), generic, size) != 0 || ::listen(listener_.get(), 64) != 0 ||
      ::getsockname(listener_.get(), generic, &size) != 0) {
    throw std::runtime_error("cannot listen on the loopback");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { accept_all(); });
}

LoopbackSink::~LoopbackSink() {
  {
    const std::lock_guard lock(mutex_);
    for (const FileDescriptor& each : connections_) ::shutdown(each.get(), SHUT_RDWR);
    ::shutdown(listener_.get(), SHUT_RDWR);
  }
  acceptor_.join();
  threads_.clear();
}

void LoopbackSink::accept_all() {
  for (;;) {
    FileDescriptor connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection.open()) return;
    const int one = 1;
    ::setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const std::lock_guard lock(mutex_);
    const int descriptor = connection.get();
    connections_.push_back(std::move(connection));
    threads_.emplace_back([descriptor] { serve(descriptor); });
  }
}

void LoopbackSink::serve(int descriptor) {
  std::vector<char> piece(kPiece);
  std::string head;
  for (;;) {
    const ssize_t got = ::recv(descriptor, piece.data(), piece.size(), 0);
    if (got <= 0) return;
    head.append(piece.data(), static_cast<std::size_t>(got));
    const std::size_t end = head.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    std::size_t body = head.size() - end - 4;
    const std::size_t length = content_length(head);
    while (body < length) {
      const ssize_t more = ::recv(descriptor, piece.data(), piece.size(), 0);
      if (more <= 0) return;
      body += static_cast<std::size_t>(more);
    }
    std::size_t wanted = 0;
    if (head.starts_with("GET /")) wanted = std::strtoull(head.c_str() + 5, nullptr, 10);
    head.clear();
    const std::string answer =
        "HTTP/1.1 200 OK\r\nETag: \"sink\"\r\nx-amz-request-id: 1\r\nContent-Length: " +
        std::to_string(wanted) + "\r\n\r\n";
    if (!send_all(descriptor, answer.data(), answer.size())) return;
    while (wanted > 0) {
      const std::size_t now = std::min(wanted, piece.size());
      if (!send_all(descriptor, piece.data(), now)) return;
      wanted -= now;
    }
  }
}

}  // namespace db4::bench
