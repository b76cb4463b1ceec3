#include "net/address_lookup.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>

#include <algorithm>
#include <cstring>

namespace db4::net {

/// Stays where it is while the C library works on it.
struct AddressLookup::Request {
  Request(std::string its_host, std::string its_port) : host(std::move(its_host)), port(std::move(its_port)) {
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    block.ar_name = host.c_str();
    block.ar_service = port.c_str();
    block.ar_request = &hints;
  }
  ~Request() {
    if (block.ar_result != nullptr) ::freeaddrinfo(block.ar_result);
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  [[nodiscard]] bool running() { return ::gai_error(&block) == EAI_INPROGRESS; }
  /// Until it is over, or for so long.
  void wait(const timespec* timeout) {
    const gaicb* const list[] = {&block};
    (void)::gai_suspend(list, 1, timeout);
  }

  const std::string host;
  const std::string port;
  addrinfo hints{};
  gaicb block{};
};

namespace {

std::vector<SocketAddress> copied(const addrinfo* found) {
  std::vector<SocketAddress> out;
  for (; found != nullptr; found = found->ai_next) {
    SocketAddress& address = out.emplace_back();
    address.family = found->ai_family;
    address.size = std::min<socklen_t>(found->ai_addrlen, sizeof address.storage);
    std::memcpy(&address.storage, found->ai_addr, address.size);
  }
  return out;
}

[[noreturn]] void no_address(const std::string& host, int error) {
  throw Error(ErrorCode::unavailable, "the host " + host + " has no address (" + ::gai_strerror(error) + ")",
              "check the name, and this machine's network");
}

[[noreturn]] void no_answer(const std::string& host) {
  throw Error(ErrorCode::deadline_exceeded, "no name server told the address of " + host + " in time",
              "check this machine's network");
}

}  // namespace

AddressLookup::AddressLookup() = default;

AddressLookup::~AddressLookup() {
  while (left_behind_ && left_behind_->running()) left_behind_->wait(nullptr);
}

void AddressLookup::drop_finished() {
  if (left_behind_ && !left_behind_->running()) left_behind_.reset();
}

std::vector<SocketAddress> AddressLookup::find(const std::string& host, const std::string& port,
                                               MonotonicTime deadline) {
  addrinfo numeric{};
  numeric.ai_socktype = SOCK_STREAM;
  numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), port.c_str(), &numeric, &found) == 0) {
    auto out = copied(found);
    ::freeaddrinfo(found);
    return out;
  }
  {
    const std::lock_guard lock(mutex_);
    drop_finished();
    if (left_behind_) no_answer(host);
  }
  auto request = std::make_unique<Request>(host, port);
  gaicb* list[] = {&request->block};
  if (const int error = ::getaddrinfo_a(GAI_NOWAIT, list, 1, nullptr); error != 0) no_address(host, error);
  const auto clock = system_clock();
  while (request->running()) {
    const MonotonicTime left = deadline - clock->monotonic();
    if (left <= MonotonicTime{0}) break;
    const timespec timeout{.tv_sec = static_cast<time_t>(left.count() / 1'000'000'000),
                           .tv_nsec = static_cast<long>(left.count() % 1'000'000'000)};
    request->wait(&timeout);
  }
  if (request->running() && ::gai_cancel(&request->block) != EAI_CANCELED && request->running()) {
    const std::lock_guard lock(mutex_);
    drop_finished();
    // Two that began at the same moment: the second is waited for.
    while (left_behind_ && request->running()) request->wait(nullptr);
    if (!left_behind_ && request->running()) left_behind_ = std::move(request);
    no_answer(host);
  }
  const int error = ::gai_error(&request->block);
  if (error == EAI_CANCELED) no_answer(host);
  if (error != 0) no_address(host, error);
  return copied(request->block.ar_result);
}

}  // namespace db4::net
