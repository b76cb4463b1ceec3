#include "support/scripted_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <sstream>
#include <stdexcept>

namespace db4::testing {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

/// More bytes into the buffer; false at the end.
bool receive(int descriptor, std::string& buffer) {
  std::string piece(1 << 16, '\0');
  const ssize_t got = ::recv(descriptor, piece.data(), piece.size(), 0);
  if (got <= 0) return false;
  buffer.append(piece, 0, static_cast<std::size_t>(got));
  return true;
}

void send_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

ScriptedRequest parse_head(const std::string& head) {
  ScriptedRequest request;
  std::istringstream lines(head);
  std::string line;
  std::getline(lines, line);
  std::istringstream(line) >> request.method >> request.target;
  while (std::getline(lines, line)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string value = line.substr(colon + 1);
    while (!value.empty() && (value.back() == '\r' || value.back() == ' ')) value.pop_back();
    while (!value.empty() && value.front() == ' ') value.erase(0, 1);
    request.headers[lower(line.substr(0, colon))] = value;
  }
  return request;
}

}  // namespace

ScriptedServer::ScriptedServer(std::vector<ScriptedReply> replies)
    : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), replies_(std::move(replies)) {
  listen();
}

ScriptedServer::ScriptedServer(Responder responder)
    : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), responder_(std::move(responder)) {
  listen();
}

void ScriptedServer::listen() {
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

ScriptedServer::~ScriptedServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const FileDescriptor& each : connections_) ::shutdown(each.get(), SHUT_RDWR);
    ::shutdown(listener_.get(), SHUT_RDWR);
  }
  changed_.notify_all();
  acceptor_.join();
  threads_.clear();
}

std::string ScriptedServer::endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

std::vector<ScriptedRequest> ScriptedServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t ScriptedServer::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

void ScriptedServer::wait_for_requests(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return requests_.size() >= count; });
}

void ScriptedServer::accept_all() {
  for (;;) {
    FileDescriptor connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::lock_guard lock(mutex_);
    if (stopping_ || !connection.open()) return;
    const int descriptor = connection.get();
    connections_.push_back(std::move(connection));
    threads_.emplace_back([this, descriptor, number = connections_.size()] { serve(descriptor, number); });
  }
}

void ScriptedServer::serve(int descriptor, std::size_t connection) {
  std::string buffer;
  while (serve_one(descriptor, connection, buffer)) {
  }
  // Its descriptor is closed with the server: until then no other connection has its number.
  ::shutdown(descriptor, SHUT_RDWR);
}

ScriptedReply ScriptedServer::next_reply() {
  const std::lock_guard lock(mutex_);
  if (replies_.empty()) return answer(500);
  return replies_[std::min(next_++, replies_.size() - 1)];
}

bool ScriptedServer::serve_one(int descriptor, std::size_t connection, std::string& buffer) {
  std::size_t end = 0;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    if (!receive(descriptor, buffer)) return false;
    if (buffer.front() == '\x16') {  // somebody begins with TLS: as any server that does not know it
      send_all(descriptor, answer(400).bytes);
      return false;
    }
  }
  ScriptedRequest request = parse_head(buffer.substr(0, end + 2));
  request.connection = connection;
  buffer.erase(0, end + 4);
  ScriptedReply reply = responder_ ? ScriptedReply{} : next_reply();
  if (!reply.early) {
    const std::string length = request.headers["content-length"];
    const std::size_t size = length.empty() ? 0 : std::stoul(length);
    while (buffer.size() < size) {
      if (!receive(descriptor, buffer)) return false;
    }
    request.body = buffer.substr(0, size);
    buffer.erase(0, size);
  }
  if (responder_) reply = responder_(request);
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
  }
  changed_.notify_all();
  send_all(descriptor, reply.bytes);
  using Then = ScriptedReply::Then;
  if (reply.then == Then::reset) {
    // A socket that is closed with a linger of no time sends a reset; disconnecting it does the same.
    const linger none{1, 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    sockaddr unspecified{};
    unspecified.sa_family = AF_UNSPEC;
    ::connect(descriptor, &unspecified, sizeof unspecified);
  }
  if (reply.then == Then::hang) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopping_; });
  }
  return reply.then == Then::keep;
}

}  // namespace db4::testing
